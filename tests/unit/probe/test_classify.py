"""Classification: tables from reply or failure to class."""

from datetime import UTC, datetime
from email.utils import format_datetime

import httpx
import pytest

from probe.classify import Reply, classify, classify_failure, has_no_store, retry_after_problem
from probe.mix import JSON, Spec, empty_problem, json_problem, no_problem
from probe.verdict import Verdict, is_app, is_unexpected

NOW = 1_700_000_000.75
GET = Spec("GET", "/")
HEAD = Spec("HEAD", "/", body_problem=empty_problem)
POST = Spec("POST", "/orders/new/", status=302, body_problem=no_problem)
API = Spec("GET", "/api/", accept=JSON, content_type=JSON, body_problem=json_problem)

PAGE = b"<html>hello</html>\n"
MAINTENANCE = b'<html data-intermission="maintenance">back soon</html>\n'
FALLBACK = b'<html data-intermission="fallback">sorry</html>\n'
NGINX = b"<html><center>nginx</center>\r\n</html>\r\n"
GATE = {"retry-after": "120", "cache-control": "no-store", "content-type": "text/html"}
ITS_OWN = {"x-intermission": "maintenance"}
NO_STORE = {"cache-control": "no-cache, No-Store"}
PROBLEM = GATE | {"content-type": "application/problem+json"}


def app(content_type: str = "text/html; charset=utf-8") -> dict[str, str]:
    """Return the headers of an answer from the app at version 1.2."""
    return {"x-shop-version": "1.2", "content-type": content_type}


def date(offset: int) -> str:
    """Return the HTTP-date ``offset`` seconds from the second of NOW."""
    return format_datetime(datetime.fromtimestamp(int(NOW) + offset, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("spec", "status", "headers", "body", "kind"),
    [
        (GET, 200, app(), PAGE, "app 1.2"),
        (HEAD, 200, app(), b"", "app 1.2"),
        (POST, 302, app(), b"", "app 1.2"),
        (API, 200, app(JSON), b"{}", "app 1.2"),
        (GET, 500, app(), PAGE, "app error"),
        (POST, 200, app(), PAGE, "app error"),
        (GET, 503, app() | GATE, MAINTENANCE, "app error"),
        (GET, 503, app() | GATE | ITS_OWN, MAINTENANCE, "maintenance"),
        (GET, 503, app() | ITS_OWN, MAINTENANCE, "incomplete maintenance answer: no Retry-After"),
        (API, 200, app(), PAGE, "app error"),
        (GET, 200, app(), b"<html>hel", "incomplete app answer"),
        (API, 200, app(JSON), b"{", "incomplete app answer"),
        (HEAD, 200, app(), b"x", "incomplete app answer"),
        (GET, 503, GATE, MAINTENANCE, "maintenance"),
        (POST, 503, GATE, MAINTENANCE, "maintenance"),
        (HEAD, 503, GATE, b"", "maintenance"),
        (API, 503, GATE, MAINTENANCE, "maintenance"),
        (API, 503, PROBLEM, b'{"status": 503}', "maintenance"),
        (API, 503, PROBLEM, b'{"title": "Maintenance"}', "maintenance"),
        (GET, 503, GATE | {"retry-after": date(0)}, MAINTENANCE, "maintenance"),
        (GET, 503, NO_STORE, MAINTENANCE, "incomplete maintenance answer: no Retry-After"),
        (GET, 503, {"retry-after": "9"}, MAINTENANCE, "incomplete maintenance answer: no no-store"),
        (GET, 503, GATE, MAINTENANCE[:-9], "incomplete maintenance answer: HTML without its closing </html>"),
        (GET, 503, GATE, PAGE, "incomplete maintenance answer: no marker"),
        (GET, 200, GATE, MAINTENANCE, "incomplete maintenance answer: status 200"),
        (HEAD, 503, GATE, b"x", "incomplete maintenance answer: a body in answer to HEAD"),
        (GET, 503, PROBLEM, b'{"status": 503}', "incomplete maintenance answer: no marker"),
        (API, 503, PROBLEM, b"{", "incomplete maintenance answer: problem details that are not JSON"),
        (API, 503, PROBLEM, b"[]", "incomplete maintenance answer: problem details without status 503"),
        (
            API,
            503,
            PROBLEM,
            b'{"status": 500}',
            "incomplete maintenance answer: problem details without status 503",
        ),
        (GET, 502, NO_STORE, FALLBACK, "fallback"),
        (GET, 504, NO_STORE, FALLBACK, "fallback"),
        (HEAD, 502, NO_STORE, b"", "fallback"),
        (GET, 502, {}, FALLBACK, "incomplete fallback answer: no no-store"),
        (GET, 500, NO_STORE, FALLBACK, "incomplete fallback answer: status 500"),
        (GET, 502, NO_STORE, FALLBACK[:-9], "incomplete fallback answer: HTML without its closing </html>"),
        (GET, 502, {}, NGINX, "nginx error 502"),
        (GET, 503, {}, NGINX, "nginx error 503"),
        (HEAD, 502, {"server": "nginx/1.24.0"}, b"", "nginx error 502"),
        (GET, 502, {}, b"", "other: status 502 without x-shop-version"),
        (GET, 200, {"server": "nginx"}, PAGE, "other: status 200 without x-shop-version"),
        (GET, 200, {"x-shop-version": ""}, PAGE, "other: status 200 without x-shop-version"),
    ],
)
def test_reply(spec: Spec, status: int, headers: dict[str, str], body: bytes, kind: str) -> None:
    """Every reply has exactly one class."""
    assert classify(spec, Reply(status, headers, body, NOW), "x-shop-version").kind == kind


def test_detail_names_everything_wrong_with_a_maintenance_answer() -> None:
    """The class has the first problem, the detail has all of them."""
    verdict = classify(GET, Reply(200, {}, MAINTENANCE[:-9], NOW), "x-shop-version")
    assert verdict.detail == "status 200; no Retry-After; no no-store; HTML without its closing </html>"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("1", ""),
        ("0", "Retry-After of 0 seconds"),
        ("-5", "malformed Retry-After"),
        ("1.5", "malformed Retry-After"),
        ("", "malformed Retry-After"),
        ("soon", "malformed Retry-After"),
        (date(60), ""),
        (date(0), ""),
        (date(-1), "Retry-After in the past"),
        (date(60).replace("GMT", "+0000"), "malformed Retry-After"),
        (date(60).replace("GMT", "UTC"), "malformed Retry-After"),
        ("Tuesday, 14-Nov-23 22:13:20 GMT", "malformed Retry-After"),
        ("Tue, 14 Nov 2023 25:13:20 GMT", "malformed Retry-After"),
        (None, "no Retry-After"),
    ],
)
def test_retry_after(value: str | None, problem: str) -> None:
    """Positive whole seconds and dates that are not past are valid, nothing else is."""
    assert retry_after_problem(value, NOW) == problem


@pytest.mark.parametrize(("value", "expected"), [("private, no-store", True), ("no-storefront", False), ("", False)])
def test_no_store_is_a_whole_directive(value: str, expected: bool) -> None:
    """A directive that only begins like no-store does not count."""
    assert has_no_store({"cache-control": value}) is expected


def caused_by(error: Exception, cause: BaseException) -> Exception:
    """Return ``error`` as it looks after ``raise error from cause``."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kept", "kind"),
    [
        (TimeoutError(), False, "timeout"),
        (caused_by(httpx.ConnectError("x"), TimeoutError()), False, "timeout"),
        (caused_by(httpx.ConnectError("x"), ConnectionRefusedError()), False, "refused"),
        (
            caused_by(httpx.ConnectError("x"), ExceptionGroup("both", [OSError(), ConnectionRefusedError()])),
            False,
            "refused",
        ),
        (caused_by(httpx.ReadError(""), ConnectionResetError()), False, "reset"),
        (caused_by(httpx.ReadError(""), ConnectionResetError()), True, "reset on kept connection"),
        (caused_by(httpx.WriteError(""), BrokenPipeError()), False, "reset"),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), False, "empty reply"),
        (
            httpx.RemoteProtocolError("Server disconnected without sending a response."),
            True,
            "empty reply on kept connection",
        ),
        (
            httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
            True,
            "truncated",
        ),
        (httpx.RemoteProtocolError("illegal status line"), True, "other: RemoteProtocolError"),
        (OSError(24, "Too many open files"), False, "other: OSError"),
    ],
)
def test_failure(error: Exception, kept: bool, kind: str) -> None:
    """Every failure has exactly one class, and a kept connection's end has its own."""
    verdict = classify_failure(error, kept)
    assert verdict.kind == kind
    assert verdict.detail


@pytest.mark.parametrize(
    ("kind", "app_answer", "unexpected"),
    [
        ("app 1.2", True, False),
        ("maintenance", False, False),
        ("fallback", False, True),
        ("app error", False, True),
        ("incomplete app answer", False, True),
        ("incomplete maintenance answer: no marker", False, True),
        ("reset", False, True),
    ],
)
def test_what_a_visitor_may_see(kind: str, app_answer: bool, unexpected: bool) -> None:
    """Only the app and the maintenance page are allowed."""
    assert is_app(Verdict(kind).kind) is app_answer
    assert is_unexpected(kind) is unexpected


def test_the_fallback_page_can_be_allowed() -> None:
    """Allowing it allows nothing else."""
    assert not is_unexpected("fallback", allow_fallback=True)
    assert is_unexpected("nginx error 502", allow_fallback=True)
