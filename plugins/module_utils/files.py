"""Files that are whole or not there: written beside their name, synced, then renamed onto it (rename(2), fsync(2))."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(
    path: Path,
    content: bytes,
    mode: int = 0o644,
    mtime: Optional[float] = None,
    owner: Optional[tuple[int, int]] = None,
) -> None:
    """Replace a file atomically and durably.

    The mode is set whatever the umask is; ``mtime`` is in seconds since the epoch, now by default; ``owner`` is a user
    and a group by number. Raises OSError, for instance when the disk is full: the former file is then untouched.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as stream:
            stream.write(content)
            stream.flush()
            if owner is not None:
                os.fchown(stream.fileno(), *owner)
            os.fchmod(stream.fileno(), mode)
            if mtime is not None:
                os.utime(stream.fileno(), (mtime, mtime))
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def replace_symlink(link: Path, target: str) -> None:
    """Point a symlink at ``target`` with one rename, so that the name never vanishes. Raises OSError."""
    partial = link.with_name(f".{link.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    os.symlink(target, partial)
    try:
        os.replace(partial, link)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_directory(link.parent)
