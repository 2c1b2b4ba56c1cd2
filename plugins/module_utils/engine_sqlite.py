"""SQLite: a file, which is locked, copied, and copied back."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shlex
import sqlite3
from collections.abc import Iterable, Iterator

from ansible_collections.intermission.django.plugins.module_utils.engine import (
    Database,
    DatabaseFault,
    Told,
    wait_for_lock,
)


class SQLite(Database):
    """A file: locked with flock(2) on a file beside it, copied while it is in use."""

    def faults(self, backup: bool, trial_megabytes: int) -> list[str]:
        """Find none: Python copies it."""
        return []

    @contextlib.contextmanager
    def lock(self, seconds: float, tell: Told) -> Iterator[None]:
        """Hold a lock on a file beside the database."""
        with open(f"{self.name}.migrate-lock", "a", encoding="utf-8") as lock:

            def take() -> bool:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return False
                return True

            wait_for_lock(self.name, take, lambda: None, seconds, tell)
            yield

    def dump(self, path: str) -> None:
        """Copy it while it is in use, and let SQLite check the copy."""
        with (
            contextlib.closing(sqlite3.connect(self.name)) as source,
            contextlib.closing(sqlite3.connect(path)) as target,
        ):
            source.backup(target)
            verdict = target.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            raise DatabaseFault(f"the backup of {self.name} is damaged: {verdict}")

    def megabytes(self) -> float:
        """Give the size of the file."""
        return os.path.getsize(self.name) / 2**20 if os.path.exists(self.name) else 0

    def try_backup(self, path: str, tables: Iterable[str]) -> dict[str, int]:
        """Count the rows; the backup is a database itself."""
        with contextlib.closing(sqlite3.connect(path)) as copy:
            return self.rows(copy.cursor(), tables)

    def recover(self, backup: str) -> None:
        """Copy the backup back over it, in one transaction."""
        self.connection.close()
        with (
            contextlib.closing(sqlite3.connect(backup)) as source,
            contextlib.closing(sqlite3.connect(self.name)) as target,
        ):
            source.backup(target)

    def restore(self, backup: str) -> list[str]:
        """Copy the backup back over it."""
        copy = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))"
        return [f'python3 -c "{copy}" {shlex.quote(backup)} {shlex.quote(self.name)}']
