"""Each client gets the answer that is right for it: one table of methods, states, formats and versions of HTTP."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from ansible_collections.intermission.django.plugins.module_utils.proof import Answer

from answers_table import ACCEPT, METHODS, STATES, Cell, cells, faults, write_table
from nginx.answers import assert_app, assert_maintenance
from nginx.app import PATIENCE
from nginx.conftest import running_site
from nginx.site import Site, in_an_hour

CHECKOUT = Path(__file__).parents[2]
BROWSER = {"Accept": ACCEPT["html"]}


@pytest.fixture(scope="module", params=["vhost"])
def tls_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    with running_site(request.param, tls={"redirect": False}) as site:
        yield site


@pytest.fixture(scope="module")
def clients(tls_site: Site) -> Iterator[dict[str, httpx.Client]]:
    """One visitor who speaks HTTP/1.1 and one who speaks HTTP/2."""
    common = {"verify": tls_site.trust(), "timeout": PATIENCE, "trust_env": False}
    with (
        httpx.Client(http1=True, http2=False, **common) as one,  # type: ignore[arg-type]
        httpx.Client(http1=False, http2=True, **common) as two,  # type: ignore[arg-type]
    ):
        yield {"HTTP/1.1": one, "HTTP/2": two}


@pytest.mark.parametrize("state", STATES)
def test_the_table(tls_site: Site, clients: dict[str, httpx.Client], state: str) -> None:
    """Every method, format and version of HTTP in each state; written to .logs/answers-wheel-*.txt."""
    tls_site.renew()
    end = in_an_hour()
    if state == "app down":
        tls_site.app.die()
    else:
        tls_site.open_window(end, "Tea", read_only=state == "read-only")

    def ask(cell: Cell) -> httpx.Response:
        return clients[cell.version].request(
            cell.method,
            f"https://127.0.0.1:{tls_site.tls_port}/orders/",
            headers={"Host": "shop.example", "Accept": ACCEPT[cell.format]},
            content=b"a=1" if cell.method in ("POST", "PUT", "PATCH") else None,
            extensions={"sni_hostname": "shop.example"},
        )

    answered = [(cell, ask(cell)) for cell in cells(state)]
    write_table(CHECKOUT / f".logs/answers-wheel-{state.replace(' ', '-')}.txt", answered)
    assert [fault for cell, answer in answered for fault in faults(cell, answer, end, "the app's own 200")] == []
    assert len(answered) == len(METHODS) * 3 * 2


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("/api/orders/", "text/html,*/*;q=0.8", "text/html; charset=utf-8"),
        ("/", "application/json, text/plain, */*", "application/problem+json"),
        ("/", "application/vnd.api+json", "application/problem+json"),
        ("/", "application/json;q=0, text/html", "text/html; charset=utf-8"),
        ("/", "*/*", "text/plain; charset=utf-8"),
        ("/", "image/webp,image/*", "text/plain; charset=utf-8"),
        ("/", "", "text/plain; charset=utf-8"),
        ("/api/orders/", "*/*", "application/problem+json"),
        ("/api", "*/*", "text/plain; charset=utf-8"),
        ("/apis/", "*/*", "text/plain; charset=utf-8"),
    ],
)
def test_the_format_is_the_one_that_is_asked_for(site: Site, path: str, accept: str, kind: str) -> None:
    site.open_window()
    closed = site.ask(path=path, headers={"Accept": accept})
    assert (closed.status, closed.headers["content-type"]) == (503, kind)
    assert closed.headers["vary"] == "Accept, Accept-Language"
    site.close_window()
    site.app.die()
    down = site.ask(path=path, headers={"Accept": accept})
    assert (down.status, down.headers["content-type"]) == (502, kind)


def test_problem_details_have_the_windows_end_and_reason(site: Site) -> None:
    window = site.open_window(in_an_hour(), 'New "disks" <&>\\ tonight')
    problem = json.loads(site.ask(headers={"Accept": "application/json"}).body)
    assert (problem["status"], problem["end"], problem["reason"]) == (503, window.end, 'New "disks" <&>\\ tonight')
    assert problem["title"] == "Service Unavailable"
    text = site.ask(headers={"Accept": "*/*"}).body.decode()
    assert 'New "disks" <&>\\ tonight' in text


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "de"),
        ("FR", "fr"),
        ("nl,it;q=0.9,es-MX;q=0.8,en;q=0.7", "es"),
        ("ar", "ar"),
        ("ja, en", "ja"),
        ("deu, en", "en"),
        ("de;q=0, fr;q=0.5", "fr"),
        ("de-AT;q=0.0 , ja", "ja"),
        ("*", "en"),
        ("", "en"),
        ("x;q=0," * 200, "en"),
        ("de;q=0," * 200, "en"),
    ],
)
def test_the_language_is_the_visitors(site: Site, wanted: str, language: str) -> None:
    site.open_window()
    assert f'<html lang="{language}"'.encode() in site.ask(headers={"Accept-Language": wanted}).body
    site.close_window()
    site.app.die()
    assert f'<html lang="{language}"'.encode() in site.ask(headers={"Accept-Language": wanted}).body


def test_a_language_that_has_no_page_of_the_windows_gets_another(site: Site) -> None:
    window = site.open_window()
    (site.state.windows / window.id / "503.de.html").unlink()
    answer = site.ask(headers={"Accept-Language": "de"})
    assert (answer.status, b'<html lang="en"' in answer.body) == (503, True)


def test_retry_after_is_never_a_date_that_has_passed(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    window = site.open_window(in_an_hour())
    page = site.state.windows / window.id / "503.en.html"

    def retry_after(instant: str) -> str:
        import os
        from datetime import datetime

        moment = datetime.fromisoformat(instant).timestamp()
        os.utime(page, (moment, moment))
        return site.ask().headers["retry-after"]

    assert retry_after("2099-12-31T23:59:59+00:00") == "Thu, 31 Dec 2099 23:59:59 GMT"
    assert retry_after("2100-01-01T00:00:00+00:00") == "Fri, 01 Jan 2100 00:00:00 GMT"
    for passed in ("2026-11-20T23:59:59+00:00", "2025-12-31T23:59:59+00:00", "2009-09-09T09:09:09+00:00"):
        assert retry_after(passed) == "300"
    end = in_an_hour()
    assert retry_after(end.isoformat()) == end.strftime("%a, %d %b %Y %H:%M:%S GMT")
    for hours in (2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987):
        later, earlier = end + timedelta(hours=hours), end - timedelta(hours=hours)
        assert retry_after(later.isoformat()) == later.strftime("%a, %d %b %Y %H:%M:%S GMT")
        assert retry_after(earlier.isoformat()) == "300"
    for months in range(1, 13):
        later = end.replace(year=end.year + 2, month=months, day=1)
        assert retry_after(later.isoformat()) == later.strftime("%a, %d %b %Y %H:%M:%S GMT")
        earlier = end.replace(year=end.year - 2, month=months, day=1)
        assert retry_after(earlier.isoformat()) == "300"


@pytest.mark.parametrize("zone", ["ZONE-9", "ZONE11"])
def test_retry_after_is_right_where_the_clock_shows_another_time_than_utc(
    make_site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    site = make_site("vhost")
    now = in_an_hour() - timedelta(hours=1)
    for hours in (1, 3, 8, 13, 25):
        end = now + timedelta(hours=hours)
        site.open_window(end)
        assert_maintenance(site.ask(), end.strftime("%a, %d %b %Y %H:%M:%S GMT"))
        site.open_window(now - timedelta(hours=hours))
        assert_maintenance(site.ask())


@pytest.mark.parametrize("lines", ["", "location /orders/ { proxy_pass http://app; }"])
def test_where_the_app_is_stopped_behind_the_gate_visitors_get_the_window(
    make_site: Callable[..., Site], lines: str
) -> None:
    """An upload that was let in before the gate closed, and then finds no app, reads of the maintenance.

    A location that does not have recursive_error_pages on can send the fallback only.
    """
    site = make_site("vhost", server_lines=lines)
    connection = site.connection()
    connection.putrequest("POST", "/orders/")
    for name, value in {"Accept": "text/html", "Content-Length": "10"}.items():
        connection.putheader(name, value)
    connection.endheaders(b"12345")
    site.ask()
    site.open_window()
    site.app.die()
    connection.send(b"67890")
    response = connection.getresponse()
    answer = Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    connection.close()
    status, kind = (503, b"maintenance") if not lines else (502, b"fallback")
    assert (answer.status, b'data-intermission="' + kind in answer.body) == (status, True)


@pytest.mark.parametrize(("version", "chunks"), [("HTTP/1.1", 400), ("HTTP/2", 0)])
def test_an_upload_that_is_under_way_reads_the_answer(
    tls_site: Site, clients: dict[str, httpx.Client], version: str, chunks: int
) -> None:
    """With HTTP/2 as much as this client sends before it reads."""
    tls_site.renew()
    tls_site.open_window()

    def body() -> Iterator[bytes]:
        yield b"x" * 60000
        for _ in range(chunks):
            yield b"x" * 65536

    answer = clients[version].post(
        f"https://127.0.0.1:{tls_site.tls_port}/upload/",
        headers={"Host": "shop.example", "Content-Length": str(60000 + chunks * 65536), **BROWSER},
        content=body(),
        extensions={"sni_hostname": "shop.example"},
    )
    assert (answer.status_code, 'data-intermission="maintenance"' in answer.text) == (503, True)


def test_n6_the_sites_own_headers_stay_on_the_page(make_site: Callable[..., Site], form: str) -> None:
    headers = {"X-Frame-Options": "DENY", "Permissions-Policy": 'geolocation=(), camera=(self "https://x.example")'}
    site = make_site(form, maintenance_page_headers=headers)
    if form == "vhost":
        answer = site.ask(path="/file.html")
        assert {name: answer.headers[name.lower()] for name in headers} == headers
    site.open_window()
    for answer in (site.ask(), site.ask(headers={"Accept": "*/*"})):
        assert {name: answer.headers[name.lower()] for name in headers} == headers
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-robots-tag"] == "noindex"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")
    site.close_window()
    site.app.die()
    assert {name: site.ask().headers[name.lower()] for name in headers} == headers


def test_n22_pages_of_the_named_origins_read_the_answer(make_site: Callable[..., Site], form: str) -> None:
    long = "https://shop-frontend-preview.staging.eu-central-1.example.com:8443"
    site = make_site(form, maintenance_page_cors_origins=["https://app.example", long])
    site.open_window()
    for method in ("GET", "POST"):
        answer = site.ask(method, headers={"Origin": "https://app.example", "Accept": "application/json"})
        assert answer.status == 503
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
        assert answer.headers["vary"] == "Accept, Accept-Language, Origin"
    asked = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type,x-csrftoken"}
    answer = site.ask("OPTIONS", headers={"Origin": "https://app.example", **asked})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-methods"] == "PUT"
    assert answer.headers["access-control-allow-headers"] == "content-type,x-csrftoken"
    assert site.ask(headers={"Origin": long}).headers["access-control-allow-origin"] == long
    for origin in ("https://app.example.evil.example", "https://appxexample", "http://app.example", "null"):
        answer = site.ask(headers={"Origin": origin})
        assert not [
            name
            for name in answer.headers
            if name in ("access-control-allow-origin", "access-control-allow-credentials")
        ]
        assert site.ask("OPTIONS", headers={"Origin": origin, **asked}).status == 503


def test_n25_robots_txt_is_answered_as_ever(make_site: Callable[..., Site], form: str) -> None:
    text = "User-agent: *\nDisallow: /*.pdf$\n"
    site = make_site(form, maintenance_page_robots_txt=text)
    site.open_window()
    answer = site.ask(path="/robots.txt", headers={"Accept": "*/*"})
    assert (answer.status, answer.body.decode(), answer.headers["content-type"]) == (200, text, "text/plain")
    assert site.ask(path="/robots.txt/x").status == 503
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert_maintenance(site.ask(method, "/robots.txt"))


def test_n25_robots_txt_that_is_a_link_is_not_followed(site: Site) -> None:
    (site.www / "other").write_text("another's")
    (site.state.pages / "robots.txt").unlink()
    (site.state.pages / "robots.txt").symlink_to(site.www / "other")
    site.open_window()
    answer = site.ask(path="/robots.txt")
    assert (answer.status in (403, 404, 503), b"another" in answer.body) == (True, False)


@pytest.mark.parametrize("path", ["/robots.txt", "/healthz", f"/_intermission/pass/{'s' * 43}"])
def test_n21_expires_of_the_server_does_not_reach_the_roles_own_answers(
    make_site: Callable[..., Site], form: str, path: str
) -> None:
    health = {"maintenance_page_health_path": "/healthz", "maintenance_page_health_during": "ok"}
    site = make_site(form, http_lines="expires 30d;", **health)
    site.open_window(secret="s" * 43)
    answer = site.ask(path=path)
    assert answer.status in (200, 303)
    assert (answer.headers["cache-control"], "expires" in answer.headers) == ("no-store", False)


def test_paths_of_an_api_may_have_a_query(make_site: Callable[..., Site], form: str) -> None:
    site = make_site(form, maintenance_page_json_paths=["= /graphql"])
    site.open_window()
    for path, kind in (("/graphql", "problem+json"), ("/graphql?query=x", "problem+json"), ("/graphqlx", "plain")):
        assert site.ask(path=path, headers={"Accept": "*/*"}).headers["content-type"].partition(";")[0].endswith(kind)


@pytest.mark.parametrize(
    ("during", "status", "body"),
    [("ok", 200, b"ok\n"), ("draining", 503, b"draining\n"), ("app", 200, b"the app's own 200: GET /healthz")],
)
def test_n23_the_health_path(make_site: Callable[..., Site], form: str, during: str, status: int, body: bytes) -> None:
    site = make_site(form, maintenance_page_health_path="/healthz", maintenance_page_health_during=during)
    assert site.ask(path="/healthz").body == b"the app's own 200: GET /healthz"
    site.open_window()
    answer = site.ask(path="/healthz")
    assert (answer.status, answer.body) == (status, body)
    for other in ("/healthz/", "/healthzz", "/healthy-data-export", "/x/healthz"):
        assert site.ask(path=other).status == 503


def test_the_fallback_as_503(make_site: Callable[..., Site], form: str) -> None:
    site = make_site(form, maintenance_page_fallback_as_503=True)
    site.app.die()
    answer = site.ask("POST")
    assert (answer.status, b'data-intermission="fallback"' in answer.body, answer.headers["retry-after"]) == (
        503,
        True,
        "30",
    )


def test_a_read_only_window(site: Site) -> None:
    site.open_window(read_only=True)
    for method in ("GET", "HEAD"):
        assert site.ask(method, "/orders/?a=b%20c").status == 200
    assert site.ask(path="/orders/a%3Fb%25/?x=1").body == b"the app's own 200: GET /orders/a%3Fb%25/?x=1"
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get", "GE"):
        assert site.ask(method, "/orders/").status in (503, 400), method
    site.app.die()
    assert (site.ask().status, site.ask("POST").status) == (502, 503)


@pytest.mark.parametrize("wanted", ["websocket", "WebSocket", "h2c, websocket"])
def test_websockets_do_not_pass_a_read_only_window(site: Site, wanted: str) -> None:
    """They begin with GET, and then write."""
    site.open_window(read_only=True)
    assert_maintenance(site.ask(headers={"Connection": "Upgrade", "Upgrade": wanted}))
    assert_app(site.ask(headers={"Connection": "Upgrade", "Upgrade": "h2c"}))


def test_websockets_reach_the_app_of_an_open_site(make_site: Callable[..., Site]) -> None:
    site = make_site("vhost")
    site.ask(path="/socket", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
    assert (site.app.headers[-1]["Upgrade"], site.app.headers[-1]["Connection"]) == ("websocket", "upgrade")
    site.ask(path="/")
    assert (site.app.headers[-1].get("Upgrade"), site.app.headers[-1]["Connection"]) == (None, "close")


# As long as large_client_header_buffers lets a line be
LONGEST = 8100
LONG_ACCEPT = {
    "nothing that is known": ("x" * LONGEST, "text/plain"),
    "nearly HTML": ("htm" * (LONGEST // 3), "text/plain"),
    "HTML at last": ("text/xml, " * (LONGEST // 10 - 2) + "text/html", "text/html"),
    "JSON at last": ("text/xml, " * (LONGEST // 10 - 3) + "application/json", "application/problem+json"),
    "JSON that is not wanted, again and again": ("a/json;q=0, " * (LONGEST // 12 - 2) + "text/html", "text/html"),
    "blanks": ("a/json;" + " " * (LONGEST - 40) + "q=0, text/html", "text/html"),
}
LONG_ACCEPT_LANGUAGE = {
    "nothing that is known": ("x" * LONGEST, "en"),
    "known at last": ("xx," * (LONGEST // 3 - 2) + "ja", "ja"),
    "not wanted, again and again": ("de;q=0," * (LONGEST // 7 - 2) + "ja", "ja"),
    "blanks": ("de;" + " " * (LONGEST - 40) + "q=0,ja", "ja"),
}


@pytest.mark.parametrize("jit", ["on", "off"])
def test_headers_of_any_length_are_understood(make_site: Callable[..., Site], jit: str) -> None:
    """Compiled regular expressions have a small stack, and interpreted ones a limit of steps."""
    site = make_site("vhost", main_lines=f"pcre_jit {jit};")
    site.open_window()
    for name, (value, media_type) in LONG_ACCEPT.items():
        answer = site.ask(headers={"Accept": value})
        assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (503, media_type), name
    for name, (value, language) in LONG_ACCEPT_LANGUAGE.items():
        answer = site.ask(headers={"Accept-Language": value})
        assert answer.status == 503, name
        assert f'<html lang="{language}"'.encode() in answer.body, name
    assert "pcre" not in site.error_log.read_text()
