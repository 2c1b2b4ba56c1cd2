"""Requests that wait at the app's socket while a deploy migrates, and the page that takes over where they would wait for too long.

The app is stopped and its socket stays open, where the kernel keeps those who connect. One file, ``.<site>.hold.json``, is there
meanwhile: the app's unit starts when it is gone. It says how long, and how many requests, may wait. A process on the host keeps to
that whatever becomes of the controller, and then opens a window that is there already. Both end with the file, and who ends
the hold has a lock on it (flock(2)).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.controller import machine
from ansible_collections.intermission.django.plugins.module_utils.files import (
    open_plain,
    read_plain,
    replace_symlink,
    sync_directory,
    write_file,
)
from ansible_collections.intermission.django.plugins.module_utils.sockets import connections
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, StateError, Window
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant

if TYPE_CHECKING:
    import subprocess

SOURCE = "its hold"
CONNECTIONS = re.compile(r"^\s*worker_connections\s+(\d+)", re.MULTILINE)
FILES = re.compile(r"^\s*worker_rlimit_nofile\s+(\d+)", re.MULTILINE)
OPEN_FILES = re.compile(r"^Max open files\s+(\d+)", re.MULTILINE)
DEFAULT_CONNECTIONS = 512  # https://nginx.org/en/docs/ngx_core_module.html#worker_connections
POLL_SECONDS = 0.05
MODE = 0o600  # Who can open it could have the lock, and nobody would end the hold; the app's account only looks whether it is there


@dataclass(frozen=True)
class Terms:
    """What a hold keeps to. ``seconds`` count from ``since``, a time of CLOCK_BOOTTIME in the boot that ``machine`` names."""

    window: str
    units: Sequence[str]
    socket: str
    seconds: float
    most: int
    by: str
    since: float
    machine: str

    def left(self) -> float:
        """Give how many seconds are left; none after a reboot."""
        if self.machine != machine():
            return 0.0
        return max(0.0, self.since + self.seconds - _now())


class Hold:
    """The hold of a site on this host."""

    def __init__(self, directory: StateDirectory) -> None:
        """Name the hold; nothing is read yet."""
        self.directory = directory
        self.path = directory.hold_file

    def read(self) -> Optional[Terms]:
        """Read what the hold keeps to, None where there is none. Raises StateError where it cannot be understood."""
        try:
            return _terms(read_plain(self.path))
        except FileNotFoundError:
            return None

    def begin(self, window: Window, units: Sequence[str], socket: str, seconds: float, most: int) -> None:
        """Stage the window that is to take over, and let the app's unit start no more; who calls this stops the app then.

        Raises StateError and OSError, and nothing waits then.
        """
        with self.directory.locked():
            window = self._stage(window)
            self.directory.record("held", window.opened_by, SOURCE, window=window.id, seconds=seconds, most=most)
            terms = Terms(window.id, units, socket, seconds, most, window.opened_by, _now(), machine())
            write_file(self.path, json.dumps(asdict(terms)).encode(), MODE)

    def release(self) -> bool:
        """Let the app's unit start; gives False where the page has taken over, and the app is stopped with its socket.

        Raises StateError and OSError.
        """
        with self._ending() as terms:
            if terms is None:
                return False
            if self.directory.flag.exists():
                self._pass_over(terms)
                return False
            self.path.unlink()
            sync_directory(self.path.parent)
            shutil.rmtree(self.directory.windows / terms.window, ignore_errors=True)
            self.directory.record("released", terms.by, SOURCE, window=terms.window)
            return True

    def pass_over(self) -> bool:
        """Let the page take over; gives whether there was something to take over from.

        The flag comes first, so that nobody new waits; those who wait lose their connection to the app, and get the page for that.
        Who dies between leaves what is to be done anew. Raises StateError and OSError.
        """
        with self._ending() as terms:
            if terms is None:
                return False
            self._pass_over(terms)
            return True

    def keep(self, ready: Callable[[], object], waiting: Callable[[str], int] = connections) -> None:
        """Watch the hold until it ends, and end it where it is at its limit; calls ``ready`` once that is sure.

        Raises StateError and OSError.
        """
        watched = False
        while (terms := self.read()) is not None:
            if not terms.left() or self.directory.flag.exists() or waiting(terms.socket) > terms.most:
                self.pass_over()
                break
            if not watched:
                ready()
                watched = True
            time.sleep(POLL_SECONDS)
        if not watched:
            ready()

    def _pass_over(self, terms: Terms) -> None:
        with self.directory.locked():
            if not self.directory.flag.exists():
                window = self._staged(terms)
                replace_symlink(self.directory.flag, f"windows/{window.id}")
                self.directory.record("opened", terms.by, SOURCE, window=window.id, reason=window.reason, until=None)
        stopped = _systemctl("stop", terms.units)
        if stopped.returncode != 0:
            raise StateError(
                f"`systemctl stop {' '.join(terms.units)}` ended with {stopped.returncode}: {stopped.stderr.strip()}"
            )
        # What was ended while it waited to start counts as failed, of which nobody has to take notice
        _systemctl("reset-failed", terms.units)
        self.path.unlink()
        sync_directory(self.path.parent)

    def _stage(self, window: Window) -> Window:
        """Write a window, with a number behind its id where there is one of that id."""
        number, base_id = 1, window.id
        while os.path.lexists(self.directory.windows / window.id):
            number += 1
            window = replace(window, id=f"{base_id}.{number}")
        self.directory.stage(window)
        return window

    def _staged(self, terms: Terms) -> Window:
        """Give the window that was staged, or another where somebody of the group has spoiled it: a page without a reason is one."""
        try:
            return self.directory.read_window(terms.window)
        except StateError:
            now = format_instant(datetime.now(timezone.utc))
            return self._stage(Window(terms.window, self.directory.site, now, opened_by=terms.by))

    @contextlib.contextmanager
    def _ending(self) -> Iterator[Optional[Terms]]:
        """Read what the hold keeps to, None where there is none, and let nobody else end it meanwhile."""
        try:
            descriptor = open_plain(self.path, os.O_RDONLY)
        except FileNotFoundError:
            yield None
            return
        with open(descriptor, "rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            gone = os.fstat(stream.fileno()).st_nlink == 0
            yield None if gone else _terms(stream.read())


def _systemctl(verb: str, units: Sequence[str]) -> subprocess.CompletedProcess[str]:
    import subprocess  # Most that import this have no hold

    return subprocess.run(
        ["systemctl", "--no-ask-password", verb, *units],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


def most_waiting(configuration: str, files: Optional[int], queue: int) -> int:
    """Give how many requests may wait: three quarters of what a single process of Nginx, or the socket's queue, has room for.

    ``configuration`` is what Nginx dumps, ``files`` how many files a process of it may open (None: not known), ``queue`` how many
    connections wait at a socket. A request that waits takes two connections, and one process may get all of them.
    """
    said = [int(number) for number in CONNECTIONS.findall(configuration)]
    limits = [int(number) for number in FILES.findall(configuration)] or ([files] if files is not None else [])
    return min(min([*(said or [DEFAULT_CONNECTIONS]), *limits]) // 2, queue) * 3 // 4


def files_of(program: str, processes: Path = Path("/proc")) -> Optional[int]:
    """Give how many files a running program may open (getrlimit(2)), the fewest of its processes; None where none runs."""
    found = []
    for process in processes.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "comm").read_text(encoding="utf-8").strip() == program:
                found += OPEN_FILES.findall((process / "limits").read_text(encoding="ascii"))
    return min(map(int, found), default=None)


def queue_of(backlog: int, most: Path = Path("/proc/sys/net/core/somaxconn")) -> int:
    """Give how many connections wait at a socket that asks for ``backlog`` (listen(2))."""
    return min(backlog, int(most.read_text(encoding="ascii")))


def _terms(text: bytes) -> Terms:
    try:
        content: dict[str, Any] = json.loads(text)
        return Terms(**content)
    except (ValueError, TypeError) as error:
        raise StateError(f"the file of the hold cannot be read: {error}") from error


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
