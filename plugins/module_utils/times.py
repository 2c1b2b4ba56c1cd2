"""Durations and instants as operators type them (ISO 8601; durations as in systemd.time(7), fixed units only)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Optional

DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?")
INSTANT = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?", re.IGNORECASE
)

IN = re.compile(r"in\s+(.+)", re.IGNORECASE)


def parse_duration(text: str) -> timedelta:
    """Read a duration such as ``30m``, ``1h30m``, ``90s`` or ``2d``.

    Raises ValueError when the text is not such a duration, is zero, or is longer than any calendar.
    """
    match = DURATION.fullmatch(text.strip())
    if match is None or not match.group(0):
        raise ValueError(f"'{text}' is not a duration")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    try:
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"'{text}' is too long") from error
    if not duration:
        raise ValueError(f"'{text}' is no time at all")
    return duration


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant with a zone, such as ``2026-12-01T02:00Z``, as an aware datetime in UTC.

    Raises ValueError when the text is not such an instant, or has no zone.
    """
    match = INSTANT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not an ISO 8601 instant")
    year, month, day, hour, minute, second, zone = match.groups()
    if zone is None:
        raise ValueError(f"'{text}' has no time zone")
    offset = timedelta()
    if zone.upper() != "Z":
        digits = zone[1:].replace(":", "")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        if zone[0] == "-":
            offset = -offset
    local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=timezone(offset))
    try:
        return local.astimezone(timezone.utc)
    except OverflowError as error:
        raise ValueError(f"'{text}' is outside the calendar") from error


def window_end(duration: Optional[str], until: Optional[str], now: datetime) -> Optional[datetime]:
    """Give the end of a window that starts ``now``, or None where neither a duration nor an end is given.

    Raises ValueError when both are given, when one cannot be read, or when the end is not after ``now``.
    """
    if duration and until:
        raise ValueError("both a duration and an end are given, and only one can be true")
    if duration:
        try:
            return now + parse_duration(duration)
        except OverflowError as error:
            raise ValueError(f"'{duration}' is too long") from error
    if until:
        end = parse_instant(until)
        if end <= now:
            raise ValueError(f"'{until}' has passed: it is {format_instant(now)} now")
        return end
    return None


def parse_begin(text: str, now: datetime) -> Optional[datetime]:
    """Read when a window begins, ``in 2h`` or an instant; None where it is neither, and so a calendar's (systemd.time(7)).

    Raises ValueError where it has passed, or is an instant without a zone.
    """
    after = IN.fullmatch(text.strip())
    if after is None and INSTANT.fullmatch(text.strip()) is None:
        return None
    try:
        begin = now + parse_duration(after.group(1)) if after else parse_instant(text)
    except OverflowError as error:
        raise ValueError(f"'{text}' is too long") from error
    if begin <= now:
        raise ValueError(f"'{text}' has passed: it is {format_instant(now)} now")
    return begin


def format_instant(instant: datetime) -> str:
    """Write an aware datetime as ISO 8601 in UTC with seconds: ``2026-12-01T02:00:00Z``."""
    return instant.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
