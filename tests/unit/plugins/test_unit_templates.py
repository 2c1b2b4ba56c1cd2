"""The systemd units: whole lines, and when nothing of the site may start."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.hooks import BEHIND
from ansible_collections.intermission.django.plugins.module_utils.schedule import HORIZON, MISSED
from ansible_collections.intermission.django.plugins.module_utils.state import WAITING, StateDirectory
from ansible_collections.intermission.django.plugins.module_utils.units import written
from jinja2 import Environment, FileSystemLoader

ROLES = Path(__file__).parents[3] / "roles"
TEMPLATES = [ROLES / role / "templates" for role in ("django_release", "maintenance_window")]
CLOCKWORK = [f"{part}.{kind}.j2" for part in ("schedule", "metrics") for kind in ("service", "timer", "path")]
CLOCKWORK += ["hooks.service.j2", "hooks.path.j2", "job.service.j2", "hold.service.j2"]


def unit(template: str, state: Path) -> str:
    """Render a unit as Ansible does, for a site with this state directory."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), trim_blocks=True)
    environment.filters["comment"] = lambda text: f"# {text}"
    return environment.get_template(template).render(
        ansible_managed="Ansible",
        intermission_site="shop",
        django_release_service="shop",
        django_release_server_command="gunicorn shop.wsgi",
        django_release_drain_seconds=30,
        django_release_root="/srv/shop",
        django_release_user="shop",
        django_release_writable=[],
        django_release_service_extra="Nice=1",
        __django_release_worker={"name": "celery", "command": "celery worker"},
        __django_release_programs="/srv/shop/current/.venv/bin",
        __django_release_current_project="/srv/shop/current",
        intermission_state_root=str(state.parent),
        __intermission_state=str(state),
        __maintenance_window_unit_state=str(state),
        __maintenance_window_metrics_directory="/srv/100% theirs",
        __maintenance_window_metrics_file="/srv/100% theirs/intermission-shop.prom",
        maintenance_window_hooks_directory="/srv/100% hooked",
        __maintenance_window_unit_root=str(state.parent),
        __maintenance_window_unit_hold=f"{state.parent}/.shop.hold.json",
        __maintenance_window_unit_jobs=f"{state.parent}/.shop.jobs",
        maintenance_window_command_path="/opt/100% ours/intermission",
    )


def settings_of(template: str, state: Path) -> list[str]:
    return [line for line in unit(template, state).splitlines() if "=" in line]


@pytest.mark.parametrize("template", ["app.service.j2", "worker.service.j2", *CLOCKWORK])
def test_every_line_of_a_unit_is_a_setting_a_section_or_a_comment(template: str, tmp_path: Path) -> None:
    lines = [line for line in unit(template, tmp_path).splitlines() if line]
    assert [line for line in lines if not re.match(r"#|\[\w+\]$|\w+=", line)] == []


def test_schedules_are_looked_after_where_something_can_be_due(tmp_path: Path) -> None:
    settings = settings_of("schedule.service.j2", tmp_path)
    assert [line.partition("=|")[2] for line in settings if line.startswith("Condition")] == [
        f"{tmp_path}/windows/*/{WAITING}",
        f"{tmp_path}/windows/*/{MISSED}",
        f"{tmp_path}/on",
        f"{tmp_path}/changed",
    ]
    assert 'ExecStart="/opt/100%% ours/intermission" due shop' in settings


def test_a_change_of_the_schedule_is_seen_once_and_a_name_that_stays_starts_the_service_with_a_pause(
    tmp_path: Path,
) -> None:
    changed = StateDirectory(str(tmp_path.parent), tmp_path.name).changed
    assert f"PathExists={changed}" in settings_of("schedule.path.j2", tmp_path)
    settings = settings_of("schedule.service.j2", tmp_path)
    assert f"ConditionPathExists=|{changed}" in settings  # Else it is not started, and does not remove what starts it
    (line,) = [line.partition("=")[2] for line in settings if line.startswith("ExecStartPre=")]
    removes = shlex.split(line.replace("$$", "$"))
    outside = tmp_path / "outside"
    outside.mkdir()
    for what in ("touch", "mkdir", f"ln -s {outside}", "ln -s gone"):
        subprocess.run([*what.split(), str(changed)], check=True)
        subprocess.run(removes, check=True)
        assert not os.path.lexists(changed)
    assert outside.is_dir()
    subprocess.run(removes, check=True)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, does in (("rm", "exit 1"), ("sleep", 'echo "$1"')):
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    paused = subprocess.run(removes, check=True, env={"PATH": str(programs)}, capture_output=True, text=True)
    assert paused.stdout == "10\n"


def test_metrics_are_written_when_the_journal_has_something_new_and_go_with_their_unit(tmp_path: Path) -> None:
    settings = settings_of("metrics.service.j2", tmp_path)
    command = '"/opt/100%% ours/intermission" metrics shop --write "/srv/100%% theirs/intermission-shop.prom"'
    assert f"ExecStart={command}" in settings
    assert 'ReadWritePaths="/srv/100%% theirs"' in settings
    assert "ConditionPathIsDirectory=/srv/100%% theirs" in settings
    assert written([unit("metrics.service.j2", tmp_path)]) == {"/srv/100% theirs/intermission-shop.prom"}
    assert f"PathChanged={tmp_path}/journal.jsonl" in settings_of("metrics.path.j2", tmp_path)


def test_hooks_behind_the_schedule_run_where_there_are_any(tmp_path: Path) -> None:
    settings = settings_of("hooks.service.j2", tmp_path)
    assert [line.partition("=|")[2] for line in settings if line.startswith("ConditionDirectoryNotEmpty")] == [
        f"/srv/100%% hooked/{event}.d" for event in BEHIND.values()
    ]
    assert 'ExecStart="/opt/100%% ours/intermission" hooks shop' in settings
    assert f"PathChanged={tmp_path}/journal.jsonl" in settings_of("hooks.path.j2", tmp_path)
    assert "OnSuccess=intermission-shop-hooks.service" in settings_of("schedule.service.j2", tmp_path)


def test_a_job_is_run_where_there_may_be_one_also_after_a_boot_when_all_is_up(tmp_path: Path) -> None:
    settings = settings_of("job.service.j2", tmp_path)
    jobs = StateDirectory(str(tmp_path.parent), "shop").jobs
    assert f"ConditionDirectoryNotEmpty={jobs}" in settings
    assert {"After=multi-user.target", "WantedBy=multi-user.target"} <= set(settings)
    assert 'ExecStart="/opt/100%% ours/intermission" job shop' in settings


def test_the_timer_comes_before_what_was_near_the_time_before_is_left(tmp_path: Path) -> None:
    assert "OnCalendar=*:*:50" in settings_of("schedule.timer.j2", tmp_path)
    assert timedelta(minutes=1, seconds=5) < HORIZON


@pytest.mark.parametrize("template", ["app.service.j2", "worker.service.j2"])
def test_what_runs_the_site_is_named_once(template: str, tmp_path: Path) -> None:
    lines = settings_of(template, tmp_path)
    settings = [line.split("=")[0] for line in lines]
    assert {"ExecCondition", "ExecStart", "User", "Nice"} <= set(settings)
    assert "ExecStart" not in "".join(line.partition("=")[2] for line in lines)


@pytest.mark.parametrize("template", ["app.service.j2", "worker.service.j2"])
@pytest.mark.parametrize(
    ("phase", "window", "starts"),
    [
        (None, None, True),
        ("prepare", None, True),
        ("close", None, False),
        ("close", "deploy-1", False),
        ("migrate", "deploy-1", False),
        ("migrate", "disk", False),
        ("activate", "deploy-1", True),
        ("activate", None, True),
        ("undo", "deploy-1", True),
        ("reopen", "deploy-1", True),
        (None, "deploy-1", False),
        ("plan", "deploy-1", False),
        (None, "disk", True),
    ],
)
def test_when_the_site_may_start(
    tmp_path: Path, template: str, phase: str | None, window: str | None, starts: bool
) -> None:
    state = tmp_path / "shop"
    state.mkdir()
    if phase:
        (tmp_path / ".shop.deploy.json").write_text(json.dumps({"holder": {"user": "ann", "pid": 1}, "phase": phase}))
    if window:
        (state / "on").symlink_to(f"windows/{window}")
    conditions = [line for line in unit(template, state).splitlines() if line.startswith("ExecCondition=")]
    ended = [
        subprocess.run(shlex.split(line.partition("=")[2]), capture_output=True, check=False) for line in conditions
    ]
    assert (all(one.returncode == 0 for one in ended), [one.stderr for one in ended]) == (starts, [b""] * len(ended))


def test_the_app_starts_when_no_hold_is_there_any_more(tmp_path: Path) -> None:
    hold = StateDirectory(str(tmp_path), "shop").hold_file
    hold.touch()
    line = next(line for line in unit("app.service.j2", tmp_path / "shop").splitlines() if "ExecCondition=" in line)
    with subprocess.Popen(shlex.split(line.partition("=")[2])) as waits:
        with pytest.raises(subprocess.TimeoutExpired):
            waits.wait(0.3)
        hold.unlink()
        assert waits.wait(30) == 0
    watches = settings_of("hold.service.j2", tmp_path / "shop")
    assert f"ConditionPathExists={hold}" in watches
    assert "RestartForceExitStatus=SIGTERM SIGINT SIGHUP SIGPIPE" in watches, (
        "to systemd these are a success (systemd.service(5))"
    )
