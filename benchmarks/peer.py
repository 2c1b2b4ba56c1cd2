"""The peer: django-maintenance-mode in a Django project with nothing else, through gunicorn; ``application`` is its WSGI app.

Its page has the same bytes, and it has only what it needs: a session or a database would make each answer dearer.
"""

import os
import secrets

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

FOLDER = os.environ["INTERMISSION_BENCH_PEER"]


def orders(request: HttpRequest) -> HttpResponse:
    """Answer as the app."""
    return HttpResponse("the app")


urlpatterns = [path("orders/", orders)]

settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["maintenance_mode"],
    MAINTENANCE_MODE_STATE_FILE_PATH=f"{FOLDER}/state.txt",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "maintenance_mode.middleware.MaintenanceModeMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(),
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [f"{FOLDER}/templates"]}],
)
django.setup()
application = get_wsgi_application()
