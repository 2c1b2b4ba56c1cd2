"""The state of a site on a host: one directory that every part of Intermission reads and writes.

::

    <root>/<site>/
      on             the flag: maintenance is on exactly while this name exists. Normally a symlink to windows/<id>;
                     a plain file made with touch counts too
      pages/         the built-in pages, for each language 503.<language>.html and 50x.<language>.html, and for programs 503.json,
                     503.txt and so on; and 503.<language>.html.template and so on, which a window's own pages are made from
      windows/<id>/  one window, complete before it is opened: window.json, and its pages 503.<language>.html, 503.json, 503.txt;
                     where Nginx lets some pass, passes/ has an empty file for each name that does: the secret of the window, HTTP
                     methods, parts of the visitors, or any, where the app closes the site itself. A scheduled one has schedule.json,
                     and while it waits the symlink scheduled, which then becomes the flag; missed where the host was off meanwhile
      changed        there from a change of what the host has to do at a time until it looks again, which it does at once
      journal.jsonl  who opened or closed what, when, from where, why; and what a deploy did
      lock           held by who changes the flag; closed to everybody else, who could hold it otherwise

Opening is one rename(2) onto ``on``, closing is one unlink(2): nothing is rendered at that moment and nothing can fail
halfway. A group may write here, and root does too: so each directory is pinned before something in it is touched, and
``<root>`` itself is root's alone. Needs Python 3.9 or later and nothing else.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import html
import json
import os
import pwd
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Optional, Union

from ansible_collections.intermission.django.plugins.module_utils.files import (
    LARGE_LIMIT,
    NotPlainError,
    open_plain,
    pinned,
    read_plain,
    remove_empty,
    replace_symlink,
    sync_directory,
    write_file,
)
from ansible_collections.intermission.django.plugins.module_utils.job import Job
from ansible_collections.intermission.django.plugins.module_utils.times import (
    format_instant,
    parse_instant,
    window_end,
)

SCHEMA = 1
SITE = re.compile(r"[a-z][a-z0-9_]*")
WINDOW_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ROOT_MODE = 0o755
DIRECTORY_MODE = 0o2775
FILE_MODE = 0o664
LOCK_MODE = 0o660
LOCK_SECONDS = 30.0
LOCK_POLL_SECONDS = 0.02
PROCESSES = Path("/proc")
KEPT_WINDOWS = 20
SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
SECRET_BYTES = 32
SECRET_DIRECTORY_MODE = 0o711  # Nginx may look whether a name is there, and nobody else may list them
SAFE_METHODS = ("GET", "HEAD")
ANY_METHOD = "any"
PARTS = tuple(f"share-{number}" for number in range(10))  # As the gate names them
LAYERS = ("nginx", "django")
KINDS: dict[str, tuple[type, ...]] = {"str": (str,), "Optional[str]": (str, type(None)), "bool": (bool,)}
JOURNAL_TAIL = 65536
MARK = re.compile(r"%%(\w+)%%")
TEMPLATE = ".template"
PLAN = "schedule.json"
WAITING = "scheduled"


class StateError(Exception):
    """The state directory cannot do what was asked; the message says why and what to do."""


class HeldError(StateError):
    """Something is at work behind the closed site, a deploy or a window's job, and it is not opened meanwhile unless it is forced."""


@dataclass(frozen=True)
class Window:
    """One period of maintenance of a site. Instants are ISO 8601 in UTC; ``end`` is None where it is not known."""

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

    @property
    def deploys(self) -> bool:
        """Tell whether it is a deploy's window, which the deploy closes, and not an operator's."""
        return is_of_deploy(self.id)

    def same_request(self, other: Window) -> bool:
        """Tell whether both would show visitors the same, end at the same time, and are closed by the same.

        Another secret is another request; none is content with the one that is there.
        """
        if other.bypass_digest not in (None, self.bypass_digest):
            return False
        return (self.end, self.expires, self.reason, self.message, self.layer, self.read_only, self.deploys) == (
            other.end,
            other.expires,
            other.reason,
            other.message,
            other.layer,
            other.read_only,
            other.deploys,
        )

    @classmethod
    def from_json(cls, text: str) -> Window:
        """Read a ``window.json``; what later versions may have put into it is passed over.

        Raises StateError where it is not one of this schema.
        """
        try:
            fields = json.loads(text)
            schema = fields.pop("schema")
            if schema != SCHEMA:
                raise StateError(f"window.json has schema {schema}; this version reads schema {SCHEMA}")
            window = cls(**{name: fields[name] for name in fields.keys() & cls.__dataclass_fields__.keys()})
            for name, field in cls.__dataclass_fields__.items():
                if not isinstance(getattr(window, name), KINDS[str(field.type)]):
                    raise TypeError(f"{name} has the wrong type")
            if window.end is not None:
                parse_instant(window.end)
            return window
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StateError(f"window.json cannot be read: {error}") from error

    def to_json(self) -> str:
        """Write the ``window.json`` of this window."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"


def new_secret() -> str:
    """Make the secret of a window: 256 random bits in 43 characters that need no escaping in a URL."""
    return secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> str:
    """Give the SHA-256 of a secret in hexadecimal. Raises StateError where it is none that ``new_secret`` would make."""
    if SECRET.fullmatch(secret) is None:
        raise StateError("the secret of a window is 43 letters, digits, '-' and '_'")
    return hashlib.sha256(secret.encode()).hexdigest()


def passing_names(window: Window, secret: Optional[str]) -> list[str]:
    """List what lets a request through Nginx's gate while a window is open."""
    methods = [ANY_METHOD] if window.layer == "django" else list(SAFE_METHODS) if window.read_only else []
    return [*methods, secret] if secret else methods


def is_of_deploy(window_id: Optional[str]) -> bool:
    """Tell whether a window's id is one that a deploy gives."""
    return (window_id or "").startswith("deploy-")


def window_request(name: str, duration: Optional[str], until: Optional[str], now: datetime) -> dict[str, Any]:
    """Give id, start and end of a window that begins now; the end is None where it is not known. Raises ValueError."""
    end = window_end(duration, until, now)
    return {
        "id": f"{name}-{now.strftime('%Y%m%dT%H%M%S')}",
        "start": format_instant(now),
        "end": format_instant(end) if end else None,
    }


def fill_page(template: str, name: str, window: Window) -> str:
    """Put a window's values in place of a page's ``%%name%%`` marks; a line whose mark has no value is left out.

    The marks are ``reason``, ``message``, ``progress``, ``start`` and ``end``, and the last two in words as ``start_text`` and
    ``end_text``. They are escaped for the format that ``name``, the page's file, ends with: HTML, or the inside of a JSON string, or
    plain text. ``closed`` and ``read_only`` are for lines of one kind of window only, and leave nothing in their place. Raises
    ValueError where an instant cannot be read.
    """
    values = {
        "reason": window.reason,
        "message": window.message,
        "progress": window.progress,
        "start": window.start,
        "end": window.end or "",
        "start_text": _in_words(window.start),
        "end_text": _in_words(window.end),
    }
    escaped = {mark: _escape(value, Path(name).suffix) for mark, value in values.items()}
    kind = "read_only" if window.read_only else "closed"
    lines = (
        line
        for line in template.splitlines(keepends=True)
        if all(mark == kind or escaped.get(mark) for mark in MARK.findall(line))
    )
    return MARK.sub(lambda mark: escaped.get(mark.group(1), ""), "".join(lines))


def _in_words(instant: Optional[str]) -> str:
    """Write an instant as every language can read it."""
    return parse_instant(instant).strftime("%Y-%m-%d %H:%M UTC") if instant else ""


def _escape(value: str, suffix: str) -> str:
    """Make a value fit for a page; what is none of HTML and JSON is plain text, which must not steer a terminal."""
    if suffix == ".json":
        return json.dumps(value, ensure_ascii=False)[1:-1]
    if suffix == ".html":
        return html.escape(value)
    return "".join(character for character in value if character.isprintable() or character == "\n")


def known_sites(root: str) -> list[str]:
    """List the sites that this host has."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(entry.name for entry in Path(root).iterdir() if SITE.fullmatch(entry.name) and entry.is_dir())
    return []


class StateDirectory:
    """The state directory of one site: ``<root>/<site>``."""

    def __init__(self, root: str, site: str) -> None:
        """Name the directory; nothing is read yet."""
        self.site = site
        self.path = Path(root) / site
        self.flag = self.path / "on"
        self.windows = self.path / "windows"
        self.pages = self.path / "pages"
        self.changed = self.path / "changed"
        self.journal_file = self.path / "journal.jsonl"
        self.lock_file = self.path / "lock"
        self.deploy_file = self.path.parent / f".{site}.deploy.json"
        self.hold_file = self.path.parent / f".{site}.hold.json"
        self.left_behind_file = self.path.parent / f".{site}.left_behind.json"
        self.migration_file = self.path.parent / f".{site}.migration.json"
        self.hooks_file = self.path.parent / f".{site}.hooks"
        self.jobs = self.path.parent / f".{site}.jobs"

    def missing(self) -> list[Path]:
        """List the directories that are not there yet."""
        wanted = (self.path.parent, self.path, self.windows, self.pages)
        return [directory for directory in wanted if not directory.is_dir()]

    def make(self) -> None:
        """Make the directories that are missing, so that Nginx and the group can enter them."""
        for directory in self.missing():
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
            with pinned(directory) as held:
                held.chmod(ROOT_MODE if directory == self.path.parent else DIRECTORY_MODE)

    def hand_over(self, group: int, only_tell: bool = False) -> bool:
        """Let a group write what it needs for opening and closing, and nothing else; gives whether anything differs.

        The directories belong to who runs this, and ``<root>`` is closed to the group. Raises OSError.
        """
        me, differs = os.geteuid(), []
        for directory in (self.path, self.windows, self.pages):
            with _opened(directory, os.O_DIRECTORY) as descriptor:
                differs.append(_settle(descriptor, DIRECTORY_MODE, me, group, only_tell))
        with _opened(self.path.parent, os.O_DIRECTORY) as descriptor:
            differs.append(_settle(descriptor, ROOT_MODE, me, -1, only_tell))
        for file, mode in ((self.journal_file, FILE_MODE), (self.lock_file, LOCK_MODE)):
            with contextlib.suppress(FileNotFoundError, NotPlainError), _opened(file) as descriptor:
                differs.append(_settle(descriptor, mode, -1, group, only_tell))
        for path, directories, names, within in os.fwalk(self.windows):
            if path != str(self.windows):
                directories.clear()
                differs.append(_settle(within, DIRECTORY_MODE, -1, group, only_tell))
            for name in names:
                with contextlib.suppress(FileNotFoundError, NotPlainError), _opened(name, within=within) as descriptor:
                    differs.append(_settle(descriptor, FILE_MODE, -1, group, only_tell))
        return any(differs)

    def tmpfiles(self, group: str) -> str:
        """Write the lines of tmpfiles.d(5) that bring the directories back at each boot, for a state on a volatile disk."""
        root = str(self.path.parent).replace("%", "%%")
        lines = [f'd "{root}" {ROOT_MODE:04o} root root -']
        lines += [
            f'd "{root}/{directory.relative_to(self.path.parent)}" {DIRECTORY_MODE:04o} root {group} -'
            for directory in (self.path, self.windows, self.pages)
        ]
        return "\n".join(lines) + "\n"

    def removable(self) -> bool:
        """Tell whether there is something to remove. Raises StateError where the site is closed or a deploy is at it."""
        if self.flag.exists():
            raise StateError(
                f"{self.site} is closed, and would be open without its flag: open it first, for instance with maintenance_off.yml"
            )
        if os.path.lexists(self.deploy_file):
            raise StateError(
                f"a deploy of {self.site} is under way or has died, and its lock is {self.deploy_file}: wait for it to end, and see "
                "with maintenance_status.yml who has begun it. Where it has died, deploy again, or remove that file"
            )
        if self.job_runs():
            raise StateError(
                f"the job of a window of {self.site} runs: wait for it, or end it with systemctl stop "
                f"intermission-{self.site}-job.service"
            )
        root = self.path.parent
        return any(map(os.path.lexists, (self.path, self.jobs))) or (root.is_dir() and not any(root.iterdir()))

    def remove(self) -> None:
        """Remove the directory, and ``<root>`` where nothing else is in it. Raises StateError and OSError."""
        if self.path.is_dir():
            with self.locked():
                self.removable()
                for file in (self.hooks_file, self.left_behind_file):
                    file.unlink(missing_ok=True)
                shutil.rmtree(self.path)
        if self.jobs.is_dir():
            shutil.rmtree(self.jobs)
        root = self.path.parent
        if root.is_dir() and not any(root.iterdir()):
            root.rmdir()

    def status(self) -> dict[str, Any]:
        """Tell what the flag says.

        ``on`` (bool), ``opened_with`` (``window``, ``hand`` or None), ``window`` (its fields or None), ``since`` and
        ``until`` (ISO 8601 or None), ``overdue`` (bool: the end has passed), ``has_pass`` (bool: the window has a secret
        that lets pass), ``share`` (how many visitors in a hundred pass by their address), ``problem`` (None, or what is
        wrong with the flag: Nginx does not see a flag whose target is gone, so the site is open).
        """
        status: dict[str, Any] = dict.fromkeys(("opened_with", "window", "since", "until", "problem"))
        status.update(site=self.site, on=self.flag.exists(), overdue=False, has_pass=False, share=0)
        try:
            flag = self.flag.lstat()
            target = os.readlink(self.flag) if stat.S_ISLNK(flag.st_mode) else None
        except (FileNotFoundError, NotADirectoryError):
            return {**status, "on": False}
        since = datetime.fromtimestamp(flag.st_mtime, tz=timezone.utc)
        share = 100 * len(self.parts_that_pass()) // len(PARTS)
        status.update(opened_with="hand", since=format_instant(since), share=share)
        if target is None:
            return status
        status["opened_with"] = "window"
        try:
            window = self.read_window(Path(target).name)
        except StateError as error:
            status["problem"] = str(error)
            return status
        status.update(window=asdict(window), since=window.start, until=window.end)
        status["has_pass"] = status["on"] and window.bypass_digest is not None
        if window.end is not None:
            status["overdue"] = parse_instant(window.end) <= datetime.now(timezone.utc)
        return status

    def parts_that_pass(self) -> tuple[str, ...]:
        """List the parts of the visitors that pass the closed gate, as Nginx sees them."""
        return tuple(part for part in PARTS if os.path.isfile(self.flag / "passes" / part))

    def in_force(self, window: Window) -> bool:
        """Tell whether the same request is in force already, and no part of the visitors is let in again."""
        current = self.current_window()
        return (
            current is not None and self.flag.exists() and current.same_request(window) and not self.parts_that_pass()
        )

    def read_window(self, window_id: str) -> Window:
        """Read a staged window. Raises StateError where it is not there or not whole."""
        try:
            with pinned(self.windows) as windows, pinned(windows / window_id) as held:
                return Window.from_json(read_plain(held / "window.json").decode())
        except OSError as error:
            raise StateError(f"the window '{window_id}' is not in {self.windows}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise StateError(f"window.json cannot be read: {error}") from error

    def stage(self, window: Window, secret: Optional[str] = None, plan: Optional[str] = None) -> Path:
        """Write a window whole, with its pages dated to its end, and give its directory.

        One that is opened later has a ``plan``, the text of its ``schedule.json``, and the symlink that becomes the flag. It is
        written beside the windows, which change once, when it is whole: systemd watches them, but not while it starts what a
        change has it start.

        Nginx sends a page's time of modification as ``Retry-After``; a window without an end is dated to the epoch,
        which the gate turns into a number of seconds. Raises StateError, and OSError where the disk does not take it.
        """
        filled, dated = self._pages_of(window)
        with pinned(self.path) as beside, pinned(self.windows) as windows:
            partial = beside / f".{window.id}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            try:
                partial.mkdir(mode=0o700)
                with pinned(partial) as held:
                    held.chmod(DIRECTORY_MODE)
                    for name, page in filled.items():
                        write_file(held / name, page.encode(), FILE_MODE, mtime=dated)
                    if passing := passing_names(window, secret):
                        _make_names(held / "passes", passing, SECRET_DIRECTORY_MODE if secret else DIRECTORY_MODE)
                    write_file(held / "window.json", window.to_json().encode(), FILE_MODE)
                    if plan is not None:
                        write_file(held / PLAN, plan.encode(), FILE_MODE)
                        os.symlink(f"windows/{window.id}", held / WAITING)
                os.rename(partial, windows / window.id)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                raise
            sync_directory(windows)
        return self.windows / window.id

    def tell_of_change(self) -> None:
        """Let systemd start what looks at the windows, again where that runs; for who holds the lock and is about to change them.

        It removes this before it takes the lock, so that it has seen all that was changed before it ends, or is started anew.
        Raises OSError.
        """
        with contextlib.suppress(FileExistsError), pinned(self.path) as held:
            (held / self.changed.name).touch(exist_ok=False)

    def _pages_of(self, window: Window) -> tuple[dict[str, str], float]:
        """Make the pages of a window, by the name of their file, and give the time of modification that they all get."""
        try:
            filled = {name: fill_page(template, name, window) for name, template in self.templates().items()}
            return filled, parse_instant(window.end).timestamp() if window.end else 0
        except ValueError as error:
            raise StateError(f"an instant of the window cannot be read: {error}") from error

    def tell_progress(self, progress: str) -> bool:
        """Let the pages of a deploy's window say how far it is; gives whether there is such a window and it said otherwise.

        Raises StateError and OSError.
        """
        with self.locked():
            window = self.current_window()
            if window is None or not window.deploys or window.progress == progress:
                return False
            self.rewrite(replace(window, progress=progress))
            return True

    def rewrite(self, window: Window) -> None:
        """Write pages and text of a staged window anew, each file by itself, so that every visitor gets a whole one.

        Raises StateError and OSError.
        """
        filled, dated = self._pages_of(window)
        with pinned(self.windows) as windows, pinned(windows / window.id) as held:
            for name, page in filled.items():
                write_file(held / name, page.encode(), FILE_MODE, mtime=dated)
            write_file(held / "window.json", window.to_json().encode(), FILE_MODE)

    def templates(self) -> dict[str, str]:
        """Read what a window's pages are made from, by the name that each page gets. Raises StateError where nothing is there."""
        found = {}
        try:
            with pinned(self.pages) as pages:
                for path in sorted(pages.glob(f"503.*{TEMPLATE}")):
                    found[path.name[: -len(TEMPLATE)]] = read_plain(path, LARGE_LIMIT).decode(errors="replace")
        except OSError as error:
            raise StateError(
                f"the page templates {self.pages}/503.*{TEMPLATE} cannot be read ({error.strerror}): "
                "apply the role maintenance_page to this host first"
            ) from error
        if not any(name.endswith(".html") for name in found):
            raise StateError(
                f"there is no page template {self.pages}/503.<language>.html{TEMPLATE}: "
                "apply the role maintenance_page to this host first"
            )
        return found

    def open(self, window: Window, by: str, source: str, secret: Optional[str] = None) -> bool:
        """Stage a window and put the flag on it. Gives False where the same request is already in force for all visitors.

        Who shows Nginx the secret passes, as long as the flag is on this window, or on one that took its place without a
        secret of its own and could read this one's. A window is never written over: a second one of the same id gets a
        number behind it. Raises StateError.
        """
        if WINDOW_ID.fullmatch(window.id) is None:
            raise StateError(f"'{window.id}' is no window id: letters, digits, '.', '_' and '-' only")
        base_id = window.id
        window = replace(window, bypass_digest=digest_of(secret) if secret else None)
        with self.locked():
            if self.in_force(window):
                return False
            current = self.current_window()
            if current is not None and self.flag.exists():
                if current.deploys and not window.deploys:
                    raise StateError(
                        f"{self.site} is closed already, by a deploy that is under way or has failed ({current.id}): a window "
                        "in its place could be closed like any other, and would open a half migrated site. Deploy again, or "
                        "open the site by force first"
                    )
                if secret is None and current.deploys == window.deploys and (secret := self.secret_of(current)):
                    window = replace(window, bypass_digest=current.bypass_digest)
            number = 1
            while os.path.lexists(self.windows / window.id):
                number += 1
                window = replace(window, id=f"{base_id}.{number}")
            if window.expires:
                self.tell_of_change()
            self.stage(window, secret)
            replace_symlink(self.flag, f"windows/{window.id}")
            self.record(
                "opened",
                by,
                source,
                window=window.id,
                reason=window.reason,
                until=window.end,
                layer=window.layer,
                read_only=window.read_only,
            )
            self.forget_old_windows()
            return True

    def close(self, by: str, source: str, only: Optional[str] = None, force: bool = False) -> bool:
        """Take the flag away; with ``only``, just while it stands for that window. Gives False where nothing was on.

        A deploy's window is closed by its name, or by force, and none but by force while a window's job runs. Raises HeldError.
        """
        with self.locked():
            if not self.closable(only, force):
                return False
            window_id = self.flagged_id()
            self.flag.unlink()
            sync_directory(self.path)
            self.record("closed", by, source, window=window_id)
            return True

    def closable(self, only: Optional[str] = None, force: bool = False) -> bool:
        """Tell whether there is a flag to take away, also one whose window is gone. Raises HeldError."""
        window_id = self.flagged_id()
        if not os.path.lexists(self.flag) or only not in (None, window_id):
            return False
        if not force and not is_of_deploy(only) and self.job_runs():
            raise HeldError(
                f"the job of a window of {self.site} runs, and visitors would meet what it is changing. Wait for it, or end it on the "
                f"host with systemctl stop intermission-{self.site}-job.service. To open the site all the same:"
            )
        if only is None and not force and is_of_deploy(window_id):
            raise HeldError(
                f"{self.site} is closed by a deploy that is under way or has failed ({window_id}): the app may be stopped, or "
                "the database half migrated. Deploy again, and the site opens when that succeeds. To open it all the same:"
            )
        return True

    def job_runs(self) -> bool:
        """Tell whether the job of a window runs, also of one that another has taken the place of."""
        records = (Job(path).record() for path in self.jobs.glob("*.run"))
        return any(record is not None and record["running"] for record in records)

    def flagged_id(self) -> Optional[str]:
        """Give the id of the window that the flag names, None where it names none."""
        return Path(os.readlink(self.flag)).name if self.flag.is_symlink() else None

    def current_window(self) -> Optional[Window]:
        """Read the window that the flag names; None where there is none or it cannot be read."""
        with contextlib.suppress(OSError, StateError):
            return self.read_window(Path(os.readlink(self.flag)).name)
        return None

    def record(self, event: str, by: str, source: str, at: Optional[datetime] = None, **details: Any) -> None:
        """Append one line to the journal, durably: what happened, when (now by default; UTC), who did it, from where."""
        at = at or datetime.now(timezone.utc)
        entry = {"at": at.isoformat(timespec="milliseconds"), "event": event, "by": by}
        entry.update({"from": source}, **details)
        descriptor = open_plain(self.journal_file, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        with open(descriptor, "ab+") as stream:
            if stream.tell() == 0:
                with contextlib.suppress(PermissionError):  # It is another's, who has done so
                    os.fchmod(stream.fileno(), FILE_MODE)
            else:
                stream.seek(-1, os.SEEK_END)
                if stream.read() != b"\n":
                    stream.write(b"\n")  # A line that was cut short must not swallow this one
            stream.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def journal(self, last: int) -> list[dict[str, Any]]:
        """Read the last entries of the journal; a line cut short by a full disk is passed over."""
        try:
            with open(open_plain(self.journal_file, os.O_RDONLY), "rb") as stream:
                stream.seek(max(0, stream.seek(0, os.SEEK_END) - JOURNAL_TAIL))
                lines = stream.read(JOURNAL_TAIL).splitlines()
        except FileNotFoundError:
            return []
        entries = []
        for line in lines[-last:]:
            with contextlib.suppress(ValueError, RecursionError):
                entries.append(json.loads(line))
        return [entry for entry in entries if isinstance(entry, dict)]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep two people, or a person and a timer, from changing the flag at once (flock(2), freed by the kernel).

        Raises StateError where somebody holds the lock for LOCK_SECONDS, and OSError.
        """
        deadline = time.monotonic() + LOCK_SECONDS
        while (descriptor := self._try_lock()) is None:
            if time.monotonic() >= deadline:
                raise StateError(
                    f"{self.lock_file} is held by {_holder(self.lock_file) or 'somebody'}, for {LOCK_SECONDS:g} s by now: whoever "
                    "opens or closes the site holds it, for a moment. End that process, or wait for it, and try again"
                )
            time.sleep(LOCK_POLL_SECONDS)
        try:
            yield
        finally:
            os.close(descriptor)

    def _try_lock(self) -> Optional[int]:
        """Open the lock and take it; None where another has it, or has removed what was opened here."""
        if not self.path.is_dir():
            raise StateError(f"{self.path} is not there: apply the role maintenance_page to this host first")
        descriptor = open_plain(self.lock_file, os.O_RDWR | os.O_CREAT, mode=LOCK_MODE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(descriptor)
            if os.path.samestat(status, os.lstat(self.lock_file)):
                if stat.S_IMODE(status.st_mode) != LOCK_MODE:
                    with contextlib.suppress(PermissionError):  # It is another's, or the umask has taken from it
                        os.fchmod(descriptor, LOCK_MODE)
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        return None

    def secret_of(self, window: Window) -> Optional[str]:
        """Find the secret of a window; None where it has none, or where this account may not see it."""
        with contextlib.suppress(OSError), pinned(self.windows) as windows, pinned(windows / window.id) as held:
            with pinned(held / "passes") as directory:
                names = [path.name for path in directory.iterdir() if SECRET.fullmatch(path.name)]
            return next((name for name in names if digest_of(name) == window.bypass_digest), None)
        return None

    def forget_old_windows(self) -> None:
        """Remove all but the newest windows, never the one that the flag names (it would open the site), nor one that waits."""
        flagged = self.flagged_id()
        with pinned(self.windows) as windows:
            staged = sorted(
                (
                    entry
                    for entry in windows.iterdir()
                    if not entry.name.startswith(".") and not os.path.lexists(entry / WAITING)
                ),
                key=lambda entry: (entry / "window.json").stat().st_mtime if (entry / "window.json").exists() else 0,
            )
            for entry in staged[:-KEPT_WINDOWS]:
                if entry.name != flagged:
                    shutil.rmtree(entry, ignore_errors=True)


def _make_names(directory: Path, names: Iterable[str], mode: int) -> None:
    """Make a directory with an empty file for each name, to be looked up by name; nobody else enters it before its mode is set."""
    directory.mkdir(mode=0o700)
    for name in names:
        (directory / name).touch()
    directory.chmod(mode)
    sync_directory(directory)


def let_pass(window: Path, parts: Sequence[str]) -> None:
    """Name the parts of the visitors that pass in a window's directory, the first ones first, and no others. Raises OSError.

    Who dies between has let in some of those who are to be let in, or turned away some of those who are to be turned away.
    """
    passes = window / "passes"
    if parts and not os.path.lexists(passes):
        partial = window / ".passes.partial"
        shutil.rmtree(partial, ignore_errors=True)
        _make_names(partial, parts, DIRECTORY_MODE)
        os.rename(partial, passes)
    elif os.path.lexists(passes):
        with pinned(passes) as held:
            for part in parts:
                if not os.path.lexists(held / part):
                    (held / part).touch(exist_ok=False)
            for part in reversed([part for part in PARTS if part not in parts]):
                (held / part).unlink(missing_ok=True)
            sync_directory(held)
        remove_empty([passes])  # So that who is turned away has the shortest way again
    sync_directory(window)


def _holder(path: Path) -> Optional[str]:
    """Name the process that has a lock of flock(2) on a file, and its account, as far as /proc tells (proc(5))."""
    with contextlib.suppress(OSError, ValueError):
        status = path.stat()
        place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for line in (PROCESSES / "locks").read_text(encoding="ascii").splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5] == place:
                number = (PROCESSES / fields[4]).stat().st_uid
                try:
                    return f"{pwd.getpwuid(number).pw_name} (process {fields[4]})"
                except KeyError:
                    return f"the account {number} (process {fields[4]})"
    return None


@contextlib.contextmanager
def _opened(path: Union[Path, str], kind: int = 0, within: Optional[int] = None) -> Iterator[int]:
    """Open a directory (``kind`` O_DIRECTORY) or a plain file that has one name."""
    descriptor = os.open(path, os.O_RDONLY | kind | os.O_NOFOLLOW) if kind else open_plain(path, os.O_RDWR, within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _settle(descriptor: int, mode: int, owner: int, group: int, only_tell: bool) -> bool:
    """Bring owner, group (-1: any) and mode of what is open to what is wanted; gives whether they differed."""
    status = os.fstat(descriptor)
    differs = (
        stat.S_IMODE(status.st_mode) != mode or owner not in (-1, status.st_uid) or group not in (-1, status.st_gid)
    )
    if differs and not only_tell:
        os.fchown(descriptor, owner, group)
        os.fchmod(descriptor, mode)
    return differs
