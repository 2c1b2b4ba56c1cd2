"""Every command that the README and the docs name is run, on the demo."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.host_command import build

import forked_ansible
from e2e.shop import BIN, CHECKOUT, Shop

PAGES = sorted([CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")])
OFF = "ansible-playbook playbooks/maintenance_off.yml"
MADE_BY_OTHER_TESTS = ("make demo", "make test")
VERSIONS_OF_THE_DEMO = {"v1.5.0": "v2", "v1.5.1": "v2_1"}


def commands(page: Path) -> list[str]:
    """Take the commands out of a page's ```sh blocks and tables."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.partition("   #")[0].strip() for block in blocks for line in block.splitlines()]
    lines += re.findall(r"^\|.*\| `([a-z]\S* [^`]*)` \|$", text, re.MULTILINE)
    return [line for line in lines if line and line not in MADE_BY_OTHER_TESTS]


def all_commands() -> list[str]:
    """Every command once, in the order of the pages; the one that opens the site again wherever a page has it and it may be closed."""
    found: list[str] = []
    for page in PAGES:
        for command in commands(page):
            if command not in found or (command == OFF and found[-1] != OFF):
                found.append(command)
    return found


@pytest.fixture(scope="module")
def shop(shop: Shop) -> Shop:
    """The site as if it had one node."""
    return shop.alone()


@pytest.fixture(autouse=True, scope="module")
def version_2(shop: Shop) -> None:
    shop.at("v2")


def on_the_demo(shop: Shop, command: str) -> str:
    for written, meant in VERSIONS_OF_THE_DEMO.items():
        command = command.replace(written, meant)
    command = command.replace("web2.example.com", "web1")
    return command.replace("/var/lib/intermission", str(shop.root / "web1/state"))


@pytest.fixture(scope="module")
def host_bin(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the command intermission, as web1 would have it."""
    path = tmp_path_factory.mktemp("bin")
    (path / "command").write_bytes(build(str(shop.root / "web1/state")))
    (path / "intermission").write_text(f'#!/bin/sh\nexec {sys.executable} -I {path}/command "$@"\n')
    (path / "intermission").chmod(0o755)
    return path


def test_the_pages_have_commands() -> None:
    assert len(all_commands()) > 15


@pytest.mark.parametrize("command", all_commands())
def test_command_works(shop: Shop, host_bin: Path, command: str) -> None:
    here = on_the_demo(shop, command)
    environment = {**shop.environment, "PATH": f"{host_bin}:{BIN}:{shop.environment['PATH']}"}
    if here.startswith("ansible-"):
        run = forked_ansible.run(*shlex.split(here), cwd=CHECKOUT, environment=environment)
    else:
        run = subprocess.run(
            here, shell=True, cwd=CHECKOUT, env=environment, capture_output=True, text=True, check=False
        )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_site_is_open_after_all_of_them(shop: Shop) -> None:
    assert shop.playbook("playbooks/maintenance_off.yml").status == 0
    assert shop.kinds() == {"app"}
