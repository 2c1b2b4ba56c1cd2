"""Writes down each task of a run as it goes, and kills the controller at one of them.

Only these tests enable it. ``FAULTS_RECORD`` of the environment names a file, which gets a line of JSON for each task that starts
and for each host that has finished it. ``FAULTS_AT`` is JSON too: ``task``, its name; ``nth``, of those of this name; and ``when``,
``start`` for when the task starts, ``finished`` for as soon as the first host has finished it. Instead of a kill, a shell command of
``FAULTS_DO`` is run there.

The stages that hosts go through together in one task are written down as tasks of their own, and a run is killed at them likewise; by
the process of the first host that comes there, while the others cannot begin. The variable ``faults_at_stages`` lets a ``host`` be
lost when it has noted a ``phase`` in one, or has a stage done with ``other`` arguments, when the shell command ``until`` ends with 0.

A kill takes the run's main process and its workers, all there is of the run on the controller. What they have begun on the hosts
goes on to its end with nobody there to hear of it, as it does behind an SSH connection that is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.callback import CallbackBase
from ansible_collections.intermission.django.plugins.action.together import Passage, Stage

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
        self.within = ""
        self._write(pid=os.getpid())
        go_to = Passage.go_to

        def watched(passage: Passage, stage: Stage) -> str:
            return self._stage(passage, stage, go_to)

        setattr(Passage, "go_to", watched)  # noqa: B010  Else a method that is assigned to

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """Note a task."""
        name = task.get_name()
        self.started[name] += 1
        self.within = f"{name}, {self.started[name]}"
        self._write(task=name, nth=self.started[name])
        self.here = self._is_point(name, self.started[name])
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
        if result._result.get("begun") and outcome == "ok":
            return  # Each of its stages is written down
        told = {"held_by": result._result["held_by"]} if "held_by" in result._result else {}
        self._write(host=result._host.get_name(), outcome=outcome, **told)
        self._die("finished")

    def _stage(self, passage: Passage, stage: Stage, go_to: Callable[[Passage, Stage], str]) -> str:
        """Go to a stage in the process of a host, and write it down."""
        name = f"{self.within.partition(' : ')[0]} : {stage.name}"
        with self._alone() as lines:
            here = {"within": self.within, "task": name}
            nth = 1 + sum(line.get("task") == name and "nth" in line for line in lines)
            is_first = not any(here.items() <= line.items() for line in lines)
            if is_first:
                self._write(**here, nth=nth)
            self.here = self._is_point(name, nth if is_first else nth - 1)
            if is_first:
                self._die("start")
        noted, outcome = len(passage.said), "unreachable"
        try:
            why = go_to(passage, self._other(passage, stage))
            outcome = "failed" if why else "ok" if stage.steps else "skipped"
            return why
        finally:
            records = [each["held_by"] for each in passage.said[noted:] if "held_by" in each]
            told = {"held_by": records[-1]} if records else {}
            with self._alone() as lines:
                of_this = {"of": name, "within": self.within}
                is_first = not any(of_this.items() <= line.items() for line in lines)
                self._write(host=passage.me, outcome=outcome, **of_this, **told)
                if is_first:
                    self._die("finished")

    def _other(self, passage: Passage, stage: Stage) -> Stage:
        """Give the stage as it is to be done; raises AnsibleConnectionFailure where the host is to be lost by now."""
        wanted = passage.task_vars.get("faults_at_stages") or {}
        if wanted.get("host") != passage.me:
            return stage
        if "phase" in wanted and wanted["phase"] in [each.get("phase") for each in passage.said if "held_by" in each]:
            raise AnsibleConnectionFailure("the tests have taken it away")
        other = wanted.get("other", {}).get(stage.name)
        if not other:
            return stage
        while subprocess.run(wanted["until"], shell=True, check=False).returncode != 0:
            time.sleep(0.01)
        return dataclasses.replace(stage, steps=[(name, {**given, **other}) for name, given in stage.steps])

    def _is_point(self, name: str, nth: int) -> bool:
        return self.point is not None and (name, nth) == (self.point["task"], self.point["nth"])

    @contextlib.contextmanager
    def _alone(self) -> Iterator[list[dict[str, Any]]]:
        """Keep the processes of the other hosts from coming here; gives what is written down."""
        if self.record is None:
            yield []
            return
        with self.record.open(encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield [json.loads(line) for line in stream]

    def _write(self, **what: Any) -> None:
        if self.record is not None:
            with self.record.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(what) + "\n")

    def _die(self, when: str) -> None:
        if self.here and self.point["when"] == when:
            if "FAULTS_DO" in os.environ:
                subprocess.run(os.environ["FAULTS_DO"], shell=True, check=True)
                return
            main = (
                json.loads(self.record.read_text(encoding="utf-8").partition("\n")[0])["pid"]
                if self.record
                else os.getpid()
            )
            workers = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if parent(pid) == main]
            for pid in sorted({*workers, main}, key=os.getpid().__eq__):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def parent(pid: int) -> int:
    """Give the number of a process's parent, 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    except OSError:
        return 0
