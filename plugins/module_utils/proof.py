"""What a web host answers, seen as a visitor sees it: closed by the gate, open, or neither."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Optional
from urllib.parse import SplitResult, urlsplit

MAINTENANCE_MARK = b'data-intermission="maintenance"'
FALLBACK_MARK = b'data-intermission="fallback"'
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; ``status`` is 0 where none came, and ``error`` then says why."""

    status: int
    headers: dict[str, str]
    body: bytes
    error: str = ""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket: what Nginx speaks to the app, without Nginx."""

    def __init__(self, path: str, timeout: float) -> None:
        """Name the socket; ``timeout`` is in seconds."""
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        """Connect to the socket. Raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def ask(
    url: str,
    host: str,
    method: str = "GET",
    timeout: float = 10.0,
    unix_socket: Optional[str] = None,
) -> Answer:
    """Send one request on a connection of its own and give what came back; an error is an answer too, never raised.

    ``host`` is the Host header; ``timeout`` is in seconds; with ``unix_socket`` the URL's address is not used.
    """
    try:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        body = b"" if method == "POST" else None
        with contextlib.closing(_connection(parts, timeout, unix_socket)) as connection:
            connection.request(method, path, body=body, headers={"Host": host, "User-Agent": "intermission-proof"})
            response = connection.getresponse()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, headers, response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(0, {}, b"", f"{type(error).__name__}: {error}")


def _connection(parts: SplitResult, timeout: float, unix_socket: Optional[str]) -> http.client.HTTPConnection:
    if unix_socket:
        return UnixConnection(unix_socket, timeout)
    if parts.scheme == "https":
        return http.client.HTTPSConnection(parts.netloc, timeout=timeout)
    return http.client.HTTPConnection(parts.netloc, timeout=timeout)


def retry_after_fault(value: Optional[str]) -> Optional[str]:
    """Say what is wrong with a Retry-After header (RFC 9110, 10.2.3), or None where it is right.

    A date that has passed is none: the window is overdue, and closed all the same.
    """
    if not value:
        return "no Retry-After"
    if re.fullmatch(r"\d+", value):
        return None
    try:
        parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return f"Retry-After '{value}' is neither seconds nor a date"
    return None


def closed_fault(answer: Answer) -> Optional[str]:
    """Say in which way an answer is not the complete maintenance answer, or None where it is."""
    if answer.status != 503:
        return answer.error or f"answered {answer.status}, not 503"
    if MAINTENANCE_MARK not in answer.body:
        return "answered 503 without the maintenance page"
    if not answer.body.rstrip().endswith(b"</html>"):
        return "answered 503 with half a page"
    if "no-store" not in answer.headers.get("cache-control", ""):
        return "answered 503 without Cache-Control: no-store"
    return retry_after_fault(answer.headers.get("retry-after"))


def open_fault(answer: Answer) -> Optional[str]:
    """Say in which way an answer is not the app's own, or None where it is.

    The app's own errors count as its answer, except those above 499 on a page that is meant to work.
    """
    if answer.status == 0:
        return answer.error
    if MAINTENANCE_MARK in answer.body:
        return "still answers with the maintenance page"
    if FALLBACK_MARK in answer.body:
        return f"the gate is open, but the app cannot be reached ({answer.status})"
    if answer.status >= 500:
        return f"answered {answer.status}"
    return None


def prove(
    expected: str, url: str, host: str, methods: Sequence[str], seconds: float, timeout: float = 10.0
) -> dict[str, Optional[str]]:
    """Ask with each method until the site is ``closed`` or ``open`` as expected, or the seconds are over.

    Gives the fault that stood last per method, None for each that is proven.
    """
    fault_of = closed_fault if expected == "closed" else open_fault
    deadline = time.monotonic() + seconds
    faults: dict[str, Optional[str]] = dict.fromkeys(methods, "not asked")
    while True:
        for method in [method for method, fault in faults.items() if fault is not None]:
            faults[method] = fault_of(ask(url, host, method, timeout))
        if not any(faults.values()) or time.monotonic() >= deadline:
            return faults
        time.sleep(POLL_SECONDS)


def observe(url: str, host: str, timeout: float = 10.0) -> str:
    """Tell in a word or two what a visitor gets just now: ``closed``, ``open``, or what is wrong."""
    answer = ask(url, host, "GET", timeout)
    if closed_fault(answer) is None:
        return "closed"
    return open_fault(answer) or "open"
