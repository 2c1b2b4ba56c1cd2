"""CONTRIBUTING.md is true to the tree: its paths are there, its make targets too, and its map has every folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
TEXT = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAP = TEXT.partition("## The map")[2].partition("\n## ")[0]
MAKEFILE = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
MADE = (".venv/", ".logs/")  # By the first run of make
OF_A_ROLE = ("meta/argument_specs.yml", "tasks/main.yml", "vars/main/faults.yml")


def paths() -> set[str]:
    """Give what is named as a path, up to the first <part> that a reader fills in."""
    words = " ".join(re.findall(r"`([^`\n]+)`", TEXT)).split() + re.findall(r"\]\(([^):]+)\)", TEXT)
    named = {word.partition("<")[0] for word in words if re.fullmatch(r"[\w.][\w.<>-]*(/[\w.<>-]+)*/?", word)}
    return {path for path in named if "/" in path or Path(path).suffix in (".md", ".yml", ".toml")}


def targets() -> set[str]:
    """Give the targets of the Makefile, with those that it makes of names."""
    (quick,) = re.findall(r"^QUICK := (.*)$", MAKEFILE, re.MULTILINE)
    scenarios = {f"molecule-{path.parent.name}" for path in CHECKOUT.glob("molecule/*/molecule.yml")}
    return {*re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE), *quick.split(), *scenarios}


def folders() -> list[str]:
    """Give the folders of the checkout that are not made by something."""
    ignored = (CHECKOUT / ".gitignore").read_text(encoding="utf-8").splitlines()
    return sorted(
        path.name
        for path in CHECKOUT.iterdir()
        if path.is_dir()
        and not path.name.startswith((".", "__"))
        and not {f"/{path.name}/", f"{path.name}/"} & set(ignored)
    )


def test_there_are_paths_and_targets() -> None:
    assert len(paths()) > 40
    assert len(targets()) > 20


@pytest.mark.parametrize("path", sorted(paths()))
def test_the_path_is_there(path: str) -> None:
    if path in OF_A_ROLE:
        assert list(CHECKOUT.glob(f"roles/*/{path}"))
    elif not path.startswith(MADE):
        assert (CHECKOUT / path).exists()


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z][\w-]*[a-z])(?![<\w-])", TEXT))))
def test_make_has_the_target(target: str) -> None:
    assert target in targets()


@pytest.mark.parametrize("folder", folders())
def test_the_map_has_the_folder(folder: str) -> None:
    assert f"`{folder}/" in MAP
