from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from ansible_collections.intermission.django.plugins.module_utils.times import (
    format_instant,
    parse_duration,
    parse_instant,
    window_end,
)

NOW = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30m", 1800),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("90s", 90),
        ("2d", 172800),
        ("1d1h1m1s", 90061),
        (" 5m ", 300),
        ("007m", 420),
    ],
)
def test_duration(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "-5m", "+5m", "tomorrow", "0m", "0d0h0m0s", "30", "5 minutes", "30M", "1.5h", "30m1h", "1w", "m", "5m!"],
)
def test_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize("text", ["9999999999999d", "99999999d"])
def test_a_duration_beyond_the_calendar_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        window_end(text, None, NOW)


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-12-01T02:00Z", "2026-12-01T02:00:00Z"),
        ("2026-12-01T02:00:30Z", "2026-12-01T02:00:30Z"),
        ("2026-12-01t02:00:30.999z", "2026-12-01T02:00:30Z"),
        ("2026-12-01 02:00 Z", "2026-12-01T02:00:00Z"),
        ("2026-12-01T02:00+01:00", "2026-12-01T01:00:00Z"),
        ("2026-12-01T02:00-0530", "2026-12-01T07:30:00Z"),
        ("2026-12-31T23:30-01:00", "2027-01-01T00:30:00Z"),
    ],
)
def test_instant(text: str, utc: str) -> None:
    assert format_instant(parse_instant(text)) == utc


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026-12-01",
        "02:00Z",
        "2026-12-01T02:00",
        "2026-13-01T02:00Z",
        "2026-02-30T02:00Z",
        "2026-12-01T24:00Z",
        "2026-12-01T02:00+99:00",
        "2026-12-01T02:00+1",
        "0001-01-01T00:00+01:00",
        "9999-12-31T23:59-01:00",
    ],
)
def test_no_instant(text: str) -> None:
    with pytest.raises(ValueError):
        parse_instant(text)


def test_an_instant_without_a_zone_is_told_so() -> None:
    with pytest.raises(ValueError, match="has no time zone"):
        parse_instant("2026-12-01T02:00:00")


@pytest.mark.parametrize(
    ("duration", "until", "end"),
    [
        (None, None, None),
        ("", "", None),
        ("30m", None, NOW + timedelta(minutes=30)),
        (None, "2026-12-01T02:00:01Z", NOW + timedelta(seconds=1)),
    ],
)
def test_window_end(duration: str | None, until: str | None, end: datetime | None) -> None:
    assert window_end(duration, until, NOW) == end


@pytest.mark.parametrize(
    ("duration", "until", "message"),
    [
        ("30m", "2026-12-02T02:00Z", "both a duration and an end"),
        (None, "2026-12-01T02:00Z", "has passed: it is 2026-12-01T02:00:00Z now"),
        (None, "2026-12-01T02:30+01:00", "has passed"),
        ("soon", None, "'soon' is not a duration"),
    ],
)
def test_no_window_end(duration: str | None, until: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        window_end(duration, until, NOW)
