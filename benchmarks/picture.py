"""How much of its bound each finding uses, as a PNG."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.report import Row

WIDTH, TOP, LINE, LEFT, RIGHT = 1600, 90, 46, 860, 1240
INK, SOFT, RULE, OK, MISSED = "#1D2733", "#66727F", "#AEB9C4", "#1E8449", "#B03A2E"
# Drawn larger and scaled down: Pillow itself has no smooth edges for text
SCALE = 2


def save_picture(path: Path, rows: Sequence[Row]) -> None:
    """Draw a bar for each finding that has a bound, which is the line at the end of a whole bar."""
    drawn = [(row, row.used) for row in rows if row.used is not None]
    height = TOP + LINE * len(drawn) + 30
    image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), "white")
    draw = ImageDraw.Draw(image)

    def text(x: float, y: float, words: str, colour: str, anchor: str) -> None:
        draw.text(
            (x * SCALE, y * SCALE), words, font=ImageFont.load_default(size=22 * SCALE), fill=colour, anchor=anchor
        )

    text(30, 40, "How much of its bound each finding uses", INK, "lm")
    text(RIGHT, 40, "the bound", SOFT, "mm")
    for number, (row, used) in enumerate(drawn):
        middle = TOP + LINE * (number + 0.5)
        end = LEFT + (RIGHT - LEFT) * min(used, 1.25)
        colour = OK if row.verdict == "ok" else MISSED
        text(LEFT - 20, middle, shortened(row.what.strip()), INK, "rm")
        corners = (LEFT * SCALE, (middle - 13) * SCALE, max(end, LEFT + 8) * SCALE, (middle + 13) * SCALE)
        draw.rectangle(corners, fill=colour)
        text(RIGHT + 110, middle, f"{row.found}, {row.bound}", colour, "lm")
    draw.line((RIGHT * SCALE, 60 * SCALE, RIGHT * SCALE, (height - 20) * SCALE), fill=RULE, width=2 * SCALE)
    image.resize((WIDTH, height), Image.Resampling.LANCZOS).save(path, optimize=True)


def shortened(words: str, most: int = 76) -> str:
    """Give words that fit beside the bars."""
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"
