"""The Django middleware against django-maintenance-mode, in one process: what each adds to a request, and how fast each refuses one.

In a project with Django's own logging, which takes a 503 that a middleware lets it see for an error.
"""

import asyncio
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import CHECKOUT
from benchmarks.report import Bound, Row, ratio_row

OURS = "django_intermission.middleware.MaintenanceModeMiddleware"
THEIRS = "maintenance_mode.middleware.MaintenanceModeMiddleware"
ROUNDS = 21
CALLS = 1_000
MICROSECONDS = "{:.2f} against {:.2f} µs"
RATES = "{:,.0f} against {:,.0f} answers per second of CPU time"
WINDOW = {"schema": 1, "id": "w1", "site": "shop", "start": "2026-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}


def measure(folder: Path) -> list[Row]:
    """Measure with maintenance off, then on; give the findings."""
    sys.path.insert(0, str(CHECKOUT / "roles/django_release/files/django-intermission"))
    configure(folder)
    from django.core.handlers.base import BaseHandler
    from django.http import HttpRequest, HttpResponse
    from django.test import RequestFactory
    from django.utils.module_loading import import_string
    from maintenance_mode.core import set_maintenance_mode

    request = RequestFactory().get("/orders/")
    response = HttpResponse("the app")

    def app(request: HttpRequest) -> HttpResponse:
        return response

    async def async_app(request: HttpRequest) -> HttpResponse:
        return response

    def seen_app(request: HttpRequest) -> HttpResponse:
        our.process_view(request, app, (), {})
        return response

    async def async_seen_app(request: HttpRequest) -> HttpResponse:
        await our_async.process_view(request, app, (), {})
        return response

    ours, theirs = import_string(OURS), import_string(THEIRS)
    our, our_async = ours(seen_app), ours(async_seen_app)  # Django asks its middleware again before it calls a view
    adapt: Any = BaseHandler().adapt_method_mode  # So Django runs a middleware that is not async in an event loop
    set_maintenance_mode(False)
    off = extra(app, our, theirs(app), lambda call: seconds(lambda: call(request)))
    their_async = adapt(True, theirs(adapt(False, async_app, True)), False)
    off_async = asyncio.run(async_extra(async_app, our_async, their_async, request))
    (folder / "state" / "on").symlink_to("windows/w1")
    set_maintenance_mode(True)
    rates = answers_per_second()
    return [
        ratio_row(
            "the Django app, maintenance off: what it adds to a request, ours / theirs", *off, MICROSECONDS, Bound(0.1)
        ),
        ratio_row("  in an event loop", *off_async, MICROSECONDS, Bound(0.1)),
        ratio_row("the Django app, maintenance on: answers 503, ours / theirs", *rates, RATES, Bound(1.5, least=True)),
    ]


def configure(folder: Path) -> None:
    """Make a project that both are part of, and a state for each."""
    from django.conf import settings

    window = folder / "state" / "windows" / "w1"
    window.mkdir(parents=True)
    (window / "window.json").write_text(json.dumps(WINDOW))
    settings.configure(
        ALLOWED_HOSTS=["*"],
        INSTALLED_APPS=["django_intermission", "maintenance_mode"],
        MAINTENANCE_STATE_DIRECTORY=str(folder / "state"),
        MAINTENANCE_MODE_STATE_FILE_PATH=str(folder / "state.txt"),
        ROOT_URLCONF="benchmarks.middleware",
        SECRET_KEY="benchmark",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
    )
    import django

    django.setup()
    os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks"
    from django.http import HttpResponse
    from django.urls import path

    urlpatterns.append(path("orders/", lambda request: HttpResponse("the app")))


urlpatterns: list[Any] = []


def seconds(call: Callable[[], object]) -> float:
    """Give the seconds of CPU time of one call, on average over many."""
    began = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - began) / CALLS


def extra(bare: Any, ours: Any, theirs: Any, timed: Callable[[Any], float]) -> tuple[float, float]:
    """Give the microseconds that each adds to the bare app: medians of rounds that take turns."""
    rounds = [[timed(each) for each in (bare, ours, theirs)] for _ in range(ROUNDS)]
    return tuple(statistics.median(one[which] - one[0] for one in rounds) * 1e6 for which in (1, 2))  # type: ignore[return-value]


async def async_extra(bare: Any, ours: Any, theirs: Any, request: Any) -> tuple[float, float]:
    """Give the same in an event loop."""
    rounds = [[await async_seconds(each, request) for each in (bare, ours, theirs)] for _ in range(ROUNDS)]
    return tuple(statistics.median(one[which] - one[0] for one in rounds) * 1e6 for which in (1, 2))  # type: ignore[return-value]


async def async_seconds(call: Callable[[Any], Awaitable[object]], request: Any) -> float:
    """Give the same in an event loop, over a tenth as many, as a thread is dear."""
    began = time.process_time()
    for _ in range(CALLS // 10):
        await call(request)
    return (time.process_time() - began) / (CALLS // 10)


def answers_per_second() -> tuple[float, float]:
    """Give how many refusals a second each gives through the whole of Django."""
    from django.core.handlers.wsgi import WSGIHandler
    from django.test.utils import override_settings

    handlers = []
    for middleware in (OURS, THEIRS):
        with override_settings(MIDDLEWARE=[middleware]):
            handlers.append(WSGIHandler())
    rounds = [[seconds(partial(ask, handler)) for handler in handlers] for _ in range(ROUNDS)]
    return tuple(1 / statistics.median(one[which] for one in rounds) for which in (0, 1))  # type: ignore[return-value]


def ask(handler: Any) -> None:
    """Send one request through a WSGI handler, and insist on a 503."""
    begun: list[str] = []
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/orders/",
        "REMOTE_ADDR": "198.51.100.9",
        "SERVER_NAME": "shop.example",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
    }
    response = handler(environ, lambda status, headers: begun.append(status))
    b"".join(response)
    response.close()
    assert begun == ["503 Service Unavailable"], begun
