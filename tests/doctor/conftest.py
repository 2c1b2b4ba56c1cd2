"""Hosts for the doctor, below a folder that Nginx's workers may enter."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from doctor.host import Host


@pytest.fixture
def make_host() -> Iterator[Callable[..., Host]]:
    """Make hosts out of trees; they are gone after the test."""
    roots: list[Path] = []

    def make(*trees: str, **settings: Any) -> Host:
        root = Path(tempfile.mkdtemp(prefix="im-doctor-", dir="/tmp"))
        root.chmod(0o755)
        roots.append(root)
        host = Host(root, **settings)
        host.install("base", *trees)
        return host

    yield make
    for root in roots:
        shutil.rmtree(root)
