"""What is promised where a deploy loses a host, and the points at which that is tried."""

from __future__ import annotations

import pytest

from faults.killing import PHASES, Point
from faults.matrix import Case
from faults.promised import CLOSED, NEW, OLD, Seen, broken, by_phase, sample_of_phases

NODES = ("web1", "web2")
LOST = "web2 could not be reached"
NOTHING = "FAILED Nothing has been changed."
AS_BEFORE = "STATE This run has left the database as it was. shop serves the version from before; this run"
STAYS = "STATE shop stays closed: visitors see the maintenance page."
RUNS = "STATE shop runs v2."


@pytest.mark.parametrize(
    ("phase", "web1", "web2", "said", "is_migrated"),
    [
        (None, OLD, OLD, NOTHING, False),
        ("plan", OLD, OLD, AS_BEFORE, False),
        ("close", OLD, CLOSED, AS_BEFORE, False),
        ("migrate", OLD, CLOSED, AS_BEFORE, False),
        ("activate", OLD, CLOSED, AS_BEFORE, False),
        ("reopen", NEW, CLOSED, RUNS, True),
        ("reopen", NEW, NEW, RUNS, True),
    ],
)
def test_what_is_promised_is_not_complained_about(
    phase: str | None, web1: Seen, web2: Seen, said: str, is_migrated: bool
) -> None:
    assert broken({"web1": web1, "web2": web2}, phase, "web2", f"{said} {LOST}", is_migrated) == []


@pytest.mark.parametrize(
    ("phase", "web1", "web2", "told", "is_migrated", "fault"),
    [
        ("plan", OLD, OLD, AS_BEFORE, False, "the deploy does not say that web2 could not be reached"),
        ("plan", OLD, CLOSED, f"{AS_BEFORE} {LOST}", False, "web2, which is lost, answers with"),
        ("close", CLOSED, CLOSED, f"{STAYS} {LOST}", False, "web1 answers with"),
        ("migrate", CLOSED, CLOSED, f"{STAYS} {LOST}", False, "web1 answers with"),
        ("activate", OLD, CLOSED, f"{AS_BEFORE} {LOST}", True, "web1 serves ('app', '1'), and that is not the schema"),
        ("reopen", NEW, NEW, f"{RUNS} {LOST}", False, "web2 serves ('app', '2'), and that is not the schema"),
        ("reopen", NEW, NEW, f"{STAYS} {LOST}", True, "the deploy does not say: STATE shop runs v2"),
        ("close", OLD, OLD, LOST, False, "the deploy does not say: Nothing has been changed|"),
    ],
)
def test_what_is_otherwise_is_found(
    phase: str, web1: Seen, web2: Seen, told: str, is_migrated: bool, fault: str
) -> None:
    found = broken({"web1": web1, "web2": web2}, phase, "web2", told, is_migrated)
    assert any(one.startswith(fault) for one in found), found


def test_where_the_host_that_migrates_is_lost_the_others_may_stay_closed() -> None:
    told = f"{STAYS} web1 could not be reached"
    assert broken({"web1": CLOSED, "web2": CLOSED}, "migrate", "web1", told, True) == []


def case(number: int, *phases: str | None) -> Case:
    return Case(number, Point(f"task {number}", 1, "start"), {node: list(phases) for node in NODES})


EVERY = [
    case(number, *phases)
    for number, phases in enumerate(
        [
            (None,),
            (None, "prepare"),
            ("prepare",),
            ("plan",),
            ("close", "plan"),
            ("close",),
            ("migrate",),
            ("migrate",),
        ],
        1,
    )
] + [case(9, "activate"), case(10, "activate"), case(11, "reopen"), case(12, None, "reopen"), case(13, None)]


def test_each_point_is_in_a_phase() -> None:
    numbers = {phase: [one.number for one in found] for phase, found in by_phase(EVERY).items()}
    assert numbers == dict(zip(PHASES, ([1, 2, 3], [4], [5, 6], [7, 8], [9, 10], [11, 12, 13]), strict=True))


@pytest.mark.parametrize("seed", "0123456789")
def test_a_sample_has_a_point_of_each_phase_and_loses_each_host(seed: str) -> None:
    chosen = sample_of_phases(EVERY, NODES, seed, 8)
    phases = by_phase(EVERY)
    found = [next(phase for phase in PHASES if one in phases[phase]) for one, _ in chosen]
    assert found == ["prepare", "plan", "close", "migrate", "migrate", "activate", "activate", "reopen"]
    assert [one.number for one, _ in chosen] == sorted({one.number for one, _ in chosen})
    assert {lost for one, lost in chosen if one.number in (7, 8)} == set(NODES)
    assert sorted(lost for _, lost in chosen) == sorted(NODES * 4)
    assert chosen == sample_of_phases(EVERY, NODES, seed, 8)


def test_a_sample_is_another_for_another_seed_and_no_larger_than_there_are_points() -> None:
    assert len({str(sample_of_phases(EVERY, NODES, str(seed), 8)) for seed in range(20)}) > 5
    assert [one for one, _ in sample_of_phases(EVERY, NODES, "1", 60)] == EVERY
