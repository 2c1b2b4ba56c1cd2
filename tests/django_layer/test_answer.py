"""What visitors get while the site is closed."""

from __future__ import annotations

import json
import logging
from email.utils import parsedate_to_datetime
from typing import Any, Optional

import pytest
from django.http import HttpResponse
from django.utils import timezone
from django_intermission import answer
from django_intermission.times import parse_instant
from hypothesis import given
from hypothesis import strategies as st

from django_layer.conftest import Configure, Host, instant
from django_layer.visitors import Visit

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def templates(**files: str) -> list[dict[str, Any]]:
    """Settings of a project that has these templates, and a context processor that must not be run."""
    return [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "context_processors": ["django_layer.test_answer.broken"],
                "loaders": [
                    ("django.template.loaders.locmem.Loader", {f"{name}.html": text for name, text in files.items()})
                ],
            },
        }
    ]


def broken(request: Any) -> Any:
    raise RuntimeError("a context processor was run")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_every_method_gets_503(configure: Configure, visit: Visit, method: str) -> None:
    configure(MAINTENANCE_MODE=True)
    answer = visit("/anything/", method)
    assert answer.status == 503
    assert answer["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"
    assert answer["X-Intermission"] == "maintenance"
    assert answer["Retry-After"] == "300"
    assert answer["Vary"] == "Accept"
    assert answer["Content-Type"] == "text/html; charset=utf-8"


def test_the_built_in_page(configure: Configure, visit: Visit) -> None:
    configure(
        MAINTENANCE_MODE=True,
        MAINTENANCE_REASON="<Disk>",
        MAINTENANCE_MESSAGE="One\nTwo",
        MAINTENANCE_END="2099-12-01T02:00Z",
        TIME_ZONE="Europe/Berlin",
    )
    body = visit().body
    assert "&lt;Disk&gt;" in body and "One<br>Two" in body
    assert "2099-12-01 03:00 CET" in body
    assert "<script" not in body and "src=" not in body and "href=" not in body


def test_the_page_says_what_is_new(configure: Configure, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_REASON="Disk")
    assert "Disk" in visit().body and "Expected end" not in visit().body
    configure(MAINTENANCE_REASON="Memory")
    assert "Memory" in visit().body


def test_the_time_zone_of_one_visitor_is_not_anothers(configure: Configure, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_END="2099-12-01T02:00Z")
    with timezone.override("Asia/Tokyo"):
        assert "2099-12-01 02:00 UTC" in visit().body


def test_times_have_their_zone_without_use_tz_too(configure: Configure, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_END="2099-12-01T02:00Z", USE_TZ=False, TIME_ZONE="Asia/Tokyo")
    assert "2099-12-01 11:00 JST" in visit().body


def test_the_projects_template_wins(configure: Configure, visit: Visit) -> None:
    own = templates(maintenance="mine: {{ maintenance.reason }} at {{ request.path }}", other="other")
    configure(MAINTENANCE_MODE=True, MAINTENANCE_REASON="Disk", TEMPLATES=own)
    assert visit("/x/").body == "mine: Disk at /x/"
    configure(MAINTENANCE_TEMPLATE="other.html")
    assert visit().body == "other"


def test_the_template_is_looked_for_once(configure: Configure, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(MAINTENANCE_MODE=True, TEMPLATES=templates(maintenance="mine"))
    visit()
    with monkeypatch.context() as patched:
        patched.setattr(answer, "get_template", lambda name: pytest.fail("looked for again"))
        assert visit().body == "mine"
    configure(DEBUG=True, MAINTENANCE_IN_DEBUG=True)
    looked: list[str] = []
    monkeypatch.setattr(answer, "get_template", looked.append)
    visit()
    visit()
    assert looked == ["maintenance.html"] * 2


@pytest.mark.parametrize("text", ["{% nonsense %}", "{% extends 'nowhere.html' %}", "{% url 'x' %}"])
def test_a_template_that_fails_gives_the_built_in_page(
    configure: Configure, visit: Visit, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    configure(MAINTENANCE_MODE=True, TEMPLATES=templates(maintenance=text))
    for _ in range(2):
        assert (visit().status, "We are working on this site" in visit().body) == (503, True)
    assert caplog.text.count("cannot be shown") == 1


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (HTML, "html"),
        ("", None),
        ("*/*", None),
        ("text/plain", None),
        ("application/json", "json"),
        ("application/problem+json", "json"),
        ("APPLICATION/JSON ; charset=utf-8", "json"),
        ("application/json, text/html", "json"),
        ("text/html, application/json", "html"),
        ("text/html;q=0.8, application/json;q=0.9", "json"),
        ("text/html;q=0.9, application/json;q=0.8", "html"),
        ("application/json;q=0", None),
        ("application/json;q=0, text/html", "html"),
        ("application/json;q=x", None),
        ("application/json;q=7, text/html;q=0.1", "html"),
        ("application/json;q=nan", None),
        ("application/json; q = 0.5, text/html;q=0.4", "json"),
    ],
)
def test_accept(accept: str, kind: Optional[str]) -> None:
    assert answer.preferred(accept) == kind


@given(st.text())
def test_any_accept_header_can_be_read(accept: str) -> None:
    assert answer.preferred(accept) in ("html", "json", None)


def test_json(configure: Configure, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_REASON="Größe", MAINTENANCE_END="2099-12-01T02:00Z")
    got = visit(Accept="application/json")
    assert (got.status, got["Content-Type"]) == (503, "application/problem+json")
    assert "Größe" in got.body
    assert json.loads(got.body) == {
        "type": "about:blank",
        "title": "Service Unavailable",
        "status": 503,
        "detail": answer.DETAIL,
        "reason": "Größe",
        "end": "2099-12-01T02:00:00Z",
    }


def test_json_of_a_window(host: Host, visit: Visit) -> None:
    host.open(message="Long")
    problem = json.loads(visit(Accept="application/json").body)
    assert (problem["detail"], problem["start"]) == ("Long", "2026-01-01T00:00:00Z")
    assert "end" not in problem and "reason" not in problem


def by_host(request: Any) -> Any:
    return {"/json/": "json", "/html/": "html", "/odd/": "xml"}.get(request.path)


def failing(request: Any) -> Any:
    raise RuntimeError("no")


@pytest.mark.parametrize(
    ("format", "path", "accept", "kind"),
    [
        (None, "/api/x", "*/*", "json"),
        (None, "/api/x", HTML, "html"),
        (None, "/x", "*/*", "html"),
        (None, "/api/../x", "*/*", "html"),
        ("json", "/", HTML, "json"),
        ("html", "/api/x", "application/json", "html"),
        (by_host, "/json/", HTML, "json"),
        (by_host, "/html/", "application/json", "html"),
        (by_host, "/odd/", "application/json", "json"),
        ("django_layer.test_answer.by_host", "/other/", HTML, "html"),
        (failing, "/", "application/json", "json"),
    ],
)
def test_the_format(configure: Configure, visit: Visit, format: Any, path: str, accept: str, kind: str) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_FORMAT=format, MAINTENANCE_JSON_PATHS=["^/api/"])
    assert kind in visit(path, Accept=accept)["Content-Type"]


def test_a_format_that_fails_is_logged_once(
    configure: Configure, visit: Visit, caplog: pytest.LogCaptureFixture
) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_FORMAT=failing)
    assert {visit().status, visit().status} == {503}
    assert caplog.text.count("MAINTENANCE_FORMAT failed") == 1


@pytest.mark.parametrize(
    ("ahead", "seconds", "header"),
    [
        ({"hours": 1}, 300, "date"),
        ({"hours": -1}, 300, "300"),
        (None, 60, "60"),
        (None, None, None),
        ({"hours": -1}, None, None),
    ],
)
def test_retry_after(
    configure: Configure, visit: Visit, ahead: Optional[dict[str, float]], seconds: Optional[int], header: Optional[str]
) -> None:
    end = instant(**ahead) if ahead else None
    configure(MAINTENANCE_MODE=True, MAINTENANCE_END=end, MAINTENANCE_RETRY_AFTER=seconds)
    got = visit()
    if header is None:
        assert "Retry-After" not in got
    elif header == "date":
        assert parsedate_to_datetime(got["Retry-After"]) == parse_instant(end or "")
    else:
        assert got["Retry-After"] == header


def own(request: Any, maintenance: Any) -> HttpResponse:
    return HttpResponse(f"own {maintenance.reason}", status=503, headers={"Retry-After": "7"})


async def own_async(request: Any, maintenance: Any) -> HttpResponse:
    return own(request, maintenance)


def own_broken(request: Any, maintenance: Any) -> HttpResponse:
    raise RuntimeError("no")


def own_wrong(request: Any, maintenance: Any) -> Any:
    return "text"


@pytest.mark.parametrize("handler", [own, own_async, "django_layer.test_answer.own"])
def test_a_handler(configure: Configure, visit: Visit, handler: Any) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_REASON="Disk", MAINTENANCE_HANDLER=handler)
    got = visit()
    assert (got.status, got.body, got["Retry-After"]) == (503, "own Disk", "7")
    assert "no-store" in got["Cache-Control"]


@pytest.mark.parametrize("handler", [own_broken, own_wrong])
def test_a_handler_that_fails(
    configure: Configure, visit: Visit, handler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_HANDLER=handler)
    assert {visit().status, visit().status} == {503}
    assert caplog.text.count("MAINTENANCE_HANDLER failed") == 1


def test_a_redirect(configure: Configure, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_REDIRECT_URL="/health/")
    got = visit("/x/", "POST")
    assert (got.status, got["Location"], got["Retry-After"]) == (302, "/health/", "300")
    assert "no-store" in got["Cache-Control"]
    assert visit("/health/").status == 200
    assert visit(Accept="application/json").status == 503


def test_no_mail_to_the_admins(configure: Configure, visit: Visit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    configure(MAINTENANCE_MODE=True)
    visit()
    assert [record for record in caplog.records if record.name.startswith("django.request")] == []
