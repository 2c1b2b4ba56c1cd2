"""A site's systemd units: written together, read back by systemd, removed when they are no longer wanted."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import units as module
from ansible_collections.intermission.django.plugins.module_utils.units import (
    UnitError,
    Units,
    keep,
    kept,
    mark,
    systemctl,
)


class Systemd:
    """Plays systemctl(1): what it was asked, and what it says of each unit."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.refused: set[str] = set()
        self.states: dict[str, str] = {}
        self.active: dict[str, str] = {}

    def __call__(self, *arguments: str) -> str:
        self.asked.append(arguments)
        if "--property=LoadState,LoadError" in arguments:
            state = "bad-setting" if arguments[-1] in self.refused else "loaded"
            return f"LoadState={state}\nLoadError=\n"
        if arguments[0] == "show":
            return "\n\n".join(
                f"Id={name}\nUnitFileState={self.states.get(name, 'enabled')}\nNeedDaemonReload=no\n"
                f"ActiveState={self.active.get(name, 'inactive')}"
                for name in arguments[2:]
            )
        return ""

    def did(self, verb: str) -> list[tuple[str, ...]]:
        return [asked[1:] for asked in self.asked if asked[0] == verb]


@pytest.fixture
def systemd(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Systemd:
    played = Systemd()
    monkeypatch.setattr(module, "systemctl", played)
    monkeypatch.setattr(module, "VENDOR_DIRECTORIES", (str(tmp_path / "vendor"),))
    return played


@pytest.fixture
def units(tmp_path: Path) -> Units:
    (tmp_path / "system").mkdir()
    return Units("shop", str(tmp_path / "system"))


def unit(text: str) -> str:
    return f"{mark('shop')}\n{text}\n"


WANTED = {"shop.socket": unit("[Socket]"), "shop.service": unit("[Service]")}


def test_units_are_written_loaded_and_enabled(units: Units, systemd: Systemd) -> None:
    assert units.install(WANTED)
    assert units.installed() == WANTED
    assert systemd.did("daemon-reload") == [()]
    assert systemd.did("enable") == [("shop.socket", "shop.service")]
    assert (units.directory / "shop.service").stat().st_mode & 0o777 == 0o644


def test_a_second_run_does_nothing(units: Units, systemd: Systemd) -> None:
    units.install(WANTED)
    systemd.asked.clear()
    assert not units.install(WANTED)
    assert {asked[0] for asked in systemd.asked} == {"show"}


def test_a_run_that_died_before_enabling_is_finished_by_the_next(units: Units, systemd: Systemd) -> None:
    units.install(WANTED)
    systemd.states["shop.service"] = "disabled"
    systemd.asked.clear()
    assert units.install(WANTED)
    assert systemd.did("enable") == [("shop.socket", "shop.service")]


def test_a_unit_that_is_no_longer_wanted_is_stopped_and_removed(units: Units, systemd: Systemd) -> None:
    units.install({**WANTED, "shop-worker-beat.service": unit("[Service]")})
    assert units.install(WANTED)
    assert systemd.did("disable") == [("--now", "shop-worker-beat.service")]
    assert units.installed() == WANTED


def test_a_socket_that_changes_is_closed_and_a_service_that_changes_is_not_stopped(
    units: Units, systemd: Systemd
) -> None:
    units.install(WANTED)
    assert units.install({**WANTED, "shop.service": unit("[Service]\nNice=1")})
    assert systemd.did("stop") == []
    assert units.install({**WANTED, "shop.socket": unit("[Socket]\nBacklog=1")})
    assert systemd.did("stop") == [("shop.socket", "shop.service")]


def test_units_that_systemd_does_not_take_are_put_back(units: Units, systemd: Systemd) -> None:
    units.install(WANTED)
    systemd.refused.add("shop.service")
    with pytest.raises(UnitError, match="systemd does not take the units: shop.service: bad-setting"):
        units.install({**WANTED, "shop.service": unit("[Service]\nNonsense")})
    assert units.installed() == WANTED


@pytest.mark.parametrize("place", ["system", "vendor"])
def test_a_unit_of_other_origin_is_never_written_over(
    units: Units, systemd: Systemd, tmp_path: Path, place: str
) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "shop.service").write_text("[Service]\nExecStart=/usr/sbin/shop\n")
    with pytest.raises(UnitError, match="is not shop's: set django_release_service"):
        units.install(WANTED)
    assert not (units.directory / "shop.socket").exists()


def test_units_that_would_change_are_named_before_anything_changes(units: Units, systemd: Systemd) -> None:
    texts = {"shop.socket": "[Socket]\n", "shop.service": "[Service]\n"}
    assert units.changed(texts) == []
    units.install(units.marked(texts))
    assert units.changed(texts) == []
    assert units.changed({**texts, "shop.socket": "[Socket]\nBacklog=1\n", "shop-worker-beat.service": ""}) == [
        "shop.socket"
    ]


def test_units_of_another_site_are_not_looked_at(units: Units, systemd: Systemd) -> None:
    other = units.directory / "blog.service"
    other.write_text(f"{mark('blog')}\n[Service]\n")
    units.install(WANTED)
    units.install({})
    assert other.exists()
    assert units.installed() == {}


def test_units_are_kept_for_the_way_back(tmp_path: Path) -> None:
    file = tmp_path / "units" / "abc.json"
    assert kept(file) == {}
    keep(file, {"shop.service": "[Service]\n"})
    assert kept(file) == {"shop.service": "[Service]\n"}
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text("{")
    with pytest.raises(UnitError, match="is damaged: remove it, and deploy again"):
        kept(file)


def test_timers_are_started_and_the_units_of_a_part_are_apart(units: Units, systemd: Systemd) -> None:
    units.install(WANTED)
    part = Units("shop", str(units.directory), "schedule")
    clock = part.marked({"shop-schedule.timer": "[Timer]", "shop-schedule.service": "[Service]"})
    assert part.install(clock)
    assert systemd.did("restart") == [("shop-schedule.timer",)]
    systemd.active["shop-schedule.timer"] = "active"
    assert not part.install(clock)
    systemd.active.clear()
    assert part.install(clock)
    assert not units.install(WANTED)
    assert part.install({})
    assert units.installed() == WANTED
    assert systemd.did("disable") == [("--now", "shop-schedule.service", "shop-schedule.timer")]
    assert not part.install({})


def test_what_a_unit_writes_goes_with_it_and_stays_while_another_writes_it(
    units: Units, systemd: Systemd, tmp_path: Path
) -> None:
    file, other = tmp_path / "a" / "shop.prom", tmp_path / "b" / "shop.prom"

    def writer(place: Path, more: str = "") -> dict[str, str]:
        place.parent.mkdir(exist_ok=True)
        place.touch()
        return {"metrics.service": unit(f"# Writes: {place}\n[Service]{more}")}

    units.install(writer(file))
    units.install(writer(file, "\nNice=1"))
    assert file.exists()
    units.install(writer(other))
    assert (file.exists(), other.exists()) == (False, True)
    units.install({})
    assert not other.exists()


def test_a_unit_of_a_part_that_is_taken(units: Units, systemd: Systemd) -> None:
    (units.directory / "shop-schedule.timer").write_text("[Timer]\n")
    part = Units("shop", str(units.directory), "schedule")
    with pytest.raises(UnitError, match="shop-schedule.timer is there and is not shop's: rename it, or remove it"):
        part.install(part.marked({"shop-schedule.timer": "[Timer]"}))


def test_what_systemctl_says_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 1, "", "Unit shop.service is masked.\n")

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(UnitError, match=r"`systemctl enable shop.service` ended with 1: Unit shop.service is masked\."):
        systemctl("enable", "shop.service")
