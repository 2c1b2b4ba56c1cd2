"""Asks the site's own Django, in the release's virtualenv, for its plan of migrations, or to migrate."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Optional, cast

from ansible_collections.intermission.django.plugins.module_utils import (
    databases,
    django_side,
    engine,
    engine_mysql,
    engine_postgresql,
    engine_sqlite,
)
from ansible_collections.intermission.django.plugins.module_utils.account import home, run_as
from ansible_collections.intermission.django.plugins.module_utils.environment import load_file
from ansible_collections.intermission.django.plugins.module_utils.places import (
    PRIVATE_MODE,
    PlaceError,
    is_missing,
    make,
)
from ansible_collections.intermission.django.plugins.module_utils.standby import hand_over, listen

PROGRAM = """
import sys
import types

for name, source in {sources!r}:
    module = sys.modules[name] = types.ModuleType(name)
    exec(compile(source, name, "exec"), module.__dict__)
module.main()
"""


ANSWER_BYTES = 16 * 2**20
NEWS_BYTES = 2**20
# What a request has besides its verb and the alias of its database
DEFAULTS: dict[str, Any] = {
    "targets": None,
    "planned": None,
    "backup_directory": None,
    "keep_backups": 5,
    "trial_megabytes": 0,
    "lock_seconds": 0,
    "lock_timeout": 0,
    "statement_timeout": 0,
    "before": None,
    "backup": None,
    "halfway": False,
    "restores": False,
}

Tell = Callable[[dict[str, Any]], object]


class MigrationError(Exception):
    """The site's Django could not be asked; the message has what it said."""


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _text_or_none(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float))


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _texts_or_none(value: Any) -> bool:
    return value is None or _texts(value)


def _texts_by_name(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_text, value.values()))


def _migrations(value: Any) -> bool:
    return isinstance(value, list) and all(not _faults(entry, MIGRATION) for entry in value)


Shape = Mapping[str, Callable[[Any], bool]]
NEWS: Shape = {
    "stage": _text,
    "holder": _text,
    "migration": _text,
    "number": _number,
    "of": _number,
    "since": _text,
    "atomic": _flag,
    "tries": _number,
    "before": _texts,
    "backup": _text_or_none,
}
MIGRATION: Shape = {
    "app": _text,
    "name": _text,
    "label": _text,
    "operations": _texts,
    "atomic": _flag,
    "backwards": _flag,
    "reversible": _flag,
    "way": _text,
    "because": _text,
}
PLAN: Shape = {
    "engine": _text,
    "vendor": _text,
    "database": _text,
    "host": _text,
    "pending": _migrations,
    "unknown": _texts,
    "heads": _texts_by_name,
    "faults": _texts,
    "restore": _texts,
}
RESULT: Shape = {
    **PLAN,
    "backup": _text_or_none,
    "applied": _texts,
    "failure": _text,
    "failed_migration": _text_or_none,
    "halfway": _flag,
    "started": _flag,
    "seconds": _number,
    "traceback": _text,
    "before": _texts_or_none,
}
UNDONE: Shape = {"undone": _text, "failure": _text, "traceback": _text, "seconds": _number}
SHAPES = {"plan": PLAN, "migrate": RESULT, "undo": UNDONE}


def _faults(answer: Any, shape: Shape) -> list[str]:
    """Name what an answer has too much, too little, or in another shape."""
    if not isinstance(answer, dict):
        return ["no names"]
    return sorted(
        {
            *(answer.keys() ^ shape.keys()),
            *(name for name in shape.keys() & answer.keys() if not shape[name](answer[name])),
        }
    )


def understood(text: bytes, shape: Shape) -> dict[str, Any]:
    """Read an answer, which the site's own code can forge: Ansible would take some names in it for facts of the host.

    Raises MigrationError where it has anything else than ``shape``.
    """
    answer: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        answer = json.loads(text) if len(text) <= ANSWER_BYTES else None
    faults = _faults(answer, shape)
    if faults:
        raise MigrationError(
            f"the site's own code gave another answer than the one about its migrations ({', '.join(faults)[:300]}): look for "
            "what in it, or in its packages, writes to files that it has not opened"
        )
    content: dict[str, Any] = answer
    return content


def process_environment(environment_file: Optional[str], user: Optional[str] = None) -> dict[str, str]:
    """Give the environment that the site's own code runs in: this one's basics, the account's, and the environment file."""
    basics = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**basics, **home(user), **(load_file(environment_file) if environment_file else {})}


def program() -> str:
    """Write ``django_side``, and what it imports, as one program that needs no file."""
    modules = (engine, engine_sqlite, engine_postgresql, engine_mysql, databases, django_side)
    return PROGRAM.format(sources=[(module.__name__, inspect.getsource(module)) for module in modules])


def run(
    python: str,
    project: str,
    environment_file: Optional[str],
    user: Optional[str] = None,
    variables: Optional[Mapping[str, str]] = None,
    tell: Tell = lambda news: None,
    standby: Optional[Path] = None,
    stays: float = 0,
    **request: Any,
) -> dict[str, Any]:
    """Run ``django_side`` in a project directory, as ``user`` where one is named.

    ``variables`` come on top of those of the environment file, and ``tell`` is called with each piece of news. The directory for
    backups is made before migrating; of one that will not do, a plan says so in its ``faults``. The answer comes through an unnamed
    file, so that nothing can be put in its place. Who plans ``stays`` for so many seconds at the socket ``standby``, and the request
    that comes next is handed over to it. Raises MigrationError with the last lines that it said, PlaceError where the directory for
    backups will not do, and OSError.
    """
    request = {**DEFAULTS, **request}
    text = program().encode()
    environment = {**process_environment(environment_file, user), **(variables or {})}
    identity = {"python": python, "project": project, "user": user, "program": hashlib.sha256(text).hexdigest()}
    backups = Path(request["backup_directory"]) if request["backup_directory"] else None
    if backups and request["verb"] == "migrate":
        make(backups, user, PRIVATE_MODE)
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as answer:
        reading, writing = os.pipe()
        with open(reading, "rb") as news:
            with open(writing, "wb"):
                handed = {"request": request, "identity": django_side.identified(identity, environment)}
                descriptors = [said.fileno(), answer.fileno(), writing]
                process = None
                if standby is None or request["verb"] == "plan" or not hand_over(standby, handed, descriptors):
                    listener = listen(standby) if standby is not None and stays else None
                    told = {"result": answer.fileno(), "news": writing, "identity": identity, "stays": stays}
                    process = _start(
                        python, {**request, **told}, project, environment, user, said, descriptors[1:], listener
                    )
            if process is not None:
                with contextlib.suppress(BrokenPipeError), cast(IO[bytes], process.stdin) as program_text:
                    program_text.write(text)
            for line in iter(lambda: news.readline(NEWS_BYTES), b""):
                piece = _news(line)
                if piece is not None:
                    tell(piece)
        answer.seek(0)
        content = answer.read(ANSWER_BYTES + 1)
        status = process.wait() if process is not None and not (stays and content) else 0
        said.seek(0)
        words = said.read().decode(errors="replace").strip()
    if status != 0 or not content:
        raise MigrationError(words[-4000:] or (f"signal {-status} has ended it" if status < 0 else "it said nothing"))
    result = understood(content, SHAPES[request["verb"]])
    if backups and request["verb"] == "plan" and result["pending"]:
        try:
            is_missing(backups, user)
        except (PlaceError, OSError) as error:
            result["faults"].append(f"The backup has no place: {error}")
    return result


def _start(
    python: str,
    request: dict[str, Any],
    project: str,
    environment: Mapping[str, str],
    user: Optional[str],
    said: IO[bytes],
    descriptors: Sequence[int],
    listener: Optional[socket.socket],
) -> subprocess.Popen[bytes]:
    """Start the release's Python, which takes its program from standard input."""
    number = listener.fileno() if listener is not None else None
    process = subprocess.Popen(
        [python, "-", json.dumps({**request, "listener": number})],
        stdin=subprocess.PIPE,
        cwd=project,
        env=environment,
        stdout=said,
        stderr=said,
        pass_fds=[*descriptors, *([number] if number is not None else [])],
        **{"start_new_session": listener is not None, **run_as(user)},
    )
    if listener is not None:
        listener.close()
    return process


def _news(line: bytes) -> Optional[dict[str, Any]]:
    """Read a piece of news, which the site's own code can forge; None where it is none."""
    with contextlib.suppress(ValueError, RecursionError):
        piece = json.loads(line)
        if (
            isinstance(piece, dict)
            and "stage" in piece
            and all(name in NEWS and NEWS[name](piece[name]) for name in piece)
        ):
            return piece
    return None
