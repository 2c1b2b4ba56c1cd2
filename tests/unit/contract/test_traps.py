"""Each trap in the docs names the tests that stand guard, and they are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
TEXT = (CHECKOUT / "docs/traps.md").read_text(encoding="utf-8")
SOURCES = [
    path.read_text(encoding="utf-8") for top in ("tests", "molecule") for path in (CHECKOUT / top).rglob("test_*.py")
]


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(test_\w+)`", TEXT))))
def test_exists(name: str) -> None:
    assert any(f"def {name}(" in source for source in SOURCES)


def test_every_trap_has_a_test_of_its_number() -> None:
    traps = re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]
    assert len(traps) > 30
    assert [
        trap.splitlines()[0] for trap in traps if not re.search(rf"`test_(\w+_)?{trap.split()[0].lower()}_", trap)
    ] == []
