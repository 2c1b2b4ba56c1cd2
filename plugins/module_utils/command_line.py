"""The command ``intermission``: open, close and look at the windows of the sites on this host, without a controller."""

# This runs as a program, which prints # pylint: disable=ansible-bad-function
from __future__ import annotations

import argparse
import contextlib
import grp
import io
import json
import os
import pwd
import socket
import stat
import sys
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord
from ansible_collections.intermission.django.plugins.module_utils.files import closed_to_others, write_file
from ansible_collections.intermission.django.plugins.module_utils.hold import Hold
from ansible_collections.intermission.django.plugins.module_utils.hooks import (
    HookError,
    Hooks,
    close_window,
    follow_schedule,
    open_window,
)
from ansible_collections.intermission.django.plugins.module_utils.icalendar import calendar_of
from ansible_collections.intermission.django.plugins.module_utils.metrics import gauges, render
from ansible_collections.intermission.django.plugins.module_utils.schedule import (
    OverlapError,
    Schedule,
    keep_time,
    placed,
    requested_times,
)
from ansible_collections.intermission.django.plugins.module_utils.share import ALL, SHARES, let_in
from ansible_collections.intermission.django.plugins.module_utils.state import (
    LAYERS,
    HeldError,
    StateDirectory,
    StateError,
    Window,
    is_of_deploy,
    known_sites,
    new_secret,
    window_request,
)
from ansible_collections.intermission.django.plugins.module_utils.terminal import printable, table
from ansible_collections.intermission.django.plugins.module_utils.times import parse_instant

VERSION = "0.1.0"
DONE, FAILED, MISUSED, NOT_ALLOWED, INTERRUPTED = 0, 1, 2, 77, 130
SHOWN_ENTRIES = 5
ANNOUNCED = "Maintenance-Window"
PASS_PATH = "/_intermission/pass/"
_SEEN = {False: "sees the flag and can read the page", True: "sees the flag and lets pass, so that the app answers"}


class UsageError(Exception):
    """What was asked for makes no sense; the message says what does."""


class RefusedError(Exception):
    """This account may not do it; the message says who may."""


def main(arguments: list[str], root: str, hooks: Optional[str] = None) -> int:
    """Run the command for the sites below a directory, with the hooks of another; gives the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    options = make_parser().parse_args(arguments, argparse.Namespace(hooks=hooks))
    try:
        options.run(options, root)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except UsageError as error:
        return _complain(str(error), MISUSED)
    except RefusedError as error:
        return _complain(str(error), NOT_ALLOWED)
    except PermissionError as error:
        return _complain(f"{account()} may not touch {error.filename}: {error.strerror}.", NOT_ALLOWED)
    except OSError as error:
        return _complain(f"{error.filename}: {error.strerror}" if error.filename else str(error), FAILED)
    except StateError as error:
        return _complain(str(error), FAILED)
    return DONE


def _complain(message: str, status: int) -> int:
    print(f"intermission: {printable(message)}", file=sys.stderr)
    return status


def make_parser() -> argparse.ArgumentParser:
    """Make what reads the command's arguments, of which its completion and its manual page are made too."""
    parser = argparse.ArgumentParser(
        prog="intermission", description="Maintenance of the sites on this host.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"intermission {VERSION}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    on = commands.add_parser("on", help="close a site to visitors", allow_abbrev=False)
    on.add_argument("site", metavar="SITE")
    on.add_argument("--for", dest="duration", metavar="TIME", help="how long from now, such as 10m or 1h30m")
    on.add_argument("--until", metavar="INSTANT", help="when it ends, such as 2099-12-01T02:00Z")
    on.add_argument("--expires", action="store_true", help="let it close by itself at its end")
    _add_window_options(on)
    _add_pass_option(on)
    _add_hook_option(on)
    on.set_defaults(run=_on)

    off = commands.add_parser("off", help="open a site to visitors", allow_abbrev=False)
    off.add_argument("site", metavar="SITE")
    off.add_argument("--force", action="store_true", help="also where a deploy has closed it")
    off.add_argument(
        "--share",
        choices=[str(share) for share in SHARES],
        default=str(ALL),
        metavar="PERCENT",
        help="so many of the visitors, by their address; with less than 100 the window stays open for the others",
    )
    _add_hook_option(off)
    off.set_defaults(run=_off)

    schedule = commands.add_parser("schedule", help="close a site at a time to come", allow_abbrev=False)
    schedule.add_argument("site", metavar="SITE")
    schedule.add_argument(
        "--from",
        dest="begins",
        required=True,
        metavar="TIME",
        help="when it begins: 'in 2h', an instant such as 2099-12-01T02:00Z, or what recurs, such as 'Sun 02:00 Europe/Berlin'",
    )
    schedule.add_argument("--for", dest="duration", metavar="TIME", help="how long it lasts, such as 10m or 1h30m")
    schedule.add_argument("--until", metavar="INSTANT", help="when it ends, such as 2099-12-01T02:30Z")
    _add_window_options(schedule)
    _add_pass_option(schedule)
    schedule.add_argument("--merge", action="store_true", help="let it become one with windows that it overlaps")
    schedule.set_defaults(run=_schedule)

    cancel = commands.add_parser("cancel", help="take a window out of the schedule", allow_abbrev=False)
    cancel.add_argument("site", metavar="SITE")
    cancel.add_argument("id", metavar="ID", nargs="?", help="the window, where several are scheduled")
    cancel.add_argument("--once", action="store_true", help="where it recurs, this one time only")
    cancel.set_defaults(run=_cancel)

    extend = commands.add_parser(
        "extend", help="give a scheduled window another end, also while it is open", allow_abbrev=False
    )
    extend.add_argument("site", metavar="SITE")
    extend.add_argument("id", metavar="ID", nargs="?", help="the window; else the open one, or the only scheduled one")
    extend.add_argument("--until", required=True, metavar="INSTANT", help="when it ends now, such as 2099-12-01T02:45Z")
    extend.add_argument("--merge", action="store_true", help="let it become one with windows that it overlaps")
    extend.set_defaults(run=_extend)

    listed = commands.add_parser("list", help="list the windows to come", allow_abbrev=False)
    listed.add_argument("site", metavar="SITE", nargs="?")
    form = listed.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="as one JSON document")
    form.add_argument("--icalendar", action="store_true", help="as an iCalendar file, for people's calendars")
    listed.set_defaults(run=_list)

    due = commands.add_parser(
        "due", help="do what is due now and in the next minute; the timer runs this", allow_abbrev=False
    )
    due.add_argument("site", metavar="SITE")
    due.set_defaults(run=_due)

    hooks = commands.add_parser(
        "hooks", help="run the hooks behind what the schedule has done; a unit runs this", allow_abbrev=False
    )
    hooks.add_argument("site", metavar="SITE")
    hooks.set_defaults(run=_hooks)

    job = commands.add_parser(
        "job", help="run the command of the window that is open, once; its unit runs this", allow_abbrev=False
    )
    job.add_argument("site", metavar="SITE")
    job.set_defaults(run=_job)

    hold = commands.add_parser(
        "hold", help="let no request wait for a deploy for longer than it can; a unit runs this", allow_abbrev=False
    )
    hold.add_argument("site", metavar="SITE")
    hold.set_defaults(run=_hold)

    status = commands.add_parser("status", help="show a site, or all sites of this host", allow_abbrev=False)
    status.add_argument("site", metavar="SITE", nargs="?")
    status.add_argument("--json", action="store_true", help="as one JSON document")
    status.set_defaults(run=_status)

    metrics = commands.add_parser(
        "metrics", help="tell Prometheus of a site, or of all sites of this host", allow_abbrev=False
    )
    metrics.add_argument("site", metavar="SITE", nargs="?")
    metrics.add_argument("--write", metavar="FILE", help="put it there, for node_exporter, and print nothing")
    metrics.set_defaults(run=_metrics)
    return parser


def _add_window_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", type=_text, default="", metavar="TEXT", help="why, shown to visitors and kept")
    parser.add_argument("--message", type=_text, default="", metavar="TEXT", help="what else visitors are to read")
    parser.add_argument(
        "--layer", choices=LAYERS, default="nginx", help="who answers visitors: nginx, or the app with its middleware"
    )
    parser.add_argument("--read-only", action="store_true", help="GET and HEAD go on to the app")


def _add_pass_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--pass", dest="make_pass", action="store_true", help="make a secret link for those who are to pass"
    )


def _add_hook_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-hooks", dest="hooks", action="store_const", const=None, default=argparse.SUPPRESS, help="run no hooks"
    )


def _text(argument: str) -> str:
    try:
        argument.encode()
    except UnicodeEncodeError as error:
        raise argparse.ArgumentTypeError("is not text in the encoding of this session") from error
    return argument


def _on(options: argparse.Namespace, root: str) -> None:
    try:
        request = window_request("window", options.duration, options.until, datetime.now(timezone.utc))
    except ValueError as error:
        raise UsageError(
            f"{error}. Give --for a duration, for instance 30m or 1h30m, or --until an end with its zone, for instance "
            "2099-12-01T02:00Z; or neither, where the end is not known."
        ) from error
    if options.expires and not request["end"]:
        raise UsageError("What closes by itself needs an end: give --for or --until with --expires.")
    directory = _known_site(options.site, root)
    _check_allowed(directory, "close")
    window = replace(_window(options, **request), expires=options.expires)
    secret = new_secret() if options.make_pass else None
    had_pass = directory.status()["has_pass"]
    try:
        opened, faults = open_window(directory, Hooks(options.hooks, directory), window, person(), source(), secret)
    except HookError as error:
        raise StateError(f"{error}: --no-hooks") from error
    if not opened:
        print("Nothing to do: the same window is open already.")
    if had_pass and not directory.status()["has_pass"]:
        print("The secret link has ended: only who made it, and root, can keep it. Make another one with --pass.")
    _show(directory, secret)
    _tell(faults)


def _tell(faults: list[str]) -> None:
    for fault in faults:
        _complain(fault, FAILED)


def _window(options: argparse.Namespace, id: str, start: str, end: Optional[str]) -> Window:
    return Window(
        id=id,
        site=options.site,
        start=start,
        end=end,
        reason=options.reason,
        message=options.message,
        opened_by=person(),
        layer=options.layer,
        read_only=options.read_only,
    )


def _schedule(options: argparse.Namespace, root: str) -> None:
    now = datetime.now(timezone.utc)
    try:
        times = requested_times(options.begins, options.duration, options.until, now)
        window, series = placed(_window(options, "", "", None), times, now)
    except ValueError as error:
        raise UsageError(
            f"{error}. Give --from a begin, for instance 'in 2h', 2099-12-01T02:00Z or 'Sun 02:00 Europe/Berlin', and --for a "
            "duration, for instance 30m, or --until an end with its zone."
        ) from error
    directory = _known_site(options.site, root)
    _check_allowed(directory, "schedule windows of")
    secret = new_secret() if options.make_pass else None
    try:
        changed, window = Schedule(directory).add(window, series, person(), source(), options.merge, secret=secret)
    except OverlapError as error:
        raise StateError(f"{error}: --merge") from error
    print(_announcement(window) if changed else f"Nothing to do: {_announcement(window)}")
    if secret:
        print(
            f"Pass: {_link(secret)}"
            if changed
            else "Its secret link was shown to who scheduled it. Where that is lost, cancel the window and schedule it again."
        )


def _link(secret: str) -> str:
    return f"{PASS_PATH}{secret} at the site's address; it is shown this once, and ends with the window"


def _announcement(window: Window) -> str:
    text = (
        f"{window.site} is closed from {window.start} ({_distance(window.start)}) to {window.end}, window {window.id}."
    )
    return printable(text)


def _cancel(options: argparse.Namespace, root: str) -> None:
    directory = _known_site(options.site, root)
    _check_allowed(directory, "cancel windows of")
    gone = Schedule(directory).cancel(options.id, person(), source(), options.once)
    if options.id and not gone:
        raise StateError(
            f"{options.site} has no scheduled window {options.id}: see intermission list {options.site}. One that is open is closed "
            f"with: intermission off {options.site}"
        )
    print(printable(f"Cancelled: {', '.join(gone)}." if gone else "Nothing to do: no window is scheduled."))


def _extend(options: argparse.Namespace, root: str) -> None:
    directory = _known_site(options.site, root)
    _check_allowed(directory, "extend windows of")
    try:
        changed = Schedule(directory).extend(options.id, options.until, person(), source(), options.merge)
    except ValueError as error:
        raise UsageError(f"{error}. Give --until an end with its zone, for instance 2099-12-01T02:45Z.") from error
    except OverlapError as error:
        raise StateError(f"{error}: --merge") from error
    if not changed:
        print("Nothing to do: that is its end already.")
    _list(argparse.Namespace(site=options.site, json=False, icalendar=False), root)


def _list(options: argparse.Namespace, root: str) -> None:
    names = [_known_site(options.site, root).site] if options.site else known_sites(root)
    plans = [plan for name in names for plan in Schedule(StateDirectory(root, name)).plans()]
    if options.json or options.icalendar:
        windows = [plan.describe() for plan in plans]
        document = {"version": VERSION, "windows": windows}
        sys.stdout.write(json.dumps(document, indent=2) + "\n" if options.json else calendar_of(windows))
        return
    rows = [
        {
            "site": plan.window.site,
            "window": plan.id,
            "state": plan.state,
            "from": plan.window.start,
            "until": plan.window.end,
            "recurs": plan.series.calendar if plan.series else None,
            "by": plan.window.opened_by,
            "reason": plan.window.reason,
            "command": plan.order.command.text if plan.order else None,
        }
        for plan in plans
    ]
    print(table(rows) or "No window is scheduled.")


def _job(options: argparse.Namespace, root: str) -> None:
    from ansible_collections.intermission.django.plugins.module_utils.window_job_run import (
        run_job,
    )  # Costs others their start

    run_job(Schedule(_known_site(options.site, root)))


def _due(options: argparse.Namespace, root: str) -> None:
    schedule = Schedule(_known_site(options.site, root), partial(start_job, options.site))
    keep_time(schedule, tell_systemd_that_it_is_ready)
    if schedule.fault:
        raise StateError(schedule.fault)


def _hold(options: argparse.Namespace, root: str) -> None:
    Hold(_known_site(options.site, root)).keep(tell_systemd_that_it_is_ready)


def start_job(site: str) -> None:
    """Let systemd start the unit that runs the job of a site's window, and do not wait for it. Raises StateError and OSError."""
    import subprocess  # Costs most that import this a fifth of their start, and few windows have a job

    command = ["systemctl", "--no-ask-password", "--no-block", "start", f"intermission-{site}-job.service"]
    ran = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if ran.returncode != 0:
        raise StateError(f"`{' '.join(command)}` ended with {ran.returncode}: {ran.stderr.strip()}")


def tell_systemd_that_it_is_ready() -> None:
    """Let units begin that are ordered behind this one (sd_notify(3)); where systemd has not started it, do nothing."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", address.replace("@", "\0", 1) if address.startswith("@") else address)


def _off(options: argparse.Namespace, root: str) -> None:
    directory = _known_site(options.site, root)
    _check_allowed(directory, "open")
    share = int(options.share)
    if share != ALL:
        if options.force:
            raise UsageError("--force opens a site to all visitors. Leave out --force or --share.")
        if not let_in(directory, share, person(), source()):
            print("Nothing to do: that is the share already.")
        _show(directory)
        return
    try:
        hooks = Hooks(options.hooks, directory)
        closed, faults = close_window(directory, hooks, person(), source(), force=options.force)
    except HeldError as error:
        raise StateError(f"{error} intermission off {options.site} --force") from error
    if not closed:
        print("Nothing to do: no window is open.")
    _show(directory)
    _tell(faults)


def _hooks(options: argparse.Namespace, root: str) -> None:
    directory = _known_site(options.site, root)
    _tell(follow_schedule(directory, Hooks(options.hooks, directory), datetime.now(timezone.utc)))


def _status(options: argparse.Namespace, root: str) -> None:
    names = [_known_site(options.site, root).site] if options.site else known_sites(root)
    directories = [StateDirectory(root, name) for name in names]
    if options.json:
        document = {"version": VERSION, "sites": [describe(directory) for directory in directories]}
        print(json.dumps(document, indent=2))
    elif not directories:
        print(f"There is no site below {root}.")
    for directory in directories if not options.json else ():
        _show(directory)


def _metrics(options: argparse.Namespace, root: str) -> None:
    names = [_known_site(options.site, root).site] if options.site else known_sites(root)
    text = render({name: _gauges_of(StateDirectory(root, name)) for name in names}, datetime.now(timezone.utc))
    if options.write:
        write_file(Path(options.write), text.encode())
    else:
        sys.stdout.write(text)


def _gauges_of(directory: StateDirectory) -> dict[str, Optional[int]]:
    """Read what monitoring wants to know; of a state that cannot be read only that."""
    try:
        status, deploy = directory.status(), DeployRecord(directory)
        problem = status["problem"] or (nginx_fault(directory) if status["opened_with"] else None)
        return gauges(status, deploy.read(), deploy.left_behind(), problem)
    except (OSError, StateError, ValueError, OverflowError, RecursionError):
        return {"state_problem": 1}


def _known_site(name: str, root: str) -> StateDirectory:
    sites = known_sites(root)
    if name not in sites:
        here = f"The sites of this host are: {', '.join(sites)}." if sites else f"There is no site at all below {root}."
        raise UsageError(f"There is no site '{name}' on this host. {here}")
    return StateDirectory(root, name)


def _check_allowed(directory: StateDirectory, deed: str) -> None:
    """Raise RefusedError where this account may not write what opening and closing write."""
    places = (directory.path, directory.windows, directory.journal_file, directory.lock_file)
    written = [path for path in places if path.exists()]
    closed = [path for path in written if not os.access(path, os.W_OK)]
    if not closed:
        return
    status = directory.path.stat()
    if status.st_gid == 0 or not status.st_mode & stat.S_IWGRP:
        owner = "root" if status.st_uid == 0 else f"{_name_of(status.st_uid)} and root"
        raise RefusedError(f"{account()} may not {deed} {directory.site}: only {owner} may, on this host.")
    group = _group(status.st_gid)
    refusal = f"{account()} may not {deed} {directory.site}: only root and the members of the group {group} may."
    if status.st_gid in os.getgroups():
        raise RefusedError(
            f"{refusal} {account()} is a member, but {closed[0]} is closed to the group: deploy again, which mends that."
        )
    with contextlib.suppress(KeyError):
        if account() in grp.getgrnam(group).gr_mem:
            raise RefusedError(
                f"{refusal} {account()} has become a member since this session began: log out and in again."
            )
    raise RefusedError(f"{refusal} An administrator adds {account()} with: adduser {account()} {group}")


def account() -> str:
    """Name the account that this runs as."""
    return _name_of(os.getuid())


def _name_of(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def person() -> str:
    """Name the person who does this: who became root with sudo(8), else the account itself, whatever the environment says."""
    became_root = os.environ.get("SUDO_USER") if os.getuid() == 0 else None
    return became_root or account()


def source() -> str:
    """Tell from where this is done: the address that the person logged in from, the terminal, or the console."""
    address = os.environ.get("SSH_CONNECTION", "").partition(" ")[0]
    if address:
        return address
    for descriptor in range(3):
        with contextlib.suppress(OSError):
            return os.ttyname(descriptor)
    return "console"


def describe(directory: StateDirectory) -> dict[str, Any]:
    """Tell all that there is to know of a site, as far as files can tell."""
    status = directory.status()
    deploy = DeployRecord(directory)
    return {
        "site": directory.site,
        "state": "closed" if status["on"] else "open",
        **status,
        "nginx_fault": nginx_fault(directory) if status["opened_with"] else None,
        "pages": str(directory.pages),
        "unfinished_deploy": deploy.read(),
        "failed_deploy": deploy.failed(),
        "held": _held(directory),
        "job": Schedule(directory).told_job(),
        ANNOUNCED: Schedule(directory).announced(),
        "journal": directory.journal(SHOWN_ENTRIES),
    }


def _held(directory: StateDirectory) -> Optional[dict[str, Any]]:
    """Tell for how many seconds yet requests may wait for a deploy, and how many of them; None where none do.

    Both are None for an account that may not read how long and how many.
    """
    try:
        terms = Hold(directory).read()
    except PermissionError:
        return {"seconds": None, "most": None}
    return {"seconds": round(terms.left(), 1), "most": terms.most} if terms else None


def nginx_fault(directory: StateDirectory) -> Optional[str]:
    """Say what Nginx does instead of seeing the flag and showing the page, or None. Only files are looked at."""
    if not directory.flag.exists():
        return "lets visitors in: the flag points to a window that is gone"
    pages = next(filter(None, (sorted(place.glob("503.*.html")) for place in (directory.flag, directory.pages))), [])
    if not pages:
        return f"sees the flag, but there is no {directory.pages}/503.<language>.html: visitors get Nginx's own page"
    closed = closed_to_others(pages[0])
    if closed is None:
        return None
    return (
        f"may not be able to read the page: {closed} is closed to others (mode {stat.S_IMODE(closed.stat().st_mode):o})"
    )


def _show(directory: StateDirectory, secret: Optional[str] = None) -> None:
    """Print the state of a site, to be read at a glance, and the secret of a window that was just opened."""
    about = describe(directory)
    window, deploy, coming, job = about["window"] or {}, about["unfinished_deploy"], about[ANNOUNCED], about["job"]
    head = "CLOSED to visitors" if about["on"] else "OPEN to visitors"
    if about["held"] and not about["on"]:
        head = "OPEN to visitors, whose requests wait"
    if about["opened_with"] == "hand":
        head += ", by hand"
    if window.get("read_only"):
        head = "READ-ONLY to visitors"
    if about["share"]:
        head = f"CLOSED to {ALL - about['share']} of {ALL} visitors"
    if about["overdue"]:
        head += ", OVERDUE"
    if job and job["failed"]:
        head += ", JOB FAILED"
    lines = [f"{directory.site}: {head}"]
    rows = {
        "since": about["since"] and f"{about['since']} ({_distance(about['since'])})",
        "until": about["until"] and f"{about['until']} ({_distance(about['until'])})",
        "reason": window.get("reason"),
        "by": window.get("opened_by"),
        "share": about["share"] and f"{about['share']} of {ALL} visitors pass, by their address",
        "pass": about["has_pass"] and "a secret link lets its bearer pass until the site is opened",
        "nginx": about["nginx_fault"] or (_SEEN[window.get("layer") == "django"] if about["on"] else "sees no flag"),
        "pages": f"{about['pages']}/503.<language>.html",
        "problem": about["problem"],
        "held": about["held"]
        and about["held"]["most"]
        and f"at most {about['held']['most']} requests wait, for {about['held']['seconds']:g} s yet",
        "deploy": _unfinished(deploy) if deploy else about["failed_deploy"] and _failed(about["failed_deploy"]),
        "job": job and _job_in_words(job),
        "planned": coming and f"from {coming[0]['start']} ({_distance(coming[0]['start'])}) to {coming[0]['end']}",
        "next": _next_command(directory, about),
    }
    if about["on"] and about["opened_with"] == "window" and not about["until"]:
        rows["until"] = "not known"
    if secret:
        rows["pass"] = _link(secret)
    lines += [f"  {title:<8}{printable(str(text))}" for title, text in rows.items() if text]
    print("\n".join(lines))


def _failed(deploy: dict[str, Any]) -> str:
    words = ["the deploy", *(["of", deploy["version"]] if deploy["version"] else []), deploy["outcome"] or "failed"]
    return " ".join([*words, *(["at", deploy["at"]] if deploy["at"] else [])]) + ", and keeps the site closed"


def _unfinished(deploy: dict[str, Any]) -> str:
    whose = deploy["holder"].get("user", "somebody")
    what = f" of {deploy['version']}" if deploy.get("version") else ""
    since = f", begun {_distance(deploy['since'])}" if deploy.get("since") else ""
    return f"{whose}'s{what} is not finished: phase {deploy.get('phase')}{since}"


def _job_in_words(job: dict[str, Any]) -> str:
    """Say in a line what has become of the job of a window."""
    parts = [
        job["command"],
        job["fault"] or job["state"],
        job["since"] and f"since {job['since']} ({_distance(job['since'])})",
    ]
    said = f": {job['output'][-1]}" if job["failed"] and job["output"] else ""
    return ", ".join(filter(None, parts)) + said


def _next_command(directory: StateDirectory, about: dict[str, Any]) -> str:
    if not about["opened_with"]:
        return f"intermission on {directory.site} --for 30m"
    if about["job"] and about["job"]["state"] == "runs":
        return f"wait for the job: journalctl --follow --unit intermission-{directory.site}-job.service"
    if is_of_deploy(directory.flagged_id()):
        return "deploy again, which opens the site when it succeeds"
    return f"intermission off {directory.site}"


def _distance(instant: str) -> str:
    """Say how far an instant is from now, in its two largest units."""
    try:
        seconds = round((parse_instant(instant) - datetime.now(timezone.utc)).total_seconds())
    except ValueError:
        return "no instant"
    left, parts = abs(seconds), []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        if left >= length:
            parts.append(f"{left // length}{unit}")
            left %= length
    text = " ".join(parts[:2])
    return "now" if not text else f"in {text}" if seconds > 0 else f"{text} ago"
