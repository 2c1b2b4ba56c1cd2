"""The languages of the page: each says all, and in itself."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles" / "maintenance_page"
FILES = sorted((ROLE / "files" / "languages").glob("*.yml"))
SCRIPTS = {"ja": r"[\u3040-\u30ff\u4e00-\u9fff]", "ar": r"[\u0600-\u06ff]"}

each_language = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def texts(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return read


def test_the_defaults_are_the_languages_that_there_are() -> None:
    named = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())["maintenance_page_languages"]
    assert sorted(named) == [path.stem for path in FILES]
    assert named[0] == "en"


@each_language
def test_every_language_has_the_same_texts_in_the_same_order(path: Path) -> None:
    assert list(texts(path)) == list(texts(path.with_name("en.yml")))
    assert [key for key, text in texts(path).items() if not isinstance(text, str) or not text.strip()] == []


@each_language
def test_no_text_is_still_the_english_one(path: Path) -> None:
    english = texts(path.with_name("en.yml"))
    same = [key for key, text in texts(path).items() if key != "dir" and text == english[key]]
    assert same == ([] if path.stem != "en" else [key for key in english if key != "dir"])


@each_language
def test_a_language_is_in_its_own_script_and_direction(path: Path) -> None:
    script = re.compile(SCRIPTS.get(path.stem, r"[A-Za-z]"))
    assert [key for key, text in texts(path).items() if key != "dir" and not script.search(text)] == []
    assert texts(path)["dir"] == ("rtl" if path.stem == "ar" else "ltr")


def test_every_text_is_used() -> None:
    templates = "\n".join(path.read_text() for path in (ROLE / "templates").glob("*.j2"))
    built = {f"{kind}_title" for kind in ("maintenance", "fallback")}
    assert "text[kind ~ '_title']" in templates
    assert [key for key in texts(FILES[0]) if key not in built and f"text.{key}" not in templates] == []
