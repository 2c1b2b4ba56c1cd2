"""A deploy with a migration on real hosts, of which one stops to be reached: its sshd is stopped at one of the deploy's tasks.

The host lives on, and visitors come all the while. A run of the deploy is written down first. Then, at points of each phase that a
seed has chosen, which is printed, SSH ends on one of the web hosts, and it has to be so that

- the deploy fails, and says which host could not be reached, and what state the others are in, which is the one that
  docs/failed-deploy.md promises for its phase: never the code from before on a schema that is migrated;
- the status playbook says so while the host is gone, and names the deploy and its phase truly when it is back;
- one more run of the same command brings version 2 to all hosts, with the data whole;
- no visitor has had an unexpected answer.

The hosts are those of the scenario ``deploy``, which has to be converged; `make unreachable` does all of it. UNREACHABLE_POINTS of the
environment is how many points are tried (8), FAULTS_SEED the seed. The table is .logs/unreachable.md, and .logs/unreachable.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Optional

from driving import CHECKOUT
from faults.data import COLUMNS, losses, write_down
from faults.killing import PHASES, Task, Watched, watch
from faults.matrix import DEPLOY, LOGS, TRIES, VERSION, Case, account, cases, final_faults, in_cell, told_state
from faults.promised import broken, sample_of_phases
from fleet import LAB, Fleet, manage

INVENTORY = CHECKOUT / "molecule/deploy/inventory"
POINTS = 8
ORDER_LINES = 20_000  # A migration of a second or two
STATUS = "playbooks/maintenance_status.yml"
WHOLE_TABLE = "runuser -u postgres -- psql --no-psqlrc --csv --dbname=shop --command=%s"
IS_MIGRATED = "SELECT count(*) FROM django_migrations WHERE app = 'orders' AND name LIKE '0002%'"
OLD_RELEASES = 'cd /srv/shop/releases && ls | grep -vx "$(basename "$(readlink ../current)")" | xargs -r rm -r'


@dataclass(frozen=True)
class Outcome:
    """What became of a point: what visitors got from each host meanwhile and how the status told it after, and what was wrong."""

    number: int
    point: str
    phase: str
    lost: str
    left: str
    told: str
    classes: dict[str, int]
    seconds: float
    problems: list[str]


class Lab:
    """The site of the lab's hosts, whose database is on a host of its own, and goes from version 1 to version 2 again and again."""

    def __init__(self, site: Fleet, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.leader = next(iter(site.urls))
        self.database = site.console(site.hosts[self.leader]["django_database_host"])

    def at_version_1(self) -> None:
        """Bring all hosts to version 1, open, and as if version 2 had never been there."""
        for node in self.site.urls:
            self.site.let_in(node)
        if self.site.versions() != {"1"} or any(self.site.remains(node) for node in self.site.urls):
            run = self.site.deploy(VERSION)
            assert run.status == 0, run.output
            run = self.site.playbook("playbooks/rollback.yml")
            assert run.status == 0, run.output
        for node in self.site.urls:
            self.site.console(node).check_output(OLD_RELEASES)
        assert final_faults(self.site, "v1") == []

    def record(self) -> list[Case]:
        """Go through the deploy once, undisturbed, and list its points."""
        self.at_version_1()
        manage(self.site.console(self.leader), f"generate_orders --lines {ORDER_LINES}")
        run = self.watch()
        assert run.run.status == 0, run.run.output
        return cases(run.tasks, list(self.site.urls))

    def watch(self, case: Optional[Case] = None, lost: str = "") -> Watched:
        """Deploy version 2; at a point, let a host be lost."""
        record = self.folder / "tasks.jsonl"
        if case is None:
            return watch(self.site, "deploy.yml", record, DEPLOY)
        return watch(self.site, "deploy.yml", record, DEPLOY, case.point, instead=self.site.cutting_off(lost))

    def is_migrated(self) -> bool:
        """Ask the database itself."""
        return self.sql(IS_MIGRATED).split() != ["count", "0"]

    def copy(self, name: str) -> Path:
        """Write the shop's tables into a file that can be compared with another."""
        target = self.folder / name
        target.unlink(missing_ok=True)
        write_down({table: self.sql(f"SELECT * FROM {table}") for table in COLUMNS}, target)
        return target

    def sql(self, statement: str) -> str:
        """Ask the database's server, for CSV with a head."""
        return str(self.database.check_output(WHOLE_TABLE, statement))


def try_point(lab: Lab, case: Case, lost: str) -> Outcome:
    """Lose a host at a point, ask for the status, and deploy once more; again where this run did not come to the point."""
    for _ in range(TRIES):
        began = time.monotonic()
        lab.at_version_1()
        before, visitors = lab.copy("before.sqlite3"), lab.folder / f"visitors-{case.number}"
        problems: list[str] = []
        left: dict[str, str] = {}
        told: dict[str, str] = {}
        with lab.site.visitors(visitors, patience=60):
            run = lab.watch(case, lost)
            phase = phase_of(run.tasks, lost)
            reached = lab.site.is_cut_off(lost)
            if reached:
                left = judge(lab, run, phase, lost, problems)
                lab.site.let_in(lost)
                told = status_after(lab, run, case, lost, problems)
                again = lab.site.deploy(VERSION)
                if again.status != 0:
                    problems.append(f"the second run ended with {again.status}: {account(again.output)}")
        if reached:
            break
    else:
        problems.append(f"not reached in {TRIES} runs")
    facts = lab.site.verdict(visitors)
    if facts["unexpected"]:
        problems.append(f"visitors had unexpected answers: {facts['classes']}, {facts['first_unexpected']}")
    problems += final_faults(lab.site, VERSION)
    problems += losses(lab.copy("after.sqlite3"), before, [visitors])
    return Outcome(
        number=case.number,
        point=str(case.point),
        phase=phase or "before the lock",
        lost=lost,
        left=in_one(left),
        told=in_one(told),
        classes=facts["classes"],
        seconds=round(time.monotonic() - began, 1),
        problems=problems,
    )


def phase_of(tasks: Sequence[Task], lost: str) -> Optional[str]:
    """Give the phase that the others had come to when the host was lost, which they noted before they undid anything."""
    records = [record for task in tasks for node, record in task.records.items() if node != lost and record]
    return max((record["phase"] for record in records if record["phase"] in PHASES), key=PHASES.index, default=None)


def judge(lab: Lab, run: Watched, phase: Optional[str], lost: str, problems: list[str]) -> dict[str, str]:
    """Compare what a deploy has left, while the host is gone, with what is promised; give what each host serves in a word or two."""
    if not any(task.outcomes.get(lost) == "unreachable" for task in run.tasks):
        if run.run.status != 0:
            problems.append(f"the deploy had no more to do on {lost}, and ended with {run.run.status}")
        problems += final_faults(lab.site, VERSION)
        return {}
    if run.run.status == 0:
        problems.append(f"the deploy ended with 0, without {lost}")
    answers = {node: lab.site.ask(node) for node in lab.site.urls}
    seen = {node: (answer.kind, answer.version) for node, answer in answers.items()}
    found = broken(seen, phase, lost, run.run.words, lab.is_migrated())
    problems += [f"{fault}: {account(run.run.output)}" for fault in found]
    status = lab.site.playbook(STATUS)
    if status.status == 0 or f"{lost}: cannot be asked" not in status.words:
        problems.append(f"the status does not say that {lost} cannot be asked: {status.output[-1500:]}")
    return {node: " ".join(filter(None, one)) for node, one in seen.items()}


def status_after(lab: Lab, run: Watched, case: Case, lost: str, problems: list[str]) -> dict[str, str]:
    """Compare what the status tells when the host is back with what is so: it alone still has the deploy's record."""
    possible = {node: set(case.phases[node]) if node == lost else {None} for node in lab.site.urls}
    return told_state(lab.site, run, possible, problems)


def in_one(words: dict[str, str]) -> str:
    """Give what was found of each host, named without its domain."""
    return "; ".join(f"{node.partition('.')[0]} {word}" for node, word in words.items())


def table(seed: str, outcomes: Sequence[Outcome]) -> str:
    """Write the sample for people."""
    wrong = sum(bool(outcome.problems) for outcome in outcomes)
    lines = [
        "# A host that cannot be reached",
        "",
        "A deploy of version 2 of the demo over version 1, with a migration, on two web hosts and a database host under load, one of "
        f"which loses its sshd at {len(outcomes)} points: {len(outcomes) - wrong} as they have to be, {wrong} not. "
        f"`FAULTS_SEED={seed} make unreachable` makes this table.",
        "",
        "| # | Point | Phase | Lost | Left as | When it is back (state, phase) | Visitors had | Seconds | Found |",
        "|--:|---|---|---|---|---|---|--:|---|",
    ]
    for outcome in outcomes:
        had = ", ".join(f"{number} {kind}" for kind, number in sorted(outcome.classes.items()))
        found = in_cell("; ".join(outcome.problems)) or "nothing"
        where = f"{in_cell(outcome.point)} | {outcome.phase} | {outcome.lost}"
        lines.append(
            f"| {outcome.number} | {where} | {outcome.left} | {outcome.told} | {had} | {outcome.seconds:.1f} | {found} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Try the sample; exit 1 where a point is not as it has to be."""
    parser = argparse.ArgumentParser(description="Stop the sshd of a web host at tasks of a deploy.")
    parser.add_argument("inventory", nargs="?", type=Path, default=INVENTORY, metavar="INVENTORY")
    options = parser.parse_args()
    seed = os.environ.get("FAULTS_SEED") or str(random.SystemRandom().randrange(10**6))
    size = int(os.environ.get("UNREACHABLE_POINTS") or POINTS)
    print(f"FAULTS_SEED={seed} UNREACHABLE_POINTS={size}", flush=True)
    LOGS.mkdir(exist_ok=True)
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="im-") as directory:
        lab = Lab(Fleet(str(options.inventory.resolve()), {**os.environ, **LAB}), Path(directory))
        every = lab.record()
        chosen = sample_of_phases(every, list(lab.site.urls), seed, size)
        print(f"{len(every)} points, {len(chosen)} to try", flush=True)
        for place, (case, lost) in enumerate(chosen, 1):
            outcomes.append(try_point(lab, case, lost))
            last = outcomes[-1]
            found = "".join(f"\n    {problem}" for problem in last.problems) or " ok"
            what = f"{case.number} {case.point}, without {lost}"
            print(f"[{place}/{len(chosen)}] {what}: {last.seconds:.1f} s{found}", flush=True)
            (LOGS / "unreachable.json").write_text(json.dumps([asdict(one) for one in outcomes], indent=2) + "\n")
            (LOGS / "unreachable.md").write_text(table(seed, outcomes))
    wrong = [outcome.number for outcome in outcomes if outcome.problems]
    print(f"{len(outcomes)} points tried; not as they have to be: {wrong or 'none'}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
