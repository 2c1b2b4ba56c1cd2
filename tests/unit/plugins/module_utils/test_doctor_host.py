"""What the doctor sees on a host."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.doctor_host import (
    dump,
    known_user,
    look,
    read,
    seen_by_nginx,
)
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, Window
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has files that another user may not read")


def test_what_a_command_prints() -> None:
    assert dump("echo configuration; echo warning >&2; exit 1", 10) == {
        "rc": 1,
        "stdout": "configuration\n",
        "stderr": "warning\n",
    }


def test_pages_are_compared_with_what_the_role_would_write(site: StateDirectory) -> None:
    (site.pages / "503.html").write_text("new")
    (site.pages / "50x.html").write_text("old")
    wanted = {str(site.pages / name): "new" for name in ("503.html", "50x.html", "other.html")}
    said = read(str(site.path.parent), "shop", wanted)
    assert list(said["pages"].values()) == [True, False, None]
    assert said["state"] == str(site.path)
    assert said["status"]["on"] is False
    assert said["root"] is (os.geteuid() == 0)


def test_the_page_of_a_window_is_looked_at_too(site: StateDirectory) -> None:
    site.open(Window("w1", "shop", format_instant(datetime.now(UTC))), "somebody", "here")
    pages = dict.fromkeys(
        [str(site.pages / name) for name in ("503.en.html", "503.en.html.template", "50x.en.html")], ""
    )
    assert list(read(str(site.path.parent), "shop", pages)["pages"]) == [*pages, str(site.flag / "503.en.html")]


def test_users_that_the_host_has(other_user: str) -> None:
    assert known_user("", "no-such-user", other_user) == other_user
    with pytest.raises(KeyError, match="no-such-user"):
        known_user("", "no-such-user")


def test_a_file_that_all_may_read(public_path: Path, other_user: str) -> None:
    page = public_path / "page.html"
    page.write_text("")
    assert look(str(page), other_user, "/nowhere") == {
        "user": other_user,
        "exists": True,
        "closed": None,
        "readable": True,
        "other": False,
    }


def test_a_file_that_is_not_there(public_path: Path, other_user: str) -> None:
    seen = look(str(public_path / "page.html"), other_user, "/nowhere")
    assert (seen["exists"], seen["readable"]) == (False, False)


@as_root
def test_a_file_that_the_worker_may_not_read(public_path: Path, other_user: str) -> None:
    page = public_path / "page.html"
    page.write_text("")
    page.chmod(0o640)
    assert look(str(page), other_user, "/nowhere")["readable"] is False
    assert look(str(page), "root", "/nowhere")["readable"] is True
    os.chown(page, -1, 65534)
    assert look(str(page), other_user, "/nowhere")["readable"] is True


@as_root
def test_a_directory_that_is_closed_to_the_worker(public_path: Path, other_user: str) -> None:
    inner = public_path / "closed" / "inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o700)
    assert look(str(inner), other_user, "/nowhere")["closed"] == str(inner.parent)


def nginx_process(tmp_path: Path, root: Path, name: str = "nginx") -> tuple[str, str]:
    """Make a /proc with a process whose root is another directory; gives the pid file and that /proc."""
    process = tmp_path / "proc/123"
    process.mkdir(parents=True)
    (process / "comm").write_text(f"{name}\n")
    (process / "root").symlink_to(root)
    (tmp_path / "nginx.pid").write_text("123\n")
    return str(tmp_path / "nginx.pid"), str(tmp_path / "proc")


def test_an_nginx_in_the_same_file_system_sees_the_same(tmp_path: Path) -> None:
    assert seen_by_nginx(str(tmp_path), *nginx_process(tmp_path, Path("/"))) is True


def test_an_nginx_with_a_private_tmp_sees_nothing_there(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    assert seen_by_nginx(str(tmp_path), *nginx_process(tmp_path, tmp_path / "private")) is False


def test_an_nginx_with_a_directory_of_its_own_sees_another(tmp_path: Path) -> None:
    (tmp_path / f"private{tmp_path}").mkdir(parents=True)
    assert seen_by_nginx(str(tmp_path), *nginx_process(tmp_path, tmp_path / "private")) is False


def test_where_no_nginx_runs_nothing_is_known(tmp_path: Path) -> None:
    assert seen_by_nginx(str(tmp_path), "/nowhere") is None
    assert seen_by_nginx(str(tmp_path), *nginx_process(tmp_path, tmp_path, "cron")) is None
