"""A site that nobody here wrote, Wagtail's project template on PostgreSQL, as its visitors and editors see it.

It is deployed by the artifact, as Ansible's users install it, and not by what lies in the checkout.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from testinfra.host import Host

from driving import BIN, CHECKOUT, wait_until
from fleet import Fleet
from probe.record import ANSWERS, read_answers

testinfra_hosts = ["ansible://mysite"]

LOGIN = "/admin/login/"
RATE = 5  # requests per second: Wagtail's pages cost a core of their own at 20


def applied(host: Host) -> set[str]:
    """Ask PostgreSQL which migrations are applied."""
    sql = "SELECT app || '.' || name FROM django_migrations"
    psql = "runuser -u postgres -- psql --no-psqlrc --tuples-only --no-align --dbname=mysite --command=%s"
    return set(host.check_output(psql, sql).split())


def test_0_ansible_has_the_artifact_and_not_the_checkout() -> None:
    command = [str(BIN / "ansible-galaxy"), "collection", "list", "--format", "json"]
    listed = json.loads(subprocess.check_output(command, cwd=CHECKOUT))
    places = {Path(place) for place, its in listed.items() if "intermission.django" in its}
    assert places == {CHECKOUT / ".lab" / "collections" / "ansible_collections"}
    installed = places.pop() / "intermission" / "django"
    assert (installed / "MANIFEST.json").is_file()
    assert not (installed / "molecule").exists()


def test_1_the_first_deploy_ran_all_migrations(host: Host) -> None:
    migrations = applied(host)
    assert len(migrations) > 150
    assert {"home.0002_create_homepage", "wagtailcore.0001_initial"} <= migrations


def test_2_the_front_page_the_login_and_their_files(site: Fleet, node: str) -> None:
    assert "Welcome to your new Wagtail site!" in site.ask(node).body
    login = site.ask(node, LOGIN)
    assert (login.status, "csrfmiddlewaretoken" in login.body) == (200, True)
    links = set(re.findall(r'"(/static/[^"]+\.(?:css|js|svg))"', site.ask(node).body + login.body))
    assert len(links) > 5
    answers = {link: site.ask(node, link) for link in links}
    assert {link for link, answer in answers.items() if answer.status != 200} == set()
    assert {link for link, answer in answers.items() if "x-frame-options" in answer.headers} == set()


def test_3_a_window_closes_the_login_and_opens_it(site: Fleet, node: str) -> None:
    assert site.playbook("intermission.django.maintenance_on").status == 0
    try:
        answer = site.ask(node, LOGIN, "POST", b"username=ada")
        assert (answer.status, answer.kind) == (503, "maintenance")
        assert "retry-after" in answer.headers
    finally:
        assert site.playbook("intermission.django.maintenance_off").status == 0
    answer = site.ask(node, LOGIN, "POST", b"username=ada")
    assert (answer.status, "CSRF" in answer.body) == (403, True)


def test_4_a_version_with_a_migration_of_the_sites_own(host: Host, site: Fleet, node: str, record: Path) -> None:
    before = applied(host)

    def answered() -> int:
        return len((record / ANSWERS).read_bytes().splitlines())

    with site.visitors(record, RATE, "wagtail"):
        wait_until(lambda: answered() >= 25, "visitors saw the version before")
        run = site.playbook("intermission.django.deploy", django_release_version="1.1")
        assert run.status == 0, run.output
        until_now = answered()
        wait_until(lambda: answered() >= until_now + 25, "visitors saw the version after")
    facts = site.verdict(record)
    assert facts["unexpected"] == 0, str(facts["first_unexpected"][0])
    assert set(facts["classes"]) == {"app DENY", "maintenance"}
    answers = sorted(read_answers(record), key=lambda answer: answer.started)
    assert answers[0].kind == answers[-1].kind == "app DENY"
    assert applied(host) - before == {"home.0003_homepage_body"}
    assert "Fresh from the oven." in site.ask(node).body


def test_5_the_backup_is_from_before_that_migration(host: Host) -> None:
    newest = host.check_output("ls -t /var/backups/mysite/mysite.*.dump | head -n 1")
    migrations = host.check_output("pg_restore --data-only --table=django_migrations --file=- %s", newest)
    assert "0002_create_homepage" in migrations
    assert "0003_homepage_body" not in migrations
    assert " TABLE DATA public wagtailcore_page " in host.check_output("pg_restore --list %s", newest)
