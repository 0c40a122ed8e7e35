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

from docsession.contrib._http import Problem, ProblemMap
from docsession.contrib.flask._documents import json_response
from docsession.contrib.flask._extension import DocSession

__all__ = ["DocSession", "Problem", "ProblemMap", "json_response"]
