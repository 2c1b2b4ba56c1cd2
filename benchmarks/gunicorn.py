"""gunicorn with the peer, and the CPU time of processes and their children."""

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks import CHECKOUT, BrokenRunError
from benchmarks.server import PATIENCE

POLL = 0.01  # seconds


@contextmanager
def running_peer(folder: Path, page: Path) -> Iterator[tuple[Path, int]]:
    """Run the peer, switched to maintenance with this page; give its socket and the process id of its master."""
    (folder / "templates").mkdir(parents=True)
    text = page.read_text()
    (folder / "templates/503.html").write_text("{% verbatim %}" + text + "{% endverbatim %}")
    (folder / "state.txt").write_text("1")
    listening = folder / "gunicorn.sock"
    workers = len(os.sched_getaffinity(0))
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "--no-control-socket",
        "--log-level=warning",
        f"--bind=unix:{listening}",
    ]
    environment = {**os.environ, "INTERMISSION_BENCH_PEER": str(folder)}
    process = subprocess.Popen([*command, f"--workers={workers}", "benchmarks.peer"], cwd=CHECKOUT, env=environment)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (listening.exists() and len(family(process.pid)) > workers):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BrokenRunError("gunicorn did not start")
            time.sleep(POLL)
        yield listening, process.pid
    finally:
        process.terminate()
        process.wait()


def family(pid: int) -> list[int]:
    """Give a process and all that descend from it."""
    found = [pid]
    with suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [each for child in children.read_text().split() for each in family(int(child))]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Give the seconds, user and system, that processes and their descendants have been on a CPU."""
    tasks = [task for pid in pids for each in family(pid) for task in Path(f"/proc/{each}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
