"""What the doctor sees on a host: what Nginx dumps, the flag, and who may read what."""

from __future__ import annotations

import contextlib
import os
import pwd
import stat
from pathlib import Path
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.nginx import read_page
from ansible_collections.intermission.django.plugins.module_utils.preflight import closed_ancestor, groups_of
from ansible_collections.intermission.django.plugins.module_utils.service import run
from ansible_collections.intermission.django.plugins.module_utils.state import TEMPLATE, StateDirectory


def dump(command: str, seconds: float) -> dict[str, Any]:
    """Let Nginx dump its configuration. Raises ServiceError where that takes longer than ``seconds``."""
    ran = run(command, seconds)
    return {"rc": ran.returncode, "stdout": ran.stdout, "stderr": ran.stderr}


def read(root: str, site: str, pages: dict[str, str]) -> dict[str, Any]:
    """Tell the state of the flag, and for each page that the role makes whether it is as the role would make it now.

    A page is None where it is not there, and a window's page, which is as its window made it, is not compared.
    """
    directory = StateDirectory(root, site)
    status = directory.status()
    compared: dict[str, Optional[bool]] = {}
    for path, wanted in pages.items():
        found = read_page(Path(path))
        compared[path] = None if found is None else found == wanted
    if status["on"] and status["opened_with"] == "window":
        made = {Path(path).name for path in pages}
        for name in sorted(name for name in made if f"{name}{TEMPLATE}" in made):
            compared[str(directory.flag / name)] = None
    return {"state": str(directory.path), "status": status, "pages": compared, "root": os.geteuid() == 0}


def known_user(*names: str) -> str:
    """Give the first of these users that the host has. Raises KeyError where it has none."""
    for name in names:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise KeyError(names[-1])


def look(path: str, user: str, pid_file: str) -> dict[str, Any]:
    """Tell what a user may do with a path, and whether the running Nginx sees the same there.

    ``exists``, ``readable`` (as a file), ``closed`` (the directory that keeps the user out, or None), ``other`` (whether
    Nginx's main process has another thing at the path, or none). Raises KeyError where there is no such user.
    """
    directory = path if os.path.isdir(path) else os.path.dirname(path)
    found = {"user": user, "exists": os.path.exists(path), "closed": closed_ancestor(directory, user)}
    return {**found, "readable": _readable(path, user), "other": seen_by_nginx(path, pid_file) is False}


def _readable(path: str, user: str) -> bool:
    account = pwd.getpwnam(user)
    try:
        status = os.stat(path)
    except OSError:
        return False
    if account.pw_uid == 0:
        return True
    if status.st_uid == account.pw_uid:
        return bool(status.st_mode & stat.S_IRUSR)
    if status.st_gid in groups_of(account):
        return bool(status.st_mode & stat.S_IRGRP)
    return bool(status.st_mode & stat.S_IROTH)


def seen_by_nginx(path: str, pid_file: str, proc: str = "/proc") -> Optional[bool]:
    """Compare a path with what stands there for Nginx's main process (proc(5), root); None where that cannot be known."""
    try:
        pid = int(Path(pid_file).read_text(encoding="ascii"))
        process = Path(proc) / str(pid)
        if not (process / "comm").read_text(encoding="utf-8").startswith("nginx"):
            return None
        here = os.stat(path)
        (process / "root").stat()
    except (OSError, ValueError):
        return None
    try:
        there = os.stat(f"{process}/root{path}")
    except PermissionError:
        return None
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
