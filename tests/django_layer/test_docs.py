"""The page about the app says what the app does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
from django_intermission import checks, conf

CHECKOUT = Path(__file__).parents[2]
PAGE = (CHECKOUT / "docs" / "django.md").read_text(encoding="utf-8")
PACKAGE = CHECKOUT / "roles" / "django_release" / "files" / "django-intermission"


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_table_has_every_setting_and_its_default() -> None:
    found = {row[0].strip("`"): row[1].strip("`") for row in rows("Settings")}
    assert found == {name: repr(value).replace("'", '"') for name, value in conf.DEFAULTS.items()}


def test_every_setting_that_the_page_names_exists() -> None:
    named = set(re.findall(r"`(MAINTENANCE_[A-Z_]+)", PAGE))
    theirs = {name for name in named if name.startswith("MAINTENANCE_MODE_")}
    assert named - theirs <= set(conf.DEFAULTS)


def test_every_setting_of_django_maintenance_mode_has_a_row() -> None:
    spec = importlib.util.find_spec("maintenance_mode")
    if spec is None or spec.origin is None:
        pytest.skip("make bench installs it")
    source = (Path(spec.origin).parent / "settings.py").read_text(encoding="utf-8")
    wanted = set(re.findall(r"MAINTENANCE_MODE(?:_[A-Z]+)*", source))
    text = " ".join(row[0] for row in rows("From django-maintenance-mode"))
    named = {f"MAINTENANCE_MODE{suffix}" for suffix in re.findall(r"`(?:MAINTENANCE_MODE)?(\w*)`", text)}
    assert len(wanted) > 20
    assert wanted <= named


def test_the_findings_that_the_page_names_exist() -> None:
    source = Path(checks.__file__).read_text(encoding="utf-8")
    for name in set(re.findall(r"intermission\.[EW]\d+", PAGE)):
        assert f'"{name}"' in source


def test_the_version_is_the_collections() -> None:
    def version(path: Path, pattern: str) -> str:
        match = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
        assert match is not None
        return match.group(1)

    assert version(PACKAGE / "pyproject.toml", r'^version = "(.*)"') == version(
        CHECKOUT / "galaxy.yml", r"^version: (.*)"
    )
