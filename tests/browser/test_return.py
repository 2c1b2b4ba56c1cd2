"""The way back: each open page asks quietly, and returns to where the visitor was, but not all of them at once."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from browser.conftest import Visit, Visitor
from browser.site import Pages, Site, default_pages, make_pages

SIMULATION = (Path(__file__).parent / "simulation.js").read_text(encoding="utf-8")
VISITORS = 200
HEAD = "HEAD"


@pytest.fixture(scope="module")
def eager() -> Pages:
    """Pages that ask all the time."""
    return make_pages(
        maintenance_page_poll_first=0.02, maintenance_page_poll_cap=0.05, maintenance_page_languages=["en"]
    )


def assert_back(visitor: Visitor, path: str, method: str = "GET") -> None:
    expect(visitor.page.locator("h1")).to_have_text(f"{method} {path.partition('#')[0]}")
    assert visitor.page.url == visitor.site.url + path


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 502), ("/orders/?page=2&tea=green%20tea", 503), ("/orders/?page=2#third", 503), ("/", 504)],
)
def test_a_visitor_returns_to_where_they_were(visit: Visit, site: Site, eager: Pages, path: str, status: int) -> None:
    site.close(eager, "window" if status == 503 else "50x", status=status)
    visitor = visit().goto(path)
    site.wait_for_asks(3)
    assert visitor.page.locator("html[data-intermission]").count() == 1
    site.open()
    assert_back(visitor, path)
    assert Counter(site.requests)["GET", path.partition("#")[0]] == 2
    assert visitor.own_complaints() == []


@pytest.mark.parametrize("action", ["/orders/new/?tea=green", "/orders/new/#form"])
def test_after_a_form_was_sent_the_visitor_returns_and_it_is_not_sent_again(
    visit: Visit, site: Site, eager: Pages, action: str
) -> None:
    site.form_to = action
    visitor = visit().goto("/orders/new/")
    site.close(eager)
    visitor.page.get_by_role("button").click()
    site.wait_for_asks(2)
    site.open()
    assert_back(visitor, action)
    assert [method for method, _ in site.requests if method != HEAD] == ["GET", "POST", "GET"]


def test_in_a_read_only_window_visitors_keep_what_they_have_written(visit: Visit, site: Site) -> None:
    visitor = visit()
    visitor.page.clock.install()
    visitor.goto("/orders/new/")
    visitor.page.locator("input").fill("a long letter")
    site.close(default_pages(), "read-only")
    visitor.page.get_by_role("button").click()
    expect(visitor.page.locator("h1")).to_have_text("You can read, but not save at present")
    visitor.page.clock.run_for("20:00")
    visitor.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    visitor.page.clock.run_for("20:00")
    assert "returns to the site" not in visitor.text()
    assert visitor.page.get_by_role("link").count() == 0
    assert visitor.own_complaints() == []
    visitor.page.go_back()
    expect(visitor.page.locator("h1")).to_have_text("GET /orders/new/")
    assert visitor.page.locator("input").input_value() == "a long letter"
    assert [method for method, _ in site.requests] == ["GET", "POST", "GET"]


def test_a_redirect_is_followed_by_the_visitor_and_not_by_the_question(visit: Visit, site: Site, eager: Pages) -> None:
    site.close(eager)
    visitor = visit().goto("/orders/")
    site.moved_to = "/login/"
    site.open()
    assert_back(visitor, "/login/")
    assert (HEAD, "/login/") not in site.requests


@pytest.mark.parametrize("status", [200, 301, 403, 404, 405, 429, 500])
def test_any_answer_of_the_app_is_the_site_again(visit: Visit, site: Site, eager: Pages, status: int) -> None:
    site.close(eager)
    visitor = visit().goto()
    site.closed_with, site.head_status = None, status
    assert_back(visitor, "/")


def test_an_error_that_nginx_answers_with_the_page_is_not_the_site_again(visit: Visit, site: Site) -> None:
    pages = make_pages(
        maintenance_page_poll_first=0.02, maintenance_page_poll_cap=0.05, maintenance_page_fallback_codes=[500, 502]
    )
    site.close(pages, "50x", status=500)
    visit().goto()
    site.wait_for_asks(3)
    assert Counter(site.requests)["GET", "/"] == 1


def test_it_goes_on_asking_when_the_network_was_gone(visit: Visit, site: Site, eager: Pages) -> None:
    site.close(eager)
    visitor = visit().goto("/orders/")
    try:
        with visitor.page.expect_event("requestfailed"):
            visitor.page.context.set_offline(True)
        site.open()
    finally:
        visitor.page.context.set_offline(False)
    assert_back(visitor, "/orders/")


def test_it_asks_only_while_it_is_seen(visit: Visit, site: Site) -> None:
    site.close(default_pages())
    visitor = visit()
    visitor.page.clock.install()
    visitor.page.add_init_script("Object.defineProperty(document, 'hidden', {get: () => window.isHidden ?? true})")
    visitor.goto()
    visitor.page.clock.run_for("20:00")
    assert Counter(site.requests) == {("GET", "/"): 1}
    show = "document.dispatchEvent(new Event('visibilitychange'))"
    visitor.page.evaluate(f"isHidden = false; {show}")
    visitor.page.clock.run_for("00:05")
    site.wait_for_asks(1)
    visitor.page.evaluate(f"isHidden = true; {show}")
    visitor.page.clock.run_for("20:00")
    assert site.asks() <= 3


def script(pages: Pages) -> str:
    """Take the script out of a page as it is served."""
    (found,) = re.findall(r"<script>(.*)</script>", pages.page("window", "en"), re.DOTALL)
    return str(found)


def simulate(browser: Browser, **more: Any) -> dict[str, list[list[float]]]:
    """Run the page's script for many visitors in a time of its own; see simulation.js."""
    settings = {"visitors": VISITORS, "first": 5, "factor": 2, "cap": 120, "retryAfter": "", "storage": True, **more}
    page = browser.new_page()
    try:
        ran: dict[str, list[list[float]]] = page.evaluate(SIMULATION, {"script": script(default_pages()), **settings})
        return ran
    finally:
        page.close()


def busiest_second(times: list[float]) -> int:
    """Count what falls into the fullest of all seconds, wherever it begins."""
    ordered = sorted(times)
    return max(bisect_left(ordered, start + 1) - at for at, start in enumerate(ordered))


def test_n26_many_pages_that_were_opened_together_return_one_by_one(browser: Browser) -> None:
    returns = [times[0] for times in simulate(browser, opens=900)["returns"]]
    assert len(returns) == VISITORS
    assert 900 <= min(returns) < 910
    assert 990 < max(returns) <= 900 + 120
    assert busiest_second(returns) <= 0.05 * VISITORS


def test_n26_after_a_short_closure_they_return_soon_and_not_all_at_once(browser: Browser) -> None:
    returns = [times[0] for times in simulate(browser, opens=8)["returns"]]
    assert max(returns) <= 8 + 40
    assert sorted(returns)[VISITORS // 2] < 8 + 10
    assert busiest_second(returns) <= 0.2 * VISITORS


def test_n26_they_ask_less_and_less_and_never_all_at_once(browser: Browser) -> None:
    asks = [time for times in simulate(browser, opens=3600)["asks"] for time in times if time < 3600]
    assert busiest_second([time for time in asks if time > 600]) <= 0.08 * VISITORS
    in_an_hour_each = len(asks) / VISITORS
    assert 50 < in_an_hour_each < 80


@pytest.mark.parametrize(
    ("settings", "longest"),
    [
        ({}, 120),
        ({"cap": 30}, 30),
        ({"first": 1, "factor": 1, "cap": 600}, 1),
        ({"first": 60, "factor": 10, "cap": 600}, 600),
    ],
)
def test_the_variables_of_the_role_are_followed(browser: Browser, settings: dict[str, float], longest: float) -> None:
    asks = simulate(browser, opens=100 * longest, visitors=2, **settings)["asks"]
    waits = [later - earlier for times in asks for earlier, later in zip([0, *times], times, strict=False)]
    assert max(waits) <= longest + 0.001
    assert max(waits) > 0.9 * longest
    assert max(times[0] for times in asks) <= settings.get("first", 5)


def test_a_late_retry_after_is_a_hint_only(browser: Browser) -> None:
    def asked_early(**settings: Any) -> int:
        return sum(time < 60 for times in simulate(browser, opens=900, **settings)["asks"] for time in times)

    plain, hinted = asked_early(), asked_early(retryAfter="3600")
    assert hinted < 0.8 * plain
    assert asked_early(retryAfter="Fri, 01 Jan 2100 00:00:00 GMT") == hinted
    assert asked_early(retryAfter="1") == plain
    returns = [times[0] for times in simulate(browser, opens=900, retryAfter="3600")["returns"]]
    assert max(returns) <= 900 + 120


@pytest.mark.parametrize(("storage", "many"), [(True, False), (False, True)])
def test_n26_who_is_sent_back_in_vain_does_not_start_again_from_the_first_delay(
    browser: Browser, storage: bool, many: bool
) -> None:
    in_vain = simulate(browser, opens=0, stillClosed=1200, visitors=5, storage=storage)["returns"]
    assert (sum(map(len, in_vain)) / 5 > 100) is many
