"""Requests that wait for a deploy: how many, how long, and the page that takes over; whoever dies in between."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from ansible_collections.intermission.django.plugins.module_utils import hold as module
from ansible_collections.intermission.django.plugins.module_utils.hold import (
    Hold,
    files_of,
    most_waiting,
    queue_of,
)
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, StateError, Window

WINDOW = Window(id="deploy-1", site="shop", start="2026-12-01T01:00:00Z", reason="News", opened_by="ada")
UNITS = ["shop.socket", "shop.service"]
PATIENCE = 30.0


class Systemctl:
    """Plays systemctl(1): notes what it was asked, and what was so by then."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log, self.program = folder / "asked", folder / "bin/systemctl"
        self.program.parent.mkdir()
        monkeypatch.setenv("PATH", f"{self.program.parent}:{os.environ['PATH']}")
        self.answers()

    def answers(self, status: int = 0, first: str = "true") -> None:
        self.program.write_text(f'#!/bin/sh\n{first}\necho "$@" >>{self.log}\necho said >&2\nexit {status}\n')
        self.program.chmod(0o755)

    def asked(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemctl:
    return Systemctl(tmp_path, monkeypatch)


STOPS = [f"--no-ask-password {verb} {' '.join(UNITS)}" for verb in ("stop", "reset-failed")]


def begun(site: StateDirectory, seconds: float = 1000, most: int = 10) -> Hold:
    hold = Hold(site)
    hold.begin(WINDOW, UNITS, "/run/shop/app.sock", seconds, most)
    return hold


def events(site: StateDirectory) -> list[str]:
    return [entry["event"] for entry in site.journal(9)]


def nobody(_socket: str) -> int:
    return 0


def test_what_is_released_in_time_leaves_nothing_behind_and_stops_nothing(
    site: StateDirectory, systemctl: Systemctl
) -> None:
    hold = begun(site)
    terms = hold.read()
    assert terms is not None
    assert 0 < terms.left() <= 1000
    assert (site.windows / "deploy-1/503.en.html").exists()
    assert hold.path.stat().st_mode & 0o077 == 0, "who can open it can keep everybody from ending the hold"
    assert not site.flag.exists()
    assert hold.release()
    assert (hold.read(), list(site.windows.iterdir()), systemctl.asked()) == (None, [], [])
    assert events(site) == ["held", "released"]
    assert not hold.release()
    assert not hold.pass_over()
    assert events(site) == ["held", "released"]


def test_at_its_limit_the_page_takes_over_before_anybody_loses_the_connection(
    site: StateDirectory, systemctl: Systemctl
) -> None:
    systemctl.answers(first=f"test -e {site.flag} || exit 9")
    hold, ready = begun(site, seconds=0.2), []
    hold.keep(lambda: ready.append(True), nobody)
    assert (hold.read(), site.flagged_id(), systemctl.asked(), ready) == (None, "deploy-1", STOPS, [True])
    assert events(site) == ["held", "opened"]
    assert (site.journal(1)[0]["by"], site.journal(1)[0]["reason"]) == ("ada", "News")
    assert not hold.release()
    assert systemctl.asked() == STOPS


@pytest.mark.parametrize("why", ["a reboot", "too many", "somebody closes the site"])
def test_the_page_takes_over_also_for(why: str, site: StateDirectory, systemctl: Systemctl) -> None:
    hold = begun(site)
    if why == "a reboot":
        hold.path.write_text(json.dumps({**json.loads(hold.path.read_text()), "machine": "another boot"}))
    if why == "somebody closes the site":
        site.flag.touch()
    ready: list[bool] = []
    hold.keep(lambda: ready.append(True), lambda socket: 11 if why == "too many" else nobody(socket))
    assert (hold.read(), systemctl.asked(), ready) == (None, STOPS, [True])
    assert site.flagged_id() == (None if why == "somebody closes the site" else "deploy-1")
    assert site.flag.exists()


def test_as_many_as_there_is_room_for_wait_until_the_hold_is_released(
    site: StateDirectory, systemctl: Systemctl
) -> None:
    hold, watched = begun(site), threading.Event()
    keeper = threading.Thread(target=hold.keep, args=(watched.set, lambda _socket: 10))
    keeper.start()
    assert watched.wait(PATIENCE)
    assert hold.release()
    keeper.join(PATIENCE)
    assert not keeper.is_alive()
    assert (systemctl.asked(), site.flag.exists()) == ([], False)


@pytest.mark.parametrize(("spoiled", "shown"), [("all of it", "deploy-1"), ("its text", "deploy-1.2")])
def test_the_page_takes_over_also_where_somebody_has_spoiled_the_window(
    spoiled: str, shown: str, site: StateDirectory, systemctl: Systemctl
) -> None:
    hold = begun(site)
    if spoiled == "all of it":
        shutil.rmtree(site.windows / "deploy-1")
    else:
        (site.windows / "deploy-1/window.json").write_text("spoiled")
    assert hold.pass_over()
    assert (site.flagged_id(), site.status()["problem"], hold.read()) == (shown, None, None)
    assert (site.flag / "503.en.html").exists()
    assert systemctl.asked() == STOPS


def test_who_died_before_the_app_was_stopped_is_followed_by_one_who_stops_it(
    site: StateDirectory, systemctl: Systemctl
) -> None:
    systemctl.answers(status=1)
    hold = begun(site, seconds=0)
    with pytest.raises(StateError, match=r"`systemctl stop shop.socket shop.service` ended with 1: said"):
        hold.keep(lambda: None, nobody)
    assert (site.flagged_id(), hold.path.exists()) == ("deploy-1", True)
    systemctl.answers()
    hold.keep(lambda: None, nobody)
    assert (events(site), hold.read()) == (["held", "opened"], None)


def test_a_release_that_comes_too_late_waits_until_the_app_is_stopped_and_does_not_start_it_before(
    site: StateDirectory, systemctl: Systemctl, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "gate")
    systemctl.answers(first=f"[ $2 != stop ] || cat {tmp_path}/gate")
    hold, released = begun(site, seconds=0), []
    keeper = threading.Thread(target=hold.keep, args=(lambda: None, nobody))
    keeper.start()
    with (tmp_path / "gate").open("w"):  # There is somebody who reads: the app is being stopped
        late = threading.Thread(target=lambda: released.append(hold.release()))
        late.start()
        late.join(0.2)
        assert released == []
    for thread in (keeper, late):
        thread.join(PATIENCE)
    assert (released, systemctl.asked(), hold.read()) == ([False], STOPS, None)


def test_a_release_stops_the_app_itself_where_who_watches_has_died_after_the_flag(
    site: StateDirectory, systemctl: Systemctl
) -> None:
    hold = begun(site)
    site.flag.symlink_to("windows/deploy-1")
    assert not hold.release()
    assert (systemctl.asked(), hold.read(), site.flagged_id()) == (STOPS, None, "deploy-1")


def test_nobody_opens_a_window_that_could_be_closed_before_the_deploy_is_over(site: StateDirectory) -> None:
    hold = begun(site)
    with pytest.raises(StateError, match="requests to shop wait for a deploy that is under way"):
        site.open(replace(WINDOW, id="window-1"), "ada", "here")
    assert site.open(replace(WINDOW, id="deploy-2"), "ada", "here")
    assert hold.path.exists()


def test_a_second_hold_of_the_same_second_has_a_window_of_its_own(site: StateDirectory, systemctl: Systemctl) -> None:
    hold = begun(site)
    hold.begin(replace(WINDOW), UNITS, "/run/shop/app.sock", 1, 1)
    assert (hold.read() or pytest.fail()).window == "deploy-1.2"


def test_where_the_journal_does_not_take_it_nothing_waits(
    site: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StateDirectory, "record", Mock(side_effect=OSError("full")))
    with pytest.raises(OSError, match="full"):
        begun(site)
    assert Hold(site).read() is None


def test_where_the_disk_is_full_nothing_waits(
    site: StateDirectory, systemctl: Systemctl, full_disk: Callable[[int], Any]
) -> None:
    with full_disk(0), pytest.raises(OSError, match="too large"):
        begun(site)
    assert Hold(site).read() is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"window": 1}'])
def test_a_file_that_is_none_is_complained_of(content: str, site: StateDirectory) -> None:
    site.hold_file.write_text(content)
    with pytest.raises(StateError, match="the file of the hold cannot be read"):
        Hold(site).read()


@pytest.mark.parametrize(
    ("configuration", "files", "queue", "most"),
    [
        ("events {\n    worker_connections 768;\n}\n", None, 4096, 288),
        ("events {\n    worker_connections 768;\n}\n", 100, 4096, 37),
        ("worker_rlimit_nofile 400;\nevents { }\n", 100, 4096, 150),
        ("# worker_connections 4;\n", 100000, 4096, 192),
        ("events {\n    worker_connections 100000;\n}\n", 200000, 128, 96),
        ("", None, 4096, 192),
    ],
)
def test_how_many_may_wait(configuration: str, files: int | None, queue: int, most: int) -> None:
    assert most_waiting(configuration, files, queue) == most


def test_how_many_files_nginx_may_open_is_what_the_kernel_says(tmp_path: Path) -> None:
    for number, (name, limit) in enumerate([("nginx", "1024"), ("nginx", "512"), ("sshd", "10")]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "comm").write_text(f"{name}\n")
        (tmp_path / str(number) / "limits").write_text(f"Max open files            {limit}     4096   files\n")
    (tmp_path / "9").mkdir()
    assert (files_of("nginx", tmp_path), files_of("caddy", tmp_path)) == (512, None)
    assert files_of(Path("/proc/self/comm").read_text().strip()) is not None


def test_the_kernel_has_the_last_word_on_a_queue(tmp_path: Path) -> None:
    (tmp_path / "somaxconn").write_text("128\n")
    assert [queue_of(backlog, tmp_path / "somaxconn") for backlog in (64, 4096)] == [64, 128]
    assert queue_of(1) == 1


def test_the_time_that_is_left_does_not_grow(site: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    terms = begun(site, seconds=10).read()
    assert terms is not None
    monkeypatch.setattr(module, "_now", lambda: terms.since + 4)
    assert terms.left() == pytest.approx(6)
    monkeypatch.setattr(module, "_now", lambda: terms.since + 40)
    assert terms.left() == 0
