"""What a web host answers, seen as a visitor sees it: closed by the gate, open, or neither."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import lru_cache, partial
from typing import Optional
from urllib.parse import SplitResult, urlsplit

MAINTENANCE_MARK = b'data-intermission="maintenance"'
BY_THE_APP = ("x-intermission", "maintenance")  # A header: its page may be anybody's
FALLBACK_MARK = b'data-intermission="fallback"'
POLL_SECONDS = 0.1
NOT_TRUSTED = "its certificate is not trusted"
# The first that fits is said. http.client's RemoteDisconnected is a ConnectionResetError, and a BadStatusLine too.
SAID_OF = (
    (ConnectionRefusedError, "nobody listens there (connection refused)"),
    (ConnectionResetError, "the connection was closed without an answer"),
    (socket.timeout, "no answer in time"),
    (TimeoutError, "no answer in time"),
    (socket.gaierror, "its name is not known"),
    (FileNotFoundError, "there is no such socket"),
    (http.client.BadStatusLine, "what answers there does not speak HTTP"),
    (http.client.IncompleteRead, "the answer broke off"),
)


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; ``status`` is 0 where none came, and ``error`` then says why."""

    status: int
    headers: dict[str, str]
    body: bytes
    error: str = ""


class TlsConnection(http.client.HTTPConnection):
    """HTTPS to one address, as a visitor of a name would speak it who was sent to that address."""

    default_port = http.client.HTTPS_PORT

    def __init__(self, address: str, name: str, tls: ssl.SSLContext, timeout: float) -> None:
        """Name the address to connect to, and the site that has to be there; ``timeout`` is in seconds."""
        super().__init__(address, timeout=timeout)
        self.name = name
        self.tls = tls

    def connect(self) -> None:
        """Connect and prove the site's name. Raises OSError."""
        super().connect()
        self.sock = self.tls.wrap_socket(self.sock, server_hostname=self.name)


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


@lru_cache
def tls_context(validate: bool = True, ca: str = "") -> ssl.SSLContext:
    """Say which certificates are trusted: those of a CA bundle, or the system's where none is named, or any.

    Raises OSError where the bundle is not there or has no certificate.
    """
    context = ssl.create_default_context(cafile=ca or None)
    if not validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def ask(
    url: str,
    host: str,
    method: str = "GET",
    timeout: float = 10.0,
    unix_socket: Optional[str] = None,
    tls: Optional[ssl.SSLContext] = None,
) -> Answer:
    """Send one request on a connection of its own and give what came back; an error is an answer too, never raised.

    ``host`` is the Host header, and the name that the certificate of an https URL has to be for; ``timeout`` is in
    seconds. With ``unix_socket`` the URL's address is not used, and its scheme is told as Nginx tells it to the app.
    """
    try:
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        body = b"" if method == "POST" else None
        headers = {
            "Host": host,
            "User-Agent": "intermission-proof",
            "Accept": "text/html",
            "X-Intermission-Visitor": "1",
        }
        if unix_socket:
            headers["X-Forwarded-Proto"] = parts.scheme
        with contextlib.closing(_connection(parts, host, timeout, unix_socket, tls)) as connection:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            answered = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, answered, response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(0, {}, b"", said_of(error))


def said_of(error: Exception) -> str:
    """Say in words why no answer came; an error that is not usual is given as it is, with its name."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"{NOT_TRUSTED}: {error.verify_message}"
    for kind, words in SAID_OF:
        if isinstance(error, kind):
            return words
    if type(error) is OSError and error.strerror:  # pylint: disable=unidiomatic-typecheck
        return error.strerror
    return f"{type(error).__name__}: {error}"


def _connection(
    parts: SplitResult, host: str, timeout: float, unix_socket: Optional[str], tls: Optional[ssl.SSLContext]
) -> http.client.HTTPConnection:
    if unix_socket:
        return UnixConnection(unix_socket, timeout)
    if parts.scheme == "https":
        return TlsConnection(parts.netloc, host, tls or tls_context(), timeout)
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


def is_by_the_app(answer: Answer) -> bool:
    """Tell whether it is the maintenance answer of the app's own middleware."""
    name, value = BY_THE_APP
    return answer.headers.get(name) == value


def closed_fault(answer: Answer, ours: bool = True) -> Optional[str]:
    """Say in which way an answer is not the complete maintenance answer, or None where it is.

    One that is not ``ours`` is of django-maintenance-mode, of which nothing but the status is known.
    """
    if is_by_the_app(answer):
        right = answer.status == 503 or 300 <= answer.status < 400
        return None if right else f"answered {answer.status}, not 503"
    if not ours:
        right = answer.status == 503 and FALLBACK_MARK not in answer.body
        return None if right else answer.error or f"answered {answer.status}, and not with the app's 503"
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
    if is_by_the_app(answer):
        return (
            "the app still closes the site by itself: where MAINTENANCE_MODE does so, open it with "
            "-e maintenance_window_mechanism=setting"
        )
    if MAINTENANCE_MARK in answer.body:
        return "still answers with the maintenance page"
    if FALLBACK_MARK in answer.body:
        return f"the gate is open, but the app cannot be reached ({answer.status})"
    if answer.status >= 500:
        return f"answered {answer.status}"
    return None


def shared_fault(answer: Answer) -> Optional[str]:
    """Say in which way an answer is neither the complete maintenance answer nor the app's own, or None where it is one of them."""
    return closed_fault(answer) if MAINTENANCE_MARK in answer.body else open_fault(answer)


def prove(
    expected: str,
    url: str,
    host: str,
    methods: Sequence[str],
    seconds: float,
    timeout: float = 10.0,
    tls: Optional[ssl.SSLContext] = None,
    ours: bool = True,
) -> dict[str, Optional[str]]:
    """Ask with each method until the site is ``closed``, ``open`` or either of them (``shared``) as expected, or the seconds are over.

    Gives the fault that stood last per method, None for each that is proven. ``ours`` is as in ``closed_fault``.
    """
    fault_of: Callable[[Answer], Optional[str]] = partial(closed_fault, ours=ours)
    if expected != "closed":
        fault_of = open_fault if expected == "open" else shared_fault
    deadline = time.monotonic() + seconds
    faults: dict[str, Optional[str]] = dict.fromkeys(methods, "not asked")
    while True:
        for method in [method for method, fault in faults.items() if fault is not None]:
            faults[method] = fault_of(ask(url, host, method, timeout, tls=tls))
        if not any(faults.values()) or time.monotonic() >= deadline:
            return faults
        time.sleep(POLL_SECONDS)


def observe(url: str, host: str, timeout: float = 10.0, tls: Optional[ssl.SSLContext] = None) -> str:
    """Tell in a word or two what a visitor gets just now: ``closed``, ``closed by the app``, ``open``, or what is wrong."""
    answer = ask(url, host, "GET", timeout, tls=tls)
    if is_by_the_app(answer):
        return "closed by the app"
    if closed_fault(answer) is None:
        return "closed"
    return open_fault(answer) or "open"
