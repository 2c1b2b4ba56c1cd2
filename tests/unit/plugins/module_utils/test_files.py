from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.files import (
    LIMIT,
    NotPlainError,
    closed_to_others,
    open_plain,
    pinned,
    read_plain,
    replace_symlink,
    write_file,
)


def test_a_failed_write_keeps_the_former_file(
    tmp_path: Path, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    path = tmp_path / "page.html"
    path.write_bytes(b"former")
    with full_disk(10), pytest.raises(OSError):
        write_file(path, b"x" * 100)
    assert path.read_bytes() == b"former"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "page.html").mkdir()
    with pytest.raises(OSError):
        write_file(tmp_path / "page.html", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_mode_is_as_asked_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    former = os.umask(umask)
    try:
        write_file(tmp_path / "file", b"content", 0o664)
    finally:
        os.umask(former)
    assert (tmp_path / "file").stat().st_mode & 0o7777 == 0o664


@pytest.mark.parametrize("mtime", [0.0, 1_800_000_000.0, 4_000_000_000.0])
def test_the_time_of_modification_is_as_asked(tmp_path: Path, mtime: float) -> None:
    write_file(tmp_path / "file", b"content", mtime=mtime)
    assert (tmp_path / "file").stat().st_mtime == mtime


def test_a_replaced_symlink_is_there_at_every_moment(tmp_path: Path) -> None:
    link = tmp_path / "on"
    link.symlink_to("0")
    done = threading.Event()
    seen: list[bool] = []

    def watch() -> None:
        while not done.is_set():
            seen.append(link.is_symlink())

    watcher = threading.Thread(target=watch)
    watcher.start()
    for number in range(1, 300):
        replace_symlink(link, str(number))
    done.set()
    watcher.join()
    assert seen
    assert all(seen)
    assert str(link.readlink()) == "299"


def test_a_symlink_takes_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "on").touch()
    replace_symlink(tmp_path / "on", "windows/one")
    assert str((tmp_path / "on").readlink()) == "windows/one"


def test_a_symlink_that_cannot_be_put_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "current").mkdir()
    with pytest.raises(OSError):
        replace_symlink(tmp_path / "current", "releases/one")
    assert [entry.name for entry in tmp_path.iterdir()] == ["current"]


def test_a_planted_partial_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / f".page.html.{os.getpid()}.partial").symlink_to(victim)
    write_file(tmp_path / "page.html", b"new", 0o666)
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "page.html").read_bytes() == b"new"
    assert not (tmp_path / "page.html").is_symlink()


def test_a_file_in_the_way_at_the_last_moment_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")

    def plant(path: Path, missing_ok: bool = False) -> None:
        if not path.is_symlink():
            path.symlink_to(victim)

    monkeypatch.setattr(Path, "unlink", plant)
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "page.html", b"new")
    assert victim.read_bytes() == b"precious"


def test_a_pinned_directory_stays_the_same(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    with pinned(tmp_path / "here") as held:
        (tmp_path / "here").rename(tmp_path / "moved")
        (tmp_path / "here").symlink_to("elsewhere")
        write_file(held / "file", b"content")
    assert (tmp_path / "moved" / "file").read_bytes() == b"content"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_symlink_is_not_pinned(tmp_path: Path) -> None:
    (tmp_path / "here").symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError), pinned(tmp_path / "here"):
        pass


def test_errors_name_the_directory_as_it_was_given(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(FileNotFoundError) as error, pinned(tmp_path / "a") as held, pinned(held / "b") as inner:
        read_plain(inner / "file")
    assert error.value.filename == str(tmp_path / "a" / "b" / "file")


def plant(path: Path, kind: str) -> None:
    """Put something else than a plain file in a file's place."""
    victim = path.with_name("victim")
    victim.write_text('{"holder": {"user": "secret"}, "phase": "x"}\n')
    if kind == "symlink":
        path.symlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "second name":
        path.hardlink_to(victim)
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", ["symlink", "pipe", "second name", "directory"])
def test_only_a_plain_file_is_written(tmp_path: Path, kind: str) -> None:
    plant(tmp_path / "file", kind)
    with pytest.raises(OSError) as error:
        os.close(open_plain(tmp_path / "file", os.O_WRONLY | os.O_CREAT))
    assert isinstance(error.value, NotPlainError if kind != "directory" else IsADirectoryError)


@pytest.mark.parametrize("kind", ["symlink", "pipe", "second name", "directory"])
def test_only_a_plain_file_is_read(tmp_path: Path, kind: str) -> None:
    plant(tmp_path / "file", kind)
    with pytest.raises(NotPlainError, match="Something else than a plain file was put in its place"):
        read_plain(tmp_path / "file")


def test_a_file_that_is_replaced_while_it_is_read_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, opened = tmp_path / "file", os.open
    file.write_bytes(b"former")

    def replaced(*arguments: Any, **named: Any) -> int:
        descriptor = opened(*arguments, **named)
        file.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", replaced)
    assert read_plain(file) == b"former"


def test_a_file_that_somebody_has_made_huge_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    os.truncate(file, LIMIT)
    assert len(read_plain(file)) == LIMIT
    os.truncate(file, LIMIT + 1)
    assert len(read_plain(file, LIMIT + 1)) == LIMIT + 1
    with pytest.raises(NotPlainError, match="It has more than 1048576 bytes"):
        read_plain(file)


def test_what_is_closed_to_others(public_path: Path) -> None:
    file, link = public_path / "a" / "page", public_path / "link"
    file.parent.mkdir(mode=0o755)
    file.touch(mode=0o644)
    link.symlink_to("a")
    assert closed_to_others(link / "page") is None
    file.chmod(0o640)
    assert closed_to_others(link / "page") == file
    file.parent.chmod(0o750)
    assert closed_to_others(link / "page") == file.parent
    assert closed_to_others(link / "page", file.parent) == file.parent
    file.chmod(0o644)
    public_path.chmod(0o700)
    file.parent.chmod(0o755)
    assert closed_to_others(link / "page", file.parent) is None
