"""What ansible-builder makes of execution-environment.yml and of what the collection says that it needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import ansible_builder
import yaml

from artifact import BIN, CHECKOUT

DEFINITION = "execution-environment.yml"
INTROSPECT = Path(ansible_builder.__file__).parent / "_target_scripts" / "introspect.py"


def test_the_build_context_has_the_artifact(built: Path, tmp_path: Path) -> None:
    shutil.copy(CHECKOUT / DEFINITION, tmp_path)
    shutil.copy(built, tmp_path)
    subprocess.run([BIN / "ansible-builder", "create"], cwd=tmp_path, check=True, capture_output=True)
    context = tmp_path / "context"
    assert (context / "_build" / built.name).read_bytes() == built.read_bytes()
    required = yaml.safe_load((context / "_build" / "requirements.yml").read_text())
    assert required == {"collections": [{"name": built.name, "type": "file"}]}
    steps = (context / "Containerfile").read_text().splitlines()
    assert "FROM $EE_BASE_IMAGE AS base" in steps
    assert 'ARG ANSIBLE_INSTALL_REFS="ansible-core>=2.19 ansible-runner"' in steps


def test_what_the_collection_needs(collections: Path, installed: Path) -> None:
    command = [sys.executable, str(INTROSPECT), "introspect", str(collections)]
    found = yaml.safe_load(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert {kind: [line.split()[0] for line in lines] for kind, lines in found.items()} == {
        "python": ["crossplane"],
        "system": ["git", "openssh-clients", "openssh-client"],
    }
