from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils import deploy, state
from ansible_collections.intermission.django.plugins.module_utils.controller import identity, is_dead, process_started
from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord, same_holder, summary
from ansible_collections.intermission.django.plugins.module_utils.files import write_file
from ansible_collections.intermission.django.plugins.module_utils.job import Job
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, StateError

ADA = {"user": "ada", "host": "laptop", "pid": 11, "started": "100"}
BOB = {"user": "bob", "host": "desk", "pid": 22, "started": "200"}


def events(site: StateDirectory) -> list[str]:
    return [entry["event"] for entry in site.journal(100)]


def test_a_whole_deploy(site: StateDirectory) -> None:
    record = DeployRecord(site)
    assert record.read() is None
    assert record.begin(ADA, "r1", take_over=False) is None
    begun = record.read()
    assert begun is not None
    assert (begun["holder"], begun["release"], begun["phase"]) == (ADA, "r1", "prepare")
    record.enter("migrate", ADA)
    assert record.read() == {**begun, "phase": "migrate"}
    assert record.end("done", ADA)
    assert record.read() is None
    assert events(site) == ["deploy begun", "deploy phase", "deploy ended"]
    assert [entry["by"] for entry in site.journal(3)] == ["ada", "ada", "ada"]
    assert sorted(entry.name for entry in site.path.iterdir()) == ["journal.jsonl", "lock", "pages", "windows"]


def test_the_lock_keeps_another_out(site: StateDirectory) -> None:
    record = DeployRecord(site)
    record.begin(ADA, "r1", take_over=False)
    other = record.begin(BOB, "r2", take_over=False)
    assert other is not None
    assert other["holder"] == ADA
    assert not record.end("done", BOB)
    held = record.read()
    assert held is not None
    assert held["release"] == "r1"


def test_the_lock_is_taken_over_deliberately(site: StateDirectory) -> None:
    record = DeployRecord(site)
    record.begin(ADA, "r1", take_over=False)
    assert record.begin(BOB, "r2", take_over=True) is None
    held = record.read()
    assert held is not None
    assert held["holder"] == BOB
    assert not record.end("done", ADA)
    taken = next(entry for entry in site.journal(10) if entry["event"] == "deploy taken over")
    assert (taken["by"], taken["former"]["holder"], taken["former"]["release"]) == ("bob", ADA, "r1")


def test_a_run_whose_lock_was_taken_over_goes_no_further(site: StateDirectory) -> None:
    record = DeployRecord(site)
    record.begin(ADA, "r1", take_over=False)
    record.begin(BOB, "r2", take_over=True)
    assert (record.held(ADA), record.held(BOB)) == (False, True)
    with pytest.raises(StateError, match="no longer ours"):
        record.enter("migrate", ADA)
    held = record.read()
    assert held is not None
    assert held["phase"] == "prepare"


def test_nobody_takes_a_deploy_over_while_a_killed_run_still_notes_something(
    site: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run has begun on a host outlives it; what it writes must not come in place of the next run's lock."""
    record = DeployRecord(site)
    record.begin(ADA, "r1", take_over=False)
    monkeypatch.setattr(state, "LOCK_SECONDS", 0)

    def take_over(*_arguments: object) -> None:
        with pytest.raises(StateError, match="is held by"):
            DeployRecord(site).begin(BOB, "r2", take_over=True)

    monkeypatch.setattr(deploy, "write_file", take_over)
    record.enter("migrate", ADA)
    monkeypatch.setattr(deploy, "write_file", write_file)
    monkeypatch.setattr(deploy, "sync_directory", take_over)
    assert record.end("done", ADA)


def test_a_release_that_is_live_on_all_hosts_is_what_the_next_deploy_goes_back_to(site: StateDirectory) -> None:
    """Else the next one, where it fails, would take this one's migrations back too, below this one's code."""
    site.migration_file.write_text("{}")
    record = DeployRecord(site)
    record.begin(ADA, "r1", take_over=False)
    record.enter("activate", ADA)
    assert site.migration_file.exists()
    record.enter("reopen", ADA)
    assert not site.migration_file.exists()


def test_the_same_run_may_begin_again(site: StateDirectory) -> None:
    record = DeployRecord(site)
    record.begin(ADA, "r1", take_over=False)
    assert record.begin(ADA, "r1", take_over=False) is None
    assert "deploy taken over" not in events(site)


def test_who_is_gone_is_known_also_after_a_run_that_dies(site: StateDirectory) -> None:
    record = DeployRecord(site)
    record.begin(ADA, "r1", take_over=False, gone=["web3"])
    assert record.left_behind() == ["web3"]
    record.begin(ADA, "r1", take_over=False, gone=["web2"])
    assert record.left_behind() == ["web2", "web3"]
    assert record.begin(BOB, "r2", take_over=False, gone=["web9"]) is not None
    assert record.left_behind() == ["web2", "web3"]
    record.end("done", ADA, left_behind=["web3"])
    assert record.left_behind() == ["web3"]


def test_a_host_that_the_others_have_overtaken_knows_no_way_back(site: StateDirectory, tmp_path: Path) -> None:
    record, job = DeployRecord(site), Job(site.migration_file)
    record.begin(ADA, "r2", take_over=False)
    record.enter("plan", ADA, overtaken=True)
    go_on = tmp_path / "go on"
    job.begin("migrate r1", lambda tell: {"waited": wait_for(go_on)})
    with pytest.raises(StateError, match="migrates still: wait for its end"):
        record.enter("plan", ADA, overtaken=True)
    go_on.touch()
    while not job.follow(0, 20)["result"]:
        pass
    record.enter("plan", ADA)
    assert job.record() is not None
    record.enter("plan", ADA, overtaken=True)
    assert job.record() is None


def wait_for(path: Path) -> bool:
    while not path.exists():
        time.sleep(0.01)
    return True


@pytest.mark.parametrize(
    "text", ['{"holder": {"us', "[]", "7", '{"holder": 7}', "{}", pytest.param("[" * 200_000, id="deep")]
)
def test_a_damaged_record_is_a_lock_all_the_same(site: StateDirectory, text: str) -> None:
    record = DeployRecord(site)
    record.path.write_text(text)
    assert record.begin(ADA, "r1", take_over=False) == {"holder": {}, "phase": "unknown"}
    assert record.begin(ADA, "r1", take_over=True) is None


@pytest.mark.parametrize("text", ["{", "7", pytest.param("[" * 200_000, id="deep")])
def test_a_damaged_list_of_hosts_left_behind_names_none(site: StateDirectory, text: str) -> None:
    record = DeployRecord(site)
    record.left_behind_file.write_text(text)
    assert record.left_behind() == []


def test_a_record_whose_begin_was_cut_short_keeps_its_holder(site: StateDirectory) -> None:
    record = DeployRecord(site)
    record.begin(ADA, "r1", take_over=False)
    site.deploy_file.with_name("cut-short").hardlink_to(record.path)
    assert record.held(ADA)


def test_a_planted_record_is_a_lock_that_nothing_is_read_from_or_written_to(
    site: StateDirectory, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text('{"holder": {"user": "secret"}, "phase": "x"}')
    record = DeployRecord(site)
    record.path.symlink_to(victim)
    site.deploy_file.with_name(f".shop.deploy.json.{os.getpid()}").symlink_to(victim)
    assert record.begin(ADA, "r1", take_over=False) == {"holder": {}, "phase": "unknown"}
    assert record.begin(ADA, "r1", take_over=True) is None
    assert not record.path.is_symlink()
    record.enter("migrate", ADA)
    assert "secret" in victim.read_text()
    assert "secret" not in site.journal_file.read_text()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_group_reads_the_record_and_does_not_write_it_whatever_the_umask(site: StateDirectory, umask: int) -> None:
    former = os.umask(umask)
    try:
        DeployRecord(site).begin(ADA, "r1", take_over=False)
        begun = DeployRecord(site).path.stat()
        DeployRecord(site).enter("migrate", ADA)
    finally:
        os.umask(former)
    assert {begun.st_mode & 0o7777, DeployRecord(site).path.stat().st_mode & 0o7777} == {0o644}


def test_the_first_deploy_makes_the_state_directory(tmp_path: Path) -> None:
    site = StateDirectory(str(tmp_path / "state"), "shop")
    assert DeployRecord(site).read() is None
    assert DeployRecord(site).begin(ADA, "r1", take_over=False) is None
    assert site.missing() == []


def _begin(root: str, number: int, barrier: Barrier) -> None:
    holder = {**ADA, "pid": number}
    barrier.wait()
    sys.exit(0 if DeployRecord(StateDirectory(root, "shop")).begin(holder, "r1", take_over=False) is None else 7)


def test_one_of_several_who_begin_at_once_has_the_lock(site: StateDirectory) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    processes = [context.Process(target=_begin, args=(str(site.path.parent), n, barrier)) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert sorted(process.exitcode or 0 for process in processes) == [0, 7, 7, 7]
    held = DeployRecord(site).read()
    assert held is not None
    assert processes[held["holder"]["pid"]].exitcode == 0
    assert events(site) == ["deploy begun"]
    assert [entry.name for entry in site.path.iterdir() if entry.name.startswith(".")] == []


@pytest.mark.parametrize("part", ["user", "host", "pid", "started"])
def test_a_holder_is_the_same_in_all_its_parts(part: str) -> None:
    assert same_holder(ADA, {**ADA, "more": 1})
    assert not same_holder(ADA, {**ADA, part: "other"})


def test_this_run_is_alive() -> None:
    holder = identity(os.getpid())
    assert holder["host"] == socket.gethostname()
    assert int(holder["started"]) > 0
    assert not is_dead(holder)


def test_a_run_that_has_ended_is_dead() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        holder = identity(process.pid)
        assert not is_dead(holder)
    assert process_started(process.pid) == ""
    assert is_dead(holder)
    assert not is_dead({**holder, "host": "another-controller"})
    assert not is_dead({**holder, "started": ""})


def test_a_later_process_of_the_same_number_is_not_the_holder() -> None:
    holder = identity(os.getpid())
    assert is_dead({**holder, "started": str(int(holder["started"]) - 1)})


def test_a_holder_of_whom_nothing_is_known_is_not_dead() -> None:
    assert not is_dead({})


def test_a_run_of_another_user_is_alive() -> None:
    assert not is_dead({**identity(1), "pid": 1})


def test_the_start_time_of_a_process_whose_name_has_brackets(tmp_path: Path) -> None:
    program = tmp_path / "a) b ("
    program.symlink_to("/bin/cat")
    with subprocess.Popen([program], stdin=subprocess.PIPE) as process:
        plain = process_started(process.pid)
    assert int(plain) >= int(process_started(os.getpid()))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without a name")
def test_a_user_without_a_name_has_a_number() -> None:
    code = (
        "import os\n"
        "from ansible_collections.intermission.django.plugins.module_utils.controller import identity\n"
        "os.setuid(54321)\n"
        "print(identity(1)['user'])"
    )
    said = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert said.stdout.strip() == "54321"


def entry(second: float, event: str, **details: object) -> dict[str, object]:
    return {"at": f"2026-11-28T23:45:{second:06.3f}+00:00", "event": event, "by": "ada", "from": "laptop", **details}


WHOLE = [
    entry(1, "opened", window="window-1"),
    entry(2, "deploy begun", release="r0"),
    entry(3, "deploy ended", release="r0", outcome="failed in the phase plan"),
    entry(10, "deploy begun", release="r1"),
    entry(15.5, "deploy phase", release="r1", phase="plan"),
    entry(18, "deploy phase", release="r1", phase="close"),
    entry(19, "opened", window="deploy-r1"),
    entry(22, "deploy phase", release="r1", phase="reopen"),
    entry(23.25, "closed", window="deploy-r1"),
    entry(24, "deploy ended", release="r1", outcome="done"),
]


def test_a_deploy_is_summed_up() -> None:
    assert summary(WHOLE) == {
        "release": "r1",
        "outcome": "done",
        "seconds": 14.0,
        "phases": [
            {"phase": "prepare", "seconds": 5.5},
            {"phase": "plan", "seconds": 2.5},
            {"phase": "close", "seconds": 4.0},
            {"phase": "reopen", "seconds": 2.0},
        ],
        "closed_seconds": 4.25,
        "held_seconds": 0.0,
    }


def test_requests_wait_until_they_are_released_or_the_page_takes_over() -> None:
    held = [*WHOLE[:6], entry(18.5, "held", window="deploy-r1"), *WHOLE[6:]]
    assert (summary(held) or {})["held_seconds"] == 0.5
    released = [entry(20, "released") if one["event"] == "opened" else one for one in held if one["event"] != "closed"]
    assert {name: (summary(released) or {})[name] for name in ("held_seconds", "closed_seconds")} == {
        "held_seconds": 1.5,
        "closed_seconds": 0.0,
    }


def test_a_deploy_that_closes_nothing_and_one_that_leaves_the_site_closed() -> None:
    without = [one for one in WHOLE if one["event"] not in ("opened", "closed")]
    assert (summary(without) or {})["closed_seconds"] == 0.0
    left = [one for one in WHOLE if one["event"] != "closed"]
    assert (summary(left) or {})["closed_seconds"] is None


def test_only_a_deploy_that_has_ended_is_summed_up() -> None:
    assert summary([]) is None
    assert summary(WHOLE[:-1]) is None
    assert summary(WHOLE[4:-1]) is None
    taken = [entry(5, "deploy begun"), entry(9, "deploy taken over", release="r1"), *WHOLE[4:]]
    assert (summary(taken) or {})["seconds"] == 15.0
