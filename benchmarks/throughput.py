"""Answers per second, asked for by wrk: they swing with the machine, so that two kinds of request take turns."""

import re
import subprocess

from benchmarks import BrokenRunError
from benchmarks.server import Server
from benchmarks.site import HEADERS, Request

ROUNDS = 7
SECONDS = 1  # of each round, for each kind
CONNECTIONS = 8


def take_turns(first: tuple[Server, Request], second: tuple[Server, Request]) -> list[tuple[float, float]]:
    """Give each round's answers per second of either kind."""
    return [(rate(*first), rate(*second)) for _ in range(ROUNDS)]


def rate(server: Server, request: Request) -> float:
    """Let wrk ask and give the answers per second. Raises BrokenRunError where an answer was not the expected one."""
    headers = [word for name, value in HEADERS.items() for word in ("--header", f"{name}: {value}")]
    url = f"http://127.0.0.1:{server.ports[request.port]}{request.path}"
    command = ["wrk", "--threads=1", f"--connections={CONNECTIONS}", f"--duration={SECONDS}s", *headers, url]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return answers_per_second(said, failing=request.status >= 400)


def answers_per_second(said: str, failing: bool) -> float:
    """Read what wrk says. Raises BrokenRunError where not all answers were failing ones (4xx, 5xx), or any was."""
    rates = re.search(r"^Requests/sec:\s+([\d.]+)$", said, re.MULTILINE)
    requests = re.search(r"^\s*(\d+) requests in ", said, re.MULTILINE)
    failed = re.search(r"^\s*Non-2xx or 3xx responses: (\d+)$", said, re.MULTILINE)
    if rates is None or requests is None or "Socket errors" in said:
        raise BrokenRunError(f"wrk could not ask: {said}")
    if int(failed[1] if failed else 0) != (int(requests[1]) if failing else 0):
        raise BrokenRunError(f"wrk was answered otherwise than expected: {said}")
    return float(rates[1])
