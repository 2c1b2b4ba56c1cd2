"""Scheduled windows: hosts open and close them by themselves, whatever happens to them meanwhile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from testinfra.host import Host

from driving import wait_until
from fleet import Fleet, reboot

testinfra_hosts = ["ansible://shop"]

STATE = "/var/lib/intermission/shop"
UNIT = "intermission-shop-schedule"
UNITS = f"{UNIT}.timer {UNIT}.path {UNIT}.service"
FLIP = "playbooks/maintenance_flip.yml"


@pytest.fixture
def member(host: Host) -> Iterator[str]:
    """Somebody who may schedule windows and is not root; what is scheduled is gone afterwards."""
    host.check_output("useradd --groups intermission grace")
    yield "grace"
    host.check_output(f"userdel grace; rm -rf {STATE}/windows/*/scheduled {STATE}/windows/*/missed")


@pytest.fixture
def opened_again(host: Host, site: Fleet, node: str) -> Iterator[None]:
    """What a job has closed is open afterwards, however the job went."""
    yield
    host.check_output(
        "touch /root/go; intermission off shop; systemctl reset-failed intermission-shop-job.service; rm /root/go"
    )
    wait_until(lambda: site.ask(node).kind == "app", "the host is open")


def end_soon(host: Host) -> None:
    """Let the host's window end in a moment."""
    soon = (datetime.now(UTC) + timedelta(seconds=5)).isoformat(timespec="seconds")
    host.check_output(f"intermission extend shop --until {soon}")


def journal(host: Host, last: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in host.check_output(f"tail -n {last} {STATE}/journal.jsonl").splitlines()]


def windows(host: Host) -> list[dict[str, str]]:
    listed: list[dict[str, str]] = json.loads(host.check_output("intermission list shop --json"))["windows"]
    return listed


def test_all_hosts_close_at_the_same_instant_and_open_by_themselves_at_the_end(site: Fleet) -> None:
    run = site.playbook(
        FLIP, maintenance_window_lead=30, maintenance_window_for="1h", maintenance_window_reason="<disk>"
    )
    assert run.status == 0, run.output
    assert len(re.findall(r"^\S+\.example\.com +shop +closed .* ms +closed$", run.output, re.MULTILINE)) == len(
        site.urls
    )
    assert all("&lt;disk&gt;" in site.ask(node).body for node in site.urls)
    for host in site.connections():
        end_soon(host)
    wait_until(lambda: site.kinds() == {"app"}, "all hosts are open")
    for host in site.connections():
        events = journal(host, 4)
        assert [entry["event"] for entry in events] == ["scheduled", "opened", "extended", "closed"]
        assert events[1]["at"] >= events[0]["start"].rstrip("Z")


def test_a_host_that_was_off_at_the_begin_opens_before_it_lets_anybody_in_and_is_opened_by_a_new_end(
    host: Host, site: Fleet, node: str, member: str
) -> None:
    host.check_output(f"systemctl stop {UNITS}")
    with host.sudo(member):
        host.check_output("intermission schedule shop --from 'in 1s' --for 1h")
    reboot(host)
    wait_until(partial(site.listens, node), "Nginx runs")
    assert site.ask(node, "/orders/", "POST").kind == "maintenance"
    assert [window["state"] for window in windows(host)] == ["open"]
    with host.sudo(member):
        end_soon(host)
    wait_until(lambda: site.ask(node).kind == "app", "the host is open")


def test_what_was_cancelled_or_missed_opens_nothing(host: Host, site: Fleet, node: str, member: str) -> None:
    with host.sudo(member):
        said = host.check_output("intermission schedule shop --from 'Sun 02:00 UTC' --for 30m --reason disk")
        assert said.startswith("shop is closed from ")
        (window,) = windows(host)
        assert (window["recurs"], window["reason"], len(window["following"])) == ("Sun 02:00 UTC", "disk", 10)
        host.check_output("intermission cancel shop")
    assert windows(host) == []
    host.check_output(f"systemctl stop {UNITS}")
    host.check_output("intermission schedule shop --from 'in 2s' --for 1s")
    ends = windows(host)[0]["end"]
    wait_until(lambda: host.check_output("date --utc +%FT%TZ") > ends, "the window is over")
    host.check_output(f"systemctl start {UNITS}")
    wait_until(lambda: [window["state"] for window in windows(host)] == ["missed"], "the window is missed")
    assert site.ask(node).kind == "app"
    assert "closed" not in host.check_output(f"tail -n 1 {STATE}/journal.jsonl")


def schedule_job(site: Fleet, node: str, command: str) -> None:
    """Schedule a window that runs a command, on one host, from a moment on."""
    variables = {"schedule": "present", "from": "in 5s", "for": "1h", "command": command}
    run = site.playbook(
        "playbooks/maintenance_schedule.yml",
        "--limit",
        node,
        **{f"maintenance_window_{name}": value for name, value in variables.items()},
    )
    assert run.status == 0, run.output


def test_a_job_runs_when_its_window_has_opened_and_keeps_it_until_it_is_done(
    host: Host, site: Fleet, node: str, opened_again: None
) -> None:
    schedule_job(site, node, f"/bin/sh -c 'test -e {STATE}/on && until test -e /root/go; do sleep 0.2; done'")
    wait_until(lambda: journal(host, 1)[0]["event"] == "job begun", "the job has begun")
    end_soon(host)
    wait_until(lambda: "OVERDUE" in host.check_output("intermission status shop"), "the window's end has come")
    assert site.ask(node).kind == "maintenance"
    host.check_output("touch /root/go")
    wait_until(lambda: site.ask(node).kind == "app", "the host is open")
    assert [entry["event"] for entry in journal(host, 5)] == ["opened", "job begun", "extended", "job done", "closed"]


def test_a_job_that_fails_keeps_visitors_out_and_its_unit_has_failed(
    host: Host, site: Fleet, node: str, member: str, opened_again: None
) -> None:
    schedule_job(site, node, "/bin/sh -c 'echo half done; exit 3'")
    with host.sudo(member):
        assert host.run("touch /var/lib/intermission/.shop.jobs/order.json").rc != 0
    unit = "intermission-shop-job.service"
    wait_until(lambda: host.run(f"systemctl is-failed {unit}").rc == 0, "the job's unit has failed")
    failed = journal(host, 1)[0]
    assert (failed["event"], failed["status"], failed["output"]) == ("job failed", 3, ["half done"])
    end_soon(host)
    wait_until(lambda: "OVERDUE, JOB FAILED" in host.check_output("intermission status shop"), "the end has come")
    host.check_output(f"systemctl start {UNIT}.service")
    assert site.ask(node).kind == "maintenance"


def test_nothing_runs_while_nothing_is_scheduled(host: Host) -> None:
    host.check_output(f"systemctl start {UNIT}.service")
    assert host.check_output(f"systemctl show --property ConditionResult {UNIT}.service") == "ConditionResult=no"
    assert host.service(f"{UNIT}.timer").is_running
    assert host.service(f"{UNIT}.path").is_running
