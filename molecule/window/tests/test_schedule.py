"""Scheduled windows: hosts open and close them by themselves, whatever happens to them meanwhile."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from driving import Run, wait_until
from fleet import Fleet, await_systemd, reboot

testinfra_hosts = ["ansible://shop"]

STATE = "/var/lib/intermission/shop"
UNIT = "intermission-shop-schedule"
UNITS = f"{UNIT}.timer {UNIT}.path {UNIT}.service"
FLIP = "playbooks/maintenance_flip.yml"
JOB = "intermission-shop-job.service"


@pytest.fixture(autouse=True)
def nothing_scheduled(site: Fleet) -> Iterator[None]:
    """Each test finds open hosts on which nothing is scheduled, and leaves none behind that is not so."""
    yield
    for host in site.connections():
        host.check_output(f"touch /root/go; rm -f {STATE}/windows/*/scheduled; intermission off shop --force")
        host.check_output(f"rm -rf {STATE}/windows/*; systemctl reset-failed {JOB}; rm /root/go")
    wait_until(lambda: site.kinds() == {"app"}, "all hosts are open")


@pytest.fixture
def member(host: Host) -> Iterator[str]:
    """Somebody who may schedule windows and is not root."""
    host.check_output("useradd --groups intermission grace")
    yield "grace"
    host.check_output("userdel grace")


def end_soon(host: Host, seconds: int = 15) -> None:
    """Let the host's window end in a moment, by the host's own clock."""
    host.check_output(f'intermission extend shop --until "$(date --utc --date="{seconds} seconds" +%FT%TZ)"')


def await_instant(instant: str) -> None:
    """Wait while hosts are off, whose clock is this machine's."""
    wait_until(lambda: datetime.now(UTC).isoformat() > instant.replace("Z", "+00:00"), f"it is {instant}")


def journal(host: Host) -> list[dict[str, Any]]:
    return [json.loads(line) for line in host.check_output(f"cat {STATE}/journal.jsonl || true").splitlines()]


def events(host: Host, last: int) -> list[str]:
    """Give the last events of a host's journal, or where the number is negative, all but the first ones."""
    return [entry["event"] for entry in journal(host)[-last:]]


def await_event(host: Host, event: str) -> None:
    wait_until(lambda: events(host, 1) == [event], f"the last line of the journal is: {event}")


def await_opening(site: Fleet, node: str) -> None:
    wait_until(lambda: site.ask(node).kind == "app", f"{node} is open")


def await_closing(site: Fleet, node: str) -> None:
    wait_until(lambda: site.ask(node).kind == "maintenance", f"{node} is closed")


def await_openings(host: Host, lines: int, times: int) -> None:
    """Wait until a host has opened so many windows since its journal had so many lines."""
    wait_until(lambda: events(host, -lines).count("opened") >= times, f"windows that were opened: {times}")


def windows(host: Host) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(host.check_output("intermission list shop --json"))["windows"]
    return listed


def states(host: Host) -> list[str]:
    return [window["state"] for window in windows(host)]


def schedule(site: Fleet, *arguments: str, **variables: object) -> Run:
    named = {f"maintenance_window_{name}": value for name, value in variables.items()}
    return site.playbook("playbooks/maintenance_schedule.yml", *arguments, **named)


def test_hosts_that_are_armed_open_and_close_by_themselves_when_their_controller_is_killed(
    site: Fleet, record: Path
) -> None:
    hosts = site.connections()
    known = [len(journal(host)) for host in hosts]
    with site.visitors(record, 2, "tiny"):
        controller = site.start_playbook(FLIP, maintenance_window_lead=60, maintenance_window_for="20s")
        for host in hosts:
            await_event(host, "scheduled")
        controller.kill()
        controller.communicate()
        for host in hosts:
            await_event(host, "closed")
    for host, lines in zip(hosts, known, strict=True):
        scheduled, opened, closed = journal(host)[lines:]
        assert (scheduled["event"], opened["event"], closed["event"]) == ("scheduled", "opened", "closed")
        assert opened["at"] >= scheduled["start"].rstrip("Z")
        assert closed["at"] >= scheduled["until"].rstrip("Z")
    seen = site.verdict(record)
    assert seen["unexpected"] == 0, seen["first_unexpected"]
    assert set(seen["classes"]) == {"app 1", "maintenance"}


def test_a_reboot_before_the_begin_and_one_inside_the_window_change_nothing(
    host: Host, site: Fleet, node: str, member: str
) -> None:
    with host.sudo(member):
        host.check_output("intermission schedule shop --from 'in 20s' --for 1h --reason '<disk>'")
    reboot(host)
    await_closing(site, node)
    reboot(host)
    assert site.first_answer(node).kind == "maintenance"
    assert "&lt;disk&gt;" in site.ask(node).body
    assert events(host, 2) == ["scheduled", "opened"]
    with host.sudo(member):
        end_soon(host)
    await_opening(site, node)
    assert events(host, 3) == ["opened", "extended", "closed"]


def test_a_host_that_is_off_at_the_begin_closes_before_it_lets_anybody_in_and_one_at_the_end_opens_so(
    host: Host, site: Fleet, node: str
) -> None:
    host.check_output(f"systemctl stop {UNITS}")
    host.check_output("intermission schedule shop --from 'in 1s' --for 1h")
    begins = windows(host)[0]["start"]
    site.cut_power(node)
    await_instant(begins)
    assert site.turn_on(node).kind == "maintenance"
    assert site.ask(node, "/orders/", "POST").kind == "maintenance"
    await_systemd(host)
    assert states(host) == ["open"]
    host.check_output(f"systemctl stop {UNITS}")
    end_soon(host)
    ends = windows(host)[0]["end"]
    site.cut_power(node)
    await_instant(ends)
    assert site.turn_on(node).kind == "app"
    await_systemd(host)
    assert events(host, 4) == ["scheduled", "opened", "extended", "closed"]


def test_a_host_that_was_off_from_begin_to_end_opens_nothing(host: Host, site: Fleet, node: str) -> None:
    host.check_output(f"systemctl stop {UNITS}")
    host.check_output("intermission schedule shop --from 'in 1s' --for 1s")
    ends = windows(host)[0]["end"]
    site.cut_power(node)
    await_instant(ends)
    assert site.turn_on(node).kind == "app"
    await_systemd(host)
    assert states(host) == ["missed"]
    assert events(host, 2) == ["scheduled", "missed"]


def test_what_recurs_comes_again_after_a_reboot_until_it_is_cancelled(site: Fleet) -> None:
    hosts = site.connections()
    known = [len(journal(host)) for host in hosts]
    for host in hosts:
        host.check_output("intermission schedule shop --from '*:*:20 UTC' --for 10s --reason disk")
        window = next(window for window in windows(host) if window["state"] == "scheduled")
        assert (window["recurs"], window["reason"], len(window["following"])) == ("*:*:20 UTC", "disk", 10)
    for host, lines in zip(hosts, known, strict=True):
        await_openings(host, lines, 1)
        reboot(host)
    for host, lines in zip(hosts, known, strict=True):
        await_openings(host, lines, 2)
    for host in hosts:
        host.check_output("intermission cancel shop %s", windows(host)[-1]["id"])
    wait_until(lambda: {*chain(*map(states, hosts))} <= {"missed"}, "what was open or about to is over")
    assert site.kinds() == {"app"}


def test_windows_that_overlap_are_refused_or_become_one_and_are_cancelled_on_all_hosts(site: Fleet) -> None:
    hosts = site.connections()
    at = {"from": "2099-12-01T02:00Z", "for": "1h", "pass": True}
    passing = schedule(site, schedule="present", **at)
    assert passing.status == 0, passing.output
    (secret,) = re.findall(r"/_intermission/pass/(\w+)", passing.output)
    later = {"from": "2099-12-01T02:30Z", "for": "2h"}
    refused = schedule(site, schedule="present", **later)
    assert refused.status != 0
    for node in site.urls:
        assert f"{node}: shop has the window window-20991201T020000 from " in refused.words
    assert [[window["end"] for window in windows(host)] for host in hosts] == [["2099-12-01T03:00:00Z"]] * 2
    merged = schedule(site, schedule="present", overlap="merge", **later)
    assert merged.status == 0, merged.output
    assert schedule(site, schedule="extended", until="2099-12-01T05:00Z").status == 0
    for host in hosts:
        (window,) = windows(host)
        assert (window["start"], window["end"]) == ("2099-12-01T02:00:00Z", "2099-12-01T05:00:00Z")
        assert host.check_output(f"ls {STATE}/windows/*/passes") == secret
    assert schedule(site, schedule="cancelled").status == 0
    assert [windows(host) for host in hosts] == [[], []]
    assert site.kinds() == {"app"}


def schedule_job(site: Fleet, node: str, command: str) -> None:
    """Schedule a window that runs a command, on one host, from a moment on."""
    run = schedule(site, "--limit", node, schedule="present", command=command, **{"from": "in 5s", "for": "1h"})
    assert run.status == 0, run.output


def test_a_job_runs_when_its_window_has_opened_and_keeps_it_until_it_is_done(
    host: Host, site: Fleet, node: str
) -> None:
    schedule_job(site, node, f"/bin/sh -c 'test -e {STATE}/on && until test -e /root/go; do sleep 0.2; done'")
    await_event(host, "job begun")
    end_soon(host)
    wait_until(lambda: "OVERDUE" in host.check_output("intermission status shop"), "the window's end has come")
    assert site.ask(node).kind == "maintenance"
    host.check_output("touch /root/go")
    await_opening(site, node)
    assert events(host, 5) == ["opened", "job begun", "extended", "job done", "closed"]


def test_a_job_that_fails_keeps_visitors_out_and_its_unit_has_failed(
    host: Host, site: Fleet, node: str, member: str
) -> None:
    schedule_job(site, node, "/bin/sh -c 'echo half done; exit 3'")
    with host.sudo(member):
        assert host.run("touch /var/lib/intermission/.shop.jobs/order.json").rc != 0
    wait_until(lambda: host.run(f"systemctl is-failed {JOB}").rc == 0, "the job's unit has failed")
    failed = journal(host)[-1]
    assert (failed["event"], failed["status"], failed["output"]) == ("job failed", 3, ["half done"])
    end_soon(host)
    wait_until(lambda: "OVERDUE, JOB FAILED" in host.check_output("intermission status shop"), "the end has come")
    host.check_output(f"systemctl start {UNIT}.service")
    assert site.ask(node).kind == "maintenance"


def test_a_job_that_a_reboot_cuts_short_is_not_run_again_and_keeps_visitors_out(
    host: Host, site: Fleet, node: str
) -> None:
    schedule_job(site, node, "/bin/sh -c 'echo run >> /root/runs; sleep 1000000'")
    wait_until(lambda: host.file("/root/runs").exists, "the job runs")
    site.cut_power(node)
    assert site.turn_on(node).kind == "maintenance"
    await_systemd(host)
    await_event(host, "job failed")
    assert site.ask(node).kind == "maintenance"
    assert host.check_output("cat /root/runs; rm /root/runs") == "run"
    assert "JOB FAILED" in host.check_output("intermission status shop")


def test_nothing_runs_while_nothing_is_scheduled(host: Host) -> None:
    host.check_output(f"systemctl start {UNIT}.service")
    assert host.check_output(f"systemctl show --property ConditionResult {UNIT}.service") == "ConditionResult=no"
    assert host.service(f"{UNIT}.timer").is_running
    assert host.service(f"{UNIT}.path").is_running
