"""A stand-in for the app: HTTP on a unix socket, one request on each connection."""

import http.client
import threading
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer

PATIENCE = 10.0


class App(ThreadingUnixStreamServer):
    """Answers by path: ``/status/<code>`` with that code, ``/crash`` not at all, ``/slow`` with ``slow_status`` after ``go_on``."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        """Listen, in a thread of its own; Nginx's workers may be of another user."""
        self.path = path
        self.requests: list[str] = []
        self.headers: list[http.client.HTTPMessage] = []
        self.entered = threading.Event()
        self.go_on = threading.Event()
        self.slow_status = 200
        super().__init__(str(path), _Handler)
        path.chmod(0o666)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def die(self, leave_socket: bool = False) -> None:
        """Stop listening, as a process that was killed (its socket stays) or one that was stopped."""
        self.go_on.set()
        self.shutdown()
        self.server_close()
        if not leave_socket:
            self.path.unlink(missing_ok=True)


class _Handler(StreamRequestHandler):
    server: App

    def handle(self) -> None:
        method, path, _version = self.rfile.readline().decode().split()
        headers = http.client.parse_headers(self.rfile)
        self.rfile.read(int(headers.get("Content-Length", "0")))
        self.server.headers.append(headers)
        self.server.requests.append(f"{method} {path}")
        if path == "/crash":
            return
        if path == "/slow":
            self.server.entered.set()
            self.server.go_on.wait(PATIENCE)
        slow = self.server.slow_status if path == "/slow" else 200
        status = int(path.removeprefix("/status/")) if path.startswith("/status/") else slow
        self.answer(method, status, f"the app's own {status}: {method} {path}".encode())

    def answer(self, method: str, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} Some\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
        end = "Retry-After: 7\r\nConnection: close\r\n\r\n"
        self.wfile.write((head + end).encode() + (b"" if method == "HEAD" else body))
