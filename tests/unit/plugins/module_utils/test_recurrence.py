"""Recurring times, worked out by the systemd of this machine."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.recurrence import next_times
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")

SAID = """
  Original form: Sun 02:00 Europe/Berlin
Normalized form: Sun *-*-* 02:00:00 Europe/Berlin
    Next elapse: Sun 2026-10-25 00:00:00 UTC
       From now: 1 month 3 days ago
   {title} #2: Sun 2026-11-01 01:00:00 UTC
       From now: 3 weeks 6 days ago
"""


def times(calendar: str, after: str, count: int = 1) -> list[str]:
    return [format_instant(time) for time in next_times(calendar, datetime.fromisoformat(after), count)]


@pytest.mark.parametrize("title", ["    Iter.", "Iteration"])
def test_what_systemd_of_debian_12_and_13_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, title: str) -> None:
    (tmp_path / "systemd-analyze").write_text(f"#!/bin/sh\ncat <<'end'\n{SAID.format(title=title)}end\n")
    (tmp_path / "systemd-analyze").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    expected = ["2026-10-25T00:00:00Z", "2026-11-01T01:00:00Z"]
    assert times("Sun 02:00 Europe/Berlin", "2026-10-20T00:00:00+00:00", 2) == expected


@needs_systemd
def test_what_recurs_keeps_to_the_clocks_of_its_zone() -> None:
    assert times("Sun 02:00 Europe/Berlin", "2026-10-20T00:00:00+00:00", 2) == [
        "2026-10-25T00:00:00Z",
        "2026-11-01T01:00:00Z",
    ]
    assert times("*-*-* 22:30 UTC", "2026-10-20T22:30:00+00:00") == ["2026-10-21T22:30:00Z"]


@needs_systemd
def test_a_time_that_a_day_does_not_have_falls_out_and_one_that_it_has_twice_comes_once() -> None:
    spring = times("*-*-* 02:30 Europe/Berlin", "2027-03-27T00:00:00+00:00", 2)
    assert spring == ["2027-03-27T01:30:00Z", "2027-03-29T00:30:00Z"]
    autumn = times("*-*-* 02:30 Europe/Berlin", "2026-10-24T12:00:00+00:00", 2)
    assert autumn == ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]


@needs_systemd
def test_one_day_in_a_named_zone_comes_once() -> None:
    assert times("2026-12-01 02:00 Europe/Berlin", "2026-11-01T00:00:00+00:00", 5) == ["2026-12-01T01:00:00Z"]
    assert times("2026-12-01 02:00 Europe/Berlin", "2026-12-02T00:00:00+00:00") == []


@needs_systemd
@pytest.mark.parametrize("calendar", ["Caturday", "", "--help", "tomorrow", "in a while", "\0"])
def test_nonsense(calendar: str) -> None:
    with pytest.raises(ValueError, match="is neither|cannot be worked out"):
        next_times(calendar, datetime.now(UTC))


@needs_systemd
@pytest.mark.parametrize("calendar", ["Sun 02:00", "daily", "2026-12-01 02:00:00"])
def test_no_zone(calendar: str) -> None:
    with pytest.raises(ValueError, match=f"'{calendar}' has no time zone: .*'{calendar} Europe/Berlin'"):
        next_times(calendar, datetime.now(UTC))


def test_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ValueError, match="cannot be worked out: .*systemd-analyze"):
        next_times("daily UTC", datetime.now(UTC))
