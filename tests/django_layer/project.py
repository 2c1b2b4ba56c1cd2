"""A project whose site the tests close and open: its settings, URLs and views."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views import View

EARLY = "django_intermission.middleware.MaintenanceModeMiddleware"
LATE = "django_intermission.middleware.MaintenanceModeLateMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "django_intermission",
        ],
        MIDDLEWARE=[EARLY, SESSIONS, AUTHENTICATION, LATE],
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="tests",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "DIRS": [],
                "OPTIONS": {"context_processors": ["django_intermission.context_processors.maintenance"]},
            }
        ],
        TIME_ZONE="UTC",
        USE_I18N=True,
        USE_TZ=True,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    )
    import django

    django.setup()

from django.conf.urls.i18n import i18n_patterns  # noqa: E402
from django_intermission.decorators import maintenance_exempt, maintenance_required  # noqa: E402


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse("app")


async def ahome(request: HttpRequest) -> HttpResponse:
    return HttpResponse("app")


@maintenance_exempt
class OpenClass(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("app")


@maintenance_required
class ClosedClass(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("app")


@maintenance_required
class ClosedAsyncClass(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("app")


class Plain(View):
    def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("app")


class PlainAsync(View):
    async def get(self, request: HttpRequest) -> HttpResponse:
        return HttpResponse("app")


named = ([path("status/", home, name="status")], "ops")

urlpatterns: list[Any] = [
    path("", home, name="home"),
    path("async/", ahome, name="async"),
    path("admin/", home, name="admin"),
    path("admin/<path:rest>", lambda request, rest: HttpResponse("app")),
    path("health/", home, name="health"),
    path("ops/", include(named)),
    path("open/function/", maintenance_exempt(home)),
    path("open/async/", maintenance_exempt(ahome)),
    path("open/class/", OpenClass.as_view()),
    path("open/as-view/", maintenance_exempt(Plain.as_view())),
    path("open/async-as-view/", maintenance_exempt(PlainAsync.as_view())),
    path("closed/function/", maintenance_required(home)),
    path("closed/async/", maintenance_required(ahome)),
    path("closed/class/", ClosedClass.as_view()),
    path("closed/async-class/", ClosedAsyncClass.as_view()),
    path("closed/as-view/", maintenance_required(Plain.as_view())),
    path("closed/async-as-view/", maintenance_required(PlainAsync.as_view())),
    *i18n_patterns(path("words/", home, name="words")),
]

PACKAGE = Path(sys.modules["django_intermission"].__file__ or "").parent
