"""The plugins that run on the controller, in a real run of Ansible: callback and actions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.intermission.django.plugins.action import maintenance_schedule
from ansible_collections.intermission.django.plugins.module_utils.controller import identity
from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory

import forked_ansible

pytestmark = pytest.mark.programs

Playbook = Callable[..., subprocess.CompletedProcess[str]]
ROLES = Path(__file__).parents[3] / "roles"

REPORT = """
- name: Status
  hosts: localhost
  connection: local
  gather_facts: false
  vars:
    document: {hosts: [{host: web1, text: "line one\\nline\\x9b\\e[2J\\u2028 two"}]}
    json: "{{ maintenance_window_format | default('') == 'json' }}"
  tasks:
    - name: Something before
      ansible.builtin.debug:
        msg: not for the document
      changed_when: true

    - name: Report
      intermission.django.report:
        text: "{{ document | to_json(indent=2) if json | bool else 'web1  open\\nweb2  open' }}"
      register: reported

    - name: Nothing changed by it
      ansible.builtin.assert:
        that: reported is not changed

    - name: A failure
      ansible.builtin.fail:
        msg: this failed
      when: with_failure is defined
"""


@pytest.mark.parametrize("variable", ["maintenance_window_format", "maintenance_page_doctor_format"])
def test_with_json_only_the_document_is_printed_and_failures_go_to_standard_error(
    ansible_playbook: Playbook, variable: str
) -> None:
    ran = ansible_playbook(REPORT, "-e", f"{variable}=json", "-e", "json=true", "-e", "with_failure=1")
    assert ran.returncode == 2, ran.stderr
    assert json.loads(ran.stdout) == {"hosts": [{"host": "web1", "text": "line one\nline\x9b\x1b[2J\u2028 two"}]}
    assert ran.stdout.replace("\n", "").isprintable()
    assert "this failed" in ran.stderr
    assert "not for the document" not in ran.stderr


def test_without_json_the_output_is_ansibles_own(ansible_playbook: Playbook) -> None:
    ran = ansible_playbook(REPORT, "--check")
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    start = lines.index("web1  open")
    assert lines[start + 1] == "web2  open"
    assert any(line.startswith("TASK [Something before] ***") for line in lines)
    assert any(line.startswith("PLAY RECAP ***") for line in lines)


def test_a_secret_is_told_on_the_screen_and_not_in_ansibles_log(tmp_path: Path) -> None:
    play = "- hosts: all\n  gather_facts: false\n  tasks:\n"
    for text, only in (("for all", False), ("for you", True)):
        play += f"    - intermission.django.report: {{text: {text}, screen_only: {only}}}\n"
    (tmp_path / "play.yml").write_text(play)
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "ANSIBLE_LOG_PATH": str(tmp_path / "log")}
    command = ("ansible-playbook", "--inventory", "localhost,", "play.yml")
    ran = forked_ansible.run(*command, cwd=tmp_path, environment={**forked_ansible.SETTINGS, **environment})
    assert ("for all\n" in ran.stdout, "for you\n" in ran.stdout) == (True, True), ran.stderr
    log = (tmp_path / "log").read_text()
    assert ("for all" in log, "for you" in log) == (True, False)
    for tasks in ("open", "linked"):
        told = (ROLES / f"maintenance_window/tasks/{tasks}.yml").read_text()
        assert "pass.txt.j2') }}\"" in told and "    screen_only: true\n" in told


def test_a_report_does_not_steer_the_terminal(ansible_playbook: Playbook) -> None:
    text = json.dumps({"maintenance_window_format": "text", "document": {}, "text": "é\x1b[2Jone\r\n\ttwo\x9b\n"})
    ran = ansible_playbook(REPORT.replace("'web1  open\\nweb2  open'", "text"), "-e", text)
    assert ran.returncode == 0, ran.stderr
    assert "\né?[2Jone?\n\ttwo?\n" in ran.stdout


DEPLOY = """
- name: Deploy
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Take the deploy lock
      intermission.django.deploy_record:
        state_root: "{{ root }}"
        site: shop
        state: begun
        release: r2

    - name: Note the phase
      intermission.django.deploy_record:
        state_root: "{{ root }}"
        site: shop
        state: phase
        phase: migrate

    - name: Give it back
      intermission.django.deploy_record:
        state_root: "{{ root }}"
        site: shop
        state: ended
        outcome: done
"""


def test_the_lock_of_a_run_that_died_here_is_taken_over(ansible_playbook: Playbook, site: StateDirectory) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        holder = identity(process.pid)
        DeployRecord(site).begin(holder, "r1", take_over=False)
    ran = ansible_playbook(DEPLOY, "-e", f"root={site.path.parent}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert [entry["event"] for entry in site.journal(5)] == [
        "deploy begun",
        "deploy taken over",
        "deploy begun",
        "deploy phase",
        "deploy ended",
    ]
    assert not DeployRecord(site).path.exists()


def test_the_lock_of_another_run_is_respected(ansible_playbook: Playbook, site: StateDirectory) -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        holder = identity(process.pid)
        DeployRecord(site).begin(holder, "r1", take_over=False)
        ran = ansible_playbook(DEPLOY, "-e", f"root={site.path.parent}")
    assert ran.returncode == 2
    assert "is deploying shop since" in ran.stdout
    held = DeployRecord(site).read()
    assert held is not None
    assert held["holder"] == holder


DOCTOR = """
- name: Doctor
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Look
      intermission.django.maintenance_doctor:
        dump: "{{ dump }}"
        state_root: "{{ root }}"
        site: shop
        names: [shop.example]
        worker_user: "{{ user | default('root') }}"
      register: doctor

    - name: Report
      intermission.django.report:
        text: "{{ doctor.findings | to_json }}"
"""
DUMP = """\
# configuration file {directory}/nginx.conf:
events {{ worker_connections 1024; }}
http {{ server {{
    server_name shop.example;
    proxy_set_header Authorization swordfish;
    location / {{ proxy_pass http://app; }}
}} }}
"""


def doctor(
    ansible_playbook: Playbook, site: StateDirectory, tmp_path: Path, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "dump").write_text(DUMP.format(directory=tmp_path))
    arguments = ["-e", f"root={site.path.parent}", "-e", f"dump='cat {tmp_path}/dump'", *options]
    return ansible_playbook(DOCTOR, *arguments, **variables)


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_the_doctor_reads_on_the_host_and_judges_on_the_controller(
    ansible_playbook: Playbook, site: StateDirectory, tmp_path: Path, check: list[str]
) -> None:
    ran = doctor(ansible_playbook, site, tmp_path, "-e", "maintenance_window_format=json", *check)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (finding,) = json.loads(ran.stdout)
    assert list(finding) == ["id", "severity", "host", "file", "line", "what", "why", "fix"]
    told = [finding[name] for name in ("id", "severity", "host", "file", "line")]
    assert told == ["N16", "error", "localhost", f"{tmp_path}/nginx.conf", 3]


def test_the_dump_is_in_no_result(ansible_playbook: Playbook, site: StateDirectory, tmp_path: Path) -> None:
    ran = doctor(ansible_playbook, site, tmp_path, "-vvv")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "N16" in ran.stdout
    assert "swordfish" not in ran.stdout + ran.stderr


def test_without_crossplane_the_doctor_says_what_to_install(
    ansible_playbook: Playbook, site: StateDirectory, tmp_path: Path
) -> None:
    (tmp_path / "crossplane.py").write_text("raise ImportError\n")
    ran = doctor(ansible_playbook, site, tmp_path, PYTHONPATH=str(tmp_path))
    assert ran.returncode == 2
    assert "-m pip install crossplane" in " ".join(ran.stdout.split())


def test_a_command_that_dumps_nothing_is_told(ansible_playbook: Playbook, site: StateDirectory, tmp_path: Path) -> None:
    ran = doctor(ansible_playbook, site, tmp_path, "-e", "dump=true")
    assert ran.returncode == 2
    assert "which nginx -T does" in " ".join(ran.stdout.split())


def test_a_worker_that_the_host_does_not_know_is_told(
    ansible_playbook: Playbook, site: StateDirectory, tmp_path: Path
) -> None:
    ran = doctor(ansible_playbook, site, tmp_path, "-e", "user=no-such-user")
    assert ran.returncode == 2
    assert "maintenance_page_worker_user 'no-such-user': there is no such user" in " ".join(ran.stdout.split())


class Host:
    """Plays a host whose clock differs: what it was asked, and what it answers."""

    def __init__(self, ahead: float, changed: bool = True) -> None:
        self.ahead, self.changed = ahead, changed
        self.asked: list[dict[str, Any]] = []

    def __call__(self, action: Any, task_vars: dict[str, Any], arguments: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(arguments)
        return {"changed": self.changed, "id": "window-1", "read_at": time.time() + self.ahead, "windows": []}


def schedule_on(host: Host, monkeypatch: pytest.MonkeyPatch, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """Run the action maintenance_schedule against a host."""
    monkeypatch.setattr(maintenance_schedule, "execute", host)
    monkeypatch.setattr(ActionBase, "run", lambda *_: {})
    action = object.__new__(maintenance_schedule.ActionModule)
    action._task = SimpleNamespace(args=arguments, check_mode=check)
    result: dict[str, Any] = action.run()
    return result


def test_the_clock_of_a_host_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    host, before = Host(1.5), time.time()
    result = schedule_on(host, monkeypatch, state="present")
    assert before <= host.asked[0]["asked_at"] <= time.time()
    assert result["clock"]["ahead"] == pytest.approx(1.5, abs=0.4)
    assert (result["changed"], "failed" in result, "read_at" in result) == (True, False, False)


def test_what_a_host_whose_clock_is_ahead_has_scheduled_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(5)
    result = schedule_on(host, monkeypatch, state="present", site="shop")
    assert (result["failed"], result["changed"]) == (True, False)
    assert re.match(r"this host's clock is [45]\.\d s ahead of the controller's", result["msg"])
    assert [(asked["state"], asked.get("id")) for asked in host.asked] == [("present", None), ("cancelled", "window-1")]
    merging = Host(5)
    assert schedule_on(merging, monkeypatch, state="present", overlap="merge")["failed"]
    assert [asked["state"] for asked in merging.asked] == ["listed"]
    assert "failed" not in schedule_on(Host(5), monkeypatch, state="present", tolerance=60)
    assert "failed" not in schedule_on(Host(5), monkeypatch, state="cancelled")


@pytest.mark.parametrize(("changed", "check"), [(False, False), (True, True)])
def test_what_a_host_has_not_scheduled_is_not_taken_back(
    monkeypatch: pytest.MonkeyPatch, changed: bool, check: bool
) -> None:
    host = Host(5, changed)
    assert schedule_on(host, monkeypatch, check, state="present")["failed"]
    assert len(host.asked) == 1
