"""The record of a run: answers.jsonl (one answer a line) and probe.json (how it was made)."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self, TextIO, TypeVar

ANSWERS = "answers.jsonl"
RUN = "probe.json"

T = TypeVar("T")


class RecordError(Exception):
    """A record or a phases file that cannot be read, with a message for people."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request got.

    ``k`` counts a node's requests from 0; ``started`` and ``ended`` are epoch seconds; ``status`` is
    None when no status line came; ``kind`` (``class`` in the file) is the class; ``connection`` is
    "new", or "kept" when an open connection was really reused; ``reference`` is what a POST sent.
    """

    k: int
    node: str
    method: str
    path: str
    started: float
    ended: float
    status: int | None
    kind: str
    version: str
    connection: str
    detail: str
    reference: str

    @property
    def latency(self) -> float:
        """Seconds from the start of the request to the end of its answer."""
        return self.ended - self.started

    def to_json(self) -> dict[str, Any]:
        """Return the answer as it is written in the record."""
        fields = asdict(self)
        fields["class"] = fields.pop("kind")
        return fields

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Return the answer written as ``fields``; raises KeyError or TypeError for anything else."""
        return cls(kind=fields["class"], **{key: fields[key] for key in fields if key != "class"})


@dataclass(frozen=True, slots=True)
class Run:
    """How a record was made, and once the run is over how well it went.

    Times are epoch seconds, ``rate`` is requests per second and node, ``duration`` and ``timeout`` are
    seconds. ``ended`` is None while the probe runs, and for ever when it was killed.
    ``late`` is by how many seconds the most delayed request missed its place in the schedule.
    """

    run_id: str
    started: float
    nodes: dict[str, str]
    host: str
    rate: float
    duration: float
    timeout: float
    mix: list[str]
    ended: float | None = None
    asked: int = 0
    late: float = 0.0
    cpu_seconds: float = 0.0

    def finished(self, ended: float, asked: int, late: float, cpu_seconds: float) -> Self:
        """Return the same run with its outcome."""
        return replace(self, ended=ended, asked=asked, late=late, cpu_seconds=cpu_seconds)


@dataclass(frozen=True, slots=True)
class Phase:
    """A named stretch of the deploy, in epoch seconds."""

    name: str
    start: float
    end: float


def write_run(directory: Path, run: Run) -> None:
    """Write probe.json so that a reader sees the old one or the new one, never half of one."""
    draft = directory / f"{RUN}.new"
    draft.write_text(json.dumps(asdict(run), indent=2) + "\n", encoding="utf-8")
    draft.replace(directory / RUN)


def open_answers(directory: Path) -> TextIO:
    """Open answers.jsonl for writing; an earlier record there is replaced.

    It is line buffered: a killed probe leaves every answer it got.
    """
    return (directory / ANSWERS).open("w", buffering=1, encoding="utf-8")


def write_answer(file: TextIO, answer: Answer) -> None:
    """Append one answer."""
    file.write(json.dumps(answer.to_json(), ensure_ascii=False) + "\n")


def read_run(directory: Path) -> Run:
    """Read probe.json; raises RecordError."""
    return _read(directory / RUN, lambda text: Run(**json.loads(text)))


def read_answers(directory: Path) -> list[Answer]:
    """Read answers.jsonl in the order of the requests' starts; raises RecordError, also for none at all."""
    answers = _read(directory / ANSWERS, _parse_answers)
    if not answers:
        raise RecordError(f"{directory / ANSWERS} has no answers: it proves nothing")
    return sorted(answers, key=lambda answer: answer.started)


def _parse_answers(text: str) -> list[Answer]:
    # What follows the last newline is the line a killed probe was in the middle of.
    lines = text.split("\n")[:-1]
    return [Answer.from_json(json.loads(line)) for line in lines]


def read_phases(path: Path) -> list[Phase]:
    """Read a JSON list of {"name", "start", "end"} in epoch seconds; raises RecordError."""
    return _read(path, lambda text: [_phase(**fields) for fields in json.loads(text)])


def _phase(name: str, start: float, end: float) -> Phase:
    return Phase(str(name), float(start), float(end))


def _read(path: Path, parse: Callable[[str], T]) -> T:
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordError(f"cannot understand {path}: {error}") from error
