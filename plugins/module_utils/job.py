"""Work on a host that outlives who began it, so that a controller that dies does not take a migration with it.

The work is a process of its own. One file names it, says how far it is, and has its result in the end; who comes later follows
it there.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.controller import machine, process_started
from ansible_collections.intermission.django.plugins.module_utils.files import LARGE_LIMIT, read_plain, write_file

POLL_SECONDS = 0.02
MODE = 0o600

Tell = Callable[[Any], None]
Work = Callable[[Tell], dict[str, Any]]


class Job:
    """The work that a file tells of. Who has a lock begins it, so that there are never two who do."""

    def __init__(self, path: Path, mode: int = MODE) -> None:
        """Name the file, and who may read it; nothing is read yet."""
        self.path = path
        self.mode = mode

    def record(self) -> Optional[dict[str, Any]]:
        """Read what the file tells; None where there is no such work.

        ``name`` says what work it is, ``since`` when it began (ISO 8601), ``news`` counts what was told, ``progress`` is what was
        told last, ``result`` is there when the work has come to its end, ``error`` where it could not, and ``running`` is False
        where its process has gone without either.
        """
        try:
            content = self._read()
            running = not _is_over(content) and _lives(content["process"])
            if not running and not _is_over(content):
                content = self._read()  # It may have come to its end, and gone, since
        except (FileNotFoundError, NotADirectoryError):
            return None
        return {**content, "running": running}

    def _read(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(read_plain(self.path, LARGE_LIMIT))
        return content

    def begin(self, name: str, work: Work, progress: Any = None) -> None:
        """Let a process of its own do the work, and return at once. Work that still runs is left to run: ``record`` names it.

        ``progress`` is what is told before the work tells anything.

        Raises OSError where the file cannot be written.
        """
        former = self.record()
        if former is not None and former["running"]:
            return
        content = _content(name, progress)
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            os.close(reading)
            self._go_on(content, work, writing)
        os.close(writing)
        os.waitpid(between, 0)
        with open(reading, "rb") as stream:
            said = stream.read()  # The process closes its end when the file names it
        if said:
            raise OSError(said.decode(errors="replace"))

    def do(self, name: str, work: Work) -> dict[str, Any]:
        """Do the work in this process, and give what the file tells then. For a process that outlives its controller anyway.

        Raises OSError, and does nothing, where the file cannot be written.
        """
        content = {**_content(name), "process": _this_process()}
        self._write(content)
        self._do(content, work)
        return content

    def give_up(self, error: str) -> None:
        """Note why work whose process has gone came to no result. Raises OSError."""
        self._write({**self._read(), "error": error})

    def correct(self, facts: dict[str, Any]) -> None:
        """Put facts in the place of what work has told that is over. Raises OSError."""
        content = self._read()
        corrected = {name: {**content[name], **facts} for name in ("progress", "result") if content[name] is not None}
        self._write({**content, **corrected})

    def _go_on(self, content: dict[str, Any], work: Work, begun: int) -> None:
        """Become a process that nobody waits for, do the work, and never return."""
        status = 1
        try:
            os.setsid()
            if os.fork() != 0:
                os._exit(0)
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in map(int, os.listdir("/proc/self/fd")):
                if descriptor < 3:
                    os.dup2(nowhere, descriptor)
                elif descriptor != begun:
                    with contextlib.suppress(OSError):  # That of the listing is closed by now
                        os.close(descriptor)
            content["process"] = _this_process()
            try:
                self._write(content)
            except OSError as error:
                os.write(begun, str(error).encode())
                raise
            os.close(begun)
            self._do(content, work)
            status = 0
        finally:
            os._exit(status)

    def _do(self, content: dict[str, Any], work: Work) -> None:
        def tell(progress: Any) -> None:
            content.update(progress=progress, news=content["news"] + 1)
            with contextlib.suppress(OSError):  # A full disk does not stop the work
                self._write(content)

        try:
            content["result"] = work(tell)
        except BaseException as error:
            import traceback

            content["error"] = f"{type(error).__name__}: {error}"
            content["traceback"] = traceback.format_exc()[-4000:]
        content["news"] += 1
        while True:
            try:
                self._write(content)
                return
            except FileNotFoundError:  # Its directory is gone, where somebody would look
                return
            except OSError:
                time.sleep(1)  # The result is waited for, and a disk that was full may not be so for ever

    def _write(self, content: dict[str, Any]) -> None:
        write_file(self.path, json.dumps(content).encode(), self.mode)

    def follow(self, news: int, seconds: float) -> dict[str, Any]:
        """Wait until there is more news than so many, or the work is over, or the time is; give what the file tells then.

        Raises FileNotFoundError where there is no such work.
        """
        deadline = time.monotonic() + seconds
        while True:
            record = self.record()
            if record is None:
                raise FileNotFoundError(f"{self.path} is gone")
            if not record["running"] or record["news"] > news or time.monotonic() >= deadline:
                return record
            time.sleep(POLL_SECONDS)

    def forget(self) -> None:
        """Remove the file of work that is over. Raises OSError."""
        self.path.unlink(missing_ok=True)


def _content(name: str, progress: Any = None) -> dict[str, Any]:
    """Give what the file tells when the work begins."""
    return {
        "name": name,
        "since": datetime.now(timezone.utc).isoformat(timespec="milliseconds"),
        "news": 0,
        "progress": progress,
        "result": None,
        "error": None,
        "process": {},
    }


def _this_process() -> dict[str, Any]:
    return {"pid": os.getpid(), "started": process_started(os.getpid()), "machine": machine()}


def _is_over(content: dict[str, Any]) -> bool:
    return content["result"] is not None or content["error"] is not None


def _lives(process: dict[str, Any]) -> bool:
    """Tell whether the process that was noted still runs."""
    return process.get("machine") == machine() and process_started(process["pid"]) == process["started"]
