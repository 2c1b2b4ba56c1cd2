# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Runs several modules of this collection in one go; its documentation is the module's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ansible import constants
from ansible.errors import AnsibleConnectionFailure
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.intermission.django.plugins.action import deploy_record
from ansible_collections.intermission.django.plugins.action import maintenance_window as maintenance_window_action
from ansible_collections.intermission.django.plugins.modules import (
    app_hold,
    app_service,
    app_smoke_test,
    database_migrate,
    maintenance_proof,
    release,
    systemd_units,
)
from ansible_collections.intermission.django.plugins.plugin_utils.in_process import answer_of
from ansible_collections.intermission.django.plugins.plugin_utils.meeting import Meeting, MeetingError, MeetingOver
from ansible_collections.intermission.django.plugins.plugin_utils.resident import (
    NAME,
    Step,
    begin,
    execute_all,
    known_of,
)
from ansible_collections.intermission.django.plugins.plugin_utils.session import Session

__all__ = [
    "ActionModule",
    "app_hold",
    "app_service",
    "app_smoke_test",
    "database_migrate",
    "maintenance_proof",
    "release",
    "systemd_units",
]

ARGUMENTS = {
    "steps": {"type": "list", "elements": "dict"},
    "stages": {
        "type": "list",
        "elements": "dict",
        "options": {
            "name": {"type": "str", "required": True},
            "steps": {"type": "list", "elements": "dict", "required": True},
        },
    },
    "hosts": {"type": "list", "elements": "str"},
    "alone": {"type": "bool", "default": False},
}
RULES: dict[str, Any] = {
    "mutually_exclusive": [("steps", "stages")],
    "required_one_of": [("steps", "stages")],
    "required_together": [("stages", "hosts")],
}
# What the modules get that need something of the controller; the others need nothing
COMPLETED = {"deploy_record": deploy_record.completed, "maintenance_window": maintenance_window_action.completed}
KNOWN = {"app_hold", "app_service", "app_smoke_test", "database_migrate", "release", "systemd_units", *COMPLETED}
# What is asked from the controller, in the task's own process: a stage of its own
HERE = {"maintenance_proof": maintenance_proof}
# It begins work that may go on for long, or may fail: nothing follows then, and the playbook has what it said
WORK = "database_migrate"


@dataclass(frozen=True)
class Stage:
    """What a host does between two moments at which all hosts of the task are as far as it is."""

    name: str
    steps: list[Step]


class ActionModule(ActionBase):  # type: ignore[misc]
    """See the module's documentation."""

    _supports_check_mode = True

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        """Run the modules."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(ARGUMENTS, **RULES)[1]
        try:
            stages = [stage_of(each) for each in arguments["stages"] or []]
            steps = wanted(arguments["steps"] or [], KNOWN)
        except (TypeError, ValueError) as error:
            return {**result, "failed": True, "msg": str(error)}
        if not stages:
            return {**result, **merged(execute_all(self, task_vars or {}, steps) if steps else [])}
        wrong = [message for stage in stages for each in known_of(stage.steps) for message in each.error_messages]
        if wrong:
            return {**result, "failed": True, "msg": "; ".join(wrong)}
        hosts, lost = arguments["hosts"], set(arguments["hosts"]).difference((task_vars or {})["ansible_play_hosts"])
        if lost:
            msg = f"{', '.join(sorted(lost))} dropped out, and would serve the old code on the new database"
            return {**result, "failed": True, "msg": msg}
        passage = Passage(self, task_vars or {}, stages)
        return {
            **result,
            **passage.go_through([passage.me] if arguments["alone"] else hosts, says=not arguments["alone"]),
        }


class Passage:
    """One host's way through the stages."""

    def __init__(self, action: ActionBase, task_vars: dict[str, Any], stages: Sequence[Stage]) -> None:
        """Name the task and its stages; nothing is done yet."""
        self.action, self.task_vars, self.stages = action, task_vars, stages
        self.me = str(task_vars["inventory_hostname"])
        self.session: Optional[Session] = None
        self.begun: list[str] = []
        self.said: list[dict[str, Any]] = []
        self.work: dict[str, Any] = {}

    def go_through(self, hosts: Sequence[str], says: bool) -> dict[str, Any]:
        """Go through them together with other hosts, and say where they are; give what came of it."""
        task = str(self.action._task._uuid)
        meeting = Meeting(Path(constants.DEFAULT_LOCAL_TMP), task, self.me, hosts)
        ended: dict[str, Any] = {"done": True}
        try:
            with meeting, ExitStack() as leaving:
                modules = sorted({name for stage in self.stages for name, _ in stage.steps} - HERE.keys())
                self.session = begin(self.action, self.task_vars, modules) if modules else None
                if self.session:
                    leaving.callback(self.session.end)
                for number, stage in enumerate(self.stages):
                    meeting.gather(number)
                    if says and stage.steps and not self.action._task.check_mode and meeting.is_first(number):
                        Display().display(f"STEP  {stage.name}")
                    self.work = self.work or meeting.told()
                    why = self.go_to(stage)
                    if self.work:
                        meeting.tell(self.work)
                    if why:
                        meeting.end(why)
                        ended = {"done": False}
                        break
        except MeetingOver:
            ended = {"done": False}
        except AnsibleConnectionFailure as error:
            ended = {"done": False, "unreachable": True, "msg": str(error)}
        except (MeetingError, OSError) as error:
            ended = {"done": False, "failed": True, "msg": str(error)}
        with suppress(OSError):
            self.work = self.work or meeting.told()
        # Of a failure what failed is shown, and not all that went well before
        said = self.said[-1:] if self.said and self.said[-1].get("failed") else self.said
        result = {**merged(said), "begun": self.begun, "work": self.work, **ended}
        result["changed"] = bool(result["changed"] or self.work.get("changed"))
        return {**result, "stage": self.begun[-1]} if self.begun else result

    def go_to(self, stage: Stage) -> str:
        """Do a stage; give why none is to follow."""
        self.begun.append(stage.name)
        steps = [(name, filled(arguments, self.work)) for name, arguments in stage.steps]
        for (name, _), said in zip(steps, self.done(steps), strict=False):
            if name == WORK:
                self.work = said
                if said.get("failed") or said.get("failure") or said.get("running"):
                    return f"{stage.name}: {said.get('msg') or said.get('failure') or 'goes on'}"
                continue
            self.said.append(said)
            if said.get("failed"):
                return f"{stage.name}: {said.get('msg')}"
        return ""

    def done(self, steps: list[Step]) -> list[dict[str, Any]]:
        """Run modules one after the other until one fails; give what each has said."""
        if steps and steps[0][0] in HERE:
            return [answer_of(HERE[name], arguments) for name, arguments in steps]
        return execute_all(self.action, self.task_vars, steps, self.session)


def stage_of(given: Mapping[str, Any]) -> Stage:
    """Read a stage. Raises TypeError and ValueError."""
    is_here = all(name.removeprefix(f"{NAME}.") in {*HERE, "when"} for step in given["steps"] for name in step)
    return Stage(given["name"], wanted(given["steps"], HERE if is_here else KNOWN))


def wanted(steps: Sequence[Any], known: Collection[str]) -> list[Step]:
    """Give the modules of those steps that are to be done, of those that may be. Raises TypeError and ValueError."""
    return [step for step in (read(each, known) for each in steps) if step is not None]


def filled(arguments: dict[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Put into the details of a note what one host has told, for which they have nothing yet."""
    details = arguments.get("details")
    if not isinstance(details, dict):
        return arguments
    known = {name: told.get(name) if value is None else value for name, value in details.items()}
    return {**arguments, "details": {name: value for name, value in known.items() if value is not None}}


def read(step: Any, known: Collection[str]) -> Step | None:
    """Give the module of a step and its arguments, None where it is not to be done. Raises TypeError and ValueError."""
    if isinstance(step, dict):
        named = {name.removeprefix(f"{NAME}."): arguments for name, arguments in step.items() if name != "when"}
        for name, arguments in named.items():
            if len(named) == 1 and name in known and isinstance(arguments, dict):
                return (name, COMPLETED.get(name, dict)(arguments)) if boolean(step.get("when", True)) else None
    raise ValueError(f"a step is one of {', '.join(sorted(known))} with its options, and a condition: {step}")


def merged(said: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the results of the steps into one."""
    result = {name: value for each in said for name, value in each.items()}
    result["changed"] = any(each.get("changed") for each in said)
    diffs = [diff for each in said for diff in listed(each.get("diff", []))]
    return {**result, "diff": diffs} if diffs else result


def listed(value: Any) -> list[Any]:
    """Give a list as it is, and anything else as one of one."""
    return value if isinstance(value, list) else [value]
