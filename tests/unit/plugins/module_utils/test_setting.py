from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.files import NotPlainError
from ansible_collections.intermission.django.plugins.module_utils.setting import DigitSetting, EnvironmentSetting

ABOUT = {"reason": 'A "disk"', "message": "", "end": "2999-12-01T02:00:00Z", "read_only": False}


@pytest.fixture
def setting(tmp_path: Path) -> EnvironmentSetting:
    return EnvironmentSetting(tmp_path / "maintenance.env")


@pytest.fixture
def digit(tmp_path: Path) -> DigitSetting:
    return DigitSetting(tmp_path / "state.txt")


def test_a_file_that_is_not_there_says_off(setting: EnvironmentSetting, digit: DigitSetting) -> None:
    for one in (setting, digit):
        assert (one.is_on(), one.is_applied()) == (False, True)
        assert one.differs(True, ABOUT)
        assert not one.differs(False, ABOUT)


def test_on_and_off(setting: EnvironmentSetting) -> None:
    setting.write(True, {**ABOUT, "read_only": True})
    assert setting.path.read_text() == (
        'MAINTENANCE_END="2999-12-01T02:00:00Z"\nMAINTENANCE_MODE="on"\nMAINTENANCE_READ_ONLY="True"\n'
        'MAINTENANCE_REASON="A \\"disk\\""\n'
    )
    assert setting.path.stat().st_mode & 0o777 == 0o600
    assert setting.is_on()
    assert setting.differs(True, ABOUT)
    assert not setting.differs(True, {**ABOUT, "read_only": True})
    setting.write(False, ABOUT)
    assert setting.path.read_text() == 'MAINTENANCE_MODE="off"\n'
    assert not setting.is_on()
    assert not setting.differs(False, {})


def test_what_the_app_has_not_taken_up_is_known(setting: EnvironmentSetting) -> None:
    """A controller that died before the restart leaves the next run something to do."""
    setting.write(True, ABOUT)
    assert not setting.is_applied()
    setting.note_applied()
    assert setting.is_applied()
    setting.write(False, ABOUT)
    assert not setting.is_applied()


def test_a_line_break_is_refused(setting: EnvironmentSetting) -> None:
    with pytest.raises(ValueError, match="the value of MAINTENANCE_MESSAGE has a line break"):
        setting.write(True, {"message": "one\nMAINTENANCE_MODE=off"})
    assert not setting.path.exists()


def test_the_digit(digit: DigitSetting) -> None:
    digit.write(True, ABOUT)
    assert (digit.path.read_text(), digit.is_on(), digit.is_applied()) == ("1", True, True)
    assert not digit.differs(True, {})
    digit.write(False, ABOUT)
    assert (digit.path.read_text(), digit.is_on()) == ("0", False)
    assert not digit.differs(False, {})
    assert digit.path.stat().st_mode & 0o777 == 0o644


def test_the_digit_stays_its_owners(digit: DigitSetting) -> None:
    digit.path.write_text("0\n")
    digit.path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(digit.path, 1234, 1235)
    before = digit.path.stat()
    digit.write(True, ABOUT)
    after = digit.path.stat()
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)


def test_a_digit_that_leads_elsewhere_is_not_followed(digit: DigitSetting, tmp_path: Path) -> None:
    (tmp_path / "other").write_text("0")
    digit.path.symlink_to(tmp_path / "other")
    with pytest.raises(NotPlainError):
        digit.differs(True, ABOUT)
    assert (tmp_path / "other").read_text() == "0"
