"""The picture of a run as a PNG, meant for the top of a README."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from probe.facts import Facts, end_of
from probe.layout import Band, place, ticks
from probe.looks import UNEXPECTED, legend, look_name, looks_of
from probe.record import Answer, Phase, Run

WIDTH = 1600
_EDGE, _RIGHT = 40, WIDTH - 86
_PHASE_TOP, _PHASE_ROW = 132, 38
_LANE, _LANE_GAP, _STRIP = 176, 22, 20
_BELOW = 130
_NAME_SIZE = 26
# Drawn larger and scaled down: Pillow itself has no smooth edges for dots and lines.
_SCALE = 2

_FASTEST, _SLOWEST = 0.001, 10.0
_GUIDES = ((0.001, "1 ms"), (0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"), (10.0, "10 s"))
_LASTING = 0.5

_INK, _SOFT, _RULE, _FAINT = "#1D2733", "#66727F", "#AEB9C4", "#D8DFE6"
_PHASE_TINTS = ("#F4F7FA", "#E9EFF5")
_GOOD = "#1E8449"


class _Canvas:
    """A drawing surface in the picture's own pixels, whatever the scale it is drawn at."""

    def __init__(self, height: float) -> None:
        self._image = Image.new("RGB", (WIDTH * _SCALE, round(height) * _SCALE), "white")
        self._draw = ImageDraw.Draw(self._image)

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        # Pillow includes the last pixel; without this, neighbouring boxes would overlap.
        corners = (left * _SCALE, top * _SCALE, right * _SCALE - 1, bottom * _SCALE - 1)
        self._draw.rectangle((*corners[:2], max(corners[0], corners[2]), corners[3]), fill=colour)

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> None:
        ends = (x1 * _SCALE, y1 * _SCALE, x2 * _SCALE, y2 * _SCALE)
        self._draw.line(ends, fill=colour, width=round(width * _SCALE))

    def dot(self, x: float, y: float, radius: float, colour: str) -> None:
        edges = (x - radius, y - radius, x + radius, y + radius)
        self._draw.ellipse([edge * _SCALE for edge in edges], fill=colour)

    def text(self, x: float, y: float, text: str, size: int, colour: str, anchor: str, halo: str = "") -> None:
        """Write ``text``; a ``halo`` colour interrupts what runs behind it."""
        spot, font = (x * _SCALE, y * _SCALE), ImageFont.load_default(size=size * _SCALE)
        if halo:
            self._draw.text(spot, text, font=font, fill=halo, anchor=anchor, stroke_width=4 * _SCALE)
        self._draw.text(spot, text, font=font, fill=colour, anchor=anchor)

    def text_width(self, text: str, size: int) -> float:
        return self._draw.textlength(text, font=ImageFont.load_default(size=size * _SCALE)) / _SCALE

    def save(self, path: Path) -> None:
        self._image.reduce(_SCALE).save(path, format="PNG", optimize=True)


def save_picture(path: Path, run: Run, answers: Sequence[Answer], facts: Facts, phases: Sequence[Phase]) -> None:
    """Draw the record into ``path``, 1600 pixels wide and as high as its nodes need (two: about 700).

    Raises OSError if the file cannot be written.
    """
    _Picture(run, answers, facts, phases).save(path)


class _Picture:
    """One picture: phases above, a lane per node, the time axis, the legend.

    In a lane the strip shows the worst kind of answer of each moment; above it, every answer is a
    dot whose height is its latency, on a logarithmic scale.
    """

    def __init__(self, run: Run, answers: Sequence[Answer], facts: Facts, phases: Sequence[Phase]) -> None:
        self._run, self._answers, self._facts, self._phases = run, answers, facts, phases
        self._looks = looks_of(facts.versions)
        self._seconds = end_of(run, answers)
        ruler = _Canvas(1)
        self._left = _EDGE + max(ruler.text_width(node, _NAME_SIZE) for node in run.nodes) + 24
        self._bands = [self._band(phase, ruler.text_width(phase.name, 20) + 18) for phase in phases]
        self._places = place(self._bands, _RIGHT - self._left)
        rows = 1 + max((spot.row for spot in self._places), default=-1)
        self._top = _PHASE_TOP + rows * _PHASE_ROW + 16
        # An answer stands for the time to the next one; half as much again, as none is quite on time.
        self._stretch = max(3.0, 1.5 / run.rate / self._seconds * (_RIGHT - self._left))
        self._bottom = self._top + len(run.nodes) * (_LANE + _LANE_GAP) - _LANE_GAP
        self._canvas = _Canvas(self._bottom + _BELOW)

    def save(self, path: Path) -> None:
        self._heading()
        self._phase_tints()
        self._phase_lines()
        self._phase_labels()
        for row, node in enumerate(self._run.nodes):
            self._lane(node, self._top + row * (_LANE + _LANE_GAP))
        self._axis()
        self._legend()
        self._canvas.save(path)

    def _x(self, second: float) -> float:
        return self._left + min(max(second / self._seconds, 0), 1) * (_RIGHT - self._left)

    def _band(self, phase: Phase, label: float) -> Band:
        start, end = (self._x(moment - self._run.started) - self._left for moment in (phase.start, phase.end))
        return Band(start, max(end, start + 2), label)

    def _heading(self) -> None:
        self._canvas.text(_EDGE, 68, "What visitors saw", 46, _INK, "ls")
        nodes = len(self._run.nodes)
        subtitle = (
            f"{self._facts.total:,} answers in {self._seconds:.0f} s, "
            f"{self._run.rate:g} requests per second on {'each of ' if nodes > 1 else ''}"
            f"{nodes} node{'s' if nodes > 1 else ''}"
        )
        self._canvas.text(_EDGE, 106, subtitle, 23, _SOFT, "ls")
        unexpected = len(self._facts.unexpected)
        colour = self._looks[UNEXPECTED].colour if unexpected else _GOOD
        self._canvas.text(_RIGHT, 68, f"unexpected answers: {unexpected:,}", 36, colour, "rs")
        self._canvas.text(_RIGHT, 106, "each dot is an answer, higher is slower", 23, _SOFT, "rs")

    def _phase_tints(self) -> None:
        for i, band in enumerate(self._bands):
            tint = _PHASE_TINTS[i % len(_PHASE_TINTS)]
            self._canvas.box(self._left + band.start, _PHASE_TOP, self._left + band.end, self._bottom, tint)

    def _phase_lines(self) -> None:
        for band, spot in zip(self._bands, self._places, strict=True):
            x = self._left + band.start
            self._canvas.line(x, _PHASE_TOP + spot.row * _PHASE_ROW, x, self._bottom, _RULE)

    def _phase_labels(self) -> None:
        for phase, spot in zip(self._phases, self._places, strict=True):
            x, y = self._left + spot.x + 10, _PHASE_TOP + (spot.row + 0.5) * _PHASE_ROW
            self._canvas.text(x, y, phase.name, 20, _INK, "lm", halo=_PHASE_TINTS[0])

    def _lane(self, node: str, top: float) -> None:
        own = [answer for answer in self._answers if answer.node == node]
        self._canvas.text(_EDGE, top + _LANE / 2, node, _NAME_SIZE, _INK, "lm")
        for seconds, label in _GUIDES:
            y = self._y(seconds, top)
            self._canvas.line(self._left, y, _RIGHT, y, _FAINT)
            self._canvas.text(_RIGHT + 12, y, label, 17, _SOFT, "lm")
        names = list(self._looks)
        # The worst kind comes last, so that nothing covers it.
        for answer in sorted(own, key=lambda answer: names.index(look_name(answer))):
            self._answer(answer, top)

    def _y(self, latency: float, top: float) -> float:
        decades = math.log10(_SLOWEST / _FASTEST)
        height = math.log10(min(max(latency, _FASTEST), _SLOWEST) / _FASTEST) / decades
        return top + (_LANE - _STRIP - 18) * (1 - height) + 6

    def _answer(self, answer: Answer, top: float) -> None:
        name = look_name(answer)
        colour = self._looks[name].colour
        x, y = self._x(answer.started - self._run.started), self._y(answer.latency, top)
        if answer.latency > _LASTING:
            self._canvas.line(x, y, self._x(answer.ended - self._run.started), y, colour, 2)
        self._canvas.dot(x, y, 6 if name == UNEXPECTED else 3, colour)
        until = min(x - 1 + self._stretch, _RIGHT)
        self._canvas.box(x - 1, top + _LANE - _STRIP, until, top + _LANE, colour)

    def _axis(self) -> None:
        y = self._bottom + 10
        self._canvas.line(self._left, y, _RIGHT, y, _RULE, 2)
        for second in ticks(self._seconds, 16):
            x = self._x(second)
            self._canvas.line(x, y, x, y + 8, _RULE, 2)
            self._canvas.text(x, y + 14, f"{second} s", 18, _SOFT, "ma")

    def _legend(self) -> None:
        x, y = float(self._left), self._bottom + 88
        for name, look, count in legend(self._facts):
            label = f"{name}: {count:,}"
            self._canvas.dot(x + 8, y, 8, look.colour)
            self._canvas.text(x + 26, y, label, 22, _INK, "lm")
            x += 26 + self._canvas.text_width(label, 22) + 44
