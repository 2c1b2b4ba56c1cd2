"""A process that has loaded the site's Django to plan, and stays for a while to migrate at once: a site is closed meanwhile.

It waits at a socket that only who has begun it can reach, and is there for one request. Nothing depends on it: where it is gone,
is another one, or does not answer, a new process does the work.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    import socket  # Where it is needed alone: a window opens faster without

MODE = 0o600
ANSWER_SECONDS = 5.0
READY, GO = b"r", b"g"


def standby_of(path: Path) -> Path:
    """Name the socket of who has planned and stays to migrate, beside the file that tells of the migrating."""
    return path.with_suffix(".sock")


def listen(path: Path) -> Optional[socket.socket]:
    """Give a socket for the process to wait at, None where there can be none; who waits there from before is dismissed."""
    import socket

    dismiss(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))  # It is longer than such names may be, or its directory is not there yet
        path.chmod(MODE)
        listener.listen(1)
    except OSError:
        listener.close()
        return None
    return listener


def hand_over(path: Path, request: dict[str, Any], descriptors: Sequence[int]) -> bool:
    """Let who waits there do what is requested, with these descriptors; gives whether it does.

    It begins with the last word that is said here, so that nothing is done of which it is not known.
    """
    import socket

    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(path))
        path.unlink(missing_ok=True)
        connection.sendall(json.dumps(request).encode() + b"\n")
        if connection.recv(1) == READY:
            socket.send_fds(connection, [GO], descriptors)  # Not before: of who is stuck these would stay open
            return True
    return False


def dismiss(path: Path) -> None:
    """Let who waits there end."""
    if not path.exists():
        return
    import socket

    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        connection.connect(str(path))
    with contextlib.suppress(OSError):
        path.unlink()
