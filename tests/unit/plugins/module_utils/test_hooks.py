"""Hooks around opening and closing: when they run, in which order, with what, and what a failing one does."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import command_line, hooks
from ansible_collections.intermission.django.plugins.module_utils.hooks import (
    HookError,
    Hooks,
    close_window,
    follow_schedule,
    open_window,
)
from ansible_collections.intermission.django.plugins.module_utils.schedule import SOURCE, Schedule
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, Window
from ansible_collections.intermission.django.plugins.module_utils.times import parse_instant

from driving import wait_until

WINDOW = Window("disk", "shop", "2026-12-01T01:00:00Z", "2999-12-01T02:00:00Z", reason="Disk\nis <changed>")
EVENTS = ("before-open", "after-open", "before-close", "after-close")
RunModule = Callable[..., dict[str, Any]]


class Host:
    """A site with hooks that write down that they have run."""

    def __init__(self, site: StateDirectory, path: Path) -> None:
        self.site, self.root, self.record = site, path / "hooks", path / "ran"
        self.record.touch()

    @property
    def hooks(self) -> Hooks:
        return Hooks(str(self.root), self.site)

    def add(self, event: str, name: str = "50-tell", then: str = "", mode: int = 0o755) -> Path:
        place = self.root / f"{event}.d"
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        hook = place / name
        hook.write_text(f"#!/bin/sh\necho {event} {name} >> {self.record}\n{then}\n")
        hook.chmod(mode)
        return hook

    def ran(self) -> list[str]:
        lines = self.record.read_text().splitlines()
        self.record.write_text("")
        return lines

    def events(self) -> list[str]:
        return [entry["event"] for entry in self.site.journal(99)]


@pytest.fixture
def host(site: StateDirectory, tmp_path: Path) -> Host:
    return Host(site, tmp_path)


def test_hooks_run_in_the_order_of_their_names_on_both_sides(host: Host) -> None:
    for event in EVENTS:
        for name in ("90-last", "10-first"):
            host.add(event, name, then=f"if test -L {host.site.flag}; then echo closed >> {host.record}; fi")
    assert open_window(host.site, host.hooks, WINDOW, "ada", "here")[0]
    assert host.ran() == [
        *("before-open 10-first", "before-open 90-last"),
        *("after-open 10-first", "closed", "after-open 90-last", "closed"),
    ]
    assert close_window(host.site, host.hooks, "ada", "here")[0]
    assert host.ran() == [
        *("before-close 10-first", "closed", "before-close 90-last", "closed"),
        *("after-close 10-first", "after-close 90-last"),
    ]


def test_hooks_run_only_where_something_is_done(host: Host) -> None:
    for event in EVENTS:
        host.add(event)
    assert close_window(host.site, host.hooks, "ada", "here") == (False, [])
    assert open_window(host.site, host.hooks, WINDOW, "ada", "here") == (True, [])
    assert open_window(host.site, host.hooks, WINDOW, "ada", "here") == (False, [])
    assert host.ran() == ["before-open 50-tell", "after-open 50-tell"]
    assert open_window(host.site, host.hooks, WINDOW, "ada", "here", "a" * 43)[0], "it has another secret"
    assert len(host.ran()) == 2
    assert close_window(host.site, host.hooks, "ada", "here", only="another") == (False, [])
    assert close_window(host.site, host.hooks, "ada", "here") == (True, [])
    assert host.ran() == ["before-close 50-tell", "after-close 50-tell"]


def test_what_a_hook_is_told_and_what_not(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_PASSWORD", "secret")
    host.add("after-open", then=f"env > {tmp_path}/env; cat >> {tmp_path}/env; pwd >> {tmp_path}/env")
    open_window(host.site, host.hooks, WINDOW, "ada", "192.0.2.7", "a" * 43)
    text = (tmp_path / "env").read_text()
    told = dict(re.findall(r"^INTERMISSION_(\w+)=(.*)$", text, re.MULTILINE))
    assert told == {
        "EVENT": "after-open",
        "SITE": "shop",
        "WINDOW": "disk",
        "REASON": "Disk?is <changed>",
        "START": WINDOW.start,
        "END": WINDOW.end,
        "BY": "ada",
        "FROM": "192.0.2.7",
    }
    assert "secret" not in text
    assert "aaaa" not in text
    assert set(re.findall(r"^(\w+)=", text, re.MULTILINE)) - {f"INTERMISSION_{name}" for name in told} <= {
        *("PATH", "LANG", "HOME"),
        *("PWD", "SHLVL", "_", "OLDPWD"),
    }
    assert text.endswith("\n/\n")


def test_a_hook_that_fails_before_a_window_is_opened_stops_that(host: Host) -> None:
    host.add("before-open", "10-look", then="echo not; echo 'now!' >&2; exit 3")
    host.add("before-open", "20-silence")
    host.add("after-open")
    with pytest.raises(HookError, match=r"10-look ended with 3: not now!\. So shop is left as it was"):
        open_window(host.site, host.hooks, WINDOW, "ada", "here")
    assert (host.ran(), host.site.status()["on"]) == (["before-open 10-look"], False)
    (entry,) = host.site.journal(9)
    assert (entry["event"], entry["hook"], entry["how"], entry["by"]) == (
        *("hook failed", "before-open.d/10-look"),
        *("ended with 3", "ada"),
    )
    assert "now!" not in host.site.journal_file.read_text()
    assert open_window(host.site, Hooks(None, host.site), WINDOW, "ada", "here") == (True, [])


def test_a_deploy_goes_on_where_a_hook_fails(host: Host) -> None:
    host.add("before-open", "10-look", then="exit 1")
    host.add("before-open", "20-silence")
    window = Window("deploy-1", "shop", WINDOW.start)
    opened, faults = open_window(host.site, host.hooks, window, "ada", "here")
    assert (opened, len(faults), len(host.ran())) == (True, 1, 2)


@pytest.mark.parametrize("event", ["after-open", "before-close", "after-close"])
def test_no_other_hook_stops_anything_and_each_that_fails_is_told(host: Host, event: str) -> None:
    host.add(event, "10-wrong", then="exit 1")
    host.add(event, "20-killed", then="kill -9 $$")
    host.add(event, "30-right")
    opened, faults = open_window(host.site, host.hooks, WINDOW, "ada", "here")
    closed, more = close_window(host.site, host.hooks, "ada", "here")
    assert (opened, closed, host.site.status()["on"]) == (True, True, False)
    assert [fault.partition(f"{event}.d/")[2] for fault in faults + more] == [
        "10-wrong ended with 1",
        "20-killed was ended by signal 9",
    ]
    assert len(host.ran()) == 3
    assert sorted(host.events()) == ["closed", "hook failed", "hook failed", "opened"]


def test_a_hook_that_hangs_is_ended_with_what_it_has_started(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "SECONDS", 0.5)
    host.add("after-open", then=f"sleep 1000 & echo $! > {tmp_path}/pid; wait")
    host.add("after-close", then=f"sleep 1000 & echo $! > {tmp_path}/pid; exit 0")
    _, faults = open_window(host.site, host.hooks, WINDOW, "ada", "here")
    assert faults[0].endswith("was not over after 0.5 s, and was ended")
    state = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/stat")
    wait_until(lambda: not state.exists() or state.read_text().split()[2] in "ZX", "it has ended")
    assert close_window(host.site, host.hooks, "ada", "here") == (True, []), "what goes on behind it is not waited for"
    os.kill(int((tmp_path / "pid").read_text()), 9)


def test_what_is_no_hook_is_left_out(host: Host, tmp_path: Path) -> None:
    host.add("after-open", "50-tell.dpkg-old")
    host.add("after-open", "50-tell~")
    host.add("after-open", "60-off", mode=0o644)
    (host.root / "after-open.d" / "70-directory").mkdir()
    (host.root / "after-open.d" / "80-gone").symlink_to("/nowhere")
    (host.root / "before-open.d").write_text("")
    assert open_window(host.site, host.hooks, WINDOW, "ada", "here") == (True, [])
    assert host.ran() == []
    assert close_window(host.site, Hooks(str(tmp_path / "none"), host.site), "ada", "here") == (True, [])


def test_a_hook_without_an_interpreter_fails(host: Host) -> None:
    host.add("after-open").write_text("\x7fnothing")
    _, (fault,) = open_window(host.site, host.hooks, WINDOW, "ada", "here")
    assert fault.endswith("cannot be run: Exec format error")


@pytest.mark.parametrize("place", ["hook", "event", "root", "target"])
def test_what_others_may_write_is_not_run(host: Host, place: str, tmp_path: Path) -> None:
    hook = host.add("after-open")
    target = tmp_path / "shared" / "tell"
    target.parent.mkdir()
    hook.rename(target)
    hook.symlink_to(target)
    wide = {"hook": target, "event": hook.parent, "root": host.root, "target": target.parent}[place]
    wide.chmod(0o777)
    _, (fault,) = open_window(host.site, host.hooks, WINDOW, "ada", "here")
    assert fault.endswith(f"is not run, as others than its owner may write to {wide}")
    assert host.ran() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a hook away")
def test_what_belongs_to_another_is_not_run(host: Host) -> None:
    hook = host.add("before-open")
    os.chown(hook, 4242, -1)
    with pytest.raises(HookError, match="does not belong to root"):
        open_window(host.site, host.hooks, WINDOW, "ada", "here")
    assert host.ran() == []


def now() -> datetime:
    return datetime.now(UTC)


def test_what_the_schedule_does_is_followed_once(host: Host, tmp_path: Path) -> None:
    host.add("after-open", then=f"echo $INTERMISSION_WINDOW $INTERMISSION_END $INTERMISSION_BY >> {host.record}")
    host.add("after-close", then="exit 1")
    assert follow_schedule(host.site, host.hooks, now()) == [], "there is no journal yet"
    host.site.stage(WINDOW)
    host.site.record("opened", "ada", SOURCE, now() - timedelta(hours=1), window="disk")
    host.site.record("opened", "ada", SOURCE, window="disk", until="then")
    assert follow_schedule(host.site, host.hooks, now()) == []
    assert host.ran() == ["after-open 50-tell", f"disk {WINDOW.end} ada"], "what is long ago is left out"
    assert follow_schedule(host.site, host.hooks, now() + timedelta(minutes=50)) == []
    host.site.record("opened", "ada", "192.0.2.7", window="disk")
    host.site.record("scheduled", "ada", SOURCE, window="disk")
    host.site.record("closed", "ada", SOURCE, window="disk")
    (fault,) = follow_schedule(host.site, host.hooks, now() + timedelta(minutes=50))
    assert fault.endswith("after-close.d/50-tell ended with 1")
    assert host.ran() == ["after-close 50-tell"]
    host.site.journal_file.write_text("")
    assert follow_schedule(host.site, host.hooks, now()) == []
    evil = host.site.path.parent / "evil" / "window.json"
    evil.parent.mkdir()
    evil.write_text(WINDOW.to_json())
    host.site.record("opened", "ada", SOURCE, window="../../evil", until="then")
    follow_schedule(host.site, host.hooks, now())
    assert host.ran() == ["after-open 50-tell", "../../evil then ada"]


def test_a_scheduled_window_from_begin_to_end(host: Host) -> None:
    for event in EVENTS:
        host.add(event, then=f"echo $INTERMISSION_WINDOW $INTERMISSION_START $INTERMISSION_BY >> {host.record}")
    schedule = Schedule(host.site)
    window = replace(WINDOW, start="2998-12-01T01:00:00Z", opened_by="ada", expires=True)
    schedule.add(window, None, "ada", "here")
    for instant in (window.start, window.end):
        schedule.settle(parse_instant(str(instant)))
        assert host.ran() == [], "nothing holds up the instant"
        follow_schedule(host.site, host.hooks, now())
        event = "after-open" if instant == window.start else "after-close"
        assert host.ran() == [f"{event} 50-tell", f"disk {window.start} ada"]


def test_what_comes_while_a_hook_runs_is_followed_too_and_what_is_no_entry_is_passed_over(host: Host) -> None:
    line = json.dumps({"at": now().isoformat(), "event": "closed", "by": "ada", "from": SOURCE, "window": "disk"})
    host.add("after-open", then=f"echo '{line}' >> {host.site.journal_file}")
    host.add("after-close")
    host.site.record("opened", "ada", SOURCE, window="disk")
    host.site.journal_file.write_text(f"[]\n{'[' * 100_000}\nnull\n{host.site.journal_file.read_text()}")
    follow_schedule(host.site, host.hooks, now())
    assert host.ran() == ["after-open 50-tell", "after-close 50-tell"]
    with host.site.journal_file.open("a") as stream:
        stream.write(line)
    follow_schedule(host.site, host.hooks, now())
    assert host.ran() == [], "a line that is not whole yet"
    with host.site.journal_file.open("a") as stream:
        stream.write("\n")
    follow_schedule(host.site, host.hooks, now())
    assert host.ran() == ["after-close 50-tell"]
    host.site.remove()
    assert not host.site.path.parent.exists()


def test_a_hook_that_is_put_in_again_does_not_run_for_what_is_long_ago(host: Host) -> None:
    host.site.record("opened", "ada", "here")
    follow_schedule(host.site, host.hooks, now())
    host.add("after-open")
    host.add("after-close")
    host.site.record("opened", "ada", SOURCE, now() - timedelta(hours=2), window="disk")
    host.site.record("closed", "ada", SOURCE, now() - timedelta(minutes=50), window="disk")
    follow_schedule(host.site, host.hooks, now())
    assert host.ran() == ["after-close 50-tell"]


def test_what_is_no_entry_keeps_no_hook_behind_it_from_running(host: Host) -> None:
    host.add("after-open", then="exit 1")
    host.add("after-close")
    host.site.journal_file.write_text("\n")
    follow_schedule(host.site, host.hooks, now())
    odd = {"at": now().isoformat(), "event": "opened", "by": "\ud800", "from": SOURCE, "window": "\0"}
    host.site.journal_file.write_text(f"\n1\nnull\n{'[' * 20_000}\n{json.dumps(odd)}\n")
    host.site.record("closed", "ada", SOURCE, window="disk")
    assert len(follow_schedule(host.site, host.hooks, now())) == 1
    assert host.ran() == ["after-open 50-tell", "after-close 50-tell"]


def test_of_a_journal_that_somebody_has_made_huge_only_the_end_is_followed(host: Host) -> None:
    host.add("after-open")
    host.add("after-close")
    host.site.journal_file.write_text("\n")
    follow_schedule(host.site, host.hooks, now())
    host.site.record("opened", "ada", SOURCE, window="disk")
    os.truncate(host.site.journal_file, 2**20)
    host.site.record("closed", "ada", SOURCE, window="disk")
    follow_schedule(host.site, host.hooks, now())
    assert host.ran() == ["after-close 50-tell"]


def test_the_command_runs_them_or_not(
    host: Host, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "nginx_fault", lambda directory: None)

    def command(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        status = command_line.main([*arguments], str(host.site.path.parent), str(host.root))
        return status, capsys.readouterr().err

    host.add("before-open", then="exit 1")
    host.add("after-close", then="exit 1")
    status, said = command("on", "shop")
    assert (status, host.site.status()["on"]) == (1, False)
    assert said.endswith("see to that, or leave the hooks out: --no-hooks\n")
    assert command("on", "shop", "--no-hooks") == (0, "")
    status, said = command("off", "shop")
    assert (status, host.site.status()["on"]) == (0, False)
    assert re.fullmatch(r"intermission: the hook \S+/after-close.d/50-tell ended with 1\n", said)
    host.site.record("closed", "ada", SOURCE, window="disk")
    assert "after-close.d/50-tell ended with 1" in command("hooks", "shop")[1]


def test_the_module_runs_them_but_not_in_check_mode(host: Host, run_module: RunModule) -> None:
    about = {"state_root": str(host.site.path.parent), "site": "shop", "hooks": str(host.root), "by": "ada"}
    window = {**about, "state": "open", "id": "disk", "start": WINDOW.start}
    veto = host.add("before-open", then="exit 1")
    host.add("after-close", then="exit 1")
    assert run_module("maintenance_window", window, True)["changed"] is True
    assert host.ran() == []
    assert run_module("maintenance_window", window)["msg"].endswith("hooks out: -e maintenance_window_hooks_directory=")
    veto.unlink()
    assert run_module("maintenance_window", window)["changed"] is True
    closed = run_module("maintenance_window", {**about, "state": "closed"})
    assert closed["changed"] is True
    assert "after-close.d/50-tell ended with 1" in str(closed["warnings"])
