"""The picture of a run in text: a row per node, time from left to right."""

from collections.abc import Sequence

from probe.facts import Facts, end_of
from probe.layout import Band, place, ticks
from probe.looks import Look, legend, look_name, looks_of
from probe.record import Answer, Phase, Run

_TICK_ROOM = 8


class Chart:
    """A drawing of one record."""

    def __init__(self, run: Run, answers: Sequence[Answer], facts: Facts, width: int, colour: bool) -> None:
        """Draw ``width`` columns wide, but at least 20 of time; ``colour`` adds ANSI colours."""
        self._run = run
        self._answers = answers
        self._facts = facts
        self._looks = looks_of(facts.versions)
        self._colour = colour
        self._margin = max(len(node) for node in run.nodes) + 2
        self._columns = max(width - self._margin, 20)
        self._seconds = end_of(run, answers)

    def lines(self, phases: Sequence[Phase]) -> list[str]:
        """Return the lines: phases, a lane per node, the axis, the legend."""
        lanes = [f"{node:<{self._margin}}{self._lane(node)}".rstrip() for node in self._run.nodes]
        indent = " " * self._margin
        above = [indent + row for row in self._phase_rows(phases)]
        return [*above, *lanes, indent + self._axis(), "", self._legend()]

    def _column(self, second: float) -> int:
        return min(max(int(second / self._seconds * self._columns), 0), self._columns - 1)

    def _lane(self, node: str) -> str:
        looks = self._looks
        ranks = {name: rank for rank, name in enumerate(looks)}
        worst: list[str | None] = [None] * self._columns
        for answer in (answer for answer in self._answers if answer.node == node):
            column, name = self._column(answer.started - self._run.started), look_name(answer)
            seen = worst[column]
            if seen is None or ranks[name] > ranks[seen]:
                worst[column] = name
        return "".join(" " if name is None else self._paint(looks[name]) for name in worst)

    def _paint(self, look: Look) -> str:
        return f"\x1b[{look.ansi}m{look.glyph}\x1b[0m" if self._colour else look.glyph

    def _phase_rows(self, phases: Sequence[Phase]) -> list[str]:
        bands = [self._band(phase) for phase in phases]
        places = place(bands, self._columns)
        rows = [[" "] * self._columns for _ in range(1 + max((spot.row for spot in places), default=-1))]
        for phase, band, spot in zip(phases, bands, places, strict=True):
            row, start, end = rows[spot.row], int(band.start), int(band.end)
            row[start:end] = "─" * (end - start)
            label = f"├{phase.name}"[: self._columns]
            row[int(spot.x) : int(spot.x) + len(label)] = label
        return ["".join(row).rstrip() for row in rows]

    def _band(self, phase: Phase) -> Band:
        start = self._column(phase.start - self._run.started)
        end = self._column(phase.end - self._run.started)
        return Band(start, max(end, start + 1), min(len(phase.name) + 2, self._columns))

    def _axis(self) -> str:
        row = [" "] * self._columns
        for second in ticks(self._seconds, self._columns // _TICK_ROOM):
            label = f"{second} s"
            column = min(self._column(second), self._columns - len(label))
            row[column : column + len(label)] = label
        return "".join(row).rstrip()

    def _legend(self) -> str:
        return "   ".join(f"{self._paint(look)} {name}" for name, look, _ in legend(self._facts))
