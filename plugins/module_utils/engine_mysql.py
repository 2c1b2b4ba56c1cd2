"""MariaDB and MySQL: named locks, and the client programs mariadb and mariadb-dump, or mysql and mysqldump."""

from __future__ import annotations

import contextlib
import gzip
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, cast

from ansible_collections.intermission.django.plugins.module_utils.engine import (
    TRIAL_SUFFIX,
    Database,
    DatabaseFault,
    Told,
    lock_key,
    private,
    run_program,
    session_of_its_own,
    wait_for_lock,
)

# What a user may is written down for its own account, with patterns of LIKE in the database's name
MAY_CREATE = """
SELECT 1 FROM information_schema.user_privileges
WHERE privilege_type = 'CREATE' AND grantee =
  CONCAT(QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', 1)), '@', QUOTE(SUBSTRING_INDEX(CURRENT_USER(), '@', -1)))
UNION SELECT 1 FROM information_schema.schema_privileges WHERE privilege_type = 'CREATE' AND %s LIKE table_schema
"""
# The sessions of another account, which is a user together with a host, are not shown to every account
HOLDER_OF_NAMED_LOCK = """
SELECT used.id, COALESCE(shown.host, 'of another account') FROM (SELECT IS_USED_LOCK(%s) AS id) AS used
LEFT JOIN information_schema.processlist AS shown ON shown.id = used.id WHERE used.id IS NOT NULL
"""
DROP_TABLES = (
    "SET FOREIGN_KEY_CHECKS = 0, group_concat_max_len = 1048576;"
    " SELECT COALESCE(CONCAT('DROP TABLE ', GROUP_CONCAT('`', REPLACE(table_name, '`', '``'), '`')), 'DO 0') INTO @dropping"
    " FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE';"
    " PREPARE dropping FROM @dropping; EXECUTE dropping"
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

    def faults(self, backup: bool, trial_megabytes: int) -> list[str]:
        """Look for a dump program, and try it."""
        if not backup:
            return []
        if self.client("mariadb-dump", "mysqldump"):
            return self.rehearsal(lambda: self.run_dump(os.devnull, "--no-data")) or self.trial_faults(trial_megabytes)
        return [
            f"Neither mariadb-dump nor mysqldump, which the backup of {self.name} needs, can be found. Install Debian's"
            " package mariadb-client on this host, or set django_migrate_backup: false"
        ]

    def trial_faults(self, trial_megabytes: int) -> list[str]:
        """Say why a backup could not be tried: the user may not make the database for it."""
        if not self.is_tried(trial_megabytes):
            return []
        with self.connection.cursor() as cursor:
            cursor.execute(MAY_CREATE, [self.name + TRIAL_SUFFIX])
            if cursor.fetchone():
                return []
        return [
            f"The backup of {self.name} is to be tried in a database {self.name}{TRIAL_SUFFIX}, which the user may not make. "
            "Grant it all privileges on a database of that name; or set django_migrate_backup_trial_megabytes: 0, and a backup "
            "is only read whole"
        ]

    @contextlib.contextmanager
    def lock(self, seconds: float, tell: Told) -> Iterator[None]:
        """Hold a session's named lock."""
        name = f"intermission.{lock_key(self.name) % 2**64:016x}"
        with session_of_its_own(self.connection) as cursor:
            cursor.execute(f"SET SESSION wait_timeout = {YEAR}")

            def ask(statement: str) -> Any:
                cursor.execute(statement, [name])
                return cursor.fetchone()

            def take() -> bool:
                return bool(ask("SELECT GET_LOCK(%s, 0)")[0] == 1)

            wait_for_lock(self.name, take, lambda: ask(HOLDER_OF_NAMED_LOCK), seconds, tell)
            yield

    def limits(self, lock: float, statement: float) -> list[str]:
        """Set the server's own limits: whole seconds for locks; for statements what MariaDB knows."""
        bounds = [
            f"SET SESSION {name} = {max(1, round(lock))}" for name in ("lock_wait_timeout", "innodb_lock_wait_timeout")
        ]
        return [
            *(bounds if lock else []),
            *([f"SET SESSION max_statement_time = {statement}"] if statement and self.is_mariadb else []),
        ]

    @property
    def is_mariadb(self) -> bool:
        """Tell MariaDB from MySQL."""
        return bool(self.connection.mysql_is_mariadb)

    def was_locked_out(self, error: Exception) -> bool:
        """Look for ER_LOCK_WAIT_TIMEOUT."""
        return bool(error.args) and error.args[0] == 1205

    def megabytes(self) -> float:
        """Ask the server for the size of its tables."""
        with self.connection.cursor() as cursor:
            cursor.execute(
                "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()"
            )
            return float(cursor.fetchone()[0] or 0) / 2**20

    def dump_command(self, program: str, options: str, *flags: str) -> list[str]:
        """Give the command that writes the backup to its standard output."""
        # --defaults-extra-file is only known as the first option
        what = ["--single-transaction", "--routines", "--triggers", "--hex-blob", "--no-tablespaces", *flags]
        return [program, f"--defaults-extra-file={options}", *what, "--default-character-set=utf8mb4", self.name]

    @contextlib.contextmanager
    def options_for(self, program: str) -> Iterator[str]:
        """Give the path of an option file for a client program, which is there as long as the block lasts."""
        with tempfile.TemporaryDirectory(prefix="intermission-") as directory:
            options = os.path.join(directory, "options.cnf")
            with open(options, "w", encoding="utf-8", opener=private) as stream:
                stream.write(self.option_file(program))
            yield options

    def run_dump(self, path: str, *flags: str) -> None:
        """Run the dump program and compress what it writes. Raises DatabaseFault with what it said."""
        program = self.client("mariadb-dump", "mysqldump") or "mysqldump"
        with self.options_for(program) as options, tempfile.TemporaryFile() as errors:
            command = self.dump_command(program, options, *flags)
            with (
                subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as process,
                gzip.open(path, "wb", compresslevel=GZIP_LEVEL) as target,
            ):
                shutil.copyfileobj(cast(IO[bytes], process.stdout), target, 2**20)
            if process.returncode != 0:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()[-2000:]
                raise DatabaseFault(f"{program} ended with {process.returncode}: {said}")

    def dump(self, path: str) -> None:
        """Compress what the dump program writes, and look for its last line."""
        self.run_dump(path)
        if DUMP_ENDS_WITH not in last_bytes(path, 200):
            raise DatabaseFault(f"the backup of {self.name} is cut off: it does not end with '-- Dump completed'")

    def try_backup(self, path: str, tables: Iterable[str]) -> dict[str, int]:
        """Restore it into a database beside this one, which is made for that."""
        quoted = self.connection.ops.quote_name(self.name + TRIAL_SUFFIX)
        with session_of_its_own(self.connection) as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {quoted}")
            cursor.execute(f"CREATE DATABASE {quoted}")
            try:
                self.put_back(path, self.name + TRIAL_SUFFIX)
                with session_of_its_own(self.connection, self.name + TRIAL_SUFFIX) as other:
                    there = self.rows(other, tables)
            finally:
                cursor.execute(f"DROP DATABASE IF EXISTS {quoted}")
        return there

    def recover(self, backup: str) -> None:
        """Restore its tables, and drop the others afterwards: there is no transaction around either."""
        wanted = tables_of(backup)
        self.put_back(backup, self.name)
        with session_of_its_own(self.connection) as cursor:
            others = [table for table in self.connection.introspection.table_names(cursor) if table not in wanted]
            cursor.execute("SET FOREIGN_KEY_CHECKS = 0")
            for table in others:
                cursor.execute(f"DROP TABLE {self.connection.ops.quote_name(table)}")

    def put_back(self, backup: str, database: str) -> None:
        """Let the client program run a backup in a database."""
        program = self.client("mariadb", "mysql") or "mariadb"
        with self.options_for(program) as options, gzip.open(backup) as source, tempfile.TemporaryFile() as script:
            shutil.copyfileobj(source, script, 2**20)
            script.seek(0)
            run_program([program, f"--defaults-extra-file={options}", "--batch", database], os.environ, stdin=script)

    def restore(self, backup: str) -> list[str]:
        """Drop all tables first: the backup does not replace those that came after it."""
        program = self.client("mariadb", "mysql") or "mariadb"
        known = {name: value for name, value in self.parameters().items() if name != "password"}
        where = [f"--{option}" for option in (*map("=".join, known.items()), *self.ssl_flags(program))]
        client = shlex.join([program, *where, "--password", self.name])
        return [f"{client} --execute={shlex.quote(DROP_TABLES)}", f"zcat {shlex.quote(backup)} | {client}"]


def option_value(value: str) -> str:
    """Quote a value for the option files of MariaDB and MySQL."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def last_bytes(path: str, count: int) -> bytes:
    """Read a gzip file to its end, which checks it, and give its last bytes."""
    tail = b""
    with gzip.open(path, "rb") as stream:
        while block := stream.read(2**20):
            tail = (tail + block)[-count:]
    return tail


def tables_of(backup: str) -> set[str]:
    """Name the tables in a backup of the client program mariadb-dump or mysqldump."""
    with gzip.open(backup, "rt", encoding="utf-8", errors="replace") as stream:
        return {
            found[1].replace("``", "`")
            for line in stream
            if (found := re.match(r"CREATE TABLE `((?:[^`]|``)+)`", line))
        }
