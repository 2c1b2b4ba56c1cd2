"""The page's filters, and what the role makes with them."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.intermission.django.plugins.filter import (
    csp,
    data_uri,
    fill_page,
    page_faults,
    readable_on,
    template_faults,
)

from nginx.rendering import render

CSP = csp.FilterModule().filters()["csp"]
DATA_URI = data_uri.FilterModule().filters()["data_uri"]
FILL_PAGE = fill_page.FilterModule().filters()["fill_page"]
PAGE_FAULTS = page_faults.FilterModule().filters()["page_faults"]
READABLE_ON = readable_on.FilterModule().filters()["readable_on"]
TEMPLATE_FAULTS = template_faults.FilterModule().filters()["template_faults"]
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
INVENTORY = {
    "intermission_site": "shop",
    "intermission_server_names": ["shop.example"],
    "intermission_state_root": "/state",
}


def digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def pages(**inventory: Any) -> dict[str, str]:
    made = render({**INVENTORY, **inventory}).pages
    return {path.removeprefix("/state/shop/pages/"): page for path, page in made.items()}


def test_csp_allows_what_is_inside_and_nothing_else() -> None:
    style, script = "\np { content: '<é' }\n", "\nif (1 < 2) go('</p>');\n"
    page = f"<style>{style}</style><p>Soon</p><script>{script}</script>"
    assert CSP([page, page, "<p>no style</p>"]) == (
        f"default-src 'none'; style-src {digest(style)}; script-src {digest(script)}; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )


def test_csp_fits_all_pages() -> None:
    policy = CSP(["<style>a</style>", "<style>b</style><style>c</style>"])
    assert f"style-src {digest('a')} {digest('b')} {digest('c')}; script-src 'none'" in policy


@pytest.mark.parametrize(
    "page",
    [
        '<p style="color: red">',
        '<p onclick="go()">',
        "<script src=/a.js></script>",
        "<link rel=stylesheet href=/a.css>",
        "<img src=/logo.png>",
        "<img src='https://a.example/logo.png'>",
        "<a href='javascript:go()'>",
        "<style>p::before { content: '%%reason%%' }</style>",
        "<script>say('%%message%%')</script>",
    ],
)
def test_csp_refuses_what_it_would_block(page: str) -> None:
    with pytest.raises(AnsibleFilterError, match="a browser would not take it"):
        CSP([page])


def test_csp_takes_links_and_images_inside() -> None:
    assert CSP(
        ['<a href="https://a.example/">x</a><img src="data:image/png;base64,AA=="><link rel=icon href="data:,">']
    )


@pytest.mark.parametrize(
    ("colour", "text"),
    [
        ("#000000", "#ffffff"),
        ("#ffffff", "#000000"),
        ("#FFEE00", "#000000"),
        ("#0b6e4f", "#ffffff"),
        ("#777777", "#000000"),
    ],
)
def test_readable_on(colour: str, text: str) -> None:
    assert READABLE_ON(colour) == text


def test_readable_on_every_grey_has_enough_contrast() -> None:
    for grey in range(256):
        colour = f"#{grey:02x}{grey:02x}{grey:02x}"
        lights = sorted([readable_on.luminance(colour), readable_on.luminance(READABLE_ON(colour))])
        assert (lights[1] + 0.05) / (lights[0] + 0.05) >= 4.5, colour


@pytest.mark.parametrize("colour", ["green", "#fff", "#gggggg", "", "0b6e4f0"])
def test_readable_on_no_colour(colour: str) -> None:
    with pytest.raises(AnsibleFilterError, match="is no colour as #rrggbb"):
        READABLE_ON(colour)


def test_data_uri(tmp_path: Path) -> None:
    (tmp_path / "logo.png").write_bytes(PNG)
    (tmp_path / "logo.svg").write_text('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>')
    uri = DATA_URI(str(tmp_path / "logo.png"))
    assert uri == "data:image/png;base64," + base64.b64encode(PNG).decode()
    assert DATA_URI(uri) == uri
    assert DATA_URI(str(tmp_path / "logo.svg")).startswith("data:image/svg+xml;base64,PD94bWw")


def test_no_data_uri(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    (tmp_path / "large").write_bytes(PNG + b"\0" * 100_000)
    for image, said in (
        (str(tmp_path / "text"), "is no SVG or PNG image"),
        ("data:text/html,<p>", "is no SVG or PNG image"),
        (str(tmp_path / "none"), "cannot be read: No such file"),
        (str(tmp_path / "large"), "has 100 kB"),
    ):
        with pytest.raises(AnsibleFilterError, match=said):
            DATA_URI(image)


TEXTS: dict[str, Any] = {"en": {"dir": "ltr", "retry": "Try again"}}
GOOD: dict[str, Any] = {
    "colour": "#0b6e4f", "logo": "", "logo_file": "", "status_url": "", "links": [], "languages": ["en"], "texts": TEXTS,
    "wanted": ["dir", "retry"], "places": ["/inventory/languages"], "poll_first": 5, "poll_factor": 2, "poll_cap": 120,
}  # fmt: skip


def test_settings_without_a_fault() -> None:
    links = [{"text": "Call", "url": "tel:1"}, {"text": "Write", "url": "mailto:a@b.c"}]
    assert PAGE_FAULTS(GOOD) == []
    assert PAGE_FAULTS({**GOOD, "links": links, "status_url": "https://status.example.com", "poll_factor": 1}) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"colour": "green"}, "maintenance_page_colour is 'green'. Write it as #rrggbb"),
        ({"colour": "#0b6e4f; x: url(//a)"}, "maintenance_page_colour is"),
        ({"logo": "/none.svg"}, "maintenance_page_logo: '/none.svg' cannot be read: No such file"),
        ({"logo": "data:text/html,x"}, "maintenance_page_logo: 'data:text/html,x' is no SVG or PNG image"),
        (
            {"status_url": "status.example.com"},
            "maintenance_page_status_url is 'status.example.com'. Write a whole address",
        ),
        ({"links": [{"text": "Call us"}]}, "maintenance_page_links has {'text': 'Call us'}. Each link is"),
        ({"links": [{"text": "", "url": "tel:1"}]}, "maintenance_page_links has {'text': ''"),
        ({"links": [{"text": "x", "url": "javascript:go()"}]}, "maintenance_page_links has"),
        ({"languages": []}, "maintenance_page_languages is []. Name each once"),
        ({"languages": ["en", "en"]}, "maintenance_page_languages is ['en', 'en']. Name each once"),
        ({"languages": ["en", "../en"]}, "maintenance_page_languages has '../en'. Write a language tag"),
        ({"languages": ["pl"]}, "'pl', and there is no pl.yml in /inventory/languages. Copy the role's en.yml there"),
        ({"texts": {"en": {"dir": "ltr", "retry": " "}}}, "'en', whose en.yml is without retry. Compare it"),
        ({"texts": {"en": "hello"}}, "'en', whose en.yml is without dir, retry"),
        ({"texts": {"en": {"dir": "up", "retry": "Again"}}}, "'en', whose en.yml is without dir: ltr or rtl"),
        ({"poll_first": 0}, "maintenance_page_poll_first is 0, "),
        ({"poll_factor": 0.5}, "maintenance_page_poll_factor 0.5 and"),
        ({"poll_cap": 4}, "maintenance_page_poll_cap 4. The first is more than 0"),
    ],
)
def test_settings_with_a_fault(wrong: dict[str, Any], said: str) -> None:
    (fault,) = PAGE_FAULTS({**GOOD, **wrong})
    assert said in fault


def test_template_faults() -> None:
    good = {
        "503.en.html": '<html data-intermission="maintenance"></html>\n',
        "50x.en.html": '<html data-intermission="fallback"></html>\n',
    }
    assert TEMPLATE_FAULTS({**good, "503.json": "{}"}) == ""
    for pages, said in (
        ({}, 'there is none with data-intermission="maintenance"'),
        ({"50x.en.html": good["503.en.html"]}, '50x.en.html is without data-intermission="fallback"'),
        ({"503.en.html.template": good["503.en.html"][:-1]}, "503.en.html.template does not end with </html>"),
        (
            {"503.en.html": good["503.en.html"].replace("></", "><p style='x'></p></")},
            '503.en.html is none that visitors could use: the page has <p style="x">',
        ),
    ):
        assert said in TEMPLATE_FAULTS({**pages})


def test_the_pages_of_the_role() -> None:
    made = pages(maintenance_page_languages=["de", "ar"])
    html = [f"{kind}.{language}.html" for kind in ("50x", "503") for language in ("de", "ar")]
    assert sorted(made) == sorted(
        [*html, "503.de.html.template", "503.ar.html.template"]
        + [f"{kind}.{ending}" for kind in ("50x", "503") for ending in ("json", "txt")]
        + ["503.json.template", "503.txt.template", "robots.txt"]
    )
    assert TEMPLATE_FAULTS(made) == ""
    assert '<html lang="ar" dir="rtl" data-intermission="fallback"' in made["50x.ar.html"]
    assert [name for name, page in made.items() if "%%" in page] == [
        name for name in made if name.endswith(".template")
    ]


def test_one_policy_with_one_hash_for_script_and_style_fits_all_pages() -> None:
    made = pages()
    assert len({CSP([page]) for name, page in made.items() if ".html" in name}) == 1


def test_what_programs_get() -> None:
    made = pages(maintenance_page_languages=["fr"], maintenance_page_name="Thé & co")
    assert json.loads(made["503.json"]) == {
        "type": "about:blank", "title": "Service Unavailable", "status": 503,
        "detail": "Nous intervenons sur ce site et l’avons fermé pour un court moment. Ce que vous aviez enregistré est conservé.",
    }  # fmt: skip
    assert set(json.loads(made["50x.json"])) == {"type", "title", "detail"}
    window = {
        "start": "2026-12-01T01:00:00Z",
        "end": "2026-12-01T02:00:00Z",
        "reason": 'A "disk"\n',
        "message": "Two\nlines",
    }
    filled = json.loads(FILL_PAGE(made["503.json.template"], "503.json", window))
    assert {name: filled[name] for name in ("status", "start", "end", "reason")} == {
        "status": 503, "start": window["start"], "end": window["end"], "reason": 'A "disk"\n',
    }  # fmt: skip
    text = FILL_PAGE(made["503.txt.template"], "503.txt", {**window, "reason": "", "end": None})
    assert text == (
        "Thé & co: Nous revenons dans un instant\n\n"
        "Nous intervenons sur ce site et l’avons fermé pour un court moment. Ce que vous aviez enregistré est conservé.\n"
        "Two\nlines\nDébut: 2026-12-01 01:00 UTC\n"
    )


def test_a_read_only_window_does_not_say_that_the_site_comes_back() -> None:
    made = pages(maintenance_page_languages=["en"], maintenance_page_name="Tea")
    window = {"start": "2026-12-01T01:00:00Z", "reason": "Disks", "read_only": True}
    html, told, text = (
        FILL_PAGE(made[f"503.{kind}.template"], f"503.{kind}", window) for kind in ("en.html", "json", "txt")
    )
    heading = "You can read, but not save at present"
    assert f"<title>{heading} – Tea</title>" in html
    assert (html.count("<title>"), html.count("<main"), html.count("<h1>")) == (1, 1, 1)
    assert "<main data-read-only>" in html
    assert "right back" not in html and 'class="watch"' not in html and 'class="again"' not in html
    assert TEMPLATE_FAULTS({"503.en.html": html}) == ""
    assert json.loads(told)["detail"] == heading
    assert text == f"Tea: {heading}\n\nDisks\nStart: 2026-12-01 01:00 UTC\n"
    assert (made["503.en.html"].count("<main>"), made["50x.en.html"].count("<main>")) == (1, 1)


def test_a_brand_is_escaped() -> None:
    made = pages(
        maintenance_page_name='<b>"Tea"</b>',
        maintenance_page_logo='data:image/svg+xml,<svg onload="x">',
        maintenance_page_links=[{"text": "<i>", "url": 'https://a.example/?"><script>'}],
        maintenance_page_status_url="https://status.example.com/?a=1&b='",
        maintenance_page_languages=["en"],
    )
    page = made["503.en.html"]
    assert "<b>" not in page and "<i>" not in page and 'onload="' not in page
    assert 'alt="&lt;b&gt;&#34;Tea&#34;&lt;/b&gt;"' in page
    assert page.count("<script>") == 1
    assert 'href="https://status.example.com/?a=1&amp;b=&#39;"' in page
    assert TEMPLATE_FAULTS(made) == ""


def test_a_language_and_a_template_of_ones_own(tmp_path: Path) -> None:
    english = Path(__file__).parents[3] / "roles/maintenance_page/files/languages/en.yml"
    (tmp_path / "languages").mkdir()
    (tmp_path / "languages/pl.yml").write_text(english.read_text().replace("Try again", "Spróbuj ponownie"))
    (tmp_path / "own.html.j2").write_text(
        '{% extends "page.html.j2" %}\n'
        "{% block brand %}<p>Since 1884</p>{% endblock %}\n"
        "{% block style %}{{ super() }} h1 { color: teal; }{% endblock %}\n"
        "{% block footer %}<p>{{ text.retry }} {{ language }} {{ kind }}</p>{% endblock %}\n"
    )
    made = pages(
        inventory_dir=str(tmp_path), maintenance_page_languages=["pl", "en"], maintenance_page_template="own.html.j2"
    )
    assert "<p>Since 1884</p>" in made["50x.en.html"]
    assert "h1 { color: teal; }" in made["50x.en.html"]
    assert "<p>Spróbuj ponownie pl maintenance</p>" in made["503.pl.html"]
    assert TEMPLATE_FAULTS(made) == ""


def test_a_page_of_ones_own_from_its_first_line(tmp_path: Path) -> None:
    (tmp_path / "own.html.j2").write_text(
        '{% extends "page.html.j2" %}\n{% block page %}\n'
        '<html data-intermission="{{ kind }}">\n<p>%%reason%%</p>\n</html>\n{% endblock %}\n'
    )
    made = pages(
        inventory_dir=str(tmp_path), maintenance_page_template="own.html.j2", maintenance_page_languages=["en"]
    )
    assert made["503.en.html.template"].strip() == '<html data-intermission="maintenance">\n<p>%%reason%%</p>\n</html>'
    assert TEMPLATE_FAULTS(made) == ""
