"""Processes that go through stages together: none begins one before all have come to it, and none waits for who will not come."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.plugin_utils import meeting
from ansible_collections.intermission.django.plugins.plugin_utils.meeting import Meeting, MeetingError, MeetingOver

FORK = multiprocessing.get_context("fork")
HOSTS = ["web1", "web2", "web/3"]
Part = Callable[[Meeting, Callable[[str], None]], None]


def note(path: Path, words: str) -> None:
    with path.open("a") as stream:
        stream.write(f"{words}\n")


def all_together(place: Path, parts: dict[str, Part], members: Sequence[str] = HOSTS) -> list[str]:
    """Let each host's process do its part; give what they have noted, and what ended a part, in the order of that."""
    notes = place / "notes"
    notes.touch()

    def attend(me: str) -> None:
        try:
            with Meeting(place, "task", me, members) as held:
                parts[me](held, lambda words: note(notes, words))
        except (MeetingOver, MeetingError) as ended:
            note(notes, f"{me} {type(ended).__name__} {ended}")
        except ValueError as failed:
            note(notes, f"{me} raised {failed}")

    processes = [FORK.Process(target=attend, args=(me,)) for me in parts]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return notes.read_text().splitlines()


def goes_through(me: str, stages: int) -> Part:
    def part(held: Meeting, say: Callable[[str], None]) -> None:
        for stage in range(stages):
            held.gather(stage)
            say(f"{stage}")

    return part


def test_none_begins_a_stage_before_all_have_come_to_it(tmp_path: Path) -> None:
    noted = all_together(tmp_path, {me: goes_through(me, 20) for me in HOSTS})
    assert noted == [str(stage) for stage in range(20) for _ in HOSTS]


def test_the_hosts_of_two_sites_do_not_meet_in_one_task(tmp_path: Path) -> None:
    for members in (HOSTS[:1], HOSTS[1:]):
        all_together(tmp_path, {me: goes_through(me, 1) for me in members}, members)
    assert len(list(tmp_path.glob("meeting-*"))) == 2


def test_who_ends_it_has_the_word_and_nobody_goes_on(tmp_path: Path) -> None:
    def ends(held: Meeting, say: Callable[[str], None]) -> None:
        held.gather(0)
        held.end("the disk is full")
        held.end("and more")

    parts = {me: goes_through(me, 2) for me in HOSTS} | {"web2": ends}
    over = "MeetingOver web2: the disk is full"
    noted = all_together(tmp_path, parts)
    assert noted.count("0") == 2, "what all have come to all do"
    assert sorted(set(noted) - {"0"}) == [f"web/3 {over}", f"web1 {over}"]


def test_who_leaves_by_an_exception_ends_it(tmp_path: Path) -> None:
    def raises(held: Meeting, say: Callable[[str], None]) -> None:
        held.gather(0)
        raise ValueError("no such table")

    noted = all_together(tmp_path, {me: goes_through(me, 2) for me in HOSTS} | {"web1": raises})
    assert "1" not in noted
    assert "web1 raised no such table" in noted
    assert "web2 MeetingOver web1: no such table" in noted


def test_who_dies_is_not_waited_for(tmp_path: Path) -> None:
    def dies(held: Meeting, say: Callable[[str], None]) -> None:
        held.gather(0)
        os.kill(os.getpid(), signal.SIGKILL)

    noted = all_together(tmp_path, {me: goes_through(me, 2) for me in HOSTS} | {"web2": dies})
    assert "1" not in noted
    assert [line for line in noted if "MeetingError web2: its process is gone" in line]


def test_who_has_gone_through_and_left_is_not_taken_for_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes and goes while another one looks who is there."""
    looked = []
    look = Meeting._missing

    def looks_late(held: Meeting, begins: bool) -> str:
        monkeypatch.setattr(Meeting, "_missing", look)
        with Meeting(tmp_path, "task", "web2", HOSTS[:2]) as other:
            other.gather(0)
        looked.append(look(held, begins))
        return looked[-1]

    monkeypatch.setattr(meeting, "LIVES_SECONDS", 0)
    monkeypatch.setattr(Meeting, "_missing", looks_late)
    with Meeting(tmp_path, "task", "web1", HOSTS[:2]) as held:
        held.gather(0)
    assert looked == ["web2: its process is gone"]


def test_who_does_not_come_is_not_waited_for_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "BEGIN_SECONDS", 0)
    monkeypatch.setattr(meeting, "LIVES_SECONDS", 0)
    noted = all_together(tmp_path, {"web1": goes_through("web1", 1)}, ["web1", "web2"])
    assert noted == ["web1 MeetingError web2 has not come along"]


def test_nothing_more_is_begun_when_the_run_has_died(tmp_path: Path) -> None:
    reading, writing = os.pipe()

    def run() -> None:
        def worker() -> None:
            with Meeting(tmp_path, "task", "web1", ["web1", "web2"]) as held:
                os.write(writing, b"here\n")
                try:
                    held.gather(0)
                except MeetingError as ended:
                    os.write(writing, f"{ended}\n".encode())

        if os.fork() == 0:
            worker()
            os._exit(0)
        os.read(reading, 5)
        os.kill(os.getpid(), signal.SIGKILL)

    main = FORK.Process(target=run)
    main.start()
    main.join()
    os.close(writing)
    with open(reading) as stream:
        assert stream.read() == "the run has ended\n"


def test_what_one_tells_the_others_hear(tmp_path: Path) -> None:
    def tells(held: Meeting, say: Callable[[str], None]) -> None:
        assert held.told() == {}
        held.gather(0)
        held.tell({"applied": ["0002"]})
        held.gather(1)

    def hears(held: Meeting, say: Callable[[str], None]) -> None:
        held.gather(0)
        held.gather(1)
        say(str(held.told()))

    noted = all_together(tmp_path, {"web1": tells, "web2": hears, "web/3": hears})
    assert noted == ["{'applied': ['0002']}"] * 2


def test_one_of_them_is_the_first_at_a_stage(tmp_path: Path) -> None:
    def asks(held: Meeting, say: Callable[[str], None]) -> None:
        for stage in range(2):
            held.gather(stage)
            say(f"{stage} {held.is_first(stage)}")

    noted = all_together(tmp_path, dict.fromkeys(HOSTS, asks))
    assert sorted(noted) == ["0 False", "0 False", "0 True", "1 False", "1 False", "1 True"]
