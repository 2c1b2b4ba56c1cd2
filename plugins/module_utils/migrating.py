"""Migrating as work that outlives its controller: begun or followed, with the way back that a deploy keeps until it is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.job import Job, Tell
from ansible_collections.intermission.django.plugins.module_utils.migrations import MigrationError, run
from ansible_collections.intermission.django.plugins.module_utils.standby import standby_of

FOR_EVER = 10**9
DIED = "the process that migrated is gone, and has left no result: the host may have been restarted, or have run out of memory"
# What is told of one that may have touched the schema
TOUCHING = ("migrating", "locked out", "reversing", "restoring")
# What a run that follows has to know of the one before
KEPT = ("before", "backup", "halfway", "parts", "live")
WHOLE: dict[str, Any] = {"halfway": False, "parts": []}
# What is in the database in part where a restore did not come to its end, which no release can run
RESTORED = "the backup that was being restored"
# What is known of a migration that has come to no result
UNKNOWN: dict[str, Any] = {
    "applied": [],
    "failed_migration": None,
    "restore": [],
    "seconds": 0.0,
    "started": True,
    "traceback": "",
}


class Migrating:
    """The migrating of a deploy, which a file tells of until the deploy is over."""

    def __init__(self, path: Path, name: str) -> None:
        """Name the file and the deploy; nothing is read yet."""
        self.job = Job(path)
        self.standby = standby_of(path)
        self.name = name

    def begin(self, how: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        """Migrate, or go on following where this deploy does so already. Raises MigrationError and OSError.

        What a deploy that died or failed has noted stays the way back: the database as it was before the first of them, and the
        release that was live then, which comes as ``live`` with the request; and that a part of a migration may be there.
        """
        self._begin("migrate", how, {**request, **self.kept(), **self.left()})

    def begin_undo(self, how: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        """Take back what was done. Raises MigrationError where there is nothing to be taken back, and OSError.

        Where another host has migrated, and is gone, ``before`` and ``live`` come with the request.
        """
        record, kept = self.job.record(), self.kept()
        if kept["before"] is not None and record is not None:
            request = {**request, **kept, **left_in(record)}
        if request.get("before") is None:
            raise MigrationError("it is not known which migrations were applied before")
        self._begin("undo", how, request)

    def _begin(self, verb: str, how: Mapping[str, Any], request: Mapping[str, Any]) -> None:
        record = self.job.record()
        name = f"{verb} {self.name}"
        if record is not None and record["running"] and record["name"] != name:
            raise MigrationError(
                f"a process from before is at it still ({record['name']}, since {record['since']}): wait for its end, then deploy"
                " again"
            )
        kept = {name: request.get(name) for name in KEPT}
        asked = {name: value for name, value in request.items() if name not in ("live", "parts")}

        def work(tell: Tell) -> dict[str, Any]:
            told = dict(kept)

            def pass_on(news: dict[str, Any]) -> None:
                told.update(news)
                tell({**kept, **news})

            try:
                result = run(**how, standby=self.standby, tell=pass_on, verb=verb, **asked)
                # What came to its end has made a whole of the parts that were there, or taken them back
                return {**kept, **result, **(left_by(told, result.get("applied", ())) if result["failure"] else WHOLE)}
            except MigrationError as error:
                started = told.get("stage") in TOUCHING
                known = {name: told[name] for name in kept}
                return {**known, **UNKNOWN, "started": started, **left_by(told), "failure": str(error)}

        self.job.begin(name, work, progress=kept)

    def wait_for_former(self, seconds: float) -> None:
        """Wait until nothing goes on that a run before has begun, or the time is over. Raises OSError."""
        if self.job.record() is not None:
            self.job.follow(FOR_EVER, seconds)

    def left(self) -> dict[str, Any]:
        """Tell whether this deploy or one before may have left a part of a migration, ``halfway``, and of which, ``parts``."""
        record = self.job.record()
        if record is None or record["running"] or self.kept()["before"] is None:
            return dict(WHOLE)
        return left_in(record)

    def believe(self) -> None:
        """Note the operator's word that no part of a migration is in the database any more. Raises OSError."""
        record = self.job.record()
        if record is not None and not record["running"]:
            self.job.correct({**WHOLE, "atomic": True, "stage": ""})

    def kept(self) -> dict[str, Any]:
        """Give what is noted of the site as it was before: its migrations, the backup, and the release that was live."""
        record = self.job.record() or {}
        noted = {**(record.get("progress") or {}), **(record.get("result") or {})}
        before = {"before": noted.get("before"), "backup": noted.get("backup")}
        return before if before["before"] is None else {**before, "live": noted.get("live")}

    def wait(self, news: Optional[int], seconds: float) -> dict[str, Any]:
        """Wait for more news than so many, or for the end where none are named; give what is known then. Raises OSError."""
        record = self.job.follow(FOR_EVER if news is None else news, seconds)
        told = {name: record[name] for name in ("running", "news", "progress")}
        if record["running"]:
            return {**told, "began": record["since"]}
        gone = {**UNKNOWN, **self.kept(), **left_in(record), "failure": record["error"] or DIED}
        result = record["result"] or gone
        return {**told, "began": record["since"], **result}


def left_by(told: Mapping[str, Any], applied: Sequence[str] = ()) -> dict[str, Any]:
    """Say what a run that did not come to its end has left by its news: a part of what it was at, or of one before.

    What is ``applied`` after all is in the database as a whole; where the database cannot be asked any more, that is not known.
    """
    parts = [part for part in told.get("parts") or [] if part not in applied]
    at = RESTORED if told.get("stage") == "restoring" else told.get("migration")
    if at and not told.get("atomic", True) and at not in [*applied, *parts]:
        parts.append(at)
    return {"halfway": bool(parts), "parts": parts}


def left_in(record: Mapping[str, Any]) -> dict[str, Any]:
    """Say the same of one by its record."""
    result = record["result"]
    if result is None:
        return left_by(record["progress"] or {})
    return {name: result.get(name) or nothing for name, nothing in WHOLE.items()}
