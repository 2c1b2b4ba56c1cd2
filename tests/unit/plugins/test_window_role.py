"""The role maintenance_window in a real run of Ansible: what it tells the operator."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.job import Job
from ansible_collections.intermission.django.plugins.module_utils.schedule import Schedule
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, Window

pytestmark = pytest.mark.programs

Play = Callable[..., str]
PLAY = """
- name: Window
  hosts: localhost
  connection: local
  gather_facts: false
  tasks:
    - name: Make it the site's web host
      ansible.builtin.group_by:
        key: shop
      changed_when: false
"""
POINT = """
    - name: Window
      ansible.builtin.include_role:
        name: intermission.django.maintenance_window
        tasks_from: {point}
"""
ADDRESSES = """
- name: Addresses
  hosts: links
  gather_facts: false
  tasks:
    - name: Role
      ansible.builtin.include_role:
        name: intermission.django.maintenance_window
        tasks_from: preflight
        public: true
      vars:
        maintenance_window_proof_ca: "{{ inventory_file }}"

    - name: Show
      intermission.django.report:
        text: "{{ inventory_hostname }} HAS {{ maintenance_window_site_url }}"

- name: Wrong addresses
  hosts: wrong
  gather_facts: false
  tasks:
    - name: Try
      block:
        - name: Window
          ansible.builtin.include_role:
            name: intermission.django.maintenance_window
            tasks_from: open
      rescue:
        - name: Show
          intermission.django.report:
            text: "{{ inventory_hostname }} HAS {{ ansible_failed_result.msg }}"
"""
SITE = {
    "intermission_site": "shop",
    "intermission_server_names": ["shop.example"],
    "intermission_platform": "command",
    "maintenance_window_proof": False,
}
LINK = re.compile(r"^ +(\S+/_intermission/pass/)[A-Za-z0-9]{43}$", re.MULTILINE)


@pytest.fixture
def play(ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], site: StateDirectory) -> Play:
    """Run entry points of the role for a site of this machine, without the proof; gives what was printed."""

    def run(*points: str, **inventory: Any) -> str:
        variables = {**SITE, "intermission_state_root": str(site.path.parent), **inventory}
        text = PLAY + "".join(POINT.replace("{point}", point) for point in points)
        ran = ansible_playbook(text, "-e", json.dumps(variables))
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout + ran.stderr

    return run


def test_the_address_of_the_link_is_where_visitors_reach_the_site_and_wrong_inputs_are_told(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    links: dict[str, dict[str, Any]] = {
        "http://shop.example": {},
        "https://shop.example:8443": {"maintenance_page_tls": {"listen": ["8443"]}},
        "https://shop.example": {"maintenance_window_proof_url": "https://[2001:db8::1]/"},
        "http://shop.example:8081": {"maintenance_window_proof_url": "http://127.0.0.1:8081/"},
        "https://www.shop.example/": {"maintenance_window_site_url": "https://www.shop.example/"},
    }
    wrong = ["shop.example", "https://shop.example/shop/", "ftp://shop.example"]
    hosts: dict[str, dict[str, Any]] = {f"link{number}": its for number, its in enumerate(links.values())}
    hosts |= {f"wrong{number}": {"maintenance_window_site_url": url} for number, url in enumerate(wrong)}
    hosts["wrong text"] = {
        "maintenance_window_mechanism": "setting",
        "maintenance_window_pass": False,
        "maintenance_window_message": "Two\nlines",
    }
    common = {
        **SITE,
        "ansible_connection": "local",
        "intermission_state_root": str(tmp_path),
        "maintenance_window_pass": True,
    }
    groups = {
        group: {"hosts": {name: its for name, its in hosts.items() if name.startswith(group.removesuffix("s"))}}
        for group in ("links", "wrong")
    }
    groups["shop"] = {"hosts": dict.fromkeys(hosts, {})}
    ran = ansible_playbook(ADDRESSES, inventory=json.dumps({"all": {"children": groups, "vars": common}}))
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for number, url in enumerate(links):
        assert f"link{number} HAS {url}\n" in ran.stdout
    for number, url in enumerate(wrong):
        assert f"wrong{number} HAS maintenance_window_site_url is '{url}'. Write the site's address" in ran.stdout
    assert "wrong text HAS maintenance_window_reason or maintenance_window_message has a line break" in ran.stdout
    assert not list(tmp_path.rglob("on"))


def cell(printed: str, title: str) -> str:
    """Take a cell out of the status table, whose host is the only one."""
    lines = printed.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("HOST "))
    return re.split(" {2,}", lines[at + 1][lines[at].index(title) :])[0]


def test_a_later_end_keeps_the_link_which_the_status_shows(play: Play, site: StateDirectory) -> None:
    nowhere = {"maintenance_window_proof_url": "http://127.0.0.1:1/", "django_release_root": str(site.path)}
    (site.path / "maintenance.env").write_text('MAINTENANCE_MODE="on"\n')
    (site.path / "live.json").write_text('{"release": "abc"}')
    opened = play(
        "open",
        maintenance_window_pass=True,
        maintenance_window_for="30m",
        maintenance_window_site_url="https://shop.example/",
    )
    assert LINK.findall(opened) == ["https://shop.example/_intermission/pass/"]
    (secret,) = (path.name for path in (site.flag / "passes").iterdir())
    site.jobs.mkdir()
    job = Job(site.jobs / "0.run")
    job.do("now", lambda _tell: {})
    job.path.write_text(job.path.read_text().replace('"result": {}', '"result": null'))
    printed = [play("open", "status", maintenance_window_for="1h", **nowhere)]
    job.forget()
    assert "The secret link of the window before it still lets its bearer pass." in printed[0]
    assert (cell(printed[0], "PASS"), cell(printed[0], "VERSION")) == ("valid", "abc")
    assert cell(printed[0], "STATE") == "closed job runs MAINTENANCE_MODE on, NOT TAKEN UP"
    assert (site.flag / "passes" / secret).exists()
    printed.append(play("status", maintenance_window_format="json", **nowhere))
    assert '"has_pass": true' in printed[-1]
    assert '"setting": {' in printed[-1]
    assert secret not in "".join(printed)
    site.close("ada", "here")
    without = play("open", "status", **nowhere)
    assert "still lets" not in without
    assert cell(without, "PASS") == "-"
    died = {"holder": {"user": "ada"}, "version": "v2", "phase": "migrate", "since": "2026-12-01T01:30:00Z"}
    site.deploy_file.write_text(json.dumps(died))
    assert cell(play("status", **nowhere), "UNFINISHED DEPLOY") == "v2, ada, migrate, since 2026-12-01T01:30:00Z"


def test_the_status_of_all_hosts_is_printed_and_then_fails_for_what_somebody_asked_for(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], site: StateDirectory
) -> None:
    site.open(Window("disk", "shop", "2025-12-01T01:00:00Z", "2025-12-01T02:00:00Z"), "ada", "here")
    play = POINT.replace("{point}", "status").replace("    - name", "\n    - name", 1)
    text = f"- hosts: all\n  gather_facts: false\n  tasks:{play}"
    gone = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    hosts = {
        "gone": gone,
        "shut": {"intermission_state_root": str(site.path.parent)},
        "clear": {"intermission_state_root": "/nowhere"},
    }
    common = {
        **SITE,
        "ansible_connection": "local",
        "maintenance_window_proof_url": "http://127.0.0.1:1/",
        "intermission_state_root": "/nowhere",
    }
    inventory = json.dumps({"shop": {"hosts": hosts, "vars": common}})

    def said(fails_on: str) -> list[str]:
        ran = ansible_playbook(text, "-e", f"maintenance_window_fails_on={fails_on}", inventory=inventory)
        table = [line.split()[:4] for line in ran.stdout.splitlines() if re.match(r"(gone|shut|clear) +shop ", line)]
        assert table == [
            ["gone", "shop", "-", "unreachable"],
            ["shut", "shop", "-", "closed"],
            ["clear", "shop", "-", "open"],
        ]
        lines = re.findall(r"(?:gone|shut|clear): (?:is|should|cannot) [^\n]*", ran.stdout)
        assert (ran.returncode != 0) == bool(lines), ran.stdout + ran.stderr
        return lines

    assert said("unfinished_deploy") == []
    unreachable, overdue, disagreeing = said("overdue,disagreeing,unreachable")[:3]
    assert unreachable.startswith("gone: cannot be asked: Task failed: Data could not be sent to remote host")
    assert overdue == "shut: should have been opened at 2025-12-01T02:00:00Z"
    assert disagreeing == "clear: is open, and others say that it is closed until 2025-12-01T02:00:00Z"


def test_hooks_and_tasks_of_the_operators_own_run_on_both_sides(
    play: Play, site: StateDirectory, tmp_path: Path
) -> None:
    record = tmp_path / "ran"
    tell = "- ansible.builtin.lineinfile: {path: %s, create: true, line: %s, mode: '0644'}\n"
    own = {}
    for name in ("before_open", "after_open", "before_close", "after_close"):
        hook = tmp_path / "hooks" / f"{name.replace('_', '-')}.d" / "tell"
        hook.parent.mkdir(parents=True)
        hook.write_text(f"#!/bin/sh\necho hook {name} $INTERMISSION_BY >> {record}\ntest {name} != after_close\n")
        hook.chmod(0o755)
        tasks = tmp_path / f"{name}.yml"
        tasks.write_text(tell % (record, f"tasks {name}"))
        own[f"maintenance_window_{name}_tasks"] = str(tasks)
    printed = play("open", "close", maintenance_window_hooks_directory=str(tmp_path / "hooks"), **own)
    assert re.search(r"\[WARNING\].* the hook \S+/after-close\.d/tell ended with 1$", printed, re.MULTILINE)
    by = site.journal(1)[0]["by"]
    assert record.read_text().splitlines() == [
        *("tasks before_open", f"hook before_open {by}", f"hook after_open {by}", "tasks after_open"),
        *("tasks before_close", f"hook before_close {by}", f"hook after_close {by}", "tasks after_close"),
    ]
    (tmp_path / "before_open.yml").write_text("- ansible.builtin.fail: {msg: not now}\n")
    with pytest.raises(AssertionError, match="not now"):
        play("open", **own)
    assert not site.flag.exists()


Site = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hosts(ansible_playbook: Site, site: StateDirectory, tmp_path: Path) -> Site:
    """Open a window as the playbook does, on hosts of this machine, each with a state directory and variables of its own."""

    def run(*options: str, play: str = "{}", **hosts: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        for name, its in hosts.items():
            its["intermission_state_root"] = str(tmp_path / name)
            shutil.copytree(site.path, tmp_path / name / "shop", dirs_exist_ok=True)
        inventory = json.dumps({"shop": {"hosts": hosts, "vars": {**SITE, "ansible_connection": "local"}}})
        point = POINT.replace("{point}", "open\n        rolespec_validate: false")
        text = f"- hosts: all\n  gather_facts: false\n  vars: {play}\n  tasks:{point}"
        return ansible_playbook(text, *options, inventory=inventory)

    return run


def closed(folder: Path) -> list[str]:
    """List the hosts of which the site is closed by the flag."""
    return sorted(path.parents[1].name for path in folder.glob("*/shop/on"))


def test_what_all_hosts_have_in_common_is_checked_and_told_once(hosts: Site, tmp_path: Path) -> None:
    ran = hosts(one={}, two={}, three={})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count("DONE  shop is closed on one, two, three.\n") == 1
    assert closed(tmp_path) == ["one", "three", "two"]
    assert re.findall(r"^(?:one|two|three) .*skipped=(\d+)", ran.stdout, re.MULTILINE).count("0") == 2
    for flag in tmp_path.glob("*/shop/on"):
        flag.unlink()
    wrong = hosts("-e", "maintenance_window_expires=true", one={}, two={}, three={})
    assert wrong.returncode != 0
    assert "the window has no end" in wrong.stdout
    assert wrong.stdout.count("fatal: [") == 1
    of_no_kind = hosts("-e", "maintenance_window_mechanism=flga", one={}, two={}, three={})
    assert of_no_kind.returncode != 0
    assert "value of maintenance_window_mechanism must be one of: flag, setting, state_file" in of_no_kind.stdout
    assert closed(tmp_path) == []


def test_a3_where_hosts_differ_each_decides_for_itself(hosts: Site, tmp_path: Path) -> None:
    file = tmp_path / "state.txt"
    own = {"maintenance_window_mechanism": "state_file", "maintenance_window_state_file": str(file)}
    ran = hosts(one={}, two=own, three={"maintenance_window_expires": True}, four={"maintenance_window_share": 15})
    assert ran.returncode != 0
    assert "only systemd closes a window at its end" in ran.stdout
    assert closed(tmp_path) == ["one"]
    assert file.read_text() == "1"
    assert "DONE  shop is closed on one, two.\n" in ran.stdout, ran.stdout


def test_where_hosts_differ_each_hosts_visitors_read_its_own_reason(hosts: Site, tmp_path: Path) -> None:
    ran = hosts(one={"maintenance_window_reason": "disks"}, two={"maintenance_window_reason": "cables"}, three={})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    windows = {name: StateDirectory(str(tmp_path / name), "shop").current_window() for name in ("one", "two", "three")}
    assert {name: window.reason for name, window in windows.items() if window} == {
        "one": "disks",
        "two": "cables",
        "three": "",
    }


def test_what_needs_a_roles_default_is_each_hosts_own_and_what_nobody_uses_stops_nothing(
    hosts: Site, tmp_path: Path
) -> None:
    """Of another host only the inventory is known, and in there neither can be worked out."""
    own = {"maintenance_window_message": "as {{ intermission_group }}", "maintenance_window_mine": "{{ item }}"}
    ran = hosts(one={**own}, two={**own, "maintenance_window_reason": "{{ maintenance_window_message }}"})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    windows = [StateDirectory(str(tmp_path / name), "shop").current_window() for name in ("one", "two")]
    assert [(window.message, window.reason) for window in windows if window] == [
        ("as intermission", ""),
        ("as intermission", "as intermission"),
    ]


def test_what_a_play_says_of_each_host_is_each_hosts_own(hosts: Site, tmp_path: Path) -> None:
    """Of a play's variables no host knows what another one's are."""
    ran = hosts(play="{maintenance_window_reason: 'the disks of {{ inventory_hostname }}'}", one={}, two={})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    windows = [StateDirectory(str(tmp_path / name), "shop").current_window() for name in ("one", "two")]
    assert [window.reason for window in windows if window] == ["the disks of one", "the disks of two"]


def test_what_a_play_says_of_one_host_alone_is_that_hosts_own(hosts: Site, tmp_path: Path) -> None:
    """Also where it says of the first host what is so where nobody says anything."""
    own = "{maintenance_window_reason: '{{ why | default(\"\") }}', maintenance_window_read_only: '{{ reads | default(false) }}'}"
    ran = hosts(play=own, one={}, two={"why": "cables", "reads": True})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    windows = [StateDirectory(str(tmp_path / name), "shop").current_window() for name in ("one", "two")]
    assert [(window.reason, window.read_only) for window in windows if window] == [("", False), ("cables", True)]


def test_a_secret_is_told_once_and_by_no_task_however_much_is_asked_for(hosts: Site) -> None:
    ran = hosts("-vvv", "--diff", "-e", "maintenance_window_pass=true", one={}, two={})
    assert ran.returncode == 0, ran.stdout + ran.stderr
    secrets = re.findall(r"\b[A-Za-z0-9]{43}\b", ran.stdout + ran.stderr)
    quiet = hosts("-e", "maintenance_window_pass=true", one={}, two={})
    assert len(secrets) == len(re.findall(r"\b[A-Za-z0-9]{43}\b", quiet.stdout + quiet.stderr)) > 0


def test_nothing_is_closed_where_the_operators_own_tasks_fail_before(hosts: Site, tmp_path: Path) -> None:
    tasks = tmp_path / "before.yml"
    tasks.write_text("- ansible.builtin.fail: {msg: not now}\n")
    ran = hosts("-e", f"maintenance_window_before_open_tasks={tasks}", one={}, two={})
    assert ran.returncode != 0
    assert closed(tmp_path) == []


def test_the_site_is_opened_in_waves(
    play: Play,
    site: StateDirectory,
    tmp_path: Path,
    serve: Callable[..., Any],
    http: Callable[..., bytes],
    closed_answer: bytes,
) -> None:
    page, nowhere = serve(closed_answer), {"maintenance_window_proof_url": "http://127.0.0.1:1/"}
    never = tmp_path / "never.yml"
    never.write_text("- ansible.builtin.fail: {msg: that is for an opening to all}\n")
    wave = {
        "maintenance_window_share": "20",
        "maintenance_window_before_close_tasks": str(never),
        "maintenance_window_after_close_tasks": str(never),
    }
    site.open(Window("disk", "shop", "2025-12-01T01:00:00Z"), "ada", "here")
    asked = {"maintenance_window_proof": True, "maintenance_window_proof_url": page.url}
    printed = play("close", "status", **wave, **asked)
    assert "DONE  shop is open to 20 of 100 visitors on localhost.\n" in printed
    assert "got the page: whether the app answers the others is not proven." in printed
    assert (cell(printed, "STATE"), cell(printed, "VISITORS GET")) == ("closed to 80%", "closed")
    again = play("close", "status", **wave, **nowhere, maintenance_window_format="json")
    assert [entry["event"] for entry in site.journal(9)] == ["opened", "let in"]
    assert documents(again)[0]["hosts"][0]["share"] == 20
    closed = play("close", "status", **asked, maintenance_window_share=0)
    assert "DONE  shop is closed to all visitors again on localhost, as each of them has answered.\n" in closed
    assert "Who has asked" not in closed
    app = {**asked, "maintenance_window_proof_url": serve(http(200, b"app")).url, "maintenance_window_proof_seconds": 0}
    with pytest.raises(AssertionError, match="answered 200"):
        play("close", **app, maintenance_window_share=0)
    with pytest.raises(AssertionError, match="maintenance_window_force opens a site to all visitors"):
        play("close", **wave, maintenance_window_force=True)
    assert cell(closed, "STATE") == "closed"
    with pytest.raises(AssertionError, match="maintenance_window_share is 20, and only the flag's window"):
        play("close", **wave, maintenance_window_mechanism="setting")
    assert site.status()["on"] is True
    play("close", **wave, __maintenance_window_id="disk")  # As a deploy does
    assert site.status()["on"] is False


def documents(printed: str) -> list[Any]:
    """Read the JSON documents that were printed one behind the other."""
    return [json.loads(f"{{{text}}}") for text in re.findall(r"^\{$(.*?)^\}$", printed, re.DOTALL | re.MULTILINE)]


NIGHT = {
    "maintenance_window_schedule": "present",
    "maintenance_window_from": "2999-12-01T02:00Z",
    "maintenance_window_for": "30m",
    "maintenance_window_reason": "Disk",
}


def test_a_window_is_scheduled_listed_and_cancelled(play: Play, site: StateDirectory, tmp_path: Path) -> None:
    host = {
        "intermission_platform": "systemd",
        "maintenance_window_calendar_file": str(tmp_path / "windows.ics"),
    }
    host["maintenance_window_command"] = "/bin/echo 'a b'"
    printed = play("schedule", **host, **NIGHT)
    assert cell(printed, "WINDOW") == "window-29991201T020000"
    assert cell(printed, "COMMAND") == "/bin/echo 'a b'"
    assert (cell(printed, "STATE"), cell(printed, "REASON")) == ("scheduled", "Disk")
    assert (site.windows / "window-29991201T020000" / "scheduled").is_symlink()
    assert b"DTSTART:29991201T020000Z\r\nDTEND:29991201T023000Z\r\n" in (tmp_path / "windows.ics").read_bytes()
    assert re.search(r"localhost .*changed=0 ", play("schedule", **host, **NIGHT))
    host["maintenance_window_format"] = "json"
    status, listed = documents(play("status", "schedule", **host, maintenance_window_schedule="cancelled"))
    assert [window["id"] for window in status["hosts"][0]["Maintenance-Window"]] == ["window-29991201T020000"]
    assert (listed["hosts"][0]["reached"], listed["hosts"][0]["windows"]) == (True, [])
    assert status["hosts"][0]["job"] is None
    assert not [*site.windows.iterdir(), *site.jobs.iterdir()]


def test_wrong_inputs_of_a_scheduled_window_are_told_all_at_once(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], site: StateDirectory
) -> None:
    variables = {
        **SITE,
        "intermission_state_root": str(site.path.parent),
        "maintenance_window_schedule": "present",
        "maintenance_window_mechanism": "setting",
        "maintenance_window_pass": True,
        "maintenance_window_site_url": "shop",
        "maintenance_window_command": "migrate",
    }
    ran = ansible_playbook(PLAY + POINT.replace("{point}", "schedule"), "-e", json.dumps(variables))
    assert ran.returncode != 0
    said = " ".join(ran.stderr.split()) + " ".join(ran.stdout.replace("\\n", " ").split())
    for sentence in (
        "intermission_platform is 'command', and only systemd opens and closes windows at their time",
        "maintenance_window_from is not set",
        "maintenance_window_mechanism is 'setting'",
        "maintenance_window_site_url is 'shop'. Write the site's address",
        "maintenance_window_command is 'migrate'. Write the program's path from / on",
    ):
        assert sentence in said


def test_the_link_of_a_scheduled_window_is_shown_once_and_is_no_part_of_a_document(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]],
    play: Play,
    site: StateDirectory,
    tmp_path: Path,
) -> None:
    host = {
        "intermission_platform": "systemd",
        "intermission_state_root": str(site.path.parent),
        "maintenance_window_pass": True,
        "maintenance_window_calendar_file": str(tmp_path / "windows.ics"),
    }
    variables = json.dumps({**SITE, **host, **NIGHT, "maintenance_window_format": "json"})
    ran = ansible_playbook(PLAY + POINT.replace("{point}", "schedule"), "-e", variables)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout)["hosts"][0]["windows"][0]["state"] == "scheduled"
    assert LINK.findall(ran.stderr) == ["http://shop.example/_intermission/pass/"]
    (staged,) = site.windows.iterdir()
    (secret,) = (path.name for path in (staged / "passes").iterdir())
    assert (ran.stdout + ran.stderr).count(secret) == 1
    written = [site.journal_file, tmp_path / "windows.ics", *(path for path in staged.iterdir() if path.is_file())]
    assert secret not in "".join(path.read_text() for path in written)
    again = play("schedule", **host, **NIGHT)
    assert re.search(r"localhost .*changed=0 ", again)
    assert (
        "PASS  On localhost the window was scheduled before, and its link was shown to who did so. Where that is lost,"
        in again
    )
    assert "_intermission/pass/" not in again
    assert [path.name for path in (staged / "passes").iterdir()] == [secret]
    longer = {"maintenance_window_schedule": "extended", "maintenance_window_until": "2999-12-01T03:00Z"}
    with pytest.raises(
        AssertionError, match="maintenance_window_pass is set, and only a window that is being scheduled"
    ):
        play("schedule", **host, **longer)
    with pytest.raises(AssertionError, match="which schedules nothing"):
        play("schedule", **host, maintenance_window_from="in 2h", maintenance_window_for="30m")


def test_all_hosts_schedule_a_window_or_none_unless_fewer_are_enough(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], site: StateDirectory
) -> None:
    play = POINT.replace("{point}", "schedule").replace("    - name", "\n    - name", 1)
    text = f"- hosts: all\n  gather_facts: false\n  tasks:{play}"
    places = {"able": str(site.path.parent), "unable": "/nowhere"}
    hosts = {name: {"intermission_state_root": root} for name, root in places.items()}
    common = {**SITE, **NIGHT, "intermission_platform": "systemd", "ansible_connection": "local"}
    gone = {"gone": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}}
    inventory = json.dumps({"shop": {"hosts": {**hosts, **gone}, "vars": common}})
    refused = ansible_playbook(text, inventory=inventory)
    assert refused.returncode != 0
    said = " ".join((refused.stdout + refused.stderr).replace("\\n", "\n").split())
    assert "unable: /nowhere/shop is not there: apply the role maintenance_page to this host first gone: " in said
    assert "So it is not scheduled on the others either." in said
    assert [entry["event"] for entry in site.journal(9)] == ["scheduled", "cancelled"]
    passing = ["-e", "maintenance_window_quorum=33", "-e", "maintenance_window_pass=true"]
    ran = ansible_playbook(text, "-vvv", "--diff", *passing, inventory=inventory)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (secret,) = (path.name for path in site.windows.glob("*/passes/*"))
    assert (ran.stdout + ran.stderr).count(secret) == len(LINK.findall(ran.stdout)) == 1
    assert "scheduled before" not in ran.stdout
    assert [line.split()[:4] for line in ran.stdout.splitlines() if line.startswith(("able ", "unable ", "gone "))][
        :3
    ] == [
        ["able", "shop", "window-29991201T020000", "scheduled"],
        ["unable", "shop", "-", "not"],
        ["gone", "shop", "-", "not"],
    ]
    assert [path.name for path in site.windows.iterdir()] == ["window-29991201T020000"]


def test_a_host_flips_when_its_time_has_come_and_proves_it(
    play: Play,
    site: StateDirectory,
    serve: Callable[..., Any],
    http: Callable[..., bytes],
    closed_answer: bytes,
) -> None:
    server = serve(http(200, b"app"))

    def keep_time() -> None:
        while not site.flag.exists():
            Schedule(site).settle(datetime.now(UTC))
            time.sleep(0.05)
        server.answers[:] = [closed_answer]

    clockwork = threading.Thread(target=keep_time, daemon=True)
    clockwork.start()
    printed = play(
        "flip",
        intermission_platform="systemd",
        maintenance_window_proof=True,
        maintenance_window_proof_url=server.url,
        maintenance_window_lead=1,
        maintenance_window_for="1h",
        maintenance_window_format="json",
    )
    (flipped,) = documents(printed)[0]["hosts"]
    assert (flipped["state"], flipped["proof"], flipped["problem"]) == ("closed", "closed", None)
    assert flipped["skew_ms"] >= 0
    assert flipped["since"] == site.status()["since"]
    assert flipped["until"] == site.status()["until"]


def test_a_flip_tells_of_hosts_that_cannot_be_reached_where_fewer_are_enough(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]], site: StateDirectory
) -> None:
    play = POINT.replace("{point}", "flip").replace("    - name", "\n    - name", 1)
    hosts = {
        "able": {"ansible_connection": "local", "intermission_state_root": str(site.path.parent)},
        "gone": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
    }
    common = {
        **SITE,
        "intermission_platform": "systemd",
        "maintenance_window_for": "1h",
        "maintenance_window_pass": True,
        "maintenance_window_quorum": 50,
    }
    inventory = json.dumps({"shop": {"hosts": hosts, "vars": common}})
    ran = ansible_playbook(f"- hosts: all\n  gather_facts: false\n  tasks:{play}", inventory=inventory)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    table = [line.split()[:3] for line in ran.stdout.splitlines() if re.match(r"(able|gone) +shop ", line)]
    assert table == [["able", "shop", "open"], ["gone", "shop", "not"]]
    assert len(LINK.findall(ran.stdout)) == 1
