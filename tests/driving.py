"""A site as the tests drive it: playbooks as an operator runs them, requests as visitors send them."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import forked_ansible

CHECKOUT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
WAIT_SECONDS = 300.0


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
        rows = re.findall(r"^([\w.-]+)\s+: (ok=.*)$", self.stdout, re.MULTILINE)
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


class Site:
    """A site: where its web hosts answer, under which name, and the environment that its operator works in."""

    def __init__(self, urls: Mapping[str, str], host: str, environment: Mapping[str, str]) -> None:
        self.urls = dict(urls)
        self.host = host
        plain = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}  # Molecule asks for colours
        self.environment = {**environment, **plain, "PYTHONPATH": str(CHECKOUT / "tests")}
        self.playbook_arguments: list[str] = []

    def start_playbook(self, name: str, *arguments: str, **variables: object) -> subprocess.Popen[str]:
        """Start a playbook that may be killed, or interrupted with all of its process group, or waited for."""
        return subprocess.Popen(
            [str(BIN / "ansible-playbook"), *self.arguments(name, *arguments, **variables)],
            cwd=CHECKOUT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def playbook(self, name: str, *arguments: str, **variables: object) -> Run:
        command = ["ansible-playbook", *self.arguments(name, *arguments, **variables)]
        ran = forked_ansible.run(*command, cwd=CHECKOUT, environment=self.environment)
        return Run(ran.returncode, ran.stdout, ran.stderr)

    def arguments(self, name: str, *arguments: str, **variables: object) -> list[str]:
        """Write the command line of a playbook, without the program."""
        return [*self.playbook_arguments, name, *arguments, *(["-e", json.dumps(variables)] if variables else [])]

    def deploy(self, version: str, **variables: object) -> Run:
        return self.playbook("deploy.yml", django_release_version=version, **variables)

    def ask(self, node: str, path: str = "/", method: str = "GET", body: bytes | None = None) -> Answer:
        address = urlsplit(self.urls[node])
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        try:
            connection.request(method, path, body=body, headers={"Host": self.host, "Accept": "text/html"})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read().decode())
        finally:
            connection.close()

    def listens(self, node: str) -> bool:
        """Tell whether a web host takes connections."""
        try:
            self.ask(node)
        except OSError:
            return False
        return True

    def remains(self, node: str) -> list[str]:
        """Name what a deploy that is not over has left on a web host: the flag, and records."""
        raise NotImplementedError

    def versions(self) -> set[str | None]:
        return {self.ask(node).version for node in self.urls}

    def kinds(self, method: str = "GET") -> set[str]:
        return {self.ask(node, method=method).kind for node in self.urls}

    def current_status(self) -> dict[str, Any]:
        run = self.playbook("playbooks/maintenance_status.yml", maintenance_window_format="json")
        assert run.status == 0, run.output
        document: dict[str, Any] = json.loads(run.stdout)
        return document

    @contextmanager
    def visitors(self, record: Path, rate: int = 5, mix: str = "shop", patience: int = 40) -> Iterator[None]:
        """Let the load probe ask all web hosts meanwhile, ``rate`` times a second each, for the pages of ``mix``.

        Each visitor has a ``patience`` of so many seconds.
        """
        named = {node.partition(".")[0]: url for node, url in self.urls.items()}
        nodes = [part for node, url in named.items() for part in ("--node", f"{node}={url}")]
        command = [sys.executable, "-m", "probe", "run", *nodes]
        command += ["--rate", str(rate), "--host", self.host, "--mix", mix, "--out", str(record)]
        command += ["--timeout", str(patience)]
        probe = subprocess.Popen(command, env=self.environment)
        try:
            wait_until(lambda: (record / "probe.json").exists() or probe.poll() is not None, "the load probe started")
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


def wait_until(condition: Callable[[], object], what: str, seconds: float = WAIT_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)
