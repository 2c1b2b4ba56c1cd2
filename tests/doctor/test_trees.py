"""Configurations with a trap each, and healthy ones: exactly what their comments mark is found, at that line.

A real Nginx tests and dumps each of them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.intermission.django.plugins.module_utils.state import Window
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant

from doctor.host import TREES, Host

MakeHost = Callable[..., Host]
BROKEN = sorted(
    path.name for path in TREES.iterdir() if not path.name.startswith(("base", "healthy", "refused", "secrets"))
)
HEALTHY = sorted(path.name for path in TREES.glob("healthy-*"))


def test_there_are_trees() -> None:
    assert len(BROKEN) >= 15
    assert len(HEALTHY) >= 2


@pytest.mark.parametrize("tree", BROKEN)
def test_the_trap_is_found_where_it_is_and_nothing_else(make_host: MakeHost, tree: str) -> None:
    if tree == "n10-flag-behind-a-closed-door" and os.geteuid() != 0:
        pytest.skip("whoever runs the tests is the worker, and may enter every directory of the tests")
    host = make_host(tree)
    if (host.root / "private").exists():
        (host.root / "private").chmod(0o700)
    assert host.marked()
    assert host.found() == host.marked()


@pytest.mark.parametrize("tree", HEALTHY)
def test_nothing_is_found_in_a_healthy_tree(make_host: MakeHost, tree: str) -> None:
    assert make_host(tree).examine() == []


@pytest.mark.parametrize("tls", [False, True])
def test_nothing_is_found_in_the_roles_own_server(make_host: MakeHost, tls: bool) -> None:
    assert make_host(form="vhost", tls=tls).examine() == []


@pytest.mark.parametrize("form", ["vhost", "snippet"])
def test_nothing_is_found_while_a_window_is_open(make_host: MakeHost, form: str) -> None:
    host = make_host(*(["healthy-debian-certbot"] if form == "snippet" else []), form=form)
    now = datetime.now(UTC)
    window = Window("w1", "shop", format_instant(now), format_instant(now + timedelta(hours=1)), "Disk")
    host.state.open(window, "somebody", "here")
    assert host.examine() == []


def test_a_gate_with_other_locations_names_and_codes_is_still_the_roles(make_host: MakeHost) -> None:
    host = make_host("n6-lost-headers")
    snippet = host.root / "snippets/intermission-shop.conf"
    gate = "if ($im_shop_gate) {"
    text = snippet.read_text(encoding="utf-8").replace(gate, f"set $im_shop_another 1;\n{gate}")
    text += """
location = /_intermission/another {
    internal;
    error_page 534 @intermission_shop_another;
    return 534;
}
location @intermission_shop_another {
    add_header Strict-Transport-Security "max-age=1" always;
    add_header X-Frame-Options DENY always;
    root /nowhere;
    try_files /page.html =503;
}
"""
    snippet.write_text(text, encoding="utf-8")
    assert host.found() == host.marked()


def test_a_gate_that_was_pasted_is_still_the_roles(make_host: MakeHost) -> None:
    host = make_host("healthy-order")
    server, snippet = host.root / "sites-enabled/shop", host.root / "snippets/intermission-shop.conf"
    text = server.read_text(encoding="utf-8")
    server.write_text(text.replace("include snippets/intermission-shop.conf;", snippet.read_text(encoding="utf-8")))
    assert host.examine() == []


def test_a_site_that_no_server_answers_for_is_told(make_host: MakeHost) -> None:
    host = make_host("healthy-order")
    (host.root / "sites-enabled/shop").write_text("server { listen 80; server_name tea.example; return 404; }\n")
    (finding,) = [one for one in host.examine() if one.id == "N16"]
    assert (finding.severity, finding.line) == ("error", None)
    assert finding.what == "No server has one of the site's names: shop.example, www.shop.example"


@pytest.mark.parametrize(
    ("tree", "line", "fix"),
    [
        ("n6-lost-headers", 6, "Set maintenance_page_headers: {Strict-Transport-Security: ...}"),
        ("n16-above-the-gate", 5, "Put the include above it."),
        ("n16-above-the-gate", 8, "Put the include above it."),
        ("n16-above-the-gate", 9, "Write the rewrite into a location"),
        ("n2-rewritten-pages", 7, "Write the rewrite into a location"),
    ],
)
def test_the_way_out_is_one_that_leads_out(make_host: MakeHost, tree: str, line: int, fix: str) -> None:
    (finding,) = [one for one in make_host(tree).examine() if one.line == line]
    assert finding.fix.startswith(fix)


def test_a_snippet_that_a_server_has_twice_is_told_from_what_nginx_says(make_host: MakeHost) -> None:
    host = make_host("refused-snippet-twice")
    (finding,) = host.examine()
    assert (finding.id, finding.severity, finding.file) == (
        "refused",
        "error",
        f"{host.root}/snippets/intermission-shop.conf",
    )
    assert "Include snippets/intermission-shop.conf once" in finding.fix


def test_a_snippet_in_a_location_is_told_from_what_nginx_says(make_host: MakeHost) -> None:
    (finding,) = make_host("refused-snippet-in-a-location").examine()
    assert (finding.id, finding.severity) == ("refused", "error")
    assert "Include snippets/intermission-shop.conf in the server, once, and not in a location" in finding.fix


def test_a_typing_error_is_told_from_what_nginx_says(make_host: MakeHost) -> None:
    host = make_host("refused-typing-error")
    assert host.found() == host.marked()


def test_no_value_that_may_be_secret_is_told(make_host: MakeHost) -> None:
    host = make_host("secrets")
    told = json.dumps([finding.told("web1") for finding in host.examine()])
    assert {finding.id for finding in host.examine()} >= {"N6", "N13", "N20", "N27", "N24"}
    assert "swordfish" not in told


def test_n31_the_rate_decides_how_many_connections_are_enough(make_host: MakeHost) -> None:
    assert [one.id for one in make_host("healthy-ansible-role", rate=400).examine()] == ["N31"]
