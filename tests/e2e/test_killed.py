"""A few points of the kill matrix, others for each seed: a controller that dies leaves what one rerun finishes.

The seed is printed at the head of the tests; FAULTS_SEED of the environment gives it. All points: `make faults`.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from e2e.shop import Shop, interrupted
from faults import matrix

SIZE = 2


@pytest.fixture(scope="module")
def sample(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> list[matrix.Case]:
    return matrix.sample(matrix.record(shop, tmp_path_factory.mktemp("record")), os.environ["FAULTS_SEED"], SIZE)


@pytest.mark.parametrize("number", range(SIZE))
def test_a9_wherever_a_deploy_is_killed_one_rerun_finishes_it(
    shop: Shop, sample: list[matrix.Case], number: int, tmp_path: Path
) -> None:
    case = sample[number]
    print(f"Point {case.number}, {case.point}")
    assert matrix.try_case(shop, case, tmp_path).problems == []


def test_a9_where_a_deploy_is_interrupted_one_rerun_finishes_it(shop: Shop, record: Path) -> None:
    """By Ctrl-C, which all of the run's processes get: Ansible goes through neither rescue nor always then."""
    shop.at("v1")
    interrupted(shop.alone(), record, signal.SIGINT)
