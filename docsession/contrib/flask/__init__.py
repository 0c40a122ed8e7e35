"""docsession in Flask: a session for each request, in the manner of Flask-SQLAlchemy.

docs = DocSession()

def create_app():
    app = Flask(__name__)
    app.config["DOCSESSION"] = {"URL": "postgresql://shop@localhost/shop"}
    docs.init_app(app)
    return app

@app.get("/companies/<path:key>")
def company(key):
    return jsonify(docs.load_or_404(key, Company))
"""

try:
    import flask  # noqa: F401  # to say what is missing
except ImportError as error:
    from docsession._errors import MissingDependencyException

    raise MissingDependencyException("docsession.contrib.flask needs Flask: pip install docsession[flask]") from error

from docsession.contrib._http import Problem, ProblemMap, etag_of, expect_change_vector
from docsession.contrib.flask._documents import check_if_match, json_response
from docsession.contrib.flask._extension import DocSession
from docsession.contrib.flask._problems import problem_response

__all__ = [
    "DocSession",
    "Problem",
    "ProblemMap",
    "check_if_match",
    "etag_of",
    "expect_change_vector",
    "json_response",
    "problem_response",
]
