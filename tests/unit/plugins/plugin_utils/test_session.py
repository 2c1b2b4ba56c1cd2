"""A connection that is kept: what is said in it, and how it ends."""

from __future__ import annotations

import json
import shlex

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.intermission.django.plugins.plugin_utils import session
from ansible_collections.intermission.django.plugins.plugin_utils.session import DONE, LOCAL, READY, SSH, Session

ANSWER = json.dumps({"changed": True})


def saying(script: str, transport: str = LOCAL) -> Session:
    """Begin a session with a program in the place of Python."""
    return Session(["/bin/sh", "-c", script], transport)


def test_a_session_answers_again_and_again_behind_whatever_is_said_before_it() -> None:
    said = f"echo {shlex.quote(ANSWER)}; echo {shlex.quote(DONE)}"
    kept = saying(f"echo BECOME-SUCCESS-x; echo {shlex.quote(READY)}; while read -r line; do {said}; done")
    for _ in range(3):
        assert kept.run([("release", "{}")]) == {"rc": 0, "stdout": ANSWER, "stderr": ""}
    kept.end()


def test_what_does_not_come_up_has_done_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = saying("echo sudo: a password is required >&2; exit 1")
    assert kept.run([("release", "{}")]) is None
    kept.end()
    monkeypatch.setattr(session, "READY_SECONDS", 0.05)
    silent = saying("read -r line")
    assert silent.run([("release", "{}")]) is None
    silent.end()


@pytest.mark.parametrize("transport", [LOCAL, SSH])
def test_a_module_that_crashes_is_heard_with_what_it_said(transport: str) -> None:
    kept = saying(f"echo {shlex.quote(READY)}; read -r line; echo ValueError: no >&2; exit 1", transport)
    assert kept.run([("release", "{}")]) == {"rc": 1, "stdout": "", "stderr": "ValueError: no\n"}
    kept.end()


def test_a_connection_that_is_lost_is_told_from_a_crash() -> None:
    kept = saying(f"echo {shlex.quote(READY)}; read -r line; echo closed by remote host >&2; exit 255", SSH)
    with pytest.raises(AnsibleConnectionFailure, match="The connection was lost: closed by remote host"):
        kept.run([("release", "{}")])
    kept.end()


def test_one_that_was_lost_before_it_is_asked_again_is_lost() -> None:
    done = f"echo {shlex.quote(DONE)}"
    kept = saying(f"echo {shlex.quote(READY)}; read -r line; {done}; exit 255", SSH)
    assert kept.run([("release", "{}")])
    with pytest.raises(AnsibleConnectionFailure):
        kept.run([("release", "{}")])
    kept.end()
