"""Run make targets side by side, in their order, and tell at a glance how each went.

What a target writes goes to .logs/<target>.log; of one that fails the end is shown, and the tests that failed are named
once more when all is over. Most targets wait for their hosts half of the time, so that a few of them share two cores
well; one that does two things at a time itself counts as two::

    python tests/everything.py --jobs 3 e2e:2 molecule-default unit
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
LOGS = CHECKOUT / ".logs"
SHOWN_LINES = 60


@dataclass(frozen=True)
class Outcome:
    """How a target went: seconds it took, how many tests passed in it, and pytest's lines about those that failed."""

    target: str
    succeeded: bool
    seconds: float
    passed: int
    failures: tuple[str, ...]


def run(target: str) -> Outcome:
    """Run one target."""
    log = LOGS / f"{target}.log"
    started = time.monotonic()
    with log.open("wb") as stream:
        status = subprocess.call(["make", target], cwd=CHECKOUT, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
    # Without colours, and out of the frame that Molecule draws around what its verifier says
    written = re.sub(r"^ *│ ", "", re.sub(r"\x1b\[[0-9;]*m", "", log.read_text(errors="replace")), flags=re.MULTILINE)
    passed = sum(int(count) for count in re.findall(r"(\d+) passed", written))
    failures = tuple(re.findall(r"^(?:FAILED|ERROR) \S+::.*", written, re.MULTILINE))
    return Outcome(target, status == 0, time.monotonic() - started, passed, failures)


def clock(seconds: float) -> str:
    """Write minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def side_by_side(targets: Mapping[str, int], jobs: int) -> Iterator[Outcome]:
    """Run targets, each counting as so many jobs, as many at a time as there is room for; give each when it has ended."""
    waiting, running = dict(targets), dict[Future[Outcome], int]()
    with ThreadPoolExecutor(jobs) as pool:
        while waiting or running:
            for target, size in list(waiting.items()):
                if size <= jobs - sum(running.values()):
                    running[pool.submit(run, target)] = waiting.pop(target)
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                del running[future]
                yield future.result()


def main() -> None:
    """Run all targets; the exit status is 1 where one has failed."""
    parser = argparse.ArgumentParser(description="Run make targets side by side.")
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("targets", nargs="+", metavar="TARGET[:JOBS]")
    options = parser.parse_args()
    LOGS.mkdir(exist_ok=True)
    began = time.monotonic()
    outcomes: list[Outcome] = []
    parts = [target.partition(":") for target in options.targets]
    for outcome in side_by_side({target: min(int(jobs or 1), options.jobs) for target, _, jobs in parts}, options.jobs):
        outcomes.append(outcome)
        word = "ok" if outcome.succeeded else "FAILED"
        took, now = clock(outcome.seconds), clock(time.monotonic() - began)
        print(f"{now:>6}  {word:<7} {outcome.target:<24} {outcome.passed:>5} passed  in {took}", flush=True)
        if not outcome.succeeded:
            lines = (LOGS / f"{outcome.target}.log").read_text(errors="replace").splitlines()
            print("\n".join(lines[-SHOWN_LINES:]), flush=True)
    failed = [outcome.target for outcome in outcomes if not outcome.succeeded]
    total = sum(outcome.passed for outcome in outcomes)
    for outcome in outcomes:
        for line in outcome.failures:
            print(f"{outcome.target}: {line}")
    print(f"{total} tests passed in {clock(time.monotonic() - began)}; failed: {', '.join(failed) or 'none'}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
