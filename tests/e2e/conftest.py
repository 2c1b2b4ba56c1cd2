"""One site for all end-to-end tests of a process: made once, and brought to a known version by each module."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.shop import CHECKOUT, Shop, ended, free_ports, stocked

DEMO = pytest.StashKey[Shop]()
# Of all processes that share these tests out: what is chosen by chance is chosen by this
SEED = os.environ.setdefault("FAULTS_SEED", str(random.SystemRandom().randrange(10**6)))


def pytest_report_header() -> str:
    return f"FAULTS_SEED={SEED}"


@pytest.fixture(scope="session")
def short_tmp() -> Iterator[Path]:
    """A folder with a path short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="im-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def demo(short_tmp: Path, pytestconfig: pytest.Config) -> Iterator[tuple[Shop, subprocess.CompletedProcess[str]]]:
    """The site as `make demo` leaves it, and what that printed."""
    site = Shop(short_tmp / "demo", free_ports(2))
    command = [sys.executable, "demo/demo.py", "run"]
    with ended(site):
        run = subprocess.run(command, cwd=CHECKOUT, env=site.environment, capture_output=True, text=True, check=False)
        pytestconfig.stash[DEMO] = site
        yield site, run


@pytest.fixture(scope="session")
def shop(short_tmp: Path, pytestconfig: pytest.Config) -> Iterator[Shop]:
    """The site: the demo's where this process has run it, else one that was deployed without visitors."""
    site = pytestconfig.stash.get(DEMO, None)
    if site is not None:
        site.at("v2")
        yield site
        return
    with stocked(short_tmp / "shop") as site:
        site.at("v2")
        yield site


@pytest.fixture
def lone(shop: Shop) -> Shop:
    """The site as if it had one node."""
    return shop.alone()


@pytest.fixture
def fresh(short_tmp: Path) -> Iterator[Shop]:
    """Two nodes on which nothing has been deployed yet."""
    site = Shop(short_tmp / "fresh", free_ports(2))
    with ended(site):
        subprocess.run([sys.executable, "demo/prepare.py", str(site.root)], cwd=CHECKOUT, check=True)
        yield site


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Where the load probe writes what visitors saw."""
    return tmp_path / "record"
