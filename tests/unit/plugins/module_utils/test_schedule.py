"""Windows in the future: what is scheduled, and what is done at each time, also after crashes, reboots and jumps of the clock."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from ansible_collections.intermission.django.plugins.module_utils import schedule as schedule_module
from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord
from ansible_collections.intermission.django.plugins.module_utils.schedule import (
    OverlapError,
    Schedule,
    keep_time,
    placed,
    requested_times,
)
from ansible_collections.intermission.django.plugins.module_utils.share import let_in
from ansible_collections.intermission.django.plugins.module_utils.state import (
    KEPT_WINDOWS,
    StateDirectory,
    StateError,
    Window,
    new_secret,
)
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant

NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
DAILY = "02:00 UTC"
ADA = {"user": "ada", "host": "laptop", "pid": 11, "started": "100"}


def at(hours: float = 0, seconds: float = 0) -> datetime:
    """Give an instant so long after noon."""
    return NOON + timedelta(hours=hours, seconds=seconds)


def every_day(calendar: str, after: datetime, count: int = 1) -> list[datetime]:
    """Stand for systemd: a calendar that comes once a day at two."""
    assert calendar == DAILY
    first = after.replace(hour=2, minute=0, second=0, microsecond=0)
    first += timedelta(days=1 if first <= after else 0)
    return [first + timedelta(days=days) for days in range(count)]


class Clock:
    """The wall clock: it shows what it is set to, and runs while somebody sleeps."""

    def __init__(self) -> None:
        self.now = NOON
        self.slept: list[float] = []
        self.jumps: dict[int, timedelta] = {}

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += timedelta(seconds=seconds) + self.jumps.pop(len(self.slept), timedelta())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(schedule_module, "_now", clock)
    return clock


@pytest.fixture
def schedule(site: StateDirectory, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Schedule:
    monkeypatch.setattr(schedule_module, "next_times", every_day)
    return Schedule(site)


def add(
    schedule: Schedule, begins: float, ends: float, merge: bool = False, secret: str | None = None, **about: Any
) -> str:
    """Schedule a window at hours after noon; gives its id."""
    template = Window(id="", site="shop", start="", opened_by="ada", **about)
    times = {"start": format_instant(at(begins)), "end": format_instant(at(ends)), "calendar": None, "seconds": None}
    window, series = placed(template, times, at())
    return schedule.add(window, series, "ada", "laptop", merge, secret=secret)[1].id


def secrets_of(site: StateDirectory) -> dict[str, list[str]]:
    """Give the names that let pass, by the windows that have some."""
    return {path.parent.name: sorted(os.listdir(path)) for path in site.windows.glob("*/passes")}


def add_daily(schedule: Schedule, seconds: int = 1800, secret: str | None = None) -> str:
    times = {"start": None, "end": None, "calendar": DAILY, "seconds": seconds}
    window, series = placed(Window(id="", site="shop", start="", opened_by="ada", reason="Night"), times, at())
    return schedule.add(window, series, "ada", "laptop", secret=secret)[1].id


def states(schedule: Schedule) -> list[tuple[str, str, str]]:
    """List the windows that are known: state, begin and end."""
    return [(plan.state, f"{plan.begins:%dT%H:%M}", f"{plan.ends:%dT%H:%M}") for plan in schedule.plans()]


def events(site: StateDirectory) -> list[str]:
    return [entry["event"] for entry in site.journal(100)]


@pytest.mark.parametrize(
    ("begins", "duration", "until", "start", "end"),
    [
        ("in 2h", "30m", None, "2026-12-01T14:00:00Z", "2026-12-01T14:30:00Z"),
        ("In  1h30m ", None, "2026-12-01T14:30Z", "2026-12-01T13:30:00Z", "2026-12-01T14:30:00Z"),
        ("2026-12-02T02:00+01:00", "1d", "", "2026-12-02T01:00:00Z", "2026-12-03T01:00:00Z"),
    ],
)
def test_times_of_one_window(begins: str, duration: str | None, until: str | None, start: str, end: str) -> None:
    times = requested_times(begins, duration, until, NOON)
    assert times == {"start": start, "end": end, "calendar": None, "seconds": None}


def test_times_of_what_recurs() -> None:
    times = requested_times(" Sun 02:00 Europe/Berlin", "90m", None, NOON)
    assert times == {"start": None, "end": None, "calendar": "Sun 02:00 Europe/Berlin", "seconds": 5400}


@pytest.mark.parametrize(
    ("begins", "duration", "until", "fault"),
    [
        ("in 2h", None, None, "needs an end or a duration"),
        ("in 2h", "30m", "2026-12-01T14:30Z", "needs an end or a duration"),
        ("in 2h", "soon", None, "'soon' is not a duration"),
        ("in a while", "30m", None, "'a while' is not a duration"),
        ("in 99999999999d", "30m", None, "is too long"),
        ("in 2h", "9999999d", None, "is too long"),
        ("Sun 02:00 UTC", "400d", None, "is too long"),
        ("2026-12-01T12:00Z", "30m", None, "has passed: it is 2026-12-01T12:00:00Z now"),
        ("2026-12-02T02:00", "30m", None, "has no time zone"),
        ("2026-12-02T02:00Z", None, "2026-12-02T02:00Z", "is not after the begin, 2026-12-02T02:00:00Z"),
        ("2026-12-02T02:00Z", None, "tonight", "is not an ISO 8601 instant"),
        ("Sun 02:00 UTC", None, "2026-12-02T02:00Z", "needs a duration rather than an end"),
    ],
)
def test_times_that_make_no_sense(begins: str, duration: str | None, until: str | None, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        requested_times(begins, duration, until, NOON)


def test_what_recurs_before_it_is_over_is_refused(schedule: Schedule) -> None:
    with pytest.raises(ValueError, match="comes again before the window is over"):
        add_daily(schedule, 86401)
    assert add_daily(schedule, 86400) == "window-20261202T020000"


def test_what_has_passed_is_refused(schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_module, "next_times", lambda calendar, after, count=1: [])
    with pytest.raises(ValueError, match="has passed: it does not come again"):
        add_daily(schedule)


def test_a_scheduled_window_is_whole_and_the_site_open(schedule: Schedule, site: StateDirectory) -> None:
    name = add(schedule, 2, 3, reason="Disk")
    assert name == "window-20261201T140000"
    staged = site.windows / name
    assert (staged / "503.en.html").stat().st_mtime == at(3).timestamp()
    assert "Disk" in (staged / "503.de.html").read_text()
    assert str((staged / "scheduled").readlink()) == f"windows/{name}"
    window = site.read_window(name)
    assert (window.start, window.end, window.expires) == ("2026-12-01T14:00:00Z", "2026-12-01T15:00:00Z", True)
    assert not os.path.lexists(site.flag)
    assert states(schedule) == [("scheduled", "01T14:00", "01T15:00")]
    entry = site.journal(1)[0]
    assert (entry["event"], entry["by"], entry["start"]) == ("scheduled", "ada", "2026-12-01T14:00:00Z")


def test_scheduling_the_same_again_changes_nothing(schedule: Schedule, site: StateDirectory) -> None:
    assert add(schedule, 2, 3) == add(schedule, 2, 3) == add(schedule, 2, 3, merge=True)
    assert add_daily(schedule) == add_daily(schedule)
    assert events(site) == ["scheduled", "scheduled"]


def test_only_telling_writes_nothing(schedule: Schedule, site: StateDirectory) -> None:
    window = Window(id="w", site="shop", start=format_instant(at(2)), end=format_instant(at(3)), expires=True)
    assert schedule.add(window, None, "ada", "here", only_tell=True)[0]
    assert list(site.windows.iterdir()) == []
    name = add(schedule, 2, 3)
    assert schedule.extend(name, format_instant(at(4)), "ada", "here", only_tell=True)
    assert schedule.cancel(name, "ada", "here", only_tell=True) == [name]
    assert states(schedule) == [("scheduled", "01T14:00", "01T15:00")]
    assert events(site) == ["scheduled"]


def test_a_page_that_nginx_could_not_read_is_not_scheduled(schedule: Schedule, site: StateDirectory) -> None:
    site.path.chmod(0o700)
    with pytest.raises(StateError, match="shop is closed to others"):
        add(schedule, 2, 3)
    assert list(site.windows.iterdir()) == []
    assert events(site) == []


def test_a_full_disk_leaves_nothing_behind(
    schedule: Schedule, site: StateDirectory, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    with full_disk(10), pytest.raises(OSError, match="File too large"):
        add(schedule, 2, 3)
    assert list(site.windows.iterdir()) == []


@pytest.mark.parametrize(("begins", "ends"), [(2.5, 4), (1, 2.5), (2.2, 2.8), (1, 4), (2, 3)])
def test_an_overlap_is_refused_or_merged(schedule: Schedule, site: StateDirectory, begins: float, ends: float) -> None:
    add(schedule, 2, 3, reason="Disk")
    with pytest.raises(OverlapError, match="shop has the window window-20261201T140000 from 2026-12-01T14:00:00Z to "):
        add(schedule, begins, ends, reason="Memory")
    assert len(states(schedule)) == 1
    name = add(schedule, begins, ends, merge=True, reason="Memory")
    (plan,) = schedule.plans()
    assert (plan.id, plan.begins, plan.ends) == (name, at(min(2, begins)), at(max(3, ends)))
    assert plan.window.reason == "Memory"
    assert add(schedule, begins, ends, merge=True, reason="Memory") == name
    assert events(site) == ["scheduled", "scheduled", "cancelled"]


def test_windows_that_touch_do_not_overlap(schedule: Schedule) -> None:
    add(schedule, 2, 3)
    add(schedule, 3, 4)
    add(schedule, 1, 2)
    assert len(states(schedule)) == 3


def test_merging_grows_until_nothing_overlaps(schedule: Schedule) -> None:
    add(schedule, 2, 4)
    add(schedule, 5, 7)
    add(schedule, 7, 8)
    add(schedule, 3, 6, merge=True)
    assert states(schedule) == [("scheduled", "01T14:00", "01T19:00"), ("scheduled", "01T19:00", "01T20:00")]


def test_what_recurs_overlaps_also_later_and_is_not_merged(schedule: Schedule) -> None:
    add_daily(schedule)
    for merge, advice in ((False, "which recurs .*, overlaps it"), (True, "becomes one with nothing")):
        with pytest.raises(OverlapError, match=advice):
            add(schedule, 24 * 9 + 13, 24 * 9 + 15, merge=merge)
    add(schedule, 24 * 9 + 15, 24 * 9 + 16)


def test_a_window_that_is_in_the_way_of_a_later_time_of_what_recurs(schedule: Schedule) -> None:
    add(schedule, 24 * 9 + 13, 24 * 9 + 15)
    with pytest.raises(OverlapError, match="overlaps it"):
        add_daily(schedule)


def test_the_open_window_overlaps_and_may_be_lengthened_by_merging(
    schedule: Schedule, site: StateDirectory, clock: Clock
) -> None:
    name = add(schedule, 1, 3, reason="Disk")
    clock.now = at(1)
    schedule.settle(at(1))
    with pytest.raises(OverlapError):
        add(schedule, 2, 4)
    assert add(schedule, 2, 4, merge=True) == name
    assert states(schedule) == [("open", "01T13:00", "01T16:00")]
    assert site.read_window(name).reason == "Disk"


def test_an_open_window_without_an_end_is_in_nobodys_way_and_one_that_is_closed_by_hand_not_lengthened(
    schedule: Schedule, site: StateDirectory
) -> None:
    site.open(Window(id="hand", site="shop", start=format_instant(at())), "bob", "desk")
    add(schedule, 8, 9)
    site.open(Window(id="hand", site="shop", start=format_instant(at()), end=format_instant(at(3))), "bob", "desk")
    with pytest.raises(OverlapError, match="is closed by hand"):
        add(schedule, 2, 4, merge=True)


def test_it_opens_and_closes_at_its_time(schedule: Schedule, site: StateDirectory) -> None:
    name = add(schedule, 2, 3, reason="Disk")
    assert schedule.settle(at()) == at(2)
    assert schedule.settle(at(2, -0.001)) == at(2)
    assert not site.flag.exists()
    assert schedule.settle(at(2)) == at(3)
    assert str(site.flag.readlink()) == f"windows/{name}"
    assert states(schedule) == [("open", "01T14:00", "01T15:00")]
    assert schedule.settle(at(3, -0.001)) == at(3)
    assert schedule.settle(at(3)) is None
    assert not os.path.lexists(site.flag)
    assert states(schedule) == []
    assert [(entry["event"], entry["by"], entry["from"]) for entry in site.journal(2)] == [
        ("opened", "ada", "its schedule"),
        ("closed", "ada", "its schedule"),
    ]


@pytest.mark.parametrize("expires", [True, False])
def test_a_window_by_hand_closes_at_its_end_where_it_is_to(
    schedule: Schedule, site: StateDirectory, expires: bool
) -> None:
    site.open(
        Window(id="w", site="shop", start=format_instant(at()), end=format_instant(at(1)), expires=expires), "ada", "x"
    )
    assert schedule.settle(at(0.5)) == (at(1) if expires else None)
    assert site.flag.exists()
    assert schedule.settle(at(1)) is None
    assert site.flag.exists() is not expires


def test_opening_is_one_rename_and_closing_one_unlink(schedule: Schedule, site: StateDirectory) -> None:
    name = add(schedule, 2, 3)
    waiting = (site.windows / name / "scheduled").lstat().st_ino
    pages = {path.name: path.stat().st_ino for path in (site.windows / name).glob("503.*")}
    schedule.settle(at(2))
    assert site.flag.lstat().st_ino == waiting
    assert {path.name: path.stat().st_ino for path in site.flag.glob("503.*")} == pages


def test_a_secret_is_staged_with_its_window_and_ends_with_it(schedule: Schedule, site: StateDirectory) -> None:
    secret, second = new_secret(), new_secret()
    name = add(schedule, 2, 3, secret=secret, read_only=True)
    add(schedule, 3, 4, secret=second)
    passes = site.windows / name / "passes"
    assert passes.stat().st_mode & 0o7777 == 0o711
    assert add(schedule, 2, 3, read_only=True) == name
    assert add(schedule, 2, 3, secret=new_secret(), read_only=True) == name
    assert schedule.extend(name, format_instant(at(2.9)), "bob", "desk")
    assert events(site) == ["scheduled", "scheduled", "extended"]
    inode = passes.stat().st_ino
    schedule.settle(at(2))
    assert (site.flag / "passes").stat().st_ino == inode
    assert sorted(os.listdir(site.flag / "passes")) == sorted(["GET", "HEAD", secret])
    assert site.status()["has_pass"] is True
    schedule.settle(at(3))
    assert os.listdir(site.flag / "passes") == [second]
    told = json.dumps([plan.describe() for plan in schedule.plans()] + site.journal(9) + [site.status()])
    assert not [known for known in (secret, second) if known in told]
    schedule.settle(at(4))
    assert site.status()["has_pass"] is False


def test_a_window_that_has_no_secret_is_not_the_same_as_one_that_is_to_have_one(
    schedule: Schedule, site: StateDirectory
) -> None:
    add(schedule, 2, 3)
    with pytest.raises(OverlapError):
        add(schedule, 2, 3, secret=new_secret())
    secret = new_secret()
    name = add(schedule, 2, 3, merge=True, secret=secret)
    assert secrets_of(site) == {name: [secret]}
    assert len(states(schedule)) == 1


def test_windows_that_become_one_keep_the_only_secret(
    schedule: Schedule, site: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = new_secret()
    add(schedule, 2, 3, secret=secret)
    with monkeypatch.context() as others:
        others.setattr(site, "secret_of", lambda _: None)
        with pytest.raises(StateError, match="window-20261201T140000 has a secret link, which only root and who made"):
            add(schedule, 2.5, 4, merge=True)
    with pytest.raises(StateError, match="more than one of the windows that would become one at 2026-12-01T14:00:00Z"):
        add(schedule, 2.5, 4, merge=True, secret=new_secret())
    name = add(schedule, 2.5, 4, merge=True)
    assert secrets_of(site) == {name: [secret]}
    assert add(schedule, 2.5, 4, merge=True) == name
    assert add(schedule, 2.5, 4, merge=True, secret=new_secret()) == name
    assert events(site) == ["scheduled", "scheduled", "cancelled"]
    schedule.settle(at(2))
    assert site.status()["has_pass"] is True
    add(schedule, 3, 5, merge=True)
    assert (states(schedule), secrets_of(site)) == ([("open", "01T14:00", "01T17:00")], {name: [secret]})


def test_a_merge_that_was_cut_short_is_finished_by_the_same_again(
    schedule: Schedule, site: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = new_secret()
    add(schedule, 2, 3, secret=secret)
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(schedule, "_cancel", Mock(side_effect=KeyboardInterrupt))
        add(schedule, 2.5, 4, merge=True)
    assert [*secrets_of(site).values()] == [[secret], [secret]]
    name = add(schedule, 2.5, 4, merge=True)
    assert secrets_of(site) == {name: [secret]}


def test_a_window_whose_link_another_account_has_made_can_be_cancelled(
    schedule: Schedule, site: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = add(schedule, 2, 3, secret=new_secret())
    rmdir = os.rmdir

    def refused(path: str, **how: Any) -> None:
        if str(path) == "passes":
            raise PermissionError
        rmdir(path, **how)

    monkeypatch.setattr(os, "rmdir", refused)
    assert schedule.cancel(name, "bob", "desk") == [name]
    assert events(site) == ["scheduled", "cancelled"]
    assert states(schedule) == []
    assert not (site.windows / name / "schedule.json").exists()


def test_no_secret_is_lost_or_promised_where_a_window_only_gets_another_end(
    schedule: Schedule, site: StateDirectory
) -> None:
    add(schedule, 2, 3)
    add(schedule, 4, 5, secret=new_secret())
    known = states(schedule)
    with pytest.raises(StateError, match="window-20261201T140000 would only get another end, and the secret link of"):
        schedule.extend("window-20261201T140000", format_instant(at(4.5)), "bob", "desk", merge=True)
    schedule.settle(at(2))
    with pytest.raises(StateError, match="would only get another end, and the secret link of"):
        add(schedule, 2.5, 3.5, merge=True, secret=new_secret())
    schedule.cancel(None, "bob", "desk")
    assert [its[1:] for its in states(schedule)] == [its[1:] for its in known[:1]]


def test_what_recurs_has_no_secret(schedule: Schedule, site: StateDirectory) -> None:
    with pytest.raises(StateError, match="what recurs, '02:00 UTC', has no secret link: each window has another"):
        add_daily(schedule, secret=new_secret())
    assert list(site.windows.iterdir()) == []


def test_a_host_that_comes_back_inside_opens_and_one_that_comes_back_after_does_not(
    schedule: Schedule, site: StateDirectory
) -> None:
    add(schedule, 2, 3)
    add(schedule, 4, 5)
    assert schedule.settle(at(4.5)) == at(5)
    assert site.flag.exists()
    assert states(schedule) == [("missed", "01T14:00", "01T15:00"), ("open", "01T16:00", "01T17:00")]
    assert schedule.settle(at(5)) is None
    assert events(site)[2:] == ["opened", "missed", "closed"]
    schedule.settle(at(28))
    assert states(schedule) == []


def test_a_host_that_was_off_at_the_end_opens_the_site_when_it_comes_back(
    schedule: Schedule, site: StateDirectory
) -> None:
    add(schedule, 2, 3)
    schedule.settle(at(2))
    assert schedule.settle(at(9)) is None
    assert not site.flag.exists()


def test_who_opens_the_site_early_is_not_overruled(schedule: Schedule, site: StateDirectory) -> None:
    for ends in ("off", "rm"):
        add(schedule, 2, 3)
        schedule.settle(at(2))
        if ends == "off":
            site.close("bob", "desk")
        else:
            site.flag.unlink()
        assert schedule.settle(at(2.1)) is None
        assert not site.flag.exists()
        schedule.settle(at(3))


def test_what_was_cut_short_after_the_rename_is_done(schedule: Schedule, site: StateDirectory) -> None:
    name = add(schedule, 2, 3)
    os.rename(site.windows / name / "scheduled", site.flag)
    assert schedule.settle(at(2, 1)) == at(3)
    assert schedule.settle(at(3)) is None
    assert not site.flag.exists()


def test_a_window_that_begins_where_another_ends_takes_its_place_without_an_open_moment(
    schedule: Schedule, site: StateDirectory
) -> None:
    add(schedule, 2, 3)
    second = add(schedule, 3, 4)
    schedule.settle(at(2))
    assert schedule.settle(at(3)) == at(4)
    assert site.flagged_id() == second
    assert events(site)[2:] == ["opened", "opened"]


@pytest.mark.parametrize("hand", ["flag", "window"])
def test_a_site_that_an_operator_has_closed_stays_the_operators(
    schedule: Schedule, site: StateDirectory, hand: str
) -> None:
    add(schedule, 2, 3)
    if hand == "flag":
        site.flag.touch()
    else:
        site.open(Window(id="hand", site="shop", start=format_instant(at())), "bob", "desk")
    flag = site.flag.lstat()
    for hours in (2, 2.5, 3):
        schedule.settle(at(hours))
        assert os.path.samestat(site.flag.lstat(), flag)
    site.close("bob", "desk")
    assert schedule.settle(at(2.6)) is None
    assert not site.flag.exists()
    assert "overtaken" in events(site)


def test_a_site_that_an_operator_lets_visitors_into_again_is_closed_to_all(
    schedule: Schedule, site: StateDirectory
) -> None:
    name = add(schedule, 2, 3)
    site.open(Window(id="hand", site="shop", start=format_instant(at())), "bob", "desk")
    let_in(site, 20, "bob", "desk")
    schedule.settle(at(2))
    assert (site.flagged_id(), site.status()["share"]) == (name, 0)
    schedule.settle(at(3))
    assert not site.flag.exists()


def test_a_deploy_is_waited_for_at_the_begin(schedule: Schedule, site: StateDirectory) -> None:
    name = add(schedule, 2, 3)
    site.open(Window(id="deploy-1", site="shop", start=format_instant(at(1))), "ada", "laptop")
    schedule.settle(at(2))
    assert site.flagged_id() == "deploy-1"
    site.close("ada", "laptop", only="deploy-1")
    schedule.settle(at(2.1))
    assert site.flagged_id() == name


@pytest.mark.parametrize(("phase", "closes"), [("prepare", True), ("plan", True), ("migrate", False), ("undo", False)])
def test_a_deploy_is_waited_for_at_the_end_also_one_that_has_died(
    schedule: Schedule, site: StateDirectory, phase: str, closes: bool
) -> None:
    add(schedule, 2, 3)
    schedule.settle(at(2))
    record = DeployRecord(site)
    record.begin(ADA, "r1", take_over=False)
    record.enter(phase, ADA)
    assert schedule.settle(at(3)) is None
    assert site.flag.exists() is not closes
    record.end("done", ADA)
    schedule.settle(at(3, 1))
    assert not site.flag.exists()


def test_a_clock_that_was_wrong_and_is_set_back(schedule: Schedule, site: StateDirectory) -> None:
    inside, over = add(schedule, 2, 3), add(schedule, 1, 1.5)
    schedule.settle(at(2))
    assert [state for state, *_ in states(schedule)] == ["missed", "open"]
    assert schedule.settle(at()) == at(1)
    assert not site.flag.exists()
    assert [state for state, *_ in states(schedule)] == ["scheduled", "scheduled"]
    schedule.settle(at(1))
    assert site.flagged_id() == over
    schedule.settle(at(2))
    assert site.flagged_id() == inside


def test_a_window_that_is_put_back_is_closed_to_all_at_its_time(schedule: Schedule, site: StateDirectory) -> None:
    name = add(schedule, 2, 3)
    schedule.settle(at(2))
    let_in(site, 20, "bob", "desk")
    schedule.settle(at(1))
    schedule.settle(at(2))
    assert (site.flagged_id(), site.status()["share"]) == (name, 0)


def test_a_clock_that_is_set_back_by_little_opens_nothing(schedule: Schedule, site: StateDirectory) -> None:
    add(schedule, 2, 3)
    schedule.settle(at(2))
    schedule.settle(at(2, -30))
    assert site.flag.exists()


def test_an_operators_window_of_a_controller_whose_clock_is_ahead_stays(
    schedule: Schedule, site: StateDirectory
) -> None:
    site.open(Window(id="hand", site="shop", start=format_instant(at(2))), "bob", "desk")
    schedule.settle(at())
    assert site.flag.exists()


def test_what_recurs_is_staged_before_it_is_needed(schedule: Schedule, site: StateDirectory) -> None:
    add_daily(schedule)
    assert schedule.settle(at(13)) == at(14)
    assert states(schedule) == [("scheduled", "02T02:00", "02T02:30")]
    schedule.settle(at(14, -60))
    nights = [("02T02:00", "02T02:30"), ("03T02:00", "03T02:30")]
    assert states(schedule) == [("scheduled", *night) for night in nights]
    schedule.settle(at(14))
    assert schedule.settle(at(14.5)) == at(38)
    assert states(schedule) == [("scheduled", *nights[1])]
    assert site.read_window("window-20261203T020000").reason == "Night"


def test_a_host_that_was_off_for_days_takes_up_what_recurs(schedule: Schedule) -> None:
    add_daily(schedule)
    assert schedule.settle(at(24 * 5)) == at(24 * 5 + 14)
    assert schedule.settle(at(24 * 9 + 14.25)) == at(24 * 9 + 14.5)
    assert states(schedule)[-2:] == [
        ("open", "11T02:00", "11T02:30"),
        ("scheduled", "12T02:00", "12T02:30"),
    ]


def test_cancelling_what_recurs_ends_it_also_while_it_is_open(
    schedule: Schedule, site: StateDirectory, clock: Clock
) -> None:
    add_daily(schedule)
    clock.now = at(14)
    schedule.settle(at(14))
    assert schedule.cancel(None, "bob", "desk") == ["window-20261203T020000"]
    assert schedule.settle(at(14, 1)) == at(14.5)
    assert schedule.settle(at(14.5)) is None
    assert schedule.settle(at(40)) is None


def test_cancelling_one_of_what_recurs(schedule: Schedule) -> None:
    add_daily(schedule)
    assert schedule.cancel(None, "bob", "desk", once=True) == ["window-20261202T020000"]
    assert states(schedule) == [("scheduled", "03T02:00", "03T02:30")]


def test_cancel(schedule: Schedule, site: StateDirectory) -> None:
    assert schedule.cancel(None, "bob", "desk") == []
    first, second = add(schedule, 2, 3), add(schedule, 4, 5)
    with pytest.raises(StateError, match=f"several windows that are scheduled.*: {first}, {second}"):
        schedule.cancel(None, "bob", "desk")
    assert schedule.cancel(first, "bob", "desk") == [first]
    assert schedule.cancel(first, "bob", "desk") == []
    assert schedule.settle(at(2)) == at(4)
    assert [path.name for path in site.windows.iterdir()] == [second]
    assert (events(site)[-1], site.journal(1)[0]["by"]) == ("cancelled", "bob")


def test_extend_what_waits(schedule: Schedule, site: StateDirectory) -> None:
    name = add(schedule, 2, 3)
    before = site.windows.stat().st_mtime_ns
    assert schedule.extend(None, "2026-12-01T17:00+01:00", "bob", "desk")
    assert not schedule.extend(name, "2026-12-01T16:00Z", "bob", "desk")
    assert states(schedule) == [("scheduled", "01T14:00", "01T16:00")]
    assert (site.windows / name / "503.en.html").stat().st_mtime == at(4).timestamp()
    assert site.windows.stat().st_mtime_ns > before
    assert events(site) == ["scheduled", "extended"]


def test_extend_what_is_open(schedule: Schedule, site: StateDirectory, clock: Clock) -> None:
    add(schedule, 2, 3)
    add(schedule, 5, 6)
    schedule.settle(at(2))
    clock.now = at(2.5)
    assert schedule.extend(None, format_instant(at(4)), "bob", "desk")
    assert schedule.settle(at(3)) == at(4)
    assert site.flag.exists()
    with pytest.raises(OverlapError):
        schedule.extend(None, format_instant(at(5.5)), "bob", "desk")
    assert schedule.extend(None, format_instant(at(5.5)), "bob", "desk", merge=True)
    assert states(schedule) == [("open", "01T14:00", "01T18:00")]
    assert schedule.extend(None, format_instant(at(2.6)), "bob", "desk")
    assert schedule.settle(at(2.6)) is None
    assert not site.flag.exists()


def test_extend_for_one_time_of_what_recurs(schedule: Schedule) -> None:
    add_daily(schedule)
    assert schedule.extend(None, format_instant(at(15)), "bob", "desk")
    schedule.settle(at(14))
    assert states(schedule) == [("open", "02T02:00", "02T03:00"), ("scheduled", "03T02:00", "03T02:30")]


def test_what_cannot_be_extended(schedule: Schedule, site: StateDirectory) -> None:
    with pytest.raises(StateError, match="there is none to extend"):
        schedule.extend(None, format_instant(at(9)), "bob", "desk")
    site.open(Window(id="hand", site="shop", start=format_instant(at()), end=format_instant(at(3))), "bob", "desk")
    with pytest.raises(StateError, match="no window hand that is scheduled, or open and closes by itself"):
        schedule.extend("hand", format_instant(at(9)), "bob", "desk")
    name = add(schedule, 4, 5)
    for end in (at(4), at(-1)):
        with pytest.raises(ValueError, match="is not after now and the window's begin"):
            schedule.extend(name, format_instant(end), "bob", "desk")


def test_what_somebody_has_spoilt_is_passed_over(schedule: Schedule, site: StateDirectory) -> None:
    good = add(schedule, 2, 3)
    spoilt: dict[str, Callable[[Path], Any]] = {
        "json": lambda path: (path / "window.json").write_text("{"),
        "plan": lambda path: (path / "schedule.json").write_text("[]"),
        "deep window": lambda path: (path / "window.json").write_text("[" * 200_000),
        "deep plan": lambda path: (path / "schedule.json").write_text("[" * 200_000),
        "long": lambda path: (path / "schedule.json").write_text(series_text(seconds=10**30)),
        "number": lambda path: (path / "schedule.json").write_text(series_text(calendar=5)),
        "reason": lambda path: (path / "window.json").write_text(json.dumps({**fields(path), "reason": 5})),
        "half a character": lambda path: (path / "window.json").write_text(
            json.dumps({**fields(path), "message": "\ud800"})
        ),
        "start": lambda path: (path / "window.json").write_text(json.dumps({**fields(path), "start": "soon"})),
        "end": lambda path: (path / "window.json").write_text(json.dumps({**fields(path), "end": None})),
        "id": lambda path: (path / "window.json").write_text(json.dumps({**fields(path), "id": good})),
        "gone": lambda path: (path / "window.json").unlink(),
    }
    for number, spoil in enumerate(spoilt.values(), 10):
        spoil(site.windows / add(schedule, number, number + 0.5))
    (site.windows / "file").touch()
    (site.windows / "link").symlink_to("/")
    assert schedule.settle(at()) == at(2)
    assert schedule.settle(at(2)) == at(3)
    assert schedule.settle(at(20)) is None


def test_no_series_keeps_a_host_at_staging(schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> None:
    def comes_each_second(calendar: str, after: datetime, count: int = 1) -> list[datetime]:
        return [after + timedelta(seconds=number) for number in range(1, count + 1)]

    place = schedule.directory.windows / add(schedule, 2, 3)
    monkeypatch.setattr(schedule_module, "next_times", comes_each_second)
    staged = noted_stagings(schedule, monkeypatch)
    (place / "schedule.json").write_text(series_text(seconds=366 * 86400))
    assert schedule.settle(at(2)) == at(3)
    assert (staged, schedule.fault) == (
        [],
        f"what follows {place.name} could not be staged: '{DAILY}' comes again before the window is over",
    )
    (place / "schedule.json").write_text(series_text(seconds=1))
    schedule.settle(at(2, 30))
    assert (staged, schedule.fault) == (["window-20261201T140030", "window-20261201T140031"], None)


def noted_stagings(schedule: Schedule, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """List what is staged from now on; what is staged without end is an error."""
    staged, stage = [], schedule.directory.stage

    def noted(window: Window, **how: Any) -> Path:
        staged.append(window.id)
        assert len(staged) < 5
        return stage(window, **how)

    monkeypatch.setattr(schedule.directory, "stage", noted)
    return staged


def series_text(**fields: Any) -> str:
    return json.dumps({"schema": 1, "series": {"id": "w", "calendar": DAILY, "seconds": 60, **fields}})


def fields(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((path / "window.json").read_text())
    return content


def test_windows_that_wait_outlive_those_that_are_over(schedule: Schedule, site: StateDirectory) -> None:
    waiting = add(schedule, 9, 10)
    for number in range(KEPT_WINDOWS + 3):
        site.open(Window(id=f"w{number}", site="shop", start=format_instant(at()), reason=str(number)), "bob", "desk")
    assert (site.windows / waiting / "window.json").exists()


def test_the_process_sleeps_to_the_instant_and_reads_the_clock_once_a_second(
    schedule: Schedule, site: StateDirectory, clock: Clock
) -> None:
    add(schedule, 1, 2)
    clock.now = at(1, -3.25)
    told: list[bool] = []
    opened: list[datetime] = []

    def sleep(seconds: float) -> None:
        if site.flag.exists():
            opened.append(clock.now)
        clock.sleep(seconds)

    keep_time(schedule, lambda: told.append(site.flag.exists()), clock, sleep)
    assert told == [False]
    assert clock.slept == [1, 1, 1, 0.2, 0.05]
    assert site.flag.exists()
    assert clock.now == at(1)


@pytest.mark.parametrize(("change", "hour"), [("rename", 1), ("unlink", 2)])
def test_what_is_due_is_made_ready_just_before_and_the_change_is_all_that_is_left(
    schedule: Schedule, site: StateDirectory, clock: Clock, monkeypatch: pytest.MonkeyPatch, change: str, hour: int
) -> None:
    add(schedule, 1, 2)
    schedule.settle(at(hour - 1))
    clock.now = at(hour, -10)
    acts: list[str] = []

    def noted(name: str, act: Callable[..., Any], *args: Any, **how: Any) -> Any:
        acts.append(name)
        return act(*args, **how)

    for name in ("listdir", "open", "rename", "unlink"):
        monkeypatch.setattr(os, name, partial(noted, name, getattr(os, name)))

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        acts.append("arrived" if clock.now == at(hour) else "slept")

    keep_time(schedule, lambda: None, clock, sleep)
    assert acts[acts.index("arrived") + 1] == change


@pytest.mark.parametrize("hour", [1, 2])
def test_a_clock_that_is_set_back_when_all_is_ready(
    schedule: Schedule, site: StateDirectory, clock: Clock, hour: int
) -> None:
    add(schedule, 1, 2)
    schedule.settle(at(hour - 1))
    clock.now, clock.jumps = at(hour, -1), {2: timedelta(seconds=-3)}
    seen = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        seen.append(site.flag.exists())

    keep_time(schedule, lambda: None, clock, sleep)
    assert clock.slept == pytest.approx([0.95, 0.05, 1, 1, 0.95, 0.05])
    assert set(seen) == {hour == 2}
    assert site.flag.exists() is (hour == 1)
    assert clock.now == at(hour)


def test_a_flag_that_somebody_sets_by_hand_when_all_is_ready_stays(
    schedule: Schedule, site: StateDirectory, clock: Clock
) -> None:
    add(schedule, 1, 2)
    clock.now = at(1, -1)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now == at(1):
            site.flag.touch()

    keep_time(schedule, lambda: None, clock, sleep)
    assert site.flag.is_file()
    assert not site.flag.is_symlink()
    assert events(site)[-1] == "overtaken"


def test_a_window_that_takes_the_place_of_another_when_all_is_ready_to_close_that_stays(
    schedule: Schedule, site: StateDirectory, clock: Clock
) -> None:
    add(schedule, 1, 2)
    schedule.settle(at(1))
    clock.now = at(2, -1)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now == at(2):
            site.flag.unlink()
            site.flag.symlink_to("windows/another")

    keep_time(schedule, lambda: None, clock, sleep)
    assert os.readlink(site.flag) == "windows/another"


def test_the_process_opens_what_is_due_before_it_says_that_it_is_ready(
    schedule: Schedule, site: StateDirectory, clock: Clock
) -> None:
    add(schedule, 1, 3)
    clock.now = at(2)
    told: list[bool] = []
    keep_time(schedule, lambda: told.append(site.flag.exists()), clock, clock.sleep)
    assert (told, clock.slept) == ([True], [])


def test_the_process_meets_a_clock_that_jumps(schedule: Schedule, site: StateDirectory, clock: Clock) -> None:
    add(schedule, 1, 2)
    clock.now, clock.jumps = at(1, -10), {3: timedelta(seconds=-5), 6: timedelta(minutes=2)}
    keep_time(schedule, lambda: None, clock, clock.sleep)
    assert site.flag.exists()
    assert len(clock.slept) == 6
    add(schedule, 5, 6)
    clock.now, clock.slept, clock.jumps = at(2, -5), [], {2: timedelta(hours=2)}
    keep_time(schedule, lambda: None, clock, clock.sleep)
    assert not site.flag.exists()


def test_the_process_takes_up_what_is_scheduled_and_cancelled_while_it_sleeps(
    schedule: Schedule, site: StateDirectory, clock: Clock
) -> None:
    first = add(schedule, 1, 2)
    clock.now = at(1, -20)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.slept) == 3:
            schedule.cancel(first, "bob", "desk")
            add(schedule, 1 - 10 / 3600, 1 - 5 / 3600)

    keep_time(schedule, lambda: None, clock, sleep)
    assert not site.flag.exists()
    assert events(site)[-2:] == ["opened", "closed"]
    assert clock.now == at(1, -5)


def test_systemd_is_told_of_what_may_be_due_sooner_and_of_nothing_else(
    schedule: Schedule, site: StateDirectory, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told() -> bool:
        there = site.changed.exists()
        site.changed.unlink(missing_ok=True)
        return there

    add(schedule, 2, 3)
    add(schedule, 4, 5)
    assert told()
    add(schedule, 2, 3)
    assert not told()
    schedule.settle(at(2))
    assert not told()  # It would start itself again without end
    assert schedule.extend(None, format_instant(at(2.5)), "bob", "desk")
    assert told()
    assert schedule.cancel(None, "bob", "desk")
    site.close("bob", "desk")
    assert not told()  # Works on a full disk too
    add_daily(schedule)
    assert told()
    assert schedule.cancel(None, "bob", "desk", once=True)
    assert told()
    schedule.settle(at(38))
    assert not told()
    for expires in (False, True):
        site.open(Window("now", "shop", format_instant(at()), format_instant(at(1)), expires=expires), "bob", "desk")
        assert told() == expires


def test_systemd_is_told_of_a_window_before_it_is_there_and_while_nobody_else_can_look(
    schedule: Schedule, site: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []

    def staged(window: Window, **how: Any) -> Path:
        seen.append((site.changed.exists(), site._try_lock() is None))
        return StateDirectory.stage(site, window, **how)

    monkeypatch.setattr(site, "stage", staged)
    add(schedule, 2, 3)
    assert seen == [(True, True)]


def test_what_is_in_the_place_of_the_name_that_tells_systemd_leads_nowhere(
    schedule: Schedule, site: StateDirectory, tmp_path: Path
) -> None:
    site.changed.symlink_to(tmp_path / "elsewhere")
    add(schedule, 2, 3)
    assert not (tmp_path / "elsewhere").exists()
    assert [state for state, *_ in states(schedule)] == ["scheduled"]


def test_only_one_of_two_processes_opens(schedule: Schedule, site: StateDirectory) -> None:
    add(schedule, 2, 3)
    schedule.settle(at(2))
    Schedule(site).settle(at(2))
    assert events(site) == ["scheduled", "opened"]


def test_what_follows_cannot_be_staged_and_the_site_is_closed_all_the_same(
    schedule: Schedule, site: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_daily(schedule)
    with monkeypatch.context() as broken:
        broken.setattr(site, "stage", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        schedule.settle(at(14))
    assert site.flag.exists()
    assert schedule.fault is not None
    assert "what follows window-20261202T020000 could not be staged: [Errno 28]" in schedule.fault
    schedule.settle(at(14.1))
    assert schedule.fault is None
    assert states(schedule)[-1] == ("scheduled", "03T02:00", "03T02:30")
