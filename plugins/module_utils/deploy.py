"""The deploy of a site on a host: who is at it, in which phase, and what has been done. One file, ``.<site>.deploy.json``.

The file is the deploy lock: it comes into being with link(2), which only one of two can do, and goes when the deploy is over.
One that is left by a controller that died names its holder and the phase that it died in. ``.<site>.left_behind.json`` is there for
longer: it names the web hosts that the last deploy has left behind. Both lie where the group that may close the site cannot write.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.files import (
    NotPlainError,
    read_plain,
    sync_directory,
    write_file,
)
from ansible_collections.intermission.django.plugins.module_utils.job import Job
from ansible_collections.intermission.django.plugins.module_utils.state import (
    StateDirectory,
    StateError,
    is_of_deploy,
)

BEGINNINGS = ("deploy begun", "deploy taken over")
LAST_PHASE = "reopen"
LOOKED_THROUGH = 200  # entries of the journal, of which a deploy has some dozen
IDENTITY = ("user", "host", "pid", "started")


class DeployRecord:
    """The record of the deploy that is under way on this host."""

    def __init__(self, directory: StateDirectory) -> None:
        """Name the record; nothing is read yet."""
        self.directory = directory
        self.path = directory.deploy_file
        self.left_behind_file = directory.left_behind_file

    def read(self) -> Optional[dict[str, Any]]:
        """Read the record of an unfinished deploy, None where there is none."""
        try:
            content = json.loads(read_plain(self.path, names=2))  # Its link(2) leaves it two for a moment
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, RecursionError, NotPlainError):
            content = None
        if isinstance(content, dict) and isinstance(content.get("holder"), dict):
            return content
        return {"holder": {}, "phase": "unknown"}

    def begin(
        self, holder: dict[str, Any], release: str, take_over: bool, version: str = "", gone: Sequence[str] = ()
    ) -> Optional[dict[str, Any]]:
        """Take the lock, for a release and what its operator calls it; whose web hosts are gone is known from here on.

        Gives the record of another's deploy where that holds it and is not to be taken over.
        """
        content = {"holder": holder, "release": release, "version": version, "phase": "prepare", "since": _now()}
        self.directory.make()
        staged = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            with self.directory.locked():
                write_file(staged, json.dumps(content).encode(), 0o644)
                other = self.read()
                if other is not None and not same_holder(other["holder"], holder):
                    if not take_over:
                        return other
                    self._record("deploy taken over", holder, release=release, former=other)
                if other is not None:
                    self.path.unlink()
                os.link(staged, self.path)
                sync_directory(self.path.parent)
                if not set(gone) <= set(self.left_behind()):
                    self._leave_behind(sorted({*self.left_behind(), *gone}))
        finally:
            staged.unlink(missing_ok=True)
        self._record("deploy begun", holder, release=release)
        return None

    def held(self, holder: dict[str, Any]) -> bool:
        """Tell whether the lock is this holder's."""
        content = self.read()
        return content is not None and same_holder(content["holder"], holder)

    def see_held(self, holder: dict[str, Any]) -> None:
        """Raise StateError where the lock is another's now."""
        if not self.held(holder):
            raise self._lost()

    def _lost(self) -> StateError:
        return StateError(f"the deploy lock {self.path} is no longer ours: somebody has taken this deploy over")

    def enter(
        self, phase: str, holder: dict[str, Any], details: Optional[dict[str, Any]] = None, overtaken: bool = False
    ) -> None:
        """Note that the deploy goes into a phase, and what is known by then. Raises StateError where the lock is another's now.

        In the last phase, whose release is live on all hosts, nothing of the deploy is to be taken back any more. Nor is anything of
        one from before on a host that the others have ``overtaken`` while it was gone. Raises StateError while that still migrates.
        """
        with self._kept(holder) as content:
            if content is None:
                raise self._lost()
            job = Job(self.directory.migration_file)
            if overtaken and (job.record() or {"running": False})["running"]:
                raise StateError(
                    "a deploy from before this host was left behind migrates still: wait for its end, then deploy again"
                )
            if phase == LAST_PHASE or overtaken:
                job.forget()
            write_file(self.path, json.dumps({**content, "phase": phase}).encode(), 0o644)
        self._record("deploy phase", holder, phase=phase, release=content.get("release"), **(details or {}))

    def left_behind(self) -> list[str]:
        """Name the web hosts that the site's last deploy has left behind, because they were gone."""
        try:
            content = json.loads(read_plain(self.left_behind_file))
        except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError, NotPlainError):
            return []
        return [name for name in content if isinstance(name, str)] if isinstance(content, list) else []

    def end(self, outcome: str, holder: dict[str, Any], settled: bool = True, left_behind: Sequence[str] = ()) -> bool:
        """Give the lock back, if it is this holder's; gives whether it was.

        Where the site is ``settled``, nothing of the deploy is to be taken back any more, and how to is forgotten.
        """
        with self._kept(holder) as content:
            if content is None:
                return False
            if settled:
                Job(self.directory.migration_file).forget()
            if left_behind:
                self._leave_behind(left_behind)
            else:
                self.left_behind_file.unlink(missing_ok=True)
            self.path.unlink()
            sync_directory(self.path.parent)
        self._record(
            "deploy ended", holder, outcome=outcome, release=content.get("release"), version=content.get("version")
        )
        return True

    def failed(self) -> Optional[dict[str, Any]]:
        """Tell of the deploy that has failed and keeps the site closed, None where none does so.

        ``outcome``, ``release``, ``version``, ``by`` and ``at`` (ISO 8601), each None where the journal does not know it any more.
        """
        if self.read() is not None or not is_of_deploy(self.directory.flagged_id()):
            return None
        ended = [entry for entry in self.directory.journal(LOOKED_THROUGH) if entry.get("event") == "deploy ended"]
        return {name: (ended or [{}])[-1].get(name) for name in ("outcome", "release", "version", "by", "at")}

    def _leave_behind(self, names: Sequence[str]) -> None:
        write_file(self.left_behind_file, json.dumps(list(names)).encode(), 0o644)

    @contextlib.contextmanager
    def _kept(self, holder: dict[str, Any]) -> Iterator[Optional[dict[str, Any]]]:
        """Read the record, None where it is not this holder's, and let nobody take the deploy over meanwhile."""
        if self.read() is None:
            yield None
            return
        with self.directory.locked():
            content = self.read()
            yield content if content is not None and same_holder(content["holder"], holder) else None

    def _record(self, event: str, holder: dict[str, Any], **details: Any) -> None:
        with contextlib.suppress(FileNotFoundError):
            self.directory.record(event, str(holder.get("user")), str(holder.get("host")), **details)


def summary(entries: list[dict[str, Any]]) -> Optional[dict[str, Any]]:
    """Sum the last deploy of a journal up, which has come to its end; None where there is none.

    ``phases`` lists each with its seconds, ``seconds`` is the whole, ``closed_seconds`` how long the deploy's own window kept visitors
    out, ``held_seconds`` how long it let their requests wait, ``outcome`` how it ended.
    """
    begun = max((number for number, entry in enumerate(entries) if entry.get("event") in BEGINNINGS), default=None)
    if begun is None or entries[-1].get("event") != "deploy ended":
        return None
    entries = entries[begun:]
    instants = [(entry, datetime.fromisoformat(entry["at"])) for entry in entries]
    (first, began), (last, ended) = instants[0], instants[-1]
    steps = [
        ("prepare", began),
        *((entry["phase"], at) for entry, at in instants if entry["event"] == "deploy phase"),
        ("", ended),
    ]
    phases = [
        {"phase": name, "seconds": round((following - at).total_seconds(), 3)}
        for (name, at), (_next, following) in zip(steps, steps[1:])
    ]
    opened = [at for entry, at in instants if entry["event"] == "opened" and is_of_deploy(entry.get("window"))]
    closed = [at for entry, at in instants if entry["event"] == "closed" and is_of_deploy(entry.get("window"))]
    held = [at for entry, at in instants if entry["event"] == "held"]
    let_go = [at for entry, at in instants if entry["event"] == "released"] or opened
    return {
        "release": first.get("release"),
        "outcome": last.get("outcome"),
        "seconds": round((ended - began).total_seconds(), 3),
        "phases": phases,
        "closed_seconds": round((closed[-1] - opened[0]).total_seconds(), 3)
        if opened and closed
        else 0.0
        if not opened
        else None,
        "held_seconds": round((let_go[0] - held[0]).total_seconds(), 3) if held and let_go else 0.0,
    }


def same_holder(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether two records were made by the same run."""
    return all(one.get(part) == other.get(part) for part in IDENTITY)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
