"""The database server on this host: a site's user, its database, a second one where backups are tried, and who may connect.

SQL goes to the server's own client on standard input, as the server's administrator: the user postgres, or MariaDB's root.
Passwords are hashed here, so that they reach neither a list of processes nor a server's log.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import ipaddress
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.intermission.django.plugins.module_utils.engine import TRIAL_SUFFIX
from ansible_collections.intermission.django.plugins.module_utils.files import write_file

NAME = re.compile(r"[a-z][a-z0-9_]{0,56}")  # With the suffix of the second database, what PostgreSQL can name
RESERVED = {"postgres", "template0", "template1", "root", "mysql", "sys", "information_schema", "performance_schema"}
LOCAL = {"localhost", "127.0.0.1", "::1"}
SCRAM = re.compile(r"SCRAM-SHA-256\$(\d+):([^$]+)\$[^:]+:.+")
SCRAM_ITERATIONS = 4096
START_SECONDS = 60.0
POLL_SECONDS = 0.2


class ServerError(Exception):
    """The server could not be brought to what is wanted; the message says why, without a password."""


def scram_verifier(password: str, salt: bytes, iterations: int = SCRAM_ITERATIONS) -> str:
    """Hash a password as PostgreSQL stores it (RFC 5803)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    keys = (hashlib.sha256(client_key).digest(), hmac.digest(salted, b"Server Key", "sha256"))
    salt_text, stored, server = (base64.b64encode(part).decode() for part in (salt, *keys))
    return f"SCRAM-SHA-256${iterations}:{salt_text}${stored}:{server}"


def scram_fits(verifier: str, password: str) -> bool:
    """Tell whether what PostgreSQL stores is a hash of this password, in the way that is wanted."""
    match = SCRAM.fullmatch(verifier)
    return match is not None and hmac.compare_digest(
        verifier, scram_verifier(password, base64.b64decode(match.group(2)), int(match.group(1)))
    )


def md5_hash(user: str, password: str) -> str:
    """Hash a password as PostgreSQL stores it where password_encryption is md5."""
    return "md5" + hashlib.md5((password + user).encode(), usedforsecurity=False).hexdigest()


def native_hash(password: str) -> str:
    """Hash a password as MariaDB's mysql_native_password stores it."""
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()


def networks(clients: Iterable[str]) -> list[Any]:
    """Turn addresses, networks and host names into networks, in order, without this host's own. Raises ServerError."""
    found = []
    for client in clients:
        try:
            found.append(ipaddress.ip_network(client, strict=False))
        except ValueError:
            try:
                answers = socket.getaddrinfo(client, None, type=socket.SOCK_STREAM)
            except OSError as error:
                raise ServerError(
                    f"'{client}' is no address, and the database host cannot resolve it: {error}. Set"
                    " django_database_clients to the addresses that the web hosts come from, for instance [10.0.0.0/24]"
                ) from error
            found += [ipaddress.ip_network(str(answer[4][0]).partition("%")[0]) for answer in answers]
    others = {network for network in found if not network.is_loopback}
    return sorted(others, key=lambda network: (network.version, network))


def with_block(text: str, name: str, lines: Sequence[str]) -> str:
    """Put the lines of a site between marks: where its block is, so that several sites leave it there, else at the start."""
    begin, end = f"# BEGIN intermission {name}\n", f"# END intermission {name}\n"
    block = begin + "".join(f"{line}\n" for line in lines) + end
    before, *rest = re.split(f"(?ms)^{re.escape(begin)}.*?^{re.escape(end)}", text)
    return before + block + "".join(rest) if rest else block + text


def block_lines(text: str, name: str) -> list[str]:
    """Give the lines of a site's block, none where it has none."""
    found = re.search(
        f"(?ms)^# BEGIN intermission {re.escape(name)}\n(.*?)^# END intermission {re.escape(name)}\n", text
    )
    return found.group(1).splitlines() if found else []


def quoted(value: str) -> str:
    """Quote a text for SQL; those here have no backslash, which MariaDB would take for an escape."""
    return "'" + value.replace("'", "''") + "'"


def _run(command: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program of the host, in English and with nothing of this process's environment."""
    return subprocess.run(
        command,
        input=text,
        env={"PATH": os.environ.get("PATH", ""), "HOME": os.environ.get("HOME", "/"), "LC_ALL": "C.UTF-8"},
        cwd="/",
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )


class Server:
    """What the servers have in common: a client program, a unit, and the order of what is done."""

    label = ""
    state_query = ""
    sessions_query = ""  # A line for each session of the user: its number, and the address that it comes from
    end_session = ""

    def __init__(
        self,
        name: str,
        user: str,
        password: str,
        clients: Sequence[str],
        port: int = 5432,
        change_password: bool = False,
        former_clients: str = "kept",
    ) -> None:
        """Take what the site needs. Raises ServerError where a name is none, or a client has no address.

        With ``change_password``, a user who is there and has another password gets this one. Former clients are ``kept``,
        because the live release may still come from there, or ``dropped``.
        """
        for given in (name, user):
            if NAME.fullmatch(given) is None or given in RESERVED or given.startswith("pg_"):
                raise ServerError(
                    f"'{given}' cannot name a site's database or its user: a letter, then letters, digits and '_', 57 in all"
                )
        self.name, self.user, self.password, self.port = name, user, password, port
        self.trial = name + TRIAL_SUFFIX
        self.change_password = change_password
        self.keeps_former = former_clients == "kept"
        self.clients = networks(clients)

    def installed(self) -> bool:
        """Tell whether the server's programs are there."""
        raise NotImplementedError

    def unit(self) -> str:
        """Name the systemd unit that runs this server, and nothing else. Raises ServerError."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Give the client program, which reads SQL from its standard input."""
        raise NotImplementedError

    def run(self, sql: str) -> str:
        """Run SQL as the administrator. Raises ServerError with the server's message."""
        ran = _run(self.command(), sql)
        if ran.returncode != 0:
            raise ServerError(f"{self.label} says: {ran.stderr.strip()[-2000:]}")
        return ran.stdout

    def state(self) -> dict[str, Any]:
        """Ask the server what is there."""
        answer: dict[str, Any] = json.loads(
            self.run(self.state_query.format(name=self.name, trial=self.trial, user=self.user))
        )
        return answer

    def statements(self, state: dict[str, Any]) -> list[tuple[str, str]]:
        """Give what is to be done as pairs: what to call it, and the SQL. Raises ServerError."""
        raise NotImplementedError

    def check_password_may_change(self) -> None:
        """Raise ServerError unless a user who is there may get another password: the live release logs in with the old one."""
        if not self.change_password:
            raise ServerError(
                f"{self.label} has the user {self.user} already, and django_database_password does not let it log in. Set"
                " django_database_password back to the one that is in use. Or change it deliberately, in a maintenance window:"
                " -e django_database_change_password=true; the live release cannot log in from then on until the deploy has"
                " activated the new one. Where the user is not this site's, set django_database_user to another name"
            )

    def listen_file(self, state: dict[str, Any]) -> tuple[Path, str]:
        """Give the file that makes the server listen to who has to reach it, and its content."""
        raise NotImplementedError

    def is_deaf(self, state: dict[str, Any]) -> bool:
        """Tell whether the server listens to nobody, or to this host only and others have to reach it."""
        listens = {address.strip() for address in state["listen"].split(",")} - {""}
        return not listens or (bool(self.clients) and listens <= LOCAL)

    def former(self, state: dict[str, Any]) -> list[str]:
        """Name what lets hosts in that are no clients any more, as the server has it."""
        raise NotImplementedError

    def allow(self, state: dict[str, Any], check: bool) -> list[tuple[str, str]]:
        """Let the clients in where that needs a file; gives what changed as pairs of the file before and after."""
        return []

    def ask_or_start(self, check: bool) -> dict[str, Any] | None:
        """Ask for the state, after starting a server that is stopped; None in check mode where there is none to ask.

        One that runs and refuses is never restarted: that would cut off every database that it has.
        """
        try:
            return self.state()
        except (ServerError, OSError):
            if check and not self.installed():
                return None
            unit = self.unit()
            if _run(["systemctl", "is-active", "--quiet", unit]).returncode == 0:
                raise
            if check:
                return None
            self.systemctl("start", unit)
            return self.until(lambda state: True, "started")

    def systemctl(self, verb: str, unit: str) -> None:
        """Start or restart the server's unit. Raises ServerError."""
        ran = _run(["systemctl", verb, unit])
        if ran.returncode != 0:
            raise ServerError(f"{self.label} does not start: {ran.stderr.strip()}")

    def until(self, condition: Any, done: str) -> dict[str, Any]:
        """Wait until the server answers and its state is as wanted. Raises ServerError."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                state = self.state()
                if condition(state):
                    return state
                fault = f"it listens on {state['listen']}"
            except ServerError as error:
                fault = str(error)
            if time.monotonic() >= deadline:
                raise ServerError(f"{self.label} was {done}, but after {START_SECONDS:g} s {fault}")
            time.sleep(POLL_SECONDS)

    def ensure(self, check: bool) -> tuple[list[str], list[dict[str, str]], list[str]]:
        """Bring the server to what the site needs.

        Gives what was done, or would be, the differences of files, and what still lets former clients in. Where they are dropped,
        their sessions are ended too.
        """
        state = self.ask_or_start(check)
        if state is None:
            return [f"start {self.label}, create the user {self.user} and the database {self.name}"], [], []
        former = self.former(state) if self.keeps_former else []
        statements = self.statements(state)
        done, files = [what for what, _sql in statements], []
        if statements and not check:
            self.run("".join(f"{sql};\n" for _what, sql in statements))
        for before, after in self.allow(state, check):
            files.append({"before": before, "after": after})
            done.append("let the clients in")
        if self.is_deaf(state):
            path, content = self.listen_file(state)
            before = path.read_text(encoding="utf-8") if path.exists() else ""
            files.append({"before": before, "after": content, "before_header": str(path), "after_header": str(path)})
            done.append(
                "listen to other hosts, and restart for it"
                if self.clients
                else "listen to this host, and restart for it"
            )
            if not check:
                write_file(path, content.encode())
                self.systemctl("restart", self.unit())
                self.until(lambda now: not self.is_deaf(now), "restarted")
        if not self.keeps_former and not check:
            self.end_former_sessions()
        return done, files, former

    def end_former_sessions(self) -> None:
        """End the sessions from elsewhere than the clients: who is in is not asked again who lets them in. Raises ServerError."""
        deadline = time.monotonic() + START_SECONDS
        while former := self.former_sessions():
            if time.monotonic() >= deadline:
                raise ServerError(f"{self.label} does not end the sessions of former clients: {', '.join(former)}")
            for number in former:
                with contextlib.suppress(ServerError):  # It may have ended by itself
                    self.run(self.end_session.format(number=number))
            time.sleep(POLL_SECONDS)

    def former_sessions(self) -> list[str]:
        """Number the user's sessions from elsewhere than this host and the clients."""
        sessions = [line.partition(" ") for line in self.run(self.sessions_query.format(user=self.user)).splitlines()]
        return [number for number, _space, address in sessions if not self.is_client(address)]

    def is_client(self, address: str) -> bool:
        """Tell whether an address, or the name that a server shows for one, is this host's or a client's."""
        try:
            places = networks([address])
        except ServerError:
            return False
        return all(
            any(place.version == client.version and place.subnet_of(client) for client in self.clients)
            for place in places
        )


class PostgreSQL(Server):
    """Debian's PostgreSQL."""

    label = "PostgreSQL"
    state_query = """
SELECT json_build_object(
  'verifier', (SELECT coalesce(rolpassword, '') FROM pg_authid WHERE rolname = '{user}' AND rolcanlogin),
  'user', EXISTS (SELECT FROM pg_authid WHERE rolname = '{user}'),
  'owner', (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{name}'),
  'trial', (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = '{trial}'),
  'encoding', (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = '{name}'),
  'listen', current_setting('listen_addresses'),
  'config', current_setting('config_file'),
  'hba', current_setting('hba_file'),
  'loaded', extract(epoch FROM pg_conf_load_time()));
"""
    sessions_query = """
SELECT pid || ' ' || host(client_addr) FROM pg_stat_activity WHERE usename = '{user}' AND client_addr IS NOT NULL
"""
    end_session = "SELECT pg_terminate_backend({number})"

    def installed(self) -> bool:
        """Look for what Debian starts a cluster with."""
        return shutil.which("psql") is not None and Path("/usr/bin/pg_ctlcluster").exists()

    def unit(self) -> str:
        """Name the cluster's own unit: postgresql.service stands for all clusters, and is active without any."""
        clusters = [line.split() for line in _run(["pg_lsclusters", "--no-header"]).stdout.splitlines()]
        for version, name, port, *_rest in clusters:
            if port == str(self.port):
                return f"postgresql@{version}-{name}"
        others = ", ".join(its[2] for its in clusters) or "none"
        raise ServerError(
            f"no cluster of PostgreSQL on this host has port {self.port}. Set django_database_port to one that there is: {others}"
        )

    def command(self) -> list[str]:
        """Run psql as the user postgres, over the unix socket."""
        psql = ["psql", "--no-psqlrc", "--no-password", "--quiet", "--tuples-only", "--no-align", "--dbname=postgres"]
        options = ["--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse", f"--port={self.port}"]
        return ["runuser", "-u", "postgres", "--", *psql, *options]

    def statements(self, state: dict[str, Any]) -> list[tuple[str, str]]:
        """Create what is missing; a database of somebody else's is left alone, and so is a password in use."""
        databases = {self.name: state["owner"], self.trial: state["trial"]}
        for database, owner in databases.items():
            if owner not in (None, self.user):
                raise ServerError(
                    f"the database {database} is there, and belongs to {owner}. Set django_database_user:"
                    f" {owner}, or another django_database_name"
                )
        if state["encoding"] not in (None, "UTF8"):
            raise ServerError(f"the database {self.name} is there, and is encoded in {state['encoding']}, not in UTF8")
        found, verifier = [], state["verifier"] or ""
        secret = quoted(scram_verifier(self.password, secrets.token_bytes(16)))
        if not state["user"]:
            found.append((f"create the user {self.user}", f'CREATE ROLE "{self.user}" LOGIN PASSWORD {secret}'))
        elif not scram_fits(verifier, self.password):
            if verifier != md5_hash(self.user, self.password):
                self.check_password_may_change()
            what = f"change the password of the user {self.user}, or how it is hashed"
            found.append((what, f'ALTER ROLE "{self.user}" LOGIN PASSWORD {secret}'))
        for database, owner in databases.items():
            if owner is None:
                create = f'CREATE DATABASE "{database}" OWNER "{self.user}" TEMPLATE template0 ENCODING \'UTF8\''
                found.append((f"create the database {database}", create))
        return found

    def listen_file(self, state: dict[str, Any]) -> tuple[Path, str]:
        """Write into conf.d, which Debian's postgresql.conf includes; pg_hba.conf says who gets in."""
        addresses = "*" if self.clients else "localhost"
        return Path(state["config"]).with_name("conf.d") / "intermission.conf", f"listen_addresses = '{addresses}'\n"

    def hba_lines(self) -> list[str]:
        """Give the records of pg_hba.conf: this host, and over TLS the clients. Quoted, a name such as ``all`` is but a name."""
        who = f'"{self.name}","{self.trial}" "{self.user}"'
        local = [f"host {who} {address} scram-sha-256" for address in ("127.0.0.1/32", "::1/128")]
        return local + [f"hostssl {who} {network} scram-sha-256" for network in self.clients]

    def former(self, state: dict[str, Any]) -> list[str]:
        """Give the site's records for others than the clients."""
        recorded = block_lines(Path(state["hba"]).read_text(encoding="utf-8"), self.name)
        return [line for line in recorded if line not in self.hba_lines()]

    def allow(self, state: dict[str, Any], check: bool) -> list[tuple[str, str]]:
        """Keep the site's records at the start of pg_hba.conf, where the first that matches counts."""
        path = Path(state["hba"])
        before = path.read_text(encoding="utf-8")
        former = self.former(state) if self.keeps_former else []
        after = with_block(before, self.name, self.hba_lines() + former)
        status = path.stat()
        if before == after and status.st_mtime <= state["loaded"]:
            return []
        if not check:
            owner = (status.st_uid, status.st_gid)
            write_file(path, after.encode(), status.st_mode & 0o777, owner=owner)
            faults = self.run("SELECT error FROM pg_hba_file_rules WHERE error IS NOT NULL").strip()
            if faults:
                write_file(path, before.encode(), status.st_mode & 0o777, owner=owner)
                raise ServerError(f"PostgreSQL refuses {path}: {faults}")
            self.run("SELECT pg_reload_conf()")
            self.until(lambda now: now["loaded"] > state["loaded"], "told who may connect")
        return [(before, after)]


class MariaDB(Server):
    """Debian's MariaDB: an account for each client, all with the same password and rights."""

    label = "MariaDB"
    state_query = """
SELECT JSON_OBJECT(
  'accounts', (SELECT JSON_OBJECTAGG(host, authentication_string) FROM mysql.user WHERE user = '{user}'),
  'granted', (SELECT JSON_ARRAYAGG(CONCAT(REPLACE(db, '\\\\', ''), '@', host)) FROM mysql.db
              WHERE user = '{user}' AND REPLACE(db, '\\\\', '') IN ('{name}', '{trial}')
              AND 'Y' = ALL (SELECT Select_priv UNION SELECT Create_priv UNION SELECT Alter_priv UNION SELECT Drop_priv)),
  'known', (SELECT COUNT(*) FROM mysql.db WHERE user = '{user}' AND REPLACE(db, '\\\\', '') = '{name}'),
  'others', (SELECT GROUP_CONCAT(DISTINCT user ORDER BY user SEPARATOR ', ') FROM mysql.db
             WHERE user <> '{user}' AND REPLACE(db, '\\\\', '') = '{name}'),
  'charset', (SELECT default_character_set_name FROM information_schema.schemata WHERE schema_name = '{name}'),
  'listen', coalesce(nullif(@@bind_address, ''), '*'));
"""
    sessions_query = """
SELECT CONCAT(id, ' ', IF(host LIKE '%:%', LEFT(host, CHAR_LENGTH(host) - CHAR_LENGTH(SUBSTRING_INDEX(host, ':', -1)) - 1), host))
FROM information_schema.processlist WHERE user = '{user}'
"""
    end_session = "KILL {number}"

    def installed(self) -> bool:
        """Look for the server's program."""
        return shutil.which("mariadb") is not None and shutil.which("mariadbd", path="/usr/sbin:/usr/bin") is not None

    def unit(self) -> str:
        """Name Debian's only one."""
        return "mariadb"

    def command(self) -> list[str]:
        """Run the client as root, whom the unix socket knows."""
        return ["mariadb", "--protocol=socket", "--batch", "--raw", "--skip-column-names"]

    def hosts(self) -> list[str]:
        """Give the hosts of the user's accounts as MariaDB writes them. Raises ServerError."""
        found = ["localhost", "127.0.0.1", "::1"]
        for network in self.clients:
            if network.num_addresses == 1:
                found.append(str(network.network_address))
            elif network.version == 4:
                found.append(network.with_netmask)
            else:
                raise ServerError(f"MariaDB knows no networks of IPv6: name the addresses in {network} one by one")
        return found

    def statements(self, state: dict[str, Any]) -> list[tuple[str, str]]:
        """Create what is missing; a database of others is left alone, and so is a password in use."""
        accounts, granted, secret = state["accounts"] or {}, state["granted"] or [], native_hash(self.password)
        if state["charset"] is not None and state["others"] and not state["known"]:
            raise ServerError(
                f"the database {self.name} is there, and {state['others']} may use it, but {self.user} may not. Set another"
                f" django_database_name, or django_database_user to who uses it, or grant {self.user} its rights yourself"
            )
        if set(accounts.values()) - {secret}:
            self.check_password_may_change()
        found = []
        if state["charset"] is None:
            create = f"CREATE DATABASE `{self.name}` CHARACTER SET utf8mb4"
            found.append((f"create the database {self.name}", create))
        identified = f"IDENTIFIED VIA mysql_native_password USING {quoted(secret)}"
        for host, stored in sorted(accounts.items()):
            if stored != secret:
                account = f"{quoted(self.user)}@{quoted(host)}"
                found.append((f"change the password of {account}", f"ALTER USER {account} {identified}"))
        for host in self.hosts():
            account = f"{quoted(self.user)}@{quoted(host)}"
            if host not in accounts:
                found.append((f"create the user {account}", f"CREATE USER {account} {identified}"))
            for database in (self.name, self.trial):
                if f"{database}@{host}" not in granted:
                    pattern = database.replace("_", r"\_")
                    grant = f"GRANT ALL PRIVILEGES ON `{pattern}`.* TO {account}"
                    found.append((f"grant {account} its rights on {database}", grant))
        if not self.keeps_former:
            found += [
                (f"drop the user {account}, who is no client", f"DROP USER {account}") for account in self.former(state)
            ]
        return found

    def former(self, state: dict[str, Any]) -> list[str]:
        """Give the user's accounts for others than the clients."""
        hosts = set(state["accounts"] or {}) - set(self.hosts())
        return [f"{quoted(self.user)}@{quoted(host)}" for host in sorted(hosts)]

    def listen_file(self, state: dict[str, Any]) -> tuple[Path, str]:
        """Write after Debian's 50-server.cnf; the accounts say who gets in."""
        return Path("/etc/mysql/mariadb.conf.d/90-intermission.cnf"), "[mariadbd]\nbind-address = *\n"


SERVERS: dict[str, type[Server]] = {"postgresql": PostgreSQL, "mariadb": MariaDB}
