"""Which run of Ansible this is: user, host and process, so that a deploy lock can name its holder."""

from __future__ import annotations

import getpass
import os
from pathlib import Path
from typing import Any

STARTED_FIELD = 19


def process_started(pid: int) -> str:
    """Give the start time of a process in clock ticks since boot (proc(5), field 22), empty where it is gone.

    Together with the pid it tells a process from a later one with the same number.
    """
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[STARTED_FIELD]
    except OSError:
        return ""


def user() -> str:
    """Name the user of this process; by number where it has no name, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def machine() -> str:
    """Name this boot and this space of process numbers: a pid means nothing in another container or after a reboot."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def identity(pid: int) -> dict[str, Any]:
    """Name the run whose main process has this pid."""
    return {
        "user": user(),
        "host": os.uname().nodename,
        "pid": pid,
        "started": process_started(pid),
        "machine": machine(),
    }


def is_dead(holder: dict[str, Any]) -> bool:
    """Tell whether a holder is known to be gone; one of another machine, boot or container never is."""
    here = (os.uname().nodename, machine())
    if (holder.get("host"), holder.get("machine")) != here or not all(here) or not holder.get("started"):
        return False
    try:
        os.kill(int(holder["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return process_started(int(holder["pid"])) != str(holder["started"])
