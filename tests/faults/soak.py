"""The soak: many deploys in a row, of versions that take turns, while visitors come and faults happen that a seed has chosen.

SOAK_DEPLOYS of the environment is how many (100), FAULTS_SEED the seed, which is printed. Each line is a deploy: the version that it
brings, or goes back to; what went wrong first; and whether one more run then brought the site to where it has to be, with every row
there and no visitor with an unexpected answer. All of it is in .logs/soak.json too.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from e2e.shop import NODES, Shop, stocked
from faults.data import losses
from faults.killing import CALLBACK, PHASES, WHENS, Point, Task, gone_from, watch
from faults.matrix import LOGS, account, final_faults

DEPLOYS = 100
ROLLBACK = "playbooks/rollback.yml"


@dataclass
class Step:
    """A deploy of the soak: from which version to which, what went wrong first, and what was found."""

    number: int
    former: str
    version: str
    fault: str
    seconds: float = 0.0
    classes: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def goes_back(self) -> bool:
        return self.former == "v2"

    @property
    def migrates(self) -> bool:
        return "v2" in (self.former, self.version)

    def __str__(self) -> str:
        way = f"{self.former} {'back to' if self.goes_back else 'to'} {self.version}"
        found = "".join(f"\n      {problem}" for problem in self.problems) or "ok"
        return f"{self.number:>4}  {way:<16} {self.fault:<75} {self.seconds:5.1f} s  {found}"


class Soak:
    """A site that goes from version to version, and what chooses the way and its faults."""

    def __init__(self, shop: Shop, seed: str, folder: Path) -> None:
        """Begin with version 1."""
        self.shop = shop
        shop.environment.update(CALLBACK)
        self.chooser = random.Random(seed)
        self.folder = folder
        self.version = self.below = "v1"  # The latter is what version 2 goes back to
        self.tasks: dict[tuple[bool, bool], list[Task]] = {}
        self.faults: dict[str, Callable[[Step], None]] = {
            "nothing": lambda step: None,
            "killed": self._kill,
            "host gone": self._lose_a_host,
            "two at once": self._twice_at_once,
            "a migration fails": lambda step: self._fail(step, "fails_later"),
            "a migration fails halfway": lambda step: self._fail(step, "fails_halfway", django_migrate_restore=True),
            "does not start": lambda step: self._fail(step, "does_not_start"),
        }

    def go_on(self, number: int) -> Step:
        """Bring the site to the next version, after a fault."""
        step = Step(number, self.version, self._next_version(), "nothing")
        if (step.goes_back, step.migrates) in self.tasks:
            step.fault = self.chooser.choice(list(self.faults)[: 4 if step.goes_back else None])
        before, visitors = self.folder / "before.sqlite3", self.folder / "visitors"
        copy(self.shop.root / "shop.sqlite3", before)
        began = time.monotonic()
        with self.shop.visitors(visitors):
            self.faults[step.fault](step)
            if not self._has_arrived(step):
                self._run(step)
        step.seconds = round(time.monotonic() - began, 1)
        step.classes = self.shop.verdict(visitors)["classes"]
        if self.shop.verdict(visitors)["unexpected"]:
            step.problems.append(f"visitors had unexpected answers: {step.classes}")
        step.problems += final_faults(self.shop, step.version)
        step.problems += losses(self.shop.root / "shop.sqlite3", before, [visitors])
        if step.problems:
            self.shop.at("v1")
        self.version = "v1" if step.problems else step.version
        self.below = self.below if self.version == "v2" else self.version
        return step

    def _next_version(self) -> str:
        if self.version == "v2":
            return self.below
        return self.chooser.choice(["v2", "v2", "v1_1" if self.version == "v1" else "v1"])

    def _has_arrived(self, step: Step) -> bool:
        """A rollback that is done cannot be done again; a deploy can, and has nothing to do."""
        return step.goes_back and not final_faults(self.shop, step.version)

    def _command(self, step: Step) -> tuple[str, dict[str, str]]:
        return (ROLLBACK, {}) if step.goes_back else ("deploy.yml", {"django_release_version": step.version})

    def _run(self, step: Step) -> None:
        playbook, variables = self._command(step)
        watched = watch(self.shop, playbook, self.folder / "tasks.jsonl", variables)
        if watched.run.status != 0:
            step.problems.append(f"the run ended with {watched.run.status}: {account(watched.run.output)}")
        elif step.fault == "nothing":
            self.tasks[step.goes_back, step.migrates] = watched.tasks

    def _kill(self, step: Step) -> None:
        """Kill it, and now and then the second run too."""
        playbook, variables = self._command(step)
        points = []
        for _ in range(self.chooser.choice([1, 1, 2])):
            task = self.chooser.choice(self.tasks[step.goes_back, step.migrates])
            point = Point(task.name, task.nth, self.chooser.choice(WHENS))
            watched = watch(self.shop, playbook, self.folder / "tasks.jsonl", variables, point)
            points.append(f"{point}" if watched.killed else f"{point}: not reached")
        step.fault = f"killed: {'; '.join(points)}"

    def _lose_a_host(self, step: Step) -> None:
        playbook, variables = self._command(step)
        node, phase = self.chooser.choice(NODES), self.chooser.choice(PHASES)
        run = self.shop.playbook(playbook, **variables, **gone_from(node, phase))
        step.fault = f"{node} gone in {phase}, status {run.status}"

    def _twice_at_once(self, step: Step) -> None:
        playbook, variables = self._command(step)
        runs = [self.shop.start_playbook(playbook, **variables) for _ in range(2)]
        outputs = [" ".join(run.communicate()) for run in runs]
        statuses = [run.returncode for run in runs]
        step.fault = f"two at once, statuses {statuses}"
        if sorted(statuses) != [0, 2]:
            step.problems += [account(output) for output in outputs]

    def _fail(self, step: Step, version: str, **variables: object) -> None:
        """Deploy something else, which fails: the site has to be where it was."""
        run = self.shop.deploy(version, **variables)
        step.fault = f"{step.fault}: {version}, status {run.status}"
        faults = final_faults(self.shop, step.former)
        if run.status != 2 or faults:
            step.problems += [*faults, account(run.output)]


def copy(database: Path, target: Path) -> None:
    """Copy a database that is in use."""
    target.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(database)) as source, contextlib.closing(sqlite3.connect(target)) as made:
        source.backup(made)


def main() -> None:
    """Run the soak; exit 1 where anything was not as it has to be."""
    seed = os.environ.get("FAULTS_SEED") or str(random.SystemRandom().randrange(10**6))
    number = int(os.environ.get("SOAK_DEPLOYS") or DEPLOYS)
    LOGS.mkdir(exist_ok=True)
    print(f"FAULTS_SEED={seed} SOAK_DEPLOYS={number}", flush=True)
    steps: list[Step] = []
    with tempfile.TemporaryDirectory(prefix="im-") as directory, stocked(Path(directory, "shop")) as shop:
        soak = Soak(shop, seed, Path(directory))
        for place in range(1, number + 1):
            steps.append(soak.go_on(place))
            print(steps[-1], flush=True)
            document = {"seed": seed, "deploys": [asdict(step) for step in steps]}
            (LOGS / "soak.json").write_text(json.dumps(document, indent=2) + "\n")
    wrong = [step.number for step in steps if step.problems]
    answers = sum(sum(step.classes.values()) for step in steps)
    print(f"{len(steps)} deploys, {answers} answers; not as they have to be: {wrong or 'none'}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
