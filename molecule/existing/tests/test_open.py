"""The snippet is in the vhosts, and the site is open: with its app, and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from testinfra.host import Host

from driving import wait_until
from fleet import Fleet

testinfra_hosts = ["ansible://shop"]


@pytest.fixture
def app_down(host: Host, site: Fleet, node: str) -> Iterator[None]:
    host.check_output("systemctl stop shop")
    yield
    host.check_output("systemctl start shop")
    wait_until(lambda: site.ask(node).kind == "app", "the app answers again")


def test_the_vhosts_are_as_ever(node: str, assert_as_ever: Callable[[str], None]) -> None:
    assert_as_ever(node)


def test_the_app_is_down(site: Fleet, node: str, app_down: None) -> None:
    for method in ("GET", "HEAD", "POST"):
        answer = site.ask(node, "/orders/", method)
        assert (answer.status, answer.headers["retry-after"], answer.headers["cache-control"]) == (
            502,
            "30",
            "no-store",
        )
        assert answer.kind == ("nginx" if method == "HEAD" else "fallback")


def test_what_the_vhost_says_itself_stays_while_the_app_is_down(site: Fleet, node: str, app_down: None) -> None:
    assert site.ask(node, "/hours.txt").body == "nine to five"
    if node == "other.example.com":
        api = site.ask(node, "/api/orders", "POST", b"tea")
        assert (api.status, api.body) == (502, '{"error": "down"}')
        assert site.ask(node, "/none.txt").body == "our own 404"
