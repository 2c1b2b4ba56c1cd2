"""What is done on a database server, decided from what it says of itself; the server is played."""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import database_server
from ansible_collections.intermission.django.plugins.module_utils.database_server import (
    MariaDB,
    PostgreSQL,
    Server,
    ServerError,
    md5_hash,
    native_hash,
    networks,
    scram_fits,
    scram_verifier,
    with_block,
)

PASSWORD = 'it\'s "a" p@ss\\ #$x'
# What PostgreSQL 15 and MariaDB 10.11 themselves store for the password "secret"
VERIFIER = (
    "SCRAM-SHA-256$4096:GyJ4laSl+BCnj1JG76IHuw==$"
    "QB3XaM+W8ikXrBlawvvYv+NwdhoMlcQ+Pv5a0PB8NIc=:l+IIsb+IN2TkZGwzWEiCfTVTlV5Q6o/yV60wil1/7Og="
)
SALT = base64.b64decode("GyJ4laSl+BCnj1JG76IHuw==")
NATIVE = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"


def test_the_hash_is_postgresqls_own() -> None:
    assert scram_verifier("secret", SALT) == VERIFIER


def test_the_hash_is_mariadbs_own() -> None:
    assert native_hash("secret") == NATIVE


def test_the_older_hash_is_postgresqls_own() -> None:
    assert md5_hash("shop", "secret") == "md5f433c50293bc7afbe20b67ceb15a1e55"


@pytest.mark.parametrize(
    ("verifier", "password", "fits"),
    [
        (VERIFIER, "secret", True),
        (VERIFIER, "secret ", False),
        (scram_verifier(PASSWORD, SALT, 10), PASSWORD, True),
        ("md5d41d8cd98f00b204e9800998ecf8427e", "secret", False),
        ("", "secret", False),
    ],
)
def test_whether_a_password_differs(verifier: str, password: str, fits: bool) -> None:
    assert scram_fits(verifier, password) is fits


@pytest.mark.parametrize(
    ("clients", "found"),
    [
        ([], []),
        (["10.0.0.9", "10.0.0.10", "10.0.0.9"], ["10.0.0.9/32", "10.0.0.10/32"]),
        (["fd00::/8", "10.1.2.3/16"], ["10.1.0.0/16", "fd00::/8"]),
        (["127.0.0.1", "::1", "web1", "web1.example"], ["10.0.0.11/32", "fe80::1/128"]),
    ],
)
def test_clients(monkeypatch: pytest.MonkeyPatch, clients: list[str], found: list[str]) -> None:
    def getaddrinfo(name: str, *_: Any, **__: Any) -> list[Any]:
        known = {"web1": ["10.0.0.11", "127.0.1.1"], "web1.example": ["fe80::1%eth0", "10.0.0.11"]}
        return [(2, 1, 6, "", (address, 0)) for address in known[name]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    assert [str(network) for network in networks(clients)] == found


def test_a_client_without_address_says_what_to_set() -> None:
    with pytest.raises(ServerError, match="'web1.invalid' is no address.*Set django_database_clients"):
        networks(["web1.invalid"])


@pytest.mark.parametrize("name", ["", "Shop", "1shop", "shop-db", "s" * 58, 'a"b', "a`b", "shop\n", "postgres", "pg_a"])
@pytest.mark.parametrize("kind", [PostgreSQL, MariaDB])
def test_names_that_are_none(kind: type[Server], name: str) -> None:
    for names in ((name, "shop"), ("shop", name)):
        with pytest.raises(ServerError, match="cannot name a site's database or its user"):
            kind(*names, "secret", [])


OTHER = "# BEGIN intermission tea\nhost tea\n# END intermission tea\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "{block}"),
        ("local all\n", "{block}local all\n"),
        ("{block}local all\n", "{block}local all\n"),
        ("local all\n# BEGIN intermission shop\nold\n# END intermission shop\nmore\n", "local all\n{block}more\n"),
        (OTHER + "{block}", OTHER + "{block}"),
        (OTHER + "{block}local all\n{block}more\n", OTHER + "{block}local all\nmore\n"),
        ("# BEGIN intermission shop\nno end\n", "{block}# BEGIN intermission shop\nno end\n"),
    ],
)
def test_the_block(before: str, after: str) -> None:
    block = "# BEGIN intermission shop\none\ntwo\n# END intermission shop\n"
    assert with_block(before.format(block=block), "shop", ["one", "two"]) == after.format(block=block)


CLUSTERS = """\
13  old  5433 down   postgres /var/lib/postgresql/13/old  /var/log/postgresql/postgresql-13-old.log
15  main 5432 online postgres /var/lib/postgresql/15/main /var/log/postgresql/postgresql-15-main.log
"""


def test_two_sites_on_a_server_leave_each_others_records_where_they_are() -> None:
    text = "local all\n"
    for name in ("tea", "shop"):
        text = with_block(text, name, [name])
    assert with_block(text, "tea", ["tea"]) == with_block(text, "shop", ["shop"]) == text


class Play:
    """A server that has a state, and notes the SQL and systemctl's verbs that it gets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, server: Server, state: dict[str, Any]) -> None:
        self.server, self.state = server, state
        self.said: list[str] = []
        self.verbs: list[str] = []
        self.answers = self.active = self.restart_helps = True
        self.hba_fault = ""
        self.sessions: dict[str, str] = {}
        monkeypatch.setattr(server, "run", self.run)
        monkeypatch.setattr(server, "installed", lambda: True)
        monkeypatch.setattr(database_server, "_run", self.run_program)

    def run(self, sql: str) -> str:
        if not self.answers:
            raise ServerError("nobody listens")
        if "pg_hba_file_rules" in sql:
            return self.hba_fault
        if "JSON_OBJECT" in sql or "json_build_object" in sql:
            return json.dumps(self.state)
        if sql == self.server.sessions_query.format(user="shop"):
            return "".join(f"{number} {address}\n" for number, address in self.sessions.items())
        self.said.append(sql)
        if "pg_reload_conf" in sql:
            self.state["loaded"] += 1
        for number in list(self.sessions):
            if sql == self.server.end_session.format(number=number):
                del self.sessions[number]
        return ""

    def run_program(self, command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
        if command == ["pg_lsclusters", "--no-header"]:
            return subprocess.CompletedProcess(command, 0, stdout=CLUSTERS)
        program, verb, *_ = command
        assert (program, command[-1]) == (
            "systemctl",
            {"PostgreSQL": "postgresql@15-main"}.get(self.server.label, "mariadb"),
        )
        if verb == "is-active":
            return subprocess.CompletedProcess(command, 0 if self.active else 3)
        self.verbs.append(verb)
        self.answers = True
        if self.restart_helps:
            self.state["listen"] = "*"
        return subprocess.CompletedProcess(command, 0)

    def ensure(self, check: bool = False) -> list[str]:
        return self.server.ensure(check)[0]


@pytest.fixture
def postgresql(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Play]:
    """Play a PostgreSQL whose files are below tmp_path; by default one that has all that the site needs."""
    (tmp_path / "conf.d").mkdir()

    def play(clients: list[str], password: str = "secret", **state: Any) -> Play:
        server = PostgreSQL("shop", "shop", password, clients)
        hba = tmp_path / "pg_hba.conf"
        hba.write_text(with_block("local all\n", "shop", server.hba_lines()))
        hba.chmod(0o640)
        os.utime(hba, (100, 100))
        known = {
            "verifier": VERIFIER,
            "user": True,
            "owner": "shop",
            "trial": "shop",
            "encoding": "UTF8",
            "listen": "localhost",
        }
        files = {"config": str(tmp_path / "postgresql.conf"), "hba": str(hba), "loaded": 200.0}
        return Play(monkeypatch, server, {**known, **files, **state})

    return play


def test_postgresql_from_nothing(postgresql: Callable[..., Play], tmp_path: Path) -> None:
    hba = tmp_path / "pg_hba.conf"
    play = postgresql(["10.0.0.9"], verifier=None, user=False, owner=None, trial=None, encoding=None)
    hba.write_text("local all\n")
    hba.chmod(0o640)
    owner = 65534 if os.getuid() == 0 else os.getuid()
    os.chown(hba, owner, -1)
    done = ["create the user shop", "create the database shop", "create the database shop_trial", "let the clients in"]
    done.append("listen to other hosts, and restart for it")
    assert play.ensure(check=True) == done
    assert (play.said, play.verbs, hba.read_text(), list((tmp_path / "conf.d").iterdir())) == (
        [],
        [],
        "local all\n",
        [],
    )
    assert play.ensure() == done
    create, reload = play.said
    assert create.startswith('CREATE ROLE "shop" LOGIN PASSWORD \'SCRAM-SHA-256$4096:')
    assert create.endswith(
        "".join(
            f'CREATE DATABASE "{name}" OWNER "shop" TEMPLATE template0 ENCODING \'UTF8\';\n'
            for name in ("shop", "shop_trial")
        )
    )
    assert "secret" not in create
    assert reload == "SELECT pg_reload_conf()"
    assert play.verbs == ["restart"]
    assert (tmp_path / "conf.d" / "intermission.conf").read_text() == "listen_addresses = '*'\n"
    assert hba.read_text().splitlines()[1:4] == [
        'host "shop","shop_trial" "shop" 127.0.0.1/32 scram-sha-256',
        'host "shop","shop_trial" "shop" ::1/128 scram-sha-256',
        'hostssl "shop","shop_trial" "shop" 10.0.0.9/32 scram-sha-256',
    ]
    assert (stat.S_IMODE(hba.stat().st_mode), hba.stat().st_uid) == (0o640, owner)


def test_postgresql_has_all_already(postgresql: Callable[..., Play]) -> None:
    play = postgresql(["10.0.0.9"], listen="*")
    assert play.server.ensure(False) == ([], [], [])
    assert (play.said, play.verbs) == ([], [])


@pytest.mark.parametrize(
    ("clients", "listen", "restarts"),
    [
        ([], "localhost", 0),
        (["10.0.0.9"], "localhost", 1),
        (["10.0.0.9"], "127.0.0.1, ::1", 1),
        (["10.0.0.9"], "localhost,10.0.0.5", 0),
        (["10.0.0.9"], "", 1),
        ([], "", 1),
    ],
)
def test_a_restart_only_for_other_hosts(
    postgresql: Callable[..., Play], clients: list[str], listen: str, restarts: int
) -> None:
    play = postgresql(clients, listen=listen)
    play.ensure()
    assert play.verbs == ["restart"] * restarts


def test_a_server_that_listens_to_nobody_listens_to_its_host(postgresql: Callable[..., Play], tmp_path: Path) -> None:
    assert postgresql([], listen="").ensure() == ["listen to this host, and restart for it"]
    assert (tmp_path / "conf.d" / "intermission.conf").read_text() == "listen_addresses = 'localhost'\n"


@pytest.mark.parametrize("name", ["all", "replication", "sameuser", "samerole"])
def test_a_name_that_is_a_keyword_of_pg_hba_is_quoted(name: str) -> None:
    lines = PostgreSQL(name, name, "secret", ["10.0.0.9"]).hba_lines()
    assert {line.split()[1:3] == [f'"{name}","{name}_trial"', f'"{name}"'] for line in lines} == {True}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    "state",
    [
        {},
        {"verifier": ""},
        {"verifier": None},
        {"verifier": md5_hash("shop", "another")},
        {"owner": None, "encoding": None},
    ],
)
def test_a_user_whom_the_password_does_not_let_in_is_left_alone(
    postgresql: Callable[..., Play], tmp_path: Path, state: dict[str, Any], check: bool
) -> None:
    play = postgresql(["10.0.0.9"], password=PASSWORD, **state)
    (tmp_path / "pg_hba.conf").write_text("local all\n")
    with pytest.raises(ServerError, match="has the user shop already.*django_database_change_password=true"):
        play.ensure(check)
    assert (play.said, play.verbs, (tmp_path / "pg_hba.conf").read_text()) == ([], [], "local all\n")


def test_another_password_is_changed_deliberately_and_not_shown(postgresql: Callable[..., Play]) -> None:
    play = postgresql([], password=PASSWORD)
    play.server.change_password = True
    done, files, _ = play.server.ensure(False)
    assert (done, files) == (["change the password of the user shop, or how it is hashed"], [])
    (change,) = play.said
    assert change.startswith('ALTER ROLE "shop" LOGIN PASSWORD \'SCRAM-SHA-256$')
    assert scram_fits(change.split("'")[1], PASSWORD)


def test_the_same_password_is_hashed_as_the_records_want_it(postgresql: Callable[..., Play]) -> None:
    play = postgresql([], verifier=md5_hash("shop", "secret"))
    play.ensure()
    assert scram_fits(play.said[0].split("'")[1], "secret")


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"owner": "accounts"}, "belongs to accounts. Set django_database_user: accounts"),
        ({"trial": "accounts"}, "the database shop_trial is there, and belongs to accounts"),
        ({"encoding": "SQL_ASCII"}, "encoded in SQL_ASCII, not in UTF8"),
    ],
)
def test_a_database_of_somebody_elses_is_left_alone(
    postgresql: Callable[..., Play], state: dict[str, Any], message: str
) -> None:
    play = postgresql([], **state)
    with pytest.raises(ServerError, match=message):
        play.ensure()
    assert play.said == []


def test_postgresql_lets_former_clients_in_until_the_new_release_works(
    postgresql: Callable[..., Play], tmp_path: Path
) -> None:
    hba = tmp_path / "pg_hba.conf"
    play = postgresql(["10.0.0.9"], listen="*")
    records = {
        address: PostgreSQL("shop", "shop", "secret", [address]).hba_lines()[-1] for address in ("10.0.0.8", "10.0.0.9")
    }
    hba.write_text(hba.read_text().replace(records["10.0.0.9"], records["10.0.0.8"]))
    done, _, former = play.server.ensure(False)
    assert (done, former) == (["let the clients in"], [records["10.0.0.8"]])
    assert hba.read_text().splitlines()[3:5] == [records["10.0.0.9"], records["10.0.0.8"]]
    play.server.keeps_former = False
    assert play.server.ensure(False)[2] == []
    assert records["10.0.0.8"] not in hba.read_text()
    assert records["10.0.0.9"] in hba.read_text()


def test_records_that_were_written_and_not_loaded_are_loaded(postgresql: Callable[..., Play]) -> None:
    play = postgresql([], loaded=50.0)
    assert play.ensure() == ["let the clients in"]
    assert play.said == ["SELECT pg_reload_conf()"]


def test_records_that_postgresql_refuses_are_taken_back(postgresql: Callable[..., Play], tmp_path: Path) -> None:
    play = postgresql([])
    hba = tmp_path / "pg_hba.conf"
    hba.write_text("local all\n")
    play.hba_fault = "invalid authentication method"
    with pytest.raises(ServerError, match="refuses .*pg_hba.conf: invalid authentication method"):
        play.ensure()
    assert (hba.read_text(), play.said) == ("local all\n", [])


def test_a_server_that_is_stopped_is_started(postgresql: Callable[..., Play]) -> None:
    play = postgresql([])
    play.answers = play.active = False
    assert play.ensure(check=True) == ["start PostgreSQL, create the user shop and the database shop"]
    assert play.verbs == []
    assert play.ensure() == []
    assert play.verbs == ["start"]


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_sessions_of_former_clients_are_ended_with_their_way_in(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, kind: str
) -> None:
    monkeypatch.setattr(database_server, "POLL_SECONDS", 0.0)
    play: Play = request.getfixturevalue(kind)(["10.0.0.9", "10.1.0.0/16"])
    stay = {"11": "10.0.0.9", "12": "10.1.2.3", "13": "127.0.0.1", "14": "::1", "15": "localhost"}
    go = {"21": "10.0.0.8", "22": "fd00::8", "23": "gone.invalid"}
    play.sessions = {**stay, **go}
    play.ensure()
    play.server.keeps_former = False
    play.ensure(check=True)
    assert play.sessions == {**stay, **go}
    play.ensure()
    assert play.sessions == stay


def test_sessions_that_do_not_end_are_told(monkeypatch: pytest.MonkeyPatch, postgresql: Callable[..., Play]) -> None:
    monkeypatch.setattr(database_server, "START_SECONDS", 0.0)
    play = postgresql([])
    play.server.keeps_former = False
    play.sessions = {"21": "10.0.0.8"}
    with pytest.raises(ServerError, match="does not end the sessions of former clients: 21"):
        play.ensure()


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_a_server_that_runs_and_refuses_is_left_alone(request: pytest.FixtureRequest, kind: str, check: bool) -> None:
    play: Play = request.getfixturevalue(kind)([])
    play.answers = False
    with pytest.raises(ServerError, match="nobody listens"):
        play.ensure(check)
    assert play.verbs == []


def test_a_port_that_no_cluster_has_says_which_there_are(postgresql: Callable[..., Play]) -> None:
    play = postgresql([])
    play.answers = play.active = False
    play.server.port = 5434
    with pytest.raises(ServerError, match="has port 5434. Set django_database_port to one that there is: 5433, 5432"):
        play.ensure()
    assert play.verbs == []


def test_a_server_that_stays_deaf_is_told(monkeypatch: pytest.MonkeyPatch, postgresql: Callable[..., Play]) -> None:
    monkeypatch.setattr(database_server, "START_SECONDS", 0.0)
    play = postgresql(["10.0.0.9"])
    play.restart_helps = False
    with pytest.raises(ServerError, match="restarted, but after 0 s it listens on localhost"):
        play.ensure()


ACCOUNTS = dict.fromkeys(["localhost", "127.0.0.1", "::1"], NATIVE)


def granted(hosts: Iterable[str]) -> list[str]:
    return [f"{database}@{host}" for host in hosts for database in ("shop", "shop_trial")]


@pytest.fixture
def mariadb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Play]:
    """Play a MariaDB; by default one that has all that a site on its own host needs."""

    def play(clients: list[str], password: str = "secret", name: str = "shop", **state: Any) -> Play:
        server = MariaDB(name, "shop", password, clients)
        monkeypatch.setattr(server, "listen_file", lambda state: (tmp_path / "90.cnf", "bind-address = *\n"))
        known = {"accounts": ACCOUNTS, "granted": granted(ACCOUNTS), "charset": "utf8mb4", "listen": "127.0.0.1"}
        return Play(monkeypatch, server, {**known, "known": 3, "others": None, **state})

    return play


def test_mariadb_from_nothing(mariadb: Callable[..., Play], tmp_path: Path) -> None:
    play = mariadb(["10.0.0.9", "10.1.0.0/16"], name="my_shop", accounts=None, granted=None, charset=None)
    assert len(play.ensure(check=True)) == 17
    assert (play.said, play.verbs, list(tmp_path.iterdir())) == ([], [], [])
    play.ensure()
    lines = play.said[0].splitlines()
    assert lines[0] == "CREATE DATABASE `my_shop` CHARACTER SET utf8mb4;"
    for host in ("localhost", "127.0.0.1", "::1", "10.0.0.9", "10.1.0.0/255.255.0.0"):
        create = f"CREATE USER 'shop'@'{host}' IDENTIFIED VIA mysql_native_password USING '{NATIVE}';"
        at = lines.index(create)
        assert lines[at + 1 : at + 3] == [
            rf"GRANT ALL PRIVILEGES ON `{pattern}`.* TO 'shop'@'{host}';"
            for pattern in (r"my\_shop", r"my\_shop\_trial")
        ]
    assert len(lines) == 16
    assert play.verbs == ["restart"]
    assert (tmp_path / "90.cnf").read_text() == "bind-address = *\n"


def test_mariadb_has_all_already(mariadb: Callable[..., Play]) -> None:
    play = mariadb([])
    assert play.server.ensure(False) == ([], [], [])
    assert (play.said, play.verbs) == ([], [])


def test_mariadb_drops_former_clients_when_the_new_release_works(mariadb: Callable[..., Play]) -> None:
    play = mariadb(["10.0.0.9"], accounts={**ACCOUNTS, "10.0.0.8": NATIVE, "10.0.0.9": NATIVE})
    play.state.update(listen="*", granted=granted([*ACCOUNTS, "10.0.0.9"]))
    assert play.server.ensure(False) == ([], [], ["'shop'@'10.0.0.8'"])
    assert play.said == []
    play.server.keeps_former = False
    assert play.server.ensure(False) == (["drop the user 'shop'@'10.0.0.8', who is no client"], [], [])
    assert play.said == ["DROP USER 'shop'@'10.0.0.8';\n"]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("host", ["localhost", "%"])
def test_mariadb_leaves_a_password_in_use_alone(mariadb: Callable[..., Play], host: str, check: bool) -> None:
    play = mariadb(["10.0.0.9"], accounts={**ACCOUNTS, host: native_hash("another")})
    with pytest.raises(ServerError, match="MariaDB has the user shop already.*django_database_change_password=true"):
        play.ensure(check)
    assert (play.said, play.verbs) == ([], [])


def test_mariadb_changes_the_password_of_each_account_deliberately(mariadb: Callable[..., Play]) -> None:
    play = mariadb([], password="other")
    play.server.change_password = True
    play.ensure()
    changes = play.said[0].splitlines()
    assert changes == [
        f"ALTER USER 'shop'@'{host}' IDENTIFIED VIA mysql_native_password USING '{native_hash('other')}';"
        for host in sorted(ACCOUNTS)
    ]


@pytest.mark.parametrize(
    ("state", "refused"),
    [
        ({"known": 0, "others": "accounts, tea"}, True),
        ({"known": 0, "others": "accounts, tea", "accounts": None}, True),
        ({"known": 3, "others": "backup"}, False),
        ({"known": 0, "others": None}, False),
    ],
)
def test_mariadbs_database_of_others_is_left_alone(
    mariadb: Callable[..., Play], state: dict[str, Any], refused: bool
) -> None:
    play = mariadb([], **{"granted": None, **state})
    if refused:
        with pytest.raises(ServerError, match="shop is there, and accounts, tea may use it, but shop may not"):
            play.ensure()
    else:
        assert len(play.ensure()) == 6
    assert bool(play.said) is not refused


def test_mariadb_knows_no_networks_of_ipv6(mariadb: Callable[..., Play]) -> None:
    with pytest.raises(ServerError, match="name the addresses in fd00::/64 one by one"):
        mariadb(["fd00::/64"]).ensure()


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
def test_the_module_before_the_server_is_installed(
    run_module: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(Server, "run", lambda self, sql: (_ for _ in ()).throw(FileNotFoundError("psql")))
    for kind in (PostgreSQL, MariaDB):
        monkeypatch.setattr(kind, "installed", lambda self: False)
    arguments = {"engine": engine, "name": "shop", "user": "shop", "password": "s3cret"}
    result = run_module("database_server", arguments, True)
    assert result["changed"] is True
    assert "s3cret" not in json.dumps(result)
    assert "is not installed on this host" in run_module("database_server", arguments)["msg"]


def test_the_module_wants_root(run_module: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    arguments = {"engine": "mariadb", "name": "shop", "user": "shop", "password": "s3cret"}
    assert "ansible_become: true" in run_module("database_server", arguments, True)["msg"]


def test_psql_asks_nobody_for_a_password() -> None:
    assert "--no-password" in PostgreSQL("shop", "shop", "secret", []).command()


def test_a_client_programs_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    server = PostgreSQL("shop", "shop", "secret", [])
    monkeypatch.setattr(server, "command", lambda: ["sh", "-c", "cat; echo 'permission denied' >&2; exit 3"])
    with pytest.raises(ServerError, match="PostgreSQL says: permission denied"):
        server.run("SELECT 1")
    monkeypatch.setattr(server, "command", lambda: ["cat"])
    assert server.run("SELECT 1") == "SELECT 1"
