"""Deploys to two web hosts and a database host, as visitors saw them: every single answer is classified."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import testinfra
from testinfra.host import Host

from driving import Run, wait_until
from fleet import Fleet, manage, told_commands, type_in
from probe.record import ANSWERS

RATE = 5  # requests per second and host, which leaves two slow cores room for the deploy
MANY = 10  # where thousands are wanted
HAS_COLUMN = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'total_cents'"
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.fixture
def web_hosts(site: Fleet) -> list[Host]:
    """The web hosts, one connection each."""
    return site.connections()


@pytest.fixture
def database(site: Fleet) -> Host:
    """The database's host."""
    key = site.environment.get("ANSIBLE_PRIVATE_KEY_FILE")
    return testinfra.get_host("ansible://db1.example.com", ansible_inventory=site.inventory, ssh_identity_file=key)


def sql(database: Host, statement: str) -> str:
    """Ask the site's database."""
    return str(
        database.check_output("runuser -u postgres -- psql --tuples-only --no-align --command=%s shop", statement)
    )


def watched(site: Fleet, record: Path, act: Callable[[], Run | None], at_least: int = 0) -> dict[str, Any]:
    """Do something under load, and give what visitors saw, of which nothing may be unexpected."""
    with site.visitors(record, MANY if at_least else RATE, patience=60):
        run = act()
        assert run is None or run.status == 0, run.output
        wait_until(
            lambda: len((record / ANSWERS).read_bytes().splitlines()) >= at_least, "enough requests were answered"
        )
    facts = site.verdict(record)
    assert facts["unexpected"] == 0, facts["first_unexpected"]
    assert facts["total"] >= at_least
    return facts


def last_deploy(host: Host) -> list[dict[str, Any]]:
    """What a web host's journal says of the last deploy that was begun."""
    lines = host.check_output("cat /var/lib/intermission/shop/journal.jsonl").splitlines()
    entries: list[dict[str, Any]] = [json.loads(line) for line in lines]
    events = [entry["event"] for entry in entries]
    return entries[len(events) - 1 - events[::-1].index("deploy begun") :]


def test_1_a_release_that_does_not_start_never_reaches_a_visitor(site: Fleet, record: Path) -> None:
    with site.visitors(record, RATE):
        run = site.deploy("does_not_start", django_release_smoke_seconds=5)
    assert run.status != 0
    assert "Activate | Try the release beside the live one" in run.words
    facts = site.verdict(record)
    assert (facts["unexpected"], set(facts["classes"])) == (0, {"app 1"}), facts["first_unexpected"]


def test_2_a15_a_migration_closes_the_site_and_gives_way_to_who_waits_behind_it_for_a_table(
    site: Fleet, record: Path, database: Host
) -> None:
    """Somebody's session reads the table: a migration would wait for it without end, and all who come then behind the migration."""

    def waiting() -> bool:
        return sql(database, WAITING) != "0"

    def is_so(run: subprocess.Popen[str], state: bool) -> bool:
        return waiting() is state or run.poll() is not None

    def deploy() -> Run:
        reads = "BEGIN; SELECT count(*) FROM orders_orderline; SELECT pg_sleep(600)"
        database.check_output("systemd-run --uid=postgres --setenv=PGAPPNAME=reader psql --command=%s shop", reads)
        run = site.start_playbook("deploy.yml", django_release_version="v2", django_migrate_lock_timeout=1)
        for state in (True, False, True):
            wait_until(partial(is_so, run, state), f"the migration {'waits' if state else 'gives way'}")
            assert run.poll() is None, "".join(run.communicate())
        assert site.kinds() == {"maintenance"}
        sql(database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'reader'")
        output, errors = run.communicate()
        return Run(run.returncode, output, errors)

    facts = watched(site, record, deploy)
    assert set(facts["classes"]) == {"app 1", "maintenance", "app 2"}
    assert site.versions() == {"2"}


def test_3_requests_wait_while_a_rollback_takes_the_schema_back_and_nobody_sees_the_page(
    site: Fleet, record: Path, web_hosts: list[Host]
) -> None:
    hold = {"django_release_strategy": "hold", "django_release_hold_seconds": 50}
    facts = watched(site, record, lambda: site.playbook("playbooks/rollback.yml", **hold))
    assert set(facts["classes"]) == {"app 2", "app 1"}
    assert site.versions() == {"1"}
    for host in web_hosts:
        events = {entry["event"] for entry in last_deploy(host)}
        assert {"held", "released"} <= events
        assert "opened" not in events
        assert host.service("shop").is_running


def test_4_a_release_without_a_migration_opens_no_window_and_loses_no_request(
    site: Fleet, record: Path, web_hosts: list[Host]
) -> None:
    def deploy() -> Run:
        for host in web_hosts:
            host.check_output("systemctl reload nginx")
        return site.deploy("v1_1")

    facts = watched(site, record, deploy, at_least=2000)
    assert set(facts["classes"]) == {"app 1", "app 1.1"}
    assert site.versions() == {"1.1"}


def test_5_restarts_of_the_app_and_reloads_of_nginx_lose_no_request(
    site: Fleet, record: Path, web_hosts: list[Host]
) -> None:
    def restart() -> None:
        for unit in ("restart shop", "reload nginx") * 3:
            for host in web_hosts:
                host.check_output(f"systemctl {unit}")

    facts = watched(site, record, restart, at_least=1000)
    assert set(facts["classes"]) == {"app 1.1"}


def test_6_a_host_that_only_the_controller_cannot_reach_is_kept_out_of_the_database_until_a_deploy_takes_it_along(
    site: Fleet,
) -> None:
    assert site.ask("web2.example.com", "/orders/").version == "1.1"
    gone = {"ansible_port": "{{ 1 if inventory_hostname == 'web2.example.com' else 22 }}"}
    run = site.deploy("v2", django_release_ignore_hosts="web2.example.com", **gone)
    assert run.status == 0, run.output
    assert "Without web2.example.com, which cannot be reached, and is kept out of the database" in run.words
    assert (site.ask("web1.example.com", "/orders/").version, site.ask("web2.example.com", "/orders/").status) == (
        "2",
        500,
    )
    back = site.deploy("v2")
    assert back.status == 0, back.output
    assert site.versions() == {"2"}


def test_7_where_the_controller_dies_while_requests_wait_the_page_takes_over_and_a_rerun_goes_on(
    site: Fleet, record: Path, web_hosts: list[Host]
) -> None:
    hold = {"django_release_strategy": "hold", "django_release_hold_seconds": 1}

    def kill_and_go_on() -> Run:
        dies = site.start_playbook("playbooks/rollback.yml", **hold)
        wait_until(
            lambda: all([entry["event"] for entry in last_deploy(host)].count("held") for host in web_hosts),
            "requests wait",
            300,
        )
        dies.kill()
        dies.communicate()
        wait_until(lambda: site.kinds() == {"maintenance"}, "the page takes over")
        wait_until(
            lambda: not any(host.service(unit).is_running for host in web_hosts for unit in ("shop", "shop.socket")),
            "the app is stopped with its socket",
        )
        assert {host.run("systemctl is-failed shop").stdout.strip() for host in web_hosts} == {"inactive"}
        return site.playbook("playbooks/rollback.yml", **hold)

    facts = watched(site, record, kill_and_go_on)
    assert set(facts["classes"]) == {"app 2", "maintenance", "app 1.1"}
    assert site.versions() == {"1.1"}


def test_8_a_migration_fails_halfway_and_the_database_is_restored_by_the_commands_that_the_account_gives(
    site: Fleet, record: Path, web_hosts: list[Host], database: Host
) -> None:
    """Where it does not run in a transaction, PostgreSQL keeps a part of it too."""
    leader = web_hosts[0]
    password = site.hosts["web1.example.com"]["vault_database_password"]

    def fail_and_go_back() -> Run:
        failed = site.deploy("fails_halfway")
        assert failed.status == 2
        assert "What did not run in a transaction may be there in part" in failed.words
        assert told_commands(failed)
        assert (site.kinds(), sql(database, HAS_COLUMN)) == ({"maintenance"}, "1")
        wanted = manage(leader, "fingerprint")
        sql(database, "DELETE FROM orders_orderline")
        for command in told_commands(failed):
            type_in(leader, command, password)
        assert (manage(leader, "fingerprint"), sql(database, HAS_COLUMN)) == (wanted, "0")
        return site.deploy("v1_1", django_migrate_database_is_whole=True)

    facts = watched(site, record, fail_and_go_back)
    assert set(facts["classes"]) == {"app 1.1", "maintenance"}
    assert site.versions() == {"1.1"}


def test_9_where_a_release_fails_that_requests_were_let_go_to_the_site_is_closed_again(
    site: Fleet, record: Path, web_hosts: list[Host]
) -> None:
    hold = {"django_release_strategy": "hold", "django_release_hold_seconds": 50, "django_release_on_failure": "hold"}
    broken, folder = web_hosts[-1], "/etc/systemd/system/shop.service.d"

    def fail_and_go_on() -> Run:
        broken.check_output(f"mkdir {folder} && printf '[Service]\\nExecStartPre=/bin/false\\n' >{folder}/broken.conf")
        broken.check_output("systemctl daemon-reload")
        failed = site.deploy("v2", **hold)
        assert (failed.status, "STATE shop stays closed: visitors see the maintenance page" in failed.words) == (
            2,
            True,
        )
        assert site.kinds() == {"maintenance"}
        broken.check_output(f"rm -r {folder} && systemctl daemon-reload")
        return site.deploy("v2")

    facts = watched(site, record, fail_and_go_on)
    assert set(facts["classes"]) == {"app 1.1", "maintenance", "app 2"}
    assert site.versions() == {"2"}


def test_10_the_apps_socket_moves_without_a_migration(site: Fleet, record: Path, web_hosts: list[Host]) -> None:
    """systemd closes a socket that changes, so that the site is closed for that, and no database is migrated."""

    def move_there_and_back() -> Run:
        moved = site.deploy("v2", django_release_socket="/run/shop/other.sock")
        assert moved.status == 0, moved.output
        assert all(host.socket("unix:///run/shop/other.sock").is_listening for host in web_hosts)
        return site.deploy("v2")

    facts = watched(site, record, move_there_and_back)
    assert set(facts["classes"]) == {"maintenance", "app 2"}
    assert all(host.socket("unix:///run/shop/app.sock").is_listening for host in web_hosts)
    phases = {entry["phase"] for host in web_hosts for entry in last_deploy(host) if entry["event"] == "deploy phase"}
    assert phases == {"plan", "close", "activate", "reopen"}


def test_a16_the_background_workers_stand_still_while_it_migrates(web_hosts: list[Host]) -> None:
    for host in web_hosts:
        units = "--unit shop-worker-ticker --unit shop"
        said = host.check_output(f"journalctl {units} --output cat --no-pager --identifier systemd")
        lines = [line for line in said.splitlines() if line.startswith(("Started shop", "Stopped shop"))]
        window = [
            "Stopped shop-worker-ticker.service - shop: ticker.",
            "Stopped shop.service - shop: the app.",
            "Started shop.service - shop: the app.",
            "Started shop-worker-ticker.service - shop: ticker.",
        ]
        assert window in [lines[start : start + 4] for start in range(len(lines))]
        assert host.service("shop-worker-ticker").is_running
