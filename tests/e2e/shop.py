"""The demo site as the tests drive it: playbooks as an operator runs them, requests as visitors send them."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
NODES = ("web1", "web2")
WAIT_SECONDS = 60.0


@dataclass(frozen=True)
class Run:
    """A finished playbook: exit status and what it wrote."""

    status: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def words(self) -> str:
        """The output with its line breaks folded, to look for sentences in."""
        return re.sub(r"\s+", " ", self.output.replace("''", "'"))

    def recap(self) -> dict[str, dict[str, int]]:
        """Counts per host from the play recap."""
        rows = re.findall(r"^(\w+)\s+: (ok=.*)$", self.stdout, re.MULTILINE)
        return {host: {name: int(count) for name, count in re.findall(r"(\w+)=(\d+)", row)} for host, row in rows}


@dataclass(frozen=True)
class Answer:
    """What a visitor got."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def version(self) -> str | None:
        return self.headers.get("x-shop-version")

    @property
    def kind(self) -> str:
        """``maintenance`` or ``fallback`` for Intermission's pages, ``app`` for the shop's, else ``nginx``."""
        marked = re.search(r'data-intermission="(\w+)"', self.body)
        if marked:
            return marked.group(1)
        return "app" if self.version else "nginx"


class Shop:
    """Two nodes below one root, as inventory/demo describes them."""

    def __init__(self, root: Path, first_port: int) -> None:
        self.root = root
        self.ports = {node: first_port + number for number, node in enumerate(NODES)}
        self.environment = {
            **os.environ,
            "INTERMISSION_DEMO_ROOT": str(root),
            "INTERMISSION_DEMO_PORT": str(first_port),
            "ANSIBLE_NOCOLOR": "1",
            "PYTHONPATH": str(CHECKOUT / "tests"),
        }

    def start_playbook(self, name: str, *arguments: str, **variables: object) -> subprocess.Popen[str]:
        command = [str(BIN / "ansible-playbook"), name, *arguments]
        if variables:
            command += ["-e", json.dumps(variables)]
        return subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def playbook(self, name: str, *arguments: str, **variables: object) -> Run:
        process = self.start_playbook(name, *arguments, **variables)
        stdout, stderr = process.communicate()
        return Run(process.returncode, stdout, stderr)

    def deploy(self, version: str, **variables: object) -> Run:
        return self.playbook("deploy.yml", django_release_version=version, **variables)

    def ask(self, node: str, path: str = "/", method: str = "GET", body: bytes | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[node], timeout=30)
        try:
            connection.request(method, path, body=body)
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read().decode())
        finally:
            connection.close()

    def versions(self) -> set[str | None]:
        return {self.ask(node).version for node in NODES}

    def kinds(self, method: str = "GET") -> set[str]:
        return {self.ask(node, method=method).kind for node in NODES}

    def state(self, node: str) -> Path:
        return self.root / node / "state" / "shop"

    def journal(self, node: str = "web1") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.state(node) / "journal.jsonl").read_text().splitlines()]

    def current_status(self) -> dict[str, Any]:
        run = self.playbook("playbooks/maintenance_status.yml", maintenance_window_format="json")
        assert run.status == 0, run.output
        document: dict[str, Any] = json.loads(run.stdout)
        return document

    def gunicorn(self, node: str, action: str) -> int:
        command = [sys.executable, "demo/gunicornctl.py", str(self.root / node / "shop"), action]
        return subprocess.run(command, cwd=CHECKOUT, check=False).returncode

    def manage(self, *arguments: str) -> str:
        """Run a command of the live release's manage.py."""
        script = 'set -a; . ../../shared/environment; exec .venv/bin/python manage.py "$@"'
        current = self.root / "web1/shop/current"
        command = ["sh", "-c", script, "manage", *arguments]
        return subprocess.run(command, cwd=current, check=True, capture_output=True, text=True).stdout

    def fingerprint(self) -> dict[str, Any]:
        """Row counts and checksums of the shop's tables."""
        content: dict[str, Any] = json.loads(self.manage("fingerprint"))
        return content

    def tree(self) -> dict[str, tuple[int, str]]:
        """Every name below the nodes with its type, mode and target or size, without what the servers write."""
        names = (path for node in NODES for path in sorted((self.root / node).rglob("*")))
        return {
            str(path): (path.lstat().st_mode, os.readlink(path) if path.is_symlink() else str(path.lstat().st_size))
            for path in names
            if path.suffix != ".log" and path.name != "journal.jsonl" and not path.is_dir()
        }

    @contextmanager
    def visitors(self, record: Path, rate: int = 20) -> Iterator[None]:
        """Let the load probe ask both nodes meanwhile."""
        nodes = [part for node, port in self.ports.items() for part in ("--node", f"{node}=http://127.0.0.1:{port}")]
        command = [sys.executable, "-m", "probe", "run", *nodes]
        command += ["--rate", str(rate), "--host", "shop.example", "--out", str(record)]
        probe = subprocess.Popen(command, env=self.environment)
        try:
            wait_until((record / "probe.json").exists, "the load probe started")
            yield
        finally:
            probe.send_signal(signal.SIGTERM)
            assert probe.wait() == 0

    def verdict(self, record: Path, *arguments: str) -> dict[str, Any]:
        """What the visitors saw."""
        command = [sys.executable, "-m", "probe", "report", str(record), "--json", *arguments]
        report = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        facts: dict[str, Any] = json.loads(report.stdout)
        return facts


def wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


def free_ports(number: int) -> int:
    """Find the first of some neighbouring ports that nobody listens on."""
    for first in range(18081, 28081, number):
        sockets = [socket.socket() for _ in range(number)]
        try:
            for offset, one in enumerate(sockets):
                one.bind(("127.0.0.1", first + offset))
        except OSError:
            continue
        finally:
            for one in sockets:
                one.close()
        return first
    raise AssertionError("no free ports")
