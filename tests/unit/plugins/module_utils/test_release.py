from __future__ import annotations

import fcntl
import importlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.release import COMPLETE, ReleaseError, Releases

RunModule = Callable[..., dict[str, Any]]
NOTHING: dict[str, str] = {"requirements.txt": ""}


class Host:
    """A web host with releases that were made from dictionaries."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.root = path / "srv"
        self.root.mkdir()
        self.releases = Releases(str(self.root))

    def archive(self, files: dict[str, str]) -> Path:
        source = self.path / "source"
        shutil.rmtree(source, ignore_errors=True)
        archive = self.path / "archive.tar.gz"
        with tarfile.open(archive, "w:gz") as stream:
            for name, content in files.items():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                (source / name).write_text(content)
                stream.add(source / name, arcname=name)
        return archive

    def unpack(self, release: str, files: dict[str, str] | None = None) -> bool:
        return self.releases.unpack(self.archive(files or NOTHING), release, f"version of {release}", "here")

    def environment(self, name: str) -> None:
        (self.root / "environments").mkdir(parents=True, exist_ok=True)
        (self.root / "environments" / name).write_text(name)

    def go_live(self, release: str, environment: str = "e1") -> None:
        self.unpack(release)
        self.environment(environment)
        self.releases.activate(release, environment)
        self.releases.record_live(release, environment)

    def fake_virtualenv(self, release: str, key: str) -> None:
        (self.root / "venvs" / key).mkdir(parents=True, exist_ok=True)
        (self.root / "venvs" / key / COMPLETE).touch()
        (self.releases.path(release) / ".venv").symlink_to(f"../../venvs/{key}")

    def names(self, directory: str) -> list[str]:
        return sorted(entry.name for entry in (self.root / directory).iterdir())


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_a21_a_releases_files_are_dated_to_now_and_what_links_lead_to_is_not(host: Host, tmp_path: Path) -> None:
    releases = host.releases
    host.unpack("r1", {"requirements.txt": "", "static/shop.css": "tea"})
    file = releases.path("r1") / "static" / "shop.css"
    outside = tmp_path / "outside"
    for path in (file, outside):
        path.touch()
        os.utime(path, (0, 0))
    (releases.path("r1") / ".venv").symlink_to("../../outside")
    releases.make_collectable("r1")
    assert file.stat().st_mtime > 0
    assert outside.stat().st_mtime == 0


def test_a_releases_files_are_newer_than_what_was_collected_when_the_clock_was_ahead(host: Host) -> None:
    host.unpack("r1")
    host.unpack("r2", {"requirements.txt": "", "shop.css": "tea"})
    assert host.releases.mark_prepared("r1", "p")
    ahead = time.time() + 3600
    os.utime(host.releases.path("r1") / ".release.json", (ahead, ahead))
    host.releases.make_collectable("r2")
    assert (host.releases.path("r2") / "shop.css").stat().st_mtime >= ahead + 1


def test_unpack(host: Host) -> None:
    assert host.releases.describe("r1") == {}
    assert host.unpack("r1", {"requirements.txt": "", "shop/urls.py": "urls"})
    assert (host.releases.path("r1") / "shop" / "urls.py").read_text() == "urls"
    about = host.releases.describe("r1")
    assert (about["id"], about["version"], about["origin"], about["prepared"]) == ("r1", "version of r1", "here", False)
    assert not host.unpack("r1", {"other": ""})
    assert host.names("releases") == ["r1"]


def test_a_release_that_is_not_whole_is_unpacked_again(host: Host) -> None:
    half = host.releases.path("r1")
    (half / "left").mkdir(parents=True)
    (host.root / "releases" / ".r1.partial" / "left").mkdir(parents=True)
    assert host.unpack("r1")
    assert sorted(entry.name for entry in half.iterdir()) == [".release.json", "requirements.txt"]
    assert host.names("releases") == ["r1"]


@pytest.mark.parametrize("damaged", ["no archive", "absolute link"])
def test_what_cannot_be_unpacked_is_told(host: Host, damaged: str) -> None:
    archive = host.archive(NOTHING)
    if damaged == "no archive":
        archive.write_text("no archive")
    else:
        with tarfile.open(archive, "w:gz") as stream:
            link = tarfile.TarInfo("media")
            link.type, link.linkname = tarfile.SYMTYPE, "/srv/media"
            stream.addfile(link)
    with pytest.raises(ReleaseError, match="cannot be unpacked"):
        host.releases.unpack(archive, "r1", "v1", "here")
    assert host.releases.describe("r1") == {}


def test_activate_switches_release_and_environment(host: Host) -> None:
    host.unpack("r1")
    host.environment("e1")
    assert not host.releases.is_current("r1", "e1")
    assert host.releases.activate("r1", "e1")
    assert str((host.root / "current").readlink()) == "releases/r1"
    assert str((host.root / "environment").readlink()) == "environments/e1"
    assert (host.root / "current" / "requirements.txt").exists()
    assert (host.root / "environment").read_text() == "e1"
    assert host.releases.is_current("r1", "e1")
    assert not host.releases.activate("r1", "e1")
    host.environment("e2")
    assert host.releases.activate("r1", "e2")
    assert host.releases.current_id() == "r1"


@pytest.mark.parametrize(
    ("release", "environment", "message"),
    [("r2", "e1", "there is no release r2"), ("r1", "e2", "there is no environment file .*environments/e2")],
)
def test_what_is_not_there_is_not_activated(host: Host, release: str, environment: str, message: str) -> None:
    host.go_live("r1")
    with pytest.raises(ReleaseError, match=message):
        host.releases.activate(release, environment)
    assert host.releases.is_current("r1", "e1")


def test_of_two_releases_the_one_whose_commands_ran_last_is_prepared(host: Host) -> None:
    for release in ("r1", "r2"):
        host.unpack(release)
        host.releases.make_collectable(release)
        host.releases.mark_prepared(release, "p1")
    assert [host.releases.describe(release)["prepared"] for release in ("r1", "r2")] == [False, "p1"]


def test_the_versions_of_the_live_release_and_the_former_one_are_named(host: Host) -> None:
    assert host.releases.versions() == {}
    for release in ("r1", "r2", "r3"):
        host.go_live(release)
    assert host.releases.versions() == {"r2": "version of r2", "r3": "version of r3"}


def test_prepared_counts_for_one_environment(host: Host) -> None:
    host.unpack("r1")
    assert host.releases.mark_prepared("r1", "e1")
    assert not host.releases.mark_prepared("r1", "e1")
    assert host.releases.mark_prepared("r1", "e2")
    assert host.releases.describe("r1")["prepared"] == "e2"
    assert host.releases.describe("r1")["version"] == "version of r1"


def test_the_former_release_is_what_was_live_before(host: Host) -> None:
    assert host.releases.live() == {}
    formers = []
    for release, environment in [("r1", "e1"), ("r2", "e1"), ("r2", "e2"), ("r3", "e2"), ("r2", "e2")]:
        assert host.releases.record_live(release, environment)
        assert not host.releases.record_live(release, environment)
        formers.append(host.releases.live()["former"])
    assert formers == [
        {},
        {"release": "r1", "environment": "e1"},
        {"release": "r1", "environment": "e1"},
        {"release": "r2", "environment": "e2"},
        {"release": "r3", "environment": "e2"},
    ]


def test_after_a_rollback_there_is_nothing_to_go_back_to(host: Host) -> None:
    host.unpack("r1")
    host.unpack("r2")
    host.environment("e1")
    host.go_live("r1")
    host.go_live("r2")
    assert host.releases.live()["former"]["release"] == "r1"
    assert host.releases.record_live("r1", "e1", former={})
    assert (host.releases.live()["release"], host.releases.live()["former"]) == ("r1", {})


def test_who_goes_back_gives_what_there_was_to_go_back_to(host: Host) -> None:
    for release in ("r1", "r2", "r3"):
        host.releases.record_live(release, "e1")
    former = {"release": "r1", "environment": "e1"}
    assert host.releases.record_live("r2", "e1", former)
    assert host.releases.live()["former"] == former


def test_prune_keeps_the_newest(host: Host) -> None:
    for number in range(1, 6):
        host.unpack(f"r{number}")
    assert host.releases.prune(2) == ["r3", "r2", "r1"]
    assert host.names("releases") == ["r4", "r5"]
    assert host.releases.prune(2) == []


def test_prune_never_removes_what_is_in_use(host: Host) -> None:
    host.go_live("former", "e1")
    host.go_live("live", "e2")
    host.unpack("activated")
    host.environment("e3")
    host.releases.activate("activated", "e3")
    host.environment("unused")
    for number in range(3):
        host.unpack(f"new{number}")
    for release in ("former", "live", "activated"):
        host.fake_virtualenv(release, f"venv-of-{release}")
    host.fake_virtualenv("new2", "venv-of-live-too")
    (host.root / "venvs" / "venv-of-nobody").mkdir()
    host.releases.units.mkdir()
    for environment in ("e1", "e2", "e3", "unused"):
        (host.releases.units / f"{environment}.json").write_text("{}")
    assert host.releases.prune(1) == ["new1", "new0"]
    assert host.names("units") == ["e1.json", "e2.json", "e3.json"]
    assert host.names("releases") == ["activated", "former", "live", "new2"]
    assert host.names("venvs") == ["venv-of-activated", "venv-of-former", "venv-of-live", "venv-of-live-too"]
    assert host.names("environments") == ["e1", "e2", "e3"]


def test_prune_keeps_nothing_but_what_is_in_use(host: Host) -> None:
    host.go_live("r1")
    host.unpack("r2")
    assert host.releases.prune(0) == ["r2"]


def test_what_prune_would_remove_can_be_told(host: Host) -> None:
    for number in range(1, 4):
        host.unpack(f"r{number}")
    assert [entry.name for entry in host.releases.superfluous(1)] == ["r2", "r1"]
    assert host.names("releases") == ["r1", "r2", "r3"]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a file that this user cannot remove")
def test_a_removal_that_was_cut_short_leaves_no_release_that_looks_whole(host: Host, public_path: Path) -> None:
    host = Host(public_path)
    files = {f"shop/{number}.py": "" for number in range(50)} | NOTHING
    host.unpack("r1", files)
    host.fake_virtualenv("r1", "venv")
    release = host.releases.path("r1")
    for directory, _, _ in os.walk(public_path):
        os.chown(directory, 65534, 65534)
    os.chown(release / "shop", 0, 0)
    code = (
        "import os, sys\n"
        "from ansible_collections.intermission.django.plugins.module_utils.release import Releases\n"
        "os.setuid(65534)\n"
        "Releases(sys.argv[1]).prune(0)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(host.root)],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "PermissionError" in ended.stderr
    assert (release / "shop" / "0.py").exists()
    assert host.releases.describe("r1") == {}


@pytest.fixture
def python(tmp_path: Path) -> str:
    """A Python that is this one, and makes virtualenvs fast: pip is not copied into them."""
    pip, program = Path(str(importlib.import_module("pip").__file__)).parent, tmp_path / "python"
    program.write_text(
        f'#!/bin/sh\n[ "$2" != venv ] && exec {sys.executable} "$@"\n'
        f'{sys.executable} -m venv --without-pip "$3" && ln -s {pip} "$3"/lib/python*/site-packages\n'
    )
    program.chmod(0o755)
    return str(program)


def key(host: Host, release: str, *extra: str, requirements: str = "requirements.txt") -> str:
    return host.releases.virtualenv_key(release, requirements, sys.executable, extra)


def test_the_apps_account_can_enter_a_release_whatever_roots_umask_is(host: Host) -> None:
    before = os.umask(0o077)
    try:
        host.unpack("r1", {"shop/settings/base.py": "x\n"})
    finally:
        assert os.umask(before) == 0o077
    for directory in ("", "shop", "shop/settings"):
        assert (host.releases.path("r1") / directory).stat().st_mode & 0o777 == 0o755


def test_modules_are_compiled_where_the_sites_account_cannot_write(host: Host) -> None:
    module = "application = None\n"
    files = {
        "shop/wsgi.py": module,
        "template/app.py": "{{ name }} = class\n",
        "shop/static/demo.py": module,
        "linked/a.py": module,
    }
    host.unpack("r1", files)
    release = host.releases.path("r1")
    elsewhere = host.root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret.py").write_text(module)
    (release / "linked/__pycache__").symlink_to(elsewhere)
    (release / "shop/secret.py").symlink_to(elsewhere / "secret.py")
    (release / ".venv").symlink_to(elsewhere)
    before = os.umask(0o077)
    host.releases.compile("r1", sys.executable)
    os.umask(before)
    compiled = list(release.rglob("*.pyc"))
    assert sorted(path.name for path in elsewhere.iterdir()) == ["secret.py"]
    assert compiled == [Path(cache_from_source(str(release / "shop/wsgi.py")))]
    assert compiled[0].stat().st_mode & 0o777 == 0o644
    assert compiled[0].parent.stat().st_mode & 0o777 == 0o755


def test_the_virtualenv_is_shared_by_releases_of_the_same_requirements(host: Host) -> None:
    host.unpack("r1", {"requirements.txt": "django\n", "code": "1"})
    host.unpack("r2", {"requirements.txt": "django\n", "code": "2"})
    host.unpack("r3", {"requirements.txt": "flask\n", "code": "2"})
    assert key(host, "r1") == key(host, "r2") != key(host, "r3")
    assert key(host, "r1") != key(host, "r1", "gunicorn")


@pytest.mark.parametrize(
    "include",
    [
        "-r base.txt",
        "-rbase.txt",
        "-c base.txt",
        "--requirement base.txt",
        "--requirement=base.txt",
        "--constraint=base.txt",
        "  -r   base.txt  # what all need",
    ],
)
def test_the_virtualenv_changes_with_included_files(host: Host, include: str) -> None:
    for release, base in (("r1", "django==5.1"), ("r2", "django==5.2")):
        host.unpack(
            release,
            {
                "requirements/all.txt": f"{include}\n",
                "requirements/base.txt": "-r more/deep.txt\n",
                "requirements/more/deep.txt": base,
            },
        )
    assert key(host, "r1", requirements="requirements/all.txt") != key(host, "r2", requirements="requirements/all.txt")


def test_requirements_that_are_no_file_are_left_to_pip(host: Host) -> None:
    host.unpack("r1", {"requirements.txt": "-r https://example.com/base.txt\n-i https://example.com/simple\n"})
    assert key(host, "r1")


def test_the_virtualenv_does_not_depend_on_the_working_directory(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.unpack("r1")
    keys = set()
    for directory in ("/", str(tmp_path)):
        monkeypatch.chdir(directory)
        keys.add(host.releases.virtualenv_key("r1", "requirements.txt", "python3", []))
    assert len(keys) == 1


def test_a_python_that_does_not_run_is_told(host: Host) -> None:
    host.unpack("r1")
    with pytest.raises(ReleaseError, match="`false -VV` failed"):
        host.releases.virtualenv_key("r1", "requirements.txt", "false", [])


def test_a_virtualenv_is_built_once_and_again_where_it_is_not_whole(host: Host, python: str) -> None:
    arguments: tuple[str, str, list[str]] = ("requirements.txt", python, [])
    host.unpack("r1")
    host.unpack("r2")
    assert not host.releases.has_virtualenv("r1", *arguments)
    half = host.root / "venvs" / host.releases.virtualenv_key("r1", *arguments)
    (half / "bin").mkdir(parents=True)
    (half / "left-by-a-run-that-died").touch()
    assert host.releases.build_virtualenv("r1", *arguments)
    assert not (half / "left-by-a-run-that-died").exists()
    assert (half / COMPLETE).exists()
    installed = host.releases.path("r1") / ".venv" / "bin" / "python"
    said = subprocess.run(
        [installed, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True, check=True
    )
    assert Path(said.stdout.strip()).resolve() == half.resolve()
    assert host.releases.has_virtualenv("r1", *arguments)
    assert not host.releases.build_virtualenv("r1", *arguments)

    assert not host.releases.has_virtualenv("r2", *arguments)
    assert host.releases.build_virtualenv("r2", *arguments)
    assert host.names("venvs") == [half.name]

    (half / COMPLETE).unlink()
    installed.unlink()
    assert host.releases.build_virtualenv("r1", *arguments)
    assert installed.exists()


def test_a9_what_a_killed_run_is_still_building_is_waited_for(
    host: Host, python: str, run_module: RunModule, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.unpack("r1")
    installed = {"root": str(host.root), "state": "installed", "id": "r1", "python": python}
    wait = fcntl.flock
    with host.releases.locked(), monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", lambda stream, how: wait(stream, how | fcntl.LOCK_NB))
        assert "Resource temporarily unavailable" in run_module("release", installed)["msg"]
        assert run_module("release", {**installed, "state": "told"})["runnable"] is False
    assert run_module("release", installed)["changed"]


def test_requirements_that_cannot_be_installed_are_told_and_tried_again(host: Host, python: str) -> None:
    host.unpack("r1", {"requirements.txt": "this is no requirement\n"})
    for _ in range(2):
        with pytest.raises(ReleaseError, match="(?s)pip install .* failed:.*Invalid requirement"):
            host.releases.build_virtualenv("r1", "requirements.txt", python, [])
    assert not (host.releases.path("r1") / ".venv").is_symlink()


@pytest.mark.skipif(os.getuid() != 0, reason="only root builds for another account")
def test_nothing_in_the_accounts_home_changes_what_is_installed(public_path: Path) -> None:
    host = Host(public_path)
    python, told = public_path / "python", public_path / "told"
    tell = f'echo "$2 $(id -un) $PYTHONNOUSERSITE $(stat -c "%U %a %n" "$HOME")" >>{told}'
    python.write_text(
        f'#!/bin/sh\n[ "$1" = -m ] && {tell}\n[ "$2" = venv ] && mkdir "$3/bin" && cp "$0" "$3/bin/python"\ntrue\n'
    )
    python.chmod(0o755)
    told.touch()
    told.chmod(0o666)
    host.unpack("r1")
    assert host.releases.build_virtualenv("r1", "requirements.txt", str(python), [], "nobody")
    steps = [line.rpartition(" ") for line in told.read_text().splitlines()]
    assert [step for step, _, _ in steps] == ["venv nobody 1 nobody 700", "pip nobody 1 nobody 700"]
    assert not any(Path(directory).exists() for _, _, directory in steps)


def test_no_token_of_a_package_is_told(host: Host, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\n[ "$2" = venv ] && mkdir "$3/bin" && cp "$0" "$3/bin/python" && exit\n[ "$2" = pip ] || exit 0\n'
        "echo no way to https://s3cret@git.example.com/two >&2; exit 1\n"
    )
    python.chmod(0o755)
    host.unpack("r1")
    with pytest.raises(ReleaseError) as failed:
        extra = ["git+https://ada:s3cret@git.example.com/one"]
        host.releases.build_virtualenv("r1", "requirements.txt", str(python), extra)
    assert "s3cret" not in str(failed.value)
    for url in ("git+https://git.example.com/one` failed:", "no way to https://git.example.com/two"):
        assert url in str(failed.value)


def make_wheel(directory: Path, version: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    wheel, about = directory / f"one-{version}-py3-none-any.whl", f"one-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as stream:
        stream.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: one\nVersion: {version}\n")
        stream.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        stream.writestr(f"{about}/RECORD", "")
    return wheel


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tar of one wheel, and an index that has a newer one, which pip would take."""
    newer = make_wheel(tmp_path / "index" / "one", "2.0")
    newer.with_name("index.html").write_text(f'<!DOCTYPE html><a href="{newer.name}">{newer.name}</a>')
    monkeypatch.setenv("PIP_INDEX_URL", f"file://{tmp_path}/index")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    tar = tmp_path / "wheelhouse.tar"
    with tarfile.open(tar, "w") as archive:
        archive.add(make_wheel(tmp_path, "1.0"), arcname="one-1.0-py3-none-any.whl")
    return tar


def test_a_virtualenv_is_built_from_a_wheelhouse_alone(host: Host, python: str, wheelhouse: Path) -> None:
    host.unpack("r1", {"requirements.txt": "--extra-index-url file:///nonexistent\none\n"})
    assert host.releases.build_virtualenv("r1", "requirements.txt", python, [], wheelhouse=wheelhouse)
    installed = host.releases.path("r1") / ".venv" / "bin" / "python"
    program = "from importlib.metadata import version; print(version('one'))"
    assert subprocess.run([installed, "-c", program], capture_output=True, check=True).stdout == b"1.0\n"
    assert not wheelhouse.exists()
    assert list(wheelhouse.parent.glob("wheelhouse.*")) == []
    assert host.releases.has_virtualenv("r1", "requirements.txt", python, [])
    assert not host.releases.build_virtualenv("r1", "requirements.txt", python, [], wheelhouse=wheelhouse)


def test_wheels_that_came_with_a_release_are_installed_without_an_index(
    host: Host, python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    wheels = {}
    for version in ("1.0", "2.0"):
        release = f"r{version[0]}"
        host.unpack(release, {"requirements.txt": ""})
        wheels[release] = host.releases.path(release) / ".intermission"
        make_wheel(wheels[release], version)
        assert host.releases.build_virtualenv(release, "requirements.txt", python, [])
        installed = host.releases.path(release) / ".venv" / "bin" / "python"
        program = "from importlib.metadata import version; print(version('one'))"
        said = subprocess.run([installed, "-c", program], capture_output=True, text=True, check=True).stdout
        assert said == f"{version}\n"
    assert key(host, "r1") != key(host, "r2")


def test_what_a_wheelhouse_does_not_have_is_named(host: Host, python: str, wheelhouse: Path) -> None:
    host.unpack("r1", {"requirements.txt": "one\ntwo>=3\n"})
    for _ in range(2):
        with pytest.raises(
            ReleaseError, match="has no two>=3 that fits this host. .* django_release_wheelhouse: false"
        ):
            host.releases.build_virtualenv("r1", "requirements.txt", python, [], wheelhouse=wheelhouse)
    assert wheelhouse.exists()
    assert not (host.releases.path("r1") / ".venv").is_symlink()


def test_other_failures_of_pip_are_told_as_they_are(host: Host, python: str, wheelhouse: Path) -> None:
    host.unpack("r1", {"requirements.txt": "this is no requirement\n"})
    with pytest.raises(ReleaseError, match="(?s)^`.*pip install .* failed:.*Invalid requirement"):
        host.releases.build_virtualenv("r1", "requirements.txt", python, [], wheelhouse=wheelhouse)


def test_the_index_is_not_asked_where_the_wheelhouse_is_not_there(host: Host, python: str, wheelhouse: Path) -> None:
    host.unpack("r1")
    wheelhouse.unlink()
    with pytest.raises(ReleaseError, match="cannot be unpacked: .* Deploy again"):
        host.releases.build_virtualenv("r1", "requirements.txt", python, [], wheelhouse=wheelhouse)


def test_a_damaged_record_is_nothing(host: Host) -> None:
    host.unpack("r1")
    for content in ("", "{", "[]", json.dumps("text")):
        host.releases.live_file.write_text(content)
        assert host.releases.live() == {}
