"""Folders for the files of servers."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = "/dev/shm"  # Where files are made and removed by the thousand, a disk's file system takes most of the time


@contextmanager
def served_folder() -> Iterator[Path]:
    """Make a folder that is short enough for a unix socket and open to a server's workers."""
    root = Path(tempfile.mkdtemp(prefix="im-", dir=MEMORY if os.access(MEMORY, os.W_OK) else "/tmp"))
    root.chmod(0o755)
    try:
        yield root
    finally:
        shutil.rmtree(root)
