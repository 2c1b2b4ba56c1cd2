"""Visitors who ask over connections that they keep."""

import socket
from contextlib import ExitStack
from types import TracebackType
from typing import Optional

from benchmarks import BrokenRunError
from benchmarks.server import PATIENCE, Server
from benchmarks.site import HEADERS, Request


class Visitor:
    """One connection that sends the same request again and again."""

    def __init__(self, port: int, path: str) -> None:
        """Connect to a server on this machine."""
        headers = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        self.request = f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode()
        self.connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> "Visitor":
        """Give the connected visitor."""
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """Hang up."""
        self.connection.close()

    def send(self) -> None:
        """Send the request."""
        self.connection.sendall(self.request)

    def receive(self) -> int:
        """Read the whole answer and give its status."""
        received = self.read()
        while b"\r\n\r\n" not in received:
            received += self.read()
        head, _, body = received.partition(b"\r\n\r\n")
        missing = int(head.partition(b"\r\nContent-Length: ")[2].partition(b"\r\n")[0]) - len(body)
        while missing > 0:
            missing -= len(self.read())
        return int(head[9:12])

    def read(self) -> bytes:
        """Read what is there."""
        received = self.connection.recv(65536)
        if not received:
            raise BrokenRunError("Nginx closed the connection")
        return received


def ask(server: Server, request: Request, many: int, connections: int = 8) -> None:
    """Send a request many times, one at a time on each connection. Raises BrokenRunError for another status."""
    with ExitStack() as stack:
        port = server.ports[request.port]
        visitors = [stack.enter_context(Visitor(port, request.path)) for _ in range(connections)]
        for _ in range(many // connections):
            for visitor in visitors:
                visitor.send()
            for visitor in visitors:
                status = visitor.receive()
                if status != request.status:
                    raise BrokenRunError(f"{request.path} was answered {status} and not {request.status}")
