"""Starts, stops, reloads or asks gunicorn for one node of the demo: `gunicornctl.py ROOT start|stop|reload|status`.

A reload is gunicorn's own upgrade on the fly: USR2 starts a second master from `current` on the same listening socket; when
one of its workers serves, the first is told to finish. Where the second does not come up, the first goes on serving.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SECONDS = 40.0
POLL_SECONDS = 0.05


def running_pid(file: Path, program: bytes = b"gunicorn") -> int | None:
    """Give the pid in a file, None where the program does not have it: gone, waiting to be reaped, or another's."""
    try:
        pid = int(file.read_text())
        os.kill(pid, 0)
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ValueError, ProcessLookupError, PermissionError):
        return None
    return pid if program in command else None


def children(pid: int) -> set[str]:
    """Give the pids of a process's children (proc(5)), none where it is gone."""
    try:
        return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return set()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; ends the program where it does not in time."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"gunicorn took longer than {SECONDS:g} s to {what}")
        time.sleep(POLL_SECONDS)


class Gunicorn:
    """The gunicorn of one node, below a root with `current` and `environment`."""

    def __init__(self, root: Path) -> None:
        """Name its files."""
        self.root = root
        self.current = root / "current"
        self.pid_file = root / "gunicorn.pid"
        self.new_pid_file = root / "gunicorn.pid.2"
        self.log = root / "gunicorn.log"

    def status(self) -> None:
        """End with 0 while gunicorn runs."""
        sys.exit(0 if running_pid(self.pid_file) else 3)

    def start(self) -> None:
        """Start gunicorn as a daemon, and wait until a worker serves."""
        config = Path(__file__).resolve().with_name("gunicorn.conf.py")
        # Both names lead through `current`, because a reload runs the same command line again.
        programs = self.current / ".venv/bin"
        if running_pid(self.pid_file) is None:
            self.pid_file.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            daemon = subprocess.Popen(
                [programs / "python", programs / "gunicorn", "--config", config],
                cwd=self.current,
                env={**os.environ, "PWD": str(self.current), "GUNICORN_ROOT": str(self.root)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(lambda: self.serves(daemon.pid) or daemon.poll() is not None, "start")
        if daemon.returncode is not None:
            sys.exit(self.last_words())

    def stop(self) -> None:
        """Let gunicorn finish the requests in flight and end."""
        pid = running_pid(self.pid_file)
        if pid:
            os.kill(pid, signal.SIGTERM)
            wait_until(lambda: running_pid(self.pid_file) is None, "stop")

    def reload(self) -> None:
        """Bring up a second gunicorn from `current`, then let the first end."""
        former = running_pid(self.pid_file)
        if former is None:
            sys.exit("gunicorn is not running")
        workers, begun = children(former), set[str]()

        def is_refused() -> bool:
            """Tell whether the second master, a child of the first, has ended before it wrote its pid."""
            others = children(former) - workers
            begun.update(others)
            return bool(begun) and not others

        os.kill(former, signal.SIGUSR2)
        wait_until(lambda: running_pid(self.new_pid_file) is not None or is_refused(), "reload")
        successor = running_pid(self.new_pid_file)
        wait_until(lambda: self.serves(successor) or running_pid(self.new_pid_file) is None, "reload")
        if not self.serves(successor):
            sys.exit(self.last_words())
        os.kill(former, signal.SIGTERM)
        wait_until(lambda: running_pid(self.pid_file) == successor, "end the former one")

    def serves(self, pid: int | None) -> bool:
        """Tell whether a worker of this master serves; see gunicorn.conf.py."""
        return pid is not None and (self.root / f"gunicorn.{pid}.ready").exists()

    def last_words(self) -> str:
        """Give the end of the log."""
        return "gunicorn does not start:\n" + "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[2] not in ("start", "stop", "reload", "status"):
        sys.exit(__doc__)
    getattr(Gunicorn(Path(sys.argv[1])), sys.argv[2])()
