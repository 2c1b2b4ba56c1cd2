"""The facts of a record, worked out from its answers: no input, no output, no opinion on layout.

An answer belongs to the moment its request started: that is when it met the site as it was.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from probe.record import Answer, Run
from probe.verdict import FALLBACK, MAINTENANCE, app_kind, is_app, is_unexpected


@dataclass(frozen=True, slots=True)
class Period:
    """An unbroken row of ``answers`` maintenance answers, in seconds since the run began."""

    start: float
    end: float
    answers: int

    @property
    def seconds(self) -> float:
        """How long it was."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the app took for its correct answers, in seconds."""

    median: float
    p95: float
    longest: float


@dataclass(frozen=True, slots=True)
class Facts:
    """What a record says.

    ``versions`` are the app's in the order first seen; ``classes`` counts the answers of each class, in
    the order app, maintenance, fallback, then the rest by frequency; ``maintenance`` has the periods
    of each node; ``latency`` is None when the app never answered.
    """

    total: int
    versions: tuple[str, ...]
    classes: dict[str, int]
    maintenance: dict[str, tuple[Period, ...]]
    latency: Latency | None
    unexpected: tuple[Answer, ...]


def gather(run: Run, answers: Sequence[Answer], allow_fallback: bool) -> Facts:
    """Return the facts of ``answers``, which are in the order of their start."""
    versions = tuple(dict.fromkeys(answer.version for answer in answers if is_app(answer.kind)))
    return Facts(
        total=len(answers),
        versions=versions,
        classes=_classes(answers, versions),
        maintenance={node: _maintenance(run, answers, node) for node in run.nodes},
        latency=_latency(answers),
        unexpected=tuple(answer for answer in answers if is_unexpected(answer.kind, allow_fallback)),
    )


def _classes(answers: Sequence[Answer], versions: Sequence[str]) -> dict[str, int]:
    counts = Counter(answer.kind for answer in answers)
    usual = [*(app_kind(version) for version in versions), MAINTENANCE, FALLBACK]
    ordered = {kind: counts.pop(kind) for kind in usual if kind in counts}
    return ordered | dict(counts.most_common())


def _maintenance(run: Run, answers: Sequence[Answer], node: str) -> tuple[Period, ...]:
    own = (answer for answer in answers if answer.node == node)
    rows = (list(row) for kind, row in groupby(own, lambda answer: answer.kind) if kind == MAINTENANCE)
    return tuple(_period(run, row) for row in rows)


def _period(run: Run, row: Sequence[Answer]) -> Period:
    return Period(row[0].started - run.started, row[-1].ended - run.started, len(row))


def _latency(answers: Sequence[Answer]) -> Latency | None:
    seconds = sorted(answer.latency for answer in answers if is_app(answer.kind))
    if not seconds:
        return None
    return Latency(_percentile(seconds, 50), _percentile(seconds, 95), seconds[-1])


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the nearest-rank percentile: a value that was really measured."""
    return ordered[math.ceil(len(ordered) * percent / 100) - 1]


def end_of(run: Run, answers: Sequence[Answer]) -> float:
    """Return the length of the record in seconds: to its last answer, and never 0."""
    return max(max(answer.ended for answer in answers) - run.started, 0.001)
