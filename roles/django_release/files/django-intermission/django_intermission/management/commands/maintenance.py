"""``manage.py maintenance on|off|status|schedule``: the host's flag, from the project's own settings."""

from __future__ import annotations

import errno
import json
from argparse import SUPPRESS, ArgumentParser, Namespace
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, Optional

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from django_intermission import conf, log
from django_intermission.state import HostState, Maintenance, Window
from django_intermission.times import format_instant, parse_duration, parse_instant
from django_intermission.writer import StateError, StateWriter, who

LAYER = "django"


class Command(BaseCommand):
    """Needs no database, and works while the system checks fail."""

    help = "Closes the site on this host, opens it again, and tells its state."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the four verbs and what each takes."""
        verbs = parser.add_subparsers(dest="verb", required=True, parser_class=ArgumentParser)
        on = verbs.add_parser("on", help="close the site")
        end = on.add_mutually_exclusive_group()
        end.add_argument("--for", dest="duration", metavar="DURATION", help="such as 30m or 1h30m")
        end.add_argument("--until", metavar="INSTANT", help="such as 2026-12-01T02:00Z")
        on.add_argument("--reason", default="", help="one line for visitors")
        on.add_argument("--message", default="", help="a longer text for visitors")
        on.add_argument("--read-only", action="store_true", help="let GET and HEAD pass")
        off = verbs.add_parser("off", help="open the site")
        off.add_argument("--force", action="store_true", help="also when a deploy has closed it")
        status = verbs.add_parser("status", help="tell whether the site is closed, since when and why")
        schedule = verbs.add_parser(
            "schedule", help="list the windows that lie ready on this host and begin in the future"
        )
        for verb in (on, off, status, schedule):
            verb.add_argument("--json", action="store_true", help="for scripts")
            # Django's own, which its parser takes before the verb only; manage.py has read the first two already
            for name in ("--settings", "--pythonpath", "--verbosity"):
                verb.add_argument(name, default=SUPPRESS, help=SUPPRESS)
            for name in ("--traceback", "--no-color", "--force-color"):
                verb.add_argument(name, action="store_true", default=SUPPRESS, help=SUPPRESS)

    def handle(self, *args: Any, **options: Any) -> None:
        """Do what was asked. Raises CommandError, which says what to do."""
        asked = Namespace(**options)
        try:
            known = conf.current()
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        if asked.verb in ("on", "off") and known.host is None:
            raise CommandError(
                "set MAINTENANCE_STATE_DIRECTORY to a directory that this account may write to: the flag lies there"
            )
        if asked.verb == "on":
            _can_close(known)
        try:
            if asked.verb == "schedule":
                self._schedule(known, asked.json)
                return
            changed = False
            if asked.verb == "on":
                changed = self._on(known, asked)
            elif asked.verb == "off":
                changed = self._writer(known).close(asked.force)
        except (StateError, ValueError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            hint = ": run this as root, or as an account that may write there" if error.errno == errno.EACCES else ""
            place = error.filename or getattr(known.host, "path", "")
            raise CommandError(f"{place}: {error.strerror}{hint}") from error
        self._status(known, asked.json, changed if asked.verb != "status" else None)

    @staticmethod
    def _writer(known: conf.Options) -> StateWriter:
        assert known.host is not None
        return StateWriter(known.host.path)

    def _on(self, known: conf.Options, asked: Namespace) -> bool:
        now = datetime.now(timezone.utc)
        end: Optional[datetime] = None
        if asked.duration:
            try:
                end = now + parse_duration(asked.duration)
            except OverflowError as error:
                raise ValueError(f"'{asked.duration}' is too long") from error
        elif asked.until:
            end = parse_instant(asked.until)
            if end <= now:
                raise ValueError(f"'{asked.until}' has passed: it is {format_instant(now)} now")
        writer = self._writer(known)
        return writer.open(
            Window(
                id=f"manage-{now.strftime('%Y%m%dT%H%M%S')}",
                site=writer.path.name,
                start=format_instant(now),
                end=format_instant(end) if end else None,
                reason=asked.reason,
                message=asked.message,
                opened_by=who(),
                layer=LAYER,
                read_only=asked.read_only,
            )
        )

    def _status(self, known: conf.Options, as_json: bool, changed: Optional[bool]) -> None:
        # Of every layer, for a window in which Nginx answers closes the site too
        flag = HostState(str(known.host.path), announces=False).look() if known.host is not None else None
        by_nginx = flag is not None and known.host is not None and known.host.look() is None
        status: dict[str, Any] = {
            "closed": known.look() is not None or by_nginx,
            "by_setting": known.mode,
            "by_flag": flag is not None,
            "debug_passes": known.debug,
            "window": None,
        }
        if flag is not None and flag.window_id is not None:
            window = self._writer(known).current()
            status["window"] = asdict(window) if window is not None else None
        if changed is not None:
            status["changed"] = changed
        if as_json:
            self.stdout.write(json.dumps(status))
            return
        self.stdout.write("CLOSED to visitors" if status["closed"] else "open")
        if not status["closed"] and not known.mode:
            self.stdout.write(
                "  MAINTENANCE_MODE is off for this command; an app that was started with it on is closed"
            )
        if known.debug and (known.mode or flag is not None):
            self.stdout.write("  DEBUG lets everybody pass")
        if known.mode:
            self.stdout.write(
                "  by     MAINTENANCE_MODE, in the settings or the environment, which this command does not change"
            )
        if flag is not None and known.host is not None:
            self.stdout.write(f"  by     the flag {known.host.flag}{', where Nginx answers' if by_nginx else ''}")
        for name in ("start", "end", "reason", "message", "opened_by"):
            if status["window"] and status["window"][name]:
                self.stdout.write(f"  {name:<10} {log.printable(status['window'][name])}")

    def _schedule(self, known: conf.Options, as_json: bool) -> None:
        windows = known.host.announced() if known.host is not None else ()
        rows = [_row(window) for window in windows]
        if as_json:
            self.stdout.write(json.dumps(rows))
            return
        for row in rows:
            self.stdout.write(
                f"{row['start']}  {row['end'] or 'no end':<20}  {log.printable(row['id'])}  {log.printable(row['reason'])}"
            )
        if not rows:
            self.stdout.write("no window is announced")


def _can_close(known: conf.Options) -> None:
    """Refuse to open a window in which nobody would answer: Nginx leaves that to the app. Raises CommandError."""
    if not any(conf.is_middleware(path, conf.EARLY) for path in settings.MIDDLEWARE):
        raise CommandError(f"the app would not answer, and the site stay open: put '{conf.EARLY}' first in MIDDLEWARE")
    if known.debug:
        raise CommandError(
            "the site would stay open, because DEBUG lets everybody pass: set MAINTENANCE_IN_DEBUG = True, or no DEBUG"
        )
    if known.host is not None and LAYER not in known.host.layers:
        raise CommandError(f"the site would stay open: add '{LAYER}' to MAINTENANCE_LAYERS")


def _row(window: Maintenance) -> dict[str, Any]:
    return {
        "id": window.window_id,
        "start": format_instant(window.start) if window.start else None,
        "end": format_instant(window.end) if window.end else None,
        "reason": window.reason,
        "message": window.message,
    }
