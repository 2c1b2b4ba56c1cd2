"""The jobs of scheduled windows: which command root has said is to be run at which times, and what has become of it.

Members of the group write windows, and a job may be root's. So a window names its job by an id and by nothing else, and what counts
is in ``<root>/.<site>.jobs``, where only root may write::

    <id>.json   the order: the command, and the times that it is for
    <id>.run    its last run, a ``Job`` whose name is the time that it was for

A member can keep a job from its time, but make nothing run that root has not ordered, nor at another time, nor twice.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pwd
import re
import shlex
import stat
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.files import read_plain, sync_directory, write_file
from ansible_collections.intermission.django.plugins.module_utils.job import Job
from ansible_collections.intermission.django.plugins.module_utils.recurrence import next_times
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant, parse_instant

SCHEMA = 1
ID = re.compile(r"[0-9a-f]{32}")
WINDOW_ID = "window-%Y%m%dT%H%M%S"  # Of the begin; where that was taken, a number follows behind a dot
DIRECTORY_MODE = 0o755
FILE_MODE = 0o644
ORDER, RUN = ".json", ".run"
WAITS, RUNS, DONE, FAILED, INTERRUPTED = "waits", "runs", "done", "failed", "interrupted"


@dataclass(frozen=True)
class Command:
    """A program with its arguments, the account that runs it (root where none is named), and for how many seconds at most.

    ``closes`` opens the site as soon as it has ended well, and not at the window's end.
    """

    words: tuple[str, ...]
    user: str = ""
    seconds: Optional[float] = None
    closes: bool = False

    @property
    def text(self) -> str:
        """Write it as a shell would take it."""
        return shlex.join(self.words)


def parse_command(text: str, user: str, seconds: Optional[float], closes: bool) -> Command:
    """Read a command that is to run on this host. Raises ValueError where it could not."""
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"the command '{text}' has a quote or a backslash that does not end: {error}") from error
    program = words[0] if words else ""
    if not os.path.isabs(program):
        raise ValueError(f"the command '{text}' has to begin with the path of its program, from / on")
    if not (os.path.isfile(program) and os.access(program, os.X_OK)):
        raise ValueError(f"the command's program {program} is not on this host, or is no program")
    if seconds is not None and seconds <= 0:
        raise ValueError(f"the command's time, {seconds:g} s, is none at all")
    if user:
        try:
            pwd.getpwnam(user)
        except KeyError as error:
            raise ValueError(f"there is no account '{user}' on this host that could run the command") from error
    return Command(words, user, seconds, closes)


@dataclass(frozen=True)
class Order:
    """A command and the times that it is for: from ``start`` to ``end``, and where it recurs, so long from each time of a calendar.

    ``window`` is the id of the window that it was given with, the first one where it recurs: members may let any window name it.
    ``skipped`` are the times of the calendar that were cancelled alone.
    """

    command: Command
    start: str
    end: str
    calendar: Optional[str] = None
    window: str = ""
    skipped: tuple[str, ...] = ()

    def is_of(self, window_id: str, now: datetime) -> bool:
        """Tell whether it is for a window of that id which is not over, whatever that window says by now, and whether it is there."""
        begin = _begin_of(window_id)
        if begin is None or now - begin >= parse_instant(self.end) - parse_instant(self.start):
            return False
        return self.surely_for(begin) if self.calendar else self.window == window_id

    def surely_for(self, begin: datetime) -> bool:
        """Tell whether it is for a window that begins then, as far as systemd can tell."""
        with contextlib.suppress(ValueError):
            return self.is_for(begin)
        return False

    def without(self, window_id: str, begin: Optional[datetime]) -> Order:
        """Give it without the time of a window: that of its id, and that which the window, which members may write, tells."""
        times = {format_instant(time) for time in (_begin_of(window_id), begin) if time}
        return replace(self, skipped=(*self.skipped, *sorted(times)))

    def only_for(self, window_id: str, begin: datetime) -> Order:
        """Give it for one of its times alone."""
        end = begin + (parse_instant(self.end) - parse_instant(self.start))
        return replace(self, start=format_instant(begin), end=format_instant(end), calendar=None, window=window_id)

    def is_for(self, begin: datetime) -> bool:
        """Tell whether it is for a window that begins then. Raises ValueError where systemd cannot work the calendar out."""
        if format_instant(begin) in self.skipped:
            return False
        first = parse_instant(self.start)
        if self.calendar is None or begin <= first:
            return begin == first
        return next_times(self.calendar, begin - timedelta(seconds=1)) == [begin]

    def may_begin(self, begin: datetime, now: datetime) -> bool:
        """Tell whether a window that begins then is not over yet, as far as who has given the order knows."""
        return begin <= now < begin + (parse_instant(self.end) - parse_instant(self.start))

    def to_json(self) -> str:
        """Write the file of an order."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Order:
        """Read the file of an order. Raises ValueError, KeyError or TypeError where it is none of this schema."""
        fields = json.loads(text)
        if fields.pop("schema") != SCHEMA:
            raise ValueError("the order of a job has another schema")
        command = fields.pop("command")
        skipped = tuple(fields.pop("skipped", ()))
        return cls(Command(tuple(command.pop("words")), **command), **fields, skipped=skipped)


def _begin_of(window_id: str) -> Optional[datetime]:
    with contextlib.suppress(ValueError):
        return datetime.strptime(window_id.partition(".")[0], WINDOW_ID).replace(tzinfo=timezone.utc)
    return None


@dataclass(frozen=True)
class Progress:
    """What has become of a window's job: it ``waits``, ``runs``, is ``done``, has ``failed`` or was ``interrupted``."""

    state: str
    since: Optional[str] = None
    fault: Optional[str] = None
    output: tuple[str, ...] = ()

    def describe(self) -> dict[str, Any]:
        """Tell what people and programs want to know of it."""
        return {**asdict(self), "output": list(self.output), "failed": self.state in (FAILED, INTERRUPTED)}


class WindowJobs:
    """The jobs of a site's windows."""

    def __init__(self, directory: Path) -> None:
        """Name the directory; nothing is read yet."""
        self.directory = directory

    def job(self, job_id: str) -> Job:
        """Give the last run of a job."""
        return Job(self.directory / f"{job_id}{RUN}", FILE_MODE)

    def order(self, job_id: str) -> Optional[Order]:
        """Read what was ordered, None where that is not there any more."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return Order.from_json(read_plain(self.directory / f"{job_id}{ORDER}").decode())
        return None

    def add(self, order: Order) -> str:
        """Give an order; gives its id. Raises OSError, also where this account may not."""
        self.directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
        self.directory.chmod(DIRECTORY_MODE)
        self.check_ours()
        job_id = os.urandom(16).hex()
        self.change(job_id, order)
        return job_id

    def change(self, job_id: str, order: Order) -> None:
        """Change an order. Raises OSError, also where this account may not."""
        write_file(self.directory / f"{job_id}{ORDER}", order.to_json().encode(), FILE_MODE)

    def of(self, window_id: str, now: datetime) -> dict[str, Order]:
        """Give the orders that are for a window of that id which is not over, by their ids."""
        orders = {path.stem: self.order(path.stem) for path in self._files() if path.suffix == ORDER}
        return {job_id: order for job_id, order in orders.items() if order and order.is_of(window_id, now)}

    def revoke(self, job_id: str) -> None:
        """Take an order back. Raises OSError, also where this account may not."""
        (self.directory / f"{job_id}{ORDER}").unlink(missing_ok=True)
        sync_directory(self.directory)

    def check_ours(self) -> None:
        """Raise PermissionError where the directory, or the one that it is in, is not this account's alone to write."""
        for directory in (self.directory, self.directory.parent):
            status = directory.lstat()
            if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise PermissionError(
                    errno.EPERM, "Jobs are run by their owner, where nobody else may write", str(directory)
                )

    def progress(self, job_id: str, begin: datetime) -> Progress:
        """Tell what has become of a job in a window that begins then.

        Where it has run for a later time already, that is what has become of it.
        """
        if self.order(job_id) is None:
            return Progress(FAILED, fault="is not there any more")
        record, name = self.job(job_id).record(), format_instant(begin)
        if record is None or record["name"] < name:
            return Progress(WAITS)
        since, result = format_instant(datetime.fromisoformat(record["since"])), record["result"]
        if record["running"]:
            return Progress(RUNS, since)
        if record["error"] is not None:
            return Progress(FAILED, since, record["error"])
        if result is None:
            return Progress(INTERRUPTED, since, "was interrupted")
        return Progress(FAILED if result["fault"] else DONE, since, result["fault"], tuple(result["output"]))

    def forget_all_but(self, kept: set[str]) -> None:
        """Remove the files of those jobs that no window names any more, unless they run. Raises OSError."""
        for path in self._files():
            record = self.job(path.stem).record() if path.stem not in kept else {"running": True}
            if not (record and record["running"]):
                path.unlink(missing_ok=True)
        if self.directory.is_dir():
            sync_directory(self.directory)

    def _files(self) -> list[Path]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(path for path in self.directory.iterdir() if ID.fullmatch(path.stem))
        return []
