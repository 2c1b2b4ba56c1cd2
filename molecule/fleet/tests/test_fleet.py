"""Eight web hosts behind a balancer are closed and opened at one instant, or none is; one of them is gone, or its clock is wrong."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from driving import Run, wait_until
from fleet import Fleet

STATE = "/var/lib/intermission/shop"
FLIP = "playbooks/maintenance_flip.yml"
GONE = "web1.example.com"  # The first one, on which a run does what is done once
SHIFTED = {GONE: "+60s", "web2.example.com": "-60s"}
Silent = Callable[[str], AbstractContextManager[Host]]


@pytest.fixture(autouse=True)
def open_hosts(site: Fleet) -> Iterator[None]:
    """Each test leaves open hosts on which nothing is scheduled."""
    yield
    for host in site.connections():
        host.check_output(f"rm -f {STATE}/windows/*/scheduled; test ! -e {STATE}/on || intermission off shop --force")
    assert site.kinds() == {"app"}


def journal(host: Host, last: int) -> list[dict[str, Any]]:
    return [json.loads(line) for line in host.check_output(f"tail -n {last} {STATE}/journal.jsonl").splitlines()]


def events(host: Host, last: int) -> list[str]:
    return [entry["event"] for entry in journal(host, last)]


def behind(entry: dict[str, Any], instant: str) -> float:
    """Give the seconds from an instant to what a journal says."""
    return (datetime.fromisoformat(entry["at"]) - datetime.fromisoformat(instant)).total_seconds()


def flip(site: Fleet, *arguments: str, lead: int = 600) -> Run:
    """Close all hosts; where they are not to flip, nobody waits for the instant."""
    variables = {"lead": lead, "for": "1h", "reason": "<disk>"}
    return site.playbook(FLIP, *arguments, **{f"maintenance_window_{name}": value for name, value in variables.items()})


def assert_nothing_flips(site: Fleet, refused: Run, *at_fault: str) -> None:
    """All hosts are open, and no window waits on any; those that were not at fault have taken theirs back."""
    assert refused.status != 0
    assert "So it is not scheduled on the others either." in refused.words
    assert site.kinds() == {"app"}
    for node, host in zip(site.urls, site.connections(), strict=True):
        assert host.run(f"ls -d {STATE}/windows/*/scheduled").failed, node
        if node not in at_fault:
            assert events(host, 2) == ["scheduled", "cancelled"], node


def test_all_hosts_close_at_one_instant_and_open_at_another(
    site: Fleet, note_skews: Callable[[str, Sequence[float]], None]
) -> None:
    run = flip(site, lead=60)
    assert run.status == 0, run.output
    rows = re.findall(r"^(\S+) +shop +closed .* ms +closed$", run.output, re.MULTILINE)
    assert rows == list(site.urls), run.output
    assert all("&lt;disk&gt;" in site.ask(node).body for node in site.urls)
    ends = (datetime.now(UTC) + timedelta(seconds=90)).isoformat(timespec="seconds")
    run = site.playbook(
        "playbooks/maintenance_schedule.yml", maintenance_window_schedule="extended", maintenance_window_until=ends
    )
    assert run.status == 0, run.output
    wait_until(lambda: site.kinds() == {"app"}, "all hosts are open")
    lines = [journal(host, 4) for host in site.connections()]
    assert {tuple(entry["event"] for entry in last) for last in lines} == {
        ("scheduled", "opened", "extended", "closed")
    }
    (begins,) = {last[0]["start"] for last in lines}
    closings, openings = [behind(last[1], begins) for last in lines], [behind(last[3], ends) for last in lines]
    assert min(closings + openings) >= 0
    note_skews("closed", closings)
    note_skews("opened", openings)


def test_nothing_flips_where_one_host_cannot_be_reached_to_be_armed(site: Fleet, silent: Silent) -> None:
    with silent(GONE):
        refused = flip(site)
    assert re.search(rf"{GONE}: .* (over|via) ssh", refused.output), refused.output
    assert_nothing_flips(site, refused, GONE)


def test_nothing_flips_where_the_clocks_of_hosts_are_wrong(site: Fleet, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yml"
    pythons = {}
    for node, shift in SHIFTED.items():
        pythons[node] = {"ansible_python_interpreter": f"/usr/local/bin/python3{shift}"}
        program = f'#!/bin/sh\nexec faketime -f {shift} /usr/bin/python3 "$@"\n'
        site.console(node).check_output(
            f"printf %s {shlex.quote(program)} > /usr/local/bin/python3{shift}; chmod 755 /usr/local/bin/python3{shift}"
        )
    wrong.write_text(json.dumps({"all": {"hosts": pythons}}))
    refused = flip(site, "--inventory", str(wrong))
    for node, side in zip(SHIFTED, ("ahead of", "behind"), strict=True):
        found = rf"{node}: this host's clock is \d+\.\d s {side} the controller's"
        assert re.search(found, refused.words), refused.output
    assert_nothing_flips(site, refused, *SHIFTED)


def test_a_host_that_is_gone_closes_all_the_same_is_named_where_it_should_open_and_opens_by_its_windows_end(
    site: Fleet, silent: Silent
) -> None:
    flipping = site.start_playbook(FLIP, maintenance_window_lead=45, maintenance_window_for="1h")
    assert flipping.stdout
    told = ""
    while f"changed: [{GONE}]" not in told and flipping.poll() is None:  # It is armed, and told so
        told += flipping.stdout.readline()
    with silent(GONE) as console:
        rest, complaints = flipping.communicate()
        told += rest
        assert flipping.returncode == 0, told + complaints
        assert re.search(rf"^{GONE} +shop +unreachable .*closed$", told, re.MULTILINE), told
        assert site.kinds() == {"maintenance"}
        assert events(console, 2) == ["scheduled", "opened"]

        run = site.playbook("playbooks/maintenance_off.yml")
        assert run.status != 0
        assert {node for node, counts in run.recap().items() if counts["unreachable"]} == {GONE}
        assert {node for node in site.urls if site.ask(node).kind == "app"} == set(site.urls) - {GONE}

        alarm = site.playbook("playbooks/maintenance_status.yml")
        assert alarm.status != 0
        assert f"{GONE}: cannot be asked: " in alarm.words
        assert re.search(rf"^{GONE} +shop +- +unreachable +closed", alarm.stdout, re.MULTILINE), alarm.stdout

        console.check_output('intermission extend shop --until "$(date --utc --date="15 seconds" +%FT%TZ)"')
        wait_until(lambda: site.kinds() == {"app"}, "the host that is gone has opened by itself")
        assert events(console, 4) == ["scheduled", "opened", "extended", "closed"]
