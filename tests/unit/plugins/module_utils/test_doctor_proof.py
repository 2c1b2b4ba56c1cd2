"""What the doctor makes of a host's answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.doctor_proof import prove

Serve = Callable[..., Any]
Http = Callable[..., bytes]
FALLBACK = b'<html data-intermission="fallback"></html>'
MAINTENANCE = b'<html data-intermission="maintenance"></html>'
URIS = ["/_intermission/window"]


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [finding["id"] for finding in found]


def test_an_open_site_is_only_read_from(serve: Serve, http: Http) -> None:
    server = serve(http(200, b"home"), http(404))
    assert prove(server.url, "shop.example", False, URIS) == []
    assert [request.split()[:2] for request in server.requests] == [
        ["GET", "/"],
        ["GET", "/_intermission/window"],
        ["GET", "/.well-known/acme-challenge/intermission-doctor"],
    ]


def test_a_site_that_does_not_answer(serve: Serve) -> None:
    (finding,) = prove("http://127.0.0.1:1/", "shop.example", False, URIS)
    assert (finding["id"], finding["severity"], finding["file"]) == ("http", "error", "http://127.0.0.1:1/")


def test_an_app_that_cannot_be_reached(serve: Serve, http: Http) -> None:
    (finding,) = prove(serve(http(502, FALLBACK), http(404)).url, "shop.example", False, URIS)
    assert (finding["id"], finding["what"]) == ("http", "The gate is open, but the app cannot be reached (502)")


def test_a_page_that_a_cache_has_kept(serve: Serve, http: Http) -> None:
    assert ids(prove(serve(http(503, MAINTENANCE), http(404)).url, "shop.example", False, URIS)) == ["N21"]


def test_a_page_with_an_address(serve: Serve, http: Http) -> None:
    server = serve(http(200, b"home"), http(200, b"anything"), http(404))
    assert ids(prove(server.url, "shop.example", False, URIS)) == ["N18"]


def test_a_challenge_that_is_closed(serve: Serve, http: Http) -> None:
    server = serve(http(200, b"home"), http(404), http(503, MAINTENANCE))
    assert ids(prove(server.url, "shop.example", False, URIS)) == ["N24"]


def test_a_closed_site_is_asked_with_more_methods(serve: Serve, http: Http, closed_answer: bytes) -> None:
    head = http(503, b"", Retry_After="300", Cache_Control="no-store")
    server = serve(*[closed_answer] * 2, head, *[closed_answer] * 3, http(404))
    assert prove(server.url, "shop.example", True, URIS) == []
    assert [request.split()[0] for request in server.requests] == [
        "GET",
        "GET",
        "HEAD",
        "POST",
        "OPTIONS",
        "GET",
        "GET",
    ]


def test_a_read_only_site_is_closed_to_what_writes(serve: Serve, http: Http, closed_answer: bytes) -> None:
    server = serve(http(200, b"home"), *[closed_answer] * 3, http(404))
    assert prove(server.url, "shop.example", True, URIS, read_only=True) == []
    assert [request.split()[0] for request in server.requests] == ["GET", "POST", "OPTIONS", "GET", "GET"]


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (200, {}, "N16"),
        (302, {}, "N7"),
        (405, {}, "N1"),
        (404, {}, "N9"),
        (401, {}, "N13"),
        (503, {"Cache_Control": "no-store"}, "N5"),
        (503, {"Retry_After": "300"}, "http"),
    ],
)
def test_a_flag_that_does_not_close(
    serve: Serve, http: Http, closed_answer: bytes, status: int, headers: dict[str, str], expected: str
) -> None:
    post = http(status, MAINTENANCE, **headers)
    head = http(503, b"", Retry_After="300", Cache_Control="no-store")
    server = serve(*[closed_answer] * 2, head, post, closed_answer, http(404))
    (finding,) = prove(server.url, "shop.example", True, URIS)
    assert finding["id"] == expected
    assert "POST" in finding["what"]
