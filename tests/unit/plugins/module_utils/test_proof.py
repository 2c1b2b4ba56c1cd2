from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.proof import (
    Answer,
    ask,
    closed_fault,
    observe,
    open_fault,
    prove,
    retry_after_fault,
    shared_fault,
    tls_context,
)

from certificates import Authority

PAGE = b'<html data-intermission="maintenance"><p>Back soon</p></html>\n'
FALLBACK = b'<html data-intermission="fallback"></html>'
HEADERS = {"cache-control": "no-store", "retry-after": "300"}
NOW = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)
HTTP = Callable[..., bytes]
Serve = Callable[..., Any]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(503, HEADERS, PAGE), None),
        (Answer(503, {**HEADERS, "cache-control": "private, no-store"}, PAGE), None),
        (Answer(503, {**HEADERS, "retry-after": "Fri, 01 Jan 2999 00:00:00 GMT"}, PAGE), None),
        (Answer(200, {}, b"shop"), "answered 200, not 503"),
        (Answer(502, {}, FALLBACK), "answered 502, not 503"),
        (Answer(0, {}, b"", "nobody listens there"), "nobody listens there"),
        (Answer(503, HEADERS, b"<html>Nginx's own</html>"), "answered 503 without the maintenance page"),
        (Answer(503, HEADERS, b""), "answered 503 without the maintenance page"),
        (Answer(503, HEADERS, PAGE[:-9]), "answered 503 with half a page"),
        (Answer(503, {"retry-after": "300"}, PAGE), "answered 503 without Cache-Control: no-store"),
        (Answer(503, {"cache-control": "no-store"}, PAGE), "no Retry-After"),
        (Answer(503, {**HEADERS, "retry-after": "soon"}, PAGE), "Retry-After 'soon' is neither seconds nor a date"),
    ],
)
def test_closed_fault(answer: Answer, fault: str | None) -> None:
    assert closed_fault(answer) == fault


APP = {"x-intermission": "maintenance"}


@pytest.mark.parametrize(
    ("answer", "ours", "fault"),
    [
        (Answer(503, APP, b"anybody's page"), True, None),
        (Answer(302, APP, b""), True, None),
        (Answer(200, APP, b""), True, "answered 200, not 503"),
        (Answer(503, {"x-intermission": "no"}, b""), True, "answered 503 without the maintenance page"),
        (Answer(503, {}, b"theirs"), False, None),
        (Answer(503, APP, b""), False, None),
        (Answer(200, {}, b""), False, "answered 200, and not with the app's 503"),
        (Answer(503, {}, FALLBACK), False, "answered 503, and not with the app's 503"),
        (Answer(0, {}, b"", "no answer in time"), False, "no answer in time"),
    ],
)
def test_closed_by_the_app(answer: Answer, ours: bool, fault: str | None) -> None:
    assert closed_fault(answer, ours) == fault


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(200, {}, b"shop"), None),
        (Answer(302, {}, b""), None),
        (Answer(404, {}, b"not here"), None),
        (Answer(0, {}, b"", "no answer in time"), "no answer in time"),
        (Answer(503, HEADERS, PAGE), "still answers with the maintenance page"),
        (Answer(200, {}, PAGE), "still answers with the maintenance page"),
        (
            Answer(503, {"x-intermission": "maintenance"}, b""),
            "the app still closes the site by itself: where MAINTENANCE_MODE does so, open it with "
            "-e maintenance_window_mechanism=setting",
        ),
        (Answer(502, {}, FALLBACK), "the gate is open, but the app cannot be reached (502)"),
        (Answer(500, {}, b"oops"), "answered 500"),
        (Answer(503, {}, b"the app's own"), "answered 503"),
    ],
)
def test_open_fault(answer: Answer, fault: str | None) -> None:
    assert open_fault(answer) == fault


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (Answer(200, {}, b"shop"), None),
        (Answer(503, HEADERS, PAGE), None),
        (Answer(503, HEADERS, PAGE[:-9]), "answered 503 with half a page"),
        (Answer(502, {}, FALLBACK), "the gate is open, but the app cannot be reached (502)"),
        (Answer(500, {}, b"oops"), "answered 500"),
        (Answer(0, {}, b"", "no answer in time"), "no answer in time"),
    ],
)
def test_shared_fault(answer: Answer, fault: str | None) -> None:
    assert shared_fault(answer) == fault


def test_what_the_app_closes_by_itself_is_not_shared() -> None:
    """Who passes the gate would meet the app's own page."""
    assert "the app still closes the site by itself" in str(shared_fault(Answer(503, APP, b"")))


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("0", True),
        ("300", True),
        ("Tue, 01 Dec 2026 02:00:01 GMT", True),
        ("Thu, 01 Jan 1970 00:00:00 GMT", True),
        (None, False),
        ("", False),
        ("-5", False),
        ("1.5", False),
        ("tomorrow", False),
    ],
)
def test_retry_after(value: str | None, right: bool) -> None:
    assert (retry_after_fault(value) is None) is right


def test_ask_over_tcp(serve: Serve, http: HTTP) -> None:
    server = serve(http(201, b"made", X_Any="yes"))
    answer = ask(f"{server.url}orders/?page=2", "shop.example", "POST")
    assert (answer.status, answer.body, answer.headers["x-any"], answer.error) == (201, b"made", "yes", "")
    head = server.requests[0].splitlines()
    assert head[0] == "POST /orders/?page=2 HTTP/1.1"
    assert "Host: shop.example" in head
    assert "Content-Length: 0" in head


def test_ask_over_a_unix_socket(serve: Serve, http: HTTP, public_path: Path) -> None:
    server = serve(http(200, b"ok"), unix_socket=public_path / "app.sock")
    answer = ask("http://app/health?deep=1", "shop.example", unix_socket=str(public_path / "app.sock"))
    assert (answer.status, answer.body) == (200, b"ok")
    assert server.requests[0].startswith("GET /health?deep=1 HTTP/1.1")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_app_is_told_the_scheme_as_nginx_tells_it(serve: Serve, http: HTTP, public_path: Path, scheme: str) -> None:
    server = serve(http(200, b"ok"), unix_socket=public_path / "app.sock")
    assert ask(f"{scheme}://app/", "shop.example", unix_socket=str(public_path / "app.sock")).status == 200
    assert f"X-Forwarded-Proto: {scheme}" in server.requests[0].splitlines()


def test_no_visitor_tells_the_scheme(serve: Serve, http: HTTP) -> None:
    server = serve(http(200, b"ok"))
    ask(server.url, "shop.example")
    assert "X-Forwarded-Proto" not in server.requests[0]


def test_ask_over_tls_at_an_address_for_a_name(serve: Serve, http: HTTP, authority: Authority) -> None:
    server = serve(http(200, b"shop"), certificate=authority.issue("shop.example"))
    answer = ask(f"{server.url}orders/", "shop.example", tls=tls_context(ca=str(authority.bundle)))
    assert (answer.status, answer.body, answer.error) == (200, b"shop", "")
    assert server.names == ["shop.example"]
    assert "Host: shop.example" in server.requests[0].splitlines()


@pytest.mark.parametrize(
    ("name", "days", "trusted", "said"),
    [
        ("shop.example", 30, False, "unable to get local issuer certificate"),
        ("127.0.0.1", 30, True, "Hostname mismatch, certificate is not valid for 'shop.example'"),
        ("shop.example", -1, True, "certificate has expired"),
    ],
)
def test_a_certificate_that_proves_nothing(
    serve: Serve, http: HTTP, authority: Authority, name: str, days: int, trusted: bool, said: str
) -> None:
    server = serve(http(200, b"shop"), certificate=authority.issue(name, days=days))
    tls = tls_context(ca=str(authority.bundle)) if trusted else None
    answer = ask(server.url, "shop.example", tls=tls)
    assert answer.status == 0
    assert answer.error.startswith("its certificate is not trusted: ")
    assert said in answer.error
    assert server.requests == []
    assert ask(server.url, "shop.example", tls=tls_context(validate=False)).status == 200


def test_tls_where_nobody_speaks_it(serve: Serve, http: HTTP) -> None:
    server = serve(http(200, b"shop"))
    answer = ask(server.url.replace("http:", "https:"), "shop.example", tls=tls_context(validate=False))
    assert (answer.status, "SSL" in answer.error) == (0, True)


def test_a_url_without_a_port_means_443(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def connect(address: tuple[str, int], *_: Any) -> socket.socket:
        asked.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    ask("https://192.0.2.1/", "shop.example")
    assert asked == [("192.0.2.1", 443)]


def test_a_ca_bundle_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        tls_context(ca=str(tmp_path / "none"))
    (tmp_path / "empty").touch()
    with pytest.raises(ssl.SSLError):
        tls_context(ca=str(tmp_path / "empty"))


def test_ask_where_nobody_listens(public_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    nobody = f"http://127.0.0.1:{port}/"
    assert ask(nobody, "shop").error == observe(nobody, "shop") == "nobody listens there (connection refused)"
    assert ask("http://app/", "shop", unix_socket=str(public_path / "none.sock")).error == "there is no such socket"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError("timed out"), "no answer in time"),
        (TimeoutError(110, "Connection timed out"), "no answer in time"),
        (ConnectionResetError(104, "Connection reset by peer"), "the connection was closed without an answer"),
        (socket.gaierror(-2, "Name or service not known"), "its name is not known"),
        (OSError(113, "No route to host"), "No route to host"),
        (ValueError("odd"), "ValueError: odd"),
    ],
)
def test_what_keeps_an_answer_back_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def connect(*_: Any) -> socket.socket:
        raise error

    monkeypatch.setattr(socket, "create_connection", connect)
    assert observe("http://192.0.2.1/", "shop.example") == said


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (b"", "the connection was closed without an answer"),
        (b"nonsense\r\n\r\n", "what answers there does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", "the answer broke off"),
    ],
)
def test_ask_a_server_that_does_not_answer_whole(serve: Serve, said: bytes, fault: str) -> None:
    answer = ask(serve(said).url, "shop")
    assert answer.status == 0
    assert answer.error == fault


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:port/", "http://[::1/", "http://127.0.0.1:1/ü", "http://127.0.0.1:1/a b"]
)
def test_ask_for_what_is_no_url(url: str) -> None:
    answer = ask(url, "shop")
    assert answer.status == 0
    assert answer.error


def test_prove_closed_with_each_method(serve: Serve, closed_answer: bytes) -> None:
    server = serve(closed_answer)
    assert prove("closed", server.url, "shop", ["GET", "POST"], 0) == {"GET": None, "POST": None}
    assert [request.split()[0] for request in server.requests] == ["GET", "POST"]


def test_prove_and_observe_over_tls(serve: Serve, closed_answer: bytes, authority: Authority) -> None:
    server = serve(closed_answer, certificate=authority.issue("shop.example"))
    tls = tls_context(ca=str(authority.bundle))
    assert prove("closed", server.url, "shop.example", ["GET", "POST"], 0, tls=tls) == {"GET": None, "POST": None}
    assert observe(server.url, "shop.example", tls=tls) == "closed"


def test_prove_waits_for_the_expected_answer(serve: Serve, http: HTTP, closed_answer: bytes) -> None:
    server = serve(closed_answer, http(502, FALLBACK), http(200, b"shop"))
    assert prove("open", server.url, "shop", ["GET"], 30) == {"GET": None}
    assert len(server.requests) == 3


def test_prove_gives_the_last_fault_when_the_time_is_over(serve: Serve, http: HTTP, closed_answer: bytes) -> None:
    server = serve(closed_answer, http(405, b"Not Allowed"))
    assert prove("closed", server.url, "shop", ["GET", "POST"], 0) == {"GET": None, "POST": "answered 405, not 503"}


def test_half_a_page_is_no_proof(serve: Serve, http: HTTP) -> None:
    server = serve(http(503, PAGE[:20], length=len(PAGE), Retry_After="300", Cache_Control="no-store"))
    fault = prove("closed", server.url, "shop", ["GET"], 0)["GET"]
    assert fault is not None
    assert fault == "the answer broke off"


def test_observe(serve: Serve, http: HTTP, closed_answer: bytes) -> None:
    answers = {
        closed_answer: "closed",
        http(503, b"soon", X_Intermission="maintenance"): "closed by the app",
        http(200, b"shop"): "open",
        http(404, b"shop"): "open",
        http(502, FALLBACK): "the gate is open, but the app cannot be reached (502)",
        http(500, b"oops"): "answered 500",
    }
    assert {said: observe(serve(said).url, "shop") for said in answers} == answers
