"""Modules that run from their copy on the host: as Ansible itself would run them, and nobody else's copy."""

from __future__ import annotations

import ast
import importlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args
from ansible_collections.intermission.django.plugins.plugin_utils import resident, resident_basic

pytestmark = pytest.mark.programs

CHECKOUT = Path(__file__).parents[4]
PLUGINS = CHECKOUT / "plugins"
MODULES = sorted(path.stem for path in (PLUGINS / "modules").glob("*.py"))
ON_THE_CONTROLLER = {"report"}
OF_OTHERS = {"together"}
Playbook = Callable[..., subprocess.CompletedProcess[str]]

PLAY = """
- hosts: all
  gather_facts: false
  connection: local
  tasks:
    - intermission.django.maintenance_window:
        site: shop
        state_root: {root}
        state: {state}
        id: w1
        start: "2026-12-01T01:00:00Z"
        secret: "{secret}"
      register: answer
    - ansible.builtin.debug:
        var: answer
"""
SECRET = "s" * 43


@pytest.mark.parametrize("name", [name for name in MODULES if name not in ON_THE_CONTROLLER | OF_OTHERS])
def test_all_modules_go_this_way(name: str) -> None:
    text = (PLUGINS / f"action/{name}.py").read_text()
    assert "resident import ActionModule" in text or re.search(r"(execute|answer)\(self, task_vars", text)
    assert f"plugins.modules import {name}\n" in text, "each task's process would import it"


@pytest.mark.parametrize("name", [name for name in MODULES if name not in ON_THE_CONTROLLER | OF_OTHERS])
def test_all_modules_know_check_mode(name: str) -> None:
    assert importlib.import_module(f"{resident.COLLECTION}.modules.{name}").ARGUMENTS["supports_check_mode"]


@pytest.mark.parametrize("name", [name for name in MODULES if name not in ON_THE_CONTROLLER | OF_OTHERS])
def test_a_module_uses_of_ansible_what_the_stand_in_has(name: str) -> None:
    tree = ast.parse((PLUGINS / f"modules/{name}.py").read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "module"
    }
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ansible.")
        for alias in node.names
    }
    assert used <= {"params", "check_mode", "exit_json", "fail_json"}
    assert imported == {"AnsibleModule"}


NESTED = {
    "checks": [{"path": "/", "status": "201"}, {"path": "/a", "contains": 7}],
    "host": "shop.example",
    "seconds": "2.5",
    "trial": {"command": "run", "programs": "~/bin", "project": "$PLACE/shop", "environment_file": "/e"},
}
LISTS = {"readable": ["~/a", "$PLACE/b"], "systemd": "yes", "tls": {"listen": "443,8443", "key": "~/key"}}


@pytest.mark.parametrize(("name", "arguments"), [("app_smoke_test", NESTED), ("host_preflight", LISTS)])
def test_a_module_gets_the_parameters_that_ansible_would_give_it(
    name: str, arguments: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACE", "/some/place")
    specification = importlib.import_module(f"{resident.COLLECTION}.modules.{name}").ARGUMENTS
    with patch_module_args({**arguments, "_ansible_check_mode": True, "_ansible_remote_tmp": "/tmp"}):
        original = AnsibleModule(**specification)
    known = resident.validated(specification, arguments)
    request = {"params": known.validated_parameters, "check_mode": True}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(request)))
    ours = resident_basic.AnsibleModule(**specification)
    assert (ours.params, ours.check_mode) == (original.params, original.check_mode)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"site": "shop", "state": "ajar"}, "value of state must be one of"),
        ({"site": "shop", "state": "open"}, "state is open but all of the following are missing: id, start"),
        ({"site": "shop", "stat": "open"}, "stat. Supported parameters include"),
        ({}, "missing required arguments: site"),
    ],
)
def test_wrong_arguments_are_refused_in_ansibles_words(arguments: dict[str, Any], said: str) -> None:
    specification = importlib.import_module(f"{resident.COLLECTION}.modules.maintenance_window").ARGUMENTS
    (message,) = resident.validated(specification, arguments).error_messages
    assert said in message


@pytest.mark.parametrize(
    ("ran", "said"),
    [
        ({"stdout": "", "stderr": "Traceback\nValueError: no", "rc": 1}, "the module crashed: ValueError: no"),
        ({"stdout": "oops", "stderr": "", "rc": 1}, "the module crashed: no output"),
    ],
)
def test_a_module_that_says_nothing_has_crashed(ran: dict[str, Any], said: str) -> None:
    (answer,) = resident.answers(ran, 1)
    assert (answer["failed"], answer["msg"]) == (True, said)


def test_of_several_modules_those_before_a_crash_are_heard() -> None:
    ran = {"stdout": '{"changed": true}\n', "stderr": "ValueError: no", "rc": 1}
    first, second = resident.answers(ran, 3)
    assert (first, second["msg"]) == ({"changed": True}, "the module crashed: ValueError: no")
    failed = {"stdout": '{"changed": true}\n{"failed": true, "msg": "no"}\n', "stderr": "", "rc": 1}
    assert [answer.get("failed", False) for answer in resident.answers(failed, 3)] == [False, True]


def test_a_window_opens_without_what_few_windows_need(tmp_path: Path) -> None:
    for name, content in resident.content().items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    program = f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
    program += f"import {resident.COLLECTION}.modules.maintenance_window\nprint(*sys.modules)"
    ran = subprocess.run([sys.executable, "-IS", "-c", program], check=True, capture_output=True, text=True)
    assert {"hashlib", "secrets", "socket", "subprocess", "traceback"} & set(ran.stdout.split()) == set()


def play(root: Path, state: str = "told", secret: str = SECRET) -> str:
    return PLAY.format(root=root, state=state, secret=secret)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """Let Ansible keep its files where each test has a copy of its own, and where a host's own Ansible would be found."""
    return {"ANSIBLE_REMOTE_TMP": str(tmp_path / "remote"), "ANSIBLE_NOCOLOR": "1"}


def copy_of(settings: dict[str, str]) -> Path:
    return Path(settings["ANSIBLE_REMOTE_TMP"]) / "intermission" / resident.DIGEST


def test_a_copy_is_sent_once_and_used_from_then_on(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path
) -> None:
    sent = "A copy of the modules was sent"
    ran = ansible_playbook(play(tmp_path / "state"), "-vvv", **settings)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.count(sent) == 1
    assert copy_of(settings).stat().st_mode & 0o7777 == 0o700
    again = ansible_playbook(play(tmp_path / "state"), "-vvv", **settings)
    assert again.returncode == 0
    assert sent not in again.stdout
    for run in (ran, again):
        assert '"opened_with": null' in run.stdout.replace("opened_with: null", '"opened_with": null')
        assert SECRET not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ('{site: shop, state: shut, id: w1, start: "2026-12-01T01:00:00Z"}', "state/shop is not there: apply the role"),
        ("{site: shop, stat: open}", "stat. Supported parameters include"),
        ("[site, shop]", "options is not a mapping"),
    ],
)
def test_options_in_a_mapping_are_as_good_as_those_beside_it_which_go_before(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path, options: str, said: str
) -> None:
    text = play(tmp_path / "state", "open")
    beside = re.sub(r"(?m)^        (?:site|id|start|secret): .*\n", "", text)
    ran = ansible_playbook(
        beside.replace("        state: open\n", f"        state: open\n        options: {options}\n"), **settings
    )
    assert said in ran.stdout, ran.stdout + ran.stderr


def test_the_copy_is_what_runs(ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path) -> None:
    assert ansible_playbook(play(tmp_path / "state"), **settings).returncode == 0
    module = copy_of(settings) / Path(*resident.COLLECTION.split(".")) / "modules/maintenance_window.py"
    module.write_text(module.read_text().replace("module.exit_json(changed=changed", "module.exit_json(by_copy=True"))
    ran = ansible_playbook(play(tmp_path / "state"), **settings)
    assert ran.returncode == 0
    assert "by_copy: true" in ran.stdout


@pytest.mark.parametrize("where", [".", ".."])
def test_a_copy_that_others_may_write_to_is_not_used(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path, where: str
) -> None:
    assert ansible_playbook(play(tmp_path / "state"), **settings).returncode == 0
    module = copy_of(settings) / Path(*resident.COLLECTION.split(".")) / "modules/maintenance_window.py"
    module.write_text("raise SystemExit('stolen')")
    (copy_of(settings) / where).chmod(0o777)
    ran = ansible_playbook(play(tmp_path / "state"), **settings)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "opened_with: null" in ran.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("where", [".", ".."])
def test_a_copy_of_somebody_elses_is_not_used(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path, where: str
) -> None:
    assert ansible_playbook(play(tmp_path / "state"), **settings).returncode == 0
    module = copy_of(settings) / Path(*resident.COLLECTION.split(".")) / "modules/maintenance_window.py"
    module.write_text("raise SystemExit('stolen')")
    os.chown(copy_of(settings) / where, 65534, 65534)
    ran = ansible_playbook(play(tmp_path / "state"), **settings)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "opened_with: null" in ran.stdout


@pytest.mark.parametrize("reason", ["no pipelining", "no place"])
def test_without_a_copy_a_module_goes_ansibles_own_way(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path, reason: str
) -> None:
    if reason == "no pipelining":
        settings["ANSIBLE_PIPELINING"] = "false"
    else:
        Path(settings["ANSIBLE_REMOTE_TMP"]).write_text("a file where the directory would be")
    ran = ansible_playbook(play(tmp_path / "state"), **settings)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "opened_with: null" in ran.stdout
    assert not copy_of(settings).exists()


def test_secrets_are_taken_out_of_what_a_module_says(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path
) -> None:
    word = "there is no such root"
    ran = ansible_playbook(play(tmp_path / word / "state", "open", secret=word), "-vvv", **settings)
    assert ran.returncode != 0
    assert "the secret of a window is 43 letters" in ran.stdout + ran.stderr
    answered = ansible_playbook(play(tmp_path / "state", secret="opened_with"), **settings)
    assert answered.returncode == 0
    pages = ansible_playbook(play(tmp_path / word / "state", secret=word), **settings)
    assert "pages: " in pages.stdout
    assert word not in pages.stdout.partition("pages: ")[2]


def test_no_more_copies_are_kept_than_a_few(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path
) -> None:
    for number in range(resident.KEPT_COPIES + 2):
        former = copy_of(settings).with_name(f"former{number}")
        former.mkdir(parents=True)
        os.utime(former, (number, number))
    copy_of(settings).parent.chmod(0o700)
    assert ansible_playbook(play(tmp_path / "state"), **settings).returncode == 0
    kept = {path.name for path in copy_of(settings).parent.iterdir()}
    assert kept == {resident.DIGEST, "former3", "former4", "former5", "former6"}


def test_a_copy_that_is_in_use_is_not_taken_away_by_other_versions(
    ansible_playbook: Playbook, settings: dict[str, str], tmp_path: Path
) -> None:
    """As where several checkouts deploy to one host at once."""
    assert ansible_playbook(play(tmp_path / "state"), **settings).returncode == 0
    others = [copy_of(settings).with_name(f"other{number}") for number in range(resident.KEPT_COPIES + 2)]
    for other in others:
        other.mkdir()
    copy_of(settings).rename(others[0] / "here")
    os.utime(others[1], (0, 0))
    assert ansible_playbook(play(tmp_path / "state"), **settings).returncode == 0
    assert [other.exists() for other in others] == [True, False, *[True] * (len(others) - 2)]
    os.utime(copy_of(settings), (0, 0))
    assert ansible_playbook(play(tmp_path / "state"), **settings).returncode == 0
    assert copy_of(settings).stat().st_mtime > 0


def test_a_hosts_own_ansible_does_not_get_before_the_copy(tmp_path: Path) -> None:
    for name, body in resident.content().items():
        path = tmp_path / "copy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    shutil.copytree(tmp_path / "copy/ansible", tmp_path / "own/ansible")
    (tmp_path / "own/ansible/module_utils/basic.py").write_text("raise SystemExit('the own one')")
    program = "from ansible.module_utils import basic; print(basic.__file__)"
    environment = {"PYTHONPATH": f"{tmp_path}/copy:{tmp_path}/own"}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == str(tmp_path / "copy/ansible/module_utils/basic.py")
