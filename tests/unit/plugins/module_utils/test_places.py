"""Directories that the site's account writes to, made by root where the account may have put something in the way."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.places import PlaceError, is_missing, make

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led astray")
NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def shared(public_path: Path) -> Path:
    """A directory of the account's, as `shared` of a site is."""
    path = public_path / "shared"
    path.mkdir(mode=0o755)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, -1)
    return path


def mode_and_owner(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mode & 0o7777, status.st_uid


def test_what_is_missing_is_made_and_what_is_there_is_not_changed(public_path: Path) -> None:
    place = public_path / "a" / "b"
    assert is_missing(place)
    assert not place.parent.exists()
    before = os.umask(0o077)
    try:
        assert make(place, mode=0o700)
    finally:
        os.umask(before)
    assert [mode_and_owner(path) for path in (place.parent, place)] == [(0o755, os.geteuid()), (0o700, os.geteuid())]
    place.chmod(0o2775)
    assert not is_missing(place)
    assert not make(place)
    assert mode_and_owner(place) == (0o2775, os.geteuid())


@as_root
def test_only_the_directory_itself_is_given_to_the_account(public_path: Path) -> None:
    assert make(public_path / "a" / "b", "nobody")
    assert [(public_path / name).stat().st_uid for name in ("a", "a/b")] == [0, NOBODY]


@as_root
def test_a_directory_that_is_there_keeps_its_owner_and_its_mode(public_path: Path) -> None:
    uploads = public_path / "uploads"
    uploads.mkdir()
    os.chown(uploads, 0, pwd.getpwnam("nobody").pw_gid)
    uploads.chmod(0o2775)
    assert not make(uploads, "nobody")
    assert mode_and_owner(uploads) == (0o2775, 0)


@as_root
@pytest.mark.parametrize("closed", ["uploads", "uploads/deep"])
def test_a_directory_that_the_account_cannot_write_in_is_told(public_path: Path, closed: str) -> None:
    (public_path / "uploads/deep").mkdir(parents=True)
    if closed == "uploads":
        os.chown(public_path / "uploads/deep", NOBODY, -1)
    (public_path / closed).chmod(0o700)
    place = public_path / "uploads/deep"
    with pytest.raises(PlaceError, match=f"{place} is there, and nobody cannot write in it: .*chown nobody {place}"):
        make(place, "nobody")
    assert place.stat().st_uid == (NOBODY if closed == "uploads" else 0)


@as_root
def test_an_account_that_is_not_there_yet_is_not_asked(public_path: Path) -> None:
    assert not is_missing(public_path, "nobody-of-this-name")
    assert is_missing(public_path / "new", "nobody-of-this-name")
    with pytest.raises(KeyError):
        make(public_path / "new", "nobody-of-this-name")


@as_root
@pytest.mark.parametrize("place", ["link", "link/new"])
def test_a_link_of_the_accounts_is_refused_and_one_of_roots_is_followed(
    public_path: Path, shared: Path, place: str
) -> None:
    elsewhere = public_path / "elsewhere"
    elsewhere.mkdir()
    (shared / "link").symlink_to("../elsewhere")
    os.lchown(shared / "link", NOBODY, -1)
    for ask in (is_missing, make):
        with pytest.raises(
            PlaceError, match="shared/link is a symlink that nobody has made, and would be followed as root"
        ):
            ask(shared / place, "nobody")
    assert list(elsewhere.iterdir()) == []
    os.lchown(shared / "link", 0, -1)
    if place == "link":
        os.chown(elsewhere, NOBODY, -1)
    assert make(shared / place, "nobody") is (place != "link")
    assert (shared / place).resolve().is_relative_to(elsewhere.resolve())


def test_links_that_lead_in_a_circle_and_files_are_told(public_path: Path) -> None:
    (public_path / "circle").symlink_to("circle")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        make(public_path / "circle")
    (public_path / "file").touch()
    for place in ("file", "file/below"):
        with pytest.raises(PlaceError, match="file is not a directory"):
            make(public_path / place)


@as_root
@pytest.mark.parametrize("planted", ["link", "directory"])
def test_what_takes_the_place_of_a_new_directory_is_not_given_away(
    public_path: Path, shared: Path, planted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account wins the race between making a directory and giving it away."""
    secret = public_path / "secret"
    secret.mkdir(mode=0o700)
    (secret / "file").touch()
    mkdir = os.mkdir

    def overtaken(path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        mkdir(path, mode, dir_fd=dir_fd)
        (shared / "media").rename(shared / "away")
        secret.rename(shared / "media") if planted == "directory" else (shared / "media").symlink_to(secret)

    monkeypatch.setattr(os, "mkdir", overtaken)
    with pytest.raises((PlaceError, OSError), match="media"):
        make(shared / "media", "nobody")
    assert mode_and_owner(shared / "media") == (0o700, 0)


@as_root
def test_who_cannot_make_it_is_told_before(public_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from ansible_collections.intermission.django.plugins.module_utils.places import is_missing\n"
        f"os.setgid({pwd.getpwnam('nobody').pw_gid}); os.setuid({NOBODY})\n"
        "is_missing(Path(sys.argv[1]) / 'a' / 'b')\n"
    )
    command = [sys.executable, "-c", code, str(public_path)]
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stderr
    assert f"{public_path}/a/b is not there, and nobody cannot make it in {public_path}" in said
