"""What docs/failed-deploy.md promises of each host where a deploy with a migration, from version 1 to version 2, has lost one."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from typing import Optional

from faults.killing import PHASES
from faults.matrix import Case

Seen = tuple[str, Optional[str]]
OLD: Seen = ("app", "1")
NEW: Seen = ("app", "2")
CLOSED: Seen = ("maintenance", None)
STATE = {
    OLD: "Nothing has been changed|serves (the version from before|what it served before)",
    NEW: "STATE shop runs v2",
    CLOSED: "STATE shop stays closed: visitors see the maintenance page",
}


def promised(phase: Optional[str], lost: str, leader: str) -> tuple[set[Seen], set[Seen]]:
    """Give what visitors may get from the host that is lost, and what from the others, by the phase that these had come to.

    The leader is the host that migrates. Where it is lost, whether it has begun to nobody may know, and all have to stay closed.
    """
    if phase in (None, "prepare", "plan"):
        return {OLD}, {OLD}
    if phase == "close":
        return {OLD, CLOSED}, {OLD}
    if phase == "reopen":
        return {CLOSED, NEW}, {NEW}
    return {CLOSED}, {OLD, CLOSED} if (phase, lost) == ("migrate", leader) else {OLD}


def broken(seen: dict[str, Seen], phase: Optional[str], lost: str, told: str, is_migrated: bool) -> list[str]:
    """Say in what the hosts' answers, the deploy's own account and the schema are not as is promised, or contradict one another.

    The hosts are in the order of the inventory, and the words of the account are folded into one line.
    """
    of_lost, of_others = promised(phase, lost, next(iter(seen)))
    others = {node: one for node, one in seen.items() if node != lost}
    faults = [] if seen[lost] in of_lost else [f"{lost}, which is lost, answers with {seen[lost]}, not {of_lost}"]
    faults += [f"{node} answers with {one}, not {of_others}" for node, one in others.items() if one not in of_others]
    if f"{lost} could not be reached" not in told:
        faults.append(f"the deploy does not say that {lost} could not be reached")
    unsaid = [STATE[one] for one in set(others.values()) if not re.search(STATE[one], told)]
    faults += [f"the deploy does not say: {one}" for one in unsaid]
    wrong = OLD if is_migrated else NEW
    faults += [f"{node} serves {wrong}, and that is not the schema" for node, one in seen.items() if one == wrong]
    return faults


def by_phase(every: Iterable[Case]) -> dict[str, list[Case]]:
    """Sort points by the phase that the deploy is in there; before its lock and after its end, by the first and the last."""
    found: dict[str, list[Case]] = {phase: [] for phase in PHASES}
    now = PHASES[0]
    for case in every:
        names = [phase for phases in case.phases.values() for phase in phases if phase is not None]
        now = max(names, key=PHASES.index, default=now)
        found[now].append(case)
    return found


def sample_of_phases(every: Sequence[Case], nodes: Sequence[str], seed: str, size: int) -> list[tuple[Case, str]]:
    """Choose points in each phase, and a host for each, as many of one as of the other; those where most is at stake come first."""
    chooser = random.Random(seed)
    points = by_phase(every)
    order = sorted((phase for phase in PHASES if points[phase]), key=["migrate", "activate", *PHASES].index)
    turns = chooser.sample(list(nodes), len(nodes))
    chosen = []
    for place in range(size):
        round_, phase = divmod(place, len(order))
        left = points[order[phase]]
        if left:
            chosen.append((left.pop(chooser.randrange(len(left))), turns[(place + round_) % len(turns)]))
    return sorted(chosen, key=lambda one: one[0].number)
