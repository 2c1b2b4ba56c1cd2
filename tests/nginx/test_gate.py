"""A site that is closed: every request gets the whole maintenance answer, at once, and nothing else does."""

import os
from collections.abc import Callable

import pytest

from nginx.answers import assert_app, assert_head_of, assert_maintenance
from nginx.app import PATIENCE
from nginx.site import Site, read_answer

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "BREW")
INTERNAL = ("closed", "passes", "window", "page", "bare", "502", "504")
LARGER_THAN_ANY_LIMIT = 21 * 1024 * 1024
OTHER_LOCATIONS = """
location /api/ { proxy_pass http://app; }
location = /healthz { return 200 healthy; }
location ~ \\.php$ { return 200 php; }
"""


@pytest.mark.parametrize("method", METHODS)
def test_n1_every_method_gets_503(closed_site: Site, method: str) -> None:
    body = b"{}" if method in ("POST", "PUT", "PATCH") else None
    assert_maintenance(closed_site.ask(method, "/orders/1/", body=body))


def test_n1_head_gets_503_without_a_body_and_the_connection_goes_on(closed_site: Site) -> None:
    connection = closed_site.connection()
    head = closed_site.ask("HEAD", on=connection)
    get = closed_site.ask(on=connection)
    connection.close()
    assert_maintenance(get)
    assert_head_of(head, get)


def test_trace_is_refused_by_nginx_before_any_gate(closed_site: Site) -> None:
    answer = closed_site.ask("TRACE")
    assert (answer.status, b"data-intermission" in answer.body) == (405, False)


def test_n2_gate_of_the_server_does_not_fire_again_for_its_own_page(closed_site: Site) -> None:
    assert_maintenance(closed_site.ask())


def test_n4_page_for_all_and_files_of_the_acme_challenge(closed_site: Site) -> None:
    assert_maintenance(closed_site.ask("GET"))
    assert_maintenance(closed_site.ask("POST", body=b"a=1"))
    assert closed_site.ask(path="/.well-known/acme-challenge/token").body == b"a proof"


@pytest.mark.parametrize("path", ["/", "/static/shop.css", "/no/such/page", "/?next=/"])
def test_n5_retry_after_and_no_store_leave_with_an_error(closed_site: Site, path: str) -> None:
    assert_maintenance(closed_site.ask(path=path))


@pytest.mark.parametrize(
    "headers",
    [
        {"If-Modified-Since": "Fri, 01 Jan 2100 00:00:00 GMT"},
        {"If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:01 GMT"},
        {"If-None-Match": "*"},
        {"If-Match": '"x"'},
        {"Range": "bytes=0-9"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_n7_conditions_and_ranges_do_not_change_the_status(closed_site: Site, headers: dict[str, str]) -> None:
    assert_maintenance(closed_site.ask(headers=headers))


def test_n16_no_location_escapes(make_site: Callable[..., Site], form: str) -> None:
    site = make_site(form, server_lines=OTHER_LOCATIONS)
    site.open_window()
    for path in ("/api/orders", "/healthz", "/index.php", "/static/shop.css", "/file.html", "/static/none.css"):
        assert_maintenance(site.ask(path=path))
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert_maintenance(site.ask(path="/api/socket", headers=upgrade))


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_n17_body_that_is_too_large_gets_503(closed_site: Site, method: str) -> None:
    assert_maintenance(closed_site.ask(method, body=b"x" * LARGER_THAN_ANY_LIMIT))


def test_n17_limit_holds_while_the_site_is_open(site: Site) -> None:
    assert site.ask("POST", body=b"x" * LARGER_THAN_ANY_LIMIT).status == 413


@pytest.mark.parametrize("name", INTERNAL)
def test_n18_pages_have_no_address_while_the_site_is_open(site: Site, name: str) -> None:
    answer = site.ask(path=f"/_intermission/{name}")
    assert (answer.status, b"data-intermission" in answer.body) == (404, False)


@pytest.mark.parametrize("name", INTERNAL)
def test_n18_pages_have_no_address_with_status_200_while_it_is_closed(closed_site: Site, name: str) -> None:
    assert closed_site.ask(path=f"/_intermission/{name}").status in (404, 503)


@pytest.mark.parametrize("path", ["/pages/503.en.html", "/on/503.en.html", "/on/window.json", "/journal.jsonl"])
def test_n18_state_is_not_below_the_document_root(site: Site, path: str) -> None:
    site.open_window()
    assert_maintenance(site.ask(path=path))
    site.close_window()
    assert_app(site.ask(path=path), asked=f"GET {path}")


def test_n20_flag_works_on_connections_that_are_there(site: Site) -> None:
    connection = site.connection()
    assert_app(site.ask(on=connection))
    socket_of_it = connection.sock
    site.open_window()
    assert_maintenance(site.ask(on=connection))
    site.close_window()
    assert_app(site.ask(on=connection))
    assert connection.sock is socket_of_it
    connection.close()


def test_n20_request_that_is_under_way_is_answered_by_the_app(site: Site) -> None:
    connection = site.connection()
    connection.request("GET", "/slow")
    assert site.app.entered.wait(PATIENCE)
    site.open_window()
    assert_maintenance(site.ask())
    site.app.go_on.set()
    assert_app(read_answer(connection), asked="GET /slow")
    connection.close()


def test_n20_app_is_not_asked_while_the_site_is_closed(site: Site) -> None:
    site.open_window()
    asked_before = len(site.app.requests)
    for method in METHODS:
        site.ask(method)
    assert len(site.app.requests) == asked_before


def test_n21_nothing_but_no_store_even_where_the_server_caches(make_site: Callable[..., Site], form: str) -> None:
    site = make_site(form, server_lines="expires 1h; add_header Cache-Control public;")
    site.open_window()
    assert_maintenance(site.ask(path="/static/shop.css"))


def test_n24_acme_challenge_is_answered_by_files_alone(site: Site) -> None:
    for change in (site.open_window, site.close_window):
        change()
        assert site.ask(path="/.well-known/acme-challenge/token").status == 200


def test_n24_unknown_challenge_stays_with_nginx(make_site: Callable[..., Site]) -> None:
    site = make_site("vhost")
    site.open_window()
    asked_before = len(site.app.requests)
    assert site.ask(path="/.well-known/acme-challenge/none").status == 404
    assert len(site.app.requests) == asked_before


def test_n24_exemption_ends_with_the_prefix(closed_site: Site) -> None:
    for path in ("/.well-known/security.txt", "/x/.well-known/acme-challenge/token", "/_intermission/page/x"):
        assert_maintenance(closed_site.ask(path=path))
    for path in ("/.well-known/acme-challenge/../../", "/%2ewell-known/acme-challenge/%2e%2e/%2e%2e/"):
        assert_maintenance(closed_site.ask(path=path))


def test_n28_gate_is_looked_at_again_after_each_redirect(site: Site) -> None:
    window = site.open_window()
    (site.state.windows / window.id / "503.en.html").unlink()
    assert_maintenance(site.ask())


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize("accept", ["text/html", "application/json", "*/*"])
def test_a_page_that_is_no_file_is_never_a_404(site: Site, method: str, accept: str) -> None:
    """So is one that goes, with its window, between two looks of Nginx's at it."""
    window = site.open_window()
    for page in (site.state.windows / window.id).glob("503.*"):
        page.unlink()
        os.mkfifo(page)
    assert site.ask(method, headers={"Accept": accept}).status == 503


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_a_window_that_is_closed_under_a_request_leaves_it_with_a_page(
    make_site: Callable[..., Site], accept: str
) -> None:
    """Requests with a header of their own wait for a second, after the gate and before the page."""
    site = make_site(
        "vhost",
        http_lines="limit_req_zone $http_x_held zone=held:1m rate=1r/s;",
        server_lines="limit_req zone=held burst=9;",
    )
    site.open_window()
    headers = {"Host": "shop.example", "Accept": accept, "Accept-Language": "en", "X-Held": "yes"}
    site.ask(headers=headers)
    held = site.connection()
    held.request("GET", "/", headers=headers)
    assert_maintenance(site.ask())
    site.close_window()
    answer = read_answer(held)
    assert (answer.status, answer.headers["retry-after"]) == (503, "300")
    assert (b"data-intermission" in answer.body) == (accept == "text/html")
