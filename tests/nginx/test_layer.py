"""Windows in which the app answers: Nginx's gate lets all requests go on to it, as if the site were open."""

from collections.abc import Callable

import pytest
from ansible_collections.intermission.django.plugins.module_utils.state import new_secret

from nginx.answers import assert_app, assert_maintenance
from nginx.site import Site

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.mark.parametrize("read_only", [False, True])
def test_every_request_reaches_the_app(site: Site, read_only: bool) -> None:
    site.open_window(layer="django", read_only=read_only)
    for method in METHODS:
        answer = site.ask(method, "/orders/a%20b?c=d%20e")
        assert (answer.status, site.app.requests[-1]) == (200, f"{method} /orders/a%20b?c=d%20e")
    for path in ("/robots.txt", "/_intermission/none", "/.well-known/none"):
        assert_app(site.ask(path=path), asked=f"GET {path}")
    body = b"x" * 100_000
    assert (site.ask("POST", "/upload", body=body).status, site.app.requests[-1]) == (200, "POST /upload")


def test_websockets_reach_the_app(make_site: Callable[..., Site]) -> None:
    site = make_site("vhost")
    site.open_window(layer="django")
    site.ask(path="/socket", headers={"Connection": "Upgrade", "Upgrade": "websocket"})
    assert (site.app.headers[-1]["Upgrade"], site.app.headers[-1]["Connection"]) == ("websocket", "upgrade")


def test_files_are_served_as_ever(site: Site) -> None:
    site.open_window(layer="django")
    answer = site.ask(path="/static/shop.css")
    assert (answer.status, answer.body) == (200, b"a style")


def test_an_app_that_cannot_be_reached_gets_the_fallback(site: Site) -> None:
    site.open_window(layer="django")
    site.app.die()
    for method in METHODS:
        answer = site.ask(method)
        assert answer.status == 502
        assert method == "HEAD" or b'data-intermission="fallback"' in answer.body


def test_the_link_of_the_window_sets_its_cookie(site: Site) -> None:
    secret = new_secret()
    site.open_window(layer="django", secret=secret)
    answer = site.ask(path=f"/_intermission/pass/{secret}")
    assert (answer.status, answer.headers["set-cookie"].partition(";")[0]) == (303, f"intermission_shop={secret}")


def test_nginx_answers_again_in_the_next_window(site: Site) -> None:
    site.open_window(layer="django")
    site.open_window(reason="another")
    assert_maintenance(site.ask())
    site.open_window(layer="django", reason="a third")
    assert_app(site.ask())
    site.state.flag.unlink()
    site.state.flag.touch()
    assert_maintenance(site.ask())
