"""Archives are unpacked alike by each Python, also by those without PEP 706's filter, and never lead elsewhere."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.archives import extract


@pytest.fixture(params=["its own filter", "no filter"])
def unpack(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Unpack an archive of these members by this Python, and by one from before PEP 706."""
    if request.param == "no filter":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    elif not hasattr(tarfile, "data_filter"):
        pytest.skip("this Python has no filter of its own")

    def unpacked(*members: tarfile.TarInfo) -> Path:
        archive, directory = tmp_path / "archive.tar", tmp_path / "unpacked"
        with tarfile.open(archive, "w") as stream:
            for member in members:
                stream.addfile(member, io.BytesIO(b"x" * member.size))
        directory.mkdir()
        with tarfile.open(archive) as stream:
            extract(stream, directory)
        return directory

    return unpacked


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    """Make a member of an archive; a plain file has one byte."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, target, mode
    info.size = 1 if kind == tarfile.REGTYPE else 0
    info.uid = info.gid = 12345
    return info


def test_files_directories_and_links(unpack: Callable[..., Path], tmp_path: Path) -> None:
    directory = unpack(
        member("a", tarfile.DIRTYPE, mode=0o700),
        member("a/program", mode=0o6777),
        member("/a/data", mode=0o466),
        member("a/link", tarfile.SYMTYPE, "../a/data"),
        member("a/hard", tarfile.LNKTYPE, "a/program", mode=0o755),
    )
    assert {str(path.relative_to(directory)) for path in directory.rglob("*")} == {
        "a",
        "a/program",
        "a/data",
        "a/link",
        "a/hard",
    }
    assert (directory / "a/program").stat().st_mode & 0o7777 == 0o755
    assert (directory / "a/data").stat().st_mode & 0o7777 == 0o644
    assert (directory / "a/link").read_bytes() == b"x"
    assert (directory / "a/hard").samefile(directory / "a/program")
    assert (directory / "a/data").stat().st_uid == tmp_path.stat().st_uid


@pytest.mark.parametrize(
    "members",
    [
        [member("../out")],
        [member("a/../../out")],
        [member("link", tarfile.SYMTYPE, "/etc/passwd")],
        [member("a/link", tarfile.SYMTYPE, "../../out")],
        [member("hard", tarfile.LNKTYPE, "../out")],
        [member("up", tarfile.SYMTYPE, "."), member("up/../out")],
        [member("pipe", tarfile.FIFOTYPE)],
        [member("null", tarfile.CHRTYPE)],
    ],
    ids=["name", "name further on", "absolute link", "link", "hard link", "through a link", "pipe", "device"],
)
def test_what_leads_elsewhere_is_refused(
    unpack: Callable[..., Path], tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(tarfile.TarError):
        unpack(*members)
    assert (tmp_path / "out").read_text() == "mine"
