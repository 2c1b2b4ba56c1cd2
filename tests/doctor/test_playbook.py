"""The playbook ``doctor.yml`` on a host whose Nginx does not run: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import forked_ansible
from doctor.host import NAMES, WORKER, Host

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def doctor(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the playbook on hosts, web1 and so on, with variables over those of their inventory."""

    def run(*hosts: Host, **variables: Any) -> subprocess.CompletedProcess[str]:
        common = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "intermission_site": "shop",
            "intermission_server_names": NAMES,
            "intermission_platform": "command",
            "maintenance_page_worker_user": WORKER,
            "maintenance_window_proof": False,
        }
        each = {
            f"web{number}": {
                "intermission_state_root": str(host.root / "state"),
                "maintenance_page_commands": {
                    "test": host.command.replace(" -T", " -t"),
                    **dict.fromkeys(("start", "stop", "reload", "status"), "true"),
                },
            }
            for number, host in enumerate(hosts, 1)
        }
        inventory = tmp_path / "hosts.json"
        inventory.write_text(json.dumps({"shop": {"hosts": each, "vars": common}}))
        arguments = ["-i", str(inventory), str(CHECKOUT / "playbooks/doctor.yml"), "-e", json.dumps(variables)]
        return forked_ansible.run("ansible-playbook", *arguments, cwd=CHECKOUT)

    return run


Doctor = Callable[..., subprocess.CompletedProcess[str]]
MakeHost = Callable[..., Host]


def test_nothing_is_found_on_a_healthy_host(doctor: Doctor, make_host: MakeHost) -> None:
    ran = doctor(make_host("healthy-ansible-role"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Nothing found on web1." in ran.stdout.splitlines()


def test_warnings_do_not_fail_the_play(doctor: Doctor, make_host: MakeHost) -> None:
    """A pattern that would take for ever is told as not decided."""
    ran = doctor(make_host("slashes"), make_host("undecided"))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    warnings = [line.split() for line in ran.stdout.splitlines() if line.startswith("WARNING")]
    assert {(words[1], words[-1]) for words in warnings} == {("slashes", "(web1)"), ("undecided", "(web2)")}


def test_an_error_fails_the_play_after_the_report(doctor: Doctor, make_host: MakeHost) -> None:
    host = make_host("n5-retry-after")
    ran = doctor(host)
    assert ran.returncode == 2
    assert f"ERROR N5  {host.root}/sites-enabled/shop:21  (web1)" in ran.stdout.splitlines()
    assert ran.stdout.index("ERROR N5") < ran.stdout.index("web1 has 1 of severity error: N5.")


def test_json_is_all_that_is_printed(doctor: Doctor, make_host: MakeHost) -> None:
    ran = doctor(make_host("n5-retry-after"), maintenance_page_doctor_format="json")
    assert ran.returncode == 2
    document = json.loads(ran.stdout)
    assert document["hosts"] == [{"host": "web1", "site": "shop", "reached": True}]
    assert [finding["id"] for finding in document["findings"]] == ["N5"]
    assert "web1 has 1 of severity error: N5." in ran.stderr


def test_the_rate_and_the_command_come_from_the_inventory(doctor: Doctor, make_host: MakeHost) -> None:
    host = make_host("healthy-ansible-role")
    commands = dict.fromkeys(("test", "start", "stop", "reload", "status"), "true")
    ran = doctor(host, maintenance_page_doctor_rate=9999, maintenance_page_commands={**commands, "dump": host.command})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "WARNING N31" in ran.stdout


def test_a_command_that_cannot_be_made_to_dump_says_what_to_set(doctor: Doctor, make_host: MakeHost) -> None:
    commands = dict.fromkeys(("test", "start", "stop", "reload", "status"), "service nginx-test")
    ran = doctor(make_host(), maintenance_page_commands=commands)
    assert ran.returncode == 2
    said = " ".join(ran.stdout.split())
    assert "maintenance_page_commands.dump is not set" in said
    assert "'service nginx-test', has no word -t" in said
