"""Try all that has to be so before a version is released, and say what is left to do by hand: python release/check.py 1.2.3

Each item is tried, whatever became of those before it. What the make targets and the build write is in .logs/release/.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]
TARGETS = ("check", "test", "package", "sanity", "cores", "coverage")
DJANGO_PACKAGE = "roles/django_release/files/django-intermission/pyproject.toml"
COMMAND = "plugins/module_utils/command_line.py"
FRAGMENTS = "changelogs/fragments"
LEFT = """
Left to do by hand:
  git tag --annotate v{version} --message 'Intermission {version}'
  git push origin v{version}
  ansible-galaxy collection publish {artifact}
  the next version in galaxy.yml, {django_package} and {command}
"""

Item = tuple[str, Callable[[], str]]  # What has to be so, and what gives the fault, which is empty where it is so


def items(checkout: Path, version: str) -> Iterator[Item]:
    """Give all that has to be so, what is quick to find out first."""
    yield "nothing is left to commit", partial(uncommitted, checkout)
    yield f"galaxy.yml says {version}", lambda: other_version(galaxy(checkout)["version"], version)
    yield f"the Django package says {version}", lambda: other_version(django_version(checkout), version)
    yield f"the command intermission says {version}", lambda: other_version(command_version(checkout), version)
    yield f"there is no tag v{version} yet", partial(tagged, checkout, version)
    yield f"the changelog has {version}, and no fragment is left", partial(changelog_fault, checkout, version)
    for target in TARGETS:
        yield f"make {target}", partial(failure, checkout, f"make-{target}", ["make", target])
    yield "the artifact is built", partial(build_fault, checkout, version)


def uncommitted(checkout: Path) -> str:
    """Name the files that git does not have as they are."""
    names = [line[3:] for line in git(checkout, "status", "--porcelain").splitlines()]
    return f"commit or remove {', '.join(names[:5])}{' and others' if names[5:] else ''}" if names else ""


def galaxy(checkout: Path) -> dict[str, Any]:
    """Read what the collection says of itself."""
    about: dict[str, Any] = yaml.safe_load((checkout / "galaxy.yml").read_text(encoding="utf-8"))
    return about


def django_version(checkout: Path) -> str:
    """Read the version of the Django package."""
    return str(tomllib.loads((checkout / DJANGO_PACKAGE).read_text(encoding="utf-8"))["project"]["version"])


def command_version(checkout: Path) -> str:
    """Read what ``intermission --version`` says."""
    found = re.search(r'^VERSION = "(.+)"$', (checkout / COMMAND).read_text(encoding="utf-8"), re.MULTILINE)
    return found.group(1) if found else "nothing"


def other_version(said: str, version: str) -> str:
    """Tell of a version that is not the one to be released."""
    return "" if said == version else f"it says {said}"


def tagged(checkout: Path, version: str) -> str:
    """Tell of a tag that is there."""
    return "it is there" if git(checkout, "tag", "--list", f"v{version}") else ""


def changelog_fault(checkout: Path, version: str) -> str:
    """Tell where the changelog has not been made for this version, or not of all fragments."""
    data = checkout / "changelogs/changelog.yaml"
    releases = yaml.safe_load(data.read_text(encoding="utf-8"))["releases"] if data.exists() else {}
    page = (checkout / "CHANGELOG.md").read_text(encoding="utf-8").replace("\\", "")
    left = sorted(path.name for path in (checkout / FRAGMENTS).glob("*.yml"))
    if left or version not in releases or f"## v{version}\n" not in page:
        return f"`make changelog`, which takes {', '.join(left) or 'fragments'}"
    return ""


def build_fault(checkout: Path, version: str) -> str:
    """Build the artifact, and tell why there is none."""
    command = ["ansible-galaxy", "collection", "build", "--force", "--output-path", "build"]
    fault = failure(checkout, "build", command)
    if not fault and not artifact(checkout, version).is_file():
        fault = f"there is no {artifact(checkout, version)}"
    return fault


def artifact(checkout: Path, version: str) -> Path:
    """Name the file that is published."""
    about = galaxy(checkout)
    return checkout / "build" / f"{about['namespace']}-{about['name']}-{version}.tar.gz"


def failure(checkout: Path, name: str, command: list[str]) -> str:
    """Run a command, and tell how it failed."""
    log = checkout / ".logs/release" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as stream:
        status = subprocess.call(command, cwd=checkout, stdout=stream, stderr=stream, stdin=subprocess.DEVNULL)
    return f"it ended with {status}: {log}" if status else ""


def git(checkout: Path, *arguments: str) -> str:
    """Give what git says."""
    return subprocess.run(["git", *arguments], cwd=checkout, check=True, capture_output=True, text=True).stdout


def fault_of(find: Callable[[], str]) -> str:
    """Give an item's fault, also where it could not be tried."""
    try:
        return find()
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        return f"it could not be tried: {error!r}"


def check(checkout: Path, version: str) -> int:
    """Try all items and print how each went; gives the exit status."""
    failed = 0
    for name, find in items(checkout, version):
        fault = fault_of(find)
        failed += bool(fault)
        print(f"FAILED  {name}: {fault}" if fault else f"ok      {name}", flush=True)
    if failed:
        print(f"\n{failed} of these have failed: {version} is not to be released like this.")
        return 1
    print(
        LEFT.format(
            version=version, artifact=artifact(checkout, version), django_package=DJANGO_PACKAGE, command=COMMAND
        )
    )
    return 0


def main() -> int:
    """Check the version on the command line."""
    version = "".join(sys.argv[1:])
    if not re.fullmatch(r"\d+\.\d+\.\d+(-[\w.]+)?", version):
        print(f"'{version}' is no version. Say which one: make release-check VERSION=1.2.3", file=sys.stderr)
        return 2
    return check(CHECKOUT, version)


if __name__ == "__main__":
    sys.exit(main())
