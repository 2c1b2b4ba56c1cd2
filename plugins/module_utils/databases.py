"""What differs between the databases that can be migrated: the lock, the backup, and the way back to it.

It runs inside the site's own Django, sent along with ``django_side``; a connection is one of Django's.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import os
import re
import shlex
import shutil
import socket
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

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
# The sessions of another account, which is a user together with a host, are not shown to every account
HOLDER_OF_NAMED_LOCK = """
SELECT used.id, COALESCE(shown.host, 'of another account') FROM (SELECT IS_USED_LOCK(%s) AS id) AS used
LEFT JOIN information_schema.processlist AS shown ON shown.id = used.id WHERE used.id IS NOT NULL
"""
DROP_OWN_TABLES = (
    r"SELECT format('DROP TABLE IF EXISTS %I.%I CASCADE', schemaname, tablename) FROM pg_tables"
    r" WHERE tableowner = current_user AND schemaname NOT IN ('pg_catalog', 'information_schema') \gexec"
)
MYSQL_SSL_FILES = ("ca", "capath", "cert", "key", "cipher")
MARIADB_SSL = {
    "DISABLED": ["skip-ssl"],
    "PREFERRED": ["ssl", "skip-ssl-verify-server-cert"],
    "REQUIRED": ["ssl", "skip-ssl-verify-server-cert"],
    "VERIFY_CA": ["ssl-verify-server-cert"],
    "VERIFY_IDENTITY": ["ssl-verify-server-cert"],
}
YEAR = 31536000
GZIP_LEVEL = 6
DUMP_ENDS_WITH = b"-- Dump completed"


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

    def faults(self, backup: bool) -> list[str]:
        """List what stands against migrating it, and against the backup before."""
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

    def lock(self) -> contextlib.AbstractContextManager[None]:
        """Hold the database's migration lock, which vanishes with this process. Raises DatabaseFault if another does."""
        raise DatabaseFault(self.faults(False)[0])

    def dump(self, path: str) -> None:
        """Write the database to a file that is there, and check that it is whole. Raises DatabaseFault."""
        raise NotImplementedError

    def restore(self, backup: str, created: Sequence[str]) -> list[str]:
        """Give the shell commands that restore a backup; ``created`` are tables that it does not have."""
        raise NotImplementedError


class SQLite(Database):
    """A file: locked with flock(2) on a file beside it, copied while it is in use."""

    def faults(self, backup: bool) -> list[str]:
        """Find none: Python copies it."""
        return []

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold a lock on a file beside the database."""
        with open(f"{self.name}.migrate-lock", "a", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise already_running(self.name) from error
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

    def restore(self, backup: str, created: Sequence[str]) -> list[str]:
        """Copy the backup back over it."""
        copy = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))"
        return [f'python3 -c "{copy}" {shlex.quote(backup)} {shlex.quote(self.name)}']


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
        return {**os.environ, **{LIBPQ_VARIABLES[name]: value for name, value in self.parameters().items()}}

    def faults(self, backup: bool) -> list[str]:
        """Look for pg_dump and pg_restore, whether they are as new as the server, and try them."""
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
        return self.rehearsal(lambda: run_program(command, self.environment()))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold a session's advisory lock."""
        key = lock_key(self.name)
        with session_of_its_own(self.connection) as cursor:
            cursor.execute("SELECT set_config('application_name', %s, false)", [this_process()])
            cursor.execute("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'")
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
            if not cursor.fetchone()[0]:
                cursor.execute(HOLDER_OF_ADVISORY_LOCK, [key])
                raise already_running(self.name, cursor.fetchone())
            yield

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

    def restore(self, backup: str, created: Sequence[str]) -> list[str]:
        """Drop the tables first: foreign keys that the backup does not know would keep some of them."""
        known = {name: value for name, value in self.parameters().items() if name != "password"}
        where = shlex.quote(" ".join(f"{name}={conninfo_value(value)}" for name, value in known.items()))
        return [
            f'echo "{DROP_OWN_TABLES}" | psql --dbname={where}',
            f"pg_restore --clean --if-exists --no-owner --dbname={where} {shlex.quote(backup)}",
        ]


class MySQL(Database):
    """MariaDB or MySQL: locked with GET_LOCK in a session of its own, dumped with mariadb-dump or mysqldump."""

    suffix = ".sql.gz"

    def __init__(self, connection: Any) -> None:
        """Take a connection of Django's; its options may name the database too."""
        super().__init__(connection)
        self.name = str(self.options.get("database") or self.options.get("db") or self.name)

    def parameters(self) -> dict[str, str]:
        """Give the connection's parameters as the client programs name them."""
        settings, options = self.settings, self.options
        host = str(options.get("host") or settings.get("HOST") or "")
        socket_path = options.get("unix_socket") or (host if host.startswith("/") else None)
        ssl = options.get("ssl") if isinstance(options.get("ssl"), Mapping) else {}
        known = {
            "user": options.get("user") or settings.get("USER"),
            "password": options.get("password") or options.get("passwd") or settings.get("PASSWORD"),
            "host": None if socket_path else host,
            "port": None if socket_path else options.get("port") or settings.get("PORT"),
            "socket": socket_path,
            **{f"ssl-{name}": ssl.get(name) for name in MYSQL_SSL_FILES if ssl},
        }
        return {name: str(value) for name, value in known.items() if value not in (None, "")}

    def client(self, *names: str) -> str | None:
        """Give the first of the programs that is there."""
        return next((name for name in names if shutil.which(name)), None)

    def ssl_flags(self, program: str) -> list[str]:
        """Give the options that make a client program as strict about TLS as the site itself is."""
        mode = str(self.options.get("ssl_mode") or "").upper()
        if not program.startswith("mariadb"):
            return [f"ssl-mode={mode}"] if mode else []
        if mode or self.options.get("ssl"):
            return MARIADB_SSL.get(mode, [])
        # MariaDB's programs insist on TLS from 11.4 on, also where the site's own connection goes without
        with self.connection.cursor() as cursor:
            cursor.execute("SHOW SESSION STATUS LIKE 'Ssl_cipher'")
            return [] if cursor.fetchone()[1] else MARIADB_SSL["DISABLED"]

    def option_file(self, program: str) -> str:
        """Write the option file for a client program, for its user's eyes only: it has the password."""
        included = self.options.get("read_default_file")
        lines = [f"!include {included}"] if included else []
        lines += ["[client]", *(f"{name}={option_value(value)}" for name, value in self.parameters().items())]
        lines += self.ssl_flags(program)
        return "\n".join([*lines, ""])

    def faults(self, backup: bool) -> list[str]:
        """Look for a dump program, and try it."""
        if not backup:
            return []
        if self.client("mariadb-dump", "mysqldump"):
            return self.rehearsal(lambda: self.run_dump(os.devnull, "--no-data"))
        return [
            f"Neither mariadb-dump nor mysqldump, which the backup of {self.name} needs, can be found. Install Debian's"
            " package mariadb-client on this host, or set django_migrate_backup: false"
        ]

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold a session's named lock."""
        name = f"intermission.{lock_key(self.name) % 2**64:016x}"
        with session_of_its_own(self.connection) as cursor:
            cursor.execute(f"SET SESSION wait_timeout = {YEAR}")
            cursor.execute("SELECT GET_LOCK(%s, 0)", [name])
            if cursor.fetchone()[0] != 1:
                cursor.execute(HOLDER_OF_NAMED_LOCK, [name])
                raise already_running(self.name, cursor.fetchone())
            yield

    def dump_command(self, program: str, options: str, *flags: str) -> list[str]:
        """Give the command that writes the backup to its standard output."""
        # --defaults-extra-file is only known as the first option
        what = ["--single-transaction", "--routines", "--triggers", "--hex-blob", "--no-tablespaces", *flags]
        return [program, f"--defaults-extra-file={options}", *what, "--default-character-set=utf8mb4", self.name]

    def run_dump(self, path: str, *flags: str) -> None:
        """Run the dump program and compress what it writes. Raises DatabaseFault with what it said."""
        program = self.client("mariadb-dump", "mysqldump") or "mysqldump"
        with tempfile.TemporaryDirectory(prefix="intermission-") as directory, tempfile.TemporaryFile() as errors:
            options = os.path.join(directory, "options.cnf")
            with open(options, "w", encoding="utf-8", opener=private) as stream:
                stream.write(self.option_file(program))
            command = self.dump_command(program, options, *flags)
            with (
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as process,
                gzip.open(path, "wb", compresslevel=GZIP_LEVEL) as target,
            ):
                assert process.stdout is not None
                shutil.copyfileobj(process.stdout, target, 2**20)
            if process.returncode != 0:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()[-2000:]
                raise DatabaseFault(f"{program} ended with {process.returncode}: {said}")

    def dump(self, path: str) -> None:
        """Compress what the dump program writes, and look for its last line."""
        self.run_dump(path)
        if DUMP_ENDS_WITH not in last_bytes(path, 200):
            raise DatabaseFault(f"the backup of {self.name} is cut off: it does not end with '-- Dump completed'")

    def restore(self, backup: str, created: Sequence[str]) -> list[str]:
        """Drop the tables first that the backup does not replace."""
        program = self.client("mariadb", "mysql") or "mariadb"
        known = {name: value for name, value in self.parameters().items() if name != "password"}
        where = [f"--{option}" for option in (*map("=".join, known.items()), *self.ssl_flags(program))]
        client = shlex.join([program, *where, "--password", self.name])
        tables = ", ".join("`" + table.replace("`", "``") + "`" for table in created)
        drop = f"SET FOREIGN_KEY_CHECKS = 0; DROP TABLE IF EXISTS {tables}"
        return [
            *([f"{client} --execute={shlex.quote(drop)}"] if created else []),
            f"zcat {shlex.quote(backup)} | {client}",
        ]


ENGINES: dict[str, type[Database]] = {"sqlite": SQLite, "postgresql": PostgreSQL, "mysql": MySQL}


def database_of(connection: Any) -> Database:
    """Give the database behind a connection of Django's, by its vendor: GIS backends have that of their base."""
    return ENGINES.get(connection.vendor, Database)(connection)


def already_running(name: str, holder: Sequence[Any] | None = None) -> DatabaseFault:
    """Make the error that another migration holds the lock; ``holder`` is its session's id and what is known of it."""
    known = f" (session {holder[0]}: {holder[1]})" if holder else ""
    return DatabaseFault(f"another migration of {name} is running{known}")


def lock_key(name: str) -> int:
    """Give the number of a database's advisory lock: 64 bits with sign."""
    return int.from_bytes(hashlib.sha256(f"intermission:{name}".encode()).digest()[:8], "big", signed=True)


def this_process() -> str:
    """Name this process for those who find its lock; PostgreSQL keeps 63 bytes of it."""
    return f"intermission, pid {os.getpid()} on {socket.gethostname()}"[:63]


@contextlib.contextmanager
def session_of_its_own(connection: Any) -> Iterator[Any]:
    """Open a second session with the same settings, outside any transaction; the server ends it with this process."""
    own = connection.copy()
    own.settings_dict.get("OPTIONS", {}).pop("pool", None)  # a pool would keep the session, and its lock, after close()
    own.set_autocommit(True)
    try:
        with own.cursor() as cursor:
            yield cursor
    finally:
        own.close()


def run_program(command: list[str], environment: Mapping[str, str]) -> str:
    """Run a client program and give its output. Raises DatabaseFault with what it said."""
    ran = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if ran.returncode != 0:
        raise DatabaseFault(f"{command[0]} ended with {ran.returncode}: {ran.stderr.strip()[-2000:]}")
    return ran.stdout


def conninfo_value(value: str) -> str:
    """Quote a value for libpq's connection strings, where it has to be."""
    if re.fullmatch(r"[\w./:@-]+", value):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def option_value(value: str) -> str:
    """Quote a value for the option files of MariaDB and MySQL."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def private(path: str, flags: int) -> int:
    """Open a file that only its owner may read."""
    return os.open(path, flags, 0o600)


def last_bytes(path: str, count: int) -> bytes:
    """Read a gzip file to its end, which checks it, and give its last bytes."""
    tail = b""
    with gzip.open(path, "rb") as stream:
        while block := stream.read(2**20):
            tail = (tail + block)[-count:]
    return tail


def back_up(database: Database, directory: str) -> str:
    """Write a database's backup, whole or not at all; gives its path. Raises DatabaseFault and OSError."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    made = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    backup = os.path.join(directory, f"{backup_stem(database)}.{made}{database.suffix}")
    partial = f"{backup}.partial"
    with open(partial, "wb", opener=private):
        pass
    try:
        database.dump(partial)
        for path in (partial, directory):
            sync(path)
        os.replace(partial, backup)
        sync(directory)
    except BaseException:
        os.unlink(partial)
        raise
    return backup


def backup_stem(database: Database) -> str:
    """Give what the names of all backups of a database start with."""
    return re.sub(r"[^\w.-]", "_", os.path.basename(database.name))


def forget_backups(database: Database, directory: str, keep: int) -> None:
    """Remove all but the newest backups of a database, at least one, and nothing that is no backup."""
    backup = re.compile(re.escape(backup_stem(database)) + r"\.\d{8}T\d{6}\.\d{6}Z" + re.escape(database.suffix))
    copies = sorted(name for name in os.listdir(directory) if backup.fullmatch(name))
    for name in copies[: -max(keep, 1)]:
        os.unlink(os.path.join(directory, name))


def sync(path: str) -> None:
    """Make a file, or the names in a directory, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
