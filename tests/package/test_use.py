"""What users call by its full name, in an empty directory in which the artifact alone is installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from package.conftest import Program

NAMESPACE = "intermission.django"
# Groups that a run makes itself
MADE = {
    f"[WARNING]: Could not match supplied host pattern, ignoring: intermission_{name}"
    for name in ("selected", "deployed")
}
DOCUMENTED = {
    "module": "plugins/modules/*.py",
    "filter": "plugins/filter/*.py",
    "callback": "plugins/callback/*.py",
    "role": "roles/*",
}


def names(installed: Path, pattern: str) -> list[str]:
    found = sorted(f"{NAMESPACE}.{path.stem}" for path in installed.glob(pattern))
    assert found
    return found


def test_playbooks(installed: Path, program: Program) -> None:
    playbooks = names(installed, "playbooks/*.yml")
    example = installed / "inventory" / "example"
    ran = program("ansible-playbook", *playbooks, "--list-tasks", "-i", str(example))
    assert ran.returncode == 0, ran.stderr
    assert set(ran.stderr.splitlines()) <= MADE
    assert ran.stdout.count("\nplaybook: ") == len(playbooks)


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_documentation(installed: Path, program: Program, kind: str) -> None:
    wanted = names(installed, DOCUMENTED[kind])
    ran = program("ansible-doc", "--type", kind, *wanted)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    titles = re.findall(rf"^> {kind.upper()}:? \*?([\w.]+)\*? \((.+)\)$", ran.stdout, re.MULTILINE)
    assert sorted(name for name, _ in titles) == wanted
    assert [place for _, place in titles if not Path(place).is_relative_to(installed)] == []
