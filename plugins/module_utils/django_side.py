"""What runs inside the site's own Django, with the release's Python: the plan of migrations, migrating, and the way back.

This file and ``databases`` are fed to that Python on standard input (``migrations.program``), so that nothing is installed
into the site. It takes its request as one JSON argument, writes its result as JSON to the descriptor that the request names, and
how far it is, a line of JSON each, to another.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import socket
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ansible_collections.intermission.django.plugins.module_utils.databases import (
    back_up,
    database_of,
    forget_backups,
)
from ansible_collections.intermission.django.plugins.module_utils.engine import Database, DatabaseFault

Tell = Callable[..., None]
WAYS = ("serving", "hold", "window")  # the lighter first
LOCK_TRIES = 5
WORD_SECONDS = 5.0


def set_up_django() -> None:
    """Start Django in the way the project's manage.py does, whatever it sets or reads before."""
    sys.path.insert(0, os.getcwd())
    sys.argv = ["manage.py", "version"]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path("manage.py", run_name="__main__")
    except SystemExit as ended:
        if ended.code not in (None, 0):
            raise


def heads() -> dict[str, str]:
    """Give the last migration of each app in this release's code."""
    from django.db.migrations.loader import MigrationLoader

    return dict(MigrationLoader(None).graph.leaf_nodes())


def applied(alias: str) -> list[str]:
    """List the labels of all applied migrations, also of apps that the release does not have."""
    from django.db import connections
    from django.db.migrations.recorder import MigrationRecorder

    return sorted(f"{app}.{name}" for app, name in MigrationRecorder(connections[alias]).applied_migrations())


def pending(alias: str, targets: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """List the migrations that are to be applied, in order, or to be reversed where the targets lie behind.

    ``targets`` maps an app to its last wanted migration, this release's own by default; apps that it does not name are
    taken back to nothing. Each entry has app, name, label (both), operations, atomic,
    backwards, reversible, and the way that it can be taken with what speaks for that.
    """
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    connection = connections[alias]
    executor = MigrationExecutor(connection)
    planned = executor.migration_plan(target_nodes(executor.loader, targets))
    judge = Judge(alias) if planned else None
    entries = []
    for migration, backwards in planned:
        way, because = ("window", "it goes back") if backwards or judge is None else judge.way_of(migration)
        entries.append(
            {
                "app": migration.app_label,
                "name": migration.name,
                "label": f"{migration.app_label}.{migration.name}",
                "operations": [str(operation.describe()) for operation in migration.operations],
                "atomic": bool(migration.atomic and connection.features.can_rollback_ddl),
                "backwards": backwards,
                "reversible": all(operation.reversible for operation in migration.operations),
                "way": way,
                "because": because,
            }
        )
    return entries


class Judge:
    """Says of a migration whether a site can serve meanwhile, or has to be closed."""

    def __init__(self, alias: str) -> None:
        """Take django-migration-linter along where the release has it."""
        self.findings: list[str] = []
        self.linter = self._linter(alias)

    def way_of(self, migration: Any) -> tuple[str, str]:
        """Give the lightest way of a migration, and why: its author's mark, the linter's verdict, or what it does."""
        mark = getattr(migration, "intermission", None)
        if mark is not None:
            if mark not in WAYS:
                label = f"{migration.app_label}.{migration.name}"
                raise DatabaseFault(f"{label} is marked intermission = {mark!r}; the ways are {', '.join(WAYS)}")
            return mark, "its author says so"
        findings = self._findings(migration)
        if findings == []:
            return "serving", "django-migration-linter finds nothing that the code from before could not live with"
        return "window", "; ".join(findings or ["nothing says that the code from before could live with it"])

    def _linter(self, alias: str) -> Any:
        with contextlib.suppress(ImportError):
            from django_migration_linter import MigrationLinter

            judge = self

            class Linter(MigrationLinter):  # type: ignore[misc]
                def print_errors(self, errors: Any) -> None:
                    judge.findings += [error.message for error in errors]

            return Linter(database=alias, no_output=True, all_warnings_as_errors=True)
        return None

    def _findings(self, migration: Any) -> list[str] | None:
        """Give what the linter has against a migration; None where there is no linter, or it cannot judge it."""
        if self.linter is None:
            return None
        self.findings = []
        before = self.linter.nb_valid
        try:
            self.linter.lint_migration(migration)
        except Exception as error:
            return [f"django-migration-linter failed: {type(error).__name__}"]
        return [] if self.linter.nb_valid > before else self.findings or ["django-migration-linter does not judge it"]


def target_nodes(loader: Any, targets: dict[str, str] | None) -> list[tuple[str, str | None]]:
    """Give the nodes of the migration graph that the plan has to end at.

    An app's last migration that is applied is none: where another app's way back leads over it, it would be applied again.
    """
    leaves: list[tuple[str, str | None]] = loader.graph.leaf_nodes()
    if targets is None:
        return leaves
    return [
        (app, targets.get(app))
        for app, name in leaves
        if targets.get(app) != name or (app, name) not in loader.applied_migrations
    ]


def unknown(alias: str) -> list[str]:
    """List applied migrations that this release's code does not have, of the apps that it has: a newer one made them."""
    from django.db import connections
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(connections[alias])
    replaced = {name for migration in loader.disk_migrations.values() for name in migration.replaces}
    known = {*loader.disk_migrations, *replaced}
    return [
        f"{app}.{name}"
        for app, name in loader.applied_migrations
        if app in loader.migrated_apps and (app, name) not in known
    ]


def plan(request: dict[str, Any]) -> dict[str, Any]:
    """Tell which database it is, what stands against migrating it, what is pending, and where the migrations end."""
    from django.db import connections

    alias = request["database"]
    connection = connections[alias]
    database = database_of(connection)
    entries = pending(alias, request["targets"])
    return {
        "engine": connection.settings_dict["ENGINE"],
        "vendor": connection.vendor,
        "database": database.name,
        "host": database.host,
        "pending": entries,
        "unknown": unknown(alias),
        "heads": heads(),
        "faults": database.faults(bool(request["backup_directory"]), request["trial_megabytes"]) if entries else [],
        "restore": database.restore(request["backup"]) if request["backup"] else [],
    }


def migrate(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Migrate under the lock, after a backup; a failure is told, not raised, with what was done before it.

    A deploy that goes on where one died gives what that one has noted, ``before`` and ``backup``, which stay the way back. ``started``
    tells whether the schema may have been touched, ``halfway`` whether a part of the migration that failed may be there.
    """
    from django.db import connections

    alias, targets = request["database"], request["targets"]
    connection = connections[alias]
    database = database_of(connection)
    # A plan has rehearsed the backup while visitors were let in, and they do not wait for that once more
    result: dict[str, Any] = plan({**request, "backup_directory": None} if request["planned"] is not None else request)
    result.update(backup=request["backup"], restore=[], applied=[], failure="", failed_migration=None, halfway=False)
    result.update(started=False, seconds=0.0, traceback="", before=request["before"])
    try:
        if result["faults"]:
            raise DatabaseFault("; ".join(result["faults"]))
        with database.lock(request["lock_seconds"], lambda holder: tell(stage="waiting", holder=holder)):
            entries = pending(alias, targets)
            refuse_the_unplanned(entries, request["planned"])
            if result["before"] is None:
                result["before"] = applied(alias)
            if request["backup_directory"] and entries and not result["backup"]:
                tell(stage="backup")
                connection.close()  # a long backup must not leave it to a server's or a firewall's idle timeout
                result["backup"] = back_up(database, request["backup_directory"], request["trial_megabytes"])
                forget_backups(database, result["backup"], request["keep_backups"])
            kept = {"before": result["before"], "backup": result["backup"]}
            tell(stage="migrating", of=len(entries), **kept)
            result["started"] = True
            started = time.monotonic()
            try:
                with limited(database, request), watched(entries, tell, kept):
                    run_patiently(alias, entries, targets, tell)
            finally:
                result["seconds"] = round(time.monotonic() - started, 3)
                result["restore"] = database.restore(result["backup"]) if result["backup"] else []
                left = [entry["label"] for entry in pending(alias, targets)]
                result["applied"] = [entry["label"] for entry in entries if entry["label"] not in left]
                failed = next((entry for entry in entries if entry["label"] in left), None)
                if failed:
                    result.update(failed_migration=failed["label"], halfway=not failed["atomic"])
    except DatabaseFault as error:
        result["failure"] = str(error)
    except Exception as error:
        result["failure"] = f"{type(error).__name__}: {error}"
        result["traceback"] = traceback.format_exc()[-4000:]
    return result


def refuse_the_unplanned(entries: Sequence[dict[str, Any]], planned: Sequence[str] | None) -> None:
    """Raise DatabaseFault where more is pending than the plan had: an SQLite database that is gone comes back empty, for instance."""
    strange = [entry["label"] for entry in entries if planned is not None and entry["label"] not in planned]
    if strange:
        raise DatabaseFault(
            f"the database is another than the one that was planned for: {', '.join(strange)} is pending now, and was not then"
        )


def undo(request: dict[str, Any], tell: Tell) -> dict[str, Any]:
    """Take the database back to the migrations ``before``: reverse just the others and apply what is missing, or restore the backup.

    The way is told as ``undone``: ``nothing`` was to be done, ``reversed``, ``applied`` after a rollback, ``restored``, or empty where
    ``failure`` says why not. A rollback takes data away with columns and tables, so that its backup comes first where it may be had.
    """
    from django.db import connections

    alias, before = request["database"], set(request["before"])
    database = database_of(connections[alias])
    result: dict[str, Any] = {"undone": "", "failure": "", "traceback": "", "seconds": 0.0}
    started = time.monotonic()
    try:
        with database.lock(request["lock_seconds"], lambda holder: tell(stage="waiting", holder=holder)):
            differs = before.symmetric_difference(applied(alias))
            entries = pending(alias, last_ones(alias, before)) if differs else []
            backwards = all(entry["backwards"] for entry in entries)
            hindered = hindrance(alias, entries, before) or (
                "a part of a migration may be in the database" if request["halfway"] else ""
            )
            may_restore = bool(request["restores"] and request["backup"])
            if not differs and not hindered:
                result["undone"] = "nothing"
            elif not hindered and (backwards or not may_restore):
                tell(stage="reversing", of=len(entries))
                with limited(database, request), watched(entries, tell, {}):
                    run_migrations(alias, entries, last_ones(alias, before))
                forget_squashes(alias, before)
                result["undone"] = "reversed" if backwards else "applied"
            else:
                if not request["restores"]:
                    raise DatabaseFault(
                        f"{hindered}, and the backup is restored only with django_migrate_restore: true, and where no visitor's "
                        "request has been let go to the new version"
                    )
                if not request["backup"]:
                    raise DatabaseFault(f"{hindered}, and there is no backup")
                tell(stage="restoring", atomic=bool(connections[alias].features.can_rollback_ddl))
                connections[alias].close()
                database.recover(request["backup"])
                result["undone"] = "restored"
            if set(applied(alias)) != before:
                raise DatabaseFault("afterwards other migrations were applied than before")
    except DatabaseFault as error:
        result.update(undone="", failure=str(error))
    except Exception as error:
        result.update(undone="", failure=f"{type(error).__name__}: {error}", traceback=traceback.format_exc()[-4000:])
    result["seconds"] = round(time.monotonic() - started, 3)
    return result


def hindrance(alias: str, entries: Sequence[dict[str, Any]], before: set[str]) -> str:
    """Say why the migrations that are there cannot be taken back to those before; nothing where they can."""
    replaced = replacements(alias)
    back = [entry["label"] for entry in entries if entry["backwards"]]
    wrong = [label for label in back if before & {label, *replaced.get(label, ())}]
    if wrong:
        return f"the way back leads over {', '.join(wrong)}, of which a part was there before"
    one_way = [entry["label"] for entry in entries if entry["backwards"] and not entry["reversible"]]
    return f"{', '.join(one_way)} cannot be reversed" if one_way else ""


def replacements(alias: str) -> dict[str, set[str]]:
    """Give the migrations that each squashed one stands for."""
    from django.db import connections
    from django.db.migrations.loader import MigrationLoader

    known = MigrationLoader(connections[alias]).disk_migrations
    return {
        f"{app}.{name}": {".".join(replaced) for replaced in migration.replaces}
        for (app, name), migration in known.items()
        if migration.replaces
    }


def forget_squashes(alias: str, before: set[str]) -> None:
    """Take away the records of squashed migrations that Django made itself, because all that they stand for was there before."""
    from django.db import connections
    from django.db.migrations.recorder import MigrationRecorder

    recorder = MigrationRecorder(connections[alias])
    for label, replaced in replacements(alias).items():
        if label not in before and replaced <= before:
            recorder.record_unapplied(*label.split(".", 1))


def last_ones(alias: str, labels: set[str]) -> dict[str, str]:
    """Give the last migration of each app among these labels, as the targets of ``pending``.

    A squashed one is among them where all that it stands for is.
    """
    from django.db import connections
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connections[alias])
    everything = executor.migration_plan(executor.loader.graph.leaf_nodes(), clean_start=True)
    there = {label for label, replaced in replacements(alias).items() if replaced <= labels} | labels
    named = ((migration.app_label, migration.name) for migration, _backwards in everything)
    return {app: name for app, name in named if f"{app}.{name}" in there}


def run_migrations(alias: str, planned: Sequence[dict[str, Any]], targets: dict[str, str] | None) -> None:
    """Run Django's own migrate command: forwards to the end, or each app back to its target."""
    from django.core.management import call_command

    options: dict[str, Any] = {"database": alias, "interactive": False, "verbosity": 0}
    if targets is None:
        call_command("migrate", **options)
        return
    for app in dict.fromkeys(entry["app"] for entry in planned):
        call_command("migrate", app, targets.get(app, "zero"), **options)


def run_patiently(alias: str, planned: Sequence[dict[str, Any]], targets: dict[str, str] | None, tell: Tell) -> None:
    """Run the migrations, and again where one that leaves nothing behind did not get its locks in time."""
    from django.db import OperationalError, connections

    atomic = all(entry["atomic"] for entry in planned)
    for number in range(LOCK_TRIES):
        try:
            run_migrations(alias, planned, targets)
            return
        except OperationalError as error:
            if not atomic or number + 1 == LOCK_TRIES or not database_of(connections[alias]).was_locked_out(error):
                raise
            tell(stage="locked out", tries=number + 1)
            time.sleep(2**number)


@contextlib.contextmanager
def limited(database: Database, request: dict[str, Any]) -> Iterator[None]:
    """Have the database's own limits on how long a statement waits for locks and runs, also over connections made anew."""
    from django.db.backends.signals import connection_created

    statements = database.limits(request["lock_timeout"], request["statement_timeout"])

    def set_limits(connection: Any, **_: Any) -> None:
        if connection.alias == database.connection.alias:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)

    connection_created.connect(set_limits, weak=False)
    try:
        if database.connection.connection is not None:
            set_limits(database.connection)
        yield
    finally:
        connection_created.disconnect(set_limits)


@contextlib.contextmanager
def watched(entries: Sequence[dict[str, Any]], tell: Tell, kept: dict[str, Any]) -> Iterator[None]:
    """Tell of each migration when it begins."""
    from django.db.migrations.executor import MigrationExecutor

    labels = [entry["label"] for entry in entries]
    methods = {name: getattr(MigrationExecutor, name) for name in ("apply_migration", "unapply_migration")}

    def wrapped(method: Any) -> Any:
        def run(executor: Any, state: Any, migration: Any, *arguments: Any, **options: Any) -> Any:
            label = f"{migration.app_label}.{migration.name}"
            number = labels.index(label) + 1 if label in labels else 0
            since = datetime.now(timezone.utc).isoformat(timespec="seconds")
            tell(
                stage="migrating",
                migration=label,
                number=number,
                of=len(labels),
                since=since,
                atomic=bool(migration.atomic and executor.connection.features.can_rollback_ddl),
                **kept,
            )
            return method(executor, state, migration, *arguments, **options)

        return run

    for name, method in methods.items():
        setattr(MigrationExecutor, name, wrapped(method))
    try:
        yield
    finally:
        for name, method in methods.items():
            setattr(MigrationExecutor, name, method)


VERBS: dict[str, Callable[[dict[str, Any], Tell], dict[str, Any]]] = {
    "plan": lambda request, _: plan(request),
    "migrate": migrate,
    "undo": undo,
}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do what a request says, and write and give what comes of it; who reads the news has the result at their end."""
    with open(request["news"], "w", encoding="utf-8") as news:

        def tell(**facts: Any) -> None:
            news.write(json.dumps(facts) + "\n")
            news.flush()

        result = VERBS[request["verb"]](request, tell)
        with open(request["result"], "w", encoding="utf-8") as stream:
            json.dump(result, stream)
    return result


def identified(identity: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Add the environment to what a request is recognized by, but for LC_CTYPE, which Python itself sets where the locale is C."""
    return {**identity, "environment": {name: value for name, value in environment.items() if name != "LC_CTYPE"}}


def stand_by(listener: int, seconds: float, identity: dict[str, Any]) -> None:
    """Wait so long at a socket for one more request of who is alike, see ``standby``."""
    from django.db import connections

    connections.close_all()
    with socket.socket(fileno=listener) as waiting:
        waiting.settimeout(seconds)
        connection, _address = waiting.accept()
    with connection:
        connection.settimeout(WORD_SECONDS)
        with connection.makefile("rb") as stream:
            told = json.loads(stream.readline() or b"{}")
        if told.get("identity") != identity:
            return
        connection.sendall(b"r")
        word, descriptors, _flags, _address = socket.recv_fds(connection, 1, 3)
        if word != b"g":
            return
    said, result, news = descriptors
    for descriptor in (1, 2):
        os.dup2(said, descriptor)
    answer({**told["request"], "result": result, "news": news})


def main() -> None:
    """Answer the request in the first argument, and another one that comes in time where it says so."""
    request = json.loads(sys.argv[1])
    identity = identified(request["identity"], os.environ)
    set_up_django()
    result = answer(request)
    if request["listener"] is not None and result["pending"]:
        with contextlib.suppress(OSError):
            stand_by(request["listener"], request["stays"], identity)
