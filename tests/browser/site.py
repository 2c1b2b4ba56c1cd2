"""A site that is closed or open, as a browser finds it: the role's pages with their Content-Security-Policy, or an app."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.filter.csp import csp
from ansible_collections.intermission.django.plugins.module_utils.state import Window, fill_page

from nginx.rendering import render

PATIENCE = 10
START, END = "2026-12-01T01:00:00Z", "2026-12-01T02:00:00Z"
WINDOW = Window("w1", "shop", START, END, "New <disks>", "Your orders & your basket are safe.\nThank you!")
APP = "<!DOCTYPE html><html lang=en><title>The shop</title><link rel=icon href=data:,><h1>{method} {path}</h1>{form}"
FORM = "<form method=post action='{action}'><input name=tea value=green><button>Order</button></form>"
INVENTORY = {
    "intermission_site": "shop",
    "intermission_server_names": ["shop.example"],
    "intermission_state_root": "/var/lib/intermission",
    "maintenance_page_name": "The Tea Shop",
}


@dataclass(frozen=True)
class Pages:
    """What the role makes of some variables: pages by the name of their file, and the policy that fits them all."""

    files: dict[str, str]
    policy: str

    def page(self, kind: str, language: str, window: Window = WINDOW) -> str:
        """Give the page of a ``window``, a ``read-only`` one, of a flag set by hand (``503``) or of an accident (``50x``)."""
        if kind in ("window", "read-only"):
            name = f"503.{language}.html"
            return fill_page(self.files[f"{name}.template"], name, replace(window, read_only=kind == "read-only"))
        return self.files[f"{kind}.{language}.html"]


def make_pages(**inventory: Any) -> Pages:
    """Render the role's pages."""
    files = {path.rpartition("/")[2]: page for path, page in render({**INVENTORY, **inventory}).pages.items()}
    return Pages(files, csp(page for name, page in files.items() if ".html" in name))


@cache
def default_pages() -> Pages:
    """Render the role's pages with its defaults, once."""
    return make_pages()


@dataclass
class Site:
    """A server on this machine; ``closed_with`` is the status and the page that all get, or None while it is open.

    Where it is ``read_only``, GET and HEAD are answered by the app all the same.
    """

    policy: str = ""
    closed_with: Optional[tuple[int, str]] = None
    read_only: bool = False
    head_status: Optional[int] = None
    moved_to: Optional[str] = None
    form_to: str = "/orders/new/?tea=green"
    requests: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Start to listen."""
        site = self
        self.news = threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with site.news:
                    site.requests.append((self.command, self.path))
                    site.news.notify_all()
                status, headers, body = site.answer(self.command, self.path)
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body.encode()))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body.encode())

            do_GET = do_HEAD = do_POST = answer

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, method: str, path: str) -> tuple[int, dict[str, str], str]:
        """Say what a request gets: status, headers, body."""
        headers = {"Content-Type": "text/html; charset=utf-8", "Cache-Control": "no-store"}
        if method == "HEAD" and self.head_status is not None:
            return self.head_status, headers, ""
        if self.closed_with is not None and not (self.read_only and method in ("GET", "HEAD")):
            status, page = self.closed_with
            return status, {**headers, "Retry-After": "300", "Content-Security-Policy": self.policy}, page
        if self.moved_to is not None and path != self.moved_to:
            return 302, {**headers, "Location": self.moved_to}, ""
        return 200, headers, APP.format(method=method, path=path, form=FORM.format(action=self.form_to))

    def close(self, pages: Pages, kind: str = "window", language: str = "en", status: int = 503) -> None:
        """Close the site to visitors."""
        self.policy = pages.policy
        self.closed_with = (status, pages.page(kind, language))
        self.read_only = kind == "read-only"

    def open(self) -> None:
        """Let visitors in again."""
        self.closed_with = None

    def wait_for_asks(self, count: int) -> None:
        """Wait until so many have asked, in all, whether the site is back."""
        with self.news:
            assert self.news.wait_for(lambda: self.asks() >= count, PATIENCE), self.requests

    def asks(self) -> int:
        """Count the requests that asked whether the site is back."""
        return sum(method == "HEAD" for method, _ in self.requests)

    def stop(self) -> None:
        """End the server."""
        self.server.shutdown()
        self.server.server_close()
