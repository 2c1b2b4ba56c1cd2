"""Windows in the future: scheduled whole, cancelled, extended, and opened and closed when their time comes.

A window that waits has a symlink of its own, ``windows/<id>/scheduled``. To open it is to rename that onto the flag: one step, after
which it does not wait any more, so that who opens the site early is not overruled. All that is to be done at a time follows from these
names and the clock: whoever looks again, after a crash, a reboot or a jump of the clock, does what is still to be done.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord
from ansible_collections.intermission.django.plugins.module_utils.files import (
    closed_to_others,
    pinned,
    read_plain,
    sync_directory,
    write_file,
)
from ansible_collections.intermission.django.plugins.module_utils.recurrence import next_times
from ansible_collections.intermission.django.plugins.module_utils.state import (
    FILE_MODE,
    PLAN,
    WAITING,
    StateDirectory,
    StateError,
    Window,
    digest_of,
    let_pass,
)
from ansible_collections.intermission.django.plugins.module_utils.times import (
    format_instant,
    parse_begin,
    parse_duration,
    parse_instant,
)
from ansible_collections.intermission.django.plugins.module_utils.window_job import (
    DONE,
    ID,
    INTERRUPTED,
    RUNS,
    WAITS,
    WINDOW_ID,
    Command,
    Order,
    Progress,
    WindowJobs,
)

SCHEMA = 1
MISSED = "missed"
OPEN = "open"
SOURCE = "its schedule"
SHOWN_MISSED = timedelta(days=1)
SET_BACK = timedelta(minutes=1)
HORIZON = timedelta(seconds=75)  # The timer comes once a minute
STILL = timedelta(seconds=2)
LEAD = timedelta(milliseconds=50)  # What a busy host needs to read what is due, and to think it over
COMPARED_TIMES = 60
LISTED_TIMES = 10
LONGEST_SECONDS = 366 * 86400
CLOCK_TOLERANCE = 2.0
NO_HARM = ("prepare", "plan")


class OverlapError(StateError):
    """The site has another window at that time; the message names it."""


@dataclass(frozen=True)
class Series:
    """What recurs: the id of its first window, a calendar expression of systemd.time(7), and how long each window lasts."""

    id: str
    calendar: str
    seconds: int


@dataclass(frozen=True)
class Plan:
    """A window with its place in time: ``open``, ``scheduled`` or ``missed``."""

    window: Window
    state: str
    begins: datetime
    ends: datetime
    series: Optional[Series] = None
    written: str = ""
    job: Optional[str] = None
    order: Optional[Order] = None

    @property
    def id(self) -> str:
        """Give the window's id."""
        return self.window.id

    def times(self, following: int) -> list[tuple[datetime, datetime]]:
        """List when it takes place, and where it recurs, when so many others follow, if systemd can tell."""
        times = [(self.begins, self.ends)]
        if self.series is not None:
            lasts = timedelta(seconds=self.series.seconds)
            with contextlib.suppress(ValueError):
                times += [(begin, begin + lasts) for begin in next_times(self.series.calendar, self.begins, following)]
        return times

    def announce(self) -> dict[str, Any]:
        """Tell of it what visitors are told."""
        window = self.window
        return {
            "id": window.id,
            "start": window.start,
            "end": window.end,
            "reason": window.reason,
            "message": window.message,
        }

    def describe(self) -> dict[str, Any]:
        """Tell what people and programs want to know of it."""
        following = self.times(LISTED_TIMES)[1:]
        return {
            **self.announce(),
            "site": self.window.site,
            "state": self.state,
            "written": self.written,
            "recurs": self.series.calendar if self.series else None,
            "following": [{"start": format_instant(begin), "end": format_instant(end)} for begin, end in following],
            "layer": self.window.layer,
            "read_only": self.window.read_only,
            "by": self.window.opened_by,
            "command": self.order.command.text if self.order else None,
        }


def requested_times(begins: str, duration: Optional[str], until: Optional[str], now: datetime) -> dict[str, Any]:
    """Read when a window is to be: ``start`` and ``end``, or ``calendar`` and ``seconds``; what does not apply is None.

    Raises ValueError.
    """
    if bool(duration) == bool(until):
        raise ValueError("a scheduled window needs an end or a duration, one of the two")
    lasts = parse_duration(duration) if duration else None
    begin = parse_begin(begins, now)
    if begin is None:
        if lasts is None:
            raise ValueError(f"what recurs, '{begins}', needs a duration rather than an end")
        if (seconds := int(lasts.total_seconds())) > LONGEST_SECONDS:
            raise ValueError(f"'{duration}' is too long")
        return {"start": None, "end": None, "calendar": begins.strip(), "seconds": seconds}
    try:
        end = begin + lasts if lasts else parse_instant(until or "")
    except OverflowError as error:
        raise ValueError(f"'{duration}' is too long") from error
    if end <= begin:
        raise ValueError(f"'{until}' is not after the begin, {format_instant(begin)}")
    return {"start": format_instant(begin), "end": format_instant(end), "calendar": None, "seconds": None}


def placed(window: Window, times: dict[str, Any], now: datetime) -> tuple[Window, Optional[Series]]:
    """Give a window the times that were requested, and its id; with what recurs, the first time. Raises ValueError."""
    if times["calendar"] is None:
        window = replace(window, start=times["start"], end=times["end"])
        return replace(window, id=_id_at(parse_instant(times["start"])), expires=True), None
    following = next_times(times["calendar"], now, COMPARED_TIMES)
    if not following:
        raise ValueError(f"'{times['calendar']}' has passed: it does not come again")
    pauses = [(later - earlier).total_seconds() for earlier, later in zip(following, following[1:])]
    if times["seconds"] > min(pauses, default=times["seconds"]):
        raise ValueError(f"'{times['calendar']}' comes again before the window is over")
    window = _at(window, following[0], times["seconds"])
    return window, Series(window.id, times["calendar"], times["seconds"])


def _at(window: Window, begin: datetime, seconds: int) -> Window:
    end = begin + timedelta(seconds=seconds)
    return replace(window, id=_id_at(begin), start=format_instant(begin), end=format_instant(end), expires=True)


def _id_at(begin: datetime) -> str:
    return begin.strftime(WINDOW_ID)


def to_text(series: Optional[Series], job: Optional[str]) -> str:
    """Write a ``schedule.json``."""
    return json.dumps({"schema": SCHEMA, "series": asdict(series) if series else None, "job": job}) + "\n"


def from_text(text: str) -> tuple[Optional[Series], Optional[str]]:
    """Read a ``schedule.json``: how the window recurs and the id of its job, each None where there is none.

    Raises ValueError where it is not one of this schema.
    """
    try:
        fields = json.loads(text)
        if fields["schema"] != SCHEMA:
            raise ValueError(f"schedule.json has schema {fields['schema']}; this version reads schema {SCHEMA}")
        job = fields.get("job")
        if job is not None and not ID.fullmatch(job):
            raise ValueError("schedule.json names a job by what is no id")
        if not fields["series"]:
            return None, job
        series = Series(**fields["series"])
        if not (
            isinstance(series.id, str) and isinstance(series.calendar, str) and 0 < series.seconds <= LONGEST_SECONDS
        ):
            raise ValueError("schedule.json has something that does not recur")
        return series, job
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"schedule.json cannot be read: {error}") from error


class Schedule:
    """The scheduled windows of a site on this host."""

    def __init__(self, directory: StateDirectory, start_job: Callable[[], None] = lambda: None) -> None:
        """Name the site, and what starts the job of a window that has been opened; nothing is read yet."""
        self.directory = directory
        self.jobs = WindowJobs(directory.jobs)
        self.start_job = start_job
        self.fault: Optional[str] = None
        self._near: list[str] = []

    def plans(self) -> list[Plan]:
        """List the windows that wait, those that were missed of late, and the open one that has an end, by their begins."""
        with contextlib.suppress(FileNotFoundError):
            names = [name for name in os.listdir(self.directory.windows) if not name.startswith(".")]
            return sorted(self._read(names), key=lambda plan: plan.begins)
        return []

    def _read(self, names: Iterable[str]) -> list[Plan]:
        """Read those windows that have a place in time; one that somebody has spoilt is passed over."""
        found = []
        flagged = self.directory.flagged_id() if self.directory.flag.exists() else None
        for name in names:
            links = (link for link in (WAITING, MISSED) if os.path.lexists(self.directory.windows / name / link))
            state = OPEN if name == flagged else next(links, None)
            if state is not None:
                with contextlib.suppress(OSError, ValueError, StateError):
                    found.append(self._plan(name, state))
        return found

    def _plan(self, name: str, state: str) -> Plan:
        """Read a window of the schedule. Raises StateError, ValueError and OSError, also for one that has no end."""
        window = self.directory.read_window(name)
        texts = (window.start, window.end, window.reason, window.message, window.layer, window.opened_by)
        if window.id != name or not all(isinstance(text, str) for text in texts) or window.end is None:
            raise ValueError("it has another's id, no end, or what is no text")
        "".join(map(str, texts)).encode()  # Half a surrogate pair is a ValueError
        series = job = None
        with pinned(self.directory.windows / name) as held:
            written = datetime.fromtimestamp((held / "window.json").stat().st_mtime, timezone.utc)
            with contextlib.suppress(FileNotFoundError):
                series, job = from_text(read_plain(held / PLAN).decode())
        begins, ends = parse_instant(window.start), parse_instant(window.end)
        order = self.jobs.order(job) if job else None
        return Plan(window, state, begins, ends, series, format_instant(written), job, order)

    def open_plan(self) -> Optional[Plan]:
        """Read the window that keeps visitors out, None where there is none or it has no place in time."""
        flagged = self.directory.flagged_id() if self.directory.flag.exists() else None
        return next(iter(self._read([flagged])), None) if flagged else None

    def job_of(self, plan: Optional[Plan]) -> Optional[Progress]:
        """Tell what has become of a window's job, None where it has none."""
        return self.jobs.progress(plan.job, plan.begins) if plan and plan.job else None

    def told_job(self) -> Optional[dict[str, Any]]:
        """Tell of the job of the window that keeps visitors out, or of one that runs though its window does not; None without any."""
        plan = self.open_plan()
        progress = self.job_of(plan) or (Progress(RUNS) if self.directory.job_runs() else None)
        if progress is None:
            return None
        command = plan.order.command.text if plan and plan.order else None
        return {"window": plan.id if plan and plan.job else None, "command": command, **progress.describe()}

    def announced(self) -> list[dict[str, Any]]:
        """Tell of the windows that wait, the next one first, what visitors are told."""
        return [plan.announce() for plan in self.plans() if plan.state == WAITING]

    def add(
        self,
        window: Window,
        series: Optional[Series],
        by: str,
        source: str,
        merge: bool = False,
        only_tell: bool = False,
        command: Optional[Command] = None,
        secret: Optional[str] = None,
    ) -> tuple[bool, Window]:
        """Schedule a window; gives whether that changes anything, and the window that stands for it.

        Where others overlap it, it is refused, or with ``merge`` becomes one with them. Only root may let it run a ``command``. Who
        has the ``secret`` passes, unless nothing changes: what is there already has one of its own. Raises OverlapError,
        StateError, ValueError and OSError.
        """
        if series and secret:
            raise StateError(
                f"what recurs, '{series.calendar}', has no secret link: each window has another secret, which nobody would be shown. "
                "Ask without one, and open the window again with a link when it is open, with its end and that it expires; or "
                "schedule that one time alone"
            )
        window = replace(window, bypass_digest=digest_of(secret) if secret else None)
        order = Order(command, window.start, window.end or "", series.calendar if series else None) if command else None
        with self.directory.locked():
            begins, ends = parse_instant(window.start), parse_instant(window.end or "")
            plan = Plan(window, WAITING, begins, ends, series, order=order)
            plan, rivals = self._settled(plan, self.plans(), merge)
            if there := _request_in(rivals, plan):
                return False, there.window
            running = next((rival for rival in rivals if rival.state == OPEN), None)
            holder = self._holder(plan, rivals, running)
            if running is not None:
                kept = replace(running.window, end=plan.window.end)
                others = [rival for rival in rivals if rival is not running]
                return self._change(running, kept, others, by, source, only_tell), kept
            if holder and holder is not plan:
                secret = self.directory.secret_of(holder.window)
                if secret is None:
                    raise StateError(
                        f"{holder.id} has a secret link, which only root and who made it can keep: let them do this, or cancel that "
                        "window"
                    )
                plan = replace(plan, window=replace(plan.window, bypass_digest=holder.window.bypass_digest))
            if only_tell:
                return True, plan.window
            details: dict[str, Any] = {"recurs": series.calendar} if series else {}
            details.update({"command": order.command.text} if order else {})
            try:
                window = self._free(plan.window)
                self.directory.tell_of_change()
                self._stage(window, series, self.jobs.add(replace(order, window=window.id)) if order else None, secret)
                self.directory.record(
                    "scheduled",
                    by,
                    source,
                    window=window.id,
                    reason=window.reason,
                    start=window.start,
                    until=window.end,
                    **details,
                )
                self._cancel(rivals, by, source)
            finally:
                self.forget_jobs()
            return True, window

    def cancel(
        self, window_id: Optional[str], by: str, source: str, once: bool = False, only_tell: bool = False
    ) -> list[str]:
        """Take a window that waits out of the schedule, with all that follow where it recurs; gives the ids.

        With ``once`` the others follow all the same. Without an id the only window that waits is meant. Root takes back what was
        ordered for a window of that id also where it is there no more. Raises StateError and OSError.
        """
        with self.directory.locked():
            plans = self.plans()
            plan = self._named(window_id, plans, (WAITING,))
            opened = next((p for p in plans if p.state == OPEN), None)
            if plan is None:
                if not window_id or (opened and opened.id == window_id):
                    return []
                if not self._revoke(window_id, None, opened, once, only_tell):
                    return []
                if not only_tell:
                    self.directory.record("cancelled", by, source, window=window_id)
                return [window_id]
            if plan.series and once:
                if not only_tell:
                    self.directory.tell_of_change()
                    self._stage_next(plan, plans, _now())
                targets = [plan]
            else:
                targets = [
                    p for p in plans if p is plan or (plan.series and p.series and p.series.id == plan.series.id)
                ]
            waiting = [target for target in targets if target.state == WAITING]
            if not only_tell:
                try:
                    self._end_series([target for target in targets if target.state != WAITING])
                    self._cancel(waiting, by, source)
                finally:
                    for target in waiting:
                        self._revoke(target.id, target, opened, once)
                self.forget_jobs()
            return [target.id for target in waiting]

    def _revoke(
        self, window_id: str, plan: Optional[Plan], opened: Optional[Plan], once: bool, only_tell: bool = False
    ) -> bool:
        """Take back what was ordered for a window, whatever windows there are and name it; gives whether there is such an order.

        With ``once`` it is for the other times all the same, and else for the time that has begun of the window that is open. Where
        this account may not, nothing is done.
        """
        now = _now()
        orders = self.jobs.of(window_id, now)
        if plan and plan.job and (named := self.jobs.order(plan.job)):
            orders[plan.job] = named
        if only_tell:
            return bool(orders)
        try:
            for job, order in orders.items():
                if once and order.calendar:
                    self.jobs.change(job, order.without(window_id, plan.begins if plan else None))
                elif opened and opened.job == job and opened.begins <= now and order.surely_for(opened.begins):
                    self.jobs.change(job, order.only_for(opened.id, opened.begins))
                else:
                    self.jobs.revoke(job)
        except PermissionError:
            return False
        return bool(orders)

    def extend(
        self, window_id: Optional[str], end: str, by: str, source: str, merge: bool = False, only_tell: bool = False
    ) -> bool:
        """Give a window that waits or is open another end; gives whether that changes anything.

        Without an id the open one is meant, or else the only one that waits. Raises OverlapError, StateError, ValueError and OSError.
        """
        with self.directory.locked():
            now = _now()
            plans = self.plans()
            ending = [plan for plan in plans if plan.window.expires]
            plan = self._named(window_id, ending, (OPEN, WAITING))
            if plan is None:
                raise StateError(
                    f"{self.directory.site} has no {f'window {window_id}' if window_id else 'window'} that is scheduled, or open and "
                    "closes by itself: there is none to extend"
                )
            ends = parse_instant(end)
            if ends <= max(now, plan.begins):
                raise ValueError(f"'{end}' is not after now and the window's begin, {plan.window.start}")
            if ends == plan.ends:
                return False
            wanted = replace(plan, window=replace(plan.window, end=format_instant(ends)), ends=ends, series=None)
            wanted, rivals = self._settled(wanted, [other for other in plans if other.id != plan.id], merge)
            self._holder(wanted, rivals, wanted)
            return self._change(plan, wanted.window, rivals, by, source, only_tell)

    def _settled(self, plan: Plan, others: list[Plan], merge: bool) -> tuple[Plan, list[Plan]]:
        """Give a plan grown over those that it overlaps, and these. Raises OverlapError where they are not to be merged."""
        rivals = overlapping(plan, others)
        if not rivals or _request_in(rivals, plan):
            return plan, rivals
        first = rivals[0]
        recurs = f", which recurs ({first.series.calendar})" if first.series else ""
        named = (
            f"{self.directory.site} has the window {first.id} from {first.window.start} to {first.window.end}{recurs}, and the one "
            f"that is asked for, from {plan.window.start} to {plan.window.end}, overlaps it"
        )
        if not merge:
            raise OverlapError(f"{named}. Choose another time, cancel that window, or let both become one")
        if plan.series or any(rival.series for rival in rivals):
            raise OverlapError(
                f"{named}. What recurs becomes one with nothing: choose another time, or cancel that window"
            )
        if plan.order or any(rival.job for rival in rivals):
            raise OverlapError(
                f"{named}. What runs a command becomes one with nothing: choose another time, or cancel that window"
            )
        if not all(rival.window.expires for rival in rivals):
            raise OverlapError(
                f"{named}. That window is open, and is closed by hand: choose another time, or close it first"
            )
        begins = min([plan.begins, *(rival.begins for rival in rivals)])
        ends = max([plan.ends, *(rival.ends for rival in rivals)])
        if (begins, ends) == (plan.begins, plan.ends):
            return plan, rivals
        window = replace(plan.window, start=format_instant(begins), end=format_instant(ends))
        return self._settled(replace(plan, window=window, begins=begins, ends=ends), others, merge)

    def _named(self, window_id: Optional[str], plans: list[Plan], states: Iterable[str]) -> Optional[Plan]:
        """Find the window that is meant; None where there is none. Raises StateError where it is one of several."""
        if window_id:
            return next((plan for plan in plans if plan.id == window_id and plan.state in states), None)
        for state in states:
            found = [plan for plan in plans if plan.state == state]
            if len(found) > 1:
                raise StateError(
                    f"{self.directory.site} has several windows that are {state}, name the one that is meant: "
                    f"{', '.join(plan.id for plan in found)}"
                )
            if found:
                return found[0]
        return None

    def _holder(self, plan: Plan, rivals: list[Plan], stays: Optional[Plan]) -> Optional[Plan]:
        """Find whose secret lets pass in the one window that these become; None where none has one.

        Raises StateError where a secret would end by that, as ``stays`` only gets another end, and no window has two.
        """
        holders = [known for known in (plan, *rivals) if known.window.bypass_digest]
        digests = {holder.window.bypass_digest for holder in holders}
        if len(digests) > 1:
            raise StateError(
                f"more than one of the windows that would become one at {plan.window.start} has a secret link, and only one link "
                "could let pass: ask without a link, or cancel a window that has one"
            )
        if stays is not None and not digests <= {stays.window.bypass_digest}:
            raise StateError(
                f"the window {stays.id} would only get another end, and the secret link of {holders[0].id} would let nobody pass: ask "
                "without a link, or cancel the other one"
            )
        return holders[0] if holders else None

    def _free(self, window: Window) -> Window:
        """Give a window a name that is free."""
        base, number = window.id, 1
        while os.path.lexists(self.directory.windows / window.id):
            number += 1
            window = replace(window, id=f"{base}.{number}")
        return window

    def _stage(
        self, window: Window, series: Optional[Series], job: Optional[str], secret: Optional[str] = None
    ) -> None:
        """Write a window that waits, and prove that Nginx will be able to read it."""
        staged = self.directory.stage(window, secret=secret, plan=to_text(series, job))
        page = next(iter(sorted(staged.glob("503.*.html"))))
        # What is above was looked at when the gate was installed
        if closed := closed_to_others(page, self.directory.path):
            self._remove(window.id)
            raise StateError(
                f"Nginx could not read the page of this window: {closed} is closed to others. Open it with chmod o+rX, and try again"
            )

    def _change(self, plan: Plan, window: Window, rivals: list[Plan], by: str, source: str, only_tell: bool) -> bool:
        """Give a window another end, in the place of others; gives whether that changes anything."""
        if window == plan.window and not rivals:
            return False
        if only_tell:
            return True
        order, former = plan.order, plan.window
        its_own = Order(order.command, former.start, former.end or "", window=former.id) if order else None
        if plan.job and order and order == its_own:  # A member may let a window name another's
            with contextlib.suppress(PermissionError):  # A member's word does not let a job begin later
                self.jobs.change(plan.job, replace(order, end=window.end or ""))
        self.directory.tell_of_change()
        self.directory.rewrite(window)
        with pinned(self.directory.windows) as windows:
            os.utime(windows)  # The app looks again at what it announces
        self.directory.record("extended", by, source, window=window.id, until=window.end)
        self._cancel(rivals, by, source)
        return True

    def _cancel(self, plans: Iterable[Plan], by: str, source: str) -> None:
        for plan in plans:
            self._remove(plan.id)
            self.directory.record("cancelled", by, source, window=plan.id)

    def _remove(self, name: str) -> None:
        """Remove a window that waits: by the first name already it waits no more."""
        with pinned(self.directory.windows) as windows:
            with pinned(windows / name) as held:
                (held / WAITING).unlink(missing_ok=True)
                (held / PLAN).unlink(missing_ok=True)
            # Where another account has made its secret link, root removes the rest when the windows are tidied up
            shutil.rmtree(windows / name, ignore_errors=True)
            sync_directory(windows)

    def _end_series(self, plans: Iterable[Plan]) -> None:
        """Let nothing follow a window."""
        for plan in plans:
            with pinned(self.directory.windows / plan.id) as held:
                write_file(held / PLAN, to_text(None, plan.job).encode(), FILE_MODE)

    def forget_jobs(self) -> None:
        """Remove what is known of jobs whose windows are gone; where this account may not, root does so later. Raises OSError."""
        named = set()
        with pinned(self.directory.windows) as windows:
            for name in os.listdir(windows):
                with contextlib.suppress(OSError, ValueError), pinned(windows / name) as held:
                    named.add(from_text(read_plain(held / PLAN).decode())[1])
        with contextlib.suppress(PermissionError):
            self.jobs.forget_all_but({job for job in named if job})

    def settle(self, now: datetime, arrive: Callable[[], bool] = lambda: True) -> Optional[datetime]:
        """Do what is due at an instant, and give the next one at which something is; None where nothing is planned.

        What was found to be next the time before comes first, without a look at all else. Where the instant is still to come,
        ``arrive`` waits for it when that has been made ready, and tells whether it has come; if not, nothing was done, and it is given
        again. What keeps a next window from being staged is told in ``fault``, as it must not keep others from their time. Raises
        StateError and OSError, and can be called again then.
        """
        with self.directory.locked():
            self._open_begun(self._read(self._near), now, arrive)
            self._close_over(now, arrive)
            if not arrive():
                return now
            plans = self.plans()
            self._put_back(plans, now)
            plans += self._continue_series(plans, now)
            self._open_begun(plans, now)
            self._close_over(now)
            self._note_missed(plans, now)
            plans = self.plans()
        self._start_job_of(plans, now)
        begins = [plan.begins for plan in plans if plan.state == WAITING and plan.begins > now]
        ends = [plan.ends for plan in plans if plan.state == OPEN and plan.window.expires and plan.ends > now]
        self._near = [plan.id for plan in plans if plan.begins == min(begins, default=None)]
        return min([*begins, *ends], default=None)

    def _start_job_of(self, plans: Iterable[Plan], now: datetime) -> None:
        """Let the job begin of the window that is open; one that was interrupted is told of by what is started then."""
        opened = next((plan for plan in plans if plan.state == OPEN and plan.begins <= now), None)
        progress = self.job_of(opened)
        if progress is not None and progress.state in (WAITS, INTERRUPTED):
            try:
                self.start_job()
            except (OSError, StateError) as error:
                self.fault = f"the job of {opened.id if opened else ''} could not be started: {error}"

    def _put_back(self, plans: Iterable[Plan], now: datetime) -> None:
        """Let a window wait again that a clock opened which was wrong and has been set back since."""
        for plan in plans:
            place = self.directory.windows / plan.id
            early = plan.state == OPEN and plan.begins > now + SET_BACK
            progress = self.job_of(plan) if early else None
            idle = progress is None or progress.state in (WAITS, DONE)
            if early and idle and os.path.lexists(place / PLAN) and not self._deploy_needs_it():
                with pinned(place) as held:
                    let_pass(held, [])
                    os.rename(self.directory.flag, held / WAITING)
                sync_directory(self.directory.path)
                self.directory.record(
                    "put back", plan.window.opened_by, SOURCE, window=plan.id, start=plan.window.start
                )

    def _open_begun(self, plans: Iterable[Plan], now: datetime, arrive: Callable[[], bool] = lambda: True) -> None:
        for plan in plans:
            if plan.state == WAITING and plan.begins <= now < plan.ends:
                self._open(plan, arrive)

    def _open(self, plan: Plan, arrive: Callable[[], bool]) -> None:
        """Put the flag on a window, unless somebody has closed the site to all already; a deploy is waited for, and another's job."""
        flag, current = self.directory.flag, self.directory.current_window()
        closed = flag.exists()
        if closed and current is not None and (current.deploys or self._job_needs_it(self.open_plan())):
            return
        overtaken = closed and not (
            (current is not None and current.expires and current.end and parse_instant(current.end) < plan.ends)
            or self.directory.parts_that_pass()
        )
        with pinned(self.directory.windows / plan.id) as held:
            if not arrive() or flag.exists() != closed:
                return
            if overtaken:
                os.unlink(held / WAITING)
            else:
                os.rename(held / WAITING, flag)
        at, window = _now(), plan.window
        sync_directory(self.directory.path)
        self.directory.record(
            "overtaken" if overtaken else "opened",
            window.opened_by,
            SOURCE,
            at,
            window=window.id,
            reason=window.reason,
            until=window.end,
            layer=window.layer,
            read_only=window.read_only,
        )
        if not overtaken:
            self.directory.forget_old_windows()

    def _close_over(self, now: datetime, arrive: Callable[[], bool] = lambda: True) -> None:
        """Take the flag away where its window is one that expires and its end has come, unless a deploy or a job needs it.

        With a job that closes the window, its end is when the job has ended well.
        """
        window = self.directory.current_window()
        if window is None or not (window.expires and window.end and self.directory.flag.exists()):
            return
        plan = self.open_plan()
        closes = plan is not None and plan.order is not None and plan.order.command.closes
        over = closes or parse_instant(window.end) <= now
        flagged = self.directory.flagged_id()
        if not over or self._job_needs_it(plan) or self._deploy_needs_it():
            return
        if not arrive() or self.directory.flagged_id() != flagged:
            return
        self.directory.flag.unlink()
        at = _now()
        sync_directory(self.directory.path)
        self.directory.record("closed", window.opened_by, SOURCE, at, window=window.id)

    def _deploy_needs_it(self) -> bool:
        """Tell whether a deploy is at work behind the window, also one that has died there."""
        record = DeployRecord(self.directory).read()
        return record is not None and record.get("phase") not in NO_HARM

    def _job_needs_it(self, plan: Optional[Plan]) -> bool:
        """Tell whether the window's job has not ended well so far, or that of another window, also one that is open no more, runs."""
        progress = self.job_of(plan)
        return (progress is not None and progress.state != DONE) or self.directory.job_runs()

    def _note_missed(self, plans: Iterable[Plan], now: datetime) -> None:
        """Let windows whose end has passed wait no more; and wait again where that was the fault of a wrong clock.

        After a day they are missed no more either.
        """
        for plan in plans:
            if plan.state == MISSED and plan.ends < now - SHOWN_MISSED:
                with pinned(self.directory.windows / plan.id) as held:
                    os.unlink(held / MISSED)
                continue
            over = plan.ends <= now
            former, name = (WAITING, MISSED) if over else (MISSED, WAITING)
            place = self.directory.windows / plan.id
            if plan.state == former and os.path.lexists(place / former):
                with pinned(place) as held:
                    os.rename(held / former, held / name)
                self.directory.record(name, plan.window.opened_by, SOURCE, window=plan.id, until=plan.window.end)

    def _continue_series(self, plans: Iterable[Plan], now: datetime) -> list[Plan]:
        """Stage what follows those windows whose time is near or was, so that at that time there is nothing left to do."""
        self.fault = None
        known, staged = list(plans), []
        for (
            plan
        ) in known:  # What is staged may have begun itself, and comes behind; what is only near does the next time
            if plan.state != WAITING or plan.begins <= now + (timedelta() if plan in staged else HORIZON):
                try:
                    following = self._stage_next(plan, known, now)
                except (OSError, StateError, ValueError) as error:
                    self.fault = f"what follows {plan.id} could not be staged: {error}"
                else:
                    known += following
                    staged += following
        return staged

    def _stage_next(self, plan: Plan, plans: Iterable[Plan], now: datetime) -> list[Plan]:
        """Stage the next window of a series behind one and give it, unless it is there already or the series is over.

        What would be over by now is left out.
        """
        series = plan.series
        if series is None or any(p.series and p.series.id == series.id and p.begins > plan.begins for p in plans):
            return []
        lasts = timedelta(seconds=series.seconds)
        following = next_times(series.calendar, max(plan.begins, now - lasts), 2)
        if len(following) == 2 and following[1] - following[0] < lasts:
            raise ValueError(f"'{series.calendar}' comes again before the window is over")
        staged = [self._free(_at(plan.window, begin, series.seconds)) for begin in following[:1]]
        for window in staged:
            self._stage(window, series, plan.job)
        return [self._plan(window.id, WAITING) for window in staged]


def overlapping(plan: Plan, others: Iterable[Plan]) -> list[Plan]:
    """List the windows that are in force at some time at which another is; touching is no overlap."""
    mine = plan.times(COMPARED_TIMES)
    known = [(other, other.times(COMPARED_TIMES)) for other in others if other.state != MISSED]
    return [
        other
        for other, its in known
        if any(begin < its_end and its_begin < end for begin, end in mine for its_begin, its_end in its)
    ]


def _request_in(rivals: list[Plan], plan: Plan) -> Optional[Plan]:
    """Find what is asked for among the windows that overlap it, where all others of them are of its own series.

    One that has a secret is not given another: who has been told the former is to pass.
    """
    for rival in rivals:
        asked = replace(plan.window, bypass_digest=None) if rival.window.bypass_digest else plan.window
        if (
            (rival.begins, rival.ends, _recurs(rival)) == (plan.begins, plan.ends, _recurs(plan))
            and rival.window.same_request(asked)
            and _command(rival) == _command(plan)
            and all(other is rival or (other.series and other.series == rival.series) for other in rivals)
        ):
            return rival
    return None


def _command(plan: Plan) -> Optional[Command]:
    return plan.order.command if plan.order else None


def _recurs(plan: Plan) -> Optional[tuple[str, int]]:
    return (plan.series.calendar, plan.series.seconds) if plan.series else None


def clock_fault(ahead: float, tolerance: float) -> Optional[str]:
    """Say what is wrong with a host's clock that is known to be so far ahead of the controller's; below zero it is behind."""
    if abs(ahead) <= tolerance:
        return None
    side = "ahead of" if ahead > 0 else "behind"
    return (
        f"this host's clock is {abs(ahead):.1f} s {side} the controller's, so that the window would be at another time. Set it right, "
        "see timedatectl(1), or allow more with maintenance_window_clock_tolerance"
    )


def _now() -> datetime:
    return datetime.now(timezone.utc)


def keep_time(
    schedule: Schedule,
    ready: Callable[[], None],
    now: Callable[[], datetime] = _now,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Do what is due, then sleep to the next instant on the wall clock and do that, and so on, until none is near.

    The clock is read at least once a second, as it may be set, and shortly before the instant nothing else is looked at. What is due
    then is made ready just before, so that the one rename is all that is left to do. ``ready`` is called when what was due at the
    beginning is done. Raises StateError and OSError.
    """

    def arrive(instant: datetime) -> bool:
        while timedelta() < (left := instant - now()) <= LEAD:
            sleep(left.total_seconds())
        return left <= timedelta()

    edge = schedule.settle(now())
    ready()
    while edge is not None and (left := edge - now()) <= HORIZON:
        if left <= LEAD:
            edge = schedule.settle(max(edge, now()), partial(arrive, edge))
            continue
        sleep(min(1.0, (left - LEAD).total_seconds()))
        if left > STILL:
            edge = schedule.settle(now())
