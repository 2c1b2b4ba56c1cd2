"""What bash completes of the command ``intermission``, and what its manual page says: nothing is missing, and nothing goes wrong."""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.command_help import completion, man_page
from ansible_collections.intermission.django.plugins.module_utils.command_line import make_parser

BASH = str(shutil.which("bash"))
Complete = Callable[..., list[list[str]]]
SPLIT = "\"'><=;|&(:"
UNSPLIT = "\"'><;|&( \t\n"  # Where the user has taken = and : out of COMP_WORDBREAKS
STRICT = "set -u; shopt -s failglob nocasematch; IFS=/"
REQUESTS = {".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I", ".BR", ".IR", ".br", ".EX", ".EE"}


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Give the parser of each command by name, and under no name that of all."""
    top = make_parser()
    (commands,) = [action for action in top._actions if isinstance(action, argparse._SubParsersAction)]
    return {"": top, **commands.choices}


def options_of(parser: argparse.ArgumentParser) -> set[str]:
    return {word for action in parser._actions for word in action.option_strings}


each_parser = pytest.mark.parametrize("name", parsers(), ids=lambda name: name or "top")


def words(line: str, breaks: str) -> list[str]:
    """Split a line that ends at the cursor as bash does for COMP_WORDS."""
    splitter = shlex.shlex(line, posix=False, punctuation_chars="".join(set("=:") & set(breaks)))
    splitter.whitespace_split = True
    return [*splitter, *([""] if line.endswith(" ") else [])]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The state directories of two sites, one with windows, below a path that has to be quoted; and what is none."""
    root = tmp_path / "it's [all] ours"
    for name in ("shop/windows/window-1", "shop/windows/window-2", "shop/windows/window-3", "shipping", ".shop.jobs"):
        (root / name).mkdir(parents=True)
    (root / "shop.txt").touch()
    (root / "Shop2").mkdir()
    (root / "shop/windows/window-2/scheduled").symlink_to("windows/window-2")
    (root / "shop/on").symlink_to("windows/window-3")
    return root


@pytest.fixture
def complete(root: Path) -> Complete:
    """Complete lines that end at the cursor, in one shell, which finds no program; gives what each is completed with."""

    def run(*lines: str, before: str = "", breaks: str = SPLIT, name: str = "intermission") -> list[list[str]]:
        script = [completion(name, str(root)), before]
        for line in lines:
            given = words(line, breaks)
            script += [
                f"COMP_WORDS=({shlex.join(given)}); COMP_CWORD={len(given) - 1}; _{name.replace('-', '_')}",
                'printf "<%s>" "${COMPREPLY[@]}"; echo',
            ]
        ran = subprocess.run(
            [BASH, "--norc", "-c", "\n".join(script)],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": "/nowhere"},
        )
        assert ran.stderr == ""
        return [list(filter(None, said[1:-1].split("><"))) for said in ran.stdout.splitlines()]

    return run


def test_each_command_and_option_is_completed(complete: Complete) -> None:
    assert complete("intermission ", "intermission s", "intermission nothing ") == [
        [name for name in parsers() if name],
        ["schedule", "status"],
        [],
    ]
    asked = [f"intermission {name} -".replace("  ", " ") for name in parsers()]
    assert [set(said) for said in complete(*asked)] == [options_of(parser) for parser in parsers().values()]


COMPLETED = {
    "intermission on ": ["shipping", "shop"],
    "intermission off sho": ["shop"],
    "intermission on --reason shop s": ["shipping", "shop"],
    "intermission on --until 2099-12-01T02:00Z sho": ["shop"],
    "intermission on --reason=a=b sho": ["shop"],
    "intermission status shop --": ["--help", "--json"],
    "intermission status shop ": ["-h", "--help", "--json"],
    "intermission on shop --expires --re": ["--reason", "--read-only"],
    "intermission on shop --reason=a --re": ["--read-only"],
    "intermission on shop --layer ": ["nginx", "django"],
    "intermission schedule shop --layer d": ["django"],
    "intermission schedule shop --layer=": ["nginx", "django"],
    "intermission schedule shop --layer=d": ["django"],
    "intermission on shop --for ": [],
    "intermission on shop --until 2099-12-01T02:": [],
    "intermission cancel shop ": ["window-2", "window-3"],
    "intermission extend shop window-2": ["window-2"],
    "intermission cancel shipping ": ["-h", "--help", "--once"],
    "intermission cancel shop window-2 ": ["-h", "--help", "--once"],
    "intermission on -- ": ["shipping", "shop"],
    "intermission on -- -": [],
    "intermission metrics shop --write ": [],
}


@pytest.mark.parametrize("before", ["", STRICT, "set -o posix"])
def test_what_is_completed(complete: Complete, before: str) -> None:
    assert dict(zip(COMPLETED, complete(*COMPLETED, before=before), strict=True)) == COMPLETED


def test_a_value_behind_an_equals_sign_where_bash_does_not_split_there(complete: Complete) -> None:
    assert complete("intermission on shop --layer=d", breaks=UNSPLIT) == [["--layer=django"]]


@pytest.mark.parametrize("before", ["", STRICT, "set -f"])
def test_where_there_is_no_site_nothing_is_said(complete: Complete, root: Path, before: str) -> None:
    shutil.rmtree(root)
    assert complete("intermission off s", "intermission cancel shop w", before=before) == [[], []]


def test_a_command_of_another_name(complete: Complete) -> None:
    assert complete("tea-room off sho", name="tea-room") == [["shop"]]


def test_a_key_in_a_terminal(root: Path, tmp_path: Path) -> None:
    """Readline asks, and puts in what it is told; a file's name is completed by bash itself."""
    (tmp_path / "completion").write_text(completion("intermission", str(root)))
    (tmp_path / "metrics.prom").touch()
    child, terminal = pty.fork()
    if child == 0:
        os.execve(BASH, ["bash", "--norc", "--noprofile", "-i"], {"TERM": "dumb", "PATH": "/bin", "PS1": "$ "})
    try:
        said = ""

        def wait_for(text: str) -> None:
            nonlocal said
            ends = time.monotonic() + 30
            while text not in said:
                assert select.select([terminal], [], [], max(0, ends - time.monotonic()))[0], said
                said += os.read(terminal, 4096).decode()
            said = said.partition(text)[2]

        intermission = f"cd {tmp_path}; source completion; intermission() {{ printf '<%s>' \"$@\"; }}; echo read''y\n"
        os.write(terminal, intermission.encode())
        wait_for("ready\r\n")
        for typed, run in (
            ("intermission off sho\t\n", "<off><shop>"),
            ("intermission on shop --layer=dj\t\n", "<on><shop><--layer=django>"),
            ("intermission metrics --write metr\t\n", "<metrics><--write><metrics.prom>"),
        ):
            os.write(terminal, typed.encode())
            wait_for(run)
    finally:
        os.close(terminal)
        os.waitpid(child, 0)


def plain(page: str) -> str:
    """Take the marks of roff out of a page."""
    text = re.sub(r"\\f[BIR]|\\&", "", page)
    for escaped, meant in ((r"\-", "-"), (r"\(aq", "'"), (r"\e", "\\")):
        text = text.replace(escaped, meant)
    return text


@each_parser
def test_each_command_and_option_is_in_the_manual(name: str) -> None:
    page = plain(man_page("intermission", "/srv/state"))
    assert not name or f"\n.SS {name}\n" in page
    part = page.partition(f"\n.SS {name}\n" if name else "\n.SH OPTIONS\n")[2]
    part = re.split(r"\n\.S[SH] ", part)[0]
    described = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", "\n".join(re.findall(r"\.TP\n(.*)", part))))
    assert described == options_of(parsers()[name]) - ({"-h", "--help"} if name else set())
    for action in parsers()[name]._actions:
        if action.option_strings and action.dest != "help":
            assert f"{str(action.help)[1:].rstrip('.')}." in part


def test_the_manual_names_the_places_of_this_host() -> None:
    page = plain(man_page("tea-room", "/srv/state", "/opt/hooks"))
    assert page.startswith('.TH TEA-ROOM 1 "" "tea-room ')
    assert all(name in page for name in ("/srv/state/SITE/on", "/opt/hooks", "tea-room off shop"))
    assert "hooks" not in plain(man_page("tea-room", "/srv/state")).partition(".SH FILES")[2]


@pytest.mark.parametrize("root", ["/var/lib/intermission", "/srv/it's\\here", ".", "'tis"])
def test_the_manual_is_roff_without_a_warning(root: str) -> None:
    page = man_page("intermission", root, root)
    for line in page.splitlines():
        assert line.strip(), "an empty line"
        assert line[0] not in ".'" or line.split()[0] in REQUESTS, line
        assert re.sub(r"\\([-&e]|f[BIR]|\(aq)", "", line).count("\\") == 0, line
    if shutil.which("groff"):
        ran = subprocess.run(["groff", "-man", "-ww", "-Tutf8"], input=page, capture_output=True, text=True, check=True)
        assert ran.stderr == ""
        assert "EXIT STATUS" in re.sub(r"\x1b\[\d+m|.\x08", "", ran.stdout)
