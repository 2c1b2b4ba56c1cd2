"""When it will be over, in the visitor's own words and zone, and without talking all the time."""

from __future__ import annotations

import pytest

from browser.conftest import Visit, Visitor
from browser.site import Site, default_pages

WATCH_COUNT = """
window.changes = [];
document.addEventListener('DOMContentLoaded', () => new MutationObserver(() =>
  changes.push(document.querySelector('[role=status]').textContent)
).observe(document.querySelector('[role=status]'), {childList: true, characterData: true, subtree: true}));
"""


@pytest.fixture
def at_half_past_one(visit: Visit, site: Site) -> Visitor:
    """A visitor half an hour before the end, whose clock the test moves."""
    site.close(default_pages())
    visitor = visit(timezone_id="America/New_York", locale="en-US")
    visitor.page.clock.install(time="2026-12-01T01:30:00Z")
    visitor.page.add_init_script(WATCH_COUNT)
    return visitor.goto()


@pytest.mark.parametrize(
    ("language", "locale", "zone", "words"),
    [
        ("en", "en-US", "America/New_York", ["Monday", "November", "30", "9:00", "PM", "EST"]),
        ("en", "en-GB", "Europe/London", ["Tuesday", "December", "1", "02:00", "GMT"]),
        ("de", "de-DE", "Europe/Berlin", ["Dienstag", "Dezember", "03:00", "MEZ"]),
        ("ja", "ja-JP", "Asia/Tokyo", ["12月1日", "11:00", "JST"]),
        ("fr", "de-DE", "Europe/Paris", ["mardi", "décembre", "03:00"]),
        ("ar", "ar-EG", "Africa/Cairo", ["الثلاثاء", "ديسمبر", "٤:٠٠"]),
    ],
)
def test_the_end_in_the_visitors_zone_and_language(
    visit: Visit, site: Site, language: str, locale: str, zone: str, words: list[str]
) -> None:
    site.close(default_pages(), "window", language)
    visitor = visit(timezone_id=zone, locale=locale).goto()
    assert [word for word in words if word not in visitor.text(".end time")] == []
    assert visitor.page.locator(".end time").get_attribute("datetime") == "2026-12-01T02:00:00Z"


def test_a_countdown_that_does_not_talk(at_half_past_one: Visitor) -> None:
    page = at_half_past_one.page
    assert at_half_past_one.text(".left") == "(in 30 minutes)"
    page.clock.fast_forward("10:30")
    assert at_half_past_one.text(".left") == "(in 20 minutes)"
    page.clock.run_for("19:00")
    assert at_half_past_one.text(".left") == "(in 1 minute)"
    assert at_half_past_one.text("[role=status]") == "You can leave this page open. It returns to the site by itself."
    assert page.evaluate("changes") == []


def test_after_the_end_it_says_once_that_it_takes_longer(at_half_past_one: Visitor) -> None:
    page = at_half_past_one.page
    page.clock.fast_forward("30:01")
    assert at_half_past_one.text(".left") == ""
    assert "longer than we had planned" in at_half_past_one.text("[role=status]")
    page.clock.run_for("05:00")
    assert len(page.evaluate("changes")) == 1


def test_hours_and_days_are_not_told_in_minutes(visit: Visit, site: Site) -> None:
    site.close(default_pages())
    for now, said in (("2026-11-28T02:00:00Z", "(in 3 days)"), ("2026-11-30T23:30:00Z", "(in 3 hours)")):
        visitor = visit(locale="en-GB")
        visitor.page.clock.install(time=now)
        assert visitor.goto().text(".left") == said
