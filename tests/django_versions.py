"""Run the Django app's tests over every Django that it supports, each with the oldest Python on PATH that fits.

The package is installed by pip too, as a site would do it, and one of them measures that the tests reach every branch. Says plainly
which versions could not be run here.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = CHECKOUT / "roles/django_release/files/django-intermission"
PYTHONS = [f"python3.{minor}" for minor in range(9, 15)] + ["python3"]
INSTALL = ["-m", "pip", "-q", "--disable-pip-version-check", "install", "--no-compile"]
INSTALLED_WORKS = (
    "from django_intermission.answer import built_in; built_in('maintenance.html'); built_in('announcement.html')"
)


@dataclass(frozen=True)
class Lane:
    """A Django release, and the minor versions of Python 3 that it runs on."""

    django: str
    oldest: int
    newest: int


LANES = (Lane("4.2.30", 9, 12), Lane("5.2.19", 10, 14), Lane("6.1.3", 12, 14))


def candidates() -> Iterator[str]:
    """Give what may be a Python: what is on PATH, and what pyenv has without having been told to use it."""
    for name in PYTHONS:
        path = shutil.which(name)
        if path is not None:
            yield path
            if Path(path).parent.name == "shims":
                yield from map(str, sorted(Path(path).parent.parent.glob(f"versions/3.*/bin/{name}")))


def interpreters() -> dict[int, str]:
    """Find what really runs: the path of each minor version of Python 3."""
    found: dict[int, str] = {}
    for path in candidates():
        script = "import sys, ensurepip, venv; print(sys.version_info.minor)"
        run = subprocess.run([path, "-c", script], capture_output=True, text=True, check=False)
        if run.returncode == 0:
            found.setdefault(int(run.stdout), path)
    return found


def constraints(django: str) -> str:
    """Give constraints.txt with this Django, and without what each Django wants another version of."""
    text = (CHECKOUT / "constraints.txt").read_text(encoding="utf-8")
    return re.sub(r"^(django|asgiref|sqlparse)==.*\n", "", text, flags=re.MULTILINE) + f"django=={django}\n"


def measured(lane: Lane) -> list[str]:
    """Give what measures the coverage of the tests, in one of the lanes."""
    return ["coverage", "run", "-m"] if lane is LANES[1] else []


def passes(lane: Lane, python: str) -> bool:
    """Make the virtual environment of a lane, and run the tests in it."""
    place = CHECKOUT / ".venv" / f"django-{lane.django}"
    shutil.rmtree(place, ignore_errors=True)
    group = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["django"]
    own = str(place / "bin" / "python")
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "package"
        shutil.copytree(PACKAGE, copy)
        pins = Path(scratch) / "constraints.txt"
        pins.write_text(constraints(lane.django), encoding="utf-8")
        commands: list[tuple[list[str], Optional[str]]] = [
            ([python, "-m", "venv", str(place)], None),
            ([own, *INSTALL, "-c", str(pins), *group, str(copy)], None),
            ([own, "-I", "-c", INSTALLED_WORKS], scratch),
            (
                [own, "-m", *measured(lane), "pytest", "-q", "-p", "no:cacheprovider", "tests/django_layer"],
                str(CHECKOUT),
            ),
        ]
        if measured(lane):
            commands.append(([own, "-m", "coverage", "report"], str(CHECKOUT)))
        return all(subprocess.run(command, cwd=cwd, check=False).returncode == 0 for command, cwd in commands)


def main() -> None:
    """Run the lanes; the exit status is 1 where one has failed, or none could be run."""
    found = interpreters()
    lines, results = [], []
    for lane in LANES:
        fitting = [minor for minor in sorted(found) if lane.oldest <= minor <= lane.newest]
        if not fitting:
            lines.append(f"Django {lane.django}: NOT RUN, no Python 3.{lane.oldest} to 3.{lane.newest} is on PATH")
            continue
        results.append(passes(lane, found[fitting[0]]))
        lines.append(f"Django {lane.django} on Python 3.{fitting[0]}: {'passed' if results[-1] else 'FAILED'}")
    print("\n".join(lines))
    sys.exit(not results or not all(results))


if __name__ == "__main__":
    main()
