"""Deploys that need no window, deploys that change nothing, and the way back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.shop import CHECKOUT, Shop


@pytest.fixture(autouse=True, scope="module")
def version_2(shop: Shop) -> None:
    shop.at("v2")


def test_the_same_version_again_changes_nothing_and_opens_no_window(lone: Shop) -> None:
    """Under the playbook's name in the collection."""
    before, opened = lone.tree(), [entry for entry in lone.journal() if entry["event"] == "opened"]
    run = lone.playbook("intermission.django.deploy", django_release_version="v2")
    assert run.status == 0, run.output
    assert {host: counts["changed"] for host, counts in run.recap().items()} == dict.fromkeys(lone.nodes, 0)
    assert [entry for entry in lone.journal() if entry["event"] == "opened"] == opened
    assert lone.tree() == before


def test_check_and_diff_work_on_the_first_run_and_change_nothing(fresh: Shop) -> None:
    before = fresh.tree()
    run = fresh.playbook("deploy.yml", "--check", "--diff")
    assert run.status == 0, run.output
    assert "+    try_files $uri @proxy;" in run.stdout.replace("+        try_files", "+    try_files")
    assert "only-for-the-demo-on-this-machine" not in run.output
    assert fresh.tree() == before


def test_check_prints_the_plan_of_a_deploy_with_a_migration(lone: Shop) -> None:
    run = lone.playbook("playbooks/rollback.yml", "--check")
    assert run.status == 0, run.output
    assert "back before orders.0002_orderline_total_cents" in run.stdout
    assert lone.versions() == {"2"}


def test_a17_a_release_without_migration_is_taken_up_without_a_window(lone: Shop, record: Path) -> None:
    with lone.visitors(record):
        run = lone.deploy("v2_1")
    assert run.status == 0, run.output
    assert "No migration is pending" in run.words
    facts = lone.verdict(record)
    assert facts["unexpected"] == 0, facts
    assert set(facts["classes"]) == {"app 2", "app 2.1"}
    assert lone.versions() == {"2.1"}


def test_a_changed_setting_is_taken_up_by_the_same_release(lone: Shop) -> None:
    environment = {
        "SHOP_SECRET_KEY": "another",
        "SHOP_DATABASE": "{{ demo_root }}/shop.sqlite3",
        "SHOP_STATIC_ROOT": "{{ demo_node }}/shop/shared/static",
        "SHOP_ALLOWED_HOSTS": "shop.example,127.0.0.1",
    }
    assert lone.deploy("v2", django_release_environment=environment).status == 0
    content = (lone.root / "web1/shop/environment").resolve()
    assert 'SHOP_SECRET_KEY="another"' in content.read_text()
    assert content.stat().st_mode & 0o777 == 0o600


def test_rollback_goes_back_with_the_schema(lone: Shop, record: Path) -> None:
    lone.at("v2")
    before = lone.fingerprint()
    with lone.visitors(record):
        run = lone.playbook("playbooks/rollback.yml")
    assert run.status == 0, run.output
    assert lone.versions() == {"1"}
    facts = lone.verdict(record)
    assert facts["unexpected"] == 0, facts
    assert {"app 1", "app 2", "maintenance"} == set(facts["classes"])
    after = lone.fingerprint()
    for table in ("orders_customer", "orders_order", "orders_orderline"):
        assert after[table]["rows"] >= before[table]["rows"]


def test_a17_an_older_release_is_not_put_on_a_newer_schema(lone: Shop) -> None:
    lone.at("v2")
    run = lone.deploy("v1")
    assert run.status == 2
    assert "The database has migrations that v1 does not know: orders.0002_orderline_total_cents" in run.words
    assert "ansible-playbook playbooks/rollback.yml" in run.words
    assert lone.versions() == {"2"}


def test_the_site_can_come_from_git(lone: Shop, tmp_path: Path) -> None:
    lone.at("v1")
    repository = tmp_path / "shop"
    subprocess.run([sys.executable, "demo/build.py", "v1", str(repository)], cwd=CHECKOUT, check=True)
    git = ["git", "-C", str(repository), "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"], ["tag", "v1"]):
        subprocess.run([*git, *command], check=True)
    source = {"django_release_source": f"git+file://{repository}", "django_release_version": "v1"}
    run = lone.playbook("deploy.yml", **source)
    assert run.status == 0, run.output
    release = json.loads((lone.root / "web1/shop/current/.release.json").read_text())
    assert (release["version"], release["origin"]) == ("v1", f"file://{repository} v1")
    again = lone.playbook("deploy.yml", **source)
    assert again.recap()["web1"]["changed"] == 0


def test_playbooks_run_by_their_collection_name(lone: Shop) -> None:
    run = lone.playbook("intermission.django.maintenance_status")
    assert run.status == 0, run.output
