"""How the kinds of answer look in the pictures: glyphs for the terminal, colours for both."""

from collections.abc import Sequence
from dataclasses import dataclass

from probe.facts import Facts
from probe.record import Answer
from probe.verdict import FALLBACK, MAINTENANCE, app_kind, is_app

# Not "unexpected", which is what the fallback page mostly is as well.
UNEXPECTED = "anything else"


@dataclass(frozen=True, slots=True)
class Look:
    """The look of one kind of answer: ``ansi`` is an SGR parameter, ``colour`` is for the PNG."""

    glyph: str
    ansi: str
    colour: str


# By version in the order first seen; a run that meets still more versions shows them like the last.
_APP = (
    Look("·", "2", "#8CA0B3"),
    Look("•", "32", "#2C9C5A"),
    Look("o", "36", "#1B87A6"),
    Look("+", "34", "#3F5BC4"),
)
_MAINTENANCE = Look("#", "33", "#F2A516")
_FALLBACK = Look("x", "35", "#8A4FC7")
_UNEXPECTED = Look("!", "1;31", "#DC2438")


def looks_of(versions: Sequence[str]) -> dict[str, Look]:
    """Return the look of every kind of answer, by name, the best kind first and the worst last."""
    apps = {app_kind(version): _APP[min(i, len(_APP) - 1)] for i, version in enumerate(versions)}
    return apps | {MAINTENANCE: _MAINTENANCE, FALLBACK: _FALLBACK, UNEXPECTED: _UNEXPECTED}


def look_name(answer: Answer) -> str:
    """Return under which name ``looks_of`` has the answer's look."""
    return answer.kind if is_app(answer.kind) or answer.kind in (MAINTENANCE, FALLBACK) else UNEXPECTED


def legend(facts: Facts) -> list[tuple[str, Look, int]]:
    """Return name, look and count of every kind of answer there is, best first."""
    looks = looks_of(facts.versions)
    counts = {name: facts.classes.get(name, 0) for name in looks}
    counts[UNEXPECTED] = facts.total - sum(counts.values())
    return [(name, looks[name], count) for name, count in counts.items() if count]
