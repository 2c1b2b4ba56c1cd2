from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.source import (
    SourceError,
    fetch,
    files_in,
    kind_of,
    with_wheel,
    without_secrets,
)


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A small project with a program, a package, a link and what is never deployed."""
    directory = tmp_path / "project"
    (directory / "shop" / "__pycache__").mkdir(parents=True)
    (directory / "manage.py").write_text("#!/usr/bin/env python\n")
    (directory / "manage.py").chmod(0o755)
    (directory / "requirements.txt").write_text("")
    (directory / "shop" / "urls.py").write_text("urlpatterns = []\n")
    (directory / "shop" / "__pycache__" / "urls.cpython.pyc").write_bytes(b"compiled")
    (directory / "shop" / "latest.py").symlink_to("urls.py")
    return directory


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def git(directory: Path, *arguments: str) -> str:
    """Run git with no settings but these."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "ada@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    command = ["git", "-C", str(directory), *arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


@pytest.fixture
def repository(code: Path) -> Path:
    """The project as a git repository with the branch trunk and the tag v1."""
    assert shutil.which("git"), "git has to be installed: deploying from a repository is a feature"
    git(code, "init", "--quiet", "--initial-branch=trunk")
    commit(code, "The shop")
    git(code, "tag", "v1")
    return code


def commit(directory: Path, message: str) -> str:
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--message", message)
    return git(directory, "rev-parse", "HEAD")


def names(archive: Path) -> list[str]:
    with tarfile.open(archive) as stream:
        return stream.getnames()


def pack_tar(directory: Path, archive: Path, top: str) -> None:
    with tarfile.open(archive, "w:gz") as stream:
        stream.add(directory, arcname=top)


def pack_zip(directory: Path, archive: Path, top: str) -> None:
    with zipfile.ZipFile(archive, "w") as stream:
        for entry in sorted(directory.rglob("*")):
            stream.write(entry, Path(top) / entry.relative_to(directory))


def test_a_directory(code: Path, cache: Path) -> None:
    source = fetch(str(code), "v1", cache)
    assert len(source.id) == 12
    assert source.path == cache / f"{source.id}.tar.gz"
    assert source.origin == str(code)
    with tarfile.open(source.path) as stream:
        members = {member.name: member for member in stream}
    assert list(members) == ["manage.py", "requirements.txt", "shop/latest.py", "shop/urls.py"]
    assert (members["manage.py"].mode, members["shop/urls.py"].mode) == (0o755, 0o644)
    assert members["shop/latest.py"].linkname == "urls.py"
    assert {(member.uid, member.uname, member.mtime) for member in members.values()} == {(0, "", 0)}
    assert files_in(source.path)["shop/urls.py"] == b"urlpatterns = []\n"


def test_the_same_content_has_the_same_id_and_the_same_archive(code: Path, tmp_path: Path) -> None:
    first = fetch(str(code), "v1", tmp_path / "one")
    again = tmp_path / "elsewhere"
    shutil.copytree(code, again, symlinks=True)
    os.utime(again / "manage.py", (0, 0))
    (again / "manage.py").chmod(0o700)
    (again / ".git").mkdir()
    (again / ".git" / "HEAD").write_text("ref")
    (again / ".venv").mkdir()
    (again / ".venv" / "pyvenv.cfg").touch()
    second = fetch(str(again), "v2", tmp_path / "two")
    assert second.id == first.id
    assert second.path.read_bytes() == first.path.read_bytes()


@pytest.mark.parametrize("top", ["", "shop-1.4.2"])
@pytest.mark.parametrize(("pack", "name"), [(pack_tar, "shop.tar.gz"), (pack_zip, "shop.zip")])
def test_an_archive_has_the_id_of_the_directory_that_it_was_made_of(
    code: Path, cache: Path, tmp_path: Path, pack: Callable[[Path, Path, str], None], name: str, top: str
) -> None:
    (code / "shop" / "latest.py").unlink()  # A link is no link in a zip file
    pack(code, tmp_path / name, top)
    archive = fetch(str(tmp_path / name), "v1", cache)
    assert archive.id == fetch(str(code), "v1", tmp_path / "other").id
    assert archive.origin == str(tmp_path / name)
    assert names(archive.path) == ["manage.py", "requirements.txt", "shop/urls.py"]
    assert sorted(entry.name for entry in cache.iterdir()) == [f"{archive.id}.tar.gz"]


def test_a_link_stays_a_link_through_a_tar_file(code: Path, cache: Path, tmp_path: Path) -> None:
    pack_tar(code, tmp_path / "shop.tar.gz", "shop")
    assert fetch(str(tmp_path / "shop.tar.gz"), "v1", cache).id == fetch(str(code), "v1", cache).id


@pytest.mark.parametrize(
    "change",
    [
        lambda code: (code / "shop" / "urls.py").write_text("urlpatterns = [1]\n"),
        lambda code: (code / "shop" / "urls.py").chmod(0o755),
        lambda code: (code / "shop" / "urls.py").rename(code / "shop" / "routes.py"),
        lambda code: (code / "shop" / "new.py").touch(),
        lambda code: (code / "shop" / "latest.py").unlink(),
        lambda code: ((code / "shop" / "latest.py").unlink(), (code / "shop" / "latest.py").symlink_to("other.py")),
        lambda code: ((code / "shop" / "latest.py").unlink(), (code / "shop" / "latest.py").write_text("urls.py")),
    ],
    ids=["content", "execute bit", "name", "new file", "no link", "link target", "file for link"],
)
def test_the_id_changes_with(code: Path, cache: Path, change: Callable[[Path], object]) -> None:
    before = fetch(str(code), "v1", cache)
    change(code)
    assert fetch(str(code), "v1", cache).id != before.id


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        ([], ["docs/a.md", "docs/build/b.md", "manage.py", "requirements.txt", "shop/latest.py", "shop/urls.py"]),
        (["docs"], ["manage.py", "requirements.txt", "shop/latest.py", "shop/urls.py"]),
        (["docs/*"], ["manage.py", "requirements.txt", "shop/latest.py", "shop/urls.py"]),
        (["docs/build"], ["docs/a.md", "manage.py", "requirements.txt", "shop/latest.py", "shop/urls.py"]),
        (["*.md", "urls.py"], ["manage.py", "requirements.txt", "shop/latest.py"]),
        (["shop/urls.py", "build"], ["docs/a.md", "manage.py", "requirements.txt", "shop/latest.py"]),
        (
            ["ocs", "?"],
            ["docs/a.md", "docs/build/b.md", "manage.py", "requirements.txt", "shop/latest.py", "shop/urls.py"],
        ),
    ],
)
def test_exclude(code: Path, cache: Path, exclude: list[str], left: list[str]) -> None:
    (code / "docs" / "build").mkdir(parents=True)
    (code / "docs" / "a.md").touch()
    (code / "docs" / "build" / "b.md").touch()
    assert names(fetch(str(code), "v1", cache, exclude).path) == left


def test_what_is_linked_to_is_not_packed(code: Path, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "photo.jpg").touch()
    (code / "media").symlink_to("../media")
    assert "media/photo.jpg" not in names(fetch(str(code), "v1", cache).path)
    assert "media" in names(fetch(str(code), "v1", cache).path)


@pytest.mark.parametrize("version", ["HEAD", "trunk", "v1", "refs/heads/trunk"])
def test_a_git_repository(repository: Path, cache: Path, version: str) -> None:
    source = fetch(f"file://{repository}", version, cache)
    assert source.id == git(repository, "rev-parse", "HEAD")[:12]
    assert source.origin == f"file://{repository} {version}"
    assert names(source.path) == ["manage.py", "requirements.txt", "shop/latest.py", "shop/urls.py"]


def test_a_commit_of_a_git_repository(repository: Path, cache: Path) -> None:
    first = git(repository, "rev-parse", "HEAD")
    (repository / "new.py").touch()
    second = commit(repository, "More")
    url = f"git+file://{repository}"
    assert fetch(url, "trunk", cache).id == second[:12]
    assert fetch(url, first, cache).id == first[:12]
    assert fetch(url, first[:8], cache).id == first[:12]
    assert "new.py" not in names(fetch(url, "v1", cache).path)


def test_a_branch_that_moved_is_followed(repository: Path, cache: Path) -> None:
    url = f"file://{repository}"
    before = fetch(url, "trunk", cache)
    git(repository, "commit", "--quiet", "--amend", "--message", "Rewritten")
    git(repository, "tag", "--force", "v1")
    assert fetch(url, "trunk", cache).id == fetch(url, "v1", cache).id == git(repository, "rev-parse", "HEAD")[:12]
    assert fetch(url, "trunk", cache).id != before.id


def test_the_head_of_the_repository_is_followed(repository: Path, cache: Path) -> None:
    fetch(f"file://{repository}", "HEAD", cache)
    git(repository, "checkout", "--quiet", "-b", "other")
    (repository / "new.py").touch()
    other = commit(repository, "More")
    assert fetch(f"file://{repository}", "HEAD", cache).id == other[:12]
    assert fetch(f"file://{repository}", "trunk", cache).id != other[:12]


def test_git_has_the_content_of_the_directory(repository: Path, cache: Path, tmp_path: Path) -> None:
    from_git = fetch(f"file://{repository}", "v1", cache)
    from_directory = fetch(str(repository), "v1", tmp_path / "other")
    assert from_git.path.read_bytes() == from_directory.path.read_bytes()


def test_other_excludes_of_the_same_commit_are_another_release(repository: Path, cache: Path) -> None:
    url = f"file://{repository}"
    whole = fetch(url, "v1", cache)
    part = fetch(url, "v1", cache, ["shop"])
    assert names(part.path) == ["manage.py", "requirements.txt"]
    assert part.id != whole.id
    assert fetch(url, "v1", cache, ["shop"]) == part
    assert fetch(url, "v1", cache) == whole


@pytest.mark.parametrize("version", ["v2", "nonsense", "0000000000000000000000000000000000000000", "-x"])
def test_an_unknown_version(repository: Path, cache: Path, version: str) -> None:
    with pytest.raises(SourceError, match=f"file://{repository} has no branch, tag or commit '{version}'"):
        fetch(f"file://{repository}", version, cache)


@pytest.mark.parametrize("secret", ["ada:s3cret@", "s3cret@", "ada:s3@cret@"])
def test_a_url_with_a_secret_is_refused_and_the_secret_not_told(cache: Path, secret: str) -> None:
    with pytest.raises(SourceError, match="credential helper") as raised:
        fetch(f"https://{secret}127.0.0.1:1/shop.git", "v1", cache)
    assert "s3" not in str(raised.value)


def test_no_secret_of_a_url_is_in_the_origin(repository: Path, cache: Path) -> None:
    assert "s3cret" not in fetch(f"file://ada:s3cret@{repository}", "v1", cache).origin


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ada:s3cret@git.example.com/shop.git", "https://git.example.com/shop.git"),
        ("https://git.example.com/a@b/shop.git", "https://git.example.com/a@b/shop.git"),
        ("git@git.example.com:shop.git", "git@git.example.com:shop.git"),
        ("ssh://git@git.example.com/shop.git", "ssh://git.example.com/shop.git"),
        ("/srv/shop", "/srv/shop"),
    ],
)
def test_without_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


@pytest.mark.parametrize(
    "source",
    [
        "https://example.com/shop.git",
        "git+https://example.com/shop",
        "ssh://git@example.com/x",
        "git@example.com:shop.git",
    ],
)
def test_the_url_of_a_repository(source: str) -> None:
    assert kind_of(source) == "git"


@pytest.mark.parametrize("source", ["", "/no/such/path", "shop.tar.gz", "example.com/shop"])
def test_what_is_no_source(source: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="there is no directory or archive"):
        fetch(source, "v1", cache)


def cut(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])


def spoil(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[30:60] = b"\xff" * 30
    archive.write_bytes(content)


def replace(archive: Path) -> None:
    archive.write_text("no archive")


def empty(archive: Path) -> None:
    archive.write_text("")


@pytest.mark.parametrize("damage", [cut, spoil, replace, empty])
@pytest.mark.parametrize(("pack", "name"), [(pack_tar, "shop.tar.gz"), (pack_zip, "shop.zip")])
def test_a_damaged_archive_is_told(
    code: Path,
    cache: Path,
    tmp_path: Path,
    pack: Callable[[Path, Path, str], None],
    name: str,
    damage: Callable[[Path], object],
) -> None:
    archive = tmp_path / name
    (code / "large.bin").write_bytes(os.urandom(200_000))
    pack(code, archive, "")
    damage(archive)
    with pytest.raises(SourceError, match=f"{name} cannot be unpacked"):
        fetch(str(archive), "v1", cache)


@pytest.mark.parametrize("name", ["../evil", "/tmp/intermission-evil"])
def test_an_archive_cannot_write_elsewhere(cache: Path, tmp_path: Path, name: str) -> None:
    archive = tmp_path / "evil.tar"
    with tarfile.open(archive, "w") as stream:
        stream.addfile(tarfile.TarInfo(name), io.BytesIO())
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, name
        stream.addfile(link)
    with pytest.raises(SourceError, match="cannot be unpacked"):
        fetch(str(archive), "v1", cache)
    assert not (cache / "evil").exists()
    assert not Path("/tmp/intermission-evil").exists()


def test_a_wheel_that_goes_with_a_source(code: Path, cache: Path, tmp_path: Path) -> None:
    source = fetch(str(code), "HEAD", cache)
    wheel = tmp_path / "own-1.0-py3-none-any.whl"
    wheel.write_bytes(b"one")
    wheel.chmod(0o600)
    first = with_wheel(source, wheel, cache)
    assert first.id != source.id
    assert names(first.path) == [*names(source.path), ".intermission/own-1.0-py3-none-any.whl"]
    assert files_in(first.path)[".intermission/own-1.0-py3-none-any.whl"] == b"one"
    inode = first.path.stat().st_ino
    assert with_wheel(source, wheel, cache) == first
    assert first.path.stat().st_ino == inode
    wheel.write_bytes(b"two")
    assert with_wheel(source, wheel, cache).id != first.id
