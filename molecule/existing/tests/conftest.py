"""What the checks of this scenario share: the neighbour, and what visitors get while nothing is wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Callable

import pytest

from driving import CHECKOUT, Site
from fleet import Fleet

ANSWERS = {
    ("GET", "/"): (200, "GET / "),
    ("HEAD", "/"): (200, ""),
    ("POST", "/orders/"): (200, "POST /orders/ tea"),
    ("GET", "/api/orders"): (200, "GET /api/orders "),
    ("GET", "/status/502/"): (502, "GET /status/502/ "),
    ("POST", "/status/502/"): (502, "POST /status/502/ tea"),
    ("GET", "/hours.txt"): (200, "nine to five"),
}
ANSWERS_OF_OTHER = {**ANSWERS, ("GET", "/none.txt"): (404, "our own 404")}
HEADERS = {"/": {"x-frame-options": "SAMEORIGIN"}, "/api/": {"x-frame-options": "SAMEORIGIN"}}
HEADERS_OF_OTHER = {"/": {"x-frame-options": "DENY", "x-content-type-options": "nosniff"}, "/api/": {"x-api": "2"}}


@pytest.fixture(scope="session")
def office(site: Fleet) -> Site:
    """Another site that the same hosts serve."""
    return Site(site.urls, "office.example.com", os.environ)


@pytest.fixture(scope="session")
def assert_neighbour(office: Site) -> Callable[[str], None]:
    """Ask a host for the neighbour, whose own errors stay Nginx's."""

    def check(node: str) -> None:
        answer = office.ask(node)
        assert (answer.status, answer.body) == (200, "office")
        answer = office.ask(node, "/nobody/", "POST", b"tea")
        assert (answer.status, answer.kind) == (502, "nginx")
        assert "<h1>502 Bad Gateway</h1>" in answer.body

    return check


@pytest.fixture(scope="session")
def removal(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The playbook that docs/nginx.md has under "Taking it off again"."""
    page = (CHECKOUT / "docs/nginx.md").read_text(encoding="utf-8")
    playbook = tmp_path_factory.mktemp("removal") / "remove.yml"
    playbook.write_text(re.findall(r"## Taking it off again\n\n```yaml\n(.*?)```", page, re.DOTALL)[0])
    return str(playbook)


@pytest.fixture(scope="session")
def assert_as_ever(site: Fleet, assert_neighbour: Callable[[str], None]) -> Callable[[str], None]:
    """Ask a host for all that its vhosts serve, and find what they would say without the role."""

    def check(node: str) -> None:
        answers = ANSWERS_OF_OTHER if node == "other.example.com" else ANSWERS
        for (method, path), expected in answers.items():
            answer = site.ask(node, path, method, b"tea" if method == "POST" else None)
            assert (answer.status, answer.body) == expected, (method, path)
        own = ("x-frame-options", "x-content-type-options", "x-api")
        for path, expected_headers in (HEADERS_OF_OTHER if node == "other.example.com" else HEADERS).items():
            headers = site.ask(node, path).headers
            assert {name: headers[name] for name in own if name in headers} == expected_headers, path
        assert_neighbour(node)

    return check
