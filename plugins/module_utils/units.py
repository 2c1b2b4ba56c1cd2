"""The systemd units of a site: written together, loaded, enabled, and removed when they are no longer wanted (systemd.unit(5)).

A unit belongs to the site whose mark its second line has. Units of other origin are never written over. A unit may name a file that it
writes in a line ``# Writes: /path``, which goes with the unit.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Optional

from ansible_collections.intermission.django.plugins.module_utils.files import sync_directory, write_file

CLOCKS = (".timer", ".path")
WRITES = re.compile(r"^# Writes: (/.+)$", re.MULTILINE)
VENDOR_DIRECTORIES = ("/usr/lib/systemd/system", "/lib/systemd/system")


class UnitError(Exception):
    """The units cannot be installed; the message says why and what to set."""


def mark(site: str) -> str:
    """Give the line that says whose a unit is."""
    return f"# Intermission: {site}"


class Units:
    """The units of one site in a directory of unit files."""

    def __init__(self, site: str, directory: str = "/etc/systemd/system", part: str = "") -> None:
        """Name the site, and the part of it that has units for itself; nothing is read yet."""
        self.site = site
        self.mark = mark(f"{site} {part}".strip())
        self.advice = "rename it, or remove it" if part else "set django_release_service to a name that is free"
        self.directory = Path(directory)

    def installed(self) -> dict[str, str]:
        """Read the units that the site has."""
        found = {}
        for path in sorted(self.directory.glob("*.*")):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                text = path.read_text(encoding="utf-8") if path.is_file() and not path.is_symlink() else ""
                if self.mark in text.splitlines()[:3]:
                    found[path.name] = text
        return found

    def marked(self, units: Mapping[str, str]) -> dict[str, str]:
        """Give units, name to content, with the mark of the site."""
        return {name: f"{self.mark}\n{text}" for name, text in units.items()}

    def changed(self, units: Mapping[str, str]) -> list[str]:
        """List the units, given without the mark, that the site has with another content. Raises UnitError as ``changes``."""
        return [
            name for name, (old, new) in self.changes(self.marked(units)).items() if old is not None and new is not None
        ]

    def changes(self, wanted: Mapping[str, str]) -> dict[str, tuple[Optional[str], Optional[str]]]:
        """Find what differs: name to (content before, content after); None stands for a unit that is not there.

        Raises UnitError where a wanted name is taken by a unit of other origin.
        """
        have = self.installed()
        for name in wanted:
            places = [self.directory, *map(Path, VENDOR_DIRECTORIES)]
            taken = next((place / name for place in places if (place / name).exists() and name not in have), None)
            if taken:
                raise UnitError(f"{taken} is there and is not {self.site}'s: {self.advice}")
        names = sorted({*have, *wanted})
        return {name: (have.get(name), wanted.get(name)) for name in names if have.get(name) != wanted.get(name)}

    def install(self, wanted: Mapping[str, str]) -> bool:
        """Bring the units to their content, load and enable them; gives whether anything had to be done.

        Units that are no longer wanted are stopped and removed, behind the files that only they write. A socket whose unit has
        changed is closed, to be opened anew when the app starts; timers and paths are started. Where systemd does not take a unit,
        the former ones are put back. What was cut short is finished by the next run. Raises UnitError and OSError.
        """
        changes = self.changes(wanted)
        if not changes and not (wanted and unfinished(wanted)):
            return False
        gone = [name for name, (_old, new) in changes.items() if new is None]
        if gone:
            systemctl("disable", "--now", *gone)
        for file in written(old for old, _new in changes.values()) - written(wanted.values()):
            Path(file).unlink(missing_ok=True)
        self._write({name: new for name, (_old, new) in changes.items()})
        refused = refusals(wanted)
        if refused:
            self._write({name: old for name, (old, _new) in changes.items()})
            raise UnitError(f"systemd does not take the units: {refused}")
        if wanted:
            systemctl("enable", *wanted)
        clocks = [name for name in wanted if name.endswith(CLOCKS)]
        if clocks:
            systemctl("restart", *clocks)
        sockets = [name for name, (old, new) in changes.items() if name.endswith(".socket") and old and new]
        if sockets:
            systemctl("stop", *sockets, *(name.replace(".socket", ".service") for name in sockets))
        return True

    def _write(self, contents: Mapping[str, Optional[str]]) -> None:
        for name, content in contents.items():
            path = self.directory / name
            if content is not None:
                write_file(path, content.encode(), 0o644)
            else:
                path.unlink(missing_ok=True)
                sync_directory(self.directory)
        systemctl("daemon-reload")


def written(texts: Iterable[Optional[str]]) -> set[str]:
    """Name the files that units say they write."""
    return {file for text in texts for file in WRITES.findall(text or "")}


def kept(file: Path) -> dict[str, str]:
    """Read the units that an environment was run with, by name, without the mark; ``{}`` where none were kept.

    Raises UnitError where the file cannot be understood.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UnitError(f"{file} is damaged: remove it, and deploy again") from error
    return {str(name): str(text) for name, text in content.items()}


def keep(file: Path, units: Mapping[str, str]) -> None:
    """Keep the units that an environment is run with, so that a way back to it finds them. Raises OSError."""
    file.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_file(file, json.dumps(units).encode(), 0o600)


def unfinished(names: Mapping[str, str]) -> list[str]:
    """List the units that systemd has not read since they were written, or that do not start at boot yet, and clocks that stand."""
    shown = systemctl("show", "--property=Id,UnitFileState,NeedDaemonReload,ActiveState", *names)
    states = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in shown.split("\n\n")]
    found = []
    for state in filter(None, states):
        wanted = {"UnitFileState": "enabled", "NeedDaemonReload": "no"}
        wanted.update({"ActiveState": "active"} if state["Id"].endswith(CLOCKS) else {})
        if {**state, **wanted} != state:
            found.append(state["Id"])
    return found


def refusals(names: Mapping[str, str]) -> str:
    """Say which units systemd could not load and why; nothing where it took all."""
    faults = []
    for name in names:
        shown = systemctl("show", "--property=LoadState,LoadError", name)
        state = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        if state.get("LoadState") != "loaded":
            faults.append(f"{name}: {state.get('LoadState')} {state.get('LoadError', '')}".strip())
    return "; ".join(faults)


def systemctl(*arguments: str) -> str:
    """Run systemctl(1) and give what it printed. Raises UnitError where it fails."""
    result = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, errors="replace", check=False)
    if result.returncode != 0:
        raise UnitError(f"`systemctl {' '.join(arguments)}` ended with {result.returncode}: {result.stderr.strip()}")
    return result.stdout
