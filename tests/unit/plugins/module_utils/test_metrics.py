"""What monitoring is told of a site, from its state directory to Prometheus's text."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import command_line
from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord
from ansible_collections.intermission.django.plugins.module_utils.metrics import HELP, PREFIX, gauges, render
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, Window

OPEN: dict[str, Any] = {"on": False, "since": None, "until": None, "overdue": False, "window": None}
BEGAN, ENDS = "2025-12-01T01:00:00Z", "2025-12-01T02:00:00Z"
CLOSED: dict[str, Any] = {"on": True, "since": BEGAN, "until": ENDS, "overdue": True, "window": {"id": "disk"}}
NOW = datetime(2025, 12, 1, 3, tzinfo=UTC)
Tell = Callable[..., dict[str, float]]


def samples(text: str) -> dict[str, float]:
    """Read the samples of the one site that a text has, by their names without the prefix."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(line.startswith(PREFIX) and '{site="shop"} ' in line for line in lines)
    return {line.removeprefix(PREFIX).partition("{")[0]: float(line.split()[-1]) for line in lines}


@pytest.fixture
def tell(site: StateDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tell:
    """Run the command for the site and give what it prints."""
    monkeypatch.setattr(command_line, "nginx_fault", lambda directory: None)  # pytest closes its directories to others

    def run() -> dict[str, float]:
        capsys.readouterr()
        assert command_line.main(["metrics"], str(site.path.parent)) == 0
        return samples(capsys.readouterr().out)

    return run


def test_what_does_not_apply_has_no_sample() -> None:
    text = render({"shop": gauges(OPEN, None, [], None)}, NOW)
    assert samples(text) == {
        "maintenance_on": 0,
        "maintenance_overdue": 0,
        "deploy_unfinished": 0,
        "deploy_left_behind_hosts": 0,
        "state_problem": 0,
        "metrics_timestamp_seconds": NOW.timestamp(),
    }
    assert text.count("# HELP ") == text.count(" gauge\n") == len(HELP)


def test_a_window_that_is_overdue_behind_which_a_deploy_has_died() -> None:
    deploy = {"holder": {}, "since": "2025-12-01T01:30:00+00:00", "phase": "migrate"}
    told = samples(render({"shop": gauges(CLOSED, deploy, ["web2", "web3"], "no page")}, NOW))
    assert told == {
        "maintenance_on": 1,
        "maintenance_since_timestamp_seconds": NOW.timestamp() - 7200,
        "maintenance_until_timestamp_seconds": NOW.timestamp() - 3600,
        "maintenance_overdue": 1,
        "deploy_unfinished": 1,
        "deploy_since_timestamp_seconds": NOW.timestamp() - 5400,
        "deploy_left_behind_hosts": 2,
        "state_problem": 1,
        "metrics_timestamp_seconds": NOW.timestamp(),
    }


def test_a_flag_that_nginx_does_not_see_closes_nothing(site: StateDirectory, tell: Tell) -> None:
    site.flag.symlink_to("windows/gone")
    told = tell()
    assert (told["maintenance_on"], told["maintenance_overdue"], told["state_problem"]) == (0, 0, 1)
    assert "maintenance_since_timestamp_seconds" not in told


def test_the_command_follows_the_state(site: StateDirectory, tell: Tell) -> None:
    assert tell()["maintenance_on"] == 0
    site.open(Window("disk", "shop", CLOSED["since"], CLOSED["until"]), "ada", "here")
    DeployRecord(site).begin({"user": "ada", "host": "laptop", "pid": 1, "started": "1"}, "v2", False)
    told = tell()
    assert (told["maintenance_on"], told["maintenance_overdue"], told["deploy_unfinished"]) == (1, 1, 1)
    assert abs(told["deploy_since_timestamp_seconds"] - told["metrics_timestamp_seconds"]) < 60
    site.deploy_file.write_text("[")
    assert (tell()["deploy_unfinished"], "deploy_since_timestamp_seconds" in tell()) == (1, False)
    site.deploy_file.unlink()
    assert tell()["deploy_unfinished"] == 0


def test_a_deploy_that_has_failed_is_not_over_while_it_keeps_the_site_closed(site: StateDirectory, tell: Tell) -> None:
    site.open(Window("deploy-r1", "shop", CLOSED["since"]), "ada", "here")
    told = tell()
    assert (told["deploy_unfinished"], "deploy_since_timestamp_seconds" in told) == (1, False)


def test_what_a_member_has_spoilt_is_told_and_keeps_nothing_from_being_told(site: StateDirectory, tell: Tell) -> None:
    site.open(Window("disk", "shop", CLOSED["since"], CLOSED["until"]), "ada", "here")
    file = site.windows / "disk" / "window.json"
    file.write_text(file.read_text().replace(f'"{CLOSED["since"]}"', '{"\\n": "evil\\""}'))
    assert (tell()["maintenance_on"], tell()["state_problem"]) == (1, 1)
    site.deploy_file.write_text("[" * 100_000)
    assert (tell()["maintenance_on"], tell()["deploy_unfinished"]) == (1, 1)


def test_of_a_state_that_cannot_be_read_only_that_is_told(
    site: StateDirectory, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeployRecord, "read", lambda record: site.windows.read_bytes())
    assert set(tell()) == {"state_problem", "metrics_timestamp_seconds"}


def test_a_file_is_written_whole_for_all_to_read(
    site: StateDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    StateDirectory(str(site.path.parent), "blog").make()
    file = tmp_path / "intermission.prom"
    former = os.umask(0o077)
    try:
        assert command_line.main(["metrics", "--write", str(file)], str(site.path.parent)) == 0
    finally:
        os.umask(former)
    assert (capsys.readouterr().out, file.stat().st_mode & 0o777) == ("", 0o644)
    assert (
        'intermission_maintenance_on{site="blog"} 0\nintermission_maintenance_on{site="shop"} 0\n' in file.read_text()
    )
    assert [path.name for path in tmp_path.glob("*.prom*")] == [file.name]
    assert command_line.main(["metrics", "--write", str(tmp_path / "no" / "x.prom")], str(site.path.parent)) == 1
    assert "No such file or directory" in capsys.readouterr().err


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not here: apt install prometheus")
def test_promtool_takes_the_metrics() -> None:
    text = render({"blog": gauges(OPEN, None, [], None), "shop": gauges(CLOSED, {}, ["web2"], "no page")}, NOW)
    ran = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
