"""What Ansible's own linters say of the artifact: ansible-test sanity, and antsibull-docs about its documentation.

ansible-test makes virtualenvs for its linters, from the package index, in a home that is removed afterwards. It compiles and
imports the plugins with every Python that is found::

    python tests/ansible_sanity.py
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from ansible_test._internal.python_requirements import get_venv_packages

import artifact
from django_versions import interpreters

# In the place of what ansible-test would download from a host of its own: Python has a pip, which can fetch the wanted one
GET_PIP = """
import subprocess, sys
wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip"])
subprocess.check_call([sys.executable, "-m", "pip", "install", *wanted])
"""


def put_get_pip(home: Path) -> None:
    """Put it where ansible-test keeps its downloads."""
    version = get_venv_packages(SimpleNamespace(version=f"{sys.version_info.major}.{sys.version_info.minor}"))["pip"]
    cache = home / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True)
    (cache / f"get_pip_{version.replace('.', '_')}.py").write_text(GET_PIP, encoding="ascii")


def put_pythons(folder: Path) -> None:
    """Put those that really run in a folder: pyenv has names on PATH for others too."""
    folder.mkdir()
    for minor, path in interpreters().items():
        (folder / f"python3.{minor}").symlink_to(path)


def main() -> None:
    """Run both; the exit status is 1 where one has found something."""
    with tempfile.TemporaryDirectory(prefix="im-") as folder:
        home, collections, pythons = (Path(folder, name) for name in ("home", "collections", "pythons"))
        home.mkdir()
        put_get_pip(home)
        put_pythons(pythons)
        environment = {
            **os.environ,
            **artifact.environment(home, collections),
            "PATH": os.pathsep.join([str(artifact.BIN), str(pythons), os.defpath]),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),
        }
        installed = artifact.install(artifact.build(artifact.CHECKOUT, Path(folder), home), collections, home)
        commands = (
            ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "self", "."],
            ["ansible-test", "sanity", "--color", "no", *sys.argv[1:]],
        )
        statuses = [subprocess.call(command, cwd=installed, env=environment) for command in commands]
    sys.exit(any(statuses))


if __name__ == "__main__":
    main()
