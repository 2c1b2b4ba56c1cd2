"""A service that is known by four commands: start, stop, reload and status. The seam between the platforms."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping

POLL_SECONDS = 0.1


class ServiceError(Exception):
    """A command failed or the service did not come to the wanted state; the message has the command's output."""


def run(command: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run a command with sh(1) in a session of its own, so that a daemon it leaves outlives this process.

    Raises ServiceError where it takes longer than ``seconds``.
    """
    try:
        return subprocess.run(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            start_new_session=True,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ServiceError(f"`{command}` took longer than {seconds:g} s") from error


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

    def start(self) -> None:
        """Start the service and wait until it runs. Raises ServiceError."""
        self._do("start")
        self._wait(True)

    def stop(self) -> None:
        """Stop the service and wait until it no longer runs. Raises ServiceError."""
        self._do("stop")
        self._wait(False)

    def reload(self) -> None:
        """Make the service take up what has changed, losing no request. Raises ServiceError."""
        self._do("reload")
        self._wait(True)

    def _do(self, verb: str) -> None:
        command = self.commands[verb]
        result = run(command, self.seconds)
        if result.returncode != 0:
            output = (result.stdout + result.stderr).strip()[-2000:]
            raise ServiceError(f"{self.name} did not {verb}: `{command}` ended with {result.returncode}\n{output}".rstrip())

    def _wait(self, wanted: bool) -> None:
        deadline = time.monotonic() + self.seconds
        while self.running() is not wanted:
            if time.monotonic() >= deadline:
                state = "is not running" if wanted else "still runs"
                raise ServiceError(f"{self.name} {state} {self.seconds:g} s after its command ended well")
            time.sleep(POLL_SECONDS)
