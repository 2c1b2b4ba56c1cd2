"""One Chromium for all tests, a context of its own for each visitor, and a site that they visit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, sync_playwright

from browser.site import Site

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SCREENSHOTS = Path(__file__).parents[2] / ".logs" / "screenshots"
PATIENCE = 10_000  # milliseconds until a test is given up
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]


class Visitor:
    """A page in a browser, with what it asked for and what the browser complained of."""

    def __init__(self, context: BrowserContext, site: Site) -> None:
        self.page: Page = context.new_page()
        self.site = site
        self.asked: list[Request] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def goto(self, path: str = "/") -> Visitor:
        self.page.goto(self.site.url + path)
        return self

    def text(self, selector: str = "main") -> str:
        text: str = self.page.locator(selector).inner_text()
        return text

    def own_complaints(self) -> list[str]:
        """What the browser complained of, but for the 5xx of the site itself."""
        return [text for text in self.complaints if "the server responded with a status of 50" not in text]

    def accessibility_faults(self) -> list[str]:
        """What axe-core finds by all standards, as rule and element."""
        self.page.evaluate(axe())
        found = self.page.evaluate("tags => axe.run({runOnly: tags})", STANDARDS)
        assert len(found["passes"]) > 10
        return [f"{rule['id']}: {node['html']}" for rule in found["violations"] for node in rule["nodes"]]

    def has_sideways_scroll(self) -> bool:
        wide: bool = self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        return wide

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def axe() -> str:
    script: str = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    return script


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Run Debian's Chromium."""
    with sync_playwright() as playwright:
        program = shutil.which("chromium")
        assert program is not None, "chromium is not installed: make browser says how to get it"
        running = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def site() -> Iterator[Site]:
    """Give a site that is open."""
    site = Site()
    yield site
    site.stop()


class Contexts:
    """A browser's context for each set of options, made once, as that takes longer than a test."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser
        self.made: dict[str, BrowserContext] = {}

    def get(self, **options: Any) -> BrowserContext:
        key = repr(sorted(options.items()))
        if key not in self.made:
            self.made[key] = self.browser.new_context(**options)
            self.made[key].set_default_timeout(PATIENCE)
        return self.made[key]


class Visit:
    """Makes visitors of a site, whose tabs are closed with the test."""

    def __init__(self, contexts: Contexts, site: Site) -> None:
        self.contexts, self.site = contexts, site
        self.visitors: list[Visitor] = []

    def __call__(self, **options: Any) -> Visitor:
        self.visitors.append(Visitor(self.contexts.get(**options), self.site))
        return self.visitors[-1]


@pytest.fixture(scope="session")
def contexts(browser: Browser) -> Contexts:
    return Contexts(browser)


@pytest.fixture
def visit(contexts: Contexts, site: Site) -> Iterator[Visit]:
    visit = Visit(contexts, site)
    yield visit
    for visitor in visit.visitors:
        visitor.page.close()
