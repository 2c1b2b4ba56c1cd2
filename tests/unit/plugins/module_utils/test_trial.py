"""A release that is tried on a socket of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.proof import ask
from ansible_collections.intermission.django.plugins.module_utils.trial import (
    TrialError,
    expanded,
    program,
    serving,
    settings,
)

SERVER = """
import os, socket
assert os.environ["LISTEN_FDS"] == "1" and int(os.environ["LISTEN_PID"]) == os.getpid()
listener = socket.socket(fileno=3)
while True:
    connection, _ = listener.accept()
    connection.recv(65536)
    body = f"{os.getcwd()} {os.environ['NAME']} {os.getpid()}".encode()
    connection.sendall(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
    connection.close()
"""


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("gunicorn shop.wsgi", ["/venv/bin/gunicorn", "shop.wsgi"]),
        ("/usr/bin/env gunicorn", ["/usr/bin/env", "gunicorn"]),
        ("gunicorn --name 'the shop'", ["/venv/bin/gunicorn", "--name", "the shop"]),
    ],
)
def test_the_program_is_one_of_the_releases(command: str, words: list[str]) -> None:
    assert program(command, "/venv/bin") == words


def test_no_command_is_an_error() -> None:
    with pytest.raises(ValueError, match="empty"):
        program("", "/venv/bin")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["gunicorn", "--workers", "${WORKERS}"], ["gunicorn", "--workers", "4"]),
        (["gunicorn", "--bind=${HOST}:${PORT}"], ["gunicorn", "--bind=:80"]),
        (["gunicorn", "$OPTIONS", "shop"], ["gunicorn", "--threads", "2", "shop"]),
        (["gunicorn", "$MISSING", "a$OPTIONS", "$$OPTIONS"], ["gunicorn", "a$OPTIONS", "$OPTIONS"]),
        (["${PORT}"], ["${PORT}"]),
    ],
)
def test_variables_in_a_command_are_expanded_as_systemd_does(words: list[str], expected: list[str]) -> None:
    assert expanded(words, {"WORKERS": "4", "PORT": "80", "OPTIONS": "--threads 2"}) == expected


def test_the_variables_among_a_services_lines() -> None:
    lines = "Nice=1\nEnvironment=A=1 'B=two words'\nEnvironment=A=3\n# Environment=C=4\n"
    assert settings(lines) == {"A": "3", "B": "two words"}
    assert settings(lines + "Environment=\n") == {}


def test_a_server_gets_its_socket_as_systemd_gives_it_and_ends_with_the_block(tmp_path: Path) -> None:
    with serving([sys.executable, "-c", SERVER], str(tmp_path), {"NAME": "v2"}, {}) as server:
        answer = ask("http://app/", "shop.example.com", unix_socket=server.path)
        directory, name, pid = answer.body.decode().split()
        assert (directory, name) == (str(tmp_path), "v2")
        server.check()
    assert not os.path.exists(server.path)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_a_server_that_ends_by_itself_is_told_with_what_it_said(tmp_path: Path) -> None:
    with serving([sys.executable, "-c", "raise SystemExit('no settings')"], str(tmp_path), {}, {}) as server:
        server.process.wait()
        with pytest.raises(TrialError, match="ended with 1:\nno settings"):
            server.check()
