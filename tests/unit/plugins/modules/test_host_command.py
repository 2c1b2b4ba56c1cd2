"""The installed command: the module that writes it, and the file itself, run by each kind of account."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.command_line import VERSION
from ansible_collections.intermission.django.plugins.module_utils.host_command import INTERPRETER, PACKAGE, PARTS, build
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory

RunModule = Callable[..., dict[str, Any]]
SYSTEM_PYTHON = "/usr/bin/python3"
GROUP = 54321
as_root = pytest.mark.skipif(
    os.getuid() != 0 or not Path(SYSTEM_PYTHON).exists(),
    reason="only root can become others, with a Python that they can run",
)


def test_install_in_check_mode_for_real_and_again(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "intermission"
    arguments = {"path": str(path), "state_root": str(tmp_path / "state")}
    told = run_module("host_command", arguments, True)
    assert (told["changed"], told["diff"][0]["before"], path.exists()) == (True, "", False)
    assert told["diff"][0]["after"].startswith(f"version: {VERSION}\nsha256: ")
    assert run_module("host_command", arguments)["changed"] is True
    assert (path.stat().st_mode & 0o7777, os.access(path, os.X_OK)) == (0o755, True)
    written = path.stat()
    assert run_module("host_command", arguments)["changed"] is False
    assert path.stat() == written
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".inter")] == []


def test_another_version_another_mode_or_another_root_is_a_change(run_module: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "intermission"
    arguments = {"path": str(path), "state_root": str(tmp_path / "state")}
    run_module("host_command", arguments)
    path.chmod(0o700)
    assert run_module("host_command", arguments, True)["changed"] is True
    assert run_module("host_command", arguments)["changed"] is True
    assert path.stat().st_mode & 0o7777 == 0o755
    path.write_bytes(path.read_bytes().replace(f"VERSION = '{VERSION}'".encode(), b"VERSION = '0.0.9'"))
    changed = run_module("host_command", arguments)
    assert changed["changed"] is True
    assert changed["diff"][0]["before"].startswith("version: 0.0.9\n")
    assert run_module("host_command", {**arguments, "state_root": "/srv/state"}, True)["changed"] is True


def test_completion_and_manual_come_and_go_with_the_command(run_module: RunModule, tmp_path: Path) -> None:
    share, path = tmp_path / "share", tmp_path / "tea-room"
    files = [share / "bash-completion/completions/tea-room", share / "man/man1/tea-room.1"]
    (share / "man").mkdir(parents=True)
    arguments = {"path": str(path), "state_root": str(tmp_path / "state"), "share": str(share)}
    told = run_module("host_command", arguments, True)
    assert [change["after_header"] for change in told["diff"]] == [str(path), *map(str, files)]
    assert "complete -F _tea_room" in told["diff"][1]["after"]
    assert list(share.rglob("*")) == [share / "man"]
    assert run_module("host_command", arguments)["diff"] == told["diff"]
    assert [file.stat().st_mode & 0o7777 for file in files] == [0o644, 0o644]
    assert [file.parent.stat().st_mode & 0o7777 for file in files] == [0o755, 0o755]
    assert run_module("host_command", arguments)["changed"] is False
    files[1].write_text("another version's")
    assert [change["before"] for change in run_module("host_command", arguments)["diff"]] == ["another version's"]

    removal = {**arguments, "state": "absent"}
    files[0].with_name("of-another").touch()
    told = run_module("host_command", removal, True)
    assert (told["changed"], path.exists(), len(told["diff"])) == (True, True, 3)
    assert run_module("host_command", removal)["changed"] is True
    assert sorted(entry.name for entry in share.rglob("*")) == ["bash-completion", "completions", "man", "of-another"]
    assert (path.exists(), run_module("host_command", removal)["changed"]) == (False, False)
    files[0].with_name("of-another").unlink()
    assert run_module("host_command", removal, True)["changed"] is True, "a removal that was cut short is finished"
    assert run_module("host_command", removal)["changed"] is True
    assert list(share.rglob("*")) == [share / "man"]
    assert run_module("host_command", removal)["changed"] is False


def test_a_directory_that_is_missing_says_what_to_do(run_module: RunModule, tmp_path: Path) -> None:
    said = run_module("host_command", {"path": str(tmp_path / "no" / "intermission")}, True)["msg"]
    assert f"there is no directory {tmp_path / 'no'}" in said
    assert "maintenance_window_command_path" in said


def test_the_file_is_the_same_bytes_each_time() -> None:
    content = build("/srv/state")
    assert content == build("/srv/state")
    assert content.startswith(INTERPRETER)
    with zipfile.ZipFile(BytesIO(content)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_the_file_holds_what_the_command_imports_and_no_more() -> None:
    code = (
        f"import sys, {PACKAGE}.command_line, {PACKAGE}.window_job_run\n"
        f"print(*(name for name in sys.modules if name.startswith('{PACKAGE}.')))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert sorted(said.stdout.split()) == sorted(f"{PACKAGE}.{part}" for part in PARTS)


def test_the_command_can_be_made_out_of_a_zip(tmp_path: Path) -> None:
    """As on a host, where Ansible brings the modules in a zip of its own."""
    payload = tmp_path / "payload.zip"
    source = Path(str(importlib.import_module(f"{PACKAGE}.host_command").__file__)).parent
    with zipfile.ZipFile(payload, "w") as archive:
        for part in (*PARTS, "command_help", "host_command"):
            archive.write(source / f"{part}.py", f"{PACKAGE.replace('.', '/')}/{part}.py")
        for depth in range(1, PACKAGE.count(".") + 2):
            archive.writestr("/".join([*PACKAGE.split(".")[:depth], "__init__.py"]), "")
    code = (
        f"import sys; sys.path.insert(0, {str(payload)!r})\n"
        f"from {PACKAGE}.host_command import build; sys.stdout.buffer.write(build('/srv/state'))"
    )
    made = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
    assert made.stdout == build("/srv/state")


class Host:
    """A site that a group may open and close, and the command, below a path that all may enter."""

    def __init__(self, path: Path) -> None:
        self.site = StateDirectory(str(path / "state"), "shop")
        self.site.make()
        for name in ("503.en.html.template", "503.en.html"):
            (self.site.pages / name).write_text("<html></html>")
            (self.site.pages / name).chmod(0o644)
        self.command = path / "intermission"
        self.hooks = path / "hooks"
        self.command.write_bytes(build(str(path / "state"), str(self.hooks)))
        self.command.chmod(0o755)

    def run(self, *arguments: str, umask: int = 0o022, **account: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.command), *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": "/nowhere"},
            umask=umask,
            **account,
        )


@pytest.fixture
def host(public_path: Path) -> Host:
    host = Host(public_path)
    host.site.hand_over(GROUP if os.getuid() == 0 else os.getgid())
    return host


@pytest.mark.skipif(not Path(SYSTEM_PYTHON).exists(), reason="the command's interpreter")
def test_the_file_is_the_command(host: Host) -> None:
    assert host.run("--version").stdout == f"intermission {VERSION}\n"
    assert host.run("status").stdout.startswith("shop: OPEN to visitors\n")
    opened = host.run("on", "shop", "--for", "10m")
    assert (opened.returncode, opened.stderr) == (0, "")
    assert "sees the flag and can read the page" in opened.stdout
    assert host.run("on", "nowhere").returncode == 2
    assert host.run("off", "shop").returncode == 0


@as_root
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_members_and_root_toggle_in_turn_whatever_their_umask(host: Host, umask: int) -> None:
    one = {"user": "daemon", "group": "daemon", "extra_groups": [GROUP]}
    two = {"user": "nobody", "group": "nogroup", "extra_groups": [GROUP]}
    root: dict[str, Any] = {}
    for opens, closes in ((one, two), (root, one), (two, root)):
        for account, arguments in ((opens, ["on", "shop", "--reason", str(opens)]), (closes, ["off", "shop"])):
            ran = host.run(*arguments, umask=umask, **account)
            assert (ran.returncode, ran.stderr) == (0, "")
    assert [entry["by"] for entry in host.site.journal(9)] == ["daemon", "nobody", "root", "daemon", "nobody", "root"]
    made = {path.relative_to(host.site.path): path.stat() for path in host.site.windows.rglob("*")}
    assert len(made) == 9
    assert {status.st_gid for status in made.values()} == {GROUP}
    for path, status in made.items():
        assert status.st_mode & 0o7777 == (0o664 if path.suffix else 0o2775) or path.name.startswith("window-")
    assert {path.stat().st_mode & 0o7777 for path in host.site.windows.iterdir()} == {0o2775}
    assert host.site.journal_file.stat().st_mode & 0o7777 == 0o664
    assert host.site.journal_file.stat().st_gid == GROUP


@as_root
def test_hooks_run_as_who_opens_the_window(host: Host) -> None:
    hook = host.hooks / "after-open.d" / "tell"
    hook.parent.mkdir(parents=True)
    hook.write_text("#!/bin/sh\nid -un; id -Gn; exit 1\n")
    member: dict[str, Any] = {"user": "daemon", "group": "daemon", "extra_groups": [GROUP]}
    for account in (member, {}):
        hook.chmod(0o755)
        name = "daemon" if account else "root"
        ran = host.run("on", "shop", "--reason", name, **account)
        assert ran.returncode == 0
        assert f"/after-open.d/tell ended with 1: {name} " in ran.stderr
        hook.chmod(0o700)
        quiet = host.run("on", "shop", "--reason", f"{name} again", **account)
        assert bool(quiet.stderr) == (name == "root"), "what an account may not run is left out"


@as_root
def test_who_is_not_in_the_group_is_refused(host: Host) -> None:
    for arguments, deed in ((["on", "shop"], "close"), (["off", "shop"], "open")):
        ran = host.run(*arguments, user="nobody", group="nogroup", extra_groups=[])
        assert ran.returncode == 77
        assert ran.stderr == (
            f"intermission: nobody may not {deed} shop: only root and the members of the group {GROUP} may. An administrator "
            f"adds nobody with: adduser nobody {GROUP}\n"
        )
    looked = host.run("status", user="nobody", group="nogroup", extra_groups=[])
    assert (looked.returncode, looked.stderr) == (0, "")


@as_root
def test_where_no_group_may_write_nobody_is_sent_to_one(host: Host) -> None:
    host.site.hand_over(0)
    ran = host.run("on", "shop", user="nobody", group="nogroup", extra_groups=[])
    assert (ran.returncode, ran.stderr) == (
        77,
        "intermission: nobody may not close shop: only root may, on this host.\n",
    )


@as_root
def test_a_member_before_a_closed_journal(host: Host) -> None:
    host.site.record("opened", "root", "here")
    host.site.journal_file.chmod(0o600)
    ran = host.run("on", "shop", user="nobody", group="nogroup", extra_groups=[GROUP])
    assert ran.returncode == 77
    assert f"nobody is a member, but {host.site.journal_file} is closed to the group" in ran.stderr
    assert not host.site.flag.is_symlink()


@pytest.mark.skipif(not Path(SYSTEM_PYTHON).exists(), reason="the command's interpreter")
def test_a_reader_that_goes_away_is_no_traceback(host: Host) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as stream:
        ran = subprocess.run([str(host.command), "status"], stdout=stream, stderr=subprocess.PIPE, check=False)
    assert (ran.returncode, ran.stderr) == (1, b"")
