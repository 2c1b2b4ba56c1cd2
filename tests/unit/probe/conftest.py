"""A server on 127.0.0.1 that answers as badly as asked, and records to report on."""

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

from probe.record import Answer, Run, open_answers, write_answer, write_run

Respond = Callable[[socket.socket, int], None]

_BEGIN = 1_700_000_000.0


class Server(ThreadingTCPServer):
    """Hands the connection and the number of the request on it (from 0) to ``respond``.

    ``requests`` has what was asked, heads with bodies.
    """

    daemon_threads = True

    def __init__(self, respond: Respond) -> None:
        """Listen on a free port."""
        self.respond = respond
        self.requests: list[str] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        number = 0
        # A responder that closed the connection for good leaves nothing to read from.
        while self.connection.fileno() >= 0 and (request := self._read_request()):
            self.server.requests.append(request)
            self.server.respond(self.connection, number)
            number += 1

    def _read_request(self) -> str:
        lines = []
        while (line := self.rfile.readline()).strip():
            lines.append(line.decode().strip())
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        body = self.rfile.read(int(fields.get("content-length", 0)))
        return "\n".join([*lines, body.decode()])


@pytest.fixture
def serve() -> Iterator[Callable[[Respond], Server]]:
    """Start servers; they end with the test."""
    servers: list[Server] = []

    def start(respond: Respond) -> Server:
        server = Server(respond)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def answer() -> Callable[..., Answer]:
    """Make answers to requests that started ``second`` seconds into the run."""

    def make(second: float, kind: str, node: str = "web1", latency: float = 0.01) -> Answer:
        version = kind.removeprefix("app ") if kind.startswith("app ") and kind != "app error" else ""
        start = _BEGIN + second
        return Answer(0, node, "GET", "/", start, start + latency, 200, kind, version, "new", "", "")

    return make


@pytest.fixture
def finished() -> Run:
    """Describe a finished run over web1 and web2."""
    urls = {"web1": "http://127.0.0.1:1", "web2": "http://127.0.0.1:2"}
    run = Run("0a1b2c3d", _BEGIN, urls, "shop.example", 20, 60, 40, ["GET /"])
    return run.finished(_BEGIN + 60, 10, 0.002, 0.5)


@pytest.fixture
def record(tmp_path: Path, finished: Run) -> Callable[..., Path]:
    """Write a record with the given answers and return its directory."""

    def write(*answers: Answer) -> Path:
        directory = tmp_path / "record"
        directory.mkdir()
        write_run(directory, finished)
        with open_answers(directory) as file:
            for one in answers:
                write_answer(file, one)
        return directory

    return write
