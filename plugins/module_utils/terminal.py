"""Text of others on a terminal, which takes some characters for orders."""

from __future__ import annotations


def printable(text: str, kept: str = "") -> str:
    """Put ``?`` for each character that does not print, so that what others have written does not steer the terminal.

    Those in ``kept`` stay as they are, for instance the line break where the text has lines.
    """
    return "".join(character if character.isprintable() or character in kept else "?" for character in text)
