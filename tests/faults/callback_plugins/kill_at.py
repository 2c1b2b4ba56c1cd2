"""Writes down each task of a run as it goes, and kills the controller at one of them.

Only these tests enable it. ``FAULTS_RECORD`` of the environment names a file, which gets a line of JSON for each task that starts
and for each host that has finished it. ``FAULTS_AT`` is JSON too: ``task``, its name; ``nth``, of those of this name; and ``when``,
``start`` for when the task starts, ``finished`` for as soon as the first host has finished it. Instead of a kill, a shell command of
``FAULTS_DO`` is run there.

A kill takes the run's main process and its workers, all there is of the run on the controller. What they have begun on the hosts
goes on to its end with nobody there to hear of it, as it does behind an SSH connection that is gone.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: kill_at
type: aggregate
short_description: Writes down each task of a run as it goes, and kills the controller at one of them
description:
  - For the tests of what a controller leaves behind that dies.
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """See above."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kill_at"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Read what to do; the run's own number is the first line of what is written."""
        super().__init__()
        self.record = Path(os.environ["FAULTS_RECORD"]) if "FAULTS_RECORD" in os.environ else None
        self.point = json.loads(os.environ.get("FAULTS_AT", "null"))
        self.started: Counter[str] = Counter()
        self.here = False
        self._write(pid=os.getpid())

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Note a task."""
        name = task.get_name()
        self.started[name] += 1
        self._write(task=name, nth=self.started[name])
        self.here = self.point is not None and (name, self.started[name]) == (self.point["task"], self.point["nth"])
        self._die("start")

    v2_playbook_on_handler_task_start = v2_playbook_on_task_start

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note that a host has finished it."""
        self._finished(result, "ok")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Note that a host has passed it over."""
        self._finished(result, "skipped")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Note that it has failed on a host."""
        self._finished(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Note that a host could not be reached."""
        self._finished(result, "unreachable")

    def _finished(self, result: Any, outcome: str) -> None:
        told = {"held_by": result._result["held_by"]} if "held_by" in result._result else {}
        self._write(host=result._host.get_name(), outcome=outcome, **told)
        self._die("finished")

    def _write(self, **what: Any) -> None:
        if self.record is not None:
            with self.record.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(what) + "\n")

    def _die(self, when: str) -> None:
        if self.here and self.point["when"] == when:
            if "FAULTS_DO" in os.environ:
                subprocess.run(os.environ["FAULTS_DO"], shell=True, check=True)
                return
            for worker in multiprocessing.active_children():
                worker.kill()
            os.kill(os.getpid(), signal.SIGKILL)
