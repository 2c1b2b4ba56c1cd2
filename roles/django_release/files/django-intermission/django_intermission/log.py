"""The package's logger. What is wrong is said once, not with each request that meets it."""

from __future__ import annotations

import logging

logger = logging.getLogger("django_intermission")
_said: set[str] = set()


def once(key: str, message: str, *values: object, exc_info: bool = False) -> None:
    """Log an error, unless the same key has been logged since it was last forgotten."""
    if key not in _said:
        _said.add(key)
        logger.error(message, *values, exc_info=exc_info)


def forget(key: str) -> None:
    """Let a key be logged again, because what was wrong is over."""
    _said.discard(key)


def forget_all() -> None:
    """Let everything be logged again, because the settings are others now."""
    _said.clear()


def printable(text: str) -> str:
    """Leave out what would steer a terminal, or begin a line of its own."""
    return "".join(character for character in text if character.isprintable())
