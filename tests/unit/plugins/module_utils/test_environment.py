from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.environment import dump, load, load_file

VALUES = [
    "",
    "plain",
    "two words",
    " spaces around ",
    'say "hi"',
    "it's",
    "$HOME",
    "${HOME} $(id) `id`",
    "back\\slash",
    "ends in \\",
    '\\\\$"\\`',
    "a=b=c",
    "# no comment",
    "postgres://u:p@host/db?x=1&y=2",
    "Grüße, 世界 🍵",
    "tab\there",
    "line\u2028separator",
    "next\x85line",
    "form\x0cfeed",
    "!history %s *?[a] ~ ; | & < > \\n",
]


@pytest.mark.parametrize("value", VALUES)
def test_what_was_written_is_read(value: str) -> None:
    assert load(dump({"NAME": value, "OTHER": "1"})) == {"NAME": value, "OTHER": "1"}


@pytest.mark.parametrize("value", VALUES)
def test_sh_reads_the_same(tmp_path: Path, value: str) -> None:
    (tmp_path / "environment").write_text(dump({"NAME": value}), encoding="utf-8")
    said = subprocess.run(
        ["/bin/sh", "-c", '. "$1"; printf %s "$NAME"', "sh", tmp_path / "environment"],
        capture_output=True,
        check=True,
        env={"HOME": "/nowhere"},
    )
    assert (said.stdout.decode(), said.stderr) == (value, b"")


def test_variables_are_sorted_and_written_as_text() -> None:
    assert dump({"SHOP_B": 8, "SHOP_A": True, "_c": 1.5}) == 'SHOP_A="True"\nSHOP_B="8"\n_c="1.5"\n'
    assert dump({}) == ""


@pytest.mark.parametrize("value", ["two\nlines", "ends\n", "zero\0byte", "carriage\rreturn"])
def test_a_value_that_no_file_can_have_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="the value of NAME has a line break or a zero byte"):
        dump({"NAME": value})


@pytest.mark.parametrize("name", ["", "A B", "A-B", "1A", "Ä", "A=", "A\n", "export A"])
def test_a_name_that_no_variable_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name of an environment variable"):
        dump({name: "1"})


@pytest.mark.parametrize("line", ["", "# comment", "A=1", "A='1'", 'export A="1"', 'A="1', 'A="1" B="2"', 'A="a"b"'])
def test_lines_of_another_form_are_passed_over(line: str) -> None:
    assert load(f'{line}\nB="2"\n') == {"B": "2"}


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "environment"
    assert load_file(str(path)) == {}
    path.write_text(dump({"NAME": "Grüße"}), encoding="utf-8")
    assert load_file(str(path)) == {"NAME": "Grüße"}
