"""The PNG: not what it looks like, but that it shows what it must."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, ImageColor

from probe.__main__ import main
from probe.looks import UNEXPECTED, looks_of
from probe.record import Answer, Run

MakeAnswer = Callable[..., Answer]
MakeRecord = Callable[..., Path]


def colours(path: Path) -> set[tuple[int, ...]]:
    """Return all colours of the picture."""
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.width == 1600
        assert 300 < image.height < 1200
        found = image.convert("RGB").getcolors(image.width * image.height)
    assert found is not None
    return {colour for _, colour in found if isinstance(colour, tuple)}


@pytest.mark.parametrize("kind", ["app 1", "app 2", "maintenance", "fallback", "reset"])
def test_each_kind_of_answer_has_its_colour(kind: str, answer: MakeAnswer, record: MakeRecord) -> None:
    """Only the kinds that occurred are in the picture."""
    directory = record(*(answer(second, one) for second, one in enumerate(["app 1", kind, kind])))
    # Otherwise the fallback page would turn the headline red.
    main(["report", str(directory), "--png", str(directory / "seen.png"), "--allow-fallback"])
    looks = looks_of(("1", "2"))
    expected = {"app 1", kind if kind in looks else UNEXPECTED}
    seen = colours(directory / "seen.png")
    assert {name for name, look in looks.items() if ImageColor.getrgb(look.colour) in seen} == expected


def test_phases_make_room_for_their_names(answer: MakeAnswer, record: MakeRecord, finished: Run) -> None:
    """Names that do not fit beside each other make the picture higher."""
    directory = record(answer(0, "app 1"), answer(60, "app 1"))
    heights = []
    for count in (1, 3):
        moments = [(finished.started + i, finished.started + i + 1) for i in range(count)]
        phases = [{"name": "a long name", "start": start, "end": end} for start, end in moments]
        (directory / "phases.json").write_text(json.dumps(phases))
        picture = directory / f"{count}.png"
        assert main(["report", str(directory), "--phases", str(directory / "phases.json"), "--png", str(picture)]) == 0
        with Image.open(picture) as image:
            heights.append(image.height)
    assert heights[0] < heights[1]


def test_a_picture_that_cannot_be_written_is_an_error(
    answer: MakeAnswer, record: MakeRecord, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason is on the error output."""
    directory = record(answer(0, "app 1"))
    assert main(["report", str(directory), "--png", str(directory / "no" / "seen.png")]) == 2
    assert "no/seen.png" in capsys.readouterr().err
