from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import json
import multiprocessing
import os
import pwd
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import state
from ansible_collections.intermission.django.plugins.module_utils.files import NotPlainError
from ansible_collections.intermission.django.plugins.module_utils.state import (
    KEPT_WINDOWS,
    StateDirectory,
    StateError,
    Window,
    fill_page,
    new_secret,
)
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant

START = "2026-12-01T01:00:00Z"
END = "2999-12-01T02:00:00Z"
ONE = Window(id="one", site="shop", start=START, end=END, reason="A disk is changed", opened_by="ada")
TWO = Window(id="two", site="shop", start=START, reason="Another")


@contextlib.contextmanager
def vanishing_names(directory: Path) -> Iterator[Callable[[], list[str]]]:
    """Ask the kernel which names in a directory were removed or renamed to another (inotify(7))."""
    libc = ctypes.CDLL(None)
    descriptor = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(descriptor, bytes(directory), 0x200 | 0x40) > 0  # IN_DELETE, IN_MOVED_FROM

    def names() -> list[str]:
        content, found = b"", []
        with contextlib.suppress(BlockingIOError):  # None did
            content = os.read(descriptor, 65536)
        while content:
            length = int.from_bytes(content[12:16], sys.byteorder)
            found.append(content[16 : 16 + length].rstrip(b"\0").decode())
            content = content[16 + length :]
        return found

    yield names
    os.close(descriptor)


def events(site: StateDirectory) -> list[str]:
    return [entry["event"] for entry in site.journal(100)]


def test_a_site_without_a_flag_is_open(site: StateDirectory) -> None:
    assert site.status() == {
        "site": "shop",
        "on": False,
        "opened_with": None,
        "window": None,
        "since": None,
        "until": None,
        "overdue": False,
        "has_pass": False,
        "share": 0,
        "problem": None,
    }


def test_a_site_that_was_never_set_up_is_open(tmp_path: Path) -> None:
    assert StateDirectory(str(tmp_path), "nowhere").status()["on"] is False


def test_open_then_close(site: StateDirectory) -> None:
    assert site.open(ONE, "ada", "laptop")
    assert str(site.flag.readlink()) == "windows/one"
    status = site.status()
    assert (status["on"], status["opened_with"], status["since"], status["until"]) == (True, "window", START, END)
    assert status["window"]["reason"] == "A disk is changed"
    assert (status["overdue"], status["problem"]) == (False, None)
    assert site.close("bob", "desk")
    assert not site.status()["on"]
    assert (site.windows / "one" / "window.json").exists()
    opened, closed = site.journal(10)
    assert (opened["event"], opened["by"], opened["from"], opened["window"]) == ("opened", "ada", "laptop", "one")
    assert (opened["reason"], opened["until"]) == ("A disk is changed", END)
    assert (closed["event"], closed["by"], closed["from"], closed["window"]) == ("closed", "bob", "desk", "one")


def test_a_window_past_its_end_is_overdue(site: StateDirectory) -> None:
    past = format_instant(datetime.now(UTC) - timedelta(seconds=1))
    site.open(Window(id="one", site="shop", start=START, end=past), "ada", "here")
    assert site.status()["overdue"] is True


def test_a_flag_made_with_touch_counts(site: StateDirectory) -> None:
    site.flag.touch()
    os.utime(site.flag, (0, 0))
    status = site.status()
    assert (status["on"], status["opened_with"], status["window"]) == (True, "hand", None)
    assert status["since"] == "1970-01-01T00:00:00Z"
    assert site.close("ada", "here")
    assert not site.flag.exists()
    assert site.journal(1)[0]["window"] is None


def test_a_flag_made_with_touch_is_replaced_by_a_window(site: StateDirectory) -> None:
    site.flag.touch()
    assert site.open(ONE, "ada", "here")
    assert site.status()["opened_with"] == "window"


def test_a_flag_whose_window_is_gone_is_a_problem_and_no_maintenance(site: StateDirectory) -> None:
    site.flag.symlink_to("windows/gone")
    status = site.status()
    assert status["on"] is False
    assert "'gone' is not in" in status["problem"]
    assert site.open(ONE, "ada", "here")
    assert site.status()["problem"] is None


def test_the_same_request_twice_changes_nothing(site: StateDirectory) -> None:
    assert site.open(ONE, "ada", "here")
    assert not site.open(ONE, "bob", "there")
    assert events(site) == ["opened"]


def test_another_end_replaces_the_flag_without_a_gap(site: StateDirectory) -> None:
    site.open(ONE, "ada", "here")
    with vanishing_names(site.path) as vanished:
        assert site.open(replace(ONE, end="2999-12-01T02:30:00Z"), "ada", "here")
        assert vanished() == [".one.2.partial", f".on.{os.getpid()}.partial"]
    assert site.status()["until"] == "2999-12-01T02:30:00Z"
    assert str(site.flag.readlink()) == "windows/one.2"


def names_below(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("read_only", [False, True])
def test_all_methods_pass_where_the_app_answers(site: StateDirectory, read_only: bool) -> None:
    site.open(Window(id="one", site="shop", start=START, layer="django", read_only=read_only), "ada", "here")
    assert names_below(site.flag / "passes") == {"any"}


def test_a_read_only_window_names_the_methods_that_pass(site: StateDirectory) -> None:
    site.open(Window(id="one", site="shop", start=START), "ada", "here")
    assert not (site.flag / "passes").exists()
    assert site.open(Window(id="two", site="shop", start=START, read_only=True), "ada", "here")
    assert names_below(site.flag / "passes") == {"GET", "HEAD"}
    assert site.status()["window"]["read_only"] is True
    assert site.journal(1)[0]["read_only"] is True
    assert not site.open(Window(id="two", site="shop", start=START, read_only=True), "ada", "here")


def test_a_secret_is_the_name_of_a_file_that_nobody_lists(site: StateDirectory) -> None:
    secret, another = new_secret(), new_secret()
    window = Window(id="one", site="shop", start=START)
    assert site.open(window, "ada", "here", secret)
    assert names_below(site.flag / "passes") == {secret}
    assert (site.flag / "passes").stat().st_mode & 0o7777 == 0o711
    assert site.status()["window"]["bypass_digest"] == hashlib.sha256(secret.encode()).hexdigest()
    assert [site.open(window, "ada", "here", secret), site.open(window, "ada", "here")] == [False, False]
    assert site.open(window, "ada", "here", another)
    assert names_below(site.flag / "passes") == {another}
    for wrong in ("../../etc", "short", "x" * 42 + "/"):
        with pytest.raises(StateError, match="43 letters"):
            site.open(replace(window, reason=wrong), "ada", "here", wrong)
    assert names_below(site.flag / "passes") == {another}


def test_a_later_end_keeps_the_secret(site: StateDirectory) -> None:
    secret = new_secret()
    site.open(ONE, "ada", "here", secret)
    assert site.status()["has_pass"] is True
    later = replace(ONE, end="2999-12-01T03:00:00Z")
    assert site.open(later, "ada", "here")
    assert str(site.flag.readlink()) == "windows/one.2"
    assert names_below(site.flag / "passes") == {secret}
    assert (site.flag / "passes").stat().st_mode & 0o7777 == 0o711
    status = site.status()
    assert (status["has_pass"], status["until"]) == (True, later.end)
    assert status["window"]["bypass_digest"] == hashlib.sha256(secret.encode()).hexdigest()
    assert not site.open(later, "ada", "here")
    site.close("ada", "here")
    assert site.status()["has_pass"] is False
    site.open(ONE, "ada", "here")
    assert not (site.flag / "passes").exists()


def test_only_the_windows_own_secret_is_kept(site: StateDirectory) -> None:
    site.open(ONE, "ada", "here", new_secret())
    (kept,) = (site.flag / "passes").iterdir()
    kept.rename(kept.with_name(new_secret()))
    (site.flag / "passes" / "note").touch()
    assert site.open(replace(ONE, end="2999-12-01T03:00:00Z"), "ada", "here")
    assert not (site.flag / "passes").exists()
    assert site.status()["has_pass"] is False


def test_a_deploy_keeps_no_secret_but_a_deploys(site: StateDirectory) -> None:
    secret = new_secret()
    site.open(ONE, "ada", "here", secret)
    site.open(replace(ONE, id="deploy-r1"), "ada", "here")
    assert site.status()["has_pass"] is False
    site.open(replace(ONE, id="deploy-r2"), "ada", "here", secret)
    site.open(replace(ONE, id="deploy-r3", reason="r3"), "ada", "here")
    assert names_below(site.flag / "passes") == {secret}


@pytest.mark.parametrize("umask", [0o077, 0o002])
def test_nginx_finds_who_passes_whatever_the_umask(site: StateDirectory, umask: int) -> None:
    former = os.umask(umask)
    try:
        site.stage(Window(id="methods", site="shop", start=START, read_only=True))
        site.stage(Window(id="both", site="shop", start=START, read_only=True), new_secret())
    finally:
        os.umask(former)
    for window, mode in (("methods", 0o2775), ("both", 0o711)):
        assert (site.windows / window / "passes").stat().st_mode & 0o7777 == mode


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_nobody_lists_the_secret_while_it_is_put_in(
    site: StateDirectory, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    modes, touch = [], Path.touch

    def told(path: Path) -> None:
        touch(path)
        modes.append(path.parent.stat().st_mode & 0o077)

    monkeypatch.setattr(Path, "touch", told)
    former = os.umask(umask)
    try:
        site.open(Window(id="one", site="shop", start=START), "ada", "here", new_secret())
    finally:
        os.umask(former)
    assert modes == [0]


def test_a_deploys_window_is_not_replaced_by_one_that_anybody_may_close(site: StateDirectory) -> None:
    site.open(Window(id="deploy-r1", site="shop", start="2026-12-01T01:00:00Z"), "ada", "here")
    with pytest.raises(StateError, match="closed already, by a deploy"):
        site.open(Window(id="window-1", site="shop", start="2026-12-01T01:00:00Z"), "bob", "here")
    assert site.flagged_id() == "deploy-r1"
    assert site.open(Window(id="deploy-r2", site="shop", start="2026-12-01T01:00:00Z", reason="r2"), "ada", "here")


def test_a_second_window_of_the_same_id_gets_a_number(site: StateDirectory) -> None:
    site.open(ONE, "ada", "here")
    site.close("ada", "here")
    site.open(ONE, "ada", "here")
    assert str(site.flag.readlink()) == "windows/one.2"
    assert site.read_window("one.2").id == "one.2"


@pytest.mark.parametrize(
    ("flag", "only", "closes"),
    [
        (None, None, False),
        (None, "one", False),
        ("one", None, True),
        ("one", "one", True),
        ("one", "two", False),
        ("gone", "gone", True),
        ("by hand", None, True),
        ("by hand", "one", False),
    ],
)
def test_close_only_its_own_window(site: StateDirectory, flag: str | None, only: str | None, closes: bool) -> None:
    if flag == "by hand":
        site.flag.touch()
    elif flag:
        site.flag.symlink_to(f"windows/{flag}")
    assert site.close("ada", "here", only=only) is closes
    assert site.flag.is_symlink() is (flag in ("one", "gone") and not closes)
    assert events(site) == (["closed"] if closes else [])


def test_status_can_be_read_while_others_open_and_close(site: StateDirectory) -> None:
    site.stage(ONE)
    done = threading.Event()

    def toggle() -> None:
        while not done.is_set():
            site.flag.symlink_to("windows/one")
            site.flag.unlink()

    toggler = threading.Thread(target=toggle)
    toggler.start()
    try:
        states = [site.status()["opened_with"] for _ in range(3000)]
        while len({*states}) < 2 and len(states) < 1_000_000:  # The other thread may not have had its turn
            states.append(site.status()["opened_with"])
    finally:
        done.set()
        toggler.join()
    assert set(states) == {None, "window"}


def test_a_journal_line_that_was_cut_is_passed_over_and_costs_no_other(site: StateDirectory) -> None:
    site.record("first", "ada", "here")
    with site.journal_file.open("ab") as stream:
        stream.write('{"event": "cut", "reason": "café'.encode()[:-1])
    site.record("last", "ada", "here")
    assert events(site) == ["first", "last"]


@pytest.mark.parametrize("reason", ["line\nbreak", "line\u2028separator", "next\x85line", "form\x0cfeed", "Grüße"])
def test_any_reason_stands_in_one_journal_line(site: StateDirectory, reason: str) -> None:
    site.open(Window(id="one", site="shop", start=START, reason=reason), "ada", "here")
    site.close("ada", "here")
    assert events(site) == ["opened", "closed"]
    assert site.journal(2)[0]["reason"] == reason


def test_what_is_no_entry_of_the_journal_is_passed_over(site: StateDirectory) -> None:
    site.journal_file.write_text(f"1\nnull\n{{\n{'[' * 20_000}\n")
    site.record("opened", "ada", "here")
    assert events(site) == ["opened"]


def test_the_journal_gives_its_last_entries(site: StateDirectory) -> None:
    assert site.journal(5) == []
    for name in "abc":
        site.record(name, "ada", "here")
    assert [entry["event"] for entry in site.journal(2)] == ["b", "c"]
    assert site.journal_file.read_text().count("\n") == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("7", "cannot be read"),
        ("{}", "cannot be read"),
        ('{"schema": 2, "id": "one"}', "has schema 2; this version reads schema 1"),
        ('{"schema": 1, "id": "one"}', "cannot be read"),
        ('{"schema": 1, "id": "one", "site": "shop", "start": "x", "end": "tomorrow"}', "cannot be read"),
        ('{"schema": 1, "id": "one", "site": "shop", "start": "x", "end": 5}', "cannot be read"),
        ('{"schema": 1, "id": 5, "site": "shop", "start": "x"}', "id has the wrong type"),
        ('{"schema": 1, "id": "one", "site": "shop", "start": "x", "expires": 1}', "expires has the wrong type"),
        pytest.param("[" * 200_000, "cannot be read", id="deep"),
        ("\udcff", "cannot be read"),
    ],
)
def test_a_window_that_cannot_be_read_is_a_problem_and_still_maintenance(
    site: StateDirectory, text: str, message: str
) -> None:
    (site.windows / "one").mkdir()
    (site.windows / "one" / "window.json").write_bytes(text.encode(errors="surrogateescape"))
    site.flag.symlink_to("windows/one")
    status = site.status()
    assert status["on"] is True
    assert message in status["problem"]
    assert site.open(TWO, "ada", "here")


def test_a_window_that_somebody_has_made_huge_is_a_problem_and_a_large_template_none(site: StateDirectory) -> None:
    site.open(ONE, "ada", "here")
    os.truncate(site.windows / "one" / "window.json", 2**21)
    assert "has more than" in site.status()["problem"]
    template = site.pages / "503.en.html.template"
    template.write_text("x" * 2**21)
    assert len(site.templates()["503.en.html"]) == 2**21


def test_a_window_survives_its_file() -> None:
    window = Window(id="one", site="shop", start=START, end=END, reason="<&>", message="Grüße", expires=True)
    assert Window.from_json(window.to_json()) == window
    assert json.loads(window.to_json())["schema"] == 1


FILLED = "2026-12-01T01:00:00Z|2026-12-01 01:00 UTC|2026-12-01T02:00:00Z|2026-12-01 02:00 UTC|100%"


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("503.en.html", f"&lt;b&gt;&amp;\\\n\x1b|&quot;hi&quot; %%end%%|{FILLED}"),
        ("503.json", f'<b>&\\\\\\n\\u001b|\\"hi\\" %%end%%|{FILLED}'),
        ("503.txt", f'<b>&\\\n|"hi" %%end%%|{FILLED}'),
    ],
)
def test_a_page_is_filled_and_escaped_for_its_format(name: str, page: str) -> None:
    window = Window(
        id="one", site="shop", start=START, end="2026-12-01T02:00:00Z", reason="<b>&\\\n\x1b", message='"hi" %%end%%'
    )
    assert fill_page("%%reason%%|%%message%%|%%start%%|%%start_text%%|%%end%%|%%end_text%%|100%", name, window) == page


def test_a_line_whose_mark_has_no_value_is_left_out() -> None:
    window = Window(id="one", site="shop", start=START, reason="Disks")
    template = "<h1>Soon</h1>\n<p>%%reason%%</p>\n<p>%%message%%</p>\n<p>%%start%%, %%end%%</p>\n<p>%%other%%</p>\n<p>50%% of%%</p>\n"
    assert fill_page(template, "503.en.html", window) == "<h1>Soon</h1>\n<p>Disks</p>\n<p>50%% of%%</p>\n"


@pytest.mark.parametrize(("read_only", "page"), [(False, "<p>We are back soon</p>\n"), (True, "<p>Read: Disks</p>\n")])
def test_a_line_may_be_for_one_kind_of_window(read_only: bool, page: str) -> None:
    window = Window(id="one", site="shop", start=START, reason="Disks", read_only=read_only)
    template = (
        "%%closed%%<p>We are back soon</p>\n%%read_only%%<p>Read: %%reason%%</p>\n%%read_only%%<p>%%message%%</p>\n"
    )
    assert fill_page(template, "503.en.html", window) == page


@pytest.mark.parametrize(("end", "mtime"), [("2026-12-01T02:00:00Z", 1_796_090_400), (None, 0)])
def test_every_page_is_dated_to_the_end_or_the_epoch(site: StateDirectory, end: str | None, mtime: int) -> None:
    site.open(Window(id="one", site="shop", start=START, end=end, reason='A "disk"'), "ada", "here")
    pages = {path.name: path for path in (site.windows / "one").glob("503.*")}
    assert sorted(pages) == ["503.de.html", "503.en.html", "503.json", "503.txt"]
    assert {page.stat().st_mtime for page in pages.values()} == {mtime}
    assert pages["503.de.html"].read_text() == "<p>Grund: A &quot;disk&quot;</p>\n</html>\n"
    assert (f"<p>{end}|2026-12-01 02:00 UTC</p>" in pages["503.en.html"].read_text()) is (end is not None)
    told = {"reason": 'A "disk"', "status": 503, **({"end": end} if end else {})}
    assert json.loads(pages["503.json"].read_text()) == told
    assert pages["503.txt"].read_text() == 'Closed\nA "disk"\n'


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_nginx_can_read_and_the_group_can_write_whatever_the_umask(site: StateDirectory, umask: int) -> None:
    former = os.umask(umask)
    try:
        site.open(ONE, "ada", "here")
    finally:
        os.umask(former)
    window = site.windows / "one"
    assert window.stat().st_mode & 0o7777 == 0o2775
    assert {file.name: file.stat().st_mode & 0o777 for file in window.iterdir()} == {
        "503.de.html": 0o664,
        "503.en.html": 0o664,
        "503.json": 0o664,
        "503.txt": 0o664,
        "window.json": 0o664,
    }
    assert site.journal_file.stat().st_mode & 0o777 == 0o664


def test_old_windows_are_forgotten_but_never_the_flagged_one(site: StateDirectory) -> None:
    for number in range(KEPT_WINDOWS + 5):
        staged = site.stage(Window(id=f"w{number}", site="shop", start=START))
        os.utime(staged / "window.json", (number, number))
    site.flag.symlink_to("windows/w0")
    site.forget_old_windows()
    left = {entry.name for entry in site.windows.iterdir()}
    assert left == {"w0", *(f"w{number}" for number in range(5, KEPT_WINDOWS + 5))}
    assert site.flag.exists()


def _open_at_the_same_time(root: str, name: str, barrier: Barrier) -> None:
    barrier.wait()
    StateDirectory(root, "shop").open(Window(id=name, site="shop", start=START, reason=name), name, "here")


def test_two_who_open_at_once_leave_one_consistent_state(site: StateDirectory) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    processes = [
        context.Process(target=_open_at_the_same_time, args=(str(site.path.parent), name, barrier))
        for name in ("a", "b", "c", "d")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    journal = site.journal(10)
    assert sorted(entry["window"] for entry in journal) == ["a", "b", "c", "d"]
    status = site.status()
    assert status["on"]
    assert status["window"]["id"] == journal[-1]["window"]
    assert sorted(entry.name for entry in site.windows.iterdir()) == ["a", "b", "c", "d"]
    assert [entry.name for entry in site.path.iterdir() if entry.name.startswith(".")] == []


def test_the_directories_are_made_once_whatever_the_umask(tmp_path: Path) -> None:
    site = StateDirectory(str(tmp_path / "state"), "shop")
    assert site.missing() == [tmp_path / "state", site.path, site.windows, site.pages]
    former = os.umask(0o077)
    try:
        site.make()
    finally:
        os.umask(former)
    assert site.missing() == []
    assert site.path.parent.stat().st_mode & 0o7777 == 0o755
    assert site.windows.stat().st_mode & 0o7777 == 0o2775
    site.path.chmod(0o2770)
    site.make()
    assert site.path.stat().st_mode & 0o7777 == 0o2770


def test_a_site_that_was_not_set_up_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="is not there: apply the role maintenance_page"):
        StateDirectory(str(tmp_path), "shop").open(ONE, "ada", "here")


def test_missing_templates_say_what_to_do_and_change_nothing(site: StateDirectory) -> None:
    for template in site.pages.glob("503.*.html.template"):
        template.unlink()
    with pytest.raises(
        StateError, match=r"no page template .*/503\.<language>\.html\.template: apply the role maintenance_page"
    ):
        site.open(ONE, "ada", "here")
    assert not site.flag.is_symlink()
    assert list(site.windows.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".hidden", "../../etc", "a/b", "a b", "x" * 101])
def test_a_window_id_that_is_no_name_is_refused(site: StateDirectory, name: str) -> None:
    with pytest.raises(StateError, match="is no window id"):
        site.open(Window(id=name, site="shop", start=START), "ada", "here")


def test_an_end_that_is_no_instant_is_refused(site: StateDirectory) -> None:
    with pytest.raises(StateError, match="'tomorrow' is not an ISO 8601 instant"):
        site.open(Window(id="one", site="shop", start=START, end="tomorrow"), "ada", "here")
    assert list(site.windows.iterdir()) == []


def test_a_full_disk_leaves_the_flag_and_no_half_window(
    site: StateDirectory, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    site.open(ONE, "ada", "here")
    with full_disk(20), pytest.raises(OSError):
        site.open(TWO, "ada", "here")
    assert site.status()["window"]["id"] == "one"
    assert [entry.name for entry in site.windows.iterdir()] == ["one"]


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory that a symlink leads to, with files that must not be read, written, removed or given away."""
    path = tmp_path / "victim"
    (path / "old").mkdir(parents=True)
    for name in ("file", "503.en.html.template", "old/file", "old/window.json"):
        (path / name).write_text(SECRET)
        (path / name).chmod(0o600)
    return path


SECRET = '{"schema": 1, "id": "one", "site": "shop", "start": "secret"}\n'


def picture(path: Path) -> list[tuple[str, int, int, str]]:
    """All there is to see of a directory: names, modes, groups and contents."""
    return [
        (str(entry), entry.stat().st_mode, entry.stat().st_gid, entry.read_text() if entry.is_file() else "")
        for entry in sorted([path, *path.rglob("*")])
    ]


def planted(site: StateDirectory, name: str, victim: Path) -> None:
    """Put a symlink to another's directory or file where one of the site's is looked for."""
    place = site.path / name
    if place.is_dir():
        place.rename(site.path / "moved")
    place.unlink(missing_ok=True)
    place.symlink_to(victim / "file" if place.suffix else victim)


@pytest.mark.parametrize("name", ["journal.jsonl", "windows", "pages", "pages/503.en.html.template"])
def test_a_planted_symlink_is_not_followed(site: StateDirectory, victim: Path, name: str) -> None:
    planted(site, name, victim)
    before = picture(victim)
    with pytest.raises((OSError, StateError)):
        site.open(ONE, "root", "here")
    assert picture(victim) == before
    assert "secret" not in "".join(path.read_text() for path in site.path.rglob("503.en.html"))


def test_old_windows_are_not_removed_from_elsewhere(site: StateDirectory, victim: Path) -> None:
    for number in range(KEPT_WINDOWS):
        (victim / str(number)).mkdir()
    planted(site, "windows", victim)
    before = picture(victim)
    with pytest.raises(NotADirectoryError):
        site.forget_old_windows()
    assert picture(victim) == before


def test_the_progress_of_a_deploy_is_told_on_its_pages(site: StateDirectory) -> None:
    for name in ("503.en.html.template", "503.json.template"):
        (site.pages / name).write_text("whole\n%%progress%%\n%%end%%\n")
    deploy = replace(ONE, id="deploy-r1")
    site.open(deploy, "ada", "here")
    page = site.windows / "deploy-r1/503.en.html"
    assert page.read_text() == f"whole\n{END}\n"
    dated = page.stat().st_mtime
    with vanishing_names(page.parent) as vanished:
        assert site.tell_progress("1 / 3")
        assert not site.tell_progress("1 / 3")
        assert "503.en.html" not in vanished()
    assert (page.read_text(), page.stat().st_mtime) == (f"whole\n1 / 3\n{END}\n", dated)
    assert site.read_window("deploy-r1") == replace(deploy, progress="1 / 3")
    assert page.stat().st_mode & 0o777 == 0o664


def test_progress_is_told_in_a_deploys_window_only(site: StateDirectory) -> None:
    assert not site.tell_progress("1 / 3")
    site.open(ONE, "ada", "here")
    assert not site.tell_progress("1 / 3")
    assert site.read_window("one") == ONE


def test_the_windows_change_once_when_one_is_staged_as_systemd_may_miss_a_second_change(site: StateDirectory) -> None:
    with vanishing_names(site.windows) as vanished:
        site.stage(ONE)
        assert vanished() == []


def test_a_window_is_not_staged_into_another_directory(
    site: StateDirectory, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir

    def make_and_swap(path: Path, **more: Any) -> None:
        make(path, **more)
        if path.name == ".one.partial":
            path.rmdir()
            path.symlink_to(victim)

    monkeypatch.setattr(Path, "mkdir", make_and_swap)
    before = picture(victim)
    with pytest.raises(OSError):
        site.open(ONE, "root", "here")
    assert picture(victim) == before
    assert not site.flag.is_symlink()


def test_a_journal_that_is_a_symlink_or_a_pipe_is_not_read(site: StateDirectory, victim: Path) -> None:
    site.journal_file.symlink_to(victim / "file")
    with pytest.raises(NotPlainError):
        site.journal(5)
    site.journal_file.unlink()
    os.mkfifo(site.journal_file)
    with pytest.raises(NotPlainError):
        site.journal(5)


@pytest.mark.parametrize("name", ["one", "one/window.json"])
def test_a_window_that_is_a_symlink_is_not_read(site: StateDirectory, victim: Path, name: str) -> None:
    (site.windows / name).parent.mkdir(exist_ok=True)
    (site.windows / name).symlink_to(victim / "old" / name.partition("/")[2])
    site.flag.symlink_to("windows/one")
    status = site.status()
    assert status["problem"]
    assert "secret" not in json.dumps(status)


def test_a_long_journal_is_read_from_its_end(site: StateDirectory) -> None:
    for number in range(20):
        site.record("event", "ada", "here", number=number, filler="x" * 10_000)
    assert [entry["number"] for entry in site.journal(3)] == [17, 18, 19]
    assert len(site.journal(20)) < 20


def another_group() -> int:
    return 54321 if os.getuid() == 0 else os.getgroups()[-1]


def test_a_tree_is_handed_to_a_group_once(site: StateDirectory) -> None:
    group = another_group()
    site.open(ONE, "root", "here")
    for path, mode in (
        (site.path.parent, 0o2775),
        (site.path, 0o755),
        (site.windows / "one", 0o700),
        (site.windows / "one" / "window.json", 0o600),
        (site.journal_file, 0o600),
        (site.lock_file, 0o666),
    ):
        path.chmod(mode)
    (site.windows / "planted").symlink_to("/etc")
    (site.windows / "one" / "deep").mkdir(mode=0o700)
    before = picture(site.path)
    assert site.hand_over(group, only_tell=True)
    assert picture(site.path) == before
    assert site.hand_over(group)
    modes = {
        str(path.relative_to(site.path.parent)): path.stat().st_mode & 0o7777
        for path in (site.path.parent, site.path, site.windows, site.pages, *site.windows.glob("one/*.*"))
    }
    assert modes == {
        ".": 0o755,
        "shop": 0o2775,
        "shop/windows": 0o2775,
        "shop/pages": 0o2775,
        "shop/windows/one/window.json": 0o664,
        **{f"shop/windows/one/503.{page}": 0o664 for page in ("en.html", "de.html", "json", "txt")},
    }
    assert (site.windows / "one").stat().st_mode & 0o7777 == 0o2775
    assert (site.journal_file.stat().st_mode & 0o7777, site.journal_file.stat().st_gid) == (0o664, group)
    assert site.lock_file.stat().st_mode & 0o7777 == 0o660
    given = [site.path, site.lock_file, site.windows, site.pages, site.windows / "one", *site.windows.glob("one/*.*")]
    assert {path.stat().st_gid for path in given} == {group}
    assert site.path.parent.stat().st_gid == os.getgid()
    assert (site.windows / "one" / "deep").stat().st_mode & 0o777 == 0o700
    assert not site.hand_over(group, only_tell=True)
    assert not site.hand_over(group)


@pytest.mark.parametrize("name", ["journal.jsonl", "lock", "windows/one", "windows/one/file.html"])
def test_what_a_symlink_leads_to_is_not_handed_over(site: StateDirectory, victim: Path, name: str) -> None:
    if name.endswith(".html"):
        (site.windows / "one").mkdir()
    planted(site, name, victim)
    before = picture(victim)
    site.hand_over(another_group())
    assert picture(victim) == before


def test_a_second_name_of_another_file_is_not_handed_over(site: StateDirectory, victim: Path) -> None:
    site.journal_file.hardlink_to(victim / "file")
    site.hand_over(another_group())
    assert (victim / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["windows", "pages"])
def test_a_directory_that_was_swapped_is_not_handed_over(site: StateDirectory, victim: Path, name: str) -> None:
    planted(site, name, victim)
    before = picture(victim)
    with pytest.raises(NotADirectoryError):
        site.hand_over(another_group())
    assert picture(victim) == before


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_journal_is_the_groups_whatever_the_umask(site: StateDirectory, umask: int) -> None:
    former = os.umask(umask)
    try:
        site.record("opened", "ada", "here")
    finally:
        os.umask(former)
    assert site.journal_file.stat().st_mode & 0o7777 == 0o664


SYSTEM_PYTHON = "/usr/bin/python3"
LOCKER = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def locker(path: Path, **account: Any) -> Iterator[subprocess.Popen[str]]:
    """Hold a lock on a file or a directory in another process; gives it once it has tried."""
    python = SYSTEM_PYTHON if account else sys.executable  # The tests' own may be closed to others
    command = [python, "-I", "-c", LOCKER, str(path)]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes, **account) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_lock_is_for_the_owner_and_the_group_alone(site: StateDirectory, umask: int) -> None:
    site.path.chmod(0o2775)
    os.chown(site.path, -1, another_group())
    former = os.umask(umask)
    try:
        site.open(ONE, "ada", "here")
    finally:
        os.umask(former)
    status = site.lock_file.stat()
    assert (status.st_mode & 0o7777, status.st_gid) == (0o660, site.path.stat().st_gid)


@pytest.mark.skipif(os.getuid() != 0 or not Path(SYSTEM_PYTHON).exists(), reason="another account's process")
def test_who_may_only_look_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, public_path: Path) -> None:
    monkeypatch.setattr(state, "LOCK_SECONDS", 0.0)
    site = StateDirectory(str(public_path / "state"), "shop")
    site.make()
    (site.pages / "503.en.html.template").write_text("")
    with site.locked():
        pass
    with locker(site.path, user="nobody", group="nogroup", extra_groups=[]) as process:
        with locker(site.lock_file, user="nobody", group="nogroup", extra_groups=[]) as refused:
            assert "PermissionError" in refused.communicate()[1]
        assert site.open(ONE, "ada", "here")
        assert process.poll() is None


def test_a_lock_that_is_held_is_told_with_its_holder(monkeypatch: pytest.MonkeyPatch, site: StateDirectory) -> None:
    with site.locked():
        monkeypatch.setattr(state, "LOCK_SECONDS", 0.0)
    with locker(site.lock_file) as process:
        with pytest.raises(StateError) as refused:
            site.open(ONE, "ada", "here")
        me = pwd.getpwuid(os.getuid()).pw_name
        assert f"{site.lock_file} is held by {me} (process {process.pid}), for 0 s" in str(refused.value)
        monkeypatch.setattr(state, "PROCESSES", site.path / "nowhere")
        with pytest.raises(StateError, match=f"{site.lock_file} is held by somebody, for 0 s"):
            site.open(ONE, "ada", "here")
    assert site.open(ONE, "ada", "here")


def test_a_lock_that_is_given_back_in_time_is_taken(site: StateDirectory) -> None:
    with site.locked():
        pass
    with locker(site.lock_file) as process:
        opener = threading.Thread(target=site.open, args=(ONE, "ada", "here"))
        opener.start()
        assert process.stdin is not None
        process.stdin.close()
        opener.join()
    assert site.flag.exists()


def test_a_lock_that_was_removed_meanwhile_is_none(monkeypatch: pytest.MonkeyPatch, site: StateDirectory) -> None:
    flock, removed = fcntl.flock, threading.Event()

    def remove_and_lock(descriptor: int, operation: int) -> None:
        if not removed.is_set():
            removed.set()
            site.lock_file.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    with site.locked(), site.lock_file.open() as other, pytest.raises(BlockingIOError):
        flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_planted_lock_is_refused(site: StateDirectory, victim: Path) -> None:
    site.lock_file.symlink_to(victim / "file")
    before = picture(victim)
    with pytest.raises(NotPlainError):
        site.open(ONE, "ada", "here")
    assert picture(victim) == before
