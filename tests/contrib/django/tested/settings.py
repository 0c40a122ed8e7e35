import os

from psycopg.conninfo import conninfo_to_dict

_server = conninfo_to_dict(os.environ["TESTED_URL"])

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _server["dbname"],
        "USER": _server["user"],
        "PASSWORD": _server["password"],
        "HOST": _server["host"],
        "PORT": _server["port"],
        "TEST": {"NAME": os.environ["TESTED_DATABASE"]},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DOCSESSION = {}
INSTALLED_APPS = ["django.contrib.contenttypes", "docsession.contrib.django", "tests.contrib.django.project"]
MIDDLEWARE = ["docsession.contrib.django.DocumentSessionMiddleware"]
ROOT_URLCONF = "tests.contrib.django.tested.urls"
SECRET_KEY = "of tests"
USE_TZ = True
