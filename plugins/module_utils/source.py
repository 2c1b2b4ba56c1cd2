"""Where a release comes from: a git repository, a directory or an archive, made into one archive that is named by its content.

Runs on the controller, so that the web hosts need neither git nor a way to the repository.
"""

from __future__ import annotations

import fnmatch
import gzip
import hashlib
import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.intermission.django.plugins.module_utils.archives import extract

ALWAYS_EXCLUDED = (".git", "__pycache__", "*.pyc", ".venv")
ID_LENGTH = 12
PACKAGES = ".intermission"  # Directory in a release of the wheels that are installed beside its requirements
HEAD = "refs/intermission/HEAD"


class SourceError(Exception):
    """The source cannot be had; the message says why."""


@dataclass(frozen=True)
class Source:
    """An archive of a site's code: ``id`` from its content, or from its commit and what is left out of it."""

    id: str
    path: Path
    origin: str


def kind_of(source: str) -> str:
    """Tell what a source is: ``directory``, ``archive`` or ``git``. Raises SourceError for a path that is not there."""
    path = Path(source)
    if source and path.is_dir():
        return "directory"
    if path.is_file():
        return "archive"
    if re.match(r"(git\+)?[a-z]+://|[\w.-]+@[\w.-]+:", source):
        return "git"
    raise SourceError(f"there is no directory or archive {source}, and it is not the URL of a git repository")


def without_secrets(url: str) -> str:
    """Take user and password out of a URL, or out of all URLs in a text, for messages."""
    return re.sub(r"(?<=://)[^/\s]*@", "", url)


def fetch(source: str, version: str, cache: Path, exclude: Sequence[str] = ()) -> Source:
    """Bring a source into the cache as an archive. Raises SourceError, and OSError where the disk does not take it.

    ``version`` is a git branch, tag or commit; a directory or an archive is taken as it is.
    """
    source = str(Path(source).expanduser()) if source.startswith("~") else source
    if re.match(r"(git\+)?https?://[^/@]*@", source):
        raise SourceError(
            "the URL has a user or a password in it, which would stand in logs and process lists: leave it to git's "
            "credential helper, or use ssh"
        )
    cache.mkdir(parents=True, exist_ok=True)
    kind = kind_of(source)
    patterns = (*ALWAYS_EXCLUDED, *exclude)
    if kind == "git":
        return _from_git(source[4:] if source.startswith("git+") else source, version, cache, patterns)
    if kind == "directory":
        return _from_directory(Path(source), source, cache, patterns)
    with tempfile.TemporaryDirectory(dir=cache) as unpacked:
        unpack(Path(source), Path(unpacked))
        entries = list(Path(unpacked).iterdir())
        top = entries[0] if len(entries) == 1 and entries[0].is_dir() else Path(unpacked)
        return _from_directory(top, source, cache, patterns)


def tree(directory: Path, exclude: Sequence[str]) -> Iterator[Path]:
    """List files and links below a directory in a fixed order, without those whose name or relative path is excluded."""
    for entry in sorted(directory.rglob("*")):
        relative = entry.relative_to(directory)
        parts = [*relative.parts, str(relative), *map(str, list(relative.parents)[:-1])]
        if any(fnmatch.fnmatch(part, pattern) for part in parts for pattern in exclude):
            continue
        if entry.is_symlink() or entry.is_file():
            yield entry


def digest_of(directory: Path, exclude: Sequence[str]) -> str:
    """Give the digest of a tree: names, contents, link targets and execute bits; not times or owners."""
    whole = hashlib.sha256()
    for entry in tree(directory, exclude):
        name = entry.relative_to(directory)
        if entry.is_symlink():
            kind, content = "link", os.readlink(entry).encode()
        else:
            kind = "program" if entry.stat().st_mode & 0o100 else "file"
            content = entry.read_bytes()
        whole.update(f"{kind} {name} {len(content)}\0".encode() + content)
    return whole.hexdigest()


def with_wheel(source: Source, wheel: Path, cache: Path) -> Source:
    """Give a source that has a wheel too, for the release's virtualenv. Raises OSError where the disk does not take it."""
    content = hashlib.sha256(wheel.read_bytes()).hexdigest()
    identity = hashlib.sha256(f"{source.id} {wheel.name} {content}".encode()).hexdigest()[:ID_LENGTH]
    path = cache / f"{identity}.tar.gz"
    if not path.exists():
        buffer = io.BytesIO(gzip.decompress(source.path.read_bytes()))
        with tarfile.open(fileobj=buffer, mode="a") as archive:
            archive.add(wheel, arcname=f"{PACKAGES}/{wheel.name}", filter=anonymous)
        _write_archive(path, buffer.getvalue())
    return Source(identity, path, source.origin)


def files_in(archive: Path) -> dict[str, bytes | None]:
    """List an archive's files. Contents are read for small files only, None for those above 1 MiB."""
    found: dict[str, bytes | None] = {}
    with tarfile.open(archive) as stream:
        for member in stream:
            if member.isfile():
                content = stream.extractfile(member) if member.size <= 1 << 20 else None
                found[member.name] = content.read() if content else None
    return found


def _from_directory(directory: Path, origin: str, cache: Path, exclude: Sequence[str]) -> Source:
    identity = digest_of(directory, exclude)[:ID_LENGTH]
    path = cache / f"{identity}.tar.gz"
    if not path.exists():
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for entry in tree(directory, exclude):
                archive.add(entry, arcname=str(entry.relative_to(directory)), recursive=False, filter=anonymous)
        _write_archive(path, buffer.getvalue())
    return Source(identity, path, origin)


def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give a member of an archive no owner, no time, and a mode that does not depend on the umask."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    return member


def _write_archive(path: Path, content: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_bytes(gzip.compress(content, compresslevel=6, mtime=0))
    os.replace(partial, path)


def unpack(archive: Path, directory: Path) -> None:
    """Unpack a tar or zip archive. Raises SourceError where it is none or damaged, and OSError."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as stream:
                for member in stream.infolist():
                    path = Path(stream.extract(member, directory))
                    if path.is_file() and member.external_attr >> 16 & 0o100:
                        path.chmod(0o755)
        else:
            with tarfile.open(archive) as tar:
                extract(tar, directory)
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SourceError(f"{archive} cannot be unpacked: {error}") from error


def _from_git(url: str, version: str, cache: Path, exclude: Sequence[str]) -> Source:
    if shutil.which("git") is None:
        raise SourceError("git is not installed on the controller, and the source is a git repository")
    mirror = cache / f"{hashlib.sha256(url.encode()).hexdigest()[:ID_LENGTH]}.git"
    if not mirror.exists():
        _git("init", "--quiet", "--bare", str(mirror))
    shown = without_secrets(url)
    refs, wanted = ["+refs/*:refs/*"], version
    if version == "HEAD":  # The repository's own, which a mirror does not take over
        refs, wanted = [*refs, f"+HEAD:{HEAD}"], HEAD
    _git("-C", str(mirror), "fetch", "--quiet", "--prune", "--force", url, *refs)
    try:
        commit = _git("-C", str(mirror), "rev-parse", "--verify", "--quiet", f"{wanted}^{{commit}}").strip()
    except SourceError as error:
        raise SourceError(f"{shown} has no branch, tag or commit '{version}'") from error
    identity = commit[:ID_LENGTH]
    if tuple(exclude) != ALWAYS_EXCLUDED:
        identity = hashlib.sha256("\0".join([commit, *exclude]).encode()).hexdigest()[:ID_LENGTH]
    path = cache / f"{identity}.tar.gz"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=cache) as unpacked:
            archive = Path(unpacked) / "archive.tar"
            _git("-C", str(mirror), "archive", "--format=tar", f"--output={archive}", commit)
            tree_directory = Path(unpacked) / "tree"
            unpack(archive, tree_directory)
            content = _from_directory(tree_directory, shown, Path(unpacked), exclude)
            os.replace(content.path, path)
    return Source(identity, path, f"{shown} {version}")


def _git(*arguments: str) -> str:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    result = subprocess.run(
        ["git", *arguments], capture_output=True, text=True, env=environment, check=False, stdin=subprocess.DEVNULL
    )
    if result.returncode != 0:
        raise SourceError(f"git failed: {without_secrets(result.stderr.strip())}")
    return result.stdout
