"""The points of the kill matrix, and what the status has to say there."""

from __future__ import annotations

import os
from typing import Any

import pytest

from faults import matrix
from faults.killing import Point, Task, phases

NODES = ("web1", "web2")
BOTH = dict.fromkeys(NODES, "ok")


def told(phase: str) -> dict[str, Any]:
    return {node: {"phase": phase} for node in NODES}


TASKS = [
    Task("check", 1, BOTH),
    Task("lock", 1, BOTH, told("prepare")),
    Task("note", 1, BOTH, told("plan")),
    Task("other platform", 1, dict.fromkeys(NODES, "skipped")),
    Task("note", 2, BOTH, told("close")),
    Task("give back", 1, BOTH, dict.fromkeys(NODES)),
]


def test_each_task_is_a_point_when_it_starts_and_where_it_does_something_when_one_host_has_finished_it() -> None:
    points = [case.point for case in matrix.cases(TASKS, NODES)]
    assert len(points) == 2 * len(TASKS) - 1
    assert points[:2] == [Point("check", 1, "start"), Point("check", 1, "finished")]
    assert Point("other platform", 1, "finished") not in points
    assert points[-3:] == [
        Point("note", 2, "finished"),
        *(Point("give back", 1, when) for when in ("start", "finished")),
    ]
    assert [str(point) for point in points[-4:-2]] == ["note (2.), start", "note (2.), finished"]


@pytest.mark.parametrize(
    ("number", "when", "possible"),
    [
        (0, "start", {None}),
        (1, "start", {None}),
        (1, "finished", {None, "prepare"}),
        (2, "start", {"prepare"}),
        (3, "start", {"plan"}),
        (4, "finished", {"plan", "close"}),
        (5, "start", {"close"}),
        (5, "finished", {"close", None}),
    ],
)
def test_the_phase_is_that_of_the_last_record_that_was_told(number: int, when: str, possible: set[str | None]) -> None:
    assert phases(TASKS, NODES, number, when) == dict.fromkeys(NODES, possible)


def test_a_sample_is_spread_over_the_deploy_and_the_same_for_a_seed() -> None:
    every = matrix.cases(TASKS, NODES)
    for seed in map(str, range(20)):
        first, second, third = (case.number for case in matrix.sample(every, seed, 3))
        assert 1 <= first <= 3 < second <= 7 < third <= 11
    assert matrix.sample(every, "7", 3) == matrix.sample(every, "7", 3)
    assert len({tuple(case.number for case in matrix.sample(every, str(seed), 3)) for seed in range(20)}) > 5


CLOSED = {
    "state": "closed",
    "visitors_get": "closed",
    "unfinished_deploy": {"phase": "migrate", "holder": {"pid": 7, "host": os.uname().nodename}},
    "problem": None,
}


@pytest.mark.parametrize(
    ("changes", "kind", "fault"),
    [
        ({}, "maintenance", None),
        ({}, "app", "state is closed, and visitors get app"),
        ({"visitors_get": "open"}, "maintenance", "visitors_get is open, and they get maintenance"),
        (
            {"unfinished_deploy": None},
            "maintenance",
            "the deploy is told to be in the phase None, not one of ['migrate']",
        ),
        (
            {"unfinished_deploy": {"phase": "migrate", "holder": {}}},
            "maintenance",
            "the holder is told to be {}, not process 7",
        ),
        ({"problem": "the window is gone"}, "maintenance", "the window is gone"),
    ],
)
def test_a_status_that_says_otherwise_is_found(changes: dict[str, Any], kind: str, fault: str | None) -> None:
    found = matrix.untruths({**CLOSED, **changes}, kind, 7, ["migrate"])
    assert fault in found if fault else found == []
