"""A site whose app cannot be reached: Nginx's own errors get the page, and the app's stay the app's."""

from collections.abc import Callable

import pytest

from nginx.answers import assert_app, assert_error, assert_fallback, assert_head_of, assert_maintenance
from nginx.app import App
from nginx.site import Site

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ALL_CODES = [500, 502, 503, 504]
OWN_ERRORS_OF_NGINX = """
location /broken { return 500; }
location /full { return 503; }
location /slow { proxy_read_timeout 100ms; proxy_pass http://app; }
"""

MakeSite = Callable[..., Site]


@pytest.mark.parametrize("method", METHODS)
def test_n1_every_method_gets_502_where_the_app_is_gone(dead_site: Site, method: str) -> None:
    body = b"{}" if method in ("POST", "PUT", "PATCH") else None
    assert_fallback(dead_site.ask(method, "/orders/1/", body=body))


def test_n1_head_gets_502_without_a_body(dead_site: Site) -> None:
    get = dead_site.ask("GET")
    assert_fallback(get)
    assert_head_of(dead_site.ask("HEAD"), get)


@pytest.mark.parametrize("method", METHODS)
def test_n1_every_method_gets_502_where_nobody_listens(site: Site, method: str) -> None:
    site.app.die(leave_socket=True)
    assert site.socket.is_socket()
    assert_fallback(site.ask(method))


def test_app_that_dies_under_a_request_gives_502(site: Site) -> None:
    assert_fallback(site.ask(path="/crash"))


def test_n32_no_connection_to_the_app_is_kept_for_a_later_request(make_site: MakeSite) -> None:
    site = make_site("vhost")
    for _ in range(3):
        assert_app(site.ask())
    assert {headers["Connection"] for headers in site.app.headers} == {"close"}


def test_app_that_comes_back_is_reached_at_once(site: Site) -> None:
    site.app.die()
    assert_fallback(site.ask())
    site.app = App(site.socket)
    assert_app(site.ask())


@pytest.mark.parametrize("method", METHODS)
def test_plain_502_where_the_page_is_missing(site: Site, method: str) -> None:
    site.app.die()
    (site.state.pages / "50x.en.html").unlink()
    assert_error(site.ask(method), 502, None, "30")


def test_files_are_served_without_the_app(dead_site: Site) -> None:
    assert dead_site.ask(path="/static/shop.css").body == b"a style"
    assert dead_site.ask(path="/static/none.css").status == 404


def test_file_of_the_document_root_comes_before_the_app(make_site: MakeSite) -> None:
    site = make_site("vhost")
    assert site.ask(path="/file.html").body == b"a file"
    assert_app(site.ask(path="/none.html"), asked="GET /none.html")
    site.app.die()
    assert site.ask(path="/file.html").body == b"a file"
    assert_fallback(site.ask(path="/none.html"))


def test_closed_site_shows_maintenance_and_not_the_fallback(site: Site) -> None:
    site.app.die()
    site.open_window()
    assert_maintenance(site.ask())


def test_n8_each_code_keeps_its_status_and_has_retry_after(make_site: MakeSite, form: str) -> None:
    site = make_site(form, server_lines=OWN_ERRORS_OF_NGINX, maintenance_page_fallback_codes=ALL_CODES)
    for path, code in (("/broken", 500), ("/crash", 502), ("/full", 503), ("/slow", 504)):
        assert_fallback(site.ask(path=path), code)
        assert_fallback(site.ask("POST", path, body=b"a=1"), code)


def test_n8_codes_that_are_not_asked_for_stay_nginxs_own(make_site: MakeSite, form: str) -> None:
    site = make_site(form, server_lines=OWN_ERRORS_OF_NGINX, maintenance_page_fallback_codes=[502])
    answer = site.ask(path="/slow")
    assert (answer.status, b"data-intermission" in answer.body) == (504, False)


def test_window_is_shown_whatever_the_codes_are(make_site: MakeSite, form: str) -> None:
    site = make_site(form, maintenance_page_fallback_codes=ALL_CODES)
    window = site.open_window()
    assert_maintenance(site.ask())
    (site.state.windows / window.id / "503.en.html").unlink()
    (site.state.pages / "503.en.html").unlink()
    assert_error(site.ask(), 503, None, "300")


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("code", [404, 500, 502, 503, 504])
def test_n15_errors_of_the_app_are_not_touched(site: Site, code: int, method: str) -> None:
    path = f"/status/{code}"
    assert_app(site.ask(method, path), code, f"{method} {path}")


def test_n15_errors_of_the_app_are_replaced_where_the_operator_says_so(make_site: MakeSite) -> None:
    site = make_site("vhost", maintenance_page_intercept_errors=True)
    for code in (502, 504):
        assert_fallback(site.ask(path=f"/status/{code}"), code)
    for code in (404, 500, 503):
        assert_app(site.ask(path=f"/status/{code}"), code, f"GET /status/{code}")


def test_n15_all_codes_of_the_app_are_replaced_on_request(make_site: MakeSite) -> None:
    site = make_site("vhost", maintenance_page_intercept_errors=True, maintenance_page_fallback_codes=ALL_CODES)
    for code in ALL_CODES:
        assert_fallback(site.ask(path=f"/status/{code}"), code)
