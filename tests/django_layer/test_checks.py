"""The system checks: each finds what it names, and says nothing about a project that is in order."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django_intermission.checks import check_settings

from django_layer.conftest import Configure, Host
from django_layer.project import AUTHENTICATION, EARLY, LATE, SESSIONS

SECURITY = "django.middleware.security.SecurityMiddleware"
ORIGIN = {
    "MAINTENANCE_MODE": False,
    "MAINTENANCE_BYPASS_IP": ["127.0.0.1", "::1"],
    "MAINTENANCE_ALLOWED_URLS": ["^/admin/"],
    "MIDDLEWARE": [SECURITY, SESSIONS, AUTHENTICATION, EARLY],
}
STAFF = {"MAINTENANCE_ALLOW_STAFF": True, "MAINTENANCE_ALLOWED_URLS": ["^/admin/"]}

NEEDS_NO_HINT = ("intermission.E001", "intermission.W005", "intermission.W008")

CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("nothing set", {}, []),
    ("behind what may stand before", {"MIDDLEWARE": [SECURITY, EARLY]}, []),
    ("the settings of ORIGIN", ORIGIN, ["W002", "W004"]),
    ("no value", {"MAINTENANCE_MODE": "perhaps", "MAINTENANCE_BYPASS_IP": ["127.0.0.1"]}, ["E001"]),
    ("no middleware", {"MIDDLEWARE": [SESSIONS]}, ["W001"]),
    ("one of the project's own", {"MIDDLEWARE": ["django_layer.test_checks.Own"]}, []),
    ("others that are none", {"MIDDLEWARE": ["nowhere.X", "django_layer.test_checks.function", EARLY]}, ["W002"]),
    (
        "the proxy passes",
        {"MAINTENANCE_BYPASS_IP": ["10.0.0.0/8"], "MAINTENANCE_TRUSTED_PROXIES": ["10.0.0.1"]},
        ["W003"],
    ),
    (
        "clients pass",
        {"MAINTENANCE_BYPASS_IP": ["10.0.1.0/24"], "MAINTENANCE_TRUSTED_PROXIES": ["10.0.0.1", "::1"]},
        [],
    ),
    ("behind a socket", {"MAINTENANCE_BYPASS_IP": ["127.0.0.1"], "MAINTENANCE_TRUSTED_PROXIES": ["unix"]}, []),
    (
        "this host, behind another",
        {"MAINTENANCE_BYPASS_IP": ["127.0.0.1"], "MAINTENANCE_TRUSTED_PROXIES": ["10.0.0.5"]},
        ["W004"],
    ),
    (
        "this host, which is a proxy",
        {"MAINTENANCE_BYPASS_IP": ["127.0.0.1"], "MAINTENANCE_TRUSTED_PROXIES": ["127.0.0.0/8"]},
        ["W003"],
    ),
    ("public clients", {"MAINTENANCE_BYPASS_IP": ["8.8.8.8", "2a00::/32"]}, []),
    ("everybody", {"MAINTENANCE_BYPASS_IP": ["0.0.0.0/0", "::/0"]}, ["W005"]),
    ("every path", {"MAINTENANCE_ALLOWED_URLS": ["^/", "^/admin/"]}, ["W006"]),
    ("staff", {**STAFF}, []),
    ("staff, one half behind", {**STAFF, "MIDDLEWARE": [SESSIONS, AUTHENTICATION, EARLY]}, ["W002"]),
    ("staff, no late half", {**STAFF, "MIDDLEWARE": [EARLY, SESSIONS, AUTHENTICATION]}, ["E002"]),
    ("staff, late half too early", {**STAFF, "MIDDLEWARE": [EARLY, LATE, AUTHENTICATION]}, ["E002"]),
    ("staff, no users", {**STAFF, "MIDDLEWARE": [EARLY, LATE]}, ["E002"]),
    ("staff, no log-in", {"MAINTENANCE_ALLOW_STAFF": True}, ["W007"]),
    ("staff, log-in by name", {"MAINTENANCE_ALLOW_STAFF": True, "MAINTENANCE_ALLOWED_URL_NAMES": ["admin:login"]}, []),
    ("two answers", {"MAINTENANCE_HANDLER": print, "MAINTENANCE_REDIRECT_URL": "/x/"}, ["W008"]),
    ("debug and mode", {"DEBUG": True, "MAINTENANCE_MODE": True}, ["W009"]),
    ("debug and mode, as wanted", {"DEBUG": True, "MAINTENANCE_MODE": True, "MAINTENANCE_IN_DEBUG": True}, []),
    ("another package's", {"MAINTENANCE_MODE_IGNORE_STAFF": True, "MAINTENANCE_BYPASS_IPS": []}, ["W011"]),
    ("late half first", {**STAFF, "MIDDLEWARE": [LATE, EARLY, SESSIONS, AUTHENTICATION]}, ["W002", "E002"]),
    ("no directory", {"MAINTENANCE_STATE_DIRECTORY": "/nowhere/shop"}, ["W010"]),
]


def function(get_response: Any) -> Any:
    """A middleware that is a function."""


def __getattr__(name: str) -> Any:
    if name == "Own":
        from django_intermission.middleware import MaintenanceModeMiddleware

        return type("Own", (MaintenanceModeMiddleware,), {})
    raise AttributeError(name)


def ids() -> list[str]:
    return [str(message.id).replace("intermission.", "") for message in check_settings(None)]


@pytest.mark.parametrize(("settings", "found"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_findings(configure: Configure, settings: dict[str, Any], found: list[str]) -> None:
    configure(**settings)
    assert ids() == found
    for finding in check_settings(None):
        assert finding.msg not in (None, "None")
        assert (finding.hint is None) == (finding.id in NEEDS_NO_HINT)


def test_django_runs_them(configure: Configure) -> None:
    configure(MIDDLEWARE=[])
    assert "intermission.W001" in [message.id for message in run_checks()]


def test_a_directory_in_order(host: Host) -> None:
    assert ids() == []
    (host.path / "on").touch()
    assert ids() == []


def test_a_directory_that_cannot_be_entered(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    lstat = os.lstat

    def refuse(path: Any, **how: Any) -> Any:
        if Path(path) == host.path / "on":
            raise PermissionError(13, "Permission denied")
        return lstat(path, **how)

    monkeypatch.setattr(os, "lstat", refuse)
    assert ids() == ["E003"]
