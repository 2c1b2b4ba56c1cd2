"""Each state of a node as visitors see it: app up, app down, page missing, the app's own errors, flag, window."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.shop import NODES, Shop, wait_until

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")


@pytest.fixture(autouse=True, scope="module")
def version_2(shop: Shop) -> None:
    shop.at("v2")


@pytest.fixture
def app_down(shop: Shop) -> Iterator[str]:
    """A node whose gunicorn has been killed."""
    pid = int((shop.root / "web1/shop/gunicorn.pid").read_text())

    os.killpg(os.getpgid(pid), signal.SIGKILL)
    wait_until(lambda: shop.gunicorn("web1", "status") != 0, "gunicorn is gone")
    yield "web1"
    assert shop.gunicorn("web1", "start") == 0


def test_app_down_gets_the_branded_502(shop: Shop, app_down: str) -> None:
    for method in METHODS:
        answer = shop.ask(app_down, "/orders/new/", method)
        assert answer.status == 502, method
        assert answer.kind == ("nginx" if method == "HEAD" else "fallback"), method
        assert answer.headers["cache-control"] == "no-store", method
    assert shop.ask("web2").kind == "app"


def test_app_down_and_page_missing_gets_the_plain_502(shop: Shop, app_down: str, tmp_path: Path) -> None:
    page = shop.state(app_down) / "pages/50x.en.html"
    shutil.move(page, tmp_path)
    try:
        for method in METHODS:
            answer = shop.ask(app_down, "/", method)
            assert (answer.status, answer.kind) == (502, "nginx"), method
            assert method == "HEAD" or "<h1>502 Bad Gateway</h1>" in answer.body, method
    finally:
        shutil.move(tmp_path / "50x.en.html", page)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_the_apps_own_errors_reach_the_visitor(shop: Shop, status: int) -> None:
    answer = shop.ask("web1", f"/status/{status}/", "POST")
    assert (answer.status, answer.kind) == (status, "app")
    assert "raised by the shop itself" in answer.body


def test_a_flag_touched_by_hand_closes_a_node_at_the_next_request(shop: Shop) -> None:
    flag = shop.state("web2") / "on"
    flag.touch()
    try:
        answer = shop.ask("web2", "/orders/new/", "POST")
        assert (answer.status, answer.kind, answer.headers["retry-after"]) == (503, "maintenance", "300")
        assert shop.ask("web1").kind == "app"
        status = {entry["host"]: entry for entry in shop.current_status()["hosts"]}
        assert (status["web2"]["state"], status["web2"]["opened_with"]) == ("closed", "hand")
        assert status["web1"]["state"] == "open"
    finally:
        flag.unlink()
    assert shop.ask("web2", "/").kind == "app"


def test_a_window_closes_both_nodes_is_shown_and_is_closed_again(shop: Shop) -> None:
    run = shop.playbook(
        "playbooks/maintenance_on.yml",
        maintenance_window_until="2099-12-01T02:00Z",
        maintenance_window_reason="<Tea> & more",
    )
    assert run.status == 0, run.output
    try:
        answers = [shop.ask(node, method=method) for node in NODES for method in METHODS]
        assert {answer.status for answer in answers} == {503}
        assert {answer.headers["retry-after"] for answer in answers} == {"Tue, 01 Dec 2099 02:00:00 GMT"}
        assert "&lt;Tea&gt; &amp; more" in shop.ask("web1").body
        table = shop.playbook("playbooks/maintenance_status.yml").stdout
        (version,) = {entry["version"] for entry in shop.current_status()["hosts"]}
        assert re.findall(r"^(web\d) +shop +(\S+) +closed +closed ", table, re.MULTILINE) == [
            ("web1", version),
            ("web2", version),
        ]
        assert f"The page on web1: {shop.state('web1')}/pages/503.<language>.html" in table
        hosts = shop.current_status()["hosts"]
        assert [(entry["host"], entry["state"], entry["visitors_get"]) for entry in hosts] == [
            ("web1", "closed", "closed"),
            ("web2", "closed", "closed"),
        ]
        assert {entry["window"]["reason"] for entry in hosts} == {"<Tea> & more"}
        again = shop.playbook(
            "playbooks/maintenance_on.yml",
            maintenance_window_until="2099-12-01T02:00Z",
            maintenance_window_reason="<Tea> & more",
        )
        assert {counts["changed"] for counts in again.recap().values()} == {0}
    finally:
        assert shop.playbook("playbooks/maintenance_off.yml").status == 0
    assert shop.kinds() == {"app"}
    assert [entry["event"] for entry in shop.journal()[-2:]] == ["opened", "closed"]


def test_limit_closes_one_node_only(shop: Shop) -> None:
    assert shop.playbook("playbooks/maintenance_on.yml", "--limit", "web1", maintenance_window_for="1h").status == 0
    assert (shop.ask("web1").kind, shop.ask("web2").kind) == ("maintenance", "app")
    assert shop.playbook("playbooks/maintenance_off.yml").status == 0


def test_a_deploy_leaves_the_operators_window_open(lone: Shop) -> None:
    assert lone.playbook("playbooks/maintenance_on.yml", maintenance_window_reason="disk").status == 0
    try:
        run = lone.deploy("v2_1")
        assert run.status == 0, run.output
        assert "It stays closed" in run.stdout
        assert lone.kinds() == {"maintenance"}
    finally:
        assert lone.playbook("playbooks/maintenance_off.yml").status == 0
    assert lone.versions() == {"2.1"}


def test_a_closing_that_died_is_not_completed_by_a_deploy(lone: Shop) -> None:
    setting = lone.root / "web1/shop/maintenance.env"
    setting.write_text('MAINTENANCE_MODE="on"\n')
    try:
        run = lone.deploy("v2")
    finally:
        setting.unlink()
    assert run.status == 2
    assert "has MAINTENANCE_MODE=on in" in run.words
    assert "a restart of the app would close it now" in run.words
    assert lone.kinds() == {"app"}


def test_off_fails_where_the_app_is_down_behind_the_open_gate(shop: Shop, app_down: str) -> None:
    assert shop.playbook("playbooks/maintenance_on.yml").status == 0
    run = shop.playbook("playbooks/maintenance_off.yml", maintenance_window_proof_seconds=1)
    assert run.status != 0
    assert "the app cannot be reached (502)" in run.words
