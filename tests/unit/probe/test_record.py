"""The record on disk."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from probe.record import ANSWERS, RUN, Answer, RecordError, Run, read_answers, read_phases, read_run

MakeAnswer = Callable[..., Answer]
MakeRecord = Callable[..., Path]


def test_what_was_written_is_read_in_the_order_of_the_starts(answer: MakeAnswer, record: MakeRecord) -> None:
    """Answers are written as they arrive, and a slow one arrives late."""
    slow, quick = answer(1, "app 1", latency=2), answer(2, "maintenance")
    assert read_answers(record(quick, slow)) == [slow, quick]


def test_the_file_calls_the_class_class(answer: MakeAnswer, record: MakeRecord) -> None:
    """Programs that read the record find the documented names."""
    line = (record(answer(1, "maintenance")) / ANSWERS).read_text()
    assert json.loads(line)["class"] == "maintenance"


def test_the_half_line_of_a_killed_probe_is_left_out(answer: MakeAnswer, record: MakeRecord) -> None:
    """Everything before it counts."""
    directory = record(answer(1, "app 1"))
    with (directory / ANSWERS).open("a") as file:
        file.write('{"k": 1, "nod')
    assert len(read_answers(directory)) == 1


@pytest.mark.parametrize("text", ["", "{}\n", "nonsense\n", '{"class": "reset", "surplus": 1}\n'])
def test_a_record_that_proves_nothing_is_an_error(text: str, record: MakeRecord) -> None:
    """No answers at all must not pass for no unexpected answers."""
    directory = record()
    (directory / ANSWERS).write_text(text)
    with pytest.raises(RecordError):
        read_answers(directory)


def test_the_run_is_read_as_written(finished: Run, record: MakeRecord) -> None:
    """No half-written draft is left behind."""
    directory = record()
    assert read_run(directory) == finished
    assert sorted(path.name for path in directory.iterdir()) == [ANSWERS, RUN]


def test_a_missing_record_is_an_error(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(RecordError, match=RUN):
        read_run(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", '[{"name": "gate"}]', '[{"name": "g", "start": "x", "end": 1}]'])
def test_wrong_phases_are_an_error(text: str, tmp_path: Path) -> None:
    """Any other shape than the documented one is refused."""
    (tmp_path / "phases.json").write_text(text)
    with pytest.raises(RecordError, match="phases.json"):
        read_phases(tmp_path / "phases.json")
