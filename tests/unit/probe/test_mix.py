"""The mix: who is asked what and when, and what a right body is."""

from collections import Counter

import pytest

from probe.mix import SHOP, empty_problem, html_problem, json_problem, no_problem, text_problem


def test_every_spec_takes_its_turn() -> None:
    """The first requests go through the round in order."""
    asked = [SHOP.spec_for(k, 20) for k in range(len(SHOP.turns))]
    assert asked == list(SHOP.turns)


@pytest.mark.parametrize(("rate", "period"), [(20, 100), (500, 2500), (0.1, 7)])
def test_slow_request_comes_every_five_seconds(rate: float, period: int) -> None:
    """At a very low rate the slow request still leaves the others their turns."""
    slow = [k for k in range(period * 2 + 1) if SHOP.spec_for(k, rate).every]
    assert slow == [period, period * 2]


def test_each_spec_uses_the_kept_connection_for_one_request_in_four() -> None:
    """No spec is always, or never, asked on a kept connection."""
    kept = Counter(SHOP.turns[k % 6].path + SHOP.turns[k % 6].method for k in range(240) if SHOP.is_kept(k))
    assert set(kept.values()) == {10}
    assert len(kept) == len(SHOP.turns)


@pytest.mark.parametrize(
    ("problem", "good", "bad"),
    [
        (html_problem, b"<html></html>\n ", b"<html><p>"),
        (json_problem, b'{"orders": []}', b'{"orders": ['),
        (json_problem, b"[]", b"\xff"),
        (text_problem, b"Answered.\n", b"Answ"),
        (empty_problem, b"", b"x"),
    ],
)
def test_body_checks(problem: object, good: bytes, bad: bytes) -> None:
    """A whole body has no problem, a cut one has a described one."""
    assert callable(problem)
    assert problem(good) == ""
    assert problem(bad)


def test_the_body_of_a_redirect_is_not_checked() -> None:
    """A form's answer may have any body."""
    assert no_problem(b"anything") == ""
