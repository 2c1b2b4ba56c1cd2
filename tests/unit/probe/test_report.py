"""The report: facts, words, the picture in text and the JSON document."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from probe.__main__ import main
from probe.chart import Chart
from probe.facts import Latency, Period, gather
from probe.layout import Band, Place, place, ticks
from probe.record import Answer, Phase, Run

MakeAnswer = Callable[..., Answer]
MakeRecord = Callable[..., Path]


def test_maintenance_periods(answer: MakeAnswer, finished: Run) -> None:
    """A period lasts from the first to the last of an unbroken row, for each node by itself."""
    kinds = ["app 1", "maintenance", "maintenance", "reset", "maintenance", "app 2"]
    answers = [answer(second, kind, latency=0.5) for second, kind in enumerate(kinds)]
    facts = gather(finished, [*answers, answer(9, "app 2", node="web2")], allow_fallback=False)
    assert facts.maintenance == {"web1": (Period(1, 2.5, 2), Period(4, 4.5, 1)), "web2": ()}
    assert facts.maintenance["web1"][0].seconds == 1.5


def test_classes_are_counted_in_a_fixed_order(answer: MakeAnswer, finished: Run) -> None:
    """Versions in the order seen, the other pages, then the rest by frequency."""
    kinds = ["reset", "fallback", "refused", "refused", "maintenance", "app 2", "app 1", "app 2"]
    facts = gather(finished, [answer(i, kind) for i, kind in enumerate(kinds)], allow_fallback=False)
    expected = {"app 2": 2, "app 1": 1, "maintenance": 1, "fallback": 1, "refused": 2, "reset": 1}
    assert list(facts.classes.items()) == list(expected.items())
    assert facts.versions == ("2", "1")
    assert [one.kind for one in facts.unexpected] == ["reset", "fallback", "refused", "refused"]


def test_latency_is_of_app_answers_only(answer: MakeAnswer, finished: Run) -> None:
    """Percentiles are values that were measured."""
    answers = [answer(i, "app 1", latency=i / 128) for i in range(1, 101)]
    facts = gather(finished, [*answers, answer(0, "maintenance", latency=9)], allow_fallback=False)
    assert facts.latency is not None
    measured = [round(value * 128) for value in (facts.latency.median, facts.latency.p95, facts.latency.longest)]
    assert measured == [50, 95, 100]
    assert isinstance(facts.latency, Latency)


def test_no_latency_without_app_answers(answer: MakeAnswer, finished: Run) -> None:
    """A run that saw maintenance only has none."""
    assert gather(finished, [answer(0, "maintenance")], allow_fallback=False).latency is None


def chart(run: Run, answers: list[Answer], phases: list[Phase], colour: bool = False) -> list[str]:
    """Return the picture in text, with 40 columns for the time."""
    return Chart(run, answers, gather(run, answers, False), 46, colour).lines(phases)


def test_worst_answer_of_a_moment_wins(answer: MakeAnswer, finished: Run) -> None:
    """One column per second here; the second version beats the first, the unexpected beats all."""
    kinds = ["app 1", "app 1", "app 2", "maintenance", "fallback", "reset"]
    together = [answer(10 + i, kind) for i in range(6) for kind in kinds[: i + 1]]
    answers = [answer(0, "app 1"), *together, answer(39.9, "app 2", latency=0.1)]
    lane = chart(finished, answers, [])[0]
    assert lane == "web1  ·" + " " * 9 + "··•#x!" + " " * 23 + "•"


def test_picture_has_phases_axis_and_legend(answer: MakeAnswer, finished: Run) -> None:
    """Phases that are too short for their names move to a row of their own."""
    answers = [answer(0, "app 1"), answer(39.9, "maintenance", latency=0.09)]
    moments = [("before", 0, 10), ("gate", 10, 12), ("drain", 12, 20)]
    phases = [Phase(name, finished.started + start, finished.started + end) for name, start, end in moments]
    above, below, _, _, axis, _, legend = chart(finished, answers, phases)
    assert above == "      ├before───├gate"
    assert below == "                  ├drain──"
    assert axis == "      0 s       10 s      20 s      30 s"
    assert legend == "· app 1   # maintenance"


def test_nothing_runs_over_the_right_edge(answer: MakeAnswer, finished: Run) -> None:
    """Neither the last mark of the axis nor the name of a late phase makes the terminal wrap."""
    answers = [answer(0, "app 1"), answer(40, "app 1", latency=0.1)]
    phases = [Phase("after", finished.started + 39, finished.started + 50)]
    lines = chart(finished, answers, phases)
    assert lines[0].endswith("├after")
    assert lines[3].endswith("40 s")
    assert max(len(line) for line in lines) <= 46


def test_colour_only_adds_to_the_picture(answer: MakeAnswer, finished: Run) -> None:
    """Without the escape sequences it is the same picture."""
    answers = [answer(0, "app 1"), answer(9, "reset")]
    coloured = "\n".join(chart(finished, answers, [], colour=True))
    assert "\x1b[1;31m!\x1b[0m" in coloured
    plain = coloured.replace("\x1b[1;31m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
    assert plain == "\n".join(chart(finished, answers, []))


def test_labels_share_a_row_only_if_they_fit() -> None:
    """A label at the right end moves left, into a row where nothing is in its way."""
    bands = [Band(0, 50, 20), Band(50, 52, 20), Band(52, 80, 20), Band(95, 100, 20)]
    assert place(bands, 100) == [Place(0, 0), Place(0, 50), Place(1, 52), Place(0, 80)]


@pytest.mark.parametrize(
    ("seconds", "room", "expected"), [(3.5, 10, [0, 1, 2, 3]), (60, 5, [0, 15, 30, 45, 60]), (0.2, 5, [0])]
)
def test_ticks(seconds: float, room: int, expected: list[int]) -> None:
    """The marks are whole seconds at an even distance."""
    assert ticks(seconds, room) == expected


def test_report_of_a_good_run(answer: MakeAnswer, record: MakeRecord, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so on a line of its own and exits with 0."""
    directory = record(answer(0, "app 1"), answer(1, "maintenance"), answer(2, "maintenance"))
    assert main(["report", str(directory), "--width", "60"]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert "unexpected answers: 0" in lines
    assert "  maintenance  2" in lines
    assert "maintenance seen on web1: 1.0 s (1.0 s to 2.0 s)" in lines
    assert "maintenance seen on web2: never" in lines
    assert "latency of app answers: median 10 ms, p95 10 ms, longest 10 ms" in lines
    assert "\x1b" not in printed


def test_report_shows_the_first_ten_unexpected(
    answer: MakeAnswer, record: MakeRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with what is known about it."""
    directory = record(*(answer(second, "reset") for second in range(12)))
    assert main(["report", str(directory)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "unexpected answers: 12" in lines
    assert sum("web1 GET /: reset, status 200, new connection" in line for line in lines) == 10
    assert "  and 2 more" in lines
    assert "latency of app answers: none" in lines


@pytest.mark.parametrize(("option", "status"), [([], 1), (["--allow-fallback"], 0)])
def test_the_fallback_page_is_unexpected_unless_allowed(
    option: list[str], status: int, answer: MakeAnswer, record: MakeRecord
) -> None:
    """The exit status follows the option."""
    assert main(["report", str(record(answer(0, "fallback"))), *option]) == status


def test_json_has_the_same_facts(
    answer: MakeAnswer, record: MakeRecord, finished: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """One document, phases in seconds since the start."""
    directory = record(answer(0, "app 1"), answer(1, "maintenance"), answer(2, "refused"))
    phases = directory / "phases.json"
    phases.write_text(json.dumps([{"name": "gate", "start": finished.started + 1, "end": finished.started + 3}]))
    assert main(["report", str(directory), "--json", "--phases", str(phases)]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["total"] == 3
    assert document["classes"] == {"app 1": 1, "maintenance": 1, "refused": 1}
    assert document["unexpected"] == 1
    assert [one["class"] for one in document["first_unexpected"]] == ["refused"]
    assert document["phases"] == [{"name": "gate", "start": 1.0, "end": 3.0}]
    assert document["maintenance"]["web1"][0]["answers"] == 1
    assert document["run"]["run_id"] == finished.run_id


def test_report_without_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It cannot decide, which is neither good nor bad: exit status 2."""
    assert main(["report", str(tmp_path)]) == 2
    assert "cannot read" in capsys.readouterr().err


def test_report_of_a_probe_that_was_killed(
    answer: MakeAnswer, record: MakeRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    """The report says that answers may be missing."""
    directory = record(answer(0, "app 1"))
    description = directory / "probe.json"
    description.write_text(json.dumps(json.loads(description.read_text()) | {"ended": None}))
    assert main(["report", str(directory)]) == 0
    assert "the probe did not finish" in capsys.readouterr().out


def test_a_picture_of_too_few_columns_is_refused(tmp_path: Path) -> None:
    """Below 40 columns there is nothing to see."""
    with pytest.raises(SystemExit):
        main(["report", str(tmp_path), "--width", "39"])
