"""Make the site that is deployed: Wagtail's own project template, two versions of it in the git repository ``.lab/git/mysite``.

The template comes from Wagtail as published; ``site/`` has what the people of such a site add: in version 1.0 the settings and the
requirements of their server, in version 1.1 a text on the front page, with its migration. Wagtail is kept in ``.lab`` by its version::

    python molecule/published/make_site.py
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
LAB = HERE.parents[1] / ".lab"
REPOSITORY = LAB / "git" / "mysite"
VERSIONS = ("1.0", "1.1")
COMMITTER = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false")


def run(*command: object) -> None:
    """Run a command. Raises CalledProcessError."""
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)


def wagtail() -> Path:
    """Install the version of Wagtail that the site requires, unless it is there; give its command."""
    requirements = (HERE / "site" / VERSIONS[0] / "requirements.txt").read_text(encoding="utf-8")
    wanted = re.findall(r"^wagtail==\S+$", requirements, re.MULTILINE)
    environment = LAB / wanted[0]
    command: Path = environment / "bin" / "wagtail"
    if not command.exists():
        run(sys.executable, "-m", "venv", "--clear", environment)
        run(environment / "bin" / "pip", "--quiet", "--disable-pip-version-check", "install", *wanted)
    return command


def main() -> None:
    """Make the repository anew, with a tag for each version."""
    command = wagtail()
    REPOSITORY.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".mysite-", dir=REPOSITORY.parent) as directory:
        tree = Path(directory) / "mysite"
        tree.mkdir()
        run(command, "start", "mysite", tree)
        run("git", "-C", tree, "init", "--quiet")
        for version in VERSIONS:
            shutil.copytree(HERE / "site" / version, tree, dirs_exist_ok=True)
            run("git", "-C", tree, "add", "--all")
            run("git", "-C", tree, *COMMITTER, "commit", "--quiet", "--message", f"Version {version}")
            run("git", "-C", tree, "tag", version)
        shutil.rmtree(REPOSITORY, ignore_errors=True)
        tree.rename(REPOSITORY)


if __name__ == "__main__":
    main()
