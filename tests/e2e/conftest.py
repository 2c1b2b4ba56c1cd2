"""One demo for all end-to-end tests: made once by the demo itself, and brought to a known version by each module."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.shop import CHECKOUT, Shop, free_ports


@pytest.fixture(scope="session")
def short_tmp() -> Iterator[Path]:
    """A folder with a path short enough for unix sockets."""
    with tempfile.TemporaryDirectory(prefix="im-") as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def demo(short_tmp: Path) -> Iterator[tuple[Shop, subprocess.CompletedProcess[str]]]:
    """The site as `make demo` leaves it, and what that printed."""
    shop = Shop(short_tmp / "demo", free_ports(2))
    command = [sys.executable, "demo/demo.py", "run"]
    run = subprocess.run(command, cwd=CHECKOUT, env=shop.environment, capture_output=True, text=True, check=False)
    try:
        yield shop, run
    finally:
        subprocess.run([sys.executable, "demo/demo.py", "stop"], cwd=CHECKOUT, env=shop.environment, check=True)
        shutil.rmtree(shop.root)


@pytest.fixture(scope="session")
def shop(demo: tuple[Shop, subprocess.CompletedProcess[str]]) -> Shop:
    """The site, once the demo has succeeded."""
    site, run = demo
    assert run.returncode == 0, run.stdout + run.stderr
    site.at("v2")
    return site


@pytest.fixture
def lone(shop: Shop) -> Shop:
    """The site as if it had one node."""
    return shop.alone()


@pytest.fixture
def fresh(short_tmp: Path) -> Iterator[Shop]:
    """Two nodes on which nothing has been deployed yet."""
    fresh = Shop(short_tmp / "fresh", free_ports(2))
    subprocess.run([sys.executable, "demo/prepare.py", str(fresh.root)], cwd=CHECKOUT, check=True)
    yield fresh
    subprocess.run([sys.executable, "demo/demo.py", "stop"], cwd=CHECKOUT, env=fresh.environment, check=True)
    shutil.rmtree(fresh.root)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Where the load probe writes what visitors saw."""
    return tmp_path / "record"
