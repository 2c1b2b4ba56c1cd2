"""The Django middleware behind a real Nginx: the right client passes by address, and nobody else does, whatever it claims."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import pytest

from nginx.app import PATIENCE
from nginx.site import NGINX

CHECKOUT = Path(__file__).parents[2]
PASSES = "127.0.0.3"
STRANGER = "127.0.0.4"
CONFIGURATION = """\
{user}
daemon off;
pid nginx.pid;
error_log stderr;
events {{
    worker_connections 64;
}}
http {{
    access_log off;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    server {{
        listen 127.0.0.1:{port};
        location /unix/ {{
            proxy_pass http://unix:{socket}:/;
        }}
        location /tcp/ {{
            proxy_pass http://127.0.0.1:{app_port}/;
        }}
        location /silent/ {{
            proxy_set_header X-Forwarded-For "";
            proxy_pass http://unix:{socket}:/;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Ports:
    """Where Nginx and the app itself listen."""

    nginx: int
    app: int


@pytest.fixture(scope="module")
def ports() -> Iterator[Ports]:
    """Nginx in front of gunicorn, which listens on a unix socket and on a port."""
    root = Path(tempfile.mkdtemp(prefix="im-django-", dir="/tmp"))
    root.chmod(0o755)
    front, tcp = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(root / "app.sock"))
    (root / "app.sock").chmod(0o666)
    unix.listen()
    ports = Ports(front.getsockname()[1], tcp.getsockname()[1])
    user = "user nobody nogroup;" if os.geteuid() == 0 else ""
    configuration = CONFIGURATION.format(user=user, port=ports.nginx, socket=root / "app.sock", app_port=ports.app)
    (root / "nginx.conf").write_text(configuration)
    binds = [f"--bind=fd://{one.fileno()}" for one in (unix, tcp)]
    package = CHECKOUT / "roles/django_release/files/django-intermission"
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--log-level=warning", *binds, "nginx.django_app:application"],
            env={**os.environ, "PASSES": PASSES, "PYTHONPATH": f"{CHECKOUT / 'tests'}{os.pathsep}{package}"},
            pass_fds=[unix.fileno(), tcp.fileno()],
            cwd=root,
        ),
        subprocess.Popen(
            [NGINX, "-p", f"{root}/", "-c", f"{root}/nginx.conf"],
            env={**os.environ, "NGINX": f"{front.fileno()};"},
            pass_fds=[front.fileno()],
        ),
    ]
    for one in (front, tcp, unix):
        one.close()
    try:
        yield ports
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        shutil.rmtree(root)


def ask(port: int, path: str, source: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE, source_address=(source, 0))
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
        return response
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/unix/", "/tcp/"])
def test_the_right_client_passes(ports: Ports, path: str) -> None:
    assert ask(ports.nginx, path, PASSES, {}).status == 200
    assert ask(ports.nginx, path, PASSES, {"X-Forwarded-For": STRANGER}).status == 200


@pytest.mark.parametrize("path", ["/unix/", "/tcp/"])
@pytest.mark.parametrize("source", [STRANGER, "127.0.0.1"])
@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "X_Forwarded_For", "Forwarded", "Client-IP"])
@pytest.mark.parametrize(
    "claim", [None, PASSES, f"{PASSES}, 203.0.113.9", f"{PASSES}, unknown", f"203.0.113.9, {PASSES},", f"for={PASSES}"]
)
def test_nobody_else_passes(ports: Ports, path: str, source: str, header: str, claim: Optional[str]) -> None:
    if source == "127.0.0.1" and header == "X-Forwarded-For" and claim == PASSES:
        pytest.skip("this client is a trusted proxy by its address")
    response = ask(ports.nginx, path, source, {header: claim} if claim else {})
    assert (response.status, response.headers["Retry-After"]) == (503, "300")


def test_a_proxy_that_says_nothing(ports: Ports) -> None:
    assert ask(ports.nginx, "/silent/", PASSES, {"X-Forwarded-For": PASSES}).status == 503


def test_past_the_proxy(ports: Ports) -> None:
    assert ask(ports.app, "/", STRANGER, {"X-Forwarded-For": PASSES}).status == 503
    assert ask(ports.app, "/", PASSES, {}).status == 200
