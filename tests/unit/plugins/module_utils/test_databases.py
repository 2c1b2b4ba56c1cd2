"""Locks and backups of the databases behind a server; the servers themselves are played by small programs."""

from __future__ import annotations

import contextlib
import gzip
import os
import shlex
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import django.db
import pytest
from ansible_collections.intermission.django.plugins.module_utils import django_side, engine_postgresql
from ansible_collections.intermission.django.plugins.module_utils.databases import back_up, database_of, forget_backups
from ansible_collections.intermission.django.plugins.module_utils.django_side import LOCK_TRIES
from ansible_collections.intermission.django.plugins.module_utils.engine import Database, DatabaseFault, lock_key
from ansible_collections.intermission.django.plugins.module_utils.engine_mysql import DROP_TABLES, MySQL, option_value
from ansible_collections.intermission.django.plugins.module_utils.engine_postgresql import (
    DROP_OWN_TABLES,
    PostgreSQL,
    conninfo_value,
)
from ansible_collections.intermission.django.plugins.module_utils.engine_sqlite import SQLite

PASSWORD = 'it\'s "a" p@ss\\ #$x'
DUMP = b"CREATE TABLE `tea` (id int);\n-- Dump completed on 2026-01-01  1:00:00\n"


class Cursor:
    """Answers each query by the first key that is in it, and notes all of them."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.answer: Any = None
        self.queries: list[str] = []

    def execute(self, query: str, parameters: Any = ()) -> None:
        self.queries.append(query)
        self.answer = next((answer for key, answer in self.answers.items() if key in query), None)

    def fetchone(self) -> Any:
        return self.answer

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, *error: object) -> None:
        pass


class Connection:
    """What the databases use of Django's connections."""

    def __init__(self, vendor: str, answers: dict[str, Any] | None = None, **settings: Any) -> None:
        self.vendor = vendor
        self.settings_dict = {"ENGINE": f"django.db.backends.{vendor}", "NAME": "shop", "OPTIONS": {}, **settings}
        self.pg_version = 150018
        self.mysql_is_mariadb = True
        self.introspection = SimpleNamespace(table_names=lambda: ["tea"])
        self.sessions: list[Connection] = []
        self.answers = answers or {}
        known = {"Ssl_cipher": ("Ssl_cipher", "TLS_AES_256_GCM_SHA384"), "pg_backend_pid": (id(self),)}
        self.used = Cursor({**known, **self.answers})
        self.autocommit = False
        self.open = True

    def copy(self) -> Connection:
        settings = {**self.settings_dict, "OPTIONS": dict(self.settings_dict["OPTIONS"])}
        self.sessions.append(Connection(self.vendor, self.answers, **settings))
        return self.sessions[-1]

    def set_autocommit(self, on: bool) -> None:
        self.autocommit = on

    def cursor(self) -> Cursor:
        return self.used

    def close(self) -> None:
        self.open = False


def postgresql(**settings: Any) -> PostgreSQL:
    return PostgreSQL(Connection("postgresql", **settings))


def mysql(**settings: Any) -> MySQL:
    return MySQL(Connection("mysql", **settings))


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory of programs; what is written into it notes how it was called."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("sh", "cat", "env"):
        (directory / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(directory))
    return directory


def program(programs: Path, name: str, script: str) -> Path:
    """Write a program that notes its arguments and environment, and gives the file that it notes them in."""
    path = programs / name
    called = programs.parent / f"{name}.called"
    path.write_text(f'#!/bin/sh\n{{ echo "$@"; env; }} >{called}\n{script}\n')
    path.chmod(0o755)
    return called


def pg_dump(programs: Path, listing: str = "3; 0 16385 TABLE DATA public tea shop") -> Path:
    program(programs, "pg_restore", f"echo '{listing}'")
    script = (
        'case "$1" in --version) echo "pg_dump (PostgreSQL) 15.18 (Debian)"; exit;; esac\necho PGDMP >"${3#--file=}"'
    )
    return program(programs, "pg_dump", script)


@pytest.mark.parametrize(
    ("vendor", "kind"),
    [("sqlite", SQLite), ("postgresql", PostgreSQL), ("mysql", MySQL), ("oracle", Database)],
)
def test_the_vendor_decides(vendor: str, kind: type[Database]) -> None:
    assert type(database_of(Connection(vendor))) is kind


def test_another_engine_is_refused() -> None:
    database = database_of(Connection("oracle"))
    (fault,) = database.faults(False, 0)
    assert "django.db.backends.oracle. PostgreSQL, MariaDB, MySQL and SQLite" in fault
    with pytest.raises(DatabaseFault, match="oracle"):
        database.lock(0, print)


def test_the_key_of_a_lock_is_the_databases_own_and_never_changes() -> None:
    assert lock_key("shop") == 1748244305942229060
    assert lock_key("shop") != lock_key("shop2")
    assert -(2**63) <= lock_key("tea") < 2**63


@pytest.mark.parametrize(
    ("settings", "environment"),
    [
        (
            {"HOST": "db1", "PORT": 5433, "USER": "u", "PASSWORD": PASSWORD},
            {"PGHOST": "db1", "PGPORT": "5433", "PGUSER": "u", "PGPASSWORD": PASSWORD, "PGDATABASE": "shop"},
        ),
        ({"HOST": "/run/postgresql", "PORT": ""}, {"PGHOST": "/run/postgresql", "PGDATABASE": "shop"}),
        (
            {"OPTIONS": {"sslmode": "verify-full", "sslrootcert": "/ca", "pool": True, "isolation_level": 3}},
            {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/ca", "PGDATABASE": "shop"},
        ),
        ({"NAME": "", "OPTIONS": {"service": "s", "passfile": "/p"}}, {"PGSERVICE": "s", "PGPASSFILE": "/p"}),
    ],
)
def test_the_environment_of_libpq(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], environment: dict[str, str]
) -> None:
    monkeypatch.setattr(os, "environ", {"PATH": "/nowhere"})
    assert postgresql(**settings).environment() == {"PATH": "/nowhere", **environment}


def test_pg_dump_gets_the_password_in_its_environment_alone(programs: Path, tmp_path: Path) -> None:
    called = pg_dump(programs)
    backup = Path(back_up(postgresql(PASSWORD=PASSWORD), str(tmp_path / "backups"), 0))
    arguments, *environment = called.read_text().splitlines()
    assert arguments == f"--format=custom --no-password --file={backup}.partial"
    assert f"PGPASSWORD={PASSWORD}" in environment
    assert backup.read_text() == "PGDMP\n"
    assert [path.name for path in backup.parent.iterdir()] == [backup.name]
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700


def test_pg_dump_takes_the_role_that_django_takes() -> None:
    assert postgresql(OPTIONS={"assume_role": "owner"}).dump_command("b")[-1] == "--role=owner"


@pytest.mark.parametrize(
    ("name", "script", "message"),
    [
        (
            "pg_dump",
            "echo server closed the connection >&2; exit 1",
            "pg_dump ended with 1: server closed the connection",
        ),
        ("pg_restore", "echo not a valid archive >&2; exit 1", "pg_restore ended with 1: not a valid archive"),
        ("pg_restore", "echo '; Archive created at 2026'", "no table in it"),
    ],
)
def test_a_bad_dump_of_postgresql_leaves_nothing(
    programs: Path, tmp_path: Path, name: str, script: str, message: str
) -> None:
    pg_dump(programs)
    program(programs, name, script)
    with pytest.raises(DatabaseFault, match=message):
        back_up(postgresql(), str(tmp_path / "backups"), 0)
    assert list((tmp_path / "backups").iterdir()) == []


def test_a_database_without_tables_is_backed_up(programs: Path, tmp_path: Path) -> None:
    pg_dump(programs, listing="; Archive created at 2026")
    database = postgresql()
    database.connection.introspection.table_names = list
    assert Path(back_up(database, str(tmp_path), 0)).exists()


def test_missing_programs_are_named_with_their_package(programs: Path) -> None:
    (fault,) = postgresql().faults(True, 0)
    assert "pg_dump and pg_restore" in fault
    assert "postgresql-client" in fault
    (fault,) = mysql().faults(True, 0)
    assert "mariadb-dump nor mysqldump" in fault
    assert "mariadb-client" in fault
    assert postgresql().faults(False, 0) == mysql().faults(False, 0) == []
    pg_dump(programs)
    program(programs, "mysqldump", "")
    assert postgresql().faults(True, 0) == mysql().faults(True, 0) == []


@pytest.mark.parametrize(("server", "chosen"), [(150018, "15"), (160001, "16"), (140000, "17"), (180000, "17")])
def test_postgresqls_programs_are_those_of_the_servers_version_without_debians_wrapper(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: int, chosen: str
) -> None:
    monkeypatch.setattr(engine_postgresql, "VERSIONS", tmp_path / "versions")
    database = postgresql()
    database.connection.pg_version = server
    pg_dump(programs)
    assert database.programs() == {}, "no wrapper"
    (programs / "pg_dump").rename(programs / "pg_wrapper")
    (programs / "pg_dump").symlink_to("pg_wrapper")
    assert database.programs() == {}, "nothing else"
    for version in ("9.6", "15", "16", "17"):
        (tmp_path / "versions" / version / "bin").mkdir(parents=True)
        (tmp_path / "versions" / version / "bin/pg_dump").touch()
    assert database.environment()["PATH"] == f"{tmp_path}/versions/{chosen}/bin:{os.environ['PATH']}"


@pytest.mark.parametrize(("server", "faults"), [(140000, 0), (150018, 0), (160001, 1)])
def test_a18_pg_dump_is_not_older_than_the_server(programs: Path, server: int, faults: int) -> None:
    pg_dump(programs)
    database = postgresql()
    database.connection.pg_version = server
    found = database.faults(True, 0)
    assert len(found) == faults
    assert all("pg_dump (PostgreSQL) 15.18 (Debian). Install postgresql-client-16" in fault for fault in found)


@contextlib.contextmanager
def held(database: Database) -> Iterator[Connection]:
    """Hold a database's lock, and give the session that holds it."""
    with database.lock(0, print):
        (session,) = database.connection.sessions
        assert session.autocommit
        assert session.open
        yield session
    assert not session.open


def test_a13_postgresql_is_locked_by_a_session_of_its_own() -> None:
    options = {"pool": {"max_size": 1}}
    database = PostgreSQL(Connection("postgresql", {"pg_try_advisory_lock": (True,)}, OPTIONS=options))
    with held(database) as session:
        assert session.settings_dict["OPTIONS"] == {}
    assert database.connection.settings_dict["OPTIONS"] == options
    assert database.connection.used.queries == []


def test_a13_mariadb_is_locked_by_a_session_of_its_own() -> None:
    database = MySQL(Connection("mysql", {"GET_LOCK": (1,)}))
    with held(database) as session:
        assert any("wait_timeout" in query for query in session.used.queries)


def test_a14_a_pooler_that_lends_one_session_to_several_is_found(programs: Path) -> None:
    pg_dump(programs)
    assert postgresql().faults(True, 0) == []
    pooled = PostgreSQL(Connection("postgresql", {"pg_backend_pid": (4,)}))
    (fault,) = pooled.faults(True, 0)
    assert "Set django_migrate_database_url to the server's own address" in fault


@pytest.mark.parametrize(
    ("kind", "vendor", "answers", "holder"),
    [
        (
            PostgreSQL,
            "postgresql",
            {"pg_try": (False,), "pg_locks": (17, "intermission, pid 3 on web1")},
            r" \(session 17: intermission, pid 3 on web1\)$",
        ),
        (PostgreSQL, "postgresql", {"pg_try": (False,), "pg_locks": None}, "$"),
        (MySQL, "mysql", {"GET_LOCK": (0,), "IS_USED_LOCK": (17, "web1:4711")}, r" \(session 17: web1:4711\)$"),
        (MySQL, "mysql", {"GET_LOCK": (None,), "IS_USED_LOCK": None}, "$"),
    ],
)
def test_a13_another_holder_is_named(kind: type[Database], vendor: str, answers: dict[str, Any], holder: str) -> None:
    database = kind(Connection(vendor, answers))
    with pytest.raises(DatabaseFault, match=f"another migration of shop is running{holder}"), database.lock(0, print):
        pytest.fail("the lock was taken")
    assert not database.connection.sessions[0].open


@pytest.mark.parametrize(
    ("program", "settings", "lines"),
    [
        ("mariadb-dump", {"HOST": "db1", "PORT": 3307, "USER": "u"}, ['user="u"', 'host="db1"', 'port="3307"']),
        ("mariadb-dump", {"HOST": "/run/m.sock", "PORT": 3307}, ['socket="/run/m.sock"']),
        ("mariadb-dump", {"OPTIONS": {"unix_socket": "/s", "host": "x"}}, ['socket="/s"']),
        ("mariadb-dump", {"PASSWORD": PASSWORD}, ['password="it\'s \\"a\\" p@ss\\\\ #$x"']),
        ("mariadb-dump", {"PASSWORD": "a", "OPTIONS": {"passwd": "b"}}, ['password="b"']),
        ("mariadb-dump", {"OPTIONS": {"ssl": {"ca": "/ca"}, "user": "v"}}, ['user="v"', 'ssl-ca="/ca"']),
        ("mariadb-dump", {"OPTIONS": {"ssl": True}}, []),
        ("mariadb-dump", {"OPTIONS": {"ssl_mode": "DISABLED"}}, ["skip-ssl"]),
        ("mariadb-dump", {"OPTIONS": {"ssl_mode": "VERIFY_IDENTITY"}}, ["ssl-verify-server-cert"]),
        ("mysqldump", {"OPTIONS": {"ssl_mode": "required"}}, ["ssl-mode=REQUIRED"]),
    ],
)
def test_the_option_file(program: str, settings: dict[str, Any], lines: list[str]) -> None:
    assert mysql(**settings).option_file(program).splitlines() == ["[client]", *lines]


@pytest.mark.parametrize(
    ("program", "cipher", "options", "flags"),
    [
        ("mariadb-dump", "", {}, ["skip-ssl"]),
        ("mariadb-dump", "TLS_AES_256_GCM_SHA384", {}, []),
        ("mariadb-dump", "", {"ssl_mode": "REQUIRED"}, ["ssl", "skip-ssl-verify-server-cert"]),
        ("mariadb-dump", "", {"ssl": {"ca": "/ca"}}, []),
        ("mysqldump", "", {}, []),
    ],
)
def test_the_backup_is_as_strict_about_tls_as_the_site(
    program: str, cipher: str, options: dict[str, Any], flags: list[str]
) -> None:
    database = MySQL(Connection("mysql", {"Ssl_cipher": ("Ssl_cipher", cipher)}, OPTIONS=options))
    assert database.ssl_flags(program) == flags


def test_a_backup_that_would_fail_is_known_before(programs: Path) -> None:
    pg_dump(programs)
    refused = 'case "$*" in *--version*) echo "pg_dump (PostgreSQL) 15.1";; *"--file=/dev/null --schema-only --no-sync") exit 7;; esac'
    program(programs, "pg_dump", refused)
    program(programs, "mariadb-dump", 'case "$*" in *--no-data*) echo access denied >&2; exit 2;; esac')
    assert postgresql().faults(True, 0) == ["The backup of shop would fail: pg_dump ended with 7: "]
    assert mysql().faults(True, 0) == ["The backup of shop would fail: mariadb-dump ended with 2: access denied"]
    assert postgresql().faults(False, 0) == mysql().faults(False, 0) == []


def test_the_sites_own_option_file_is_included() -> None:
    text = mysql(OPTIONS={"read_default_file": "/etc/shop.cnf"}).option_file("mariadb-dump")
    assert text == "!include /etc/shop.cnf\n[client]\n"


def test_mariadb_dump_gets_the_password_in_a_private_file(programs: Path, tmp_path: Path) -> None:
    options = tmp_path / "options"
    script = f'file="${{1#--defaults-extra-file=}}"\ncat "$file" >{options}\n/bin/stat -c %a "$file" >>{options}\n'
    called = program(programs, "mariadb-dump", script + f"cat <<'END'\n{DUMP.decode()}END\n")
    backup = Path(back_up(mysql(PASSWORD="s3cret"), str(tmp_path / "backups"), 0))
    arguments = called.read_text().splitlines()[0].split()
    assert arguments[1:4] == ["--single-transaction", "--routines", "--triggers"]
    assert arguments[-1] == "shop"
    assert "s3cret" not in called.read_text()
    assert options.read_text() == '[client]\npassword="s3cret"\n600\n'
    assert not Path(arguments[0].partition("=")[2]).exists()
    assert gzip.decompress(backup.read_bytes()) == DUMP
    assert backup.name.endswith(".sql.gz")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo '-- Dump completed'; echo access denied >&2; exit 2", "mariadb-dump ended with 2: access denied"),
        ("echo '-- Dump comp'", "cut off"),
    ],
)
def test_a_bad_dump_of_mariadb_leaves_nothing(programs: Path, tmp_path: Path, script: str, message: str) -> None:
    program(programs, "mariadb-dump", script)
    with pytest.raises(DatabaseFault, match=message):
        back_up(mysql(), str(tmp_path / "backups"), 0)
    assert list((tmp_path / "backups").iterdir()) == []


def test_old_backups_of_one_engine_are_forgotten(tmp_path: Path) -> None:
    names = [f"shop.2020010{day}T000000.000000Z.dump" for day in range(1, 4)]
    others = [
        "shop.20200101T000000.000000Z",
        "shop.20200101T000000.000000Z.sql.gz",
        "shop2.20200101T000000.000000Z.dump",
    ]
    for name in names + others:
        (tmp_path / name).touch()
    forget_backups(postgresql(), str(tmp_path / names[-1]), 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([names[-1], *others])


@pytest.mark.parametrize(("keep", "kept"), [(0, [0]), (1, [0]), (2, [0, 2]), (9, [0, 1, 2])])
def test_the_backup_that_was_made_stays_although_the_clock_was_ahead_before(
    tmp_path: Path, keep: int, kept: list[int]
) -> None:
    names = [f"shop.2020010{day}T000000.000000Z.dump" for day in range(1, 4)]
    for name in names:
        (tmp_path / name).touch()
    forget_backups(postgresql(), str(tmp_path / names[0]), keep)
    assert sorted(path.name for path in tmp_path.iterdir()) == [names[number] for number in kept]


def test_a_name_with_a_slash_stays_in_the_directory(programs: Path, tmp_path: Path) -> None:
    pg_dump(programs)
    assert Path(back_up(postgresql(NAME="../a b"), str(tmp_path / "backups"), 0)).parent == tmp_path / "backups"


def test_the_way_back_in_postgresql() -> None:
    settings = {"HOST": "db1", "PASSWORD": PASSWORD, "OPTIONS": {"sslmode": "require", "sslrootcert": "/my ca"}}
    drop, restore = postgresql(**settings).restore("/b/shop.dump")
    where = "--dbname=host=db1 dbname=shop sslmode=require sslrootcert='/my ca'"
    assert shlex.split(restore) == ["pg_restore", "--clean", "--if-exists", "--no-owner", where, "/b/shop.dump"]
    assert shlex.split(drop)[-2:] == ["psql", where]
    echoed = subprocess.run(["sh", "-c", drop.partition(" | ")[0]], capture_output=True, text=True, check=True).stdout
    assert echoed == f"{DROP_OWN_TABLES}\n"


@pytest.mark.parametrize(
    ("database", "statements"),
    [
        (postgresql(), ["SET lock_timeout = 1500", "SET statement_timeout = 60000"]),
        (
            mysql(),
            [
                "SET SESSION lock_wait_timeout = 2",
                "SET SESSION innodb_lock_wait_timeout = 2",
                "SET SESSION max_statement_time = 60",
            ],
        ),
    ],
)
def test_a15_how_long_a_statement_waits_and_runs_is_the_servers_to_bound(
    database: Database, statements: list[str]
) -> None:
    assert database.limits(1.5, 60) == statements
    assert database.limits(0, 0) == []
    assert database.limits(1.5, 0) == statements[:-1]


def test_a15_a_lock_that_was_not_had_in_time_is_told_from_other_errors() -> None:
    error, other = Exception(1205, "Lock wait timeout exceeded"), Exception(1213, "Deadlock found")
    assert [mysql().was_locked_out(each) for each in (error, other, Exception())] == [True, False, False]
    error, older, other = Exception(), Exception(), Exception()
    error.__cause__ = OperationalError("55P03", "sqlstate")
    older.__cause__ = OperationalError("55P03", "pgcode")
    other.__cause__ = OperationalError("57014", "sqlstate")
    assert [postgresql().was_locked_out(each) for each in (error, older, other, Exception())] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("fails", "atomic", "locked_out", "tries"),
    [(0, True, True, 1), (2, True, True, 3), (9, True, True, LOCK_TRIES), (9, False, True, 1), (9, True, False, 1)],
)
def test_a15_what_left_nothing_and_did_not_get_its_locks_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, fails: int, atomic: bool, locked_out: bool, tries: int
) -> None:
    begun: list[object] = []
    pauses: list[float] = []
    told: list[dict[str, Any]] = []

    def run_migrations(*asked: object) -> None:
        begun.append(asked)
        if len(begun) <= fails:
            raise django.db.OperationalError

    monkeypatch.setattr(django_side, "run_migrations", run_migrations)
    monkeypatch.setattr(django_side, "database_of", lambda _: SimpleNamespace(was_locked_out=lambda _: locked_out))
    monkeypatch.setattr(django_side, "time", SimpleNamespace(sleep=pauses.append))
    monkeypatch.setattr(django.db, "connections", {"default": None})
    with pytest.raises(django.db.OperationalError) if fails >= tries else contextlib.nullcontext():
        django_side.run_patiently(
            "default", [{"atomic": True}, {"atomic": atomic}], None, lambda **news: told.append(news)
        )
    assert len(begun) == tries
    assert told == [{"stage": "locked out", "tries": number} for number in range(1, tries)]
    assert pauses == [2**number for number in range(tries - 1)]


class OperationalError(Exception):
    """What a driver of PostgreSQL raises: psycopg has `sqlstate`, the one before it `pgcode`."""

    def __init__(self, code: str, name: str) -> None:
        super().__init__()
        setattr(self, name, code)


def test_the_way_back_in_mariadb() -> None:
    database = mysql(HOST="db1", USER="u", PASSWORD=PASSWORD)
    drop, restore = database.restore("/b/shop.sql.gz")
    client = ["mariadb", "--user=u", "--host=db1", "--password", "shop"]
    assert shlex.split(drop)[1:] == [*client[1:], f"--execute={DROP_TABLES}"]
    assert shlex.split(restore) == ["zcat", "/b/shop.sql.gz", "|", shlex.split(restore)[3], *client[1:]]


@pytest.mark.parametrize(
    ("value", "conninfo", "option"),
    [
        ("db.example.com", "db.example.com", '"db.example.com"'),
        ("a'b\\", r"'a\'b\\'", '"a\'b\\\\"'),
        ("a b", "'a b'", '"a b"'),
    ],
)
def test_quoting(value: str, conninfo: str, option: str) -> None:
    assert (conninfo_value(value), option_value(value)) == (conninfo, option)
