"""The demo site as the tests drive it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from driving import BIN, CHECKOUT, Answer, Run, Site, wait_until

NODES = ("web1", "web2")
DEPLOYED = (
    "*/shop/current",
    "*/shop/environment",
    "*/shop/environments",
    "*/shop/releases",
    "*/shop/shared",
    "*/shop/live.json",
    "*/state",
    "shop.sqlite3*",
)
ONE_NODE = CHECKOUT / "tests/e2e/one_node"
ORDER_LINES = 50_000  # a quarter of what `make demo` has: enough for a migration of a second or two

__all__ = [
    "BIN",
    "CHECKOUT",
    "NODES",
    "ORDER_LINES",
    "Answer",
    "Run",
    "Shop",
    "ended",
    "free_ports",
    "interrupted",
    "stocked",
    "wait_until",
]


class Shop(Site):
    """Two nodes below one root, as inventory/demo describes them; or the first of them, as if it were all of the site."""

    def __init__(self, root: Path, first_port: int, nodes: Sequence[str] = NODES) -> None:
        self.root = root
        self.first_port = first_port
        self.nodes = nodes
        self.ports = {node: first_port + number for number, node in enumerate(nodes)}
        environment = {
            **os.environ,
            "INTERMISSION_DEMO_ROOT": str(root),
            "INTERMISSION_DEMO_PORT": str(first_port),
            "INTERMISSION_DEMO_LINES": str(ORDER_LINES),
        }
        if len(nodes) == 1:
            environment["ANSIBLE_INVENTORY"] = str(ONE_NODE)
        urls = {node: f"http://127.0.0.1:{port}" for node, port in self.ports.items()}
        super().__init__(urls, "shop.example", environment)
        # The inventory would ask the environment anew for each of the hundred places in a deploy that need it
        self.playbook_arguments = ["-e", f"demo_root={root}"]

    def alone(self) -> Shop:
        """The first node without the other: for what one node shows as well, in little more than half of the time."""
        return Shop(self.root, self.first_port, NODES[:1])

    def at(self, version: str) -> None:
        """Bring all of the site to a version, open and with data of that version: by a deploy once, then from a copy of its files."""
        if self.nodes != NODES:
            Shop(self.root, self.first_port).at(version)
            return
        saved = self.root / "saved" / version
        if saved.exists():
            for node in NODES:
                self.gunicorn(node, "stop")
            copy_deployed(saved, self.root)
            for node in NODES:
                assert self.gunicorn(node, "start") == 0
        elif self.versions() != {version.removeprefix("v")}:
            if version == "v1":
                self.at("v2")
                self.manage("migrate", "orders", "0001")
            run = self.deploy(version)
            assert run.status == 0, run.output
        if not saved.exists():
            copy_deployed(self.root, saved)
        assert self.versions() == {version.removeprefix("v")}

    def state(self, node: str) -> Path:
        return self.root / node / "state" / "shop"

    def remains(self, node: str) -> list[str]:
        flag = [name for name in ("on",) if os.path.lexists(self.state(node) / name)]
        return flag + [path.name for path in self.state(node).parent.glob(".*.json")]

    def journal(self, node: str = "web1") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.state(node) / "journal.jsonl").read_text().splitlines()]

    def gunicorn(self, node: str, action: str) -> int:
        command = [sys.executable, "demo/gunicornctl.py", str(self.root / node / "shop"), action]
        return subprocess.run(command, cwd=CHECKOUT, check=False).returncode

    def manage(self, *arguments: str) -> str:
        """Run a command of the live release's manage.py."""
        script = 'set -a; . ../../environment; exec .venv/bin/python manage.py "$@"'
        current = self.root / "web1/shop/current"
        command = ["sh", "-c", script, "manage", *arguments]
        return subprocess.run(command, cwd=current, check=True, capture_output=True, text=True).stdout

    def has_migrated(self, label: str) -> bool:
        """Ask the database itself, as the code from before knows nothing of later migrations."""
        with closing(sqlite3.connect(self.root / "shop.sqlite3")) as connection:
            found = connection.execute("SELECT 1 FROM django_migrations WHERE app || '.' || name = ?", [label])
            return found.fetchone() is not None

    def fingerprint(self) -> dict[str, Any]:
        """Row counts and checksums of the shop's tables."""
        content: dict[str, Any] = json.loads(self.manage("fingerprint"))
        return content

    def tree(self) -> dict[str, tuple[int, str]]:
        """Every name below the nodes with its type, mode and target or size, without what the servers write."""
        names = (path for node in self.nodes for path in sorted((self.root / node).rglob("*")))
        return {
            str(path): (path.lstat().st_mode, os.readlink(path) if path.is_symlink() else str(path.lstat().st_size))
            for path in names
            if path.suffix != ".log" and path.name != "journal.jsonl" and not path.is_dir()
        }


@contextmanager
def stocked(root: Path) -> Iterator[Shop]:
    """Make a shop below a folder, whose path has to be short enough for unix sockets, with version 1 and its order lines."""
    shop = Shop(root, free_ports(len(NODES)))
    with ended(shop):
        subprocess.run([sys.executable, "demo/prepare.py", str(shop.root)], cwd=CHECKOUT, check=True)
        run = shop.deploy("v1")
        assert run.status == 0, run.output
        shop.manage("generate_orders", "--lines", str(ORDER_LINES))
        shop.at("v1")
        yield shop


@contextmanager
def ended(shop: Shop) -> Iterator[None]:
    """End what runs of a shop, and remove it."""
    try:
        yield
    finally:
        subprocess.run([sys.executable, "demo/demo.py", "stop"], cwd=CHECKOUT, env=shop.environment, check=True)
        shutil.rmtree(shop.root)


def copy_deployed(source: Path, target: Path) -> None:
    """Copy all that a deploy changes from one root to another, in place of what is there; virtualenvs are never changed.

    ``current`` and ``environment`` go first, for a link that leads nowhere is not found.
    """
    for pattern in DEPLOYED:
        for former in target.glob(pattern):
            former.unlink() if former.is_symlink() or former.is_file() else shutil.rmtree(former)
        for path in source.glob(pattern):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir() and not path.is_symlink():
                shutil.copytree(path, copy, symlinks=True)
            else:
                shutil.copy2(path, copy, follow_symlinks=False)


def free_ports(number: int) -> int:
    """Find the first of some neighbouring ports that nobody listens on, in a range of this test process's own."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for first in range(18081 + 5000 * worker, 23081 + 5000 * worker, number):
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


def interrupted(site: Shop, record: Path, number: signal.Signals) -> None:
    """Let all processes of a deploy's run get a signal when it migrates, and see that one more run goes on."""
    with site.visitors(record):
        run = site.start_playbook("deploy.yml", django_release_version="v2")
        wait_until(lambda: [entry.get("phase") for entry in site.journal()][-1] == "migrate", "it migrates")
        os.killpg(run.pid, number)
        output = "".join(run.communicate())
        assert run.returncode != 0, output
        unfinished = [entry["unfinished_deploy"] for entry in site.current_status()["hosts"]]
        assert [(entry["version"], entry["phase"]) for entry in unfinished] == [("v2", "migrate")] * len(unfinished)
        assert site.kinds() == {"maintenance"}
        again = site.deploy("v2")
        assert again.status == 0, again.output
    facts = site.verdict(record)
    assert (facts["unexpected"], set(facts["classes"])) == (0, {"app 1", "maintenance", "app 2"}), facts
    assert [entry["unfinished_deploy"] for entry in site.current_status()["hosts"]] == [None] * len(unfinished)
