"""PostgreSQL: advisory locks, and the client programs pg_dump, pg_restore and psql."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.intermission.django.plugins.module_utils.engine import (
    TRIAL_SUFFIX,
    Database,
    DatabaseFault,
    Told,
    lock_key,
    run_program,
    session_of_its_own,
    this_process,
    wait_for_lock,
)

VERSIONS = Path("/usr/lib/postgresql")
LIBPQ_VARIABLES = {
    "service": "PGSERVICE",
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "passfile": "PGPASSFILE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcrl": "PGSSLCRL",
    "channel_binding": "PGCHANNELBINDING",
    "gssencmode": "PGGSSENCMODE",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}
HOLDER_OF_ADVISORY_LOCK = """
SELECT pid, application_name FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND (classid::bigint << 32 | objid::bigint) = %s
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
EMPTY = """
DO $$ DECLARE one record; BEGIN
FOR one IN SELECT schemaname, tablename FROM pg_tables
WHERE tableowner = current_user AND schemaname NOT IN ('pg_catalog', 'information_schema') LOOP
EXECUTE format('DROP TABLE IF EXISTS %I.%I CASCADE', one.schemaname, one.tablename);
END LOOP; END $$;
"""
# In the lists of pg_restore: "3; 2615 2200 SCHEMA - public pg_database_owner", "2; 3079 16384 EXTENSION - citext "
NOT_OWN = re.compile(r"^\d+; \d+ \d+ (?:COMMENT - )?(?:EXTENSION - |EXTENSION |SCHEMA - public |ACL - SCHEMA public )")
DROP_OWN_TABLES = (
    r"SELECT format('DROP TABLE IF EXISTS %I.%I CASCADE', schemaname, tablename) FROM pg_tables"
    r" WHERE tableowner = current_user AND schemaname NOT IN ('pg_catalog', 'information_schema') \gexec"
)


class PostgreSQL(Database):
    """Locked with an advisory lock of a session of its own, dumped with pg_dump."""

    suffix = ".dump"

    def parameters(self) -> dict[str, str]:
        """Give the connection's parameters as libpq names them."""
        settings = {"host": "HOST", "port": "PORT", "dbname": "NAME", "user": "USER", "password": "PASSWORD"}
        known = {name: self.settings.get(setting) for name, setting in settings.items()}
        known.update((name, value) for name, value in self.options.items() if name in LIBPQ_VARIABLES)
        return {name: str(value) for name, value in known.items() if value not in (None, "")}

    def environment(self) -> dict[str, str]:
        """Give the environment in which libpq's programs reach the database, so that no password is an argument."""
        known = {LIBPQ_VARIABLES[name]: value for name, value in self.parameters().items()}
        return {**os.environ, **self.programs(), **known}

    def programs(self) -> dict[str, str]:
        """Lead to the programs themselves where Debian's pg_wrapper(1) stands before them, which starts Perl to choose a version.

        Here it is the server's own, and the newest where that is not installed.
        """
        found = shutil.which("pg_dump")
        if found is None or Path(found).resolve().name != "pg_wrapper":
            return {}
        there = [path.parent.name for path in VERSIONS.glob("[0-9]*/bin") if (path / "pg_dump").exists()]
        versions = sorted((name for name in there if re.fullmatch(r"\d+(\.\d+)?", name)), key=float)
        own = str(self.connection.pg_version // 10000)
        if not versions:
            return {}
        chosen = own if own in versions else versions[-1]
        return {"PATH": f"{VERSIONS}/{chosen}/bin:{os.environ.get('PATH', os.defpath)}"}

    def faults(self, backup: bool, trial_megabytes: int) -> list[str]:
        """Look for a pooler, and for pg_dump and pg_restore, whether they are as new as the server, and try them."""
        if self.is_pooled():
            return [
                f"A pooler stands before {self.name} that gives each transaction another session (pgbouncer's pool_mode "
                "transaction or statement), and no lock holds there. Set django_migrate_database_url to the server's own address"
            ]
        if not backup:
            return []
        package = "Install Debian's package postgresql-client on this host, or set django_migrate_backup: false"
        missing = [program for program in ("pg_dump", "pg_restore") if shutil.which(program) is None]
        if missing:
            return [f"{' and '.join(missing)}, which the backup of {self.name} needs, cannot be found. {package}"]
        said = run_program(["pg_dump", "--version"], self.environment())
        version = re.search(r"\(PostgreSQL\) (\d+)", said)
        server = self.connection.pg_version // 10000
        if version is None or int(version.group(1)) < server:
            return [
                f"The server of {self.name} is PostgreSQL {server}, and no pg_dump older than that can back it up: here is"
                f" {said.strip()}. Install postgresql-client-{server} on this host"
            ]
        command = [*self.dump_command(os.devnull), "--schema-only", "--no-sync"]
        return self.rehearsal(lambda: run_program(command, self.environment())) or self.trial_faults(trial_megabytes)

    def is_pooled(self) -> bool:
        """Tell whether two sessions of ours are one of the server's, which a pooler has lent to both in turn."""
        with session_of_its_own(self.connection) as one, session_of_its_own(self.connection) as other:
            numbers = set()
            for cursor in (one, other):
                cursor.execute("SELECT pg_backend_pid()")
                numbers.add(cursor.fetchone()[0])
            return len(numbers) == 1

    def trial_faults(self, trial_megabytes: int) -> list[str]:
        """Say why a backup could not be tried: there is no second database for it, and none can be made."""
        if not self.is_tried(trial_megabytes):
            return []
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT rolcreatedb OR rolsuper OR EXISTS (SELECT FROM pg_database WHERE datname = %s"
                " AND has_database_privilege(oid, 'CONNECT, CREATE')) FROM pg_roles WHERE rolname = current_user",
                [self.name + TRIAL_SUFFIX],
            )
            if cursor.fetchone()[0]:
                return []
        return [
            f"The backup of {self.name} is to be tried in a database {self.name}{TRIAL_SUFFIX}, which is not there, and the user may "
            f"not make it. Make it, and make the user its owner; or set django_migrate_backup_trial_megabytes: 0, and a backup is "
            "only read whole"
        ]

    @contextlib.contextmanager
    def lock(self, seconds: float, tell: Told) -> Iterator[None]:
        """Hold a session's advisory lock."""
        key = lock_key(self.name)
        with session_of_its_own(self.connection) as cursor:
            cursor.execute("SELECT set_config('application_name', %s, false)", [this_process()])
            cursor.execute("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'")

            def ask(statement: str) -> Any:
                cursor.execute(statement, [key])
                return cursor.fetchone()

            def take() -> bool:
                return bool(ask("SELECT pg_try_advisory_lock(%s)")[0])

            wait_for_lock(self.name, take, lambda: ask(HOLDER_OF_ADVISORY_LOCK), seconds, tell)
            yield

    def limits(self, lock: float, statement: float) -> list[str]:
        """Set the server's own limits."""
        bounds = {"lock_timeout": lock, "statement_timeout": statement}
        return [f"SET {name} = {round(seconds * 1000)}" for name, seconds in bounds.items() if seconds]

    def was_locked_out(self, error: Exception) -> bool:
        """Look for lock_not_available."""
        cause = error.__cause__
        return "55P03" in (getattr(cause, "sqlstate", None), getattr(cause, "pgcode", None))

    def megabytes(self) -> float:
        """Ask the server for its size."""
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT pg_database_size(current_database())")
            return float(cursor.fetchone()[0]) / 2**20

    def dump_command(self, path: str) -> list[str]:
        """Give the command that writes the backup."""
        command = ["pg_dump", "--format=custom", "--no-password", f"--file={path}"]
        role = self.options.get("assume_role")
        return [*command, f"--role={role}"] if role else command

    def dump(self, path: str) -> None:
        """Run pg_dump, and let pg_restore read what it wrote."""
        environment = self.environment()
        run_program(self.dump_command(path), environment)
        listed = run_program(["pg_restore", "--list", path], environment)
        if self.connection.introspection.table_names() and " TABLE DATA " not in listed:
            raise DatabaseFault(f"the backup of {self.name} has no table in it")

    def try_backup(self, path: str, tables: Iterable[str]) -> dict[str, int]:
        """Restore it into a database beside this one, which is emptied afterwards, or made and removed."""
        trial = self.name + TRIAL_SUFFIX
        with session_of_its_own(self.connection) as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)", [trial])
            is_there = cursor.fetchone()[0]
            if not is_there:
                cursor.execute(f"CREATE DATABASE {self.connection.ops.quote_name(trial)}")
            try:
                self.put_back(path, trial, ["--no-privileges"])
                with session_of_its_own(self.connection, trial) as other:
                    there = self.rows(other, tables)
                    other.execute(EMPTY)
            finally:
                if not is_there:
                    cursor.execute(f"DROP DATABASE {self.connection.ops.quote_name(trial)}")
        return there

    def recover(self, backup: str) -> None:
        """Take all tables away and restore them in one transaction: where that fails, the database stays as it is."""
        self.put_back(backup, self.name, ["--use-list=/dev/stdin"], self.list_of(backup))

    def list_of(self, backup: str) -> str:
        """List what a backup has but for what its user does not own: the extensions, and the schema public."""
        listed = run_program(["pg_restore", "--list", backup], self.environment())
        return "".join(line for line in listed.splitlines(keepends=True) if not NOT_OWN.search(line))

    def put_back(self, backup: str, database: str, options: Sequence[str], listed: str = "") -> None:
        """Empty a database and restore a backup into it, in one transaction."""
        environment = {**self.environment(), "PGDATABASE": database}
        command = ["pg_restore", "--clean", "--if-exists", "--no-owner", "--file=-", *options, backup]
        with tempfile.TemporaryFile() as script, tempfile.TemporaryFile() as entries:
            role = self.options.get("assume_role")
            script.write(
                (f"SET ROLE {self.connection.ops.quote_name(role)};\n" if role else "").encode() + EMPTY.encode()
            )
            script.flush()
            entries.write(listed.encode())
            entries.seek(0)
            run_program(command, environment, stdin=entries, stdout=script)
            script.seek(0)
            psql = [
                "psql",
                "--no-psqlrc",
                "--quiet",
                "--no-password",
                "--single-transaction",
                "--set=ON_ERROR_STOP=1",
                "--output=/dev/null",
            ]
            run_program(psql, environment, stdin=script)

    def restore(self, backup: str) -> list[str]:
        """Drop the tables first: foreign keys that the backup does not know would keep some of them."""
        known = {name: value for name, value in self.parameters().items() if name != "password"}
        where = shlex.quote(" ".join(f"{name}={conninfo_value(value)}" for name, value in known.items()))
        return [
            f'echo "{DROP_OWN_TABLES}" | psql --dbname={where}',
            f"pg_restore --clean --if-exists --no-owner --dbname={where} {shlex.quote(backup)}",
        ]


def conninfo_value(value: str) -> str:
    """Quote a value for libpq's connection strings, where it has to be."""
    if re.fullmatch(r"[\w./:@-]+", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
