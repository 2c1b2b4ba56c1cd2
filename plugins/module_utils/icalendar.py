"""Windows as an iCalendar file (RFC 5545), for people's calendars."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

LINE_BYTES = 75
PRODUCT = "-//Intermission//Maintenance windows//EN"


def calendar_of(windows: Iterable[dict[str, Any]]) -> str:
    """Write the windows that ``Plan.describe`` tells of, those of several hosts once, with what follows them."""
    known = list(windows)
    events: dict[str, list[str]] = {}
    following = [(window, times) for window in known for times in window["following"]]
    for window, times in [*zip(known, known), *following]:
        about = "\n".join(filter(None, [window["reason"], window["message"]]))
        events.setdefault(
            f"{window['site']}-{_stamp(times['start'])}@intermission",
            [
                f"DTSTAMP:{_stamp(window['written'])}",
                f"DTSTART:{_stamp(times['start'])}",
                f"DTEND:{_stamp(times['end'])}",
                f"SUMMARY:{_text('Maintenance of ' + window['site'])}",
                f"DESCRIPTION:{_text(about)}",
            ],
        )
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{PRODUCT}"]
    for uid, event in sorted(events.items()):
        lines += ["BEGIN:VEVENT", f"UID:{uid}", *event, "END:VEVENT"]
    return "".join(f"{_folded(line)}\r\n" for line in [*lines, "END:VCALENDAR"])


def _stamp(instant: str) -> str:
    """Write an instant in UTC as RFC 5545 has it."""
    return instant.replace("-", "").replace(":", "")


def _text(value: str) -> str:
    escaped = re.sub(r"([\\;,])", r"\\\1", value).replace("\n", "\\n")
    return "".join(character for character in escaped if character.isprintable())


def _folded(line: str) -> str:
    """Break a line that is too long, never inside a character."""
    parts, size = [""], 0
    for character in line:
        length = len(character.encode())
        if size + length > LINE_BYTES:
            parts.append("")
            size = 1  # The blank that the part begins with
        parts[-1] += character
        size += length
    return "\r\n ".join(parts)
