"""The files of the command ``intermission`` on a host.

The command is one zip that Python runs, made of this collection's own modules: not compressed and dated to the epoch of
zip, so that the same version is the same bytes whatever made it.
"""

from __future__ import annotations

import hashlib
import importlib
import io
import re
import zipfile
from pathlib import Path
from typing import Optional

from ansible_collections.intermission.django.plugins.module_utils import command_line
from ansible_collections.intermission.django.plugins.module_utils.command_help import completion, man_page

PACKAGE = command_line.__name__.rpartition(".")[0]
PARTS = (
    "account",
    "command_line",
    "controller",
    "deploy",
    "files",
    "hold",
    "hooks",
    "icalendar",
    "job",
    "metrics",
    "recurrence",
    "schedule",
    "share",
    "sockets",
    "state",
    "terminal",
    "times",
    "window_job",
    "window_job_run",
)
INTERPRETER = b"#!/usr/bin/python3 -I\n"
MODE = 0o755
HELP_MODE = 0o644
COMPLETIONS = "bash-completion/completions"
MANUALS = "man/man1"
SHARED = (COMPLETIONS, "bash-completion", MANUALS)
MAIN = """\
import sys

from {package}.command_line import main

VERSION = {version!r}

sys.exit(main(sys.argv[1:], {state_root!r}, {hooks!r}))
"""


def files(
    path: Path, state_root: str, hooks: Optional[str] = None, share: Optional[Path] = None
) -> dict[Path, tuple[bytes, int]]:
    """Give content and mode of each file: the command and, below ``share``, its completion and its manual page."""
    wanted = {path: (build(state_root, hooks), MODE)}
    if share:
        wanted[share / COMPLETIONS / path.name] = (completion(path.name, state_root).encode(), HELP_MODE)
        wanted[share / MANUALS / f"{path.name}.1"] = (man_page(path.name, state_root, hooks).encode(), HELP_MODE)
    return wanted


def build(state_root: str, hooks: Optional[str] = None) -> bytes:
    """Make the command for the sites below a directory, with the hooks of another."""
    packages = [PACKAGE.split(".")[: depth + 1] for depth in range(PACKAGE.count(".") + 1)]
    contents = {"/".join([*package, "__init__.py"]): "" for package in packages}
    contents.update({f"{PACKAGE.replace('.', '/')}/{part}.py": _source(part) for part in PARTS})
    contents["__main__.py"] = MAIN.format(
        package=PACKAGE, version=command_line.VERSION, state_root=state_root, hooks=hooks
    )
    stream = io.BytesIO()
    stream.write(INTERPRETER)
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in sorted(contents.items()):
            about = zipfile.ZipInfo(name)
            about.create_system = 3
            archive.writestr(about, content.encode())
    return stream.getvalue()


def _source(part: str) -> str:
    """Give the source of a module, also out of the zip that Ansible has brought to the host."""
    name = f"{PACKAGE}.{part}"
    source: str = importlib.import_module(name).__loader__.get_source(name)  # type: ignore[union-attr]
    return source


def describe(content: Optional[bytes]) -> str:
    """Tell what a file is, for a diff: of the command version and digest; empty where there is none."""
    if content is None:
        return ""
    if not content.startswith(b"#!"):
        return content.decode(errors="replace")
    version = re.search(rb"^VERSION = '([^']+)'$", content, re.MULTILINE)
    return f"version: {version.group(1).decode() if version else 'unknown'}\nsha256: {hashlib.sha256(content).hexdigest()}\n"


def installed(path: Path) -> tuple[Optional[bytes], Optional[int]]:
    """Give content and mode of the file that is there, None and None where there is none. Raises OSError."""
    try:
        return path.read_bytes(), path.stat().st_mode & 0o7777
    except FileNotFoundError:
        return None, None
