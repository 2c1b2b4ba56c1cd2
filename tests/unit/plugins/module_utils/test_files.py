from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.files import replace_symlink, write_file


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
