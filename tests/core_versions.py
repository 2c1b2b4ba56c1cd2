"""Run the unit tests, also those that start Ansible, with each ansible-core that needs another Python than `make test` has.

Says plainly which versions could not be run here.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from django_versions import CHECKOUT, INSTALL, interpreters

CORES = ("2.20.10", "2.21.5")
OLDEST = 12


def passes(core: str, python: str) -> bool:
    """Make a virtual environment with a version of ansible-core, and run the tests in it."""
    place = CHECKOUT / ".venv" / f"core-{core}"
    own = str(place / "bin" / "python")
    text = (CHECKOUT / "constraints.txt").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        pins = Path(scratch) / "constraints.txt"
        pins.write_text(re.sub(r"^ansible-core==.*\n", "", text, flags=re.MULTILINE) + f"ansible-core=={core}\n")
        commands = (
            [python, "-m", "venv", "--clear", str(place)],
            [own, *INSTALL, "-c", str(pins), "pip"],
            [own, *INSTALL, "-c", str(pins), "--group", "check"],
            [own, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit"],
        )
        return all(subprocess.run(command, cwd=CHECKOUT, check=False).returncode == 0 for command in commands)


def main() -> None:
    """Run each; the exit status is 1 where one has failed, or none could be run."""
    fitting = {minor: path for minor, path in sorted(interpreters().items()) if minor >= OLDEST}
    if not fitting:
        sys.exit(f"ansible-core {' and '.join(CORES)}: NOT RUN, no Python 3.{OLDEST} or later is on PATH")
    minor, python = next(iter(fitting.items()))
    results = {core: passes(core, python) for core in CORES}
    for core, passed in results.items():
        print(f"ansible-core {core} on Python 3.{minor}: {'passed' if passed else 'FAILED'}")
    sys.exit(not all(results.values()))


if __name__ == "__main__":
    main()
