"""Lets the processes that do one task on several hosts go through its stages together: none begins one that another has not come to.

They have a directory in common below Ansible's own for temporary files, with a file for each stage, to which each adds a byte when it
has come there, and one that says why it is over. Who has died is known by its lock, and Ansible's main process by its number: where
that is gone nothing more is begun.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.controller import process_started

BEGIN_SECONDS = 60.0
LIVES_SECONDS = 1.0
# The longer it takes, the less often is looked
POLL_SECONDS = (0.003, 0.1)
POLLS_OF_A_WAIT = 200


class MeetingOver(Exception):
    """Another one has ended it; the message says who and why."""


class MeetingError(Exception):
    """Another one has not come, or has died, or the run has."""


class Meeting:
    """One task's processes, of which this is one. To be used with ``with``: who leaves by an exception ends it for all."""

    def __init__(self, place: Path, task: str, me: str, members: Sequence[str]) -> None:
        """Name the directory that all have in common, the task and its hosts; nothing is done yet."""
        self._parent = os.getppid()
        # A task may have several, of one host each
        company = hashlib.sha256("\n".join(members).encode()).hexdigest()[:16]
        self._place = place / f"meeting-{self._parent}-{process_started(self._parent)}-{task}-{company}"
        self._me, self._members = me, list(members)

    def __enter__(self) -> Meeting:
        """Take part. Raises OSError."""
        self._place.mkdir(mode=0o700, exist_ok=True)
        draft = self._presence(self._me).with_suffix(".draft")
        self._lock = os.open(draft, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        draft.rename(self._presence(self._me))
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """Be gone."""
        try:
            if error is not None and not isinstance(error, MeetingOver):
                self.end(str(error))
        except OSError:
            pass  # That it is gone is seen by its lock
        finally:
            os.close(self._lock)

    def gather(self, stage: int) -> None:
        """Say that this one has come to a stage, and wait until all have. Raises MeetingOver, MeetingError and OSError."""
        arrived = self._place / str(stage)
        with open(arrived, "ab") as stream:
            stream.write(b".")
        began = looked = time.monotonic()
        while True:
            if os.getppid() != self._parent:
                raise MeetingError("the run has ended")
            missing = ""
            now = time.monotonic()
            if now - looked >= LIVES_SECONDS:
                looked = now
                missing = self._missing(begins=now - began < BEGIN_SECONDS)
            # In this order: who has come to the last stage leaves, and where one fails in a stage that all have come to, all do it
            if arrived.stat().st_size >= len(self._members):
                return
            with suppress(FileNotFoundError):
                raise MeetingOver((self._place / "over").read_text(encoding="utf-8"))
            if missing:
                raise MeetingError(missing)
            least, most = POLL_SECONDS
            time.sleep(min(most, max(least, (now - began) / POLLS_OF_A_WAIT)))

    def is_first(self, stage: int) -> bool:
        """Tell whether none of them has asked this of the stage before. Raises OSError."""
        with suppress(FileExistsError):
            os.close(os.open(self._place / f"{stage}-first", os.O_CREAT | os.O_EXCL, 0o600))
            return True
        return False

    def end(self, why: str) -> None:
        """Let nobody begin another stage; who has ended it first has the word. Raises OSError."""
        draft = self._presence(self._me).with_suffix(".why")
        draft.write_text(f"{self._me}: {why}", encoding="utf-8")
        with suppress(FileExistsError):
            os.link(draft, self._place / "over")
        draft.unlink()

    def tell(self, known: dict[str, Any]) -> None:
        """Tell the others, who hear of it in the stages to come. Raises OSError."""
        draft = self._presence(self._me).with_suffix(".told")
        draft.write_text(json.dumps(known), encoding="utf-8")
        draft.replace(self._place / "told")

    def told(self) -> dict[str, Any]:
        """Give what one of them has told; nothing where none has."""
        with suppress(FileNotFoundError):
            known: dict[str, Any] = json.loads((self._place / "told").read_text(encoding="utf-8"))
            return known
        return {}

    def _presence(self, member: str) -> Path:
        """Name the file of one of them; names of hosts may have any letter."""
        return self._place / f"host-{self._members.index(member)}"

    def _missing(self, begins: bool) -> str:
        """Say who has not come at all, or has left or died; nothing where all are there."""
        for member in self._members:
            if member == self._me:
                continue
            try:
                descriptor = os.open(self._presence(member), os.O_RDONLY)
            except FileNotFoundError:
                if begins:
                    continue
                return f"{member} has not come along"
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            finally:
                os.close(descriptor)
            return f"{member}: its process is gone"
        return ""
