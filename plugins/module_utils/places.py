"""Directories that the site's account writes to, made by root where they are missing.

What is there already is never changed: it may be somebody else's, and the account may have put it there. Each name is looked
up in the directory before it, which is held meanwhile, so that nothing can be exchanged between the look and the deed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
import stat
import subprocess
from pathlib import Path
from typing import Optional

from ansible_collections.intermission.django.plugins.module_utils.account import run_as

MODE = 0o755
PRIVATE_MODE = 0o700
MOST_LINKS = 40
LOOK = os.O_PATH | os.O_NOFOLLOW
WRITABLE = 'test -w "$1" && test -x "$1"'


class PlaceError(Exception):
    """A directory cannot be made or used; the message says why and what to do."""


def is_missing(place: Path, user: Optional[str] = None) -> bool:
    """Tell whether a directory has to be made. ``user`` is the account that is to write in it, this one by default.

    Raises PlaceError where it is there and the account cannot write in it, where it is no directory or cannot be made, or
    where a symlink on the way is neither root's nor this account's; and OSError. An account that is not there yet is not
    asked.
    """
    if not _walk(place, user, None):
        return True
    if _is_known(user) and not can_write(place, user):
        raise PlaceError(
            f"{place} is there, and {user or _name(os.geteuid())} cannot write in it: let the account in, for instance with "
            f"chown {user or _name(os.geteuid())} {place}, or name another directory"
        )
    return False


def make(place: Path, user: Optional[str] = None, mode: int = MODE) -> bool:
    """Make a directory for ``user``, and those above it for this account; gives whether it was missing.

    Raises what ``is_missing`` does, and KeyError where there is no such account.
    """
    missing = is_missing(place, user)
    if missing:
        _walk(place, user, mode)
        is_missing(place, user)
    return missing


def can_write(place: Path, user: Optional[str]) -> bool:
    """Tell whether an account can write in a directory by that name, which only the account itself can say for sure."""
    command = ["sh", "-c", WRITABLE, "sh", os.path.abspath(place)]
    return subprocess.run(command, cwd="/", check=False, **run_as(user)).returncode == 0


def check_closed(place: Path, user: Optional[str]) -> None:
    """Raise PlaceError where an account can write in a directory that root trusts, unless it is this account's own."""
    if not user or not _is_known(user) or pwd.getpwnam(user).pw_uid == os.geteuid() or not place.is_dir():
        return
    if can_write(place, user):
        raise PlaceError(
            f"{user} can write in {place}, and could change what {_name(os.geteuid())} takes from there: "
            f"chown {_name(os.geteuid())} {place} and chmod go-w {place}, or name another directory"
        )


def _walk(place: Path, user: Optional[str], mode: Optional[int]) -> bool:
    """Go to a directory name by name, and make what is missing where a mode is given; gives whether it was there."""
    names = list(reversed(Path(os.path.abspath(place)).parts))
    here, path, links, there = os.open("/", LOOK), Path("/"), 0, True
    try:
        while names:
            name, parent = names.pop(), path
            path = parent / name
            below = _look(name, here, path)
            if below is None and mode is None:
                _check_can_make(here, place)
                return False
            if below is None:
                there = False
                below = _make(name, here, path, None if names else user, MODE if names or not mode else mode)
            status = os.fstat(below)
            if stat.S_ISLNK(status.st_mode):
                target = os.readlink("", dir_fd=below)
                os.close(below)
                _check_link(path, status.st_uid, user)
                links += 1
                if links > MOST_LINKS:
                    raise _error(errno.ELOOP, place)
                names += reversed(Path(target).parts)
                path = parent
            else:
                os.close(here)
                here = below
                if not stat.S_ISDIR(status.st_mode):
                    raise PlaceError(f"{path} is not a directory: remove it, or name another place")
        return there
    finally:
        os.close(here)


def _look(name: str, within: int, path: Path) -> Optional[int]:
    """Hold what has a name in a directory, a symlink itself and not what it leads to; None where nothing has."""
    try:
        return os.open(name, LOOK, dir_fd=within)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _error(error.errno or 0, path) from None


def _make(name: str, within: int, path: Path, user: Optional[str], mode: int) -> int:
    """Make a directory and hold it. Raises PlaceError where something else is in its place already."""
    owner = pwd.getpwnam(user).pw_uid if user else -1
    try:
        os.mkdir(name, PRIVATE_MODE, dir_fd=within)
        made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=within)
    except OSError as error:
        raise _error(error.errno or 0, path) from None
    try:
        status = os.fstat(made)
        if status.st_uid != os.geteuid() or os.listdir(made):
            raise PlaceError(
                f"while {path} was made, somebody has put another directory in its place: look who writes there"
            )
        os.fchown(made, owner, -1)
        os.fchmod(made, mode | (status.st_mode & stat.S_ISGID))
    except BaseException:
        os.close(made)
        raise
    return made


def _check_can_make(within: int, place: Path) -> None:
    if not os.access(".", os.W_OK | os.X_OK, dir_fd=within):
        parent = os.readlink(f"/proc/self/fd/{within}")
        raise PlaceError(
            f"{place} is not there, and {_name(os.geteuid())} cannot make it in {parent}: make it, or name another directory"
        )


def _check_link(path: Path, owner: int, user: Optional[str]) -> None:
    me = os.geteuid()
    if user and owner not in (0, me):
        raise PlaceError(
            f"{path} is a symlink that {_name(owner)} has made, and would be followed as {_name(me)}: remove it, or make it as "
            f"{_name(me)} where it is meant"
        )


def _is_known(user: Optional[str]) -> bool:
    with contextlib.suppress(KeyError):
        return not user or bool(pwd.getpwnam(user))
    return False


def _name(number: int) -> str:
    with contextlib.suppress(KeyError):
        return pwd.getpwuid(number).pw_name
    return str(number)


def _error(number: int, path: Path) -> OSError:
    return OSError(number, os.strerror(number), str(path))
