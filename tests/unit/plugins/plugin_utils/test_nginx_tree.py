"""Nginx's rules of inheritance, of servers and of locations, over what it dumps."""

from __future__ import annotations

import pytest
from ansible_collections.intermission.django.plugins.plugin_utils.nginx_tree import (
    Directive,
    DoctorError,
    Tree,
    addresses,
    answering,
    location_for,
    named_location,
    parse,
    server_names,
    split_dump,
)


def dumped(**files: str) -> str:
    """Write what nginx -T writes: nginx_conf is /etc/nginx/nginx.conf, conf_d__a is /etc/nginx/conf.d/a.conf."""
    texts = []
    for name, content in files.items():
        path = "nginx.conf" if name == "nginx_conf" else name.replace("conf_d__", "conf.d/") + ".conf"
        texts.append(f"# configuration file /etc/nginx/{path}:\n{content}\n")
    return "\n".join(texts)


def http(inside: str) -> Tree:
    return parse(dumped(nginx_conf="http {\n" + inside + "\n}\n"))


def server(inside: str) -> Directive:
    (found,) = http("server {\n" + inside + "\n}").servers()
    return found


def test_files_of_a_dump() -> None:
    text = dumped(nginx_conf="events { }\nhttp { include conf.d/*.conf; }\n", conf_d__a="server { }\n")
    assert split_dump(text) == {
        "/etc/nginx/nginx.conf": "events { }\nhttp { include conf.d/*.conf; }\n\n\n",
        "/etc/nginx/conf.d/a.conf": "server { }\n\n",
    }


PASTED = "# configuration file /etc/nginx/{}:\n"


@pytest.mark.parametrize("name", ["nginx.conf", "conf.d/a.conf", "conf.d/gone.conf", "elsewhere/b", "conf.d/c.conf"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_mark_that_somebody_has_pasted_is_a_comment(name: str, inside: bool) -> None:
    pasted = PASTED.format(name)
    tree = parse(
        dumped(
            nginx_conf="http { # include elsewhere/*;\n    # include elsewhere/*;\n    include 'conf.d/*.conf';\n}\n",
            conf_d__a=f"server {{\n{pasted}    listen 81;\n}}\n"
            if inside
            else f"{pasted}server {{\n    listen 81;\n}}\n",
            conf_d__c="server {\n    listen 82;\n}\n",
        )
    )
    assert not tree.unread
    assert sorted(addresses(one) for one in tree.servers()) == [["*:81"], ["*:82"]]


def test_what_is_no_dump_is_refused() -> None:
    with pytest.raises(DoctorError, match="nginx -T"):
        parse("nginx: configuration file test is successful\n")


def test_places_are_those_of_the_files() -> None:
    tree = parse(
        dumped(
            nginx_conf="# a comment\n\nhttp {\n    include conf.d/*.conf;\n}\n",
            conf_d__b="server {\n\n    listen 81;\n}\n",
            conf_d__a="server {\n    listen 80;\n}\n",
        )
    )
    listens = [(one.file, one.line, one.args) for one in tree.all("listen")]
    assert listens == [("/etc/nginx/conf.d/a.conf", 2, ["80"]), ("/etc/nginx/conf.d/b.conf", 3, ["81"])]
    assert [(one.include.file, one.include.line) for one in tree.all("listen") if one.include] == [
        ("/etc/nginx/nginx.conf", 4)
    ] * 2


def test_a_file_that_is_included_twice_is_two() -> None:
    tree = parse(
        dumped(
            nginx_conf="http { server { include conf.d/a.conf; } server { include /etc/nginx/conf.d/a.conf; } }",
            conf_d__a="return 404;\n",
        )
    )
    first, second = tree.all("return")
    assert first is not second
    assert [one.parent for one in (first, second)] == tree.servers()


def test_a_file_that_is_not_understood_is_named_and_the_rest_is_read() -> None:
    tree = parse(dumped(nginx_conf="http { include conf.d/*.conf; }", conf_d__a="server {", conf_d__b="server { }"))
    assert list(tree.unread) == ["/etc/nginx/conf.d/a.conf"]
    assert len(tree.servers()) == 1


def test_a_star_ends_at_a_slash_and_finds_no_hidden_file() -> None:
    text = "".join(
        f"# configuration file /etc/nginx/{name}:\n{content}\n"
        for name, content in {
            "nginx.conf": "http { include sites/*; } stream { include sites/.b; include sites/c/d; }",
            "sites/a": "server { }",
            "sites/.b": "server { }",
            "sites/c/d": "server { }",
        }.items()
    )
    assert [one.file for one in parse(text).servers()] == ["/etc/nginx/sites/a"]


INHERITANCE = """
    error_page 502 /502.html;
    add_header X-One 1;
    auth_basic off;
    location /own/ {
        error_page 404 /404.html;
        add_header X-Two 2;
        auth_basic on;
        location /own/inner/ {
            proxy_pass http://app;
        }
    }
    location /none/ {
        proxy_pass http://app;
    }
"""


def test_lists_are_replaced_as_a_whole_and_values_are_inherited() -> None:
    own, none = server(INHERITANCE).own("location")
    (inner,) = own.own("location")
    for place, page, header, auth in (
        (inner, "404", "X-Two", "on"),
        (own, "404", "X-Two", "on"),
        (none, "502", "X-One", "off"),
    ):
        assert [one.args[0] for one in place.values("error_page")] == [page]
        assert [one.args[0] for one in place.headers()] == [header]
        value = place.value("auth_basic")
        assert value is not None
        assert value.args == [auth]


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("", ["X-Two"]),
        ("add_header_inherit merge;", ["X-Two", "X-One"]),
        ("add_header_inherit off;", ["X-Two"]),
    ],
)
def test_headers_are_merged_only_where_the_configuration_says_so(way: str, expected: list[str]) -> None:
    (location,) = server(f"add_header X-One 1; {way} location / {{ add_header X-Two 2; }}").own("location")
    assert [one.args[0] for one in location.headers()] == expected


def test_headers_are_cut_off_where_the_location_says_so() -> None:
    (location,) = server("add_header X-One 1; location / { add_header_inherit off; }").own("location")
    assert location.headers() == []


def test_an_if_of_a_location_is_a_level() -> None:
    (location,) = server("location / { add_header X-One 1; if ($a) { add_header X-Two 2; } }").own("location")
    (test,) = location.own("if")
    assert [one.args[0] for one in test.headers()] == ["X-Two"]


def test_a_location_may_pass_in_an_if() -> None:
    (location,) = server("location / { if ($a) { uwsgi_pass app; } }").own("location")
    passes = location.passes()
    assert passes is not None
    assert passes.name == "uwsgi_pass"


@pytest.mark.parametrize(
    ("listens", "expected"),
    [
        ("", ["*:80"]),
        ("listen 8080;", ["*:8080"]),
        ("listen 0.0.0.0:80; listen [::]:80;", ["*:80", "[::]:80"]),
        ("listen 192.0.2.1;", ["192.0.2.1:80"]),
        ("listen 443 ssl; listen 443 quic;", ["*:443", "*:443 quic"]),
        ("listen unix:/run/nginx.sock;", ["unix:/run/nginx.sock"]),
    ],
)
def test_where_a_server_listens(listens: str, expected: list[str]) -> None:
    assert addresses(server(listens)) == expected


SERVERS = """
    server { listen 80; server_name first.example; }
    server { listen 80; server_name *.shop.example; }
    server { listen 80; server_name WWW.shop.example; }
    server { listen 80 default_server; server_name _; }
    server { listen 80; server_name ~^api\\d+\\.; }
    server { listen 80; server_name .own.example; }
    server { listen 80; server_name mail.*; }
    server { listen 80; server_name first.example; }
    server { listen 8080; server_name other.example; }
"""


@pytest.mark.parametrize(
    ("name", "number", "by_name"),
    [
        ("first.example", 0, True),
        ("a.shop.example", 1, True),
        ("www.shop.example", 2, True),
        ("api7.somewhere", 4, True),
        ("api7.shop.example", 1, True),
        ("own.example", 5, True),
        ("www.own.example", 5, True),
        ("mail.example", 6, True),
        ("other.example", 3, False),
    ],
)
def test_the_server_for_a_name(name: str, number: int, by_name: bool) -> None:
    servers = http(SERVERS).servers()
    found, named = answering(servers, "*:80", name)
    assert (found, named) == (servers[number], by_name)


def test_without_a_default_the_first_server_answers() -> None:
    servers = http("server { listen 80; server_name a; } server { listen 80; server_name b; }").servers()
    assert answering(servers, "*:80", "c") == (servers[0], False)
    assert answering(servers, "*:81", "a") == (None, False)
    assert server_names(servers[1]) == ["b"]


LOCATIONS = """
    location = /exact { }
    location / { }
    location /static/ { location ~ \\.css$ { } }
    location ~ \\.(css|html)$ { }
    location ^~ /files/ { location = /files/one { } }
    location ~* \\.PNG$ { }
    location ~ ^/api/(?<name>[a-z]+) { }
    location @app { }
"""


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("/exact", "/exact"),
        ("/exact/", "/"),
        ("/static/a.js", "/static/"),
        ("/static/a.css", r"\.css$"),
        ("/static/a.png", r"\.PNG$"),
        ("/a.css", r"\.(css|html)$"),
        ("/files/a.png", "/files/"),
        ("/files/one", "/files/one"),
        ("/api/shop", "^/api/(?<name>[a-z]+)"),
    ],
)
def test_the_location_for_an_address(uri: str, path: str) -> None:
    found = location_for(server(LOCATIONS), uri)
    assert found is not None
    assert found.path == path


def test_where_no_location_fits_the_server_answers() -> None:
    only = server("location = /exact { }")
    assert location_for(only, "/") is None
    assert named_location(only, "@app") is None
    assert named_location(server(LOCATIONS), "@app") is not None
