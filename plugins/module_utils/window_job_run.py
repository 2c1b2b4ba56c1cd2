"""The run of a window's job, in a unit of its own: begun once, told of in the journal, and seen through to the window's end."""

# This runs as a program, which prints # pylint: disable=ansible-bad-function
from __future__ import annotations

import codecs
import contextlib
import math
import os
import pwd
import select
import signal
import subprocess
import time
from datetime import datetime, timezone
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.account import home, run_as
from ansible_collections.intermission.django.plugins.module_utils.schedule import SOURCE, Plan, Schedule
from ansible_collections.intermission.django.plugins.module_utils.state import StateError
from ansible_collections.intermission.django.plugins.module_utils.terminal import printable
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant
from ansible_collections.intermission.django.plugins.module_utils.window_job import (
    FAILED,
    INTERRUPTED,
    WAITS,
    Command,
)

POLL_SECONDS = 0.5
GRACE_SECONDS = 10.0
LAST_LINES = 10
LONGEST_LINE = 300


def run_job(schedule: Schedule) -> None:
    """Run the job of the window that is open, unless it has run, and close the window where that is due then.

    Who may not write where jobs are kept, or not alone, gets PermissionError. Raises StateError where the job fails, or has failed
    before: the window stays. One that was interrupted has failed, and is not run again.
    """
    with contextlib.ExitStack() as lock:
        lock.enter_context(schedule.directory.locked())
        plan = schedule.open_plan()
        progress = schedule.job_of(plan)
        if plan is None or plan.job is None or progress is None or plan.begins > _now():
            return
        schedule.jobs.check_ours()
        if progress.state == INTERRUPTED:
            schedule.jobs.job(plan.job).give_up(f"{progress.fault}, by a reboot or because its unit was stopped")
            progress = schedule.jobs.progress(plan.job, plan.begins)
            _tell(schedule, plan, progress.fault)
        if progress.state == FAILED:
            raise StateError(_failure(schedule, plan, progress.fault or ""))
        if progress.state != WAITS:
            return
        fault = _run(schedule, plan, lock)
    with schedule.directory.locked():
        schedule.forget_jobs()
    if fault:
        raise StateError(_failure(schedule, plan, fault))
    schedule.settle(_now())


def _run(schedule: Schedule, plan: Plan, lock: contextlib.ExitStack) -> Optional[str]:
    """Run a job for the first time, and let go of the lock when its file says so; gives what was wrong."""
    order = plan.order
    if plan.job is None or order is None or not _is_for(schedule, plan):
        raise StateError(
            _failure(schedule, plan, "was not ordered for the time at which its window says that it begins")
        )

    def work(_tell_progress: Any) -> dict[str, Any]:
        lock.close()  # First, as nobody could open or close the site while a full disk is waited for
        if not order.may_begin(plan.begins, _now()):
            return {"status": None, "fault": "could not begin before the end that was ordered", "output": []}
        schedule.directory.record(
            "job begun", plan.window.opened_by, SOURCE, window=plan.id, command=order.command.text
        )
        return execute(order.command)

    record = schedule.jobs.job(plan.job).do(format_instant(plan.begins), work)
    result = record["result"] or {"status": None, "fault": record["error"], "output": []}
    fault: Optional[str] = result["fault"]
    _tell(schedule, plan, fault, status=result["status"], output=result["output"])
    return fault


def _is_for(schedule: Schedule, plan: Plan) -> bool:
    """Tell whether a job was ordered for the time that its window, which members may have changed, begins at."""
    try:
        return plan.order is not None and plan.order.is_for(plan.begins)
    except ValueError as error:
        raise StateError(_failure(schedule, plan, f"is for what recurs, and {error}")) from error


def _tell(schedule: Schedule, plan: Plan, fault: Optional[str], **details: Any) -> None:
    event = "job failed" if fault else "job done"
    details = {**details, "fault": fault} if fault else details
    schedule.directory.record(event, plan.window.opened_by, SOURCE, window=plan.id, **details)


def _failure(schedule: Schedule, plan: Plan, fault: str) -> str:
    site = schedule.directory.site
    return f"the job of {plan.id} {fault}. {site} stays closed: see what it has left, and open it with intermission off {site}"


def execute(command: Command) -> dict[str, Any]:
    """Run a command, and print what it says; gives its exit status, what was wrong or None, and the last lines of what it has said."""
    heard = _Output()
    user = command.user or pwd.getpwuid(os.geteuid()).pw_name
    try:
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", **home(user)}
        account = {"start_new_session": True, **run_as(command.user)}
        with subprocess.Popen(
            command.words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environment,
            **account,
        ) as process:
            in_time = _follow(process, command.seconds, heard)
    except (OSError, KeyError, subprocess.SubprocessError) as error:
        return {"status": None, "fault": f"could not be started: {error}", "output": []}
    status = process.returncode
    fault = _fault(status) if in_time else f"took longer than {command.seconds:g} s, and was ended"
    return {"status": status, "fault": fault, "output": heard.last_lines()}


def _fault(status: int) -> Optional[str]:
    if status >= 0:
        return f"ended with {status}" if status else None
    names = {number.value: number.name for number in signal.Signals}
    return f"was killed by {names.get(-status, f'signal {-status}')}"


def _follow(process: subprocess.Popen[bytes], seconds: Optional[float], heard: _Output) -> bool:
    """Hear a process until it ends, also where others whom it leaves behind go on; gives False where it has to be ended."""
    deadline = time.monotonic() + (math.inf if seconds is None else seconds)
    stream = process.stdout.fileno() if process.stdout else -1
    while True:
        over = process.poll() is not None
        if not over and time.monotonic() >= deadline:
            _end(process)
            return False
        if select.select([stream], [], [], 0 if over else POLL_SECONDS)[0]:
            said = os.read(stream, 65536)
            heard.hear(said)
            if not said and not over:  # It has closed its output, and is at work
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
        if over:
            return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with all of its group: asked first, so that it may take back what it is at."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)


class _Output:
    """What a command says: printed at once, its end kept, without what would steer a terminal."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._end = ""

    def hear(self, said: bytes) -> None:
        """Take what was said."""
        text = self._decoder.decode(said)
        self._end = (self._end + text)[-LAST_LINES * LONGEST_LINE :]
        with contextlib.suppress(OSError):
            print(printable(text, "\n\t"), end="", flush=True)

    def last_lines(self) -> list[str]:
        """Give the last lines."""
        return [printable(line)[-LONGEST_LINE:] for line in self._end.splitlines()[-LAST_LINES:]]


def _now() -> datetime:
    return datetime.now(timezone.utc)
