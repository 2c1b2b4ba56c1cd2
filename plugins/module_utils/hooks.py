"""What an administrator wants done around opening and closing: executables in a directory for each event, as with run-parts(8).

They run as whoever opens or closes, one behind the other, with an environment of their own. Behind what the schedule or a hold has
done, root runs them when that stands in the journal, as nothing may hold up the instant itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import signal
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.files import open_plain, read_plain, write_file
from ansible_collections.intermission.django.plugins.module_utils.hold import SOURCE as HOLD
from ansible_collections.intermission.django.plugins.module_utils.schedule import SOURCE as SCHEDULE
from ansible_collections.intermission.django.plugins.module_utils.state import (
    JOURNAL_TAIL,
    StateDirectory,
    StateError,
    Window,
    digest_of,
)
from ansible_collections.intermission.django.plugins.module_utils.terminal import printable

BEFORE_OPEN, AFTER_OPEN, BEFORE_CLOSE, AFTER_CLOSE = "before-open", "after-open", "before-close", "after-close"
BEHIND = {"opened": AFTER_OPEN, "closed": AFTER_CLOSE}
BY_THEMSELVES = (SCHEDULE, HOLD)
NAME = re.compile(r"[A-Za-z0-9_-]+")
SECONDS = 60.0
SAID_BYTES = 300
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RECENT = timedelta(minutes=1)
LATE = timedelta(hours=1)


class HookError(StateError):
    """A hook does not let the site be closed; the message says which and why."""


class Hooks:
    """The hooks of a site on this host."""

    def __init__(self, root: Optional[str], directory: StateDirectory) -> None:
        """Name the directory of the hooks, None where none are to run, and the site."""
        self.root = Path(root) if root else None
        self.directory = directory

    def run(self, event: str, about: dict[str, Any], by: str, source: str, stops: bool = False) -> list[str]:
        """Run the hooks of an event, in the order of their names; gives what is to be said of those that failed.

        Each of them is in the journal. Where the first that fails ``stops`` what was to be done, HookError is raised.
        """
        faults = []
        for hook in self._of(event):
            how, said = _distrust(hook), ""
            if how is None:
                how, said = _failure_of(hook, self._environment(event, about, by, source))
            if how is None:
                continue
            with contextlib.suppress(
                OSError, StateError
            ):  # All may read the journal, and so not what the hook has said
                self.directory.record("hook failed", by, source, hook=f"{event}.d/{hook.name}", how=printable(how))
            fault = f"the hook {hook} {how}: {said}" if said else f"the hook {hook} {how}"
            if stops:
                raise HookError(
                    f"{fault}. So {self.directory.site} is left as it was: see to that, or leave the hooks out"
                )
            faults.append(fault)
        return faults

    def _of(self, event: str) -> list[Path]:
        """List the hooks of an event that this account may run."""
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
            entries = sorted((self.root / f"{event}.d").iterdir()) if self.root else []
            return [
                path for path in entries if NAME.fullmatch(path.name) and path.is_file() and os.access(path, os.X_OK)
            ]
        return []

    def _environment(self, event: str, about: dict[str, Any], by: str, source: str) -> dict[str, str]:
        values = {
            "event": event,
            "site": self.directory.site,
            "window": about.get("id"),
            "reason": about.get("reason"),
            "start": about.get("start"),
            "end": about.get("end"),
            "by": by,
            "from": source,
        }
        told = {f"INTERMISSION_{name.upper()}": printable(str(value or "")) for name, value in values.items()}
        return {"PATH": SEARCH_PATH, "LANG": "C.UTF-8", "HOME": _home(), **told}


def open_window(
    directory: StateDirectory, hooks: Hooks, window: Window, by: str, source: str, secret: Optional[str] = None
) -> tuple[bool, list[str]]:
    """Open a window between its hooks; gives whether that changed anything, and what is to be said of hooks that failed.

    A person's window is not opened where a hook before it fails, a deploy's is. Raises StateError and OSError.
    """
    asked = replace(window, bypass_digest=digest_of(secret) if secret else None)
    if directory.in_force(asked):
        return directory.open(window, by, source, secret), []
    faults = hooks.run(BEFORE_OPEN, _about(window), by, source, stops=not window.deploys)
    changed = directory.open(window, by, source, secret)
    if changed:
        faults += hooks.run(AFTER_OPEN, _about(directory.current_window()), by, source)
    return changed, faults


def close_window(
    directory: StateDirectory, hooks: Hooks, by: str, source: str, only: Optional[str] = None, force: bool = False
) -> tuple[bool, list[str]]:
    """Close a window between its hooks, none of which can keep the site closed; gives what ``open_window`` does.

    Raises HeldError and OSError.
    """
    if not directory.closable(only, force):
        return False, []
    about = _about(directory.current_window())
    faults = hooks.run(BEFORE_CLOSE, about, by, source)
    changed = directory.close(by, source, only, force)
    if changed:
        faults += hooks.run(AFTER_CLOSE, about, by, source)
    return changed, faults


def _about(window: Optional[Window]) -> dict[str, Any]:
    """Tell of a window what hooks are told; nothing of a flag that was set by hand."""
    return {name: getattr(window, name) for name in ("id", "reason", "start", "end")} if window else {}


def follow_schedule(directory: StateDirectory, hooks: Hooks, now: datetime) -> list[str]:
    """Run the hooks behind what schedule and hold have opened and closed since the last time; gives what is to be said of failures.

    How far the journal was read is kept where only root may write, and before the hooks run: none runs twice. Raises OSError.
    """
    faults = []
    for entry in _unread(directory.journal_file, directory.hooks_file, now):
        event = BEHIND.get(str(entry.get("event")))
        if event and entry.get("from") in BY_THEMSELVES:
            about = {"id": entry.get("window"), "reason": entry.get("reason"), "end": entry.get("until")}
            with contextlib.suppress(StateError, ValueError):
                about = _about(directory.read_window(Path(str(entry.get("window"))).name))
            faults += hooks.run(event, about, printable(str(entry.get("by"))), str(entry.get("from")))
    return faults


def _unread(journal: Path, memory: Path, now: datetime) -> Iterator[dict[str, Any]]:
    """Read what is new at the journal's end, also what comes meanwhile; where nothing is remembered, the last minute's.

    What is older than an hour has come while there was no hook to run for it, and no hook is to run for it any more.
    """
    while True:
        try:
            descriptor = open_plain(journal, os.O_RDONLY)
        except FileNotFoundError:
            return
        with open(descriptor, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            read = _remembered(memory)
            known = read is not None and read <= size
            begin = stream.seek(max(read if read is not None and known else 0, size - JOURNAL_TAIL))
            whole = stream.read(size - begin).rpartition(b"\n")[0]
        if known and not whole:
            return
        write_file(memory, str(begin + len(whole) + 1 if whole else size).encode(), 0o600)
        for line in whole.splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
                entry = json.loads(line)
                if datetime.fromisoformat(entry["at"]) > now - (LATE if known else RECENT):
                    yield entry


def _remembered(memory: Path) -> Optional[int]:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return int(read_plain(memory))
    return None


def _distrust(hook: Path) -> Optional[str]:
    """Say why a hook is not run: somebody else than root and this account could have written it."""
    file = hook.resolve()
    for path in (file, *file.parents, *hook.parents):
        status = path.stat()
        if status.st_uid not in (0, os.geteuid()):
            return f"is not run, as {path} does not belong to root"
        if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not status.st_mode & stat.S_ISVTX:
            return f"is not run, as others than its owner may write to {path}"
    return None


def _failure_of(hook: Path, environment: dict[str, str]) -> tuple[Optional[str], str]:
    """Run a hook; gives how it has failed, None where it has not, and the end of what it printed."""
    output = os.memfd_create("hook")
    try:
        process = subprocess.Popen(
            [str(hook)],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            status = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"was not over after {SECONDS:g} s, and was ended", ""
        if status == 0:
            return None, ""
        end = os.pread(output, SAID_BYTES, max(0, os.fstat(output).st_size - SAID_BYTES))
        how = f"ended with {status}" if status > 0 else f"was ended by signal {-status}"
        return how, " ".join(end.decode(errors="replace").split())
    except OSError as error:
        return f"cannot be run: {error.strerror}", ""
    finally:
        os.close(output)


def _home() -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(os.geteuid()).pw_dir
    return "/"
