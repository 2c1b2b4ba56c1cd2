"""The main job, as `make demo` shows it: a deploy with a migration of seconds, under load."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.shop import CHECKOUT, NODES, ORDER_LINES, Shop

Demo = tuple[Shop, subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def shop(demo: Demo) -> Shop:
    """The site as the demo left it."""
    site, run = demo
    assert run.returncode == 0, run.stdout + run.stderr
    return site


def answers(shop: Shop) -> list[dict[str, str]]:
    lines = (shop.root / "probe/answers.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_demo_succeeds_and_no_answer_was_unexpected(demo: Demo) -> None:
    _, run = demo
    assert run.returncode == 0, run.stdout + run.stderr
    assert "\nunexpected answers: 0\n" in run.stdout


def test_demo_shows_phases_picture_and_next_commands(shop: Shop, demo: Demo) -> None:
    _, run = demo
    seconds = dict(re.findall(r"^    (\w+) +([\d.]+) s$", run.stdout, re.MULTILINE))
    assert list(seconds) == ["prepare", "plan", "close", "migrate", "activate", "reopen"]
    assert (shop.root / "probe/visitors.png").read_bytes().startswith(b"\x89PNG")
    assert "ansible-playbook playbooks/rollback.yml" in run.stdout


def test_both_nodes_serve_version_2(shop: Shop) -> None:
    assert shop.versions() == {"2"}


def test_visitors_saw_old_version_then_maintenance_then_new_version(shop: Shop) -> None:
    for node in NODES:
        seen = [answer["class"] for answer in answers(shop) if answer["node"] == node]
        assert set(seen) == {"app 1", "maintenance", "app 2"}
        assert "app 2" not in seen[: seen.index("maintenance")]
        assert "app 1" not in seen[len(seen) - seen[::-1].index("maintenance") :]


def test_no_acknowledged_order_is_lost(shop: Shop) -> None:
    taken = [
        answer["reference"] for answer in answers(shop) if answer["method"] == "POST" and answer["class"][:3] == "app"
    ]
    assert len(taken) > 20
    for reference in taken:
        order = json.loads(shop.ask("web1", f"/api/orders/{reference}/").body)
        assert order["reference"] == reference


def test_the_migration_took_seconds_and_filled_every_row(shop: Shop) -> None:
    migrate = next(
        entry for entry in shop.journal() if entry["event"] == "deploy phase" and entry["phase"] == "migrate"
    )
    assert migrate["release"]
    summary = json.loads(shop.ask("web2", "/api/summary/").body)
    assert summary["version"] == "2"
    assert shop.fingerprint()["orders_orderline"]["rows"] >= ORDER_LINES


def test_a_backup_from_before_the_migration_is_there(shop: Shop, tmp_path: Path) -> None:
    backups = sorted((shop.root / "backups").iterdir())
    assert len(backups) == 2
    assert all(backup.stat().st_mode & 0o777 == 0o600 for backup in backups)


def test_what_a_reboot_left_behind_does_not_keep_it_from_ending(fresh: Shop) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    for name in ("nginx/nginx.pid", "shop/gunicorn.pid"):
        (fresh.root / "web1" / name).parent.mkdir(exist_ok=True)
        (fresh.root / "web1" / name).write_text(f"{dead.pid}\n")
    ended = subprocess.run([sys.executable, "demo/demo.py", "stop"], cwd=CHECKOUT, env=fresh.environment, check=False)
    assert ended.returncode == 0
    assert not (fresh.root / "web1/nginx/nginx.pid").exists()
