"""Placing things along a time axis, in whatever unit a picture counts: columns or pixels."""

from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


@dataclass(frozen=True, slots=True)
class Band:
    """A labelled stretch from ``start`` to ``end`` whose label, set at its start, is ``label`` wide."""

    start: float
    end: float
    label: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where a band's label goes: ``row`` counts from 0 at the top, ``x`` is where the label begins."""

    row: int
    x: float


def place(bands: Sequence[Band], limit: float) -> list[Place]:
    """Return a place for each band's label, so that no label touches a band or label of its row.

    A label that would run over ``limit`` moves left until it ends there.
    """
    rows: list[list[tuple[float, float]]] = []
    places = []
    for band in bands:
        x = max(0.0, min(band.start, limit - band.label))
        extent = (min(x, band.start), max(x + band.label, band.end))
        row = next((i for i, taken in enumerate(rows) if _fits(extent, taken)), len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(extent)
        places.append(Place(row, x))
    return places


def _fits(extent: tuple[float, float], taken: Sequence[tuple[float, float]]) -> bool:
    return all(extent[1] <= start or end <= extent[0] for start, end in taken)


def ticks(seconds: float, room: int) -> list[int]:
    """Return the whole seconds from 0 to mark on an axis of ``seconds`` with room for ``room`` marks."""
    step = next((step for step in _STEPS if seconds / step < room), _STEPS[-1])
    return list(range(0, int(seconds) + 1, step))
