"""Text of others on a terminal, which takes some characters for orders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def printable(text: str, kept: str = "") -> str:
    """Put ``?`` for each character that does not print, so that what others have written does not steer the terminal.

    Those in ``kept`` stay as they are, for instance the line break where the text has lines.
    """
    return "".join(character if character.isprintable() or character in kept else "?" for character in text)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Write rows, all with the same keys, as lines in columns below these. Nothing is shown as ``-``."""
    if not rows:
        return ""
    titles = list(rows[0])
    cells = [[title.upper() for title in titles]]
    cells += [
        ["-" if row[title] in (None, "") else printable(" ".join(str(row[title]).split())) for title in titles]
        for row in rows
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(titles))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)
    return "\n".join(lines)
