"""What the README and the docs point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs import figures

CHECKOUT = Path(__file__).parents[3]
PAGES = [
    CHECKOUT / "README.md",
    *(page for where in ("docs/*.md", "roles/*/README.md") for page in sorted(CHECKOUT.glob(where))),
]
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
MARK = re.compile("[¹²³⁴-⁹][⁰¹²³⁴-⁹]?")
PROOF = re.compile(r"`((?:tests|molecule)/[\w/.]+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [page.parent / link for link in LINK.findall(text)] + [CHECKOUT / name for name in PROOF.findall(text)]
    assert [str(path) for path in named if not path.exists()] == []


def test_the_readmes_figures_are_what_was_measured() -> None:
    assert (CHECKOUT / "README.md").read_text(encoding="utf-8") == figures.readme(), "make docs writes it"


def test_every_page_is_reached_from_the_readme() -> None:
    linked = LINK.findall((CHECKOUT / "README.md").read_text(encoding="utf-8"))
    assert [str(page) for page in PAGES[1:] if str(page.relative_to(CHECKOUT)) not in linked] == []


def test_each_row_of_the_comparison_has_its_evidence() -> None:
    table, _, evidence = (CHECKOUT / "docs/comparison.md").read_text(encoding="utf-8").partition("Where it says yes")
    rows = [line.split(" | ") for line in table.splitlines() if line.startswith("| ") and " | Intermission" not in line]
    assert len(rows) > 20
    marked = {row[0]: set(MARK.findall(row[1])) for row in rows}
    assert [row for row, marks in marked.items() if not marks] == []
    assert set().union(*marked.values()) == set(MARK.findall(evidence))
