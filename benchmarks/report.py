"""What the run found, for people and for programs."""

import json
import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.server import version

HEADINGS = ("what", "median", "spread", "for orientation")


@dataclass(frozen=True)
class Row:
    """One finding: as words for the table, and its plain numbers for programs."""

    what: str
    median: str
    spread: str
    context: str
    numbers: dict[str, float]


def cost_row(what: str, rounds: Sequence[tuple[float, float]]) -> Row:
    """Report how many times the CPU time (microseconds) of the second kind of request the first takes."""
    low, median, high = statistics.quantiles([first / second for first, second in rounds], n=4)
    first, second = (statistics.median(times) for times in zip(*rounds, strict=False))
    return Row(
        what,
        f"{median:.3f}",
        f"{low:.3f} to {high:.3f}",
        f"{first:.1f} against {second:.1f} µs of CPU time",
        {"ratio": median, "lower_quartile": low, "upper_quartile": high, "first_us": first, "second_us": second},
    )


def instructions_row(what: str, first: float, second: float) -> Row:
    """Report how many times the instructions of the second kind of request the first takes."""
    numbers = {"ratio": first / second, "first_instructions": first, "second_instructions": second}
    return Row(what, f"{first / second:.3f}", "", f"{first:,.0f} against {second:,.0f} instructions", numbers)


def delay_row(what: str, delays: Sequence[float]) -> Row:
    """Report delays in microseconds."""
    median, best, worst = statistics.median(delays), min(delays), max(delays)
    numbers = {"median_us": median, "best_us": best, "worst_us": worst}
    return Row(what, f"{median:.0f} µs", f"{best:.0f} to {worst:.0f} µs", f"{len(delays)} flips", numbers)


def count_row(what: str, count: int, total: int) -> Row:
    """Report how many of a number of requests there were."""
    return Row(what, str(count), "", f"of {total} requests", {"count": count, "of": total})


def machine() -> dict[str, str]:
    """Tell what the run ran on."""
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "load before": f"{os.getloadavg()[0]:.2f}",
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Nginx": version(),
        "Python": platform.python_version(),
    }


def table(rows: Sequence[Row]) -> str:
    """Align the rows below their headings."""
    lines = [HEADINGS, *((row.what, row.median, row.spread, row.context) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=False)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip() for line in lines
    )


def write_json(path: Path, facts: dict[str, str], rows: Sequence[Row]) -> None:
    """Write everything as one JSON document."""
    document = {"machine": facts, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
