"""What users read of a change is told once: in a fragment, and from a release on in the changelog that is made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parents[3]
FRAGMENTS = sorted((CHECKOUT / "changelogs" / "fragments").glob("*.yml"))
CONFIG: dict[str, Any] = yaml.safe_load((CHECKOUT / "changelogs" / "config.yaml").read_text(encoding="utf-8"))
COMPONENTS = {path.name for path in (CHECKOUT / "roles").iterdir()} | {"playbooks", "modules", "roles"}


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=lambda path: str(path.name))
def test_each_entry_says_of_which_component_it_is(fragment: Path) -> None:
    told: dict[str, list[str]] = yaml.safe_load(fragment.read_text(encoding="utf-8"))
    told.pop("release_summary", None)
    assert set(told) <= {name for name, _ in CONFIG["sections"]}
    for entry in (entry for entries in told.values() for entry in entries):
        component, dash, effect = entry.partition(" – ")
        assert (component in COMPONENTS, dash) == (True, " – "), entry
        assert effect.endswith("."), entry
        assert "`" not in effect.replace("``", ""), f"a fragment is reStructuredText, code has two backticks: {entry}"


def test_what_waits_in_fragments_is_not_in_the_changelog_too() -> None:
    written = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    version = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    assert not FRAGMENTS or version.replace(".", r"\.") not in written
