"""What else a server may contain: caches, passwords, limits and error pages of the user's own do not reach the gate."""

import contextlib
from collections.abc import Callable

import pytest

from nginx.answers import assert_app, assert_fallback, assert_maintenance
from nginx.site import Site

MakeSite = Callable[..., Site]

OWN_PAGES = """
error_page 404 /own/404.html;
error_page 503 /own/503.html;
location /own/ { internal; }
location /files/ { error_page 404 /own/404.html; proxy_pass http://app; }
"""
# The first request, with which a site starts, uses the limit up
LIMIT = "limit_req_zone $server_port zone=visitors:1m rate=1r/m;"
CACHE = "open_file_cache max=100 inactive=1h; open_file_cache_valid 1h; open_file_cache_errors {errors};"
LOCKS = {
    "a password": "auth_basic Tea; auth_basic_user_file none;",
    "deny": "deny all;",
    "everything": "satisfy all; deny all; auth_basic Tea; auth_basic_user_file none; auth_request /status/401;",
}


def _own_pages(site: Site) -> None:
    (site.www / "own").mkdir()
    for code in (404, 503):
        (site.www / f"own/{code}.html").write_text(f"own {code}")


@pytest.mark.parametrize("errors", ["on", "off"])
def test_n11_file_cache_does_not_hide_the_flag(make_site: MakeSite, form: str, errors: str) -> None:
    site = make_site(form, http_lines=CACHE.format(errors=errors))
    for _ in range(2):
        assert_app(site.ask())
        site.open_window()
        assert_maintenance(site.ask())
        site.close_window()
    assert_app(site.ask())


def test_n11_file_cache_does_not_keep_a_former_page(make_site: MakeSite, form: str) -> None:
    site = make_site(form, http_lines=CACHE.format(errors="on"))
    for reason in ("the first", "the second"):
        site.open_window(reason=reason)
        assert reason in site.ask().body.decode()
        site.close_window()


def test_n12_own_error_page_of_the_server_leaves_gate_and_fallback(make_site: MakeSite, form: str) -> None:
    site = make_site(form, server_lines=OWN_PAGES)
    _own_pages(site)
    assert site.ask(path="/static/none.css").body == b"own 404"
    site.open_window()
    assert_maintenance(site.ask(path="/static/none.css"))
    site.close_window()
    site.app.die()
    assert_fallback(site.ask())


def test_n12_own_error_page_of_a_location_leaves_the_gate(make_site: MakeSite, form: str) -> None:
    site = make_site(form, server_lines=OWN_PAGES)
    site.open_window()
    assert_maintenance(site.ask(path="/files/none"))


def test_n12_location_with_its_own_error_page_says_the_fallback_again(make_site: MakeSite, form: str) -> None:
    again = "error_page 502 /_intermission/502;"
    site = make_site(form, server_lines=OWN_PAGES.replace("/files/ {", f"/files/ {{ {again}"))
    site.app.die()
    assert_fallback(site.ask(path="/files/none"))


@pytest.mark.parametrize("lock", LOCKS.values(), ids=LOCKS.keys())
def test_n13_locks_of_the_server_do_not_hold_for_the_page(make_site: MakeSite, form: str, lock: str) -> None:
    site = make_site(form, server_lines=lock)
    assert site.ask().status in (401, 403)
    window = site.open_window()
    assert_maintenance(site.ask())
    (site.state.windows / window.id / "503.en.html").unlink()
    assert_maintenance(site.ask())


@pytest.mark.parametrize("accept", ["text/html", "*/*"])
def test_an_error_from_before_the_gate_with_an_error_page_of_the_users_has_no_status_of_the_gates_own(
    make_site: MakeSite, form: str, accept: str
) -> None:
    site = make_site(form, server_lines=OWN_PAGES.replace("error_page 404", "error_page 400 404"))
    _own_pages(site)
    site.open_window()
    with contextlib.closing(site.connection()) as connection:
        connection.putrequest("GET", "/", skip_host=True)
        connection.putheader("Accept", accept)
        connection.putheader("Accept-Language", "en")
        connection.endheaders()
        assert connection.getresponse().status == 503


def test_a_mirror_of_the_users_gets_nothing_of_whom_is_turned_away(make_site: MakeSite, form: str) -> None:
    mirror = "mirror /mirrored; location = /mirrored { internal; proxy_pass http://app/mirrored$request_uri; }"
    site = make_site(form, server_lines=mirror)
    site.open_window()
    for method, accept in (("GET", "text/html"), ("GET", "*/*"), ("POST", "text/html")):
        assert site.ask(method, "/tea", {"Accept": accept}).status == 503
    site.close_window()
    assert not [request for request in site.app.requests if "tea" in request]
    site.ask(path="/tea")
    assert [request for request in site.app.requests if "tea" in request]


def test_n13_locks_hold_again_when_the_window_is_closed(make_site: MakeSite, form: str) -> None:
    site = make_site(form, server_lines=LOCKS["deny"])
    site.open_window()
    site.close_window()
    assert site.ask().status == 403


@pytest.mark.parametrize("lines", ["", OWN_PAGES], ids=["plain", "with own error pages"])
def test_n14_visitors_over_a_limit_do_not_see_maintenance(make_site: MakeSite, form: str, lines: str) -> None:
    site = make_site(form, http_lines=LIMIT, server_lines=f"limit_req zone=visitors;{lines}")
    _own_pages(site)
    answers = [site.ask() for _ in range(2)]
    assert {answer.status for answer in answers} == {503}
    assert not any(b"data-intermission" in answer.body for answer in answers)


@pytest.mark.parametrize("status", ["", "limit_req_status 429;", "limit_req_status 418;"], ids=["503", "429", "418"])
def test_n14_visitors_over_a_limit_see_maintenance_during_a_window(make_site: MakeSite, form: str, status: str) -> None:
    site = make_site(form, http_lines=LIMIT, server_lines=f"limit_req zone=visitors; {status} {OWN_PAGES}")
    _own_pages(site)
    site.open_window()
    for method in ("GET", "GET", "POST"):
        assert_maintenance(site.ask(method))


def test_n14_own_error_page_for_503_stays_the_users(make_site: MakeSite, form: str) -> None:
    site = make_site(form, server_lines=f"{OWN_PAGES} location /busy {{ return 503; }}")
    _own_pages(site)
    assert site.ask(path="/busy").body == b"own 503"
    site.open_window()
    assert_maintenance(site.ask(path="/busy"))
