"""A connection to a host that is kept while a task does one thing after the other there, with a Python that has the modules loaded.

What a short task costs a host is its connection, ``sudo``, Python's start and what is imported. It runs from the copy that
``resident`` keeps. Where there can be no such session (a password has to be typed, no copy, a connection that is neither OpenSSH's nor
local) each thing is done in a task's way.
"""

from __future__ import annotations

import json
import os
import selectors
import shlex
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase

LOCAL, SSH = "local", "ssh"
READY, DONE = "intermission: ready", "intermission: done"
READY_SECONDS = 30.0
END_SECONDS = 5.0
# It may be silent for as long as another host's requests in flight take; where nobody has said otherwise
KEPT_ALIVE = ("-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3")
LOST = 255  # Of ssh(1): the connection, and not the program
# Runs lines of JSON: modules with what each reads, until one fails. Nothing that these start has the session's own input and output
SERVE = f"""
import io, json
asked, answered = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), 'w')
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
os.dup2(2, 1)
sys.stdout = answered
print('{READY}', flush=True)
modules = {{name: import_module(prefix + name) for name in sys.argv[3:]}}
for line in asked:
    for name, request in json.loads(line):
        sys.stdin = io.StringIO(request)
        try:
            modules[name].main()
        except SystemExit as ended:
            if ended.code:
                break
    print('{DONE}', flush=True)
"""


class Session:
    """A program on the host that has been begun; nothing is known of it before it is asked to do something."""

    def __init__(self, command: Sequence[str | bytes], transport: str) -> None:
        """Begin it. Raises OSError."""
        self._transport = transport
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  It is the session's until its end
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors)
        assert self._process.stdin and self._process.stdout
        self._input, self._output = self._process.stdin, self._process.stdout
        self._read = b""
        self._is_ready = False

    def run(self, steps: Sequence[tuple[str, str]]) -> Optional[dict[str, Any]]:
        """Run modules with what each reads, one after the other until one fails; give ``rc``, ``stdout`` and ``stderr`` of that.

        None where there is no session, so that nothing has been done. Raises AnsibleConnectionFailure where it was lost on the way.
        """
        if not self._is_ready and not self._comes_up():
            return None
        with suppress(BrokenPipeError):  # The end of its output tells the same
            self._input.write(json.dumps(steps).encode() + b"\n")
            self._input.flush()
        said = []
        while (line := self._line()) not in (None, DONE):
            said.append(line)
        if line == DONE:
            return {"rc": 0, "stdout": "\n".join(map(str, said)), "stderr": ""}
        status = self._ended()
        errors = self._said_wrong()
        if self._transport == SSH and status == LOST:
            raise AnsibleConnectionFailure(f"The connection was lost: {errors.strip()}")
        return {"rc": status, "stdout": "\n".join(map(str, said)), "stderr": errors}

    def end(self) -> None:
        """Let it end; what it is doing comes to its end."""
        with suppress(OSError):
            self._input.close()
        self._ended()
        self._output.close()
        self._errors.close()

    def _comes_up(self) -> bool:
        """Pass over what the way there has to say."""
        until = time.monotonic() + READY_SECONDS
        while (line := self._line(until)) is not None:
            if line == READY:
                self._is_ready = True
                return True
        with suppress(PermissionError):  # Of sudo(8), which runs as another
            self._process.kill()
        return False

    def _ended(self) -> Optional[int]:
        """Wait for its end, and give its status; None where something that it has started keeps it."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(END_SECONDS)
        return None

    def _line(self, until: Optional[float] = None) -> Optional[str]:
        """Wait for a line; None where the output has ended, or the time has come."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            while b"\n" not in self._read:
                left = None if until is None else max(0.0, until - time.monotonic())
                if not selector.select(left) or not (part := os.read(self._output.fileno(), 65536)):
                    return None
                self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return line.decode(errors="surrogateescape").rstrip("\r")

    def _said_wrong(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")


def begin(action: ActionBase, command: str) -> Optional[Session]:
    """Begin a program on the host of a task; None where the connection is of another kind, or asks for a password."""
    connection = action._connection
    if connection.transport not in (LOCAL, SSH):
        return None
    spelled = _as_ansible_does(action, command)
    if connection.become and connection.become.expect_prompt():
        return None
    if connection.transport == LOCAL:
        return Session(shlex.split(spelled), LOCAL)
    if connection.get_option("password") or connection.get_option("pkcs11_provider"):
        return None
    host = connection.get_option("host") or action._play_context.remote_addr
    executable = connection.get_option("ssh_executable")
    return Session(connection._build_command(executable, SSH, *KEPT_ALIVE, host, spelled), SSH)


def _as_ansible_does(action: ActionBase, command: str) -> str:
    """Give the command as Ansible's own code hands it to the connection, with what it takes to become another account."""
    handed: list[str] = []

    def take(given: str, **_: Any) -> tuple[int, bytes, bytes]:
        handed.append(given)
        return 0, b"", b""

    connection = action._connection
    connection.exec_command = take
    try:
        action._low_level_execute_command(command)
    finally:
        del connection.exec_command
    return handed[0]
