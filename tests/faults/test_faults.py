"""Faults of hosts in the middle of a deploy, and two deploys in the same second.

Each: the state that the site ends in, its data, the exit status, and what the operator is told. More of them, those that are tried
each time, are in tests/e2e/test_failures.py and tests/e2e/test_ways.py.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.controller import identity

from e2e.shop import NODES, Shop
from faults.data import losses
from faults.killing import PHASES, Point, gone_from, noting, watch


@pytest.fixture(autouse=True)
def version_1(shop: Shop) -> None:
    """Start each test with version 1 on both nodes, open."""
    shop.at("v1")


@pytest.fixture
def data_is_whole(shop: Shop, record: Path) -> Callable[[], bool]:
    def check() -> bool:
        assert losses(shop.root / "shop.sqlite3", shop.root / "saved/v1/shop.sqlite3", [record]) == []
        return True

    return check


def seen(shop: Shop, record: Path) -> set[str]:
    """Give the classes of what visitors saw, none of which was unexpected."""
    facts = shop.verdict(record)
    assert facts["unexpected"] == 0, facts
    return set(facts["classes"])


@pytest.mark.parametrize("node", NODES)
@pytest.mark.parametrize("phase", PHASES)
def test_a5_a_host_that_drops_out(
    shop: Shop, record: Path, data_is_whole: Callable[[], bool], phase: str, node: str
) -> None:
    other = next(name for name in NODES if name != node)
    with shop.visitors(record):
        run = shop.deploy("v2", **gone_from(node, phase))
        assert run.status != 0
        assert f"{node} could not be reached" in run.words
        left = {name: (shop.ask(name).kind, shop.ask(name).version) for name in NODES}
        again = shop.deploy("v2")
    assert again.status == 0, again.output
    assert shop.versions() == {"2"}
    assert seen(shop, record) <= {"app 1", "maintenance", "app 2"}
    assert data_is_whole()
    if phase in ("activate", "reopen"):
        assert left[node] == ("maintenance", None)
    if phase in ("prepare", "plan"):
        assert left == {name: ("app", "1") for name in NODES}
    elif phase == "reopen":
        assert left[other] == ("app", "2")
    elif (phase, node) == ("migrate", NODES[0]):
        assert left[other] == ("maintenance", None), "whether it migrates nobody knows"
    else:
        assert left[other] == ("app", "1")


def test_a9_a_deploy_that_fails_after_one_that_was_killed_goes_back_to_before_both(
    shop: Shop, record: Path, tmp_path: Path, data_is_whole: Callable[[], bool]
) -> None:
    """The first has noted its release as live on its hosts; its migrations are taken back with the second one's."""
    point = Point("intermission.django.django_release : Activate | Note that it runs and answers", 1, "finished")
    with shop.visitors(record):
        assert watch(shop, "deploy.yml", tmp_path / "tasks", {"django_release_version": "v2"}, point).killed
        run = shop.deploy("fails_later")
        assert run.status == 2
        assert "the database is as it was. shop serves the version from before" in run.words
        assert shop.versions() == {"1"}
        again = shop.deploy("v2")
    assert again.status == 0, again.output
    assert shop.versions() == {"2"}
    assert seen(shop, record) == {"app 1", "maintenance", "app 2"}
    assert data_is_whole()


def test_a9_what_a_host_knows_of_a_deploy_before_it_was_left_behind_is_no_way_back(shop: Shop, tmp_path: Path) -> None:
    """Else the migrations of all that the others were deployed since would be taken back, below their code."""
    plan = {"django_release_version": "v1_2", "django_release_strategy": "window"}
    assert watch(shop, "deploy.yml", tmp_path / "tasks", plan, noting("activate")).killed
    gone = {**gone_from("web1", ""), "django_release_ignore_hosts": "web1"}
    run = shop.deploy("v1_2", **gone)
    assert run.status == 0, run.output
    assert (shop.state("web1").parent / ".shop.migration.json").exists()
    wanted = "{{ 'no such text' if inventory_hostname == 'web1' else 'version 1.2<' }}"
    smoke = {"path": "/orders/", "contains": wanted}
    failed = shop.deploy("v1_2", django_release_smoke_tests=[smoke], django_release_smoke_seconds=1)
    assert failed.status == 2
    assert "FAILED in the phase activate of v1_2" in failed.words
    assert shop.has_migrated("orders.0002_order_note")
    assert [(shop.ask(node).kind, shop.ask(node).version) for node in NODES] == [("maintenance", None), ("app", "1.2")]
    again = shop.deploy("v1_2")
    assert again.status == 0, again.output
    assert shop.versions() == {"1.2"}


def test_a9_a_rollback_that_was_killed_is_finished_by_another(
    shop: Shop, record: Path, tmp_path: Path, data_is_whole: Callable[[], bool]
) -> None:
    assert shop.deploy("v2").status == 0
    with shop.visitors(record):
        assert watch(shop, "playbooks/rollback.yml", tmp_path / "tasks", {}, noting("activate")).killed
        assert shop.kinds() == {"maintenance"}
        run = shop.playbook("playbooks/rollback.yml")
    assert run.status == 0, run.output
    assert shop.versions() == {"1"}
    assert seen(shop, record) == {"app 1", "maintenance", "app 2"}
    assert data_is_whole()


def test_a19_two_deploys_in_the_same_second(shop: Shop, record: Path, data_is_whole: Callable[[], bool]) -> None:
    with shop.visitors(record):
        runs = [shop.start_playbook("deploy.yml", django_release_version="v2") for _ in range(2)]
        outputs = [" ".join(run.communicate()) for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 2], outputs
    refused = outputs[[run.returncode for run in runs].index(2)]
    assert "FAILED  Nothing has been changed." in refused
    assert "is deploying shop since" in refused
    assert shop.versions() == {"2"}
    assert [entry["unfinished_deploy"] for entry in shop.current_status()["hosts"]] == [None] * len(NODES)
    assert seen(shop, record) <= {"app 1", "maintenance", "app 2"}
    assert data_is_whole()


def test_a19_the_first_host_decides_between_two_deploys(shop: Shop) -> None:
    """Else each of two could have one host, and both would be refused."""
    other = {"holder": identity(os.getpid()), "release": "r", "phase": "prepare", "since": "now"}
    (shop.state("web1").parent / ".shop.deploy.json").write_text(json.dumps(other))
    before = shop.journal("web2")
    run = shop.deploy("v2")
    assert run.status == 2
    assert "FAILED  Nothing has been changed." in run.output
    assert shop.journal("web2") == before
