"""Releases on a web host: whole directories named by their content, one of them live.

::

    <root>/
      releases/<id>/    the code, with .venv -> ../../venvs/<key> and .release.json
      venvs/<key>/      a virtualenv per set of requirements, shared by the releases that have the same
      current           -> releases/<id>, swapped with one rename
      environments/<digest>   the settings and secrets that a release runs with, for root's eyes only
      environment       -> environments/<digest>, swapped with current
      maintenance.env   MAINTENANCE_MODE, where a playbook has set it; maintenance.env.applied tells whether the app has taken it up
      live.json         what was last activated and answered: release, environment digest, when
      .lock             held by who changes any of this (flock(2))
      units/            the systemd units that each environment was run with, <digest>.json
      shared/           what outlives releases: static files, uploads. The only one of these that the site's account may change
      shared/private/   what nobody but that account may read, such as an SQLite database
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import tarfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.account import fresh_home, run_as
from ansible_collections.intermission.django.plugins.module_utils.archives import extract
from ansible_collections.intermission.django.plugins.module_utils.files import (
    NotPlainError,
    read_plain,
    replace_symlink,
    sync_directory,
    write_file,
)
from ansible_collections.intermission.django.plugins.module_utils.places import (
    MODE,
    PRIVATE_MODE,
    check_closed,
    is_missing,
    make,
)
from ansible_collections.intermission.django.plugins.module_utils.source import PACKAGES, without_secrets

ENVIRONMENT_MODE = 0o600
COMPLETE = ".intermission-complete"
INCLUDE = re.compile(r"\s*(?:-[rc]\s*|--(?:requirement|constraint)(?:\s+|\s*=\s*))(\S.*?)\s*(?:\s#.*)?$")
MISSING = re.compile(r"No matching distribution found for (.+?)(?: \(from .*)?$", re.MULTILINE)
TELL_TARGET = """
import json, platform, sys, sysconfig
libc, version = platform.libc_ver()
print(json.dumps({
    "python": "%d.%d.%d" % sys.version_info[:3],
    "implementation": {"cpython": "cp", "pypy": "pp"}.get(sys.implementation.name, sys.implementation.name),
    "abi": "cp%d%d" % sys.version_info[:2] + sys.abiflags,
    "machine": sysconfig.get_platform().partition("-")[2],
    "glibc": version if libc == "glibc" else "",
}))
"""
UNCOMPILED = ("static", "__pycache__")


class ReleaseError(Exception):
    """A release cannot be made or switched to; the message says why and what to do."""


class Releases:
    """The release directories of one site on one host, below ``root``."""

    def __init__(self, root: str) -> None:
        """Name the directories; nothing is read yet."""
        self.root = Path(root)
        self.directory = self.root / "releases"
        self.virtualenvs = self.root / "venvs"
        self.current = self.root / "current"
        self.environments = self.root / "environments"
        self.environment = self.root / "environment"
        self.shared = self.root / "shared"
        self.units = self.root / "units"
        self.setting_file = self.root / "maintenance.env"
        self.live_file = self.root / "live.json"

    def path(self, release: str) -> Path:
        """Give a release's directory."""
        return self.directory / release

    def describe(self, release: str) -> dict[str, Any]:
        """Read what is known of a release: ``{}`` where it is not there or not whole."""
        return _read_json(self.path(release) / ".release.json")

    def versions(self) -> dict[str, str]:
        """Name the versions of the live release and of the former one, by their ids, as far as they are there."""
        live = self.live()
        ids = (live.get("release"), live.get("former", {}).get("release"))
        known = {release: self.describe(release).get("version", "") for release in ids if release}
        return {release: version for release, version in known.items() if version}

    def current_id(self) -> Optional[str]:
        """Give the id of the release that ``current`` points to, None before the first."""
        target = _link_target(self.current)
        return Path(target).name if target else None

    def current_environment(self) -> Optional[str]:
        """Give the digest of the environment that ``environment`` points to, None before the first."""
        target = _link_target(self.environment)
        return Path(target).name if target else None

    def live(self) -> dict[str, Any]:
        """Read what was last activated and answered: ``release`` and ``environment``; ``{}`` before the first."""
        return _read_json(self.live_file)

    def is_runnable(self, release: str) -> bool:
        """Tell whether a release has an interpreter to be asked with."""
        return (self.path(release) / ".venv/bin/python").exists()

    def missing(self, writable: Sequence[str], environment: str, content: str, user: Optional[str] = None) -> list[str]:
        """List what ``make`` would make: directories, and the environment file. Raises PlaceError and OSError."""
        for path in (self.root, self.directory, self.virtualenvs, self.environments):
            check_closed(path, user)
        paths = [str(path) for path, owner, _mode in self._directories(writable, user) if is_missing(path, owner)]
        file = self.environments / environment
        if not _holds(file, content):
            paths.append(str(file))
        return paths

    def make(self, writable: Sequence[str], environment: str, content: str, user: Optional[str] = None) -> list[str]:
        """Make the site's directories, those in ``writable`` and ``shared`` for ``user``, and its environment file.

        Gives what was missing. Raises PlaceError where the account cannot write in a directory of its own, or can in one of
        root's, KeyError where there is no such account, and OSError.
        """
        made = self.missing(writable, environment, content, user)
        for path, owner, mode in self._directories(writable, user):
            make(path, owner, mode)
        file = self.environments / environment
        if not _holds(file, content):
            write_file(file, content.encode(), ENVIRONMENT_MODE)
        return made

    def _directories(self, writable: Sequence[str], user: Optional[str]) -> list[tuple[Path, Optional[str], int]]:
        own: list[tuple[Path, Optional[str], int]] = [
            (self.directory, None, MODE),
            (self.environments, None, PRIVATE_MODE),
        ]
        own += [(self.shared, user, MODE), (self.shared / "private", user, PRIVATE_MODE)]
        return own + [(Path(path), user, MODE) for path in writable]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Wait for what a run before is still at here, and keep others waiting.

        The deploy lock is of runs: what a killed one has begun goes on, and two builds of one virtualenv spoil each other.
        """
        with open(self.root / ".lock", "w", opener=_private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def unpack(self, archive: Path, release: str, version: str, origin: str) -> bool:
        """Unpack an archive as a release, whole or not at all, and remove it; gives whether it was not there before.

        Raises ReleaseError where the archive is damaged, or has a link or a name that leads out of the release.
        """
        if self.describe(release):
            return False
        partial = self.directory / f".{release}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        _make_readable(partial)
        umask = os.umask(0o022)  # tarfile makes the directories that the archive does not name
        try:
            with tarfile.open(archive) as stream:
                extract(stream, partial)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise ReleaseError(f"the release {release} cannot be unpacked: {error}") from error
        finally:
            os.umask(umask)
        about = {"id": release, "version": version, "origin": origin, "unpacked": _now(), "prepared": False}
        write_file(partial / ".release.json", json.dumps(about).encode())
        shutil.rmtree(self.path(release), ignore_errors=True)
        os.rename(partial, self.path(release))
        sync_directory(self.directory)
        archive.unlink()
        return True

    def make_collectable(self, release: str) -> None:
        """Date a release's files to now: collectstatic copies only what is newer than what it copied before.

        Where the clock was ahead before, to later than what the other releases' records, written after collecting, are dated to. And
        forget that others are ready to run: what this one's commands write, its static files, takes the place of theirs. Raises
        ReleaseError where it is not there.
        """
        if not self.describe(release):
            raise ReleaseError(f"there is no release {release} in {self.directory}")
        records = list(self.directory.glob("*/.release.json"))
        date = max([time.time(), *(record.stat().st_mtime + 1 for record in records)])
        for record in records:
            about = _read_json(record)
            if about.get("prepared") and record.parent.name != release:
                write_file(record, json.dumps({**about, "prepared": False}).encode())
        for file in self.path(release).rglob("*"):
            if not file.is_symlink():
                os.utime(file, (date, date))

    def compile(self, release: str, python: str) -> None:
        """Compile a release's modules: the site's account may not write there, and would compile them at each start.

        Nothing that a link leads to, which the account may have made, nor what is collected as static files. What cannot be compiled
        may be no module, a template of one for instance. Raises OSError where there is no such interpreter.
        """
        modules = []
        for directory, names, files in os.walk(self.path(release)):
            names[:] = [name for name in names if name not in UNCOMPILED]
            if not os.path.islink(os.path.join(directory, "__pycache__")):
                paths = (os.path.join(directory, name) for name in files if name.endswith(".py"))
                modules += [path for path in paths if "\n" not in path and stat.S_ISREG(os.lstat(path).st_mode)]
        subprocess.run(
            [python, "-IS", "-m", "compileall", "-qq", "-i", "-"],
            input="\n".join(modules).encode(errors="surrogateescape"),
            capture_output=True,
            check=False,
            umask=0o022,
        )

    def mark_prepared(self, release: str, preparation: str) -> bool:
        """Note that a release has its virtualenv and static files and passed its checks, with this preparation."""
        about = self.describe(release)
        if about.get("prepared") == preparation:
            return False
        write_file(self.path(release) / ".release.json", json.dumps({**about, "prepared": preparation}).encode())
        return True

    def is_current(self, release: str, environment: str) -> bool:
        """Tell whether ``current`` and ``environment`` point at this release and this environment."""
        return self.current_id() == release and _link_target(self.environment) == f"environments/{environment}"

    def activate(self, release: str, environment: str) -> bool:
        """Point ``current`` and ``environment`` at a release and its environment, each with one rename.

        Raises ReleaseError where one of them is not there: nothing has been switched then.
        """
        if not self.describe(release):
            raise ReleaseError(f"there is no release {release} in {self.directory}")
        if not (self.environments / environment).exists():
            raise ReleaseError(f"there is no environment file {self.environments / environment}")
        if self.is_current(release, environment):
            return False
        replace_symlink(self.environment, f"environments/{environment}")
        replace_symlink(self.current, f"releases/{release}")
        return True

    def record_live(self, release: str, environment: str, former: Optional[Mapping[str, str]] = None) -> bool:
        """Note that a release runs and answers, and which a rollback goes to from here: the one that was live before it.

        Another ``former`` is given by who goes back. After a rollback there is none: the one that it came from is newer, and its
        migrations are unknown to this one.
        """
        live = self.live()
        if (live.get("release"), live.get("environment")) == (release, environment):
            return False
        before = {name: live.get(name) for name in ("release", "environment")}
        if live.get("release") in (None, release):
            before = live.get("former", {})
        record = {
            "release": release,
            "environment": environment,
            "former": before if former is None else former,
            "since": _now(),
        }
        write_file(self.live_file, json.dumps(record).encode())
        return True

    def prune(self, keep: int) -> list[str]:
        """Remove all but the newest ``keep`` releases, and virtualenvs and environments that nothing uses any more.

        The live release, the one that ``current`` points to and the former one are never removed. Gives what was.
        """
        removed = self.superfluous(keep)
        for entry in removed:
            _remove(entry, ".release.json")
        used = {(entry / ".venv").resolve().name for entry in self.directory.iterdir()}
        if self.virtualenvs.exists():
            for unused in (entry for entry in self.virtualenvs.iterdir() if entry.name not in used):
                _remove(unused, COMPLETE)
        live = self.live()
        former = live.get("former", {})
        environments = {live.get("environment"), former.get("environment"), self.current_environment()}
        for file in self.environments.glob("*"):
            if file.name not in environments:
                file.unlink()
        for file in self.units.glob("*.json"):
            if file.stem not in environments:
                file.unlink()
        return [entry.name for entry in removed]

    def superfluous(self, keep: int) -> list[Path]:
        """List the releases that ``prune`` removes; none before the first."""
        if not self.directory.is_dir():
            return []
        live = self.live()
        protected = {self.current_id(), live.get("release"), live.get("former", {}).get("release")}
        releases = [entry for entry in self.directory.iterdir() if self.describe(entry.name)]
        newest_first = sorted(releases, key=lambda entry: self.describe(entry.name)["unpacked"], reverse=True)
        return [entry for entry in newest_first[keep:] if entry.name not in protected]

    def virtualenv_key(self, release: str, requirements: str, python: str, extra: Sequence[str]) -> str:
        """Name the virtualenv that a release needs: a digest of its requirements, of the wheels in it, and of the interpreter.

        Raises ReleaseError where the interpreter does not run.
        """
        whole = hashlib.sha256()
        for file in requirement_files(self.path(release) / requirements):
            whole.update(file.read_bytes() + b"\0")
        interpreter = os.path.realpath(shutil.which(python) or python)
        for wheel in self._wheels(release):
            whole.update(wheel.name.encode() + wheel.read_bytes())
        whole.update("\0".join([_checked([python, "-VV"]), interpreter, *extra]).encode())
        return whole.hexdigest()[:12]

    def has_virtualenv(self, release: str, requirements: str, python: str, extra: Sequence[str]) -> bool:
        """Tell whether a release has the virtualenv that it needs, and that is whole. Raises ReleaseError."""
        key = self.virtualenv_key(release, requirements, python, extra)
        linked = _link_target(self.path(release) / ".venv") == f"../../venvs/{key}"
        return linked and self.is_built(key)

    def is_built(self, key: str) -> bool:
        """Tell whether a virtualenv is there and whole, for whichever release."""
        return (self.virtualenvs / key / COMPLETE).exists()

    def build_virtualenv(
        self,
        release: str,
        requirements: str,
        python: str,
        extra: Sequence[str],
        user: Optional[str] = None,
        wheelhouse: Optional[Path] = None,
    ) -> bool:
        """Give a release its virtualenv, building it as ``user`` unless a whole one is there. Raises ReleaseError.

        With a ``wheelhouse``, a tar of wheels, it is built from nothing else, and the tar is removed when it is used up.
        """
        key = self.virtualenv_key(release, requirements, python, extra)
        directory = self.virtualenvs / key
        built = not self.is_built(key)
        if built:
            shutil.rmtree(directory, ignore_errors=True)
            _make_readable(directory)
            account = run_as(user)
            if account:
                os.chown(directory, account["user"], account["group"])
            pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            wanted = [*pip, "-r", str(self.path(release) / requirements), *extra]
            with fresh_home(user) as variables:
                _checked([python, "-m", "venv", str(directory)], user, variables)
                if wheelhouse:
                    _install_from(wheelhouse, wanted, user, variables)
                else:
                    _checked(wanted, user, variables)
                if wheels := [str(wheel) for wheel in self._wheels(release)]:
                    _checked([*pip, "--no-deps", "--no-index", *wheels], user, variables)
            write_file(directory / COMPLETE, b"")
            if wheelhouse:
                wheelhouse.unlink()
        link = self.path(release) / ".venv"
        target = f"../../venvs/{key}"
        if link.is_symlink() and os.readlink(link) == target:
            return built
        replace_symlink(link, target)
        return True

    def _wheels(self, release: str) -> list[Path]:
        """List the wheels that came with a release."""
        return sorted((self.path(release) / PACKAGES).glob("*.whl"))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


def _holds(file: Path, content: str) -> bool:
    """Tell whether the environment file has this content, and is closed to others."""
    try:
        return (read_plain(file), stat.S_IMODE(file.lstat().st_mode)) == (content.encode(), ENVIRONMENT_MODE)
    except (FileNotFoundError, NotADirectoryError, NotPlainError):
        return False


def _link_target(link: Path) -> Optional[str]:
    return os.readlink(link) if link.is_symlink() else None


def _install_from(wheelhouse: Path, pip: Sequence[str], user: Optional[str], variables: Mapping[str, str]) -> None:
    directory = wheelhouse.with_suffix(".unpacked")
    shutil.rmtree(directory, ignore_errors=True)
    _make_readable(directory)
    try:
        with tarfile.open(wheelhouse) as stream:
            extract(stream, directory)
    except (OSError, tarfile.TarError) as error:
        raise ReleaseError(f"the wheelhouse {wheelhouse} cannot be unpacked: {error}. Deploy again.") from error
    try:
        _checked([*pip, "--no-index", "--find-links", str(directory)], user, variables)
    except ReleaseError as error:
        missing = MISSING.search(str(error))
        if not missing:
            raise
        raise ReleaseError(
            f"the wheelhouse that the controller made has no {missing.group(1)} that fits this host. Publish a wheel for "
            "its Python and platform, remove the wheelhouses in django_release_cache on the controller, and deploy again; "
            f"or set django_release_wheelhouse: false.\n{error}"
        ) from error
    finally:
        shutil.rmtree(directory)


def target_of(python: str) -> dict[str, str]:
    """Ask an interpreter which wheels it can use. Raises ReleaseError where it does not run."""
    target: dict[str, str] = json.loads(_checked([python, "-I", "-c", TELL_TARGET]))
    return target


def requirement_files(path: Path) -> list[Path]:
    """Give a requirements file and those that it takes in with -r or -c."""
    files = [path]
    for line in path.read_text(encoding="utf-8").splitlines():
        match = INCLUDE.match(line)
        if match and "://" not in match.group(1):
            files += requirement_files(path.parent / match.group(1))
    return files


def _remove(directory: Path, mark: str) -> None:
    """Remove a directory, first the mark that it is whole: a removal that is cut short must not pass for a whole one."""
    (directory / mark).unlink(missing_ok=True)
    sync_directory(directory)
    shutil.rmtree(directory)


def _make_readable(directory: Path) -> None:
    """Make a directory, and those above it that are missing, that the app's account can enter whatever the umask is."""
    for level in reversed([path for path in (directory, *directory.parents) if not path.exists()]):
        level.mkdir()
        level.chmod(0o755)


def _checked(command: Sequence[str], user: Optional[str] = None, variables: Optional[Mapping[str, str]] = None) -> str:
    result: subprocess.CompletedProcess[str] = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        cwd="/" if user else None,
        env={**os.environ, **(variables or {})},
        **run_as(user),
    )
    if result.returncode != 0:
        said = without_secrets((result.stdout + result.stderr).strip())[-3000:]
        raise ReleaseError(f"`{without_secrets(' '.join(command))}` failed:\n{said}")
    return result.stdout


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")
