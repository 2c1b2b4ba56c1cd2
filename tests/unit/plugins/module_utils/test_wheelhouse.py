"""Wheelhouses: the tags and markers of a target, and real ones from an index that is a directory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import wheelhouse
from ansible_collections.intermission.django.plugins.module_utils.release import target_of
from ansible_collections.intermission.django.plugins.module_utils.wheelhouse import (
    Target,
    WheelhouseError,
    build_wheel,
    provide,
)
from packaging.tags import platform_tags

pytestmark = pytest.mark.programs

CHECKOUT = Path(__file__).parents[4]
DEBIAN_13 = Target("3.13.5", "cp", "cp313", "x86_64", "2.41")
OLD = Target("3.9.2", "cp", "cp39", "x86_64", "2.31")
FITS_13 = "cp313-cp313-manylinux_2_28_x86_64"

# A build backend that needs nothing: it writes a wheel with the tag that stands in the file TAG
BACKEND = """
import pathlib, zipfile
def build_wheel(directory, config_settings=None, metadata_directory=None):
    tag = pathlib.Path("TAG").read_text()
    name, version = pathlib.Path("NAME").read_text().split()
    with zipfile.ZipFile(pathlib.Path(directory) / f"{name}-{version}-{tag}.whl", "w") as wheel:
        about = f"{name}-{version}.dist-info"
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        wheel.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: {tag}\\n")
        wheel.writestr(f"{about}/RECORD", "")
    return f"{name}-{version}-{tag}.whl"
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


class Controller:
    """A cache, a release's archive, and an index that is a directory."""

    def __init__(self, path: Path) -> None:
        self.path, self.cache, self.index = path, path / "cache", path / "index"
        self.index.mkdir()

    def wheel(self, name: str, version: str = "1.0", tag: str = "py3-none-any", requires: str = "") -> None:
        about = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += f"Requires-Dist: {requires}\n" if requires else ""
        with zipfile.ZipFile(self.index / f"{name}-{version}-{tag}.whl", "w") as wheel:
            wheel.writestr(f"{about}/METADATA", metadata)
            wheel.writestr(f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
            wheel.writestr(f"{about}/RECORD", "")

    def sdist(self, name: str, gives: str = "py3-none-any", backend: str = BACKEND) -> None:
        files = {
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            "pyproject.toml": PYPROJECT,
            "backend.py": backend,
            "NAME": f"{name} 1.0",
            "TAG": gives,
        }
        self.tar(self.index / f"{name}-1.0.tar.gz", {f"{name}-1.0/{path}": text for path, text in files.items()})

    def tar(self, path: Path, files: dict[str, str]) -> Path:
        with tarfile.open(path, "w:gz") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        return path

    def provide(
        self,
        requirements: str,
        *extra: str,
        target: Target = DEBIAN_13,
        python: str = sys.executable,
        files: dict[str, str] | None = None,
    ) -> tuple[list[str], bool]:
        """Give the names of the wheels in the wheelhouse, and whether it was made."""
        archive = self.tar(self.path / "release.tar.gz", {"requirements.txt": requirements, **(files or {})})
        path, made = provide(archive, "requirements.txt", extra, target, self.cache, python)
        with tarfile.open(path) as stream:
            return stream.getnames(), made


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Controller:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return Controller(tmp_path)


@pytest.fixture
def copying(controller: Controller) -> str:
    """An interpreter whose pip takes every wheel of the index, for what is done with them: pip itself takes half a second to start."""
    program = controller.path / "copying"
    program.write_text(
        f'#!/bin/sh\nwhile [ "$1" != --dest ]; do shift; done\nmkdir -p "$2" && exec cp {controller.index}/*.whl "$2"\n'
    )
    program.chmod(0o755)
    return str(program)


@pytest.mark.parametrize(
    ("machine", "glibc", "first", "last", "some"),
    [
        ("x86_64", "2.41", "manylinux_2_41_x86_64", "linux_x86_64", "manylinux1_x86_64"),
        ("x86_64", "2.17", "manylinux_2_17_x86_64", "linux_x86_64", "manylinux2014_x86_64"),
        ("i686", "2.36", "manylinux_2_36_i686", "linux_i686", "manylinux_2_5_i686"),
        ("aarch64", "2.36", "manylinux_2_36_aarch64", "linux_aarch64", "manylinux2014_aarch64"),
    ],
)
def test_platforms(machine: str, glibc: str, first: str, last: str, some: str) -> None:
    platforms = Target("3.13.5", "cp", "cp313", machine, glibc).platforms
    assert (platforms[0], platforms[-1]) == (first, last)
    assert some in platforms
    assert "manylinux_2_4_" not in " ".join(platforms)
    assert len(platforms) == len(set(platforms))


def test_there_is_no_older_tag_than_the_machine_has() -> None:
    assert Target("3.13.5", "cp", "cp313", "aarch64", "2.18").platforms == [
        "manylinux_2_18_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux2014_aarch64",
        "linux_aarch64",
    ]


def test_an_interpreter_tells_its_target_and_the_tags_are_those_that_it_accepts() -> None:
    target = Target(**target_of(sys.executable))
    assert target.python == "{}.{}.{}".format(*sys.version_info)
    assert (target.implementation, target.abi) == ("cp", "cp{}{}".format(*sys.version_info))
    linux = f"linux_{target.machine}"
    assert [*target.platforms[:-1], linux] == [*(tag for tag in platform_tags() if tag != linux), linux]


def test_markers_are_those_that_the_interpreter_has() -> None:
    program = "import json; from pip._vendor.packaging.markers import default_environment as e; print(json.dumps(e()))"
    asked = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    here: dict[str, Any] = json.loads(asked.stdout)
    markers = Target(**target_of(sys.executable)).markers
    assert markers == {name: here[name] for name in markers}
    assert set(here) - set(markers) == {"platform_release", "platform_version"}


def test_pip_options() -> None:
    options = Target("3.13.5", "cp", "cp313", "aarch64", "2.17").pip_options
    assert " ".join(options) == (
        "--only-binary=:all: --python-version 3.13.5 --implementation cp --abi cp313 --platform manylinux_2_17_aarch64 "
        "--platform manylinux2014_aarch64 --platform linux_aarch64"
    )


@pytest.mark.parametrize(
    ("target", "binary"),
    [(DEBIAN_13, f"binary-1.0-{FITS_13}.whl"), (OLD, "binary-1.0-cp39-cp39-manylinux2014_x86_64.whl")],
)
def test_each_target_gets_its_wheels(controller: Controller, target: Target, binary: str) -> None:
    controller.wheel("binary", tag=FITS_13)
    controller.wheel("binary", tag="cp313-cp313-manylinux_2_17_aarch64")
    controller.wheel("binary", tag="cp39-cp39-manylinux2014_x86_64")
    controller.wheel("binary", "2.0", tag="cp313-cp313-manylinux_2_42_x86_64")
    controller.wheel("stable", tag="cp39-abi3-manylinux_2_17_x86_64")
    assert controller.provide("binary\nstable\n", target=target) == (
        [binary, "stable-1.0-cp39-abi3-manylinux_2_17_x86_64.whl"],
        True,
    )


def test_markers_are_evaluated_for_the_target(controller: Controller) -> None:
    controller.wheel("parent", requires="backport ; python_version < '3.10'")
    controller.wheel("backport")
    controller.wheel("windows")
    controller.wheel("arm")
    text = "parent\nwindows ; sys_platform == 'win32'\narm ; platform_machine == 'aarch64'\n"
    old, new, arm = "backport-1.0-py3-none-any.whl", "parent-1.0-py3-none-any.whl", "arm-1.0-py3-none-any.whl"
    assert controller.provide(text)[0] == [new]
    assert controller.provide(text, target=OLD)[0] == [old, new]
    assert controller.provide(text, target=Target("3.13.5", "cp", "cp313", "aarch64", "2.41"))[0] == [arm, new]


def test_included_files_constraints_and_extra_packages(controller: Controller) -> None:
    for name, version in [("one", "1.0"), ("one", "2.0"), ("two", "1.0")]:
        controller.wheel(name, version)
    files = {
        "more/base.txt": "one\n-c limits.txt\n",
        "more/limits.txt": "one<2\n",
    }
    assert controller.provide("-r more/base.txt\n", "two", files=files) == (
        ["one-1.0-py3-none-any.whl", "two-1.0-py3-none-any.whl"],
        True,
    )
    files["more/limits.txt"] = "one>=2\n"
    assert controller.provide("-r more/base.txt\n", "two", files=files)[0][0] == "one-2.0-py3-none-any.whl"


def test_a_wheelhouse_is_made_once_and_again_where_anything_is_different(controller: Controller, copying: str) -> None:
    controller.wheel("one")
    made = controller.provide("one\n", python=copying)
    assert made == (["one-1.0-py3-none-any.whl"], True)
    other_patch = Target("3.13.6", "cp", "cp313", "x86_64", "2.41")
    assert controller.provide("one\n", target=other_patch, python=copying)[1] is True
    for arguments in (["one # again\n"], ["one\n", "two"]):
        assert controller.provide(*arguments, python=copying)[1] is True
    assert controller.provide("one\n", python="no-python-at-all") == (made[0], False)


def test_every_account_on_a_host_may_read_the_wheels(controller: Controller, copying: str) -> None:
    controller.wheel("one")
    (controller.index / "one-1.0-py3-none-any.whl").chmod(0o600)
    before = os.umask(0o077)
    try:
        controller.provide("one", python=copying)
    finally:
        os.umask(before)
    (path,) = controller.cache.iterdir()
    with tarfile.open(path) as stream:
        assert [(member.mode, member.uid) for member in stream] == [(0o644, 0)]


def test_those_used_last_are_kept(controller: Controller, copying: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheelhouse, "KEPT", 2)
    controller.wheel("one")

    def is_made(text: str) -> bool:
        return controller.provide(text, python=copying)[1]

    for age, text in enumerate(["one", "one\n"]):
        assert is_made(text)
        newest = max(controller.cache.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (age, age))
    stranger = controller.cache / "e5cd970b1039.tar.gz"
    stranger.touch()
    os.utime(stranger, (0, 0))
    assert not is_made("one")
    assert is_made("one\n\n")
    assert [is_made(text) for text in ("one", "one\n\n")] == [False, False]
    assert len(list(controller.cache.iterdir())) == 3
    assert is_made("one\n")
    assert stranger.exists()


def test_a_full_disk_leaves_nothing_behind(
    controller: Controller, copying: str, full_disk: Callable[[int], AbstractContextManager[None]]
) -> None:
    controller.wheel("one")
    with full_disk(5000), pytest.raises(OSError, match="File too large"):
        controller.provide("one", python=copying)
    assert list(controller.cache.iterdir()) == []
    assert controller.provide("one", python=copying)[1] is True


def test_pure_python_without_a_wheel_is_built(controller: Controller) -> None:
    controller.sdist("pure")
    controller.wheel("parent", requires="deep (>=1)")
    controller.sdist("deep", gives="py2.py3-none-any")
    wheels = ["deep-1.0-py2.py3-none-any.whl", "parent-1.0-py3-none-any.whl", "pure-1.0-py3-none-any.whl"]
    assert controller.provide("pure==1.0\nparent\n") == (wheels, True)


@pytest.mark.parametrize(
    ("gives", "backend", "reason"),
    [
        ("cp311-cp311-linux_x86_64", BACKEND, r"for its own platform \(native-1.0-cp311-cp311-linux_x86_64.whl\)"),
        ("py2-none-any", BACKEND, "none fits"),
        ("py3-none-any", "raise RuntimeError('no compiler, https://user:secret@example.com/')", "no compiler"),
    ],
)
def test_what_is_built_for_one_platform_only_is_refused(
    controller: Controller, gives: str, backend: str, reason: str
) -> None:
    controller.sdist("native", gives, backend)
    with pytest.raises(WheelhouseError, match=f"(?s)native==1.0 has no wheel for Python 3.13.5 .*{reason}") as told:
        controller.provide("native==1.0\n")
    assert "set django_release_wheelhouse: false" in str(told.value)
    assert "secret" not in str(told.value)


def test_what_has_to_have_a_hash_is_not_built(controller: Controller) -> None:
    controller.sdist("pure", backend="raise RuntimeError('it was built')")
    with pytest.raises(WheelhouseError, match="pure==1.0 has no wheel .* cannot have the hash"):
        controller.provide(f"pure==1.0 --hash=sha256:{'0' * 64}\n")


def test_a_hash_that_is_right(controller: Controller) -> None:
    controller.wheel("one")
    digest = hashlib.sha256((controller.index / "one-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    assert controller.provide(f"one==1.0 \\\n    --hash=sha256:{digest}\n") == (["one-1.0-py3-none-any.whl"], True)


def test_a_wrong_hash_is_told(controller: Controller) -> None:
    controller.wheel("one")
    with pytest.raises(WheelhouseError, match="(?s)DO NOT MATCH THE HASHES"):
        controller.provide(f"one==1.0 --hash=sha256:{'0' * 64}\n")


def test_a_source_distribution_that_is_asked_for_is_refused(controller: Controller) -> None:
    controller.wheel("one")
    controller.sdist("one", backend=BACKEND.replace("def build_wheel", "def build_wheel_never") + BACKEND)
    with pytest.raises(WheelhouseError, match=r"one-1.0.tar.gz has no wheel .*--no-binary"):
        controller.provide("--no-binary one\none\n")


def test_what_pip_says_has_no_secrets(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "http://token:secret@127.0.0.1:9/more")
    with pytest.raises(WheelhouseError) as told:
        controller.provide("--trusted-host https://me:secret@example.com\nnowhere\n")
    assert "secret" not in str(told.value)
    assert "nowhere" in str(told.value)


@pytest.mark.parametrize(
    "line",
    [
        "-e .",
        "--editable ./local",
        "./local",
        "/opt/local.whl",
        "git+https://me:secret@example.com/a.git",
        "a @ https://me:secret@example.com/a-1.0-py3-none-any.whl  # why",
    ],
)
def test_places_are_refused(controller: Controller, line: str) -> None:
    with pytest.raises(WheelhouseError, match="is a place and not a version") as told:
        controller.provide(f"# see https://example.com\n{line}\n")
    assert "secret" not in str(told.value)


def test_what_is_no_place(controller: Controller) -> None:
    controller.wheel("one")
    lines = ["# https://example.com", "--extra-index-url https://127.0.0.1:9/", "one # https://example.com", "  "]
    assert controller.provide("\n".join(lines)) == (["one-1.0-py3-none-any.whl"], True)


@pytest.mark.parametrize("change", [{"implementation": "pp"}, {"glibc": ""}])
def test_targets_that_are_not_known(controller: Controller, change: dict[str, str]) -> None:
    with pytest.raises(WheelhouseError, match="CPython on Linux with glibc 2.*set django_release_wheelhouse: false"):
        controller.provide("one", target=Target(**{**vars(DEBIAN_13), **change}))


def test_files_where_it_runs_do_not_get_in_the_way(controller: Controller, monkeypatch: pytest.MonkeyPatch) -> None:
    controller.wheel("one")
    (controller.path / "pip.py").write_text("raise RuntimeError('this is no pip')")
    monkeypatch.chdir(controller.path)
    assert controller.provide("one")[1] is True


def test_a_secret_at_the_edge_of_what_is_shown_is_not(controller: Controller) -> None:
    controller.sdist("native", backend=f"raise RuntimeError('https://user:{'secret' * 300}@example.com/' + '.' * 500)")
    with pytest.raises(WheelhouseError, match="native has no wheel") as told:
        controller.provide("native\n")
    assert "secretsecret" not in str(told.value)


def test_a_python_without_pip(controller: Controller) -> None:
    python = controller.path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    python.chmod(0o755)
    with pytest.raises(WheelhouseError, match="has no pip, .*-m ensurepip`, or set django_release_wheelhouse: false"):
        controller.provide("one", python=str(python))


def test_a_wheelhouse_that_vanishes_while_old_ones_are_removed(tmp_path: Path) -> None:
    assert wheelhouse._last_used(tmp_path / "gone") == 0


MAKERS = """
- hosts: localhost
  gather_facts: false
  vars_files: [{vars}]
  vars:
    __intermission_hosts: [live, old1, ready, new1, old2, new2]
    needs:
      old1: {{virtualenv: false, target: {{python: 3.11.2}}}}
      ready: {{virtualenv: true, target: {{python: 3.13.5}}}}
      new1: {{virtualenv: false, target: {{python: 3.13.5}}}}
      old2: {{virtualenv: false, target: {{python: 3.11.2}}}}
      new2: {{virtualenv: false, target: {{python: 3.13.5}}}}
  tasks:
    - add_host: {{name: live, groups: all}}
    - add_host: {{name: "{{{{ item }}}}", groups: needy, __django_release_needs: "{{{{ needs[item] }}}}"}}
      loop: "{{{{ needs | list }}}}"
- hosts: needy
  gather_facts: false
  vars_files: [{vars}]
  vars: {{__intermission_hosts: [live, old1, ready, new1, old2, new2]}}
  tasks:
    - debug: {{msg: "{{{{ inventory_hostname }}}} by {{{{ __django_release_wheels_maker }}}}."}}
"""


def test_one_wheelhouse_is_made_for_all_hosts_of_a_kind(
    ansible_playbook: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    said = ansible_playbook(
        MAKERS.format(vars=CHECKOUT / "roles" / "django_release" / "vars" / "main" / "main.yml"), "-v"
    ).stdout
    found = dict(re.findall(r"(\w+) by (\w+)\.", said))
    assert found == {"old1": "old1", "old2": "old1", "ready": "new1", "new1": "new1", "new2": "new1"}, said


@pytest.fixture
def asked(controller: Controller, run_module: Callable[..., dict[str, Any]]) -> SimpleNamespace:
    """The arguments of the module, and how to run it."""
    controller.wheel("one")
    archive = controller.tar(controller.path / "release.tar.gz", {"requirements.txt": "one\n"})
    arguments = {
        "archive": str(archive),
        "target": vars(DEBIAN_13),
        "cache": str(controller.cache),
        "python": sys.executable,
    }
    return SimpleNamespace(arguments=arguments, run=lambda *more: run_module("wheelhouse", arguments, *more))


def test_the_module_makes_it_in_check_mode_too(asked: SimpleNamespace, copying: str) -> None:
    asked.arguments["python"] = copying
    told = asked.run(True)
    assert told["changed"] is True
    assert Path(told["path"]).exists()
    again = asked.run()
    assert (again["changed"], again["path"]) == (False, told["path"])


def test_the_module_has_no_archive(asked: SimpleNamespace) -> None:
    Path(asked.arguments["archive"]).unlink()
    assert "this controller has no " in asked.run()["msg"]


def test_the_module_has_no_wheel(asked: SimpleNamespace, controller: Controller) -> None:
    (controller.index / "one-1.0-py3-none-any.whl").unlink()
    assert asked.run()["msg"].startswith("django_release_wheelhouse: one has no wheel for Python 3.13.5")


def package(path: Path, backend: str = BACKEND) -> Path:
    files = {"pyproject.toml": PYPROJECT, "backend.py": backend, "NAME": "own 1.0", "TAG": "py3-none-any"}
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def test_a_package_is_built_once_for_its_content(controller: Controller) -> None:
    own = package(controller.path / "own")
    wheel = build_wheel(own, controller.cache, sys.executable)
    assert (wheel.name, os.listdir(own)) == ("own-1.0-py3-none-any.whl", os.listdir(own))
    inode = wheel.stat().st_ino
    (own / "build").mkdir()
    (own / "build" / "left").touch()
    assert build_wheel(own, controller.cache, "no-python-at-all").stat().st_ino == inode
    (own / "NAME").write_text("own 2.0")
    assert build_wheel(own, controller.cache, sys.executable).name == "own-2.0-py3-none-any.whl"


def test_a_package_that_cannot_be_built_leaves_nothing_behind(controller: Controller) -> None:
    own = package(controller.path / "own", "raise RuntimeError('no compiler')")
    with pytest.raises(WheelhouseError, match="own cannot be built on the controller:(?s:.*)no compiler"):
        build_wheel(own, controller.cache, sys.executable)
    assert list(controller.cache.iterdir()) == []
