"""What is in the artifact: all of the product, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from package.conftest import LEFTOVER

OF_ANSIBLE = {"MANIFEST.json", "FILES.json"}
PAGES = {"README.md", "CHANGELOG.md", "LICENSE"}
FOLDERS = {"docs", "meta", "playbooks", "plugins", "roles"}
PARTS = {
    "benchmarks/RESULTS.md",
    "benchmarks/RESULTS.png",
    "changelogs/changelog.yaml",
    "changelogs/config.yaml",
    "inventory/example",
    "tests/sanity",
}
OF_CHECKOUT = {"docs/figures.py", "docs/roles.py"}
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def is_product(name: str) -> bool:
    """Tell whether a file of the checkout is of use without the checkout."""
    within = name.partition("/")[0] in FOLDERS or any(f"{name}/".startswith(f"{part}/") for part in PARTS)
    return name in PAGES or (within and name not in OF_CHECKOUT)


@pytest.fixture(scope="module")
def files(installed: Path) -> set[str]:
    return {str(path.relative_to(installed)) for path in installed.rglob("*") if not path.is_dir()}


def test_the_product_and_nothing_else(files: set[str], sources: list[str]) -> None:
    assert files - OF_ANSIBLE == {name for name in sources if is_product(name)}


def test_nothing_that_was_made_in_the_checkout(installed: Path, tree: Path) -> None:
    assert len(list(tree.rglob(LEFTOVER))) > 10
    assert list(installed.rglob(LEFTOVER)) == []


def test_no_links_and_no_empty_folders(installed: Path) -> None:
    assert [path for path in installed.rglob("*") if path.is_symlink()] == []
    assert [path for path in installed.rglob("*") if path.is_dir() and not any(path.iterdir())] == []


def test_the_pages_point_to_what_is_there(installed: Path) -> None:
    pages = [installed / "README.md", *installed.glob("docs/*.md")]
    assert len(pages) > 10
    links = [page.parent / link for page in pages for link in LINK.findall(page.read_text(encoding="utf-8"))]
    assert [str(path) for path in links if not path.exists()] == []
