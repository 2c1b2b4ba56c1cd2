from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.service import Service, ServiceError, run

DAEMON = """
import os, pathlib, signal
home = pathlib.Path(__file__).parent
log = (home / "log").open("a", buffering=1)
signal.signal(signal.SIGHUP, lambda *_: log.write("reloaded\\n"))
partial = home / "partial"
partial.write_text(str(os.getpid()))
partial.replace(home / "pid")
log.write("started\\n")
while True:
    signal.pause()
"""


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The commands of a tiny daemon, which ends with the test."""
    (tmp_path / "daemon.py").write_text(DAEMON)
    pid = tmp_path / "pid"
    yield {
        "start": f"{sys.executable} {tmp_path}/daemon.py >{tmp_path}/output 2>&1 &",
        "stop": f"kill $(cat {pid})",
        "reload": f"kill -HUP $(cat {pid})",
        "status": f"grep -q '^State:.[RS]' /proc/$(cat {pid})/status",
    }
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        os.kill(int(pid.read_text()), signal.SIGKILL)


def lines_of(log: Path) -> list[str]:
    return log.read_text().split() if log.exists() else []


def test_start_reload_and_stop_a_daemon(commands: dict[str, str], tmp_path: Path) -> None:
    service = Service("the daemon", commands, 20)
    assert not service.running()
    service.start()
    assert service.running()
    service.reload()
    assert service.running()
    service.stop()
    assert not service.running()
    assert lines_of(tmp_path / "log") == ["started", "reloaded"]


def test_a_daemon_that_keeps_the_output_open_does_not_hold_its_start(commands: dict[str, str]) -> None:
    commands["start"] = commands["start"].partition(" >")[0] + " &"
    service = Service("the daemon", commands, 20)
    service.start()
    assert service.running()


def ends(pid: int) -> bool:
    """Wait for a process that is no child of this one."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ended, _, _ = select.select([process], [], [], 20)
    os.close(process)
    return bool(ended)


@pytest.mark.parametrize("verb", ["start", "stop", "reload"])
def test_a_command_that_fails_is_told_with_its_output(commands: dict[str, str], verb: str) -> None:
    commands[verb] = "echo out; echo 'no such unit' >&2; exit 3"
    with pytest.raises(ServiceError) as raised:
        getattr(Service("the app", commands, 20), verb)()
    assert str(raised.value) == f"the app did not {verb}: `{commands[verb]}` ended with 3\nout\nno such unit"


def test_a_long_output_is_cut_to_its_end(commands: dict[str, str]) -> None:
    commands["start"] = "seq 10000; false"
    with pytest.raises(ServiceError) as raised:
        Service("the app", commands, 20).start()
    assert str(raised.value).endswith("9999\n10000")
    assert len(str(raised.value)) < 2100


def test_output_that_is_no_text_can_be_told(commands: dict[str, str]) -> None:
    commands["start"] = r"printf 'caf\351'; false"
    with pytest.raises(ServiceError, match="caf\ufffd"):
        Service("the app", commands, 20).start()


@pytest.mark.parametrize(
    ("verb", "status", "message"),
    [
        ("start", "false", "the app is not running 1 s after its command ended well"),
        ("stop", "true", "the app still runs 1 s after its command ended well"),
    ],
)
def test_a_service_that_does_not_come_to_the_state(verb: str, status: str, message: str) -> None:
    service = Service("the app", {"start": "true", "stop": "true", "status": status}, 1)
    with pytest.raises(ServiceError, match=message):
        getattr(service, verb)()


def test_what_is_about_to_be_started_again_is_stopped_although_it_does_not_run(tmp_path: Path) -> None:
    queued = tmp_path / "queued"
    queued.touch()
    commands = {"stop": f"rm {queued}", "status": "false", "idle": f"test ! -e {queued}"}
    service = Service("the app", commands, 20)
    assert (service.running(), service.idle()) == (False, False)
    service.stop()
    assert service.idle()


def test_a_failure_is_told_with_what_the_service_said_last() -> None:
    commands = {"start": "false", "reload": "true", "status": "false", "log": "echo 'no module named shop'"}
    for verb in ("start", "reload"):
        with pytest.raises(ServiceError, match="It said last:\nno module named shop$"):
            getattr(Service("the app", commands, 0.5), verb)()


def test_a_service_that_does_not_keep_running_is_found(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    runs.write_text("...")
    commands = {"status": f"sed -i s/.// {runs}; grep -q . {runs}", "log": "echo broken"}
    with pytest.raises(ServiceError, match="the worker did not keep running\nIt said last:\nbroken"):
        Service("the worker", commands, 20).watch(600)


def test_a_service_that_keeps_running_is_let_be() -> None:
    Service("the worker", {"status": "true"}, 20).watch(0.2)


def test_a_command_that_takes_too_long_is_ended_with_what_it_started(tmp_path: Path) -> None:
    command = f"sleep 600 & echo $! >{tmp_path}/pid; wait"
    with pytest.raises(ServiceError, match="took longer than 1 s"):
        run(command, 1)
    assert ends(int((tmp_path / "pid").read_text()))


def test_a_command_has_no_input() -> None:
    assert run("cat", 20).returncode == 0
