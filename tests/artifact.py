"""The collection as users get it: built from a checkout, and installed where there is nothing else.

Offline, and with nothing of the user's settings::

    python tests/artifact.py FOLDER     # FOLDER/ansible_collections/intermission/django is made anew
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
INSTALLED = Path("ansible_collections", "intermission", "django")


def environment(home: Path, collections: Path) -> dict[str, str]:
    """Give Ansible's programs a home of their own, and one place where collections are."""
    return {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_NOCOLOR": "1",
    }


def build(checkout: Path, folder: Path, home: Path) -> Path:
    """Build the artifact in a folder. Raises CalledProcessError."""
    _galaxy("build", str(checkout), "--output-path", str(folder), home=home, collections=folder)
    (artifact,) = folder.glob("*.tar.gz")
    return artifact


def install(artifact: Path, collections: Path, home: Path) -> Path:
    """Install an artifact below a folder for collections, and give its own folder there. Raises CalledProcessError."""
    _galaxy("install", str(artifact), "--offline", "-p", str(collections), home=home, collections=collections)
    return collections / INSTALLED


def _galaxy(*arguments: str, home: Path, collections: Path) -> None:
    command = [str(BIN / "ansible-galaxy"), "collection", *arguments]
    subprocess.run(
        command,
        check=True,
        cwd=home,
        env=environment(home, collections),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )


def main() -> None:
    """Build and install this checkout's collection below the folder on the command line."""
    collections = Path(sys.argv[1]).resolve()
    shutil.rmtree(collections, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        home, built = Path(folder, "home"), Path(folder, "built")
        home.mkdir()
        built.mkdir()
        install(build(CHECKOUT, built, home), collections, home)


if __name__ == "__main__":
    main()
