"""The systemd units: whole lines, and when nothing of the site may start."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader

TEMPLATES = Path(__file__).parents[3] / "roles" / "django_release" / "templates"


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
        __intermission_state=str(state),
    )


@pytest.mark.parametrize("template", ["app.service.j2", "worker.service.j2"])
def test_every_line_of_a_unit_is_a_setting_a_section_or_a_comment(template: str, tmp_path: Path) -> None:
    lines = [line for line in unit(template, tmp_path).splitlines() if line]
    assert [line for line in lines if not re.match(r"#|\[\w+\]$|\w+=", line)] == []
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
    if phase:
        (tmp_path / "deploy.json").write_text(json.dumps({"holder": {"user": "ann", "pid": 1}, "phase": phase}))
    if window:
        (tmp_path / "on").symlink_to(f"windows/{window}")
    (line,) = [line for line in unit(template, tmp_path).splitlines() if line.startswith("ExecCondition=")]
    command = shlex.split(line.partition("=")[2])
    ended = subprocess.run(command, capture_output=True, check=False)
    assert (ended.returncode == 0, ended.stderr) == (starts, b"")
