"""Instants and durations as Intermission writes and reads them: ISO 8601 with a zone, and ``1h30m``."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

DURATION = re.compile(r"(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?")
MARGIN = timedelta(days=3)
INSTANT = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(?:(Z)|([+-])(\d{2}):?(\d{2}))", re.IGNORECASE
)


def parse_instant(text: str) -> datetime:
    """Read an ISO 8601 instant with a zone, such as ``2026-12-01T02:00Z``, in UTC. Raises ValueError."""
    match = INSTANT.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not an ISO 8601 instant with a zone, such as 2026-12-01T02:00Z")
    year, month, day, hour, minute, second, _zone, sign, zone_hours, zone_minutes = match.groups()
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0)) * (-1 if sign == "-" else 1)
    local = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=timezone(offset))
    # A zone may add a day to it, and the calendar ends there
    if not MARGIN < local.replace(tzinfo=None) - datetime.min < datetime.max - datetime.min - MARGIN:
        raise ValueError(f"'{text}' is at the end of the calendar")
    return local.astimezone(timezone.utc)


def parse_duration(text: str) -> timedelta:
    """Read a duration such as ``30m``, ``1h30m`` or ``2d``. Raises ValueError, also for one that is zero or beyond any calendar."""
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not a duration such as 30m or 1h30m")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    try:
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"'{text}' is too long") from error
    if not duration:
        raise ValueError(f"'{text}' is no time at all")
    return duration


def format_instant(instant: datetime) -> str:
    """Write an aware datetime as ISO 8601 in UTC with seconds: ``2026-12-01T02:00:00Z``."""
    return instant.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
