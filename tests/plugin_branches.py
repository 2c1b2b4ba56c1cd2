"""Count the branches of plugins/ that the unit tests, and those of Nginx and the doctor, reach, in all processes that they start.

What runs from a module's copy on a host is not counted, as its file is another. The exit status is 1 where fewer are reached than
the bound, or where a test has failed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

from django_versions import CHECKOUT

BOUND = 95.0  # Percent
FOLDERS = ("tests/unit", "tests/nginx", "tests/doctor")
PLACE = CHECKOUT / ".logs/coverage"


def coverage(command: str, *arguments: str) -> int:
    """Run one of coverage's commands; gives its exit status."""
    return subprocess.call(
        [sys.executable, "-m", "coverage", command, "--rcfile=.config/coverage.ini", *arguments], cwd=CHECKOUT
    )


def main() -> None:
    """Measure, and list the files that have branches left, those with most of them first."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    failed = coverage("run", "-m", "pytest", "-q", "-p", "no:cacheprovider", *FOLDERS)
    failed |= coverage("combine", "--quiet") or coverage("json", "--quiet", "-o", str(PLACE / "report.json"))
    report = json.loads((PLACE / "report.json").read_text(encoding="utf-8"))
    left = {name: file["missing_branches"] for name, file in report["files"].items() if file["missing_branches"]}
    for name, branches in sorted(left.items(), key=lambda item: -len(item[1])):
        lines = sorted({str(start) for start, _ in branches}, key=int)
        print(f"{len(branches):3} in {name}: {', '.join(lines)}")
    totals = report["totals"]
    reached = 100 * totals["covered_branches"] / totals["num_branches"]
    print(f"{reached:.1f}% of {totals['num_branches']} branches of plugins/ are reached; the bound is {BOUND:g}%")
    sys.exit(bool(failed) or reached < BOUND)


if __name__ == "__main__":
    main()
