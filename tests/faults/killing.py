"""Runs of a playbook that are written down task by task, die at one of their tasks, or lose a host."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import forked_ansible
from driving import CHECKOUT, Run, Site

CALLBACK = {
    "ANSIBLE_CALLBACK_PLUGINS": str(CHECKOUT / "tests/faults/callback_plugins"),
    "ANSIBLE_CALLBACKS_ENABLED": "kill_at",
}
COLLECTION = "intermission.django."
PHASES = ("prepare", "plan", "close", "migrate", "activate", "reopen")
WHENS = ("start", "finished")
# The stages in which a host notes a phase too
NOTED_WITH = {
    "migrate": "Shut | Stop the background workers and the app when what they are doing is done",
    "activate": "Activate | Switch to the release; where it meets no visitor start it on all hosts, and see it work on the first",
    "reopen": "Reopen | Note the phase",
}


@dataclass(frozen=True)
class Point:
    """Where a run dies: at which task or stage of this name, when it starts or as soon as the first host has finished it."""

    task: str
    nth: int
    when: str

    @property
    def name(self) -> str:
        which = f" ({self.nth}.)" if self.nth > 1 else ""
        return self.task.replace(COLLECTION, "") + which

    def __str__(self) -> str:
        return f"{self.name}, {self.when}"


def noting(phase: str) -> Point:
    """Give the point at which a deploy in a window is about to note that it goes into a phase; the first is noted with its lock."""
    name = NOTED_WITH.get(phase, "Phase | Note it on the host, if the deploy is still ours")
    alone = [each for each in PHASES[1:] if each not in NOTED_WITH]
    return Point(f"{COLLECTION}django_release : {name}", alone.index(phase) + 1 if phase in alone else 1, "start")


MIGRATES = Point(
    f"{COLLECTION}django_release : Migrate | Back the database up and migrate it, or follow who does so already",
    1,
    "start",
)


@dataclass
class Task:
    """A task as a run went through it: each host's outcome, and what its deploy record was told to be, where that was told."""

    name: str
    nth: int
    outcomes: dict[str, str] = field(default_factory=dict)
    records: dict[str, Optional[dict[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Watched:
    """A run, the number of its main process, and its tasks in their order."""

    run: Run
    pid: int
    tasks: list[Task]

    @property
    def killed(self) -> bool:
        return self.run.status == -signal.SIGKILL


def watch(
    site: Site,
    playbook: str,
    record: Path,
    variables: Mapping[str, object],
    point: Optional[Point] = None,
    instead: Optional[str] = None,
) -> Watched:
    """Run a playbook and write down its tasks; with a point, let it die there, or run a shell command instead of that."""
    record.unlink(missing_ok=True)
    told = {"FAULTS_RECORD": str(record)}
    if point is not None:
        told["FAULTS_AT"] = json.dumps(vars(point))
    if instead is not None:
        told["FAULTS_DO"] = instead
    ran = forked_ansible.run(
        "ansible-playbook",
        *site.arguments(playbook, **variables),
        cwd=CHECKOUT,
        environment={**site.environment, **CALLBACK},
        variables=told,
    )
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    return Watched(Run(ran.returncode, ran.stdout, ran.stderr), lines[0]["pid"], list(_tasks(lines[1:])))


def _tasks(lines: list[dict[str, Any]]) -> Iterator[Task]:
    task = None
    for line in lines:
        if "task" in line:
            if task is not None:
                yield task
            task = Task(line["task"], line["nth"])
        elif task is not None:
            task.outcomes[line["host"]] = line["outcome"]
            if "held_by" in line:
                task.records[line["host"]] = line["held_by"]
    if task is not None:
        yield task


def phases(tasks: list[Task], nodes: Sequence[str], number: int, when: str) -> dict[str, set[Optional[str]]]:
    """Give the phases that each host's deploy record may be in where a run dies at its task of that number, from 0.

    None is a record that is not there. Of a task that one host has finished another may have done its part or not.
    """
    possible: dict[str, set[Optional[str]]] = {node: {None} for node in nodes}
    for place, task in enumerate(tasks[: number + (when == "finished")]):
        for node, record in task.records.items():
            now = (record or {}).get("phase")
            possible[node] = {now} if place < number else {*possible[node], now}
    return possible


def gone_from(node: str, phase: str) -> dict[str, object]:
    """Give the variables that let a node be out of reach from when it has noted a phase, for a site with the tests' callback."""
    locked = "'prepare' if __django_release_locked is defined else ''"
    noted = f"(__django_release_noted.phase if __django_release_noted is defined else {locked})"
    gone = f"inventory_hostname == '{node}' and {noted} == '{phase}'"
    return {
        "ansible_connection": f"{{{{ 'ansible.builtin.ssh' if {gone} else 'ansible.builtin.local' }}}}",
        "ansible_host": "127.0.0.1",
        "ansible_port": 1,
        "faults_at_stages": {"host": node, "phase": phase},
    }
