"""The jobs of scheduled windows: run once and at their time, whatever members write, and a failure keeps visitors out."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import pwd
import shutil
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import schedule as schedule_module
from ansible_collections.intermission.django.plugins.module_utils import window_job, window_job_run
from ansible_collections.intermission.django.plugins.module_utils.job import Job
from ansible_collections.intermission.django.plugins.module_utils.schedule import OverlapError, Schedule, placed
from ansible_collections.intermission.django.plugins.module_utils.share import let_in
from ansible_collections.intermission.django.plugins.module_utils.state import (
    HeldError,
    StateDirectory,
    StateError,
    Window,
)
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant
from ansible_collections.intermission.django.plugins.module_utils.window_job import Command, parse_command
from ansible_collections.intermission.django.plugins.module_utils.window_job_run import execute, run_job

NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
DAILY = "02:00 UTC"
EACH_MINUTE = "*:* UTC"


def at(hours: float = 0, seconds: float = 0) -> datetime:
    """Give an instant so long after noon."""
    return NOON + timedelta(hours=hours, seconds=seconds)


def comes_again(calendar: str, after: datetime, count: int = 1) -> list[datetime]:
    """Stand for systemd: a calendar that comes once a day at two, and one that comes each minute."""
    first = (
        after.replace(second=0, microsecond=0) if calendar == EACH_MINUTE else after.replace(hour=2, minute=0, second=0)
    )
    pause = {DAILY: timedelta(days=1), EACH_MINUTE: timedelta(minutes=1)}[calendar]
    first += pause if first <= after else timedelta()
    return [first + number * pause for number in range(count)]


class Host:
    """A host with a schedule, a clock that is set by hand, and a program that notes each run."""

    def __init__(self, site: StateDirectory, runs: Path) -> None:
        self.site, self.runs, self.now = site, runs, NOON
        self.asked = 0
        self.schedule = Schedule(site, self.ask)

    def ask(self) -> None:
        """Stand for systemd, which would start the unit."""
        self.asked += 1

    def command(self, then: str = "true", **how: Any) -> Command:
        return Command(("/bin/sh", "-c", f"echo run >> '{self.runs}'; {then}"), **how)

    def add(self, begins: float, ends: float, command: Command | None, **how: Any) -> str:
        """Schedule a window at hours after noon; gives its id."""
        times = {
            "start": format_instant(at(begins)),
            "end": format_instant(at(ends)),
            "calendar": None,
            "seconds": None,
        }
        window, series = placed(Window(id="", site="shop", start="", opened_by="ada"), times, NOON)
        return self.schedule.add(window, series, "ada", "laptop", command=command, **how)[1].id

    def add_daily(self, command: Command) -> str:
        times = {"start": None, "end": None, "calendar": DAILY, "seconds": 1800}
        window, series = placed(Window(id="", site="shop", start="", opened_by="ada"), times, NOON)
        return self.schedule.add(window, series, "ada", "laptop", command=command)[1].id

    def settle(self, hours: float, seconds: float = 0) -> bool:
        """Let the host look at what is due at an instant; gives whether visitors are kept out then."""
        self.now = at(hours, seconds)
        self.schedule.settle(self.now)
        return self.site.flag.exists()

    def run(self) -> str:
        """Let the unit of the job run; gives what it fails with, empty where it ends well."""
        try:
            run_job(Schedule(self.site))
        except StateError as error:
            return str(error)
        return ""

    @property
    def ran(self) -> int:
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0

    @property
    def state(self) -> str | None:
        told = self.schedule.told_job()
        return told["state"] if told else None

    def files(self) -> list[str]:
        return sorted(path.suffix for path in self.site.jobs.iterdir())

    def events(self) -> list[str]:
        return [entry["event"] for entry in self.site.journal(100)]

    def begin(self, process: dict[str, Any] | None = None) -> None:
        """Note that the job of the open window has begun, in this process, or in one that is said."""
        (order,) = self.site.jobs.glob("*.json")
        plan = self.schedule.open_plan()
        assert plan is not None
        job = Job(order.with_suffix(".run"))
        job.do(format_instant(plan.begins), lambda tell: {})
        content = json.loads(job.path.read_text())
        job.path.write_text(
            json.dumps({**content, "result": None, "process": {**content["process"], **(process or {})}})
        )


@pytest.fixture
def host(site: StateDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(site, tmp_path / "runs")
    monkeypatch.setattr(schedule_module, "next_times", comes_again)
    monkeypatch.setattr(window_job, "next_times", comes_again)
    monkeypatch.setattr(schedule_module, "_now", lambda: host.now)
    monkeypatch.setattr(window_job_run, "_now", lambda: host.now)
    return host


def test_it_runs_when_the_window_has_opened_and_once_and_the_window_closes_at_its_end(host: Host) -> None:
    name = host.add(2, 3, host.command())
    assert not host.settle(2, -1)
    assert host.run() == ""
    assert (host.asked, host.ran, host.state) == (0, 0, None)
    assert host.settle(2)
    assert (host.asked, host.state) == (1, "waits")
    assert host.run() == host.run() == ""
    assert (host.ran, host.state) == (1, "done")
    assert host.settle(3, -1)
    assert not host.settle(3)
    assert host.asked == 1
    assert host.events() == ["scheduled", "opened", "job begun", "job done", "closed"]
    done = host.site.journal(2)[0]
    assert (done["window"], done["status"], done["by"], done["from"]) == (name, 0, "ada", "its schedule")


def test_it_closes_the_window_where_it_is_to(host: Host) -> None:
    host.add(2, 3, host.command(closes=True))
    assert host.settle(2)
    assert host.run() == ""
    assert not host.site.flag.exists()


def test_no_share_of_the_visitors_is_let_in_before_it_has_ended(host: Host) -> None:
    host.add(1, 2, host.command())
    host.settle(1)
    assert host.state == "waits"
    with pytest.raises(StateError, match="the job of a window of shop waits, and visitors would meet"):
        let_in(host.site, 10, "ada", "here")
    host.run()
    assert let_in(host.site, 10, "ada", "here")


def test_it_closes_the_window_at_once_where_the_end_has_passed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def takes_hours(command: Command) -> dict[str, Any]:
        assert host.settle(3)
        assert host.settle(6)
        assert host.state == "runs"
        return {"status": 0, "fault": None, "output": []}

    monkeypatch.setattr(window_job_run, "execute", takes_hours)
    host.add(2, 3, host.command())
    assert host.settle(2)
    assert host.run() == ""
    assert not host.site.flag.exists()
    assert host.events()[-2:] == ["job done", "closed"]


def test_a_failure_keeps_visitors_out_and_is_told_without_what_steers_a_terminal(
    host: Host, capfd: pytest.CaptureFixture[str]
) -> None:
    says = "seq 20; printf 'caf\\303\\251 \\033[31mred\\007\\n' >&2; exit 3"
    name = host.add(2, 3, host.command(says, closes=True))
    rewrite(host.site.windows / name / "window.json", site="shop; reboot")  # A member's word
    host.settle(2)
    said = host.run()
    assert said.startswith(f"the job of {name} ended with 3. shop stays closed")
    assert said.endswith("intermission off shop")
    failed = host.site.journal(1)[0]
    assert (failed["event"], failed["fault"], failed["status"]) == ("job failed", "ended with 3", 3)
    assert failed["output"] == [*map(str, range(12, 21)), "café ?[31mred?"]
    assert capfd.readouterr().out.endswith("20\ncafé ?[31mred?\n")
    assert host.settle(3)
    assert host.settle(24)
    assert host.run() == said
    told = host.schedule.told_job()
    assert told is not None
    assert (told["window"], told["state"], told["failed"], told["fault"], told["output"][-1]) == (
        name,
        "failed",
        True,
        "ended with 3",
        "café ?[31mred?",
    )
    assert (host.ran, host.asked, host.events().count("job failed")) == (1, 1, 1)
    assert host.site.close("bob", "desk")
    assert host.state is None
    assert not host.settle(24, 1)


@pytest.mark.parametrize(
    ("words", "seconds", "status", "fault"),
    [
        (("/bin/sh", "-c", "kill -KILL $$"), None, -signal.SIGKILL, "was killed by SIGKILL"),
        (("/bin/sh", "-c", "echo on; exec sleep 600"), 0.2, -signal.SIGTERM, "took longer than 0.2 s, and was ended"),
        (("/bin/sh", "-c", "exec >&- 2>&-; sleep 600"), 0.2, -signal.SIGTERM, "took longer than 0.2 s, and was ended"),
        (("/nowhere/program",), None, None, "could not be started: [Errno 2] No such file or directory"),
        (("/bin/sh", "-c", 'test -z "$(cat)$SECRET" && test "$PWD" = / && test -n "$HOME"'), 60, 0, None),
    ],
)
def test_how_a_command_ends(
    words: tuple[str, ...],
    seconds: float | None,
    status: int | None,
    fault: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET", "root's")
    result = execute(Command(words, seconds=seconds))
    assert result["status"] == status
    assert str(result["fault"]).startswith(str(fault))
    assert result["output"] == (["on"] if "echo on" in words[-1] else [])


def test_what_it_leaves_behind_is_not_waited_for(tmp_path: Path) -> None:
    goes_on, over = tmp_path / "goes on", tmp_path / "over"
    goes_on.touch()
    left = f"(for _ in $(seq 100); do test ! -e '{goes_on}' || sleep 0.1; done; touch '{over}') &"
    result = execute(Command(("/bin/sh", "-c", f"echo on; {left} exit 0")))
    assert (result["status"], result["output"]) == (0, ["on"])
    assert not over.exists()
    goes_on.unlink()


def test_what_ignores_that_it_is_to_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_job_run, "GRACE_SECONDS", 0.2)
    result = execute(Command(("/bin/sh", "-c", "trap '' TERM; while true; do sleep 0.1; done"), seconds=0.3))
    assert (result["status"], result["fault"]) == (-signal.SIGKILL, "took longer than 0.3 s, and was ended")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another account")
def test_it_runs_as_the_account_that_was_named() -> None:
    result = execute(Command(("/bin/sh", "-c", "id -un; echo $USER $LOGNAME"), user="nobody"))
    assert (result["fault"], result["output"]) == (None, ["nobody", "nobody nobody"])
    assert "could not be started" in execute(Command(("/bin/true",), user="no one"))["fault"]


def test_while_it_runs_nothing_opens_the_site_or_takes_the_windows_place(host: Host) -> None:
    name = host.add(2, 3, host.command())
    host.add(3, 4, None)
    host.settle(2)
    host.begin()
    for hours in (2.5, 3, 3.5, 5):
        assert host.settle(hours)
        assert host.site.flagged_id() == name
        assert host.run() == ""
    assert (host.state, host.ran, host.asked) == ("runs", 0, 1)
    for only in (None, name):
        with pytest.raises(HeldError, match="the job of a window of shop runs, and visitors would meet"):
            host.site.close("bob", "desk", only)
    assert host.site.close("bob", "desk", force=True)
    assert host.state == "runs"
    with pytest.raises(StateError, match="the job of a window of shop runs: wait for it"):
        host.site.removable()


def test_a_window_in_its_place_does_not_close_while_it_runs_and_a_deploy_closes_its_own(host: Host) -> None:
    host.add(2, 3, host.command())
    host.settle(2)
    host.begin()
    later = Window(id="w", site="shop", start=format_instant(at(2)), end=format_instant(at(2.5)), expires=True)
    host.site.open(later, "bob", "desk")
    assert host.settle(2.5)
    host.site.open(Window(id="deploy-1", site="shop", start=format_instant(at(2))), "bob", "desk")
    assert host.site.close("bob", "desk", only="deploy-1")


@pytest.mark.parametrize("gone", [{"started": "1"}, {"machine": "before the reboot"}])
def test_what_was_interrupted_has_failed_and_is_not_run_again(host: Host, gone: dict[str, Any]) -> None:
    name = host.add(2, 3, host.command())
    host.settle(2)
    host.begin(gone)
    assert host.state == "interrupted"
    assert host.settle(3)
    assert host.asked == 2
    assert host.run().startswith(f"the job of {name} was interrupted, by a reboot or because its unit was stopped. ")
    assert host.run().startswith(f"the job of {name} was interrupted")
    assert host.settle(4)
    assert (host.asked, host.ran, host.state) == (2, 0, "failed")
    assert host.events() == ["scheduled", "opened", "job failed"]


def test_what_recurs_runs_each_time(host: Host) -> None:
    host.add_daily(host.command())
    for day in (0, 24):
        assert host.settle(day + 14)
        assert host.run() == host.run() == ""
        assert not host.settle(day + 14.5)
    assert (host.ran, host.files()) == (2, [".json", ".run"])
    assert host.schedule.cancel(None, "ada", "laptop") == ["window-20261204T020000"]
    assert host.settle(62) is False
    (plan,) = [path for path in host.site.windows.iterdir() if path.name.endswith("03T020000")]
    assert json.loads((plan / "schedule.json").read_text())["job"]


def test_to_end_what_recurs_while_it_is_open_leaves_the_job_of_that_time(host: Host) -> None:
    host.add_daily(host.command())
    assert host.settle(14)
    assert host.schedule.cancel(None, "ada", "laptop") == ["window-20261203T020000"]
    assert host.settle(15)
    host.now = at(14.1)
    assert host.run() == ""
    assert host.ran == 1
    assert not host.settle(15)


def test_a_clock_that_is_set_back_to_an_earlier_time_of_what_recurs_runs_nothing(host: Host) -> None:
    host.add_daily(host.command())
    place = host.site.windows / "window-20261202T020000"
    assert host.settle(38)
    assert host.run() == ""
    rewrite(place / "window.json", id=place.name, start=format_instant(at(14)), end=format_instant(at(14.5)))
    host.site.flag.unlink()
    host.site.flag.symlink_to(f"windows/{place.name}")
    host.now = at(14)
    assert host.run() == ""
    assert (host.ran, host.state) == (1, "done")


def test_of_what_recurs_a_failed_time_is_followed_by_the_next(host: Host) -> None:
    host.add_daily(host.command("exit 1"))
    for day in (0, 24):
        assert host.settle(day + 14)
        assert "ended with 1" in host.run()
        assert host.settle(day + 20)
        host.site.close("ada", "laptop")
    assert host.ran == 2


def test_to_cancel_forgets_it_and_to_extend_lets_it_begin_later(host: Host) -> None:
    host.add(2, 3, host.command())
    assert host.schedule.cancel(None, "ada", "laptop")
    assert host.files() == []
    host.add(2, 3, host.command())
    host.schedule.extend(None, format_instant(at(5)), "ada", "laptop")
    assert host.settle(4)
    assert host.run() == ""
    assert host.ran == 1


def test_a_host_that_comes_back_inside_runs_it_and_one_that_comes_back_after_does_not(host: Host) -> None:
    host.add(2, 3, host.command())
    host.add(4, 5, host.command())
    assert host.settle(4.5)
    assert host.run() == ""
    assert host.ran == 1
    assert "missed" in host.events()


def test_a_clock_that_is_set_back_does_not_run_it_twice_nor_leave_it_alone(host: Host) -> None:
    host.add(2, 3, host.command())
    host.settle(2)
    host.begin()
    assert host.settle(1)
    next(host.site.jobs.glob("*.run")).unlink()
    assert not host.settle(1)
    assert host.settle(2)
    host.run()
    assert not host.settle(1)
    assert host.settle(2)
    host.run()
    assert (host.ran, host.state) == (1, "done")


def test_with_another_command_it_is_another_window_and_becomes_one_with_none(host: Host) -> None:
    name = host.add(2, 3, host.command())
    assert host.add(2, 3, host.command()) == name
    assert host.events() == ["scheduled"]
    for command in (None, host.command("false")):
        with pytest.raises(OverlapError):
            host.add(2, 3, command)
        with pytest.raises(OverlapError, match="What runs a command becomes one with nothing"):
            host.add(2.5, 4, command, merge=True)
    host.add(5, 6, None)
    with pytest.raises(OverlapError, match="What runs a command becomes one with nothing"):
        host.add(5.5, 7, host.command(), merge=True)
    assert host.files() == [".json"]


def test_where_the_window_cannot_be_staged_nothing_is_ordered(
    host: Host, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    with full_disk(600), pytest.raises(OSError, match="File too large"):
        host.add(2, 3, Command(("/bin/true",)), only_tell=False)
        host.add(4, 5, Command(("/bin/echo", "x" * 1000)))
    host.schedule.cancel(None, "ada", "laptop")
    host.site.pages.chmod(0o755)
    for page in host.site.pages.iterdir():
        page.unlink()
    with pytest.raises(StateError):
        host.add(2, 3, host.command())
    assert host.files() == []


def test_on_a_full_disk_it_is_not_run_and_the_site_can_be_opened_all_the_same(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def write(self: Job, content: dict[str, Any]) -> None:
        if content["error"] and not waited:
            raise OSError(errno.ENOSPC, "No space left on device")
        written(self, content)

    def record(self: StateDirectory, event: str, *args: Any, **details: Any) -> None:
        if event == "job begun":
            raise OSError(errno.ENOSPC, "No space left on device")
        recorded(self, event, *args, **details)

    def somebody_opens_the_site(seconds: float) -> None:
        waited.append(seconds)
        lock = os.open(host.site.lock_file, os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(lock)

    host.add(2, 3, host.command())
    host.settle(2)
    written, recorded = Job._write, StateDirectory.record
    monkeypatch.setattr(Job, "_write", write)
    monkeypatch.setattr(StateDirectory, "record", record)
    monkeypatch.setattr("time.sleep", somebody_opens_the_site)
    assert "No space left on device" in host.run()
    assert (waited, host.ran, host.state) == ([1], 0, "failed")


def test_only_telling_orders_nothing(host: Host) -> None:
    host.add(2, 3, host.command(), only_tell=True)
    assert not host.site.jobs.exists()


def rewrite(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_members_cannot_make_it_run_at_another_time(host: Host) -> None:
    """They may set the flag and write any window, and the order alone says when."""
    place = host.site.windows / host.add(2, 3, host.command())
    os.rename(place / "scheduled", host.site.flag)
    assert host.run() == ""
    rewrite(place / "window.json", start=format_instant(at(-1)))
    assert "was not ordered for the time at which its window says that it begins" in host.run()
    host.now = at(2.5)
    assert "was not ordered for the time" in host.run()
    rewrite(place / "window.json", start=format_instant(at(2)), end=format_instant(at(9)))
    host.now = at(3)
    assert "could not begin before the end that was ordered" in host.run()
    host.now = at(2.5)
    assert "could not begin" in host.run()
    assert host.ran == 0


def test_members_cannot_make_it_recur_at_another_time(host: Host) -> None:
    place = host.site.windows / host.add_daily(host.command())
    plan = json.loads((place / "schedule.json").read_text())
    rewrite(place / "schedule.json", series={**plan["series"], "calendar": EACH_MINUTE})
    os.rename(place / "scheduled", host.site.flag)
    for begin in (at(13), at(-10), at(15), at(39), at(14, -86400)):
        host.now = begin
        rewrite(place / "window.json", start=format_instant(begin), end=format_instant(at(99)))
        assert "was not ordered for the time" in host.run()
    rewrite(place / "window.json", start=format_instant(at(38)))
    host.now = at(14)
    assert host.run() == ""
    assert host.ran == 0
    host.now = at(38)
    assert host.run() == ""
    assert host.ran == 1


def test_a_members_word_lets_it_not_begin_later(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(job: str, order: object) -> None:
        raise PermissionError(13, "Permission denied")

    host.add(2, 3, host.command())
    monkeypatch.setattr(host.schedule.jobs, "change", refuse)
    assert host.schedule.extend(None, format_instant(at(9)), "bob", "desk")
    assert host.settle(4)
    assert "could not begin before the end that was ordered" in host.run()
    assert host.ran == 0


def test_what_was_cancelled_does_not_run_in_a_copy_of_its_window(host: Host) -> None:
    place = host.site.windows / host.add(2, 3, host.command())
    copy = Path(shutil.copytree(place, place.with_name("evil"), symlinks=True))
    (copy / "scheduled").unlink()
    rewrite(copy / "window.json", id="evil")
    assert host.schedule.cancel(None, "root", "here") == [place.name]
    host.site.flag.symlink_to("windows/evil")
    host.now = at(2)
    assert "is not there any more" in host.run()
    assert host.ran == 0


@pytest.mark.parametrize("recurs", [False, True])
def test_what_was_cancelled_does_not_run_in_a_window_that_was_out_of_the_way(
    host: Host, tmp_path: Path, recurs: bool
) -> None:
    name = host.add_daily(host.command()) if recurs else host.add(14, 14.5, host.command())
    place = host.site.windows / name
    place.rename(tmp_path / "away")
    assert host.schedule.cancel("window-20261202T020001", "root", "here") == []
    assert host.schedule.cancel(name, "root", "here", only_tell=True) == [name]
    assert host.schedule.cancel(name, "root", "here") == [name]
    assert host.schedule.cancel(name, "root", "here") == []
    assert host.events() == ["scheduled", "cancelled"]
    (tmp_path / "away").rename(place)
    assert host.settle(14)
    assert "is not there any more" in host.run()
    assert host.ran == 0


def test_a_time_that_was_cancelled_alone_does_not_run_in_a_copy_of_its_window(host: Host, tmp_path: Path) -> None:
    place = host.site.windows / host.add_daily(host.command())
    shutil.copytree(place, tmp_path / "copy", symlinks=True)
    assert host.schedule.cancel(None, "root", "here", once=True) == [place.name]
    shutil.copytree(tmp_path / "copy", place, symlinks=True)
    assert host.settle(14)
    assert "was not ordered for the time" in host.run()
    host.site.close("ada", "laptop")
    assert host.settle(38)
    assert host.run() == ""
    assert host.ran == 1


def test_of_what_recurs_only_the_time_that_has_begun_outlives_that_it_is_cancelled(host: Host, tmp_path: Path) -> None:
    host.add_daily(host.command())
    assert host.settle(14)
    later = host.site.windows / "window-20261203T020000"
    shutil.copytree(later, tmp_path / "copy", symlinks=True)
    assert host.schedule.cancel(None, "root", "here") == [later.name]
    shutil.copytree(tmp_path / "copy", later, symlinks=True)
    assert host.run() == ""
    assert not host.settle(14.5)
    assert host.settle(38)
    assert "was not ordered for the time" in host.run()
    assert host.ran == 1


def test_to_cancel_a_window_that_is_over_or_open_leaves_the_order_of_those_that_follow(host: Host) -> None:
    name = host.add_daily(host.command())
    assert host.settle(14)
    assert host.schedule.cancel(name, "root", "here") == []
    assert host.run() == ""
    assert not host.settle(14.5)
    assert host.schedule.cancel(name, "root", "here") == []
    assert host.settle(38)
    assert host.run() == ""
    assert host.ran == 2


def test_who_may_not_take_an_order_back_is_not_told_so(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(job: str) -> None:
        raise PermissionError(13, "Permission denied")

    place = host.site.windows / host.add(2, 3, host.command())
    shutil.rmtree(place)
    monkeypatch.setattr(host.schedule.jobs, "revoke", refuse)
    assert host.schedule.cancel(place.name, "bob", "desk") == []


def test_to_extend_a_window_that_names_anothers_order_changes_none(host: Host) -> None:
    mine, others = (host.site.windows / host.add(begins, begins + 1, host.command()) for begins in (2, 6))
    orders = {path: path.read_bytes() for path in host.site.jobs.iterdir()}
    job = json.loads((others / "schedule.json").read_text())["job"]
    rewrite(mine / "schedule.json", job=job)
    host.schedule.extend(mine.name, format_instant(at(5)), "ada", "laptop")
    assert {path: path.read_bytes() for path in host.site.jobs.iterdir()} == orders


@pytest.mark.parametrize("job", ["../shop/evil", "/tmp/evil", "0" * 31, 5, ["0" * 32]])
def test_a_window_that_names_what_is_no_id_is_passed_over(host: Host, job: Any) -> None:
    place = host.site.windows / host.add(2, 3, host.command())
    (host.site.path / "evil.json").write_text(next(host.site.jobs.glob("*.json")).read_text())
    rewrite(place / "schedule.json", job=job)
    assert host.schedule.plans() == []
    assert not host.settle(2)
    assert host.run() == ""


@pytest.mark.parametrize("place", ["jobs", "root"])
@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_where_others_may_write_nothing_is_run(host: Host, place: str, mode: int) -> None:
    host.add(2, 3, host.command())
    host.settle(2)
    (host.site.jobs if place == "jobs" else host.site.path.parent).chmod(mode)
    with pytest.raises(PermissionError, match="Jobs are run by their owner, where nobody else may write"):
        host.run()
    assert host.ran == 0


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another account")
def test_a_member_orders_runs_and_changes_nothing(site: StateDirectory, host: Host, public_path: Path) -> None:
    """In a state directory as the role makes it, all that a member can do to a job is to keep it from its time."""
    group = pwd.getpwnam("nobody").pw_gid
    pages = {path.name: path.read_text() for path in site.pages.iterdir()}
    site = host.site = StateDirectory(str(public_path / "state"), "shop")
    host.schedule = Schedule(site)
    site.make()
    for name, text in pages.items():
        (site.pages / name).write_text(text)
    site.hand_over(group)
    host.add(2, 3, host.command())
    orders = {path: path.read_bytes() for path in site.jobs.iterdir()}

    def attempts() -> list[str]:
        """Try as a member; gives what could be done."""
        done = []
        (order,) = orders
        tries: dict[str, Callable[[], object]] = {
            "write": lambda: order.write_text("{}"),
            "another": lambda: (site.jobs / f"{'0' * 32}.json").write_text("{}"),
            "unlink": order.unlink,
            "move": lambda: site.jobs.rename(site.path / "jobs"),
            "order": lambda: host.add(4, 5, host.command()),
            "run": lambda: run_job(host.schedule),
        }
        host.settle(2)
        for name, attempt in tries.items():
            with contextlib.suppress(PermissionError):
                attempt()
                done.append(name)
        if host.schedule.told_job() is None:
            done.append("not even seen")
        return done

    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(pwd.getpwnam("nobody").pw_uid)
        try:
            said = json.dumps(attempts())
        except BaseException as error:
            said = json.dumps(repr(error))
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as stream:
        assert json.loads(stream.read()) == []
    os.wait()
    assert {path: path.read_bytes() for path in site.jobs.iterdir()} == orders
    assert [plan.state for plan in host.schedule.plans()] == ["open"]
    assert host.ran == 0


def test_an_order_that_is_gone_keeps_visitors_out(host: Host) -> None:
    host.add(2, 3, host.command())
    host.settle(2)
    next(host.site.jobs.glob("*.json")).unlink()
    assert host.settle(3)
    assert (host.state, host.ran) == ("failed", 0)
    assert "is not there any more" in host.run()


def test_where_it_cannot_be_started_the_process_of_the_timer_says_so(host: Host) -> None:
    def refuse() -> None:
        raise StateError("systemctl ended with 1")

    host.schedule.start_job = refuse
    name = host.add(2, 3, host.command())
    assert host.settle(2)
    assert host.schedule.fault == f"the job of {name} could not be started: systemctl ended with 1"


@pytest.mark.parametrize(
    ("text", "how", "fault"),
    [
        ("/bin/sh 'x", {}, "has a quote or a backslash that does not end"),
        ("true", {}, "has to begin with the path of its program"),
        ("", {}, "has to begin with the path of its program"),
        ("/bin", {}, "/bin is not on this host, or is no program"),
        ("/nowhere/program x", {}, "/nowhere/program is not on this host, or is no program"),
        ("/bin/true", {"seconds": 0}, "is none at all"),
        ("/bin/true", {"user": "no one"}, "there is no account 'no one' on this host"),
    ],
)
def test_commands_that_could_not_run(text: str, how: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        parse_command(text, **{"user": "", "seconds": None, "closes": False, **how})


def test_a_command_is_split_as_a_shell_would_and_no_shell_takes_it() -> None:
    command = parse_command("/bin/echo 'a b' \"$HOME; x\"", "root", 5, True)
    assert command.words == ("/bin/echo", "a b", "$HOME; x")
    assert execute(Command(command.words))["output"] == ["a b $HOME; x"]
    assert parse_command(command.text, "root", 5, True) == command
