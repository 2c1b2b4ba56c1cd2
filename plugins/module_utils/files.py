"""Files that are whole or not there: written beside their name, synced, then renamed onto it (rename(2), fsync(2)).

Root writes where a group may write, so nothing here is led elsewhere by a symlink, hard link or pipe that somebody has planted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Optional, Union

LIMIT = 2**20
LARGE_LIMIT = 2**24  # For pages, which may hold images, and for the results of work


class NotPlainError(OSError):
    """Something else than a plain file of one name and a bearable size is in a file's place."""


@contextlib.contextmanager
def pinned(directory: Path) -> Iterator[Path]:
    """Hold a directory and give a path that leads into it, whatever is renamed meanwhile. A symlink is refused.

    Raises OSError; errors of what is done inside name the directory as it was given.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    held = f"/proc/self/fd/{descriptor}"
    try:
        yield Path(held)
    except OSError as error:
        if error.filename is not None:
            error.filename = str(error.filename).replace(held, str(directory), 1)
        raise
    finally:
        os.close(descriptor)


def open_plain(
    path: Union[Path, str], flags: int, within: Optional[int] = None, mode: int = 0o664, names: int = 1
) -> int:
    """Open a plain file of a single name, for reading of so many ``names`` at most; ``within`` is the descriptor of its directory.

    One that is made gets ``mode``, less what the umask takes from it. One that is replaced meanwhile has no name, and is read.
    Raises NotPlainError where something else is in its place, and OSError.
    """
    refused = NotPlainError(errno.ELOOP, "Something else than a plain file was put in its place", str(path))
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, mode, dir_fd=within)
    except OSError as error:
        raise refused if error.errno in (errno.ELOOP, errno.ENXIO) else error from None
    status = os.fstat(descriptor)
    few = status.st_nlink <= names if flags & os.O_ACCMODE == os.O_RDONLY else status.st_nlink == 1
    if not stat.S_ISREG(status.st_mode) or not few:
        os.close(descriptor)
        raise refused
    return descriptor


def read_plain(path: Path, limit: int = LIMIT, names: int = 1) -> bytes:
    """Read a plain file of so many names at most.

    Raises NotPlainError where something else is in its place, or one of more bytes than the limit, and OSError.
    """
    with open(open_plain(path, os.O_RDONLY, names=names), "rb") as stream:
        content = stream.read(limit + 1)
    if len(content) > limit:
        raise NotPlainError(errno.EFBIG, f"It has more than {limit} bytes", str(path))
    return content


def closed_to_others(file: Path, top: Path = Path("/")) -> Optional[Path]:
    """Find what keeps accounts that are neither owner nor group from reading a file, from a directory on; None where nothing does.

    Raises OSError.
    """
    file, top = file.resolve(), top.resolve()
    for path in (*(parent for parent in reversed(file.parents) if parent == top or top in parent.parents), file):
        mode = path.stat().st_mode
        if not mode & (stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH):
            return path
    return None


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

    The mode is set whatever the umask is, and a symlink is not followed; ``mtime`` is in seconds since the epoch, now
    by default; ``owner`` is a user and a group by number. Raises OSError, for instance when the disk is full: the
    former file is then untouched.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.unlink(missing_ok=True)
        with open(partial, "wb", opener=lambda name, flags: os.open(name, flags | os.O_EXCL, 0o600)) as stream:
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


def is_empty(directory: Path) -> bool:
    """Tell whether a directory is there and has nothing in it. Raises OSError."""
    return directory.is_dir() and not any(directory.iterdir())


def remove_empty(directories: Iterable[Path]) -> bool:
    """Remove those of the directories that are there and have nothing in them; gives whether there were any. Raises OSError."""
    removed = False
    for directory in directories:
        if is_empty(directory):
            directory.rmdir()
            removed = True
    return removed
