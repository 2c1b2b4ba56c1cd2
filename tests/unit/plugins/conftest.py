"""What the tests of the plugins share: a state directory, a full disk, a server, and modules run in this process."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pwd
import re
import resource
import shutil
import socketserver
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.intermission.django.plugins.module_utils import migrations
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory

import forked_ansible
from certificates import Authority
from django_project import First, Project

TEMPLATES = {
    "503.en.html.template": "<p>%%reason%%</p>\n<p>%%message%%</p>\n<p>%%start%%</p>\n<p>%%end%%|%%end_text%%</p>\n</html>\n",
    "503.de.html.template": "<p>Grund: %%reason%%</p>\n</html>\n",
    "503.json.template": '{\n  "reason": "%%reason%%",\n  "end": "%%end%%",\n  "status": 503\n}\n',
    "503.txt.template": "Closed\n%%reason%%\n",
}
PAGE = b'<html data-intermission="maintenance"><p>Back soon</p></html>\n'


class RunModule(Protocol):
    def __call__(self, name: str, arguments: dict[str, Any], check: bool = False) -> dict[str, Any]: ...


@pytest.fixture
def run_module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunModule:
    """Run a module's main() and give what it returns to Ansible."""

    def run(name: str, arguments: dict[str, Any], check: bool = False) -> dict[str, Any]:
        module = importlib.import_module(f"ansible_collections.intermission.django.plugins.modules.{name}")
        output = io.StringIO()
        internal = {"_ansible_check_mode": check, "_ansible_remote_tmp": str(tmp_path)}
        with (
            patch_module_args({**arguments, **internal}),
            contextlib.redirect_stdout(output),
            pytest.raises(SystemExit) as ended,
        ):
            module.main()
        result: dict[str, Any] = json.loads(output.getvalue())
        assert ended.value.code == (1 if result.get("failed") else 0)
        result.pop("invocation", None)
        return {"changed": False, **result}  # Ansible takes it for unchanged where nothing is said

    return run


@pytest.fixture
def site(tmp_path: Path) -> StateDirectory:
    """A state directory as the role maintenance_page leaves it."""
    directory = StateDirectory(str(tmp_path / "state"), "shop")
    directory.windows.mkdir(parents=True)
    directory.pages.mkdir()
    for name, template in TEMPLATES.items():
        (directory.pages / name).write_text(template)
    return directory


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A directory with a short path that every user may traverse, unlike tmp_path."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certificate authority that nobody knows yet."""
    return Authority(tmp_path)


@pytest.fixture
def other_user() -> str:
    """A user who is not let in by mode 0700: nobody where root runs the tests, else who runs them."""
    return "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name


@contextlib.contextmanager
def _full_disk(size: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.fixture
def full_disk() -> Callable[[int], AbstractContextManager[None]]:
    """Let no file grow beyond a size, so that writing fails halfway as it does on a full disk."""
    return _full_disk


class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Answers each request with the next of the given bytes, the last one again and again, and hangs up.

    With a certificate and its key it speaks TLS, and notes the names that were asked for.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answers: tuple[bytes, ...], address: Any, certificate: tuple[Path, Path] | None = None) -> None:
        self.answers = list(answers)
        self.requests: list[str] = []
        self.names: list[str | None] = []
        self.scheme = "https" if certificate else "http"
        super().__init__(address, _Handler)
        if certificate:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*certificate)
            tls.sni_callback = lambda _socket, name, _context: self.names.append(name)
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}/"


class UnixServer(Server):
    address_family = socketserver.UnixStreamServer.address_family


class _Handler(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        head = "".join(line.decode() for line in iter(self.rfile.readline, b"\r\n") if line)
        self.server.requests.append(head)
        answers = self.server.answers
        self.wfile.write(answers.pop(0) if len(answers) > 1 else answers[0])


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers on TCP, with TLS or not, or on a unix socket where a path is given; they end with the test."""
    servers: list[Server] = []

    def start(*answers: bytes, unix_socket: Path | None = None, certificate: tuple[Path, Path] | None = None) -> Server:
        if unix_socket:
            server: Server = UnixServer(answers, str(unix_socket))
        else:
            server = Server(answers, ("127.0.0.1", 0), certificate)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def http() -> Callable[..., bytes]:
    """Write an HTTP answer; ``length`` is announced instead of the body's own."""

    def answer(status: int, body: bytes = b"", length: int | None = None, **headers: str) -> bytes:
        announced = len(body) if length is None else length
        lines = [f"HTTP/1.1 {status} Any", "Connection: close", f"Content-Length: {announced}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode() + body

    return answer


@pytest.fixture
def closed_answer(http: Callable[..., bytes]) -> bytes:
    """The complete maintenance answer."""
    return http(503, PAGE, Retry_After="300", Cache_Control="no-store")


def _playbook(folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(text: str, *options: str, inventory: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        playbook, hosts = folder / "playbook.yml", folder / "hosts.yml"
        playbook.write_text(text)
        hosts.write_text(inventory)
        arguments = ["-i", str(hosts) if inventory else "localhost,", str(playbook), *options]
        arguments += ["-e", "ansible_python_interpreter={{ ansible_playbook_python }}"]
        return forked_ansible.run("ansible-playbook", *arguments, cwd=folder, variables=variables)

    return run


@pytest.fixture
def ansible_playbook(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a playbook that is a text, with ``variables`` of the environment.

    The ``inventory`` is a text; without it there is localhost alone.
    """
    return _playbook(tmp_path)


@pytest.fixture(scope="session")
def shared_playbook(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Do so for tests that share a run."""
    return _playbook(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="session")
def ansible_plays(
    shared_playbook: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[[Mapping[str, str]], dict[str, str]]:
    """Run plays by name in one playbook, which is much cheaper than one for each; gives what each has printed."""

    def run(plays: Mapping[str, str]) -> dict[str, str]:
        texts = [text.replace("- hosts:", f"- name: {json.dumps(name)}\n  hosts:") for name, text in plays.items()]
        ran = shared_playbook("\n".join(texts))
        assert ran.returncode == 0, ran.stdout + ran.stderr
        _, *parts = re.split(r"^PLAY \[(.*)\] \**$", ran.stdout, flags=re.MULTILINE)
        return dict(zip(parts[::2], parts[1::2], strict=True))

    return run


@pytest.fixture(scope="session", autouse=True)
def measured_program() -> Iterator[None]:
    """Under coverage, which knows code by its file, name the files of what is fed to the site's Python."""
    with pytest.MonkeyPatch.context() as patch:
        if "COVERAGE_PROCESS_CONFIG" in os.environ:
            path = f"{Path(migrations.__file__).resolve().parent}/' + name.rpartition('.')[2] + '.py"
            patch.setattr(migrations, "PROGRAM", migrations.PROGRAM.replace("source, name,", f"source, '{path}',"))
        yield


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> First:
    """Migrate once, for all tests to copy."""
    project = Project(tmp_path_factory.mktemp("migrated"))
    return First(project.database, project.ask(), project.migrate(backup_directory=None))


@pytest.fixture
def migrated(project: Project, first: First) -> Project:
    """The project with its first migrations applied."""
    shutil.copy(first.database, project.database)
    return project
