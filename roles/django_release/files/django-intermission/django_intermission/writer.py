"""Setting the host's flag and taking it away, as Intermission's other tools do it: one logic, one journal, one lock."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import re
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional, Union

from django_intermission.state import SIZE_LIMIT, Window, read_text

WINDOW_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
PARENT_MODE = 0o755
DIRECTORY_MODE = 0o2775
FILE_MODE = 0o664
LOCK_MODE = 0o660
LOCK_SECONDS = 30.0
LOCK_POLL_SECONDS = 0.02
KEPT_WINDOWS = 20
SOURCE = "manage.py"


class StateError(Exception):
    """The state directory cannot do what was asked; the message says why."""


class StateWriter:
    """The state directory of one site, to be changed."""

    def __init__(self, path: Path) -> None:
        """Name the directory; nothing is touched yet."""
        self.path = path
        self.flag = path / "on"
        self.windows = path / "windows"

    def open(self, window: Window) -> bool:
        """Put the flag on a window. Gives False where the same request is in force already. Raises StateError and OSError."""
        if len(window.to_json().encode()) > SIZE_LIMIT:
            raise StateError(f"reason and message are too long: a window has at most {SIZE_LIMIT} bytes with them")
        self._make()
        with self._locked():
            current = self.current()
            if current is not None and self.flag.exists() and _asks(current) == _asks(window):
                return False
            flagged = self.flagged_id()
            if flagged is not None and is_of_deploy(flagged):
                raise StateError(
                    f"the site is closed already, by a deploy that is under way or has failed ({flagged}): that is not replaced"
                )
            if current is not None and current.layer != window.layer:
                raise StateError(
                    f"the site is closed already, by the window {current.id}, in which Nginx answers: this command's windows let "
                    "the app answer. Open the site first, or change that window with the tool that has opened it"
                )
            window = replace(window, id=self._free_id(window.id))
            self._stage(window)
            partial = self.path / f".on.{os.getpid()}.partial"
            partial.unlink(missing_ok=True)
            os.symlink(f"windows/{window.id}", partial)
            os.replace(partial, self.flag)
            _sync(self.path)
            self._record("opened", window=window.id, reason=window.reason, until=window.end, read_only=window.read_only)
            self._forget_old_windows(window.id)
        return True

    def close(self, force: bool = False) -> bool:
        """Take the flag away. Gives False where there is none. Raises StateError for a deploy's window, unless forced, and OSError."""
        if not self.path.is_dir():
            return False
        with self._locked():
            window_id = self.flagged_id()
            if window_id is not None and is_of_deploy(window_id) and not force:
                raise StateError(
                    f"the site is closed by a deploy that is under way or has failed ({window_id}): the app may be stopped, or the "
                    "database half migrated. Deploy again, and it opens when that succeeds. To open it all the same: --force"
                )
            try:
                self.flag.unlink()
            except FileNotFoundError:
                return False
            _sync(self.path)
            self._record("closed", window=window_id)
        return True

    def flagged_id(self) -> Optional[str]:
        """Give the id of the window that the flag names, None where it names none."""
        try:
            return Path(os.readlink(self.flag)).name
        except OSError:
            return None

    def current(self) -> Optional[Window]:
        """Read the window that the flag names; None where there is none or it cannot be read."""
        with contextlib.suppress(OSError, ValueError):
            return Window.from_json(read_text(self.windows / (self.flagged_id() or "") / "window.json"))
        return None

    def _make(self) -> None:
        """Make what is not there, for all to enter whatever the umask is."""
        missing = [path for path in (self.windows, *self.windows.parents) if not path.is_dir()]
        for directory in reversed(missing):
            if directory.exists() and not directory.is_dir():
                raise StateError(
                    f"{directory} is no directory: MAINTENANCE_STATE_DIRECTORY has to name one, or what may become one"
                )
            directory.mkdir(exist_ok=True)
            directory.chmod(DIRECTORY_MODE if directory in (self.path, self.windows) else PARENT_MODE)

    def _free_id(self, wanted: str) -> str:
        if WINDOW_ID.fullmatch(wanted) is None:
            raise StateError(f"'{wanted}' is no window id: letters, digits, '.', '_' and '-' only")
        free, number = wanted, 1
        while os.path.lexists(self.windows / free):
            number += 1
            free = f"{wanted}.{number}"
        return free

    def _stage(self, window: Window) -> None:
        """Write a window whole, then give it its name; by the name of a file Nginx knows that it lets all pass.

        Who else may write to ``windows`` may put another directory in the place of this one at any time, and this may be root:
        so the directory is opened once, has to be of this account, and all that follows goes by its descriptor.
        """
        name = f".{window.id}.partial"
        shutil.rmtree(self.windows / name, ignore_errors=True)
        windows = _directory(self.windows)
        try:
            os.mkdir(name, dir_fd=windows)
            partial = _directory(name, windows)
            try:
                self._fill(partial, window)
                os.fsync(partial)
                os.rename(name, window.id, src_dir_fd=windows, dst_dir_fd=windows)
                os.fsync(windows)
            finally:
                os.close(partial)
        except BaseException:
            shutil.rmtree(self.windows / name, ignore_errors=True)
            raise
        finally:
            os.close(windows)

    @staticmethod
    def _fill(partial: int, window: Window) -> None:
        os.fchmod(partial, DIRECTORY_MODE)
        if window.layer == "django":
            os.mkdir("passes", dir_fd=partial)
            passes = _directory("passes", partial)
            try:
                os.close(_new_file("any", passes))
                os.fchmod(passes, DIRECTORY_MODE)
            finally:
                os.close(passes)
        with open(_new_file("window.json", partial), "w", encoding="utf-8") as stream:
            stream.write(window.to_json())
            stream.flush()
            os.fsync(stream.fileno())

    def _record(self, event: str, **details: Any) -> None:
        now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        entry = {"at": now, "event": event, "by": who(), "from": SOURCE, **details}
        with open(_open(self.path / "journal.jsonl", os.O_APPEND, FILE_MODE), "ab+") as stream:
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                if stream.read() != b"\n":
                    stream.write(b"\n")  # A line that was cut short must not swallow this one
            stream.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        deadline = time.monotonic() + LOCK_SECONDS
        descriptor = _open(self.path / "lock", 0, LOCK_MODE)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise StateError(
                            f"{self.path / 'lock'} is held by another process: try again when that has ended"
                        ) from None
                    time.sleep(LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(descriptor)

    def _forget_old_windows(self, flagged: str) -> None:
        """Remove all but the newest windows that have begun, and never the one that the flag names: that would open the site."""
        begun = []
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        for entry in self.windows.iterdir():
            with contextlib.suppress(OSError, ValueError):
                window = Window.from_json(read_text(entry / "window.json"))
                if not entry.name.startswith(".") and entry.name != flagged and window.start <= now:
                    begun.append((window.start, entry))
        for _start, entry in sorted(begun)[: -(KEPT_WINDOWS - 1)]:
            shutil.rmtree(entry, ignore_errors=True)


def is_of_deploy(window_id: str) -> bool:
    """Tell whether a window's id is one that a deploy gives."""
    return window_id.startswith("deploy-")


def who() -> str:
    """Name the person that runs this, also behind sudo."""
    user = os.environ.get("SUDO_USER") if os.getuid() == 0 else None
    with contextlib.suppress(KeyError):
        return user or pwd.getpwuid(os.getuid()).pw_name
    return str(os.getuid())


def _asks(window: Window) -> tuple[object, ...]:
    """Give what two requests for the same have in common."""
    return (window.end, window.reason, window.message, window.layer, window.read_only, is_of_deploy(window.id))


def _open(path: Path, flags: int, mode: int) -> int:
    """Open a file for writing, with the mode that the group needs whatever the umask is; nothing else than a plain file of one name.

    Raises StateError and OSError.
    """
    flags |= os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags, mode)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
        os.close(descriptor)
        raise StateError(f"something else than a plain file was put in the place of {path}: remove it")
    with contextlib.suppress(PermissionError):  # It is another's, who has done so
        os.fchmod(descriptor, mode)
    return descriptor


def _directory(path: Union[str, Path], parent: Optional[int] = None) -> int:
    """Open a directory, which below ``parent`` has to be of this account, and no link. Raises StateError and OSError."""
    follow = os.O_NOFOLLOW if parent is not None else 0
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | follow, dir_fd=parent)
    if parent is not None and os.fstat(descriptor).st_uid != os.geteuid():
        os.close(descriptor)
        raise StateError(f"somebody else has put another directory in the place of {path}: try again")
    return descriptor


def _new_file(name: str, directory: int) -> int:
    """Make a file for all to read and the group to write. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, FILE_MODE, dir_fd=directory)
    os.fchmod(descriptor, FILE_MODE)
    return descriptor


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
