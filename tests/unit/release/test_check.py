"""The checklist of a release, on a checkout in miniature."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from release.check import (
    CHECKOUT,
    COMMAND,
    DJANGO_PACKAGE,
    TARGETS,
    check,
    command_version,
    django_version,
    galaxy,
    main,
)

BUILD = "#!/bin/sh\necho built; touch build/intermission-django-1.2.3.tar.gz\n"
FILES = {
    "galaxy.yml": "namespace: intermission\nname: django\nversion: 1.2.3\n",
    DJANGO_PACKAGE: '[project]\nversion = "1.2.3"\n',
    COMMAND: 'import sys\n\nVERSION = "1.2.3"\n',
    "CHANGELOG.md": "# Notes\n\n## v1\\.2\\.3\n\n* All.\n",
    "changelogs/changelog.yaml": "releases:\n  1.2.3: {changes: {}}\n",
    "Makefile": "".join(f"{target}:\n\t@echo made $@; ! test -e fail-$@\n" for target in TARGETS),
    ".gitignore": "/.logs/\n/build/\n/fail-*\n/bin/\n",
    "build/kept": "",
}


def git(checkout: Path, *arguments: str) -> None:
    settings = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run(["git", *settings, *arguments], cwd=checkout, check=True, capture_output=True)


def put(checkout: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = checkout / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that is fit for the release of 1.2.3, and an ansible-galaxy that builds at once."""
    put(tmp_path, {**FILES, "bin/ansible-galaxy": BUILD})
    (tmp_path / "bin/ansible-galaxy").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "All")
    return tmp_path


def test_what_is_fit_is_ok_and_what_is_left_is_said(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(checkout, "1.2.3") == 0
    said = capsys.readouterr().out
    assert [line.partition("  ")[0] for line in said.partition("\n\n")[0].splitlines()] == ["ok"] * (7 + len(TARGETS))
    for left in ("git tag --annotate v1.2.3", f"publish {checkout}/build/intermission-django-1.2.3.tar.gz"):
        assert left in said
    assert "made test" in (checkout / ".logs/release/make-test.log").read_text().splitlines()


@pytest.mark.parametrize(
    ("files", "faults"),
    [
        ({"galaxy.yml": FILES["galaxy.yml"].replace("3", "4")}, ["galaxy.yml says 1.2.3: it says 1.2.4"]),
        ({DJANGO_PACKAGE: '[project]\nversion = "1.2.2"\n'}, ["the Django package says 1.2.3: it says 1.2.2"]),
        ({DJANGO_PACKAGE: "[project"}, ["the Django package says 1.2.3: it could not be tried: TOMLDecodeError("]),
        ({COMMAND: ""}, ["the command intermission says 1.2.3: it says nothing"]),
        ({"CHANGELOG.md": "# Notes\n"}, ["the changelog has 1.2.3, and no fragment is left: `make changelog`"]),
        ({"changelogs/changelog.yaml": "releases: {}\n"}, ["the changelog has 1.2.3, and no fragment is left"]),
        (
            {"changelogs/fragments/one.yml": "bugfixes: []\n"},
            ["the changelog has 1.2.3, and no fragment is left: `make changelog`, which takes one.yml"],
        ),
        ({"bin/ansible-galaxy": "#!/bin/sh\nexit 3\n"}, ["the artifact is built: it ended with 3: "]),
        ({"bin/ansible-galaxy": "#!/bin/sh\n"}, ["the artifact is built: there is no "]),
        *(({f"fail-{target}": ""}, [f"make {target}: it ended with 2: "]) for target in TARGETS),
        ({"fail-check": "", "fail-test": ""}, ["make check: it ended with 2: ", "make test: it ended with 2: "]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_what_is_not_so_fails_and_all_others_are_tried(
    checkout: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], faults: list[str]
) -> None:
    put(checkout, files)
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "Other")
    assert check(checkout, "1.2.3") == 1
    lines = capsys.readouterr().out.partition("\n\n")[0].splitlines()
    failed = [line.removeprefix("FAILED  ") for line in lines if line.startswith("FAILED")]
    assert (len(lines), len(failed)) == (7 + len(TARGETS), len(faults))
    assert all(line.startswith(fault) for line, fault in zip(failed, faults, strict=True)), failed


def test_a_tag_and_files_that_are_not_committed(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(checkout, "tag", "v1.2.3")
    put(checkout, {"new": ""})
    assert check(checkout, "1.2.3") == 1
    said = capsys.readouterr().out
    assert "FAILED  nothing is left to commit: commit or remove new\n" in said
    assert "FAILED  there is no tag v1.2.3 yet: it is there\n" in said
    assert "Left to do" not in said


@pytest.mark.parametrize("version", ["", "1.2", "v1.2.3"])
def test_a_version_is_needed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], version: str) -> None:
    monkeypatch.setattr(sys, "argv", ["check.py", version])
    assert main() == 2
    said = capsys.readouterr()
    assert (said.out, "make release-check VERSION=1.2.3" in said.err) == ("", True)


def test_all_parts_of_this_checkout_have_one_version() -> None:
    assert {django_version(CHECKOUT), command_version(CHECKOUT)} == {galaxy(CHECKOUT)["version"]}
