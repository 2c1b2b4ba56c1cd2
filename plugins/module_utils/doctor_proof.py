"""What the doctor proves over HTTP, without closing a site or changing anything."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Any, Optional
from urllib.parse import urljoin

from ansible_collections.intermission.django.plugins.module_utils.proof import (
    MAINTENANCE_MARK,
    Answer,
    ask,
    closed_fault,
    open_fault,
)
from ansible_collections.intermission.django.plugins.module_utils.state import SAFE_METHODS

CHALLENGE = "/.well-known/acme-challenge/intermission-doctor"
METHODS_OF_A_CLOSED_SITE = ("GET", "HEAD", "POST", "OPTIONS")
TRAP_OF_STATUS = {200: "N16", 301: "N7", 302: "N7", 401: "N13", 403: "N9", 404: "N9", 405: "N1", 413: "N17"}
INSPECT = "See what else the doctor found for this host, and docs/traps.md under that number."


def prove(
    url: str,
    host: str,
    closed: bool,
    uris: Sequence[str],
    timeout: float = 10.0,
    tls: Optional[ssl.SSLContext] = None,
    read_only: bool = False,
) -> list[dict[str, Any]]:
    """Ask a host as a visitor would, and give what is wrong, in the form of the doctor's findings.

    ``closed`` says whether the flag is there, ``uris`` which addresses have to be Nginx's own. A site that is closed is asked
    with POST too, and only so where the window is ``read_only``; one that is open is only read from.
    """

    def answer(path: str) -> Answer:
        return ask(urljoin(url, path), host, "GET", timeout, tls=tls)

    home = ask(url, host, "GET", timeout, tls=tls)
    if home.status == 0:
        return [finding("http", url, f"No answer: {home.error}", "Visitors get none either.", "Start Nginx.")]
    methods = [method for method in METHODS_OF_A_CLOSED_SITE if not read_only or method not in SAFE_METHODS]
    found = _closed(url, host, methods, timeout, tls) if closed else _open(url, home)
    for uri in uris:
        got = answer(uri)
        if got.status == 200 or (MAINTENANCE_MARK in got.body and not closed):
            found.append(
                finding(
                    "N18",
                    url,
                    f"{uri} can be asked for, and answers {got.status}",
                    "The pages have to be Nginx's own: asked for directly, they do not exist.",
                    "Look for a location or a cache in front that answers for it, and apply the role again.",
                )
            )
    if MAINTENANCE_MARK in answer(CHALLENGE).body:
        found.append(
            finding(
                "N24",
                url,
                f"{CHALLENGE} is answered with the maintenance page",
                "While the site is closed, certificates cannot be renewed.",
                "Apply the role again; its gate lets that path pass. A load balancer in front may close it as well.",
            )
        )
    return found


def finding(id_: str, url: str, what: str, why: str, fix: str, severity: str = "error") -> dict[str, Any]:
    """Make a finding that was proven at an address."""
    return {
        "id": id_,
        "severity": severity,
        "file": url,
        "line": None,
        "what": what,
        "why": why,
        "fix": fix,
    }


def _open(url: str, home: Answer) -> list[dict[str, Any]]:
    fault = open_fault(home)
    if fault is None:
        return []
    if MAINTENANCE_MARK in home.body:
        why = "There is no flag on this host: another host answers at this address, or a cache keeps the page."
        return [finding("N21", url, "The maintenance page is shown, and the site is open", why, "Empty the cache.")]
    what = fault[0].upper() + fault[1:]
    return [finding("http", url, what, "There is no flag: visitors get that.", "Look at the app and its log.")]


def _closed(
    url: str, host: str, methods: Sequence[str], timeout: float, tls: Optional[ssl.SSLContext]
) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for method in methods:
        got = ask(url, host, method, timeout, tls=tls)
        if method == "HEAD":
            got = Answer(got.status, got.headers, MAINTENANCE_MARK + b"</html>", got.error)
        fault = closed_fault(got)
        if fault is None:
            continue
        trap = "N5" if "Retry-After" in fault else TRAP_OF_STATUS.get(got.status, "http")
        found.setdefault(
            trap,
            finding(
                trap,
                url,
                f"The flag is there, and {method} is not closed: {fault}",
                "Visitors have to get 503 with the page, Retry-After and no-store, whatever they send.",
                INSPECT,
            ),
        )
    return list(found.values())
