"""A release that is tried beside the live one: its app server on a socket of its own, asked as visitors would, then ended.

The server gets its socket as systemd gives it (sd_listen_fds(3)), so that it is started just as the service will start it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

# The descriptor has to be 3, and LISTEN_PID the server's own pid, which only the process itself knows.
HAND_OVER = (
    "import os, sys\n"
    "os.dup2(int(sys.argv[1]), 3)\n"
    "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1')\n"
    "os.execv(sys.argv[2], sys.argv[2:])\n"
)
STOP_SECONDS = 15
WHOLE_WORD = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
IN_WORD = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\$")


class TrialError(Exception):
    """The app server ended by itself; the message has what it said."""


def program(command: str, directory: str) -> list[str]:
    """Split a command; a program without a directory is looked for in ``directory``. Raises ValueError."""
    words = shlex.split(command)
    if not words:
        raise ValueError("the command is empty")
    return words if "/" in words[0] else [os.path.join(directory, words[0]), *words[1:]]


def expanded(words: list[str], environment: Mapping[str, str]) -> list[str]:
    """Put the environment into the arguments of a command as systemd does (systemd.service(5), "Command lines").

    ``${NAME}`` becomes its value wherever it stands, a word ``$NAME`` the words of its value, and ``$$`` a dollar sign.
    The program itself is left as it is.
    """
    found = words[:1]
    for word in words[1:]:
        whole = WHOLE_WORD.fullmatch(word)
        if whole:
            found += environment.get(whole.group(1), "").split()
        else:
            found.append(
                IN_WORD.sub(lambda match: environment.get(match.group(1), "") if match.group(1) else "$", word)
            )
    return found


def settings(lines: str) -> dict[str, str]:
    """Read the variables of the ``Environment=`` lines among lines of a unit's section ``[Service]``.

    Raises ValueError where a quotation is not closed.
    """
    found: dict[str, str] = {}
    for line in lines.splitlines():
        name, _equals, value = line.partition("=")
        if name.strip() == "Environment":
            pairs = (word.partition("=") for word in shlex.split(value))
            found = {**found, **{variable: content for variable, _equals, content in pairs}} if value.strip() else {}
    return found


class Server:
    """An app server that runs for a trial."""

    def __init__(self, process: subprocess.Popen[bytes], path: str, output: Any) -> None:
        """Name the process, its socket and the file of its output."""
        self.process = process
        self.path = path
        self.output = output

    def check(self) -> None:
        """Raise TrialError where the server has ended."""
        if self.process.poll() is not None:
            raise TrialError(f"the app server ended with {self.process.returncode}:\n{self.said()}")

    def said(self) -> str:
        """Give the last that the server printed."""
        self.output.seek(0)
        return str(self.output.read().decode(errors="replace").strip()[-3000:])


@contextlib.contextmanager
def serving(
    command: list[str], directory: str, environment: Mapping[str, str], account: dict[str, Any]
) -> Iterator[Server]:
    """Run an app server in ``directory`` on a socket in a directory of its own; it ends with the block.

    ``account`` has further arguments of subprocess.Popen, see ``account.run_as``. Raises OSError.
    """
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="intermission-"))
        listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        path = os.path.join(place, "app.sock")
        listener.bind(path)
        listener.listen(128)
        output = stack.enter_context(tempfile.TemporaryFile())
        process = subprocess.Popen(
            [sys.executable, "-c", HAND_OVER, str(listener.fileno()), *command],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[listener.fileno()],
            **{"start_new_session": True, **account},
        )
        try:
            yield Server(process, path, output)
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a server with all that it started, first by SIGTERM."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
