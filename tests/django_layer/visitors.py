"""Visitors of the site, through Django's own WSGI and ASGI handlers."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional
from urllib.parse import unquote_to_bytes

from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpHeaders

PEER = "198.51.100.9"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: str

    def __getitem__(self, header: str) -> str:
        return self.headers[header.lower()]

    def __contains__(self, header: str) -> bool:
        return header.lower() in self.headers


Visit = Callable[..., Answer]


def over_wsgi(path: str = "/", method: str = "GET", peer: Optional[str] = PEER, **headers: str) -> Answer:
    """Ask as gunicorn would hand it on; no peer is a unix socket. A header is named as in ``X_Forwarded_For``."""
    before, _, query = path.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(before).decode("latin-1"),
        "QUERY_STRING": query,
        "REMOTE_ADDR": peer or "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        **{f"{HttpHeaders.HTTP_PREFIX}{name.upper()}": value for name, value in headers.items()},
    }
    begun: list[Any] = []
    handler: Any = WSGIHandler()
    response = handler(environ, lambda status, head: begun.extend((status, head)))
    body = b"".join(response).decode()
    response.close()
    return Answer(int(begun[0].split()[0]), {name.lower(): value for name, value in begun[1]}, body)


def over_asgi(path: str = "/", method: str = "GET", peer: Optional[str] = PEER, **headers: str) -> Answer:
    """Ask as uvicorn would hand it on."""
    return async_to_sync(ask_asgi)(path, method, peer, headers)


async def ask_asgi(path: str, method: str, peer: Optional[str], headers: dict[str, str]) -> Answer:
    """Ask the ASGI handler."""
    before, _, query = path.partition("?")
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(before).decode(),
        "query_string": query.encode(),
        "headers": [
            (name.lower().replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()
        ],
        "client": [peer, 0] if peer else None,
        "server": ("testserver", 80),
    }
    events: list[Any] = []
    requests = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return requests.pop() if requests else await asyncio.Event().wait()

    async def send(event: Any) -> None:
        events.append(event)

    await ASGIHandler()(scope, receive, send)
    head = {name.decode().lower(): value.decode() for name, value in events[0]["headers"]}
    return Answer(events[0]["status"], head, b"".join(event.get("body", b"") for event in events).decode())
