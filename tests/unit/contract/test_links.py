"""What the README and the docs point to is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
PAGES = sorted([CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
PROOF = re.compile(r"`((?:tests|molecule)/[\w/.]+)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = [page.parent / link for link in LINK.findall(text)] + [CHECKOUT / name for name in PROOF.findall(text)]
    assert [str(path) for path in named if not path.exists()] == []


def test_every_page_is_reached_from_the_readme() -> None:
    linked = LINK.findall((CHECKOUT / "README.md").read_text(encoding="utf-8"))
    assert [page.name for page in PAGES if page.parent.name == "docs" and f"docs/{page.name}" not in linked] == []
