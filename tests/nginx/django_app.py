"""A closed Django site behind proxies that it trusts, for gunicorn."""

import os

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django_intermission"],
    MAINTENANCE_BYPASS_IP=[os.environ["PASSES"]],
    MAINTENANCE_MODE=True,
    MAINTENANCE_TRUSTED_PROXIES=["127.0.0.1", "unix"],
    MIDDLEWARE=["django_intermission.middleware.MaintenanceModeMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="tests",
)


def home(request: HttpRequest) -> HttpResponse:
    """Answer who passes."""
    return HttpResponse("app")


urlpatterns = [path("", home)]

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()
