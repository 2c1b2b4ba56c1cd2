"""Instructions and system calls for one request, counted: hardly another machine's mood can change them."""

import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import BrokenRunError
from benchmarks.server import PATIENCE
from benchmarks.site import Gate, Request, Site
from benchmarks.visitor import ask

SHORT, LONG = 200, 1_200  # requests
RUNS = 5  # of each length: a busy machine wakes Nginx up more often than need be, so that the least is taken
POLL = 0.01  # seconds


def instructions(site: Site, gate: Gate, request: Request) -> float:
    """Give the instructions that Nginx runs in user space for one request, counted by callgrind."""
    report = site.root / "callgrind.out"
    wrapper = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={report}"]
    return per_request(*(_least(callgrind_total, site, gate, request, many, wrapper, report) for many in (SHORT, LONG)))


def system_calls(site: Site, gate: Gate, request: Request) -> float:
    """Give the system calls of Nginx for one request, counted by strace.

    strace is not the parent of Nginx, which would keep Nginx's end from it, so that its report may come a little later.
    """
    report = site.root / "strace.out"
    wrapper = ["strace", "--daemonize", "--follow-forks", "--summary-only", f"--output={report}"]
    return per_request(*(_least(strace_total, site, gate, request, many, wrapper, report) for many in (SHORT, LONG)))


def per_request(short: int, long: int) -> float:
    """Give what one request adds: a long run's count less a short one's, which cancels the start and the end."""
    return (long - short) / (LONG - SHORT)


def callgrind_total(report: str) -> int:
    """Give the instructions of a whole run. Raises BrokenRunError where callgrind did not come to an end."""
    found = re.search(r"^totals: (\d+)$", report, re.MULTILINE)
    if found is None:
        raise BrokenRunError("callgrind wrote no total")
    return int(found[1])


def strace_total(report: str) -> int:
    """Give the system calls of a whole run. Raises BrokenRunError where strace did not come to an end."""
    found = re.search(r"^\s*100\.00\s+\S+\s+\S+\s+(\d+)(?:\s+\d+)?\s+total$", report, re.MULTILINE)
    if found is None:
        raise BrokenRunError("strace wrote no total")
    return int(found[1])


def _least(total_of: Callable[[str], int], *run: Any) -> int:
    return min(total_of(_run(*run)) for _ in range(RUNS))


def _run(site: Site, gate: Gate, request: Request, many: int, wrapper: Sequence[str], report: Path) -> str:
    """Start Nginx below a counter, ask, end Nginx, and give what the counter wrote."""
    report.unlink(missing_ok=True)
    with site.start("counted", gate, wrapper=wrapper) as server:
        ask(server, request, many, connections=1)
    deadline = time.monotonic() + PATIENCE
    while "total" not in (text := report.read_text() if report.exists() else ""):
        if time.monotonic() > deadline:
            break
        time.sleep(POLL)
    return text
