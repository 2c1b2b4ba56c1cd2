"""The same behind a real Nginx, with the role's own configuration and the real switch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from browser.conftest import Contexts
from nginx.conftest import running_site
from nginx.site import Site as NginxSite
from nginx.site import in_an_hour


@pytest.fixture(scope="module")
def shop() -> Iterator[NginxSite]:
    with running_site("vhost", maintenance_page_poll_first=0.05, maintenance_page_poll_cap=0.1) as site:
        yield site


@pytest.mark.parametrize("how", ["window", "hand", "app"])
def test_a_visitor_is_kept_out_and_returns(shop: NginxSite, contexts: Contexts, how: str) -> None:
    shop.renew()
    if how == "app":
        shop.app.die()
    elif how == "hand":
        shop.state.flag.touch()
    else:
        shop.open_window(in_an_hour(), reason="New disks")
    page = contexts.get().new_page()
    try:
        page.goto(f"http://127.0.0.1:{shop.port}/orders/?page=2")
        kind = page.locator("html").get_attribute("data-intermission")
        assert kind == ("fallback" if how == "app" else "maintenance")
        assert ("New disks" in page.locator("main").inner_text()) is (how == "window")
        if how == "app":
            shop.renew()
        elif how == "hand":
            shop.state.flag.unlink()
        else:
            shop.close_window()
        expect(page.locator("body")).to_contain_text("the app's own 200: GET /orders/?page=2")
    finally:
        page.close()


def test_in_a_read_only_window_who_has_sent_a_form_is_left_where_they_are(shop: NginxSite, contexts: Contexts) -> None:
    shop.renew()
    shop.open_window(in_an_hour(), read_only=True)
    page = contexts.get().new_page()
    try:
        page.clock.install()
        page.goto(f"http://127.0.0.1:{shop.port}/orders/new/")
        expect(page.locator("body")).to_contain_text("the app's own 200: GET /orders/new/")
        page.set_content("<form method=post><button>Order</button></form>")
        page.get_by_role("button").click()
        expect(page.locator("h1")).to_have_text("You can read, but not save at present")
        page.clock.run_for("20:00")
        expect(page.locator("html[data-intermission=maintenance] h1")).to_have_text(
            "You can read, but not save at present"
        )
        assert [asked for asked in shop.app.requests if "/orders/new/" in asked] == ["GET /orders/new/"]
    finally:
        page.close()
