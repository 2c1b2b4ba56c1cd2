"""How much of the site stops for a migration, and what is done where it fails: chosen by the deploy, or by the operator."""

from __future__ import annotations

import json
import re
import socket
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.controller import user

from e2e.shop import Shop
from probe.record import read_answers


@pytest.fixture(autouse=True)
def version_1(shop: Shop) -> None:
    """Start each test with version 1 on both nodes, open."""
    shop.at("v1")


def seen(shop: Shop, record: Path) -> set[str]:
    """Give the classes of what visitors saw, none of which was unexpected."""
    facts = shop.verdict(record)
    assert facts["unexpected"] == 0, facts
    return set(facts["classes"])


def test_what_the_code_from_before_can_live_with_is_migrated_while_the_site_serves(lone: Shop, record: Path) -> None:
    checked = lone.playbook("deploy.yml", "--check", django_release_version="v1_2")
    assert checked.status == 0, checked.output
    with lone.visitors(record):
        run = lone.deploy("v1_2")
    assert run.status == 0, run.output
    assert "PLAN 1 migration(s) while shop serves, then v1_2" in run.words
    assert "serving, because its author says so" in run.words
    assert (lone.versions(), seen(lone, record)) == ({"1.2"}, {"app 1", "app 1.2"})
    assert lone.has_migrated("orders.0002_order_note")
    assert "opened" not in {entry["event"] for entry in lone.journal()[-8:]}


def test_a_release_that_the_first_host_does_not_answer_with_starts_on_no_other_and_closes_nothing(
    shop: Shop, record: Path, tmp_path: Path
) -> None:
    """Also with the policy hold, where it was migrated while the site served: what served before lives with that."""
    wanted = {
        "django_release_smoke_tests": [{"path": "/orders/", "contains": "version 1<"}],
        "django_release_smoke_seconds": 2,
        "django_release_on_failure": "hold",
        "django_release_probe_rate": 5,
    }
    with shop.visitors(record):
        run = shop.deploy("v1_2", django_release_summary_file=str(tmp_path / "deploy.json"), **wanted)
    assert run.status == 2
    assert "FAILED in the phase activate of v1_2" in run.words
    assert "serves what it served before" in run.words
    assert "on the database as it is now. The database is migrated (orders.0002_order_note)" in run.words
    assert (shop.versions(), seen(shop, record)) == ({"1"}, {"app 1", "app 1.2"})
    assert shop.has_migrated("orders.0002_order_note")
    assert {answer.version for answer in read_answers(record) if answer.node == "web2"} == {"1"}
    summary = json.loads((tmp_path / "deploy.json").read_text())
    assert (summary["succeeded"], summary["outcome"]) == (False, "failed in the phase activate")
    assert [failure.partition(":")[0] for failure in summary["failures"]] == ["web1"]
    assert {name: set(answers) for name, answers in summary["answers"].items()} == {"web1": {"open"}, "web2": {"open"}}
    assert re.search(r"Visitors got: \d+ open; the slowest took \d", run.words)
    assert (summary["way"], summary["migrations"], summary["closed_seconds"]) == (
        "serving",
        ["orders.0002_order_note"],
        0.0,
    )


def test_the_operator_has_the_last_word_on_the_way_and_programs_get_a_summary(lone: Shop, tmp_path: Path) -> None:
    summary_file = str(tmp_path / "deploy.json")
    run = lone.deploy(
        "v1_2",
        django_release_strategy="window",
        django_release_summary_file=summary_file,
        django_release_probe_rate=10,
    )
    assert run.status == 0, run.output
    summary = json.loads((tmp_path / "deploy.json").read_text())
    assert [one["phase"] for one in summary["phases"]] == ["prepare", "plan", "close", "migrate", "activate", "reopen"]
    assert summary["seconds"] > summary["closed_seconds"] > summary["migration_seconds"] > 0
    assert summary["migrations"] == summary["applied"] == ["orders.0002_order_note"]
    assert {
        name: summary[name] for name in ("site", "version", "succeeded", "outcome", "failures", "hosts", "way")
    } == {
        "site": "shop",
        "version": "v1_2",
        "succeeded": True,
        "outcome": "done",
        "failures": [],
        "hosts": ["web1"],
        "way": "window",
    }
    assert set(summary["answers"]["web1"]) == {"open", "closed"}
    assert 0 < summary["longest_answer_seconds"] < summary["seconds"]
    assert "PLAN shop is closed for 1 migration(s)" in run.words
    assert lone.journal()[-1]["event"] == "deploy ended"
    opened, closed = [entry for entry in lone.journal() if entry["event"] in ("opened", "closed")][-2:]
    assert (opened["event"], closed["event"]) == ("opened", "closed")
    assert {(entry["by"], entry["from"]) for entry in (opened, closed)} == {(user(), socket.gethostname())}


def test_a_failed_migration_is_taken_back_and_the_site_serves_what_it_served(lone: Shop, record: Path) -> None:
    before = lone.fingerprint()
    with lone.visitors(record):
        run = lone.deploy("fails_later")
    assert run.status == 2
    assert "FAILED in the phase migrate of fails_later" in run.words
    assert "RuntimeError: The migration failed on purpose." in run.words
    assert (
        "STATE What this run had migrated is taken back: the database is as it was. shop serves what it served before"
        in run.words
    )
    assert (lone.versions(), seen(lone, record)) == ({"1"}, {"app 1", "maintenance"})
    assert not lone.has_migrated("orders.0002_orderline_total_cents")
    assert lone.fingerprint()["orders_orderline"]["rows"] >= before["orders_orderline"]["rows"]
    assert lone.deploy("v2").status == 0


def test_with_the_policy_hold_the_site_stays_closed_on_the_database_as_it_is(lone: Shop) -> None:
    run = lone.deploy("fails_later", django_release_on_failure="hold")
    assert run.status == 2
    assert "STATE shop stays closed: visitors see the maintenance page." in run.words
    assert "Applied before it: orders.0002_orderline_total_cents." in run.words
    assert (lone.kinds(), lone.gunicorn("web1", "status")) == ({"maintenance"}, 3)
    assert lone.has_migrated("orders.0002_orderline_total_cents")
    run = lone.deploy("fails_later", django_release_on_failure="rollback")
    assert run.status == 2
    assert "STATE What this run had migrated is taken back" in run.words
    assert (lone.versions(), lone.kinds()) == ({"1"}, {"app"})
    assert not lone.has_migrated("orders.0002_orderline_total_cents")


def test_with_the_policy_lift_the_site_is_opened_on_the_database_as_it_is(lone: Shop) -> None:
    run = lone.deploy("fails_later", django_release_on_failure="lift")
    assert run.status == 2
    assert (
        "STATE The database stays as it is now (orders.0002_orderline_total_cents). shop serves what it served before"
        in run.words
    )
    assert (lone.versions(), lone.kinds()) == ({"1"}, {"app"})
    assert lone.has_migrated("orders.0002_orderline_total_cents")


def test_what_cannot_be_reversed_is_restored_where_that_is_allowed(lone: Shop) -> None:
    before = lone.fingerprint()
    smoke = {
        "django_release_smoke_tests": [{"path": "/orders/", "contains": "version 1<"}],
        "django_release_smoke_seconds": 1,
    }
    run = lone.deploy("irreversible", django_release_on_failure="hold", **smoke)
    assert run.status == 2
    assert "FAILED in the phase activate of irreversible" in run.words
    assert lone.kinds() == {"maintenance"}
    refused = lone.deploy("irreversible", **smoke)
    assert "It was not taken back: orders.0002_erase_idle_customers cannot be reversed" in refused.words
    assert lone.kinds() == {"maintenance"}
    restored = lone.deploy("irreversible", django_migrate_restore=True, **smoke)
    assert restored.status == 2
    assert "STATE The database is restored from the backup, as it was before." in restored.words
    assert lone.versions() == {"1"}
    assert lone.fingerprint()["orders_customer"] == before["orders_customer"]
