"""A visitor is followed through ``set``, ``if``, ``return`` and ``rewrite`` of a server."""

from __future__ import annotations

from typing import Optional

import pytest
from ansible_collections.intermission.django.plugins.plugin_utils.nginx_gate import (
    Visit,
    gate_variables,
    maps_of,
    own_flag_tests,
    used_maps,
)
from ansible_collections.intermission.django.plugins.plugin_utils.nginx_tree import Tree, parse


def tree(server: str, http: str = "") -> Tree:
    return parse(f"# configuration file /etc/nginx/nginx.conf:\nhttp {{ {http} server {{ {server} }} }}\n")


def outcome(server: str, uri: str = "/", http: str = "", first: Optional[str] = None, absent: str = "") -> str:
    configuration = tree(server, http)
    block = configuration.http()
    assert block is not None
    ended = Visit(configuration.servers()[0], maps_of(block), uri, first or uri, "shop.example", absent).outcome()
    return " ".join([ended.name, *ended.args[:1]]) if ended else "goes on"


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("", "goes on"),
        ("return 301 https://x;", "return 301"),
        ("if (-f /flag) { return 503; }", "return 503"),
        ("if (!-e /flag) { return 503; }", "goes on"),
        ("if (-f $request_filename) { return 503; }", "goes on"),
        ("if (!-f $request_filename) { return 503; }", "return 503"),
        ("if (-f $document_root/closed) { return 503; }", "return 503"),
        ("if ($cookie_staff) { return 403; } return 503;", "return 503"),
        ("if ($cookie_staff != yes) { return 503; }", "return 503"),
        ("if ($host != shop) { return 404; } return 503;", "return 404"),
        ("if ($host = shop.example) { return 301 /; } return 404;", "return 301"),
        ("if ($http_x_forwarded_proto != https) { return 301 https://x; } return 503;", "return 503"),
        ('if ($http_user_agent = "") { return 403; } return 503;', "return 503"),
        ("if ($request_method !~ ^(GET|HEAD)$) { return 405; }", "goes on"),
        ("set $a 0; if (-e /flag) { set $a 1; } if ($a) { return 503; }", "return 503"),
        ('set $a x; if (-e /flag) { set $a "${a}y"; } if ($a = xy) { return 503; }', "return 503"),
        ("if ($uri = /) { break; } return 503;", "break"),
        ("rewrite ^/old /new last; return 503;", "return 503"),
        ("rewrite ^ /new last; return 503;", "rewrite ^"),
        ("rewrite ^ /new; return 503;", "return 503"),
        ("rewrite ^ https://x/; return 503;", "rewrite ^"),
        ("if ($a ~ [) { return 503; }", "goes on"),
    ],
)
def test_outcome(server: str, expected: str) -> None:
    assert outcome(server) == expected


def test_one_flag_may_be_absent() -> None:
    assert outcome("if (-e /a) { return 503; } if (-e /b) { return 502; }", absent="/a") == "return 502"


@pytest.mark.parametrize(
    ("way", "expected"),
    [("", "return 503"), ("volatile;", "goes on")],
)
def test_a_map_keeps_its_first_value_unless_it_is_volatile(way: str, expected: str) -> None:
    http = f"map $uri $closed {{ {way} default 1; /page 0; }}"
    assert outcome("if ($closed) { return 503; }", "/page", http, first="/") == expected
    assert outcome("if ($closed) { return 503; }", "/page", http) == "goes on"


@pytest.mark.parametrize(
    ("uri", "expected"), [("/a", "return 501"), ("/B", "return 502"), ("/c1", "return 503"), ("/d", "goes on")]
)
def test_a_map_prefers_what_is_equal_then_the_first_pattern(uri: str, expected: str) -> None:
    http = "map $uri $code { default 0; ~^/[a-c] 503; /a 501; ~*^/b 502; /b 502; ~^/c1 501; }"
    server = "if ($code = 501) { return 501; } if ($code = 502) { return 502; } if ($code = 503) { return 503; }"
    assert outcome(server, uri, http) == expected


def test_a_map_of_a_map_and_a_geo() -> None:
    http = "geo $inside { default 0; 10.0.0.0/8 1; } map $inside $a { 0 $b; } map $uri $b { default 1; }"
    assert outcome("if ($a) { return 503; }", http=http) == "return 503"
    assert outcome("if ($inside) { return 503; }", http=http) == "goes on"


def test_a_map_of_itself_ends() -> None:
    assert outcome("if ($a) { return 503; }", http="map $a $a { default $a; }") == "goes on"


def test_the_maps_that_a_gate_depends_on() -> None:
    configuration = tree(
        "set $x 0; if (-f /flag) { set $x $a; } if ($x) { return 503; }",
        "map $c $a { default $b; } map $uri $b { default 1; } map $uri $other { default 1; }",
    )
    block = configuration.http()
    assert block is not None
    found = used_maps(maps_of(block), gate_variables(configuration.servers()[0]))
    assert [one.args[1] for one in found] == ["$a", "$b"]


def test_a_test_of_the_requests_own_file_is_no_test_of_a_flag() -> None:
    (server,) = tree(
        "if (-f $request_filename) { break; } location / { if (!-e /var/closed) { return 503; } }"
    ).servers()
    assert [one.args for one in own_flag_tests(server)] == [["!-e", "/var/closed"]]
