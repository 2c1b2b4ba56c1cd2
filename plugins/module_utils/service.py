"""A service that is known by four commands: start, stop, reload and status. The seam between the platforms."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping

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
            raise ServiceError(
                f"{self.name} did not {verb}: `{command}` ended with {result.returncode}\n{output}".rstrip()
            )

    def _wait(self, wanted: bool) -> None:
        deadline = time.monotonic() + self.seconds
        while self.running() is not wanted:
            if time.monotonic() >= deadline:
                state = "is not running" if wanted else "still runs"
                raise ServiceError(f"{self.name} {state} {self.seconds:g} s after its command ended well")
            time.sleep(POLL_SECONDS)
