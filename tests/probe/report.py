"""The report of a record, in words for people or as one JSON document for programs."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from probe.facts import Facts, Period
from probe.record import Answer, Phase, Run

_SHOWN = 10


def words(run: Run, facts: Facts, picture: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the report for people, with ``picture`` last."""
    yield f"{facts.total} answers from {', '.join(run.nodes)} at {run.rate:g} requests/s each"
    yield _health(run)
    yield ""
    yield from _table([(kind, str(count)) for kind, count in facts.classes.items()])
    yield ""
    yield from (f"maintenance seen on {node}: {_periods(row)}" for node, row in facts.maintenance.items())
    yield f"latency of app answers: {_latency(facts)}"
    yield ""
    yield f"unexpected answers: {len(facts.unexpected)}"
    yield from (f"  {_describe(run, answer)}" for answer in facts.unexpected[:_SHOWN])
    if more := len(facts.unexpected[_SHOWN:]):
        yield f"  and {more} more"
    yield ""
    yield from picture


def _health(run: Run) -> str:
    if run.ended is None:
        return "the probe did not finish: requests under way at its end are missing"
    return f"schedule kept to within {run.late * 1000:.0f} ms, {run.cpu_seconds:.1f} s of CPU"


def _table(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    name_width = max(len(name) for name, _ in rows)
    count_width = max(len(count) for _, count in rows)
    return (f"  {name:<{name_width}}  {count:>{count_width}}" for name, count in rows)


def _periods(periods: Sequence[Period]) -> str:
    if not periods:
        return "never"
    spans = ", ".join(f"{period.start:.1f} s to {period.end:.1f} s" for period in periods)
    return f"{sum(period.seconds for period in periods):.1f} s ({spans})"


def _latency(facts: Facts) -> str:
    if facts.latency is None:
        return "none"
    return ", ".join(f"{name} {seconds * 1000:.0f} ms" for name, seconds in asdict(facts.latency).items())


def _describe(run: Run, answer: Answer) -> str:
    when = f"{answer.started - run.started:.2f} s"
    status = "no status" if answer.status is None else f"status {answer.status}"
    why = f"{answer.kind} ({answer.detail})" if answer.detail else answer.kind
    return f"{when} {answer.node} {answer.method} {answer.path}: {why}, {status}, {answer.connection} connection"


def document(run: Run, facts: Facts, phases: Sequence[Phase]) -> dict[str, Any]:
    """Return the facts as one JSON document; times of periods and phases are seconds since the start."""
    return {
        "run": asdict(run),
        "total": facts.total,
        "classes": facts.classes,
        "versions": list(facts.versions),
        "maintenance": {node: [_span(period) for period in row] for node, row in facts.maintenance.items()},
        "latency_seconds": None if facts.latency is None else asdict(facts.latency),
        "unexpected": len(facts.unexpected),
        "first_unexpected": [answer.to_json() for answer in facts.unexpected[:_SHOWN]],
        "phases": [
            {"name": phase.name, "start": phase.start - run.started, "end": phase.end - run.started} for phase in phases
        ],
    }


def _span(period: Period) -> dict[str, float]:
    return asdict(period) | {"seconds": period.seconds}
