"""What goes wrong in a deploy: the site is known, shown, and left by one command."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from e2e.shop import CHECKOUT, NODES, Shop, wait_until


def by_ssh_to_a_closed_port(node: str, more: str = "true") -> dict[str, object]:
    """Give the variables that let a node be out of reach, where a condition holds."""
    gone = f"inventory_hostname == '{node}' and {more}"
    connection = f"{{{{ 'ansible.builtin.ssh' if {gone} else 'ansible.builtin.local' }}}}"
    return {"ansible_connection": connection, "ansible_host": "127.0.0.1", "ansible_port": 1}


@pytest.fixture(autouse=True)
def version_1(shop: Shop) -> None:
    """Start each test with version 1 on both nodes, open."""
    shop.at("v1")


def only_app_and_maintenance(shop: Shop, record: Path) -> dict[str, int]:
    facts = shop.verdict(record)
    assert facts["unexpected"] == 0, facts
    classes: dict[str, int] = facts["classes"]
    return classes


def test_a7_a8_a20_a_failed_migration_holds_the_site_closed_and_says_what_to_do(lone: Shop, record: Path) -> None:
    before = lone.fingerprint()
    with lone.visitors(record):
        run = lone.deploy("fails_halfway")
    assert run.status == 2
    assert lone.kinds() == lone.kinds("POST") == {"maintenance"}
    assert set(only_app_and_maintenance(lone, record)) == {"app 1", "maintenance"}
    for sentence in (
        "FAILED in the phase migrate of fails_halfway",
        "RuntimeError: The migration failed on purpose",
        "STATE shop stays closed: visitors see the maintenance page.",
        "The migration orders.0002_orderline_total_cents failed. Applied before it: nothing.",
        "ansible-playbook deploy.yml -e django_release_version=...",
    ):
        assert sentence in run.words
    asked = lone.playbook("playbooks/maintenance_status.yml", maintenance_window_fails_on="unproven,unfinished_deploy")
    assert asked.status == 2
    told = "the deploy of fails_halfway has failed in the phase migrate, and keeps the site closed"
    assert [node for node in lone.nodes if f"{node}: {told}" in asked.words] == [*lone.nodes]
    assert "a visitor gets" not in asked.words
    again = lone.deploy("v2")
    assert again.status == 2
    assert "A part of orders.0002_orderline_total_cents may be in the database from a run before" in again.words
    assert "duplicate column name: total_cents" in again.words
    assert "STATE shop stays closed: visitors see the maintenance page." in again.words
    assert "may be there in part" in again.words
    assert (lone.kinds(), [lone.gunicorn(node, "status") for node in lone.nodes]) == ({"maintenance"}, [3])
    for _ in range(2):
        refused = lone.deploy("v1")
        assert refused.status == 2
        assert "FAILED in the phase plan of v1" in refused.words
        assert "visitors would get it on a half migrated database" in refused.words
    assert (lone.kinds(), [lone.gunicorn(node, "status") for node in lone.nodes]) == ({"maintenance"}, [3])
    restore, deploy = re.findall(r"^ +((?:python3 -c|ansible-playbook deploy.yml) .*)$", again.stdout, re.MULTILINE)[
        -2:
    ]
    subprocess.run(restore, shell=True, check=True)
    words = re.findall(r"-e (\w+)=(\S+)", deploy)
    assert words == [("django_release_version", "v1"), ("django_migrate_database_is_whole", "true")]
    run = lone.deploy("v1", django_migrate_database_is_whole=True)
    assert run.status == 0, run.output
    assert lone.versions() == {"1"}
    after = lone.fingerprint()
    assert after["orders_orderline"]["rows"] >= before["orders_orderline"]["rows"]


def test_a_second_deploy_that_fails_before_it_migrates_keeps_the_site_closed(lone: Shop) -> None:
    """The first has left the database between two versions: the code from before must not be started on it, nor the site opened."""
    assert lone.playbook("playbooks/maintenance_on.yml").status == 0
    assert lone.deploy("fails_halfway").status == 2
    off = lone.playbook("playbooks/maintenance_off.yml")
    assert off.status == 2
    assert "closed by a deploy that is under way or has failed" in off.words
    run = lone.deploy("v2", maintenance_window_proof_url="http://127.0.0.1:1/", maintenance_window_proof_seconds=0)
    assert run.status == 2
    assert "FAILED in the phase close of v2" in run.words
    assert (
        "STATE shop stays closed: visitors see the maintenance page. A deploy before this one left it closed"
        in run.words
    )
    assert lone.kinds() == {"maintenance"}
    assert [lone.gunicorn(node, "status") for node in lone.nodes] == [3]


def test_a_release_that_does_not_start_costs_visitors_nothing_nor_the_live_one_its_style(
    lone: Shop, record: Path
) -> None:
    """Its own style was collected in the place of the live one's, and who is restarted then finds that."""
    manifest = lone.root / "web1/shop/shared/static/staticfiles.json"
    before = json.loads(manifest.read_text())["paths"]["orders/shop.css"]
    with lone.visitors(record):
        run = lone.deploy("does_not_start")
    assert run.status == 2
    assert "STATE This run has left the database as it was. shop serves what it served before (v1). NEXT" in run.words
    assert "This version of the shop fails on purpose when it is started." in run.words
    assert json.loads(manifest.read_text())["paths"]["orders/shop.css"] == before
    assert len([*manifest.parent.glob("orders/shop.*.css")]) == 2
    assert set(only_app_and_maintenance(lone, record)) == {"app 1"}
    live = json.loads((lone.root / "web1/shop/live.json").read_text())["release"]
    assert (lone.root / "web1/shop/current").resolve().name == live


def test_a7_a_failure_after_the_gate_has_closed_reopens_every_node(shop: Shop, record: Path) -> None:
    """A7: rescue has to run on all hosts, although only one of them failed."""
    somewhere = "{{ 'http://127.0.0.1:1/' if inventory_hostname == 'web2' else 'http://127.0.0.1:' ~ demo_port ~ '/' }}"
    with shop.visitors(record):
        run = shop.deploy("v2", maintenance_window_proof_url=somewhere, maintenance_window_proof_seconds=1)
    assert run.status == 2
    assert "FAILED in the phase close of v2" in run.words
    assert shop.versions() == {"1"}
    assert set(only_app_and_maintenance(shop, record)) == {"app 1", "maintenance"}
    assert "orders.0002" not in shop.manage("showmigrations", "--plan", "orders").split("[X]")[-1]


def test_a1_a_play_that_takes_the_hosts_in_batches_is_refused(shop: Shop, tmp_path: Path) -> None:
    play = tmp_path / "batches.yml"
    text = (CHECKOUT / "playbooks/deploy.yml").read_text()
    text = text.replace("import_playbook: ", "import_playbook: intermission.django.").replace(
        "select_deployed.yml", "select_deployed"
    )
    play.write_text(text.replace("  gather_facts: false\n", "  gather_facts: false\n  serial: 1\n"))
    before = shop.tree()
    run = shop.playbook(str(play), django_release_version="v2")
    assert run.status == 2
    assert "web2 would serve the old code on the new database: this play takes the hosts in batches." in run.words
    assert "could not be reached" not in run.words
    assert (shop.versions(), shop.tree()) == ({"1"}, before)


@pytest.mark.parametrize(
    ("version", "failure", "phase"),
    [
        ("v1", {"django_release_manage_commands": [["no_such_command"]]}, "prepare"),
        ("v2", {"maintenance_window_proof_url": "http://127.0.0.1:1/", "maintenance_window_proof_seconds": 0}, "close"),
    ],
)
def test_a_server_that_leads_elsewhere_is_not_left_behind_by_a_failure(
    lone: Shop, version: str, failure: dict[str, object], phase: str
) -> None:
    files = [lone.root / node / "nginx/conf.d/intermission-shop.server.conf" for node in lone.nodes]
    before = [file.read_text() for file in files]
    run = lone.deploy(version, maintenance_page_app_socket=str(lone.root / "nobody.sock"), **failure)
    assert run.status == 2
    assert f"FAILED in the phase {phase}" in run.words
    assert ("Install the server that was kept" in run.words) is (phase == "close")
    assert [file.read_text() for file in files] == before
    assert lone.versions() == {"1"}


@pytest.mark.parametrize("node", NODES)
def test_a2_a5_a_host_that_cannot_be_reached_stops_the_deploy_for_all(shop: Shop, node: str) -> None:
    """Also the first, which is the one that migrates."""
    before = shop.tree()
    run = shop.deploy("v2", **by_ssh_to_a_closed_port(node))
    assert run.status == 4
    assert f"FAILED Nothing has been changed. {node} could not be reached" in run.words
    assert shop.versions() == {"1"}
    assert [name for name in shop.tree() if name not in before and f"/{node}/" in name] == []
    assert "phase close" not in run.words


def test_a_host_that_is_gone_is_left_behind_where_it_is_named_and_comes_along_when_it_is_back(shop: Shop) -> None:
    gone = {**by_ssh_to_a_closed_port("web2"), "django_release_ignore_hosts": "web2"}
    refused = shop.deploy("v2", **gone)
    assert refused.status == 2
    assert "web2 would serve the old code on the migrated database when it is back" in refused.words
    assert (shop.versions(), shop.kinds("POST")) == ({"1"}, {"app"})
    run = shop.deploy("v1_1", **gone)
    assert run.status == 0, run.output
    assert "Without web2, which cannot be reached until a deploy takes it along." in run.words
    assert "web2 is left behind: deploy again when it is back." in run.words
    assert [shop.ask(node).version for node in NODES] == ["1.1", "1"]
    assert [entry["left_behind"] for entry in shop.current_status()["hosts"]] == [False, True]
    back = shop.deploy("v1_1", django_release_ignore_hosts=["web2"])
    assert back.status == 0, back.output
    assert shop.versions() == {"1.1"}
    assert [entry["left_behind"] for entry in shop.current_status()["hosts"]] == [False, False]


def test_a5_a6_a_host_that_drops_out_after_it_was_closed_stops_the_migration(shop: Shop) -> None:
    """The host vanishes between its proof and the migration: the others reopen, the run fails and names it."""
    closed = "(__django_release_noted | default({})).phase | default('') == 'close'"
    run = shop.deploy("v2", **by_ssh_to_a_closed_port("web2", closed))
    assert run.status != 0
    assert "web2 could not be reached" in run.words
    assert shop.ask("web1").version == "1"
    assert "[ ] " in shop.manage("showmigrations", "--plan", "orders") or "0002" not in shop.manage(
        "showmigrations", "orders"
    )
    assert shop.playbook("playbooks/maintenance_off.yml", maintenance_window_force=True).status == 0
    assert shop.gunicorn("web2", "status") == 0


def test_a_first_deploy_that_fails_leaves_a_closed_site_that_the_next_one_opens(fresh: Shop) -> None:
    fresh = fresh.alone()
    run = fresh.deploy("v1", maintenance_window_proof_url="http://127.0.0.1:1/", maintenance_window_proof_seconds=0)
    assert run.status == 2
    assert "STATE This run has left the database as it was. shop stays closed" in run.words
    assert fresh.kinds() == {"maintenance"}
    run = fresh.deploy("does_not_start")
    assert run.status == 2
    assert "STATE What this run had migrated is taken back: the database is as it was. shop stays closed" in run.words
    assert fresh.kinds() == {"maintenance"}
    off = fresh.playbook("playbooks/maintenance_off.yml")
    assert off.status == 2
    assert "closed by a deploy that is under way or has failed" in off.words
    back = fresh.playbook("playbooks/rollback.yml")
    assert back.status == 2
    assert "a rollback would go one further back" in back.words
    assert fresh.kinds() == {"maintenance"}
    assert fresh.deploy("v1").status == 0
    assert fresh.versions() == {"1"}


def test_limit_cannot_leave_a_host_behind_on_the_old_code(shop: Shop) -> None:
    run = shop.playbook("deploy.yml", "--limit", "web1", django_release_version="v2")
    assert run.status == 2
    assert "web2 would keep serving the old code on the new database" in run.words
    assert "could not be reached" not in run.words
    assert shop.versions() == {"1"}


def test_a19_of_two_deploys_at_once_one_is_refused(lone: Shop, record: Path) -> None:
    with lone.visitors(record):
        first = lone.start_playbook("deploy.yml", django_release_version="v2")
        wait_until((lone.state("web1").parent / ".shop.deploy.json").exists, "the first deploy has the lock")
        second = lone.deploy("v2")
        output, errors = first.communicate()
    assert (first.returncode, second.status) == (0, 2), output + errors + second.output
    assert "is deploying shop since" in second.words
    assert "-e django_release_take_over=true" in second.words
    assert [entry["unfinished_deploy"] for entry in lone.current_status()["hosts"]] == [None] * len(lone.nodes)
    assert lone.versions() == {"2"}
    assert set(only_app_and_maintenance(lone, record)) == {"app 1", "maintenance", "app 2"}


def test_secrets_stand_in_no_output_and_no_process_list(lone: Shop) -> None:
    run = lone.playbook("deploy.yml", "-vvv", "--diff", django_release_version="v2_1")
    assert run.status == 0
    assert "only-for-the-demo-on-this-machine" not in run.output
    listed = subprocess.run(["ps", "axww"], capture_output=True, text=True, check=True).stdout
    assert "only-for-the-demo-on-this-machine" not in listed
    assert os.stat(lone.root / "web1/shop/environment").st_mode & 0o777 == 0o600
