from __future__ import annotations

from typing import Any

from ansible_collections.intermission.django.plugins.module_utils.icalendar import calendar_of

WINDOW: dict[str, Any] = {
    "site": "shop",
    "start": "2026-12-01T02:00:00Z",
    "end": "2026-12-01T02:30:00Z",
    "reason": "Disk; the second, of two",
    "message": "Back\\soon\nYours",
    "written": "2026-11-29T12:00:00Z",
    "following": [],
}


def test_a_window() -> None:
    assert calendar_of([WINDOW]) == (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Intermission//Maintenance windows//EN\r\n"
        "BEGIN:VEVENT\r\nUID:shop-20261201T020000Z@intermission\r\nDTSTAMP:20261129T120000Z\r\n"
        "DTSTART:20261201T020000Z\r\nDTEND:20261201T023000Z\r\nSUMMARY:Maintenance of shop\r\n"
        "DESCRIPTION:Disk\\; the second\\, of two\\nBack\\\\soon\\nYours\r\n"
        "END:VEVENT\r\nEND:VCALENDAR\r\n"
    )


def test_none() -> None:
    assert "VEVENT" not in calendar_of([])


def test_the_windows_of_several_hosts_stand_there_once_and_what_follows_does_too() -> None:
    later = {"start": "2026-12-08T02:00:00Z", "end": "2026-12-08T02:30:00Z"}
    longer = {**WINDOW, **later, "end": "2026-12-08T04:00:00Z"}
    written = calendar_of([{**WINDOW, "following": [later]}, longer, WINDOW])
    assert written.count("BEGIN:VEVENT") == 2
    assert "DTEND:20261208T040000Z\r\n" in written


def test_long_lines_are_folded_between_characters_and_control_characters_left_out() -> None:
    written = calendar_of([{**WINDOW, "reason": "ü" * 100 + "\x1b[2J\rBEGIN:VEVENT"}])
    lines = written.split("\r\n")
    assert max(len(line.encode()) for line in lines) <= 75
    assert "ü" * 100 + "[2JBEGIN:VEVENT" in written.replace("\r\n ", "")
    assert lines.count("BEGIN:VEVENT") == 1
