"""The app closes the site by its middleware: by a flag that Nginx lets pass, and by MAINTENANCE_MODE."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest
from testinfra.host import Host

from fleet import Fleet

testinfra_hosts = ["ansible://shop"]

SHOP = {"Host": "shop.example.com"}
END = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
WAYS = {
    "layer django": {"maintenance_window_layer": "django"},
    "MAINTENANCE_MODE set": {"maintenance_window_mechanism": "setting"},
}
ON = "playbooks/maintenance_on.yml"
OFF = "playbooks/maintenance_off.yml"
ABOUT = {"maintenance_window_until": f"{END:%Y-%m-%dT%H:%M:%SZ}", "maintenance_window_reason": "Tea is poured"}
STAFF = """
from django.contrib.auth import get_user_model
ada, _ = get_user_model().objects.get_or_create(username="ada", defaults={"is_staff": True})
ada.set_password("tea-for-ada")
ada.save()
"""


@pytest.fixture(scope="class", params=WAYS)
def way(request: pytest.FixtureRequest) -> dict[str, str]:
    return WAYS[request.param]


@pytest.fixture(scope="class")
def closed(site: Fleet, way: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """All web hosts are closed by the app, and opened again under load; gives what visitors saw of the closing."""
    record = tmp_path_factory.mktemp("closing") / "record"
    with site.visitors(record, 5):
        run = site.playbook(ON, **way, **ABOUT)
    assert run.status == 0, run.output
    yield record
    run = site.playbook(OFF, **way)
    assert run.status == 0, run.output


@pytest.fixture(scope="module")
def staff(site: Fleet) -> None:
    """There is an account that may log in to the admin."""
    host = site.connections()[0]
    program = f"""set -a; . /srv/shop/environment; cd /srv/shop/current; HOME=/srv/shop
        exec setpriv --reuid=shop --regid=shop --clear-groups .venv/bin/python manage.py shell -c '{STAFF}'"""
    host.check_output(program)


class TestClosedByTheApp:
    """Each way in turn; the site is open again before what follows."""

    def test_no_request_is_lost_and_none_is_half_answered(self, site: Fleet, closed: Path) -> None:
        facts = site.verdict(closed)
        assert facts["unexpected"] == 0, facts["first_unexpected"]
        assert set(facts["classes"]) == {"app 2", "maintenance"}

    def test_all_but_the_admin_is_closed(self, site: Fleet, closed: Path) -> None:
        for node in site.urls:
            for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
                answer = site.ask(node, "/orders/", method)
                assert (answer.status, answer.headers["x-intermission"]) == (503, "maintenance")
                assert answer.headers["retry-after"] == format_datetime(END, usegmt=True)
                assert "no-store" in answer.headers["cache-control"]
                assert method == "HEAD" or "Tea is poured" in answer.body
            assert site.ask(node, "/admin/login/").status == 200
            assert site.ask(node, "/static/orders/shop.css").status == 200

    def test_staff_pass(self, site: Fleet, closed: Path, staff: None) -> None:
        for url in site.urls.values():
            with httpx.Client(base_url=url, headers=SHOP, trust_env=False, timeout=30) as visitor:
                form = visitor.get("/admin/login/").text
                token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
                assert token
                login = {"username": "ada", "password": "tea-for-ada", "csrfmiddlewaretoken": token.group(1)}
                assert visitor.get("/orders/").status_code == 503
                assert visitor.post("/admin/login/?next=/orders/", data=login).status_code == 302
                assert visitor.get("/orders/").status_code == 200
            assert httpx.get(f"{url}/orders/", headers=SHOP, cookies={"sessionid": "x" * 32}).status_code == 503

    def test_the_status_tells_who_answers(self, site: Fleet, closed: Path) -> None:
        entries = site.current_status()["hosts"]
        assert {entry["visitors_get"] for entry in entries} == {"closed by the app"}

    def test_the_same_again_changes_nothing(self, site: Fleet, closed: Path, way: dict[str, str]) -> None:
        run = site.playbook(ON, **way, **ABOUT)
        assert {counts["changed"] for counts in run.recap().values()} == {0}, run.output

    def test_a_deploy_without_a_migration_leaves_it_closed(self, site: Fleet, closed: Path) -> None:
        run = site.deploy("v2")
        assert run.status == 0, run.output
        assert {site.ask(node).status for node in site.urls} == {503}


def test_the_site_is_open_again(site: Fleet) -> None:
    assert site.kinds() == {"app"}
    assert {site.ask(node, "/orders/").status for node in site.urls} == {200}


def test_the_state_file_of_another_package(site: Fleet) -> None:
    """The shop does not read it: the file says what was asked for, and the proof that visitors get in all the same."""
    path = "/srv/shop/shared/maintenance_mode_state.txt"
    theirs = {"maintenance_window_mechanism": "state_file", "maintenance_window_state_file": path}
    run = site.playbook(ON, **theirs, maintenance_window_proof_seconds=0)
    assert run.status != 0
    assert "answered 200, and not with the app's 503" in run.words
    for host in site.connections():
        assert host.file(path).content_string == "1"
        assert host.file(path).user == "shop"
    run = site.playbook(OFF, **theirs)
    assert run.status == 0, run.output
    assert {host.file(path).content_string for host in site.connections()} == {"0"}


def test_the_settings_file_is_roots_own(host: Host) -> None:
    file = host.file("/srv/shop/maintenance.env")
    assert (file.user, file.mode, file.content_string) == ("root", 0o600, 'MAINTENANCE_MODE="off"\n')
