"""Who is still connected to a unix socket, as the kernel counts it (proc(5), /proc/net/unix)."""

from __future__ import annotations

import time
from pathlib import Path

ACCEPTS_CONNECTIONS = 0x10000
POLL_SECONDS = 0.05


def connections(path: str, table: str = "/proc/net/unix") -> int:
    """Count the connections to a listening unix socket, accepted ones and those that wait to be."""
    count = 0
    for row in Path(table).read_text(encoding="utf-8", errors="replace").splitlines()[1:]:
        fields = row.split(maxsplit=7)
        if len(fields) == 8 and fields[7] == path and not int(fields[3], 16) & ACCEPTS_CONNECTIONS:
            count += 1
    return count


def wait_until_drained(path: str, seconds: float) -> int:
    """Wait until nobody is connected to the socket; gives how many still are when the seconds are over."""
    deadline = time.monotonic() + seconds
    while (left := connections(path)) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return left
