"""The table of what visitors get: every method in every state, format and version of HTTP, and what is wrong with an answer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
STATES = ("planned", "app down", "read-only")
ACCEPT = {"html": "text/html,application/xhtml+xml,*/*;q=0.8", "json": "application/json", "text": "*/*"}
TYPES = {"html": "text/html; charset=utf-8", "json": "application/problem+json", "text": "text/plain; charset=utf-8"}
VERSIONS = ("HTTP/1.1", "HTTP/2")
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff", "x-robots-tag": "noindex"}
ABSENT = ("last-modified", "etag", "location", "expires", "set-cookie")


@dataclass(frozen=True)
class Cell:
    """One cell of the table: what is asked, and the state that the site is in."""

    state: str
    method: str
    format: str
    version: str

    @property
    def reaches_the_app(self) -> bool:
        return self.state == "read-only" and self.method in ("GET", "HEAD")

    @property
    def status(self) -> int:
        return 200 if self.reaches_the_app else 502 if self.state == "app down" else 503


def cells(state: str, versions: Iterable[str] = VERSIONS) -> list[Cell]:
    """List the cells of one state."""
    return [Cell(state, method, kind, version) for method in METHODS for kind in ACCEPT for version in versions]


def faults(cell: Cell, answer: httpx.Response, end: datetime, of_the_app: str) -> list[str]:
    """Say in which ways an answer is not the one that its cell has to have; ``of_the_app`` is in each page of the app's."""
    found = [f"{answer.http_version}"] if answer.http_version != cell.version else []
    if answer.status_code != cell.status:
        found.append(f"status {answer.status_code}, not {cell.status}")
    if cell.method == "HEAD" and answer.content:
        found.append("a body in answer to HEAD")
    if cell.reaches_the_app:
        if cell.method == "GET" and of_the_app not in answer.text:
            found.append("not the app's answer")
        return [f"{cell}: {fault}" for fault in found]
    retry_after = "30" if cell.state == "app down" else end.strftime("%a, %d %b %Y %H:%M:%S GMT")
    wanted = {
        **HEADERS,
        "retry-after": retry_after,
        "content-type": TYPES[cell.format],
        "vary": "Accept, Accept-Language",
    }
    found += [
        f"{name}: {answer.headers.get(name)}" for name, value in wanted.items() if answer.headers.get(name) != value
    ]
    found += [f"{name} is there" for name in ABSENT if name in answer.headers]
    if cell.method != "HEAD":
        found += body_faults(cell, answer)
    return [f"{cell}: {fault}" for fault in found]


def body_faults(cell: Cell, answer: httpx.Response) -> list[str]:
    """Say in which ways a body is not whole, or not the one of its state."""
    kind = "fallback" if cell.state == "app down" else "maintenance"
    if cell.format == "html":
        whole = answer.text.startswith("<!DOCTYPE html>") and answer.text.endswith("</html>\n")
        return [] if whole and f'data-intermission="{kind}"' in answer.text else ["not the whole page"]
    if cell.format == "json":
        problem = json.loads(answer.text)
        wanted = "Service Unavailable" if kind == "maintenance" else "Service Not Reachable"
        right = problem["title"] == wanted and problem.get("status", cell.status) == cell.status
        return [] if right and ("end" in problem) == (kind == "maintenance") else [f"problem details {problem}"]
    return (
        []
        if "<" not in answer.text and answer.text.endswith("\n") and len(answer.text) > 40
        else ["not the whole text"]
    )


def write_table(path: Path, answered: Iterable[tuple[Cell, httpx.Response]]) -> None:
    """Write what was answered, one line for each cell."""
    path.parent.mkdir(exist_ok=True)
    rows = [
        f"{cell.state:<10}{cell.method:<9}{cell.format:<5}{cell.version:<9}{answer.status_code:<4}"
        f"{answer.headers.get('retry-after', '-'):<30}{answer.headers.get('content-type', '-'):<26}{len(answer.content):>6} bytes"
        for cell, answer in answered
    ]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
