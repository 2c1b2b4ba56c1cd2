"""A service that is known by four commands: start, stop, reload and status. The seam between the platforms.

Two more are known where the platform has them. ``idle`` ends with 0 while nothing runs and nothing is about to be started: one
that keeps crashing may be started again at any time, and does not run in between. ``log`` prints what the service said last.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping

POLL_SECONDS = 0.1


class ServiceError(Exception):
    """A command failed or the service did not come to the wanted state; the message has the command's output."""


def run(command: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a command with sh(1) in a session of its own, so that a daemon it leaves outlives this process.

    The output goes through files, which a daemon may keep open without holding this up. Raises ServiceError where the
    command takes longer than ``seconds``; it is then ended with all that it started.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise ServiceError(f"`{command}` took longer than {seconds:g} s") from error
        texts = []
        for stream in (stdout, stderr):
            stream.seek(0)
            texts.append(stream.read().decode(errors="replace"))
        return subprocess.CompletedProcess(command, process.returncode, *texts)


class Service:
    """A service behind its commands; ``seconds`` bounds each command and each wait."""

    def __init__(self, name: str, commands: Mapping[str, str], seconds: float = 60.0) -> None:
        """Name the service for messages."""
        self.name = name
        self.commands = commands
        self.seconds = seconds

    def running(self) -> bool:
        """Ask the status command: exit status 0 means that the service runs."""
        return run(self.commands["status"], self.seconds).returncode == 0

    def idle(self) -> bool:
        """Tell whether there is nothing to stop."""
        if "idle" in self.commands:
            return run(self.commands["idle"], self.seconds).returncode == 0
        return not self.running()

    def start(self) -> None:
        """Start the service and wait until it runs. Raises ServiceError."""
        self._do("start")
        self._wait(self.running, "is not running")

    def stop(self) -> None:
        """Stop the service and wait until it no longer runs. Raises ServiceError."""
        self._do("stop")
        self._wait(self.idle, "still runs")

    def reload(self) -> None:
        """Make the service take up what has changed, losing no request. Raises ServiceError."""
        self._do("reload")
        self._wait(self.running, "is not running")

    def watch(self, seconds: float) -> None:
        """Look for some seconds whether the service goes on running. Raises ServiceError where it does not."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.running():
                raise ServiceError(f"{self.name} did not keep running{self._said()}")
            time.sleep(POLL_SECONDS)

    def _do(self, verb: str) -> None:
        command = self.commands[verb]
        result = run(command, self.seconds)
        if result.returncode != 0:
            output = (result.stdout + result.stderr).strip()[-2000:]
            raise ServiceError(
                f"{self.name} did not {verb}: `{command}` ended with {result.returncode}\n{output}".rstrip()
                + self._said()
            )

    def _wait(self, reached: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + self.seconds
        while not reached():
            if time.monotonic() >= deadline:
                raise ServiceError(
                    f"{self.name} {otherwise} {self.seconds:g} s after its command ended well{self._said()}"
                )
            time.sleep(POLL_SECONDS)

    def _said(self) -> str:
        """Give what the service said last, to be put behind a message; nothing where that cannot be known."""
        if "log" not in self.commands:
            return ""
        said = run(self.commands["log"], self.seconds).stdout.strip()[-3000:]
        return f"\nIt said last:\n{said}" if said else ""
