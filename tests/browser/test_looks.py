"""What visitors see: in light and dark, on a phone, from right to left, with any colour, and without JavaScript."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import replace
from typing import Any

import pytest

from browser.conftest import Visit
from browser.site import WINDOW, Pages, Site, default_pages, make_pages

LANGUAGES = ["en", "de", "fr", "es", "ja", "ar"]
DESK: dict[str, Any] = {"viewport": {"width": 1100, "height": 800}}
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True}
LIGHT, DARK = {"color_scheme": "light"}, {"color_scheme": "dark"}
LOOKS = {
    "light": {**DESK, **LIGHT},
    "dark": {**DESK, **DARK},
    "phone": {**PHONE, **LIGHT},
    "phone-dark": {**PHONE, **DARK, "reduced_motion": "reduce"},
}
EVERY_LANGUAGE = [
    *(("window", "en", look) for look in LOOKS),
    *(("window", "ar", look) for look in ("light", "dark", "phone-dark")),
    ("window", "de", "phone"),
    ("window", "fr", "phone-dark"),
    ("window", "es", "phone"),
    ("window", "ja", "phone-dark"),
]
KINDS = ("503", "50x", "read-only")
EVERY_KIND = [(kind, language, look) for kind in KINDS for language, look in (("en", "dark"), ("ar", "phone"))]


def assert_fit_for_everybody(visit: Visit, pages: Pages, kind: str, language: str, look: str, name: str) -> None:
    visit.site.close(pages, kind, language, 502 if kind == "50x" else 503)
    visit.site.read_only = False  # Also the page that only a form would lead to is looked at
    visitor = visit(**LOOKS[look]).goto("/orders/?page=2")
    visitor.screenshot(f"{name}-{look}")
    assert not visitor.has_sideways_scroll()
    assert visitor.accessibility_faults() == []
    assert visitor.own_complaints() == []
    assert {request.url for request in visitor.asked} == {f"{visit.site.url}/orders/?page=2"}


@pytest.mark.parametrize(("kind", "language", "look"), [*EVERY_LANGUAGE, *EVERY_KIND])
def test_fit_for_everybody(visit: Visit, kind: str, language: str, look: str) -> None:
    assert_fit_for_everybody(visit, default_pages(), kind, language, look, f"{kind}-{language}")


def png() -> str:
    """Make a wide PNG image of one colour, as a data URI."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 900, 90, 8, 2, 0, 0, 0)
    lines = (b"\0" + b"\x90\x30\x60" * 900) * 90
    image = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(image).decode()


@pytest.mark.parametrize(
    ("name", "colour", "look"),
    [
        ("yellow", "#ffee00", "light"),
        ("black", "#000000", "dark"),
        ("white", "#ffffff", "light"),
        ("grey", "#767676", "phone"),
    ],
)
def test_fit_for_everybody_whatever_the_brand(visit: Visit, name: str, colour: str, look: str) -> None:
    pages = make_pages(
        maintenance_page_colour=colour,
        maintenance_page_name='Tea & "Sons"' + "-and-their-sons" * 9,
        maintenance_page_logo=png() if name == "grey" else "",
        maintenance_page_status_url="https://status.example.com/",
        maintenance_page_links=[
            {"text": "Call <us>", "url": "tel:+49301234567"},
            {"text": "x" * 90, "url": "https://a.example/?a=1&b"},
        ],
        maintenance_page_languages=["en"],
    )
    assert_fit_for_everybody(visit, pages, "window", "en", look, f"brand-{name}")


def test_every_language_is_what_it_says_it_is(visit: Visit, site: Site) -> None:
    visitor = visit()
    for language in LANGUAGES:
        site.close(default_pages(), "window", language)
        visitor.goto()
        root = visitor.page.locator("html")
        assert (root.get_attribute("lang"), root.get_attribute("dir")) == (
            language,
            "rtl" if language == "ar" else "ltr",
        )
        direction = visitor.page.evaluate("getComputedStyle(document.querySelector('h1')).direction")
        assert direction == ("rtl" if language == "ar" else "ltr")


def test_without_javascript_it_says_all(visit: Visit, site: Site) -> None:
    site.close(default_pages())
    visitor = visit(java_script_enabled=False, timezone_id="Asia/Tokyo").goto("/orders/?page=2")
    lines = visitor.text().splitlines()
    for line in ("The Tea Shop", "New <disks>", "Your orders & your basket are safe.", "Thank you!", "Try again"):
        assert line in lines
    assert "2026-12-01 01:00 UTC" in visitor.text(".when:not(.end)")
    assert "2026-12-01 02:00 UTC" in visitor.text(".end")
    times = visitor.page.locator("time")
    assert [times.nth(at).get_attribute("datetime") for at in (0, 1)] == [
        "2026-12-01T01:00:00Z",
        "2026-12-01T02:00:00Z",
    ]
    assert "by itself" not in visitor.text()
    site.open()
    visitor.page.locator("a.again").click()
    assert visitor.text("h1") == "GET /orders/?page=2"


def test_a_window_without_an_end_or_a_reason_says_nothing_of_them(visit: Visit, site: Site) -> None:
    site.close(default_pages())
    site.closed_with = (503, default_pages().page("window", "en", replace(WINDOW, end=None, reason="", message="")))
    visitor = visit(java_script_enabled=False).goto()
    assert visitor.page.locator(".notice, .end").count() == 0
    assert "Start" in visitor.text()


def test_motion_only_for_those_who_want_it(visit: Visit, site: Site) -> None:
    site.close(default_pages())
    animation = "getComputedStyle(document.querySelector('.watch'), '::before').animationName"
    assert visit(reduced_motion="no-preference").goto().page.evaluate(animation) == "breathe"
    assert visit(reduced_motion="reduce").goto().page.evaluate(animation) == "none"


def test_the_policy_lets_nothing_else_run(visit: Visit, site: Site) -> None:
    site.close(default_pages())
    status, page = site.closed_with or (0, "")
    stranger = (
        "<script>document.title = 'stranger'</script><style>h1 { display: none }</style><img src=/logo.png alt=''>"
    )
    site.closed_with = (status, page.replace("</main>", f"</main>{stranger}"))
    visitor = visit().goto()
    assert visitor.page.title() == "Back soon – The Tea Shop"
    assert visitor.page.locator("h1").is_visible()
    assert sum("Content Security Policy" in text for text in visitor.own_complaints()) == 3
    assert {path for _, path in site.requests} == {
        "/"
    }  # The page's own script may have asked by now whether the site is back
