"""The shop on MariaDB, which does not take back a migration that fails: the lock, the backup, and the way back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.engine import lock_key
from testinfra.host import Host

from driving import wait_until
from fleet import Fleet, manage, told_commands, type_in
from probe.record import ANSWERS, read_answers

testinfra_hosts = ["ansible://databases"]

LINES = 4000
RATE = 5  # requests per second
PASSWORD = "only-for-this-test"


@pytest.fixture
def web(site: Fleet) -> Host:
    """The web host; the other one has the database."""
    return site.connections()[0]


@pytest.fixture
def somebody_else_migrates(host: Host) -> Iterator[None]:
    """A session of the site's user that holds the migration lock; newer servers do not show the web host where it comes from."""
    name = f"intermission.{lock_key('shop') % 2**64:016x}"
    hold = f"SELECT GET_LOCK('{name}', 0); SELECT SLEEP(600)"
    host.check_output(
        "systemd-run --unit=somebody --setenv=MYSQL_PWD=%s mariadb --user=shop --execute=%s", PASSWORD, hold
    )
    wait_until(lambda: sql(host, f"SELECT IS_USED_LOCK('{name}') IS NOT NULL") == "1", "the lock is held")
    yield
    host.check_output("systemctl stop somebody")


def sql(host: Host, statement: str) -> str:
    return str(host.check_output("mariadb --batch --skip-column-names --execute=%s shop", statement))


def test_1_the_first_deploy_has_made_the_tables_on_the_database_host(host: Host, web: Host, site: Fleet) -> None:
    assert site.versions() == {"1"}
    assert int(sql(host, "SELECT COUNT(*) FROM django_migrations WHERE app = 'orders'")) == 1
    assert not web.package("mariadb-server").is_installed


def test_2_a_deploy_is_refused_while_somebody_else_migrates(site: Fleet, somebody_else_migrates: None) -> None:
    run = site.deploy("v2", django_migrate_lock_seconds=0)
    assert run.status == 2
    assert "FAILED in the phase migrate of v2" in run.words
    assert re.search(r"another migration of shop is running \(session \d+: (localhost|of another account)\)", run.words)
    assert "STATE This run has left the database as it was. shop serves what it served before" in run.words
    assert (site.versions(), site.kinds("POST")) == ({"1"}, {"app"})


def test_3_a_migration_fails_halfway_the_backup_is_restored_and_the_next_version_opens_the_site(
    host: Host, web: Host, site: Fleet, record: Path
) -> None:
    manage(web, f"generate_orders --lines {LINES}")

    def answered() -> int:
        return len((record / ANSWERS).read_bytes().splitlines())

    with site.visitors(record, RATE):
        wait_until(lambda: answered() >= 25, "visitors saw version 1")
        run = site.deploy("fails_halfway")
        assert run.status == 2
        for sentence in (
            "RuntimeError: The migration failed on purpose",
            "STATE shop stays closed: visitors see the maintenance page.",
            "What did not run in a transaction may be there in part",
        ):
            assert sentence in run.words
        assert sql(host, "SHOW COLUMNS FROM orders_orderline LIKE 'total_cents'")

        wanted = manage(web, "fingerprint")
        sql(host, "DELETE FROM orders_orderline")
        assert told_commands(run)
        for command in told_commands(run):
            type_in(web, command, PASSWORD)
        assert sql(host, "SHOW COLUMNS FROM orders_orderline LIKE 'total_cents'") == ""
        assert manage(web, "fingerprint") == wanted

        run = site.deploy("v2")
        assert run.status == 0, run.output
        until_now = answered()
        wait_until(lambda: answered() >= until_now + 25, "visitors saw version 2")
    facts = site.verdict(record)
    assert facts["unexpected"] == 0, facts["first_unexpected"][0]
    assert set(facts["classes"]) == {"app 1", "maintenance", "app 2"}

    taken = {answer.reference for answer in read_answers(record) if answer.status == 302 and answer.reference}
    assert len(taken) > 5
    assert taken - set(sql(host, "SELECT reference FROM orders_order WHERE source = 'web'").split()) == set()


def test_4_the_data_are_migrated(host: Host, site: Fleet) -> None:
    assert site.versions() == {"2"}
    assert int(sql(host, "SELECT COUNT(*) FROM orders_orderline")) >= LINES
    assert sql(host, "SELECT COUNT(*) FROM orders_orderline WHERE total_cents <> quantity * unit_price_cents") == "0"
