"""``manage.py maintenance``: what it writes is what the product reads, and the other way round."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, Window
from django.core.management import CommandError, call_command
from django_intermission import writer
from django_intermission.management.commands import maintenance as command
from django_intermission.signals import maintenance_changed
from django_intermission.times import parse_instant

from django_layer.conftest import Configure, Host, instant
from django_layer.visitors import Visit


def run(*arguments: str) -> str:
    output = io.StringIO()
    call_command("maintenance", *arguments, stdout=output)
    return output.getvalue()


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_on_and_off(host: Host, visit: Visit) -> None:
    assert run_json("on", "--for", "30m", "--reason", "Disk", "--message", "Long")["changed"] is True
    assert visit().status == 503
    status = host.state.status()
    assert status["on"] and status["opened_with"] == "window" and status["problem"] is None
    window = status["window"]
    assert (window["reason"], window["message"], window["layer"], window["site"]) == ("Disk", "Long", "django", "shop")
    assert (parse_instant(window["end"]) - parse_instant(window["start"])).total_seconds() == 1800
    assert run_json("off")["changed"] is True
    assert visit().status == 200
    assert not host.state.status()["on"]
    assert [(entry["event"], entry["from"]) for entry in host.state.journal(9)] == [
        ("opened", "manage.py"),
        ("closed", "manage.py"),
    ]


def test_the_product_can_go_on_with_what_was_written(host: Host) -> None:
    run("on", "--reason", "Disk")
    window = host.state.current_window()
    assert window is not None
    host.state.open(Window(id="manual-9", site="shop", start=instant(), reason="Memory"), by="ada", source="test")
    assert run_json("status")["window"]["reason"] == "Memory"
    host.close()
    assert run_json("status") == {
        "closed": False,
        "by_setting": False,
        "by_flag": False,
        "debug_passes": False,
        "window": None,
    }


def test_modes_are_those_of_the_product(host: Host) -> None:
    umask = os.umask(0o077)
    try:
        run("on", "--read-only")
    finally:
        os.umask(umask)
    ours = host.path / "windows" / (writer.StateWriter(host.path).flagged_id() or "")
    assert (mode(host.path / "lock"), mode(host.path / "journal.jsonl")) == (0o660, 0o664)
    host.open("theirs", layer="django", read_only=True, reason="another")
    theirs = host.path / "windows" / "theirs"
    for name in ("", "window.json", "passes"):
        assert mode(ours / name) == mode(theirs / name)
    assert os.listdir(ours / "passes") == os.listdir(theirs / "passes") == ["any"]  # Nginx lets pass


def test_a_directory_that_is_made_is_open_to_the_group(configure: Configure, tmp_path: Path) -> None:
    configure(MAINTENANCE_STATE_DIRECTORY=tmp_path / "shop")
    run("on")
    assert (mode(tmp_path / "shop"), mode(tmp_path / "shop" / "windows")) == (0o2775, 0o2775)


def test_directories_on_the_way_are_open_to_all(configure: Configure, tmp_path: Path, visit: Visit) -> None:
    configure(MAINTENANCE_STATE_DIRECTORY=tmp_path / "lib" / "intermission" / "shop")
    before = os.umask(0o077)
    try:
        run("on", "--read-only")
        run("off")
    finally:
        os.umask(before)
    assert [mode(tmp_path / "lib"), mode(tmp_path / "lib/intermission")] == [0o755, 0o755]
    (window,) = (tmp_path / "lib/intermission/shop/windows").iterdir()
    assert {mode(path) for path in (window, window / "passes")} == {0o2775}
    assert {mode(path) for path in (window / "window.json", window / "passes/any")} == {0o664}


@pytest.mark.parametrize("stage", [".", "passes"])
def test_a_directory_that_is_exchanged_meanwhile_is_not_written_to(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """Members of the group may write to windows/, and this may be root."""
    victim = tmp_path / "victim"
    victim.mkdir(mode=0o700)
    made = os.mkdir

    def exchange(name: str, *arguments: Any, dir_fd: int, **options: Any) -> None:
        made(name, *arguments, dir_fd=dir_fd, **options)
        if (name == "passes") is (stage == "passes"):
            os.rename(name, f"{name}.old", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
            os.symlink(victim, name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", exchange)
    with pytest.raises(CommandError):
        run("on", "--read-only")
    assert (mode(victim), list(victim.iterdir())) == (0o700, [])
    assert not (host.path / "on").is_symlink()


@pytest.mark.skipif(os.getuid() != 0, reason="a directory is given to another account")
def test_a_directory_of_somebody_else_is_not_written_to(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    made = os.mkdir

    def give_away(name: str, *arguments: Any, dir_fd: int, **options: Any) -> None:
        made(name, *arguments, dir_fd=dir_fd, **options)
        os.chown(name, 12345, 12345, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", give_away)
    with pytest.raises(CommandError, match="somebody else has put another directory"):
        run("on")
    assert not [path for path in (host.path / "windows").iterdir() if path.name.startswith(".")]


def test_a_window_in_which_nginx_answers_is_not_replaced(host: Host, visit: Visit) -> None:
    host.open("manual-1")
    with pytest.raises(CommandError, match="by the window manual-1, in which Nginx answers"):
        run("on", "--reason", "other")
    assert host.state.flagged_id() == "manual-1"


def test_a_deploys_window_that_cannot_be_read_is_not_replaced(host: Host) -> None:
    host.open("deploy-r1")
    host.window_file.write_text("{")
    with pytest.raises(CommandError, match="by a deploy that is under way or has failed"):
        run("on")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"MIDDLEWARE": []}, "first in MIDDLEWARE"),
        ({"DEBUG": True}, "DEBUG lets everybody pass"),
        ({"MAINTENANCE_LAYERS": ["nginx"]}, "add 'django' to MAINTENANCE_LAYERS"),
    ],
    ids=str,
)
def test_on_is_refused_where_the_site_would_stay_open(
    host: Host, configure: Configure, settings: dict[str, Any], words: str
) -> None:
    configure(**{"MAINTENANCE_STATE_DIRECTORY": host.path, **settings})
    with pytest.raises(CommandError, match=words):
        run("on")
    assert not (host.path / "on").is_symlink()


def test_status_of_a_window_in_which_nginx_answers(host: Host, configure: Configure) -> None:
    configure(MAINTENANCE_STATE_DIRECTORY=host.path, MAINTENANCE_LAYERS=["django"])
    host.open(reason="Disk")
    status = run_json("status")
    assert (status["closed"], status["by_flag"], status["window"]["reason"]) == (True, True, "Disk")
    assert f"the flag {host.path}/on, where Nginx answers" in run("status")


def test_djangos_own_options_may_come_last(host: Host) -> None:
    assert "open" in run("status", "--settings", "nowhere", "--traceback", "--no-color", "--verbosity", "2")


def test_read_only(host: Host, visit: Visit) -> None:
    run("on", "--read-only")
    assert (visit().status, visit(method="POST").status) == (200, 503)


def test_the_directory_is_made(configure: Configure, tmp_path: Path, visit: Visit) -> None:
    configure(MAINTENANCE_STATE_DIRECTORY=tmp_path / "new" / "shop")
    assert run_json("off")["changed"] is False
    assert not (tmp_path / "new").exists()
    run("on", "--until", "2099-12-01T02:00Z")
    assert visit()["Retry-After"] == "Tue, 01 Dec 2099 02:00:00 GMT"
    assert StateDirectory(str(tmp_path / "new"), "shop").status()["until"] == "2099-12-01T02:00:00Z"


def test_the_same_again_changes_nothing(host: Host) -> None:
    assert run_json("on", "--reason", "Disk")["changed"] is True
    flag = os.lstat(host.path / "on").st_ino
    assert run_json("on", "--reason", "Disk")["changed"] is False
    assert os.lstat(host.path / "on").st_ino == flag
    assert run_json("on", "--reason", "Memory")["changed"] is True
    assert run_json("off")["changed"] is True
    assert run_json("off")["changed"] is False


def test_a_flag_by_hand_is_replaced_and_taken_away(host: Host) -> None:
    (host.path / "on").touch()
    assert run_json("status") == {
        "closed": True,
        "by_setting": False,
        "by_flag": True,
        "debug_passes": False,
        "window": None,
    }
    assert run_json("on")["changed"] is True
    (host.path / "on").unlink()
    (host.path / "on").touch()
    assert run_json("off")["changed"] is True


def test_windows_of_one_second_have_names_of_their_own(host: Host) -> None:
    state = writer.StateWriter(host.path)
    from django_intermission.state import Window as Ours

    for reason in ("a", "b", "c"):
        state.open(Ours(id="manage-1", site="shop", start="2026-01-01T00:00:00Z", reason=reason))
    assert sorted(os.listdir(host.path / "windows")) == ["manage-1", "manage-1.2", "manage-1.3"]
    with pytest.raises(writer.StateError, match="no window id"):
        state.open(Ours(id="../x", site="shop", start="2026-01-01T00:00:00Z"))


def test_old_windows_are_forgotten_and_others_are_not(host: Host) -> None:
    from django_intermission.state import Window as Ours

    state = writer.StateWriter(host.path)
    host.state.stage(Window(id="announced", site="shop", start="2099-01-01T00:00:00Z"))
    (host.state.windows / "broken").mkdir()
    state.open(Ours(id="flagged", site="shop", start="2020-01-01T00:00:00Z"))
    for number in range(writer.KEPT_WINDOWS + 5):
        host.state.stage(Window(id=f"w{number:02}", site="shop", start=f"2026-01-01T00:00:{number:02}Z"))
    state.open(Ours(id="flagged-2", site="shop", start="2020-01-01T00:00:00Z", reason="x"))
    left = set(os.listdir(host.state.windows))
    assert {"announced", "broken", "flagged-2", "w24"} <= left
    assert {"flagged", "w00", "w05"}.isdisjoint(left)
    assert len([name for name in left if name.startswith("w")]) == writer.KEPT_WINDOWS - 1


def test_a_deploys_window(host: Host, visit: Visit) -> None:
    host.open("deploy-1")
    with pytest.raises(CommandError, match="by a deploy that is under way or has failed"):
        run("on", "--reason", "Disk")
    with pytest.raises(CommandError, match="--force"):
        run("off")
    assert visit().status == 503
    run("off", "--force")
    assert visit().status == 200


def test_a_lock_that_is_held(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "LOCK_SECONDS", 0.05)
    with (host.path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CommandError, match="held by another process"):
            run("on")
    run("on")


@pytest.mark.parametrize("name", ["lock", "journal.jsonl"])
@pytest.mark.parametrize("kind", ["hard link", "pipe", "symlink"])
def test_a_file_that_leads_elsewhere_is_refused(host: Host, tmp_path: Path, name: str, kind: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    victim.chmod(0o600)
    path = host.path / name
    if kind == "hard link":
        os.link(victim, path)
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(victim)
    with pytest.raises(CommandError, match="symbolic links" if kind == "symlink" else "plain file"):
        run("on")
    assert (victim.read_text(), mode(victim)) == ("mine", 0o600)


def test_the_journal_after_a_line_that_was_cut_short(host: Host) -> None:
    host.state.journal_file.write_bytes(b'{"at": "20')
    run("on")
    run("off")
    assert [entry["event"] for entry in host.state.journal(9)] == ["opened", "closed"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["on", "--for", "soon"], "no duration|not a duration"),
        (["on", "--for", "0m"], "no time at all"),
        (["on", "--for", "999999999d"], "too long"),
        (["on", "--for", "99999999999999d"], "too long"),
        (["on", "--until", "2020-01-01T00:00Z"], "has passed"),
        (["on", "--until", "tomorrow"], "not an ISO 8601"),
    ],
)
def test_what_cannot_be_read(host: Host, arguments: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        run(*arguments)
    assert not (host.path / "on").exists()


@pytest.mark.parametrize("verb", ["on", "off"])
def test_without_a_directory(verb: str) -> None:
    with pytest.raises(CommandError, match="set MAINTENANCE_STATE_DIRECTORY"):
        run(verb)


def test_bad_settings(configure: Configure) -> None:
    configure(MAINTENANCE_MODE="perhaps")
    with pytest.raises(CommandError, match="set it to one of"):
        run("status")


def test_a_directory_that_cannot_be_written(configure: Configure, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    configure(MAINTENANCE_STATE_DIRECTORY=str(tmp_path / "file" / "shop"))
    with pytest.raises(CommandError, match="is no directory"):
        run("on")


def test_status_without_a_directory() -> None:
    assert run("status").startswith("open\n  MAINTENANCE_MODE is off for this command")


def test_status_in_words(configure: Configure, host: Host) -> None:
    run("on", "--reason", "Disk\x1b[2J", "--until", "2099-12-01T02:00Z")
    lines = run("status").splitlines()
    assert lines[:2] == ["CLOSED to visitors", f"  by     the flag {host.path / 'on'}"]
    assert "  end        2099-12-01T02:00:00Z" in lines
    assert "  reason     Disk[2J" in lines
    assert not any("message" in line for line in lines)
    configure(MAINTENANCE_MODE=True)
    assert any("MAINTENANCE_MODE" in line for line in run("off").splitlines())
    configure(DEBUG=True)
    assert run("status").splitlines()[:2] == ["open", "  DEBUG lets everybody pass"]


def test_status_of_a_window_that_vanishes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.open()
    monkeypatch.setattr(writer.StateWriter, "current", lambda self: None)
    assert run_json("status")["window"] is None


def test_schedule(host: Host) -> None:
    assert (run("schedule"), run_json("schedule")) == ("no window is announced\n", [])
    host.state.stage(
        Window(id="a", site="shop", start="2099-12-01T02:00:00Z", end="2099-12-01T02:30:00Z", reason="Disk")
    )
    host.state.stage(Window(id="b", site="shop", start="2099-12-02T02:00:00Z"))
    assert run("schedule").splitlines() == [
        "2099-12-01T02:00:00Z  2099-12-01T02:30:00Z  a  Disk",
        "2099-12-02T02:00:00Z  no end                b  ",
    ]
    assert [(row["id"], row["end"]) for row in run_json("schedule")] == [("a", "2099-12-01T02:30:00Z"), ("b", None)]


def test_schedule_without_a_directory() -> None:
    assert run_json("schedule") == []


def test_texts_that_no_reader_would_take_are_refused(host: Host, visit: Visit) -> None:
    with pytest.raises(CommandError, match="too long"):
        run("on", "--message", "x" * 70_000)
    assert visit().status == 200


def test_a_full_disk_is_told_with_the_directory(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CommandError, match=f"{host.path}: No space left on device"):
        run("on")


def test_who_asks_for_the_status_is_told_of_a_change_once(host: Host) -> None:
    host.open()
    listener: list[object] = []

    def listen(sender: object, maintenance: object, **_: object) -> None:
        listener.append(maintenance)

    maintenance_changed.connect(listen, dispatch_uid="test")
    try:
        run("status")
    finally:
        maintenance_changed.disconnect(dispatch_uid="test")
    assert len(listener) == 1


def test_json_is_plain_ascii(host: Host) -> None:
    assert run("on", "--reason", "Wartung: größer", "--json").isascii()


def test_two_may_make_the_directory_at_once(
    configure: Configure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(MAINTENANCE_STATE_DIRECTORY=str(tmp_path / "shop"))
    mkdir = Path.mkdir

    def after_another(self: Path, *arguments: Any, **options: Any) -> None:
        mkdir(self, exist_ok=True)
        mkdir(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", after_another)
    assert run_json("on")["changed"] is True


def test_who(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ada")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert writer.who() == "ada"
    monkeypatch.delenv("SUDO_USER")
    assert writer.who() == "root"
    monkeypatch.setenv("SUDO_USER", "ada")
    monkeypatch.setattr(os, "getuid", lambda: 4242424)
    assert writer.who() == "4242424"


def test_it_needs_no_checks() -> None:
    assert command.Command.requires_system_checks == []


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_only_where_it_may_not_write_root_is_named(host: Host, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(writer.StateWriter, "open", refuse)
    with pytest.raises(CommandError) as caught:
        run("on")
    assert str(caught.value).startswith(f"{host.path}: {os.strerror(number)}")
    assert ("as root" in str(caught.value)) is (number == errno.EACCES)


def test_debug_is_named_where_it_keeps_a_closed_site_open(host: Host, configure: Configure) -> None:
    configure(MAINTENANCE_STATE_DIRECTORY=str(host.path), DEBUG=True)
    assert "DEBUG" not in run("status")
    assert "by     the flag" not in run("status")
    host.open()
    assert "DEBUG lets everybody pass" in run("status")
