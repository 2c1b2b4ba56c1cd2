"""Ways that once opened a closed site, or answered 500."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.urls import ResolverMatch
from django.utils import translation
from django.utils.decorators import sync_and_async_middleware
from django.utils.translation import gettext_lazy
from django.views import View
from django_intermission import conf
from django_intermission.decision import may_be_called
from django_intermission.decorators import maintenance_exempt

from django_layer.conftest import Configure, Host
from django_layer.project import AUTHENTICATION, EARLY, LATE, SESSIONS
from django_layer.visitors import Visit

OTHER = "django_layer.test_holes.other_urls"
LOCALE = "django.middleware.locale.LocaleMiddleware"


@sync_and_async_middleware
def other_urls(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    """Give requests another URLconf, behind the middleware that has looked at the project's own."""

    async def later(request: HttpRequest) -> Any:
        request.urlconf = "django_layer.closed_urls"
        return await get_response(request)

    def now(request: HttpRequest) -> Any:
        request.urlconf = "django_layer.closed_urls"
        return get_response(request)

    return later if iscoroutinefunction(get_response) else now


def window_with(host: Host, **fields: Any) -> None:
    """Open a window, and let its file say something that the product would not write."""
    host.open()
    host.window_file.write_text(json.dumps({**json.loads(host.window_file.read_text()), **fields}))


@pytest.mark.parametrize("order", [[LATE, EARLY, SESSIONS, AUTHENTICATION], [SESSIONS, LATE, EARLY, AUTHENTICATION]])
def test_a_late_half_that_stands_first_opens_nothing(configure: Configure, visit: Visit, order: list[str]) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_ALLOW_STAFF=True, MIDDLEWARE=order)
    assert visit().status == 503


def test_a_late_half_that_is_left_out_opens_nothing(
    configure: Configure, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_ALLOW_STAFF=True, MIDDLEWARE=[EARLY])
    monkeypatch.setattr(conf, "is_behind", lambda *_: True)
    assert visit().status == 503


@pytest.mark.parametrize(
    "settings", [{"MAINTENANCE_ALLOWED_URL_NAMES": ["health"]}, {}], ids=["by name", "by decorator"]
)
def test_a_view_of_another_urlconf_is_closed(configure: Configure, visit: Visit, settings: dict[str, Any]) -> None:
    path = "/health/" if settings else "/open/function/"
    configure(MAINTENANCE_MODE=True, **settings)
    assert visit(path).status == 200
    configure(MIDDLEWARE=[EARLY, OTHER])
    assert visit(path).status == 503


@pytest.mark.parametrize(
    "fields",
    [
        {"layer": "djanog"},
        {"reason": "\ud800"},
        {"message": "\udfff"},
        {"bypass_digest": "\ud800"},
        {"bypass_digest": ["x"]},
        {"end": "9999-12-31T23:59:59Z"},
        {"start": "0001-01-01T00:00:00Z"},
    ],
    ids=ascii,
)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_what_nobody_would_write_closes(
    configure: Configure, host: Host, visit: Visit, fields: dict[str, Any], accept: str
) -> None:
    configure(TIME_ZONE="Europe/Berlin")
    window_with(host, **fields)
    assert visit(accept=accept, X_Intermission_Pass="x").status == 503


def test_an_announcement_that_cannot_be_made_is_none(host: Host, configure: Configure) -> None:
    host.open(start="2999-01-01T00:00:00Z", reason="Disk")
    template = engines["django"].from_string("{% load intermission %}[{% maintenance_announcement %}]")
    assert "Disk" in template.render()
    configure(TIME_ZONE="Nowhere/Atall")
    assert template.render() == "[]"


@pytest.mark.parametrize("word", ["Fr\udcfchjahrsputz", "plain"])
def test_a_reason_of_the_environment_in_another_encoding(
    visit: Visit, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.setenv("MAINTENANCE_MODE", "on")
    monkeypatch.setenv("MAINTENANCE_REASON", word)
    conf.forget()
    answer = visit()
    assert answer.status == 503
    assert word.replace("\udcfc", "\ufffd") in answer.body


def test_the_last_resort_is_a_line_of_text(
    configure: Configure, visit: Visit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    configure(MAINTENANCE_MODE=True)
    monkeypatch.setattr("django_intermission.answer.page", lambda *_: 1 / 0)
    answer = visit()
    assert (answer.status, answer["X-Intermission"], answer["Retry-After"]) == (503, "maintenance", "300")
    assert "no-store" in answer["Cache-Control"]
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert "ZeroDivisionError" in caplog.text
    assert [record for record in caplog.records if record.name == "django.request"] == []


def handler(request: HttpRequest, maintenance: object) -> HttpResponse:
    return TemplateResponse(request, engines["django"].from_string("rendered"), status=503)


async def ahandler(request: HttpRequest, maintenance: object) -> HttpResponse:
    return handler(request, maintenance)


def broken_handler(request: HttpRequest, maintenance: object) -> HttpResponse:
    return TemplateResponse(request, "nowhere.html", status=503)


@pytest.mark.parametrize(
    ("function", "body"), [(handler, "rendered"), (ahandler, "rendered"), (broken_handler, "work")]
)
def test_a_handlers_template_response_is_rendered(
    configure: Configure, visit: Visit, function: Callable[..., Any], body: str
) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_HANDLER=function)
    answer = visit()
    assert answer.status == 503
    assert body in answer.body


@pytest.mark.parametrize(
    ("url", "path", "passes"),
    [
        ("/health/", "/health/", True),
        ("/health/?from=there", "/health/", True),
        ("/health", "/health/", True),
        ("http://testserver/health/", "/health/", True),
        ("http://TestServer/health/", "/health/", True),
        ("http://elsewhere/health/", "/health/", False),
        ("/he%61lth/", "/health/", True),
        ("/health/", "/healthy/", False),
        ("/", "/", True),
        ("/", "/health/", False),
    ],
)
def test_a_redirect_does_not_go_round(configure: Configure, visit: Visit, url: str, path: str, passes: bool) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_REDIRECT_URL=url)
    answer = visit(path, host="testserver")
    assert answer.status == (200 if passes else 302)


def test_where_visitors_are_sent_they_may_read_and_not_write(configure: Configure, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_REDIRECT_URL="/health/")
    assert [visit("/health/", method).status for method in ("GET", "HEAD", "POST")] == [200, 200, 302]


def test_a_redirect_to_the_host_that_a_proxy_tells_of_does_not_go_round(configure: Configure, visit: Visit) -> None:
    configure(
        MAINTENANCE_MODE=True,
        MAINTENANCE_REDIRECT_URL="https://shop.example.com/health/",
        ALLOWED_HOSTS=["shop.example.com"],
        USE_X_FORWARDED_HOST=True,
    )
    assert visit("/health/", host="127.0.0.1:8000", x_forwarded_host="shop.example.com").status == 200
    assert visit("/health/", host="127.0.0.1:8000", x_forwarded_host="elsewhere").status == 302


def test_a_class_made_from_one_that_stays_open_does_not(configure: Configure) -> None:
    @maintenance_exempt
    class Open(View):
        pass

    class Closed(Open):
        pass

    found = [may_be_called(ResolverMatch(view.as_view(), (), {}), conf.current()) for view in (Open, Closed)]
    assert found == [True, False]


def test_json_speaks_no_language_of_the_visitor_before(configure: Configure, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_REASON=gettext_lazy("Monday"), LANGUAGE_CODE="de")
    with translation.override("fr"):
        assert json.loads(visit(accept="application/json").body)["reason"] == "Montag"


@pytest.mark.parametrize(
    "settings",
    [
        {"MAINTENANCE_REDIRECT_URL": "closed/"},
        {"MAINTENANCE_REDIRECT_URL": "a-name"},
        {"MAINTENANCE_LAYERS": []},
        {"MAINTENANCE_STATE_DIRECTORY": "/var/\0lib"},
        {"MAINTENANCE_RETRY_AFTER": 10**5000},
        {"MAINTENANCE_END": "9999-12-31T23:59:59Z"},
    ],
    ids=lambda settings: next(iter(settings)),
)
def test_a_setting_that_would_fail_later_is_an_error_at_the_start(
    configure: Configure, settings: dict[str, Any]
) -> None:
    configure(**settings)
    with pytest.raises(ImproperlyConfigured, match=next(iter(settings))):
        conf.load()


def test_the_language_of_the_visitor_before_is_forgotten(configure: Configure, visit: Visit) -> None:
    configure(
        MAINTENANCE_MODE=True,
        MAINTENANCE_ALLOWED_URL_NAMES=["words"],
        MAINTENANCE_REASON=translation.gettext_lazy("Monday"),
        MIDDLEWARE=[EARLY, LOCALE],
    )
    translation.activate("de")
    assert visit("/en/words/").status == 200
    answer = visit(Accept_Language="de")
    assert ("Montag" in answer.body, answer["Vary"]) == (True, "Accept, Accept-Language")
    configure(MIDDLEWARE=[EARLY])
    translation.activate("de")
    answer = visit(Accept_Language="de")
    assert ("Monday" in answer.body, answer["Vary"]) == (True, "Accept")
    configure(MIDDLEWARE=[LOCALE, EARLY])
    assert "lundi" in visit(Accept_Language="fr").body
