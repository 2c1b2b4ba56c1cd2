"""Unpack tar archives that somebody else made, so that nothing of them leads elsewhere (PEP 706)."""

from __future__ import annotations

import os
import tarfile
from copy import copy
from pathlib import Path


def extract(stream: tarfile.TarFile, directory: Path) -> None:
    """Unpack an archive into a directory: files, directories and links, none of which leads out of it.

    Raises tarfile.TarError where one does or is something else, and OSError.
    """
    if hasattr(tarfile, "data_filter"):
        stream.extractall(directory, filter="data")
        return
    # Python before 3.11.4, 3.10.12 and 3.9.17, Debian 12's among them, does not have PEP 706's filter
    for member in stream:
        stream.extract(_harmless(member, os.path.realpath(directory)), directory)


def _harmless(member: tarfile.TarInfo, directory: str) -> tarfile.TarInfo:
    """Give a member as it may be unpacked: without an owner, and with a mode that opens it to its owner only for writing."""
    harmless = copy(member)
    harmless.name = member.name.lstrip("/")
    harmless.uid, harmless.gid, harmless.uname, harmless.gname = os.geteuid(), os.getegid(), "", ""
    if member.isdir() or member.issym():
        harmless.mode = 0o755
    elif member.isreg() or member.islnk():
        harmless.mode = 0o600 | member.mode & (0o755 if member.mode & 0o100 else 0o644)
    else:
        raise tarfile.TarError(f"{member.name} is a special file")
    _check_within(directory, harmless.name, member.name)
    if member.issym() or member.islnk():
        start = os.path.dirname(harmless.name) if member.issym() else ""
        if os.path.isabs(member.linkname):
            raise tarfile.TarError(f"{member.name} is a link to an absolute path")
        _check_within(directory, os.path.join(start, member.linkname), member.name)
    return harmless


def _check_within(directory: str, path: str, name: str) -> None:
    if os.path.commonpath([os.path.realpath(os.path.join(directory, path)), directory]) != directory:
        raise tarfile.TarError(f"{name} leads out of the archive")
