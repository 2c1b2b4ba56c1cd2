"""Debian's packages that count and that ask: installed where this is root on Debian, or named where they are missing."""

import os
import shutil
import subprocess
from pathlib import Path

from benchmarks import BrokenRunError

TOOLS = ("valgrind", "strace", "wrk")  # each is a package too


def need_tools() -> None:
    """Install what is missing. Raises BrokenRunError where this may not be done."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if not missing:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise BrokenRunError(f"Debian's packages {' '.join(missing)} are missing. As root: {' '.join(install)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "--quiet=2"], [*install, "--quiet=2"]):
        if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False).returncode:
            raise BrokenRunError(f"'{' '.join(command)}' failed")


def unpack(packages: tuple[str, ...], folder: Path) -> None:
    """Put what is in packages below a folder without installing them, as one may start a server. Raises BrokenRunError."""
    archives = folder / "archives"
    archives.mkdir(parents=True)
    download = ["apt-get", "download", "--quiet=2", *packages]
    if subprocess.run(download, cwd=archives, capture_output=True, check=False).returncode:
        subprocess.run(["apt-get", "update", "--quiet=2"], stdout=subprocess.DEVNULL, check=False)
        if subprocess.run(download, cwd=archives, check=False).returncode:
            raise BrokenRunError(f"Debian's packages {' '.join(packages)} cannot be had")
    for archive in archives.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", archive, folder], check=True)


def version_of(tool: str) -> str:
    """Give the version of a tool's package."""
    command = ["dpkg-query", "--show", "--showformat=${Version}", tool]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout or "not a package"
