"""What the database engines have in common: a lock, a backup, and the way back to it.

It runs inside the site's own Django, sent along with ``django_side``; a connection is one of Django's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

LOCK_POLL_SECONDS = 0.2
TRIAL_SUFFIX = "_trial"
Told = Callable[[str], object]


class DatabaseFault(Exception):
    """A database cannot be locked or backed up; the message says why."""


class Database:
    """A database of an engine that cannot be migrated safely, and what all engines have in common."""

    suffix = ""

    def __init__(self, connection: Any) -> None:
        """Take a connection of Django's."""
        self.connection = connection
        self.settings: Mapping[str, Any] = connection.settings_dict
        self.options: Mapping[str, Any] = self.settings.get("OPTIONS") or {}
        self.name = str(self.settings["NAME"])

    @property
    def host(self) -> str:
        """Name the database's server for people; empty where there is none."""
        return str(self.settings.get("HOST") or "")

    def faults(self, backup: bool, trial_megabytes: int) -> list[str]:
        """List what stands against migrating it, and against the backup before and its trial."""
        return [
            f"The database {self.name} is of the engine {self.settings['ENGINE']}. PostgreSQL, MariaDB, MySQL and SQLite"
            " can be locked and backed up, and no other"
        ]

    def rehearsal(self, dump: Callable[[], object]) -> list[str]:
        """Dump the schema alone and throw it away, so that a dump which cannot work is known while the site is open."""
        try:
            dump()
        except DatabaseFault as error:
            return [f"The backup of {self.name} would fail: {error}"]
        return []

    def lock(self, seconds: float, tell: Told) -> contextlib.AbstractContextManager[None]:
        """Hold the database's migration lock, which vanishes with this process.

        Where another holds it, ``tell`` is called with what is known of the holder, and DatabaseFault raised after ``seconds``.
        """
        raise DatabaseFault(self.faults(False, 0)[0])

    def limits(self, lock: float, statement: float) -> list[str]:
        """Give the statements that bound, in seconds, how long one waits for locks and runs; 0 is no bound."""
        return []

    def was_locked_out(self, error: Exception) -> bool:
        """Tell whether an error is that of a statement which waited too long for a lock."""
        return False

    def dump(self, path: str) -> None:
        """Write the database to a file that is there, and check that it is whole. Raises DatabaseFault."""
        raise NotImplementedError

    def megabytes(self) -> float:
        """Give the size of the database."""
        raise NotImplementedError

    def is_tried(self, trial_megabytes: float) -> bool:
        """Tell whether the database is small enough for its backup to be restored on trial; 0 is for none."""
        return trial_megabytes > 0 and self.megabytes() <= trial_megabytes

    def try_backup(self, path: str, tables: Iterable[str]) -> dict[str, int]:
        """Restore a backup beside the database, count its rows, and throw it away. Raises DatabaseFault."""
        raise NotImplementedError

    def recover(self, backup: str) -> None:
        """Bring the database back to a backup. Raises DatabaseFault."""
        raise NotImplementedError

    def own_rows(self) -> dict[str, int]:
        """Count the rows of the database's tables."""
        with session_of_its_own(self.connection) as cursor:
            return self.rows(cursor, self.connection.introspection.table_names(cursor))

    def rows(self, cursor: Any, tables: Iterable[str]) -> dict[str, int]:
        """Count the rows of tables."""
        counts = {}
        for table in sorted(tables):
            cursor.execute(f"SELECT COUNT(*) FROM {self.connection.ops.quote_name(table)}")
            counts[table] = int(cursor.fetchone()[0])
        return counts

    def restore(self, backup: str) -> list[str]:
        """Give the shell commands that restore a backup, and take away what it does not have."""
        raise NotImplementedError


def wait_for_lock(
    name: str, take: Callable[[], bool], holder: Callable[[], Sequence[Any] | None], seconds: float, tell: Told
) -> None:
    """Take a lock as soon as nobody else has it; ``tell`` hears once of who does. Raises DatabaseFault after ``seconds``."""
    deadline = time.monotonic() + seconds
    told = False
    while not take():
        known = holder()
        who = f"session {known[0]}: {known[1]}" if known else ""
        if time.monotonic() >= deadline:
            raise DatabaseFault(f"another migration of {name} is running{f' ({who})' if who else ''}")
        if not told:
            tell(who)
            told = True
        time.sleep(LOCK_POLL_SECONDS)


def compare(name: str, before: Mapping[str, int], after: Mapping[str, int], there: Mapping[str, int]) -> None:
    """Compare the rows of a database, counted before and after its backup, with those of the backup. Raises DatabaseFault.

    Of a table that the site wrote to meanwhile, nobody knows how many it had at the instant of the backup.
    """
    quiet = {table: rows for table, rows in before.items() if after.get(table) == rows}
    differ = [
        f"{table} has {there.get(table)} of {rows} rows" for table, rows in quiet.items() if there.get(table) != rows
    ]
    if differ:
        raise DatabaseFault(f"the backup of {name} was tried, and is not whole: {'; '.join(differ)}")


def lock_key(name: str) -> int:
    """Give the number of a database's advisory lock: 64 bits with sign."""
    return int.from_bytes(hashlib.sha256(f"intermission:{name}".encode()).digest()[:8], "big", signed=True)


def this_process() -> str:
    """Name this process for those who find its lock; PostgreSQL keeps 63 bytes of it."""
    return f"intermission, pid {os.getpid()} on {socket.gethostname()}"[:63]


@contextlib.contextmanager
def session_of_its_own(connection: Any, database: str | None = None) -> Iterator[Any]:
    """Open a second session with the same settings, outside any transaction; the server ends it with this process.

    It may be one of another database of the same server.
    """
    own = connection.copy()
    if database:
        own.settings_dict["NAME"] = database
    own.settings_dict.get("OPTIONS", {}).pop("pool", None)  # a pool would keep the session, and its lock, after close()
    own.set_autocommit(True)
    try:
        with own.cursor() as cursor:
            yield cursor
    finally:
        own.close()


def run_program(
    command: list[str],
    environment: Mapping[str, str],
    stdin: IO[bytes] | int = subprocess.DEVNULL,
    stdout: IO[bytes] | int = subprocess.PIPE,
) -> str:
    """Run a client program and give its output, where it does not go elsewhere. Raises DatabaseFault with what it said."""
    ran = subprocess.run(
        command,
        env=environment,
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if ran.returncode != 0:
        raise DatabaseFault(f"{command[0]} ended with {ran.returncode}: {ran.stderr.strip()[-2000:]}")
    return ran.stdout or ""


def private(path: str, flags: int) -> int:
    """Open a file that only its owner may read."""
    return os.open(path, flags, 0o600)
