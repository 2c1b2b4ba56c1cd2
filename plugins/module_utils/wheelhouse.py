"""Wheelhouses: all wheels of a release for one kind of host, made on the controller, so that the hosts need no package index.

``pip download`` chooses wheels for another Python and platform, but evaluates environment markers for the Python that it runs on
(https://github.com/pypa/pip/issues/11664). Hence the markers of the target are put in their place before pip starts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ansible_collections.intermission.django.plugins.module_utils.release import (
    MISSING,
    requirement_files,
)
from ansible_collections.intermission.django.plugins.module_utils.source import (
    ALWAYS_EXCLUDED,
    anonymous,
    digest_of,
    unpack,
    without_secrets,
)

KEPT = 10
LEFT_OUT = (*ALWAYS_EXCLUDED, "build", "*.egg-info")  # What a build leaves in a package
OTHERWISE = "or set django_release_wheelhouse: false, where the hosts reach a package index"
LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
OLDEST_GLIBC = {"x86_64": 5, "i686": 5}
OLDEST_GLIBC_ELSEWHERE = 17
PLACE = re.compile(r"(-e|--editable)\b|[./]|[^-].*://")
PIP_FOR_TARGET = """
import json, runpy, sys
from pip._vendor.packaging import markers
here, target = markers.default_environment, json.loads(sys.argv.pop(1))
markers.default_environment = lambda: {**here(), **target}
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


class WheelhouseError(Exception):
    """A wheelhouse cannot be made; the message says why and what to do."""


@dataclass(frozen=True)
class Target:
    """What decides which wheels a host can use: version, implementation and ABI of its Python, machine, version of glibc."""

    python: str
    implementation: str
    abi: str
    machine: str
    glibc: str

    def __str__(self) -> str:
        """Name it in messages."""
        return f"Python {self.python} ({self.abi}) on {self.machine} with glibc {self.glibc}"

    @property
    def platforms(self) -> list[str]:
        """List the platform tags that fit, best first (PEP 600); pip adds ``any``."""
        tags = []
        oldest = OLDEST_GLIBC.get(self.machine, OLDEST_GLIBC_ELSEWHERE)
        for minor in range(int(self.glibc.split(".")[1]), oldest - 1, -1):
            tags.append(f"manylinux_2_{minor}_{self.machine}")
            if minor in LEGACY:
                tags.append(f"{LEGACY[minor]}_{self.machine}")
        return [*tags, f"linux_{self.machine}"]

    @property
    def markers(self) -> dict[str, str]:
        """Give the environment markers (PEP 508), without those of the kernel."""
        return {
            "implementation_name": "cpython",
            "implementation_version": self.python,
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": self.python,
            "python_version": self.python.rpartition(".")[0],
            "sys_platform": "linux",
        }

    @property
    def pip_options(self) -> list[str]:
        """Give the options that make ``pip download`` choose wheels for it."""
        platforms = [option for tag in self.platforms for option in ("--platform", tag)]
        python = ["--python-version", self.python, "--implementation", self.implementation, "--abi", self.abi]
        return ["--only-binary=:all:", *python, *platforms]


def provide(
    archive: Path, requirements: str, extra: Sequence[str], target: Target, cache: Path, python: str
) -> tuple[Path, bool]:
    """Give the wheelhouse of a release's requirements for a target, as one tar, and whether it had to be made.

    ``python`` is the interpreter whose pip makes it. Raises WheelhouseError, SourceError and OSError.
    """
    if target.implementation != "cp" or not target.glibc.startswith("2."):
        raise WheelhouseError(
            f"wheelhouses are made for CPython on Linux with glibc 2, and this host has {target}: set "
            "django_release_wheelhouse: false for it"
        )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".wheelhouse-") as name:
        scratch = Path(name)
        unpack(archive, scratch / "source")
        wanted = scratch / "source" / requirements
        texts = [file.read_text(encoding="utf-8") for file in requirement_files(wanted)]
        key = hashlib.sha256(json.dumps([texts, list(extra), asdict(target)]).encode()).hexdigest()[:12]
        path = cache / f"wheelhouse-{key}.tar"
        if path.exists():
            os.utime(path)
            return path, False
        _refuse_places([line for text in texts for line in text.splitlines()] + list(extra))
        hashed = any("--hash" in text or "--require-hashes" in text for text in texts)
        _collect(["-r", str(wanted), *extra], hashed, target, python, scratch)
        _pack(scratch / "wheels", scratch / "wheelhouse.tar")
        os.replace(scratch / "wheelhouse.tar", path)
    _prune(cache)
    return path, True


def build_wheel(package: Path, cache: Path, python: str) -> Path:
    """Build a package of pure Python, once for each content. Raises WheelhouseError and OSError.

    ``python`` is the interpreter whose pip does it, and fetches the build backend where that is not in pip's cache.
    """
    directory = cache / f"package-{digest_of(package, LEFT_OUT)[:12]}"
    if not directory.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix=".package-") as name:
            source, built = Path(name) / "source", Path(name) / "built"
            shutil.copytree(package, source, ignore=shutil.ignore_patterns(*LEFT_OUT))
            failed, said = _pip(python, {}, "wheel", "--no-deps", "--wheel-dir", str(built), str(source))
            if failed:
                raise WheelhouseError(f"{package.name} cannot be built on the controller:\n{said}")
            with contextlib.suppress(FileExistsError):  # Another run has been faster
                built.rename(directory)
    return next(directory.glob("*.whl"))


def _refuse_places(lines: Sequence[str]) -> None:
    for line in lines:
        requirement = re.sub(r"(^|\s)#.*", "", line).strip()
        if PLACE.match(requirement):
            raise WheelhouseError(
                f"the requirement {without_secrets(requirement)} is a place and not a version, and pip would look there on "
                f"the hosts too. Publish it as a package and require that, {OTHERWISE}."
            )


def _collect(wanted: Sequence[str], hashed: bool, target: Target, python: str, scratch: Path) -> None:
    """Bring all wheels into ``scratch/wheels``; what has none is built, where that gives a wheel for any platform."""
    wheels, built = scratch / "wheels", scratch / "built"
    built.mkdir()
    options = [*target.pip_options, "--find-links", str(built), "--dest", str(wheels)]
    tried: set[str] = set()
    while True:
        failed, said = _pip(python, target.markers, "download", *options, *wanted)
        if not failed:
            break
        missing = MISSING.search(said)
        if not missing:
            raise WheelhouseError(
                f"pip on the controller finds no wheels for {target}:\n{said}\nMend that, {OTHERWISE}."
            )
        package = missing.group(1)
        if hashed or package in tried:
            reason = "a wheel that is built here cannot have the hash that is required" if hashed else "none fits"
            raise WheelhouseError(_no_wheel(package, target, reason))
        tried.add(package)
        _build(package, target, python, built)
    strangers = sorted(entry.name for entry in wheels.iterdir() if entry.suffix != ".whl")
    if strangers:
        raise WheelhouseError(
            _no_wheel(", ".join(strangers), target, "the requirements ask for the source (--no-binary)")
        )


def _build(package: str, target: Target, python: str, built: Path) -> None:
    with tempfile.TemporaryDirectory(dir=built.parent) as directory:
        failed, said = _pip(python, {}, "wheel", "--no-deps", "--wheel-dir", directory, package)
        if failed:
            raise WheelhouseError(_no_wheel(package, target, f"building one on the controller failed:\n{said}\n"))
        for wheel in Path(directory).iterdir():
            if not wheel.name.endswith("-none-any.whl"):
                reason = f"what the controller can get or build is for its own platform ({wheel.name})"
                raise WheelhouseError(_no_wheel(package, target, reason))
            os.replace(wheel, built / wheel.name)


def _no_wheel(package: str, target: Target, reason: str) -> str:
    return f"{package} has no wheel for {target}: {reason}. Publish one for that platform in your package index, {OTHERWISE}."


def _pip(python: str, markers: dict[str, str], *arguments: str) -> tuple[bool, str]:
    """Run the controller's pip; gives whether it failed, and the end of what it said."""
    options = ["--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    command = [python, "-P", "-c", PIP_FOR_TARGET, json.dumps(markers), *arguments, *options]
    ran = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        env={
            **os.environ,
            "SOURCE_DATE_EPOCH": "315532800",
        },  # The same content in the same bytes, and a zip begins in 1980
    )
    if re.search(r"No module named '?pip", ran.stderr):
        raise WheelhouseError(
            f"{python} on the controller has no pip, which makes the wheelhouse. Install it, for instance with "
            f"`{python} -m ensurepip`, {OTHERWISE}."
        )
    return ran.returncode != 0, "".join(without_secrets(said)[-1500:] for said in (ran.stdout, ran.stderr)).strip()


def _pack(directory: Path, path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        for wheel in sorted(directory.iterdir()):
            archive.add(wheel, arcname=wheel.name, filter=anonymous)
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _prune(cache: Path) -> None:
    """Keep the wheelhouses that were used last; another run may remove some at the same time."""
    for path in sorted(cache.glob("wheelhouse-*.tar"), key=_last_used, reverse=True)[KEPT:]:
        path.unlink(missing_ok=True)


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0
