"""Asks the site's own Django, in the release's virtualenv, for its plan of migrations, or to migrate."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils import databases, django_side
from ansible_collections.intermission.django.plugins.module_utils.account import home, run_as
from ansible_collections.intermission.django.plugins.module_utils.environment import load_file

PROGRAM = """
import sys
import types

for name, source in {sources!r}:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
module.main()
"""


class MigrationError(Exception):
    """The site's Django could not be asked; the message has what it said."""


def process_environment(environment_file: Optional[str], user: Optional[str] = None) -> dict[str, str]:
    """Give the environment that the site's own code runs in: this one's basics, the account's, and the environment file."""
    basics = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**basics, **home(user), **(load_file(environment_file) if environment_file else {})}


def program() -> str:
    """Write ``django_side``, and ``databases`` that it imports, as one program that needs no file."""
    modules = (databases, django_side)
    return PROGRAM.format(sources=[(module.__name__, inspect.getsource(module)) for module in modules])


def run(
    python: str, project: str, environment_file: Optional[str], user: Optional[str] = None, **request: Any
) -> dict[str, Any]:
    """Run ``django_side`` in a project directory, as ``user`` where one is named.

    Raises MigrationError with the last lines that it said.
    """
    with tempfile.TemporaryDirectory(prefix="intermission-") as directory:
        result = Path(directory) / "result.json"
        account = run_as(user)
        for place in filter(None, (directory, request.get("backup_directory"))) if account else ():
            os.makedirs(place, mode=0o700, exist_ok=True)
            os.chown(place, account["user"], account["group"])
        answer = subprocess.run(
            [python, "-", json.dumps({**request, "result": str(result)})],
            input=program(),
            cwd=project,
            env=process_environment(environment_file, user),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            **account,
        )
        if answer.returncode != 0 or not result.exists():
            raise MigrationError((answer.stderr or answer.stdout).strip()[-4000:] or "it said nothing")
        content: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return content
