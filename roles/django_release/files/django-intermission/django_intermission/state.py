"""The host's flag: what Intermission's playbooks and its command write, read without a surprise.

::

    <directory>/
      on             maintenance is on exactly while this name exists. Normally a symlink to windows/<id>; a plain file counts too
      windows/<id>/  one window, whole before it is opened: window.json; and an empty file django, where Nginx is to let pass

Nothing here raises, and nothing opens the site by accident: a flag whose window cannot be read closes with the built-in text, and so
does a directory that cannot be looked into.
"""

from __future__ import annotations

import json
import os
import re
import stat
import threading
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Optional

from django_intermission import log, signals
from django_intermission.times import parse_instant

SCHEMA = 1
LAYERS = ("nginx", "django")
DIGEST = re.compile(r"[0-9a-f]{64}")
SIZE_LIMIT = 65536
FULL_LOOK_SECONDS = 1.0
SETTLED_SECONDS = 2.0


@dataclass(frozen=True)
class Window:
    """A ``window.json``. Instants are ISO 8601 in UTC; ``end`` is None where it is not known."""

    id: str
    site: str
    start: str
    end: Optional[str] = None
    reason: str = ""
    message: str = ""
    opened_by: str = ""
    layer: str = "nginx"
    expires: bool = False
    bypass_digest: Optional[str] = None
    read_only: bool = False
    progress: str = ""

    @classmethod
    def from_json(cls, text: str) -> Window:
        """Read a ``window.json``; what later versions may have put into it is passed over.

        Raises ValueError where it is not one of this schema.
        """
        try:
            fields = json.loads(text)
            if fields.pop("schema") != SCHEMA:
                raise ValueError(f"this version reads schema {SCHEMA}")
            window = cls(**{name: fields[name] for name in fields.keys() & cls.__dataclass_fields__.keys()})
            if window.end is not None:
                parse_instant(window.end)
            if window.bypass_digest is not None and DIGEST.fullmatch(window.bypass_digest) is None:
                raise ValueError("bypass_digest is no SHA-256 in hex")
        except (TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        texts = (
            window.id,
            window.site,
            window.start,
            window.reason,
            window.message,
            window.opened_by,
            window.layer,
            window.progress,
        )
        flags = (window.expires, window.read_only)
        if not all(isinstance(value, str) for value in texts) or not all(isinstance(value, bool) for value in flags):
            raise ValueError("a field has the wrong type")
        "".join(texts).encode()  # Half a surrogate pair is a ValueError
        parse_instant(window.start)
        if window.layer not in LAYERS:
            raise ValueError(f"no layer is named '{window.layer}'")
        return window

    def to_json(self) -> str:
        """Write the ``window.json`` of this window."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Maintenance:
    """What is in force, or announced. Instants are aware; None where they are not known.

    ``source`` is ``setting`` (MAINTENANCE_MODE), ``flag`` (the host's) or ``view`` (the decorator maintenance_required).
    """

    source: str
    reason: str = ""
    message: str = ""
    start: Optional[datetime] = None
    end: Optional[datetime] = None
    read_only: bool = False
    window_id: Optional[str] = None
    site: str = ""
    bypass_digest: Optional[str] = None

    @classmethod
    def of(cls, window: Window) -> Maintenance:
        """Give what a window says."""
        return cls(
            source="flag",
            reason=window.reason,
            message=window.message,
            start=parse_instant(window.start),
            end=parse_instant(window.end) if window.end else None,
            read_only=window.read_only,
            window_id=window.id,
            site=window.site,
            bypass_digest=window.bypass_digest,
        )


def read_text(path: Path) -> str:
    """Read a plain file of at most 64 KiB; a pipe in its place is not waited for. Raises OSError and ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no plain file")
        content = os.read(descriptor, SIZE_LIMIT + 1)
    finally:
        os.close(descriptor)
    if len(content) > SIZE_LIMIT:
        raise ValueError("it is too long")
    return content.decode()


class HostState:
    """The state directory of one site, as one process sees it."""

    def __init__(self, directory: str, layers: Collection[str] = LAYERS, announces: bool = True) -> None:
        """Name the directory, and the layers whose windows close this app; nothing is read yet.

        ``announces`` says whether changes are logged and signalled.
        """
        self.announces = announces
        self.path = Path(directory)
        self.layers = frozenset(layers)
        self.flag = str(self.path / "on")
        self._windows = self.path / "windows"
        self._window_file = Path(self.flag) / "window.json"
        self._seen: Optional[tuple[tuple[int, ...], Optional[Maintenance]]] = None
        self._changing = threading.Lock()  # So that one thread alone tells of a change
        self._full_look_at = 0.0
        self._announced: tuple[tuple[int, int], tuple[Maintenance, ...]] = ((0, 0), ())

    def look(self) -> Optional[Maintenance]:
        """Give what the flag says now, None where the site is open.

        Each request does this. While the site is open it is one access(2), which raises nothing and so costs half of a stat; what
        that cannot tell from an absent flag, a directory that nobody may look into, is looked for once a second.
        """
        if (
            self._seen is None
            and not os.access(self.flag, os.F_OK, follow_symlinks=False)
            and time.monotonic() < self._full_look_at
        ):
            return None
        return self._look_closely()

    def _look_closely(self) -> Optional[Maintenance]:
        try:
            flag = os.lstat(self.flag)
        except (FileNotFoundError, NotADirectoryError):
            self._full_look_at = time.monotonic() + FULL_LOOK_SECONDS
            log.forget("unreadable")
            log.forget("window")
            return self._now(None, None)
        except OSError as error:
            log.once(
                "unreadable",
                "%s cannot be looked at (%s), so nobody knows whether the site is closed: it is closed. Let the app's account "
                "enter that directory, or take MAINTENANCE_STATE_DIRECTORY away",
                self.flag,
                error.strerror,
            )
            return self._now((error.errno or 0,), Maintenance("flag"))
        try:
            file = os.stat(self._window_file)
            identity: tuple[int, ...] = (flag.st_ino, flag.st_mtime_ns, file.st_ino, file.st_mtime_ns, file.st_size)
        except OSError:
            identity = (flag.st_ino, flag.st_mtime_ns)
        seen = self._seen
        if seen is not None and seen[0] == identity:
            return seen[1]
        try:
            maintenance = self._read()
        except (OSError, ValueError) as error:
            if stat.S_ISLNK(flag.st_mode):
                log.once(
                    "window",
                    "the window of %s cannot be read (%s): the site is closed without its text",
                    self.flag,
                    error,
                )
            # What this process could not read, for instance with too many files open, it may be able to read next time
            return self._now(identity if isinstance(error, ValueError) else (), Maintenance("flag"))
        log.forget("window")
        return self._now(identity, maintenance)

    def _read(self) -> Optional[Maintenance]:
        """Read the window that the flag names; None where another layer closes the site for it. Raises OSError and ValueError."""
        window = Window.from_json(read_text(self._window_file))
        return Maintenance.of(window) if window.layer in self.layers else None

    def _now(self, identity: Optional[tuple[int, ...]], maintenance: Optional[Maintenance]) -> Optional[Maintenance]:
        """Keep what was seen; who listens is told where that is something else than before."""
        with self._changing:
            before = self._seen[1] if self._seen is not None else None
            self._seen = None if identity is None else (identity, maintenance)
        if maintenance != before and self.announces:
            if maintenance is None:
                log.logger.info("the flag %s is gone: the site is open", self.flag)
            else:
                log.logger.info(
                    "the flag %s is there: the site is closed (%s)",
                    self.flag,
                    log.printable(maintenance.reason) or "no reason given",
                )
            signals.announce(type(self), maintenance)
        return maintenance

    def announced(self) -> tuple[Maintenance, ...]:
        """Give the windows that lie ready on the host and begin in the future, the next one first."""
        try:
            status = os.stat(self._windows)
        except OSError:
            return ()
        identity = (status.st_ino, status.st_mtime_ns)
        if self._announced[0] != identity:
            known = identity if time.time() - status.st_mtime > SETTLED_SECONDS else (0, 0)
            self._announced = (known, tuple(self._read_windows()))
        now = datetime.now(timezone.utc)
        return tuple(window for window in self._announced[1] if window.start is not None and window.start > now)

    def _read_windows(self) -> list[Maintenance]:
        """Read every window that lies there, in the order of their beginnings; one that cannot be read announces nothing."""
        windows = []
        try:
            for name in os.listdir(self._windows):
                if not name.startswith("."):
                    try:
                        windows.append(
                            Maintenance.of(Window.from_json(read_text(self._windows / name / "window.json")))
                        )
                    except (OSError, ValueError):
                        log.logger.debug("the window %s announces nothing, it cannot be read", name)
        except OSError as error:
            log.once("windows", "%s cannot be listed (%s): no window is announced", self._windows, error.strerror)
        return sorted(windows, key=lambda window: (str(window.start), str(window.window_id)))
