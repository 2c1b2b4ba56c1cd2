"""The kill matrix: a deploy with a migration, whose controller is killed at each of its tasks in turn, while visitors come.

A run of the deploy is written down first, with the stages of those tasks in which hosts go through several. Then, for each of these,
the site is brought to version 1, the deploy of version 2 is begun and killed there, once when it starts and once as soon as the first
host has finished it (only the former where all hosts pass it over), and it has to be so that

- the status playbook names the state truly: the deploy, its phase, its holder, and what visitors get, as HTTP shows it;
- one more run of the same command brings version 2 to all hosts, with the data whole;
- no visitor has had an unexpected answer.

The table of all points is .logs/kill-matrix.md, and .logs/kill-matrix.json. What is interrupted goes on with the points that are
missing, then with those that found something or were tried with another state of the code. With numbers of points as arguments, only
these are tried.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Optional

from driving import CHECKOUT, Site
from e2e.shop import Shop, stocked
from faults.data import losses
from faults.killing import WHENS, Point, Task, Watched, phases, watch

LOGS = CHECKOUT / ".logs"
VERSION = "v2"
DEPLOY = {"django_release_version": VERSION}
TRIES = 3
GOLDEN = 0.6180339887498949  # Its multiples, modulo 1, cover the matrix evenly however far they come
PRODUCT = ("demo", "playbooks", "plugins", "roles")


@dataclass(frozen=True)
class Case:
    """A point of the matrix with its number, and the phases that the hosts' deploy records may be in there."""

    number: int
    point: Point
    phases: dict[str, list[Optional[str]]]

    @property
    def key(self) -> tuple[str, str]:
        """Name the point, whatever its number is."""
        return self.point.name, self.point.when


@dataclass(frozen=True)
class Outcome:
    """What became of a point: each host as the status told it, the classes of answers that visitors had, and what was wrong."""

    number: int
    task: str
    when: str
    hosts: dict[str, str]
    classes: dict[str, int]
    seconds: float
    problems: list[str]
    deploy: str


def cases(tasks: Sequence[Task], nodes: Sequence[str]) -> list[Case]:
    """List the points of a deploy that went through these tasks."""
    found: list[Case] = []
    for place, task in enumerate(tasks):
        passed_over = set(task.outcomes.values()) <= {"skipped"}
        for when in WHENS[:1] if passed_over else WHENS:
            possible = {node: sorted(names, key=str) for node, names in phases(list(tasks), nodes, place, when).items()}
            found.append(Case(len(found) + 1, Point(task.name, task.nth, when), possible))
    return found


def sample(every: Sequence[Case], seed: str, size: int) -> list[Case]:
    """Choose some points, each from another stretch of the deploy."""
    chooser = random.Random(seed)
    bounds = [len(every) * part // size for part in range(size + 1)]
    return [chooser.choice(every[begin:end]) for begin, end in zip(bounds, bounds[1:], strict=False)]


def record(shop: Shop, folder: Path) -> list[Case]:
    """Go through the deploy once, undisturbed, and list its points."""
    shop.at("v1")
    deploy = watch(shop, "deploy.yml", folder / "tasks.jsonl", DEPLOY)
    assert deploy.run.status == 0, deploy.run.output
    return cases(deploy.tasks, shop.nodes)


def try_case(shop: Shop, case: Case, folder: Path) -> Outcome:
    """Kill a deploy at a point, ask for the status, and deploy once more; again where this run did not come to the point."""
    for _ in range(TRIES):
        began = time.monotonic()
        shop.at("v1")
        visitors = folder / f"visitors-{case.number}"
        problems: list[str] = []
        with shop.visitors(visitors):
            killed = watch(shop, "deploy.yml", folder / "tasks.jsonl", DEPLOY, case.point)
            if killed.killed:
                hosts = told_state(shop, killed, case.phases, problems)
                again = shop.deploy(VERSION)
                if again.status != 0:
                    problems.append(f"the second run ended with {again.status}: {account(again.output)}")
        if killed.killed:
            break
    else:
        return Outcome(case.number, *case.key, {}, {}, 0.0, [f"not reached in {TRIES} runs"], digest())
    facts = shop.verdict(visitors)
    if facts["unexpected"]:
        problems.append(f"visitors had unexpected answers: {facts['classes']}")
    problems += final_faults(shop, VERSION)
    database = shop.root / "shop.sqlite3"
    problems += losses(database, shop.root / "saved/v1/shop.sqlite3", [visitors])
    return Outcome(
        number=case.number,
        task=case.point.name,
        when=case.point.when,
        hosts=hosts,
        classes=facts["classes"],
        seconds=round(time.monotonic() - began, 1),
        problems=problems,
        deploy=digest(),
    )


def told_state(
    site: Site, dead: Watched, possible: Mapping[str, Iterable[Optional[str]]], problems: list[str]
) -> dict[str, str]:
    """Ask for the status when a deploy has ended, compare it with what is so, and give it in a word or two for each host."""
    kinds: dict[str, str] = {}
    for _ in range(TRIES):
        kinds = asked(site)
        entries = {entry["host"]: entry for entry in site.current_status()["hosts"]}
        if asked(site) == kinds:  # Else what the dead run had begun has ended in between
            break
    for node, kind in kinds.items():
        problems += [f"{node}: {fault}" for fault in untruths(entries[node], kind, dead.pid, possible[node])]
    return {node: in_words(entry) for node, entry in entries.items()}


def asked(site: Site) -> dict[str, str]:
    """Ask each node as a visitor."""
    return {node: site.ask(node).kind for node in site.urls}


def untruths(entry: dict[str, Any], kind: str, pid: int, possible: Iterable[Optional[str]]) -> list[str]:
    """Say what a host's status has otherwise than it is: visitors get this kind of answer, and a run of this number was killed."""
    closed = kind == "maintenance"
    expected = "closed" if closed else "open" if kind == "app" else kind
    deploy = entry["unfinished_deploy"]
    faults = []
    if entry["state"] != ("closed" if closed else "open"):
        faults.append(f"state is {entry['state']}, and visitors get {kind}")
    if entry["visitors_get"] != expected:
        faults.append(f"visitors_get is {entry['visitors_get']}, and they get {kind}")
    if (deploy or {}).get("phase") not in possible:
        faults.append(
            f"the deploy is told to be in the phase {(deploy or {}).get('phase')}, not one of {list(possible)}"
        )
    if deploy and (deploy["holder"].get("pid"), deploy["holder"].get("host")) != (pid, os.uname().nodename):
        faults.append(f"the holder is told to be {deploy['holder']}, not process {pid}")
    if entry["problem"]:
        faults.append(entry["problem"])
    return faults


def in_words(entry: dict[str, Any]) -> str:
    """Give a host's status in a word or two."""
    phase = (entry["unfinished_deploy"] or {}).get("phase")
    return f"{entry['state']}, {phase}" if phase else str(entry["state"])


def final_faults(site: Site, version: str) -> list[str]:
    """Say what is not as it has to be where a version is deployed, and nothing goes on."""
    faults = []
    if site.versions() != {version.removeprefix("v").replace("_", ".")}:
        faults.append(f"the nodes answer with {asked(site)}, version {site.versions()}")
    for node in site.urls:
        if left := site.remains(node):
            faults.append(f"{node} is left with {', '.join(left)}")
    return faults


def account(output: str) -> str:
    """Cut a failed deploy's own account out of its output."""
    return output[output.rfind("FAILED ") :][:1500] if "FAILED " in output else output[-1500:]


@cache
def digest() -> str:
    """Name the deploy by all that it consists of."""
    whole = hashlib.sha256()
    for folder in PRODUCT:
        for path in sorted((CHECKOUT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                whole.update(f"{path.relative_to(CHECKOUT)}\0".encode() + path.read_bytes())
    return whole.hexdigest()[:12]


def table(every: Sequence[Case], outcomes: dict[int, Outcome]) -> str:
    """Write the matrix for people."""
    tried = [outcomes[case.number] for case in every if case.number in outcomes]
    wrong = [outcome for outcome in tried if outcome.problems]
    now = digest()
    others = [outcome for outcome in tried if outcome.deploy != now]
    lines = [
        "# The kill matrix",
        "",
        f"A deploy of version 2 of the demo over version 1, with a migration, on two nodes under load, killed at {len(tried)} of its "
        f"{len(every)} points: {len(tried) - len(wrong)} as they have to be, {len(wrong)} not. "
        f"{f'{len(others)} were tried with another state of the code. ' if others else ''}`make faults` makes this table.",
        "",
        "| # | Task | Killed when it | Left as (state, phase) | Visitors had | Seconds | Found |",
        "|--:|---|---|---|---|--:|---|",
    ]
    for outcome in tried:
        states = "; ".join(f"{node} {words}" for node, words in outcome.hosts.items())
        if len(set(outcome.hosts.values())) == 1:
            states = next(iter(outcome.hosts.values()))
        had = ", ".join(f"{number} {kind}" for kind, number in sorted(outcome.classes.items()))
        when = {"start": "starts", "finished": "is finished by the first host"}[outcome.when]
        found = in_cell("; ".join(outcome.problems)) or "nothing"
        lines.append(
            f"| {outcome.number} | {in_cell(outcome.task)} | {when} | {states} | {had} | {outcome.seconds:.1f} | {found} |"
        )
    return "\n".join(lines) + "\n"


def in_cell(text: str) -> str:
    """Make a text fit for a cell of a table."""
    return text.replace("\n", " ").replace("|", "\\|")


class Book:
    """The results on disk, which an interrupted run goes on from."""

    def __init__(self, every: Sequence[Case]) -> None:
        """Take over what was found before, by the name of the point."""
        self.every = every
        self.deploy = digest()
        self.file = LOGS / "kill-matrix.json"
        former = json.loads(self.file.read_text()) if self.file.exists() else []
        known = {(entry["task"], entry["when"]): entry for entry in former}
        self.outcomes = {
            case.number: Outcome(**{**known[case.key], "number": case.number}) for case in every if case.key in known
        }

    def missing(self) -> list[Case]:
        """List the points that are to be tried, spread over the deploy: those of another deploy after those that are new."""
        return sorted(
            (case for case in self.every if not self.is_done(case)),
            key=lambda case: (case.number in self.outcomes, case.number * GOLDEN % 1),
        )

    def is_done(self, case: Case) -> bool:
        """Tell whether a point was tried with this very deploy, and nothing was found."""
        outcome = self.outcomes.get(case.number)
        return outcome is not None and outcome.deploy == self.deploy and not outcome.problems

    def note(self, outcome: Outcome) -> None:
        """Write a result down."""
        self.outcomes[outcome.number] = outcome
        LOGS.mkdir(exist_ok=True)
        entries = [asdict(self.outcomes[number]) for number in sorted(self.outcomes)]
        self.file.write_text(json.dumps(entries, indent=2) + "\n")
        self.file.with_suffix(".md").write_text(table(self.every, self.outcomes))


def main() -> None:
    """Try the points that are missing, or those that are named; exit 1 where one is not as it has to be."""
    parser = argparse.ArgumentParser(description="Kill a deploy's controller at each of its tasks.")
    parser.add_argument("points", nargs="*", type=int, metavar="POINT")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="im-") as directory, stocked(Path(directory, "shop")) as shop:
        every = record(shop, Path(directory))
        book = Book(every)
        left = [case for case in every if case.number in options.points] if options.points else book.missing()
        print(f"{len(every)} points, {len(left)} to try", flush=True)
        for place, case in enumerate(left, 1):
            outcome = try_case(shop, case, Path(directory))
            book.note(outcome)
            found = "".join(f"\n    {problem}" for problem in outcome.problems) or " ok"
            print(f"[{place}/{len(left)}] {case.number} {case.point}: {outcome.seconds:.1f} s{found}", flush=True)
    wrong = [number for number, outcome in sorted(book.outcomes.items()) if outcome.problems]
    print(f"{len(book.outcomes)} of {len(every)} points tried; not as they have to be: {wrong or 'none'}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
