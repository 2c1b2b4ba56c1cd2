"""The artifact, built and installed once for all tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import artifact

CHECKOUT = artifact.CHECKOUT
LEFTOVER = "leftover.txt"
Program = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def sources() -> list[str]:
    """What git has or would take: the checkout without what is made in it."""
    command = ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    return [name for name in listed if name and (CHECKOUT / name).exists()]


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory, sources: list[str]) -> Path:
    """A checkout in which everything was run: in each place that git ignores something lies."""
    tree = tmp_path_factory.mktemp("tree")
    for name in sources:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, tree / name, follow_symlinks=False)
    for pattern in (CHECKOUT / ".gitignore").read_text().split():
        if not pattern.startswith("!"):
            folder = tree / pattern.strip("/").replace("*", "x")
            folder.mkdir(parents=True)
            (folder / LEFTOVER).touch()
    return tree


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, tree: Path, home: Path) -> Path:
    """The artifact."""
    return artifact.build(tree, tmp_path_factory.mktemp("built"), home)


@pytest.fixture(scope="session")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where collections are: the artifact's alone."""
    return tmp_path_factory.mktemp("collections")


@pytest.fixture(scope="session")
def installed(built: Path, collections: Path, home: Path) -> Path:
    """The installed collection."""
    return artifact.install(built, collections, home)


@pytest.fixture
def program(installed: Path, collections: Path, home: Path, tmp_path: Path) -> Program:
    """Run a program of Ansible's in an empty directory, with the installed collection alone."""

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        environment = artifact.environment(home, collections)
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return run
