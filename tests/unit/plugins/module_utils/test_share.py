"""A share of the visitors is let in: by names that come and go one by one, and never where it would do harm."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import share
from ansible_collections.intermission.django.plugins.module_utils.job import Job
from ansible_collections.intermission.django.plugins.module_utils.share import let_in, would_let_in
from ansible_collections.intermission.django.plugins.module_utils.state import (
    PARTS,
    StateDirectory,
    StateError,
    Window,
    new_secret,
)

ONE = Window(id="one", site="shop", start="2026-12-01T01:00:00Z", reason="A disk is changed")


def names(site: StateDirectory) -> set[str]:
    return {path.name for path in (site.flag / "passes").iterdir()}


@pytest.mark.parametrize(("former", "wanted"), [(0, 10), (10, 90), (50, 40), (90, 0), (0, 0), (30, 30)])
def test_each_share_is_reached_from_each(site: StateDirectory, former: int, wanted: int) -> None:
    site.open(ONE, "ada", "here")
    let_in(site, former, "ada", "here")
    assert would_let_in(site, wanted) is (former != wanted)
    assert let_in(site, wanted, "bob", "desk") is (former != wanted)
    assert not let_in(site, wanted, "ada", "here")
    assert site.status()["share"] == wanted
    assert (site.flag / "passes").exists() is (wanted > 0)  # Where nobody passes, the shortest way is taken
    assert site.status()["on"] is True
    if former != wanted:
        entry = site.journal(1)[0]
        assert (entry["event"], entry["by"], entry["from"]) == ("let in", "bob", "desk")
        assert (entry["window"], entry["share"]) == ("one", wanted)


def test_a_larger_share_has_the_parts_of_a_smaller_one(site: StateDirectory) -> None:
    site.open(ONE, "ada", "here")
    let_in(site, 10, "ada", "here")
    assert names(site) == {"share-0"}
    assert (site.flag / "passes").stat().st_mode & 0o7777 == 0o2775
    let_in(site, 30, "ada", "here")
    assert names(site) == {"share-0", "share-1", "share-2"}


@pytest.mark.parametrize(("former", "wanted"), [(20, 90), (90, 20), (70, 0), (0, 70)])
def test_who_dies_at_any_step_has_let_in_no_others_and_it_can_be_done_again(
    site: StateDirectory, monkeypatch: pytest.MonkeyPatch, former: int, wanted: int
) -> None:
    """Each system call that changes a name is the last one once."""

    class DeadError(BaseException):
        pass

    site.open(ONE, "ada", "here")
    for steps in itertools.count():
        monkeypatch.undo()
        let_in(site, former, "ada", "here")
        left = [steps]

        def dying(called: Callable[..., Any], left: list[int] = left) -> Callable[..., Any]:
            def call(*arguments: Any, **options: Any) -> Any:
                if not left[0]:
                    raise DeadError
                left[0] -= 1
                return called(*arguments, **options)

            return call

        for holder, name in ((Path, "touch"), (Path, "unlink"), (Path, "mkdir"), (Path, "rmdir"), (os, "rename")):
            monkeypatch.setattr(holder, name, dying(getattr(holder, name)))
        try:
            let_in(site, wanted, "ada", "here")
            break
        except DeadError:
            monkeypatch.undo()
        between = site.status()["share"]
        assert min(former, wanted) <= between <= max(former, wanted)
        assert site.parts_that_pass() == PARTS[: between // 10]
        let_in(site, wanted, "ada", "here")
        assert site.status()["share"] == wanted
    assert steps > abs(wanted - former) // 10


def test_a_disk_that_is_full_leaves_the_share_as_it_was(site: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    site.open(ONE, "ada", "here")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "touch", full)
        with pytest.raises(OSError, match="No space"):
            let_in(site, 20, "ada", "here")
    assert (site.status()["share"], site.journal(1)[0]["event"]) == (0, "opened")
    assert let_in(site, 20, "ada", "here")


def test_names_that_somebody_has_put_there_are_put_right(site: StateDirectory) -> None:
    site.open(ONE, "ada", "here")
    let_in(site, 20, "ada", "here")
    (site.flag / "passes/share-7").touch()
    (site.flag / "passes/share-9").touch()
    (site.flag / "passes/share-0").unlink()
    assert site.status()["share"] == 30
    assert let_in(site, 30, "ada", "here")
    assert names(site) == {"share-0", "share-1", "share-2"}


def test_nothing_is_touched_behind_a_symlink(site: StateDirectory, tmp_path: Path) -> None:
    site.open(ONE, "ada", "here")
    (tmp_path / "elsewhere").mkdir()
    (site.flag.resolve() / "passes").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="passes"):
        let_in(site, 20, "ada", "here")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_secret_stays_whatever_the_share(site: StateDirectory) -> None:
    secret = new_secret()
    site.open(ONE, "ada", "here", secret)
    let_in(site, 20, "ada", "here")
    assert names(site) == {secret, "share-0", "share-1"}
    assert (site.flag / "passes").stat().st_mode & 0o7777 == 0o711
    let_in(site, 0, "ada", "here")
    assert names(site) == {secret}


def test_who_may_not_list_the_secret_is_told_who_may(site: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    site.open(ONE, "ada", "here", new_secret())

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "passes")

    monkeypatch.setattr(share, "let_pass", refused)
    with pytest.raises(StateError, match=r"a secret link \(one\), and only who made that, and root, .*: passes: Perm"):
        let_in(site, 20, "ada", "here")


def test_to_open_again_keeps_all_out_again_and_no_gap_is_between(site: StateDirectory) -> None:
    site.open(ONE, "ada", "here")
    assert not site.open(ONE, "ada", "here")
    let_in(site, 50, "ada", "here")
    assert site.open(ONE, "ada", "here")
    assert (site.flagged_id(), site.status()["share"]) == ("one.2", 0)
    assert not site.open(ONE, "ada", "here")


def test_all_are_let_in_when_the_window_is_closed_and_none_by_the_next(site: StateDirectory) -> None:
    site.open(ONE, "ada", "here")
    let_in(site, 90, "ada", "here")
    assert site.close("ada", "here")
    assert site.status()["share"] == 0
    site.open(ONE, "ada", "here")
    assert site.status()["share"] == 0


@pytest.mark.parametrize("wanted", [-10, 5, 15, 100, 110])
def test_only_tenths_are_shares(site: StateDirectory, wanted: int) -> None:
    site.open(ONE, "ada", "here")
    with pytest.raises(StateError, match=f"the share is {wanted}: it is one of 0, 10, 20"):
        let_in(site, wanted, "ada", "here")


@pytest.mark.parametrize(
    ("its", "said"),
    [
        (None, "is open to all visitors: there is no window"),
        ("gone", "is open to all visitors: there is no window"),
        ("by hand", "closed by hand, or its window cannot be read"),
        ({"id": "deploy-r1"}, r"closed by a deploy that is under way or has failed \(deploy-r1\)"),
        ({"layer": "django"}, r"a window in which the app answers all visitors \(one\)"),
        ({"read_only": True}, r"a window in which all visitors read \(one\)"),
    ],
)
@pytest.mark.parametrize("wanted", [0, 10])
def test_where_no_share_can_be_let_in(
    site: StateDirectory, its: dict[str, Any] | str | None, said: str, wanted: int
) -> None:
    if its == "gone":
        site.flag.symlink_to("windows/gone")
    elif its == "by hand":
        site.flag.touch()
    elif isinstance(its, dict):
        site.open(replace(ONE, **its), "ada", "here")
    with pytest.raises(StateError, match=said):
        would_let_in(site, wanted)
    with pytest.raises(StateError, match=said):
        let_in(site, wanted, "ada", "here")
    assert site.status()["share"] == 0


@pytest.mark.parametrize("at_work", ["a deploy", "the job of a window of shop runs"])
def test_nobody_more_is_let_in_while_something_counts_on_the_window(site: StateDirectory, at_work: str) -> None:
    site.open(ONE, "ada", "here")
    let_in(site, 20, "ada", "here")
    if at_work == "a deploy":
        site.deploy_file.write_text(json.dumps({"holder": {"user": "ada"}, "phase": "prepare"}))
    else:
        site.jobs.mkdir()
        job = Job(site.jobs / "0.run")
        job.do("now", lambda _tell: {})
        job.path.write_text(job.path.read_text().replace('"result": {}', '"result": null'))
    with pytest.raises(StateError, match=at_work):
        let_in(site, 30, "ada", "here")
    assert not let_in(site, 20, "ada", "here")
    assert let_in(site, 10, "ada", "here")


def test_the_share_can_be_told_where_the_names_may_not_be_listed(
    site: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.open(ONE, "ada", "here", new_secret())
    let_in(site, 40, "ada", "here")

    def refused(*_: object) -> None:
        raise PermissionError

    for name in ("listdir", "scandir", "open"):
        monkeypatch.setattr(os, name, refused)
    assert len(site.parts_that_pass()) == 4
