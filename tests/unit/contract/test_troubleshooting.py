"""Each message that the docs explain is one that the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
PAGE = (CHECKOUT / "docs/troubleshooting.md").read_text(encoding="utf-8")
MESSAGES = re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)
# What stands in the code for what differs
DIFFERS = r".{1,120}?"
# Where a string goes on in the next line
SEAM = re.compile(r"""["']\s*\n\s*f?["']""")


def told() -> str:
    """Give all that the product can say, as if no string and no line were ever broken."""
    files = [path for top in ("plugins", "roles", "playbooks") for path in sorted((CHECKOUT / top).rglob("*.*"))]
    sources = [path.read_text(encoding="utf-8") for path in files if path.suffix in (".py", ".yml", ".j2")]
    return " ".join(SEAM.sub("", "\n".join(sources)).split())


@pytest.fixture(scope="module")
def said() -> str:
    return told()


def test_there_are_messages() -> None:
    assert len(MESSAGES) > 40
    assert len(re.findall(r"^\| (?!Message|What|---)", PAGE, re.MULTILINE)) == len(MESSAGES), "a row without a message"


@pytest.mark.parametrize("message", MESSAGES)
def test_the_code_says_it(said: str, message: str) -> None:
    fixed = [re.escape(part.strip()) for part in message.split("…") if len(part.strip()) > 1]
    assert fixed
    assert re.search(DIFFERS.join(fixed), said), "what the code says is not this"
