"""What a request costs Nginx, in CPU time, against another request."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.server import Server
from benchmarks.site import Request
from benchmarks.visitor import ask

ROUNDS = 150
REQUESTS = 200  # in each round, of each kind: few, so that both kinds meet the same mood of the machine
WARM_UP = 1_000  # requests
SETTLE = 0.003  # seconds


@dataclass(frozen=True)
class Kind:
    """A kind of request, and the server that it goes to."""

    server: Server
    request: Request

    def cpu_time(self) -> float:
        """Send requests and give the microseconds of CPU time that Nginx spent on each."""
        before = self.server.cpu_time()
        ask(self.server, self.request, REQUESTS)
        time.sleep(SETTLE)
        return (self.server.cpu_time() - before) / REQUESTS / 1000


@contextmanager
def separated(measured: Sequence[Server], others: Sequence[Server]) -> Iterator[None]:
    """Give the measured servers a CPU of their own, and this process and the other servers the rest, if there is one.

    The scheduler would otherwise put one server beside a busy neighbour more often than the other, for seconds on end. Afterwards
    this process has all of them again: what it starts would be kept off them too.
    """
    every = os.sched_getaffinity(0)
    *rest, own = sorted(every)
    if rest:
        for server in measured:
            os.sched_setaffinity(server.process.pid, [own])
        for process in (0, *(server.process.pid for server in others)):
            os.sched_setaffinity(process, rest)
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def compare(kind: Kind, other: Kind) -> list[tuple[float, float]]:
    """Take turns between two kinds of request; give each round's microseconds of CPU time for one of either."""
    for each in (kind, other):
        ask(each.server, each.request, WARM_UP)
    return [(kind.cpu_time(), other.cpu_time()) for _ in range(ROUNDS)]
