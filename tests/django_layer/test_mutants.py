"""What mutation testing found that no test had noticed."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.state import Window
from django.core.checks.registry import registry
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.http import HttpRequest, HttpResponse
from django_intermission import conf, state, writer
from django_intermission.addresses import Proxies, parse_network
from django_intermission.answer import preferred
from django_intermission.checks import check_settings
from django_intermission.decision import by_secret
from django_intermission.signals import maintenance_changed
from django_intermission.times import format_instant, parse_instant

from django_layer.conftest import Configure, Host, instant
from django_layer.project import AUTHENTICATION, EARLY, LATE, SESSIONS
from django_layer.test_holes import OTHER
from django_layer.visitors import Visit


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The host's own clock shows another zone than UTC."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("text", "hour", "minute"),
    [("12:00Z", 12, 0), ("12:00+05:30", 6, 30), ("12:00-03:30", 15, 30), ("12:00+0200", 10, 0), ("12:00-02:00", 14, 0)],
)
def test_instants_with_a_zone(text: str, hour: int, minute: int) -> None:
    instant = parse_instant(f"2026-12-01T{text}")
    assert (instant, instant.tzinfo) == (datetime(2026, 12, 1, hour, minute, tzinfo=timezone.utc), timezone.utc)
    assert format_instant(instant) == f"2026-12-01T{hour:02}:{minute:02}:00Z"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("image/png, application/json", "json"),
        ("application/xhtml+xml, application/json", "html"),
        ("text/html;q=0, application/json;q=0.1", "json"),
        ("text/html;q=2, application/json;q=0.1", "json"),
        ("text/html;q=1.5, application/json", "json"),
        ("application/json;q=0.9, text/html;q=1", "html"),
        ("application/json, text/html;q=1", "json"),
        ("image/png", None),
    ],
)
def test_what_accept_prefers(accept: str, wanted: str) -> None:
    assert preferred(accept) == wanted


def handler(request: HttpRequest, maintenance: Any) -> HttpResponse:
    return HttpResponse(f"{request.path} {maintenance.source}", status=503)


async def ahandler(request: HttpRequest, maintenance: Any) -> HttpResponse:
    return handler(request, maintenance)


@pytest.mark.parametrize("function", [handler, ahandler])
def test_a_handler_gets_the_request_and_what_is_in_force(configure: Configure, visit: Visit, function: Any) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_HANDLER=function)
    assert visit("/orders/").body == "/orders/ setting"


def test_a_handler_is_told_of_the_flag(configure: Configure, host: Host, visit: Visit) -> None:
    configure(MAINTENANCE_STATE_DIRECTORY=host.path, MAINTENANCE_HANDLER=handler)
    host.open()
    assert visit().body == "/ flag"
    (host.path / "on").unlink()
    (host.path / "on").touch()
    assert visit().body == "/ flag"


def fail(*_: Any) -> None:
    raise ZeroDivisionError


def say(*_: Any) -> str:
    return "text"


@pytest.mark.parametrize(
    ("settings", "words", "error"),
    [
        ({"MAINTENANCE_HANDLER": fail}, "MAINTENANCE_HANDLER failed", "ZeroDivisionError"),
        ({"MAINTENANCE_HANDLER": say}, "MAINTENANCE_HANDLER failed", "gave 'text', which is no HttpResponse"),
        ({"MAINTENANCE_FORMAT": fail}, "MAINTENANCE_FORMAT failed", "ZeroDivisionError"),
    ],
)
def test_what_fails_is_logged_once_and_why(
    configure: Configure,
    visit: Visit,
    caplog: pytest.LogCaptureFixture,
    settings: dict[str, Any],
    words: str,
    error: str,
) -> None:
    configure(MAINTENANCE_MODE=True, **settings)
    assert {visit().status, visit().status} == {503}
    assert [record.getMessage().startswith(words) for record in caplog.records] == [True]
    assert error in caplog.text


def test_a_flag_that_leads_nowhere_closes_at_once(host: Host, visit: Visit) -> None:
    assert visit().status == 200
    (host.path / "on").symlink_to("windows/nowhere")
    assert visit().status == 503


@pytest.mark.parametrize("kind", ["window", "broken", "dangling", "plain", "unreadable"])
def test_a_change_is_told_once(host: Host, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    told: list[Any] = []

    def receiver(sender: Any, maintenance: Any, **_: Any) -> None:
        told.append((sender, maintenance.source))

    if kind in ("window", "broken"):
        host.open()
    if kind == "broken":
        host.window_file.write_text("{")
    if kind == "dangling":
        (host.path / "on").symlink_to("windows/nowhere")
    if kind == "plain":
        (host.path / "on").touch()
    if kind == "unreadable":
        monkeypatch.setattr(os, "lstat", refuse)
    maintenance_changed.connect(receiver)
    try:
        look = state.HostState(str(host.path)).look
        assert [found.source for _ in range(3) if (found := look())] == ["flag"] * 3
    finally:
        maintenance_changed.disconnect(receiver)
    assert told == [(state.HostState, "flag")]


def refuse(path: str) -> Any:
    raise PermissionError(13, "Permission denied", path)


def test_a_broken_window_is_read_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.open()
    host.window_file.write_text("{")
    read: list[Path] = []
    really = state.read_text

    def counted(path: Path) -> str:
        read.append(path)
        return really(path)

    monkeypatch.setattr(state, "read_text", counted)
    look = state.HostState(str(host.path)).look
    assert [look() is not None for _ in range(3)] == [True] * 3
    assert len(read) == 1


def test_the_reason_and_the_flag_are_logged(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "django_intermission"):
        host.open(reason="Disk")
        state.HostState(str(host.path)).look()
        host.open("manual-2")
        state.HostState(str(host.path)).look()
    assert f"the flag {host.path}/on is there: the site is closed (Disk)" in caplog.text
    assert "the site is closed (no reason given)" in caplog.text


def test_the_journal_of_the_command(host: Host) -> None:
    call_command("maintenance", "on", "--reason", "Disk", "--until", "2999-01-01T00:00Z", "--read-only")
    call_command("maintenance", "off")
    opened, closed = host.state.journal(9)
    window = opened["window"]
    assert window.startswith("manage-2")
    assert opened == {
        "at": opened["at"],
        "event": "opened",
        "by": opened["by"],
        "from": "manage.py",
        "window": window,
        "reason": "Disk",
        "until": "2999-01-01T00:00:00Z",
        "read_only": True,
    }
    assert closed == {
        **{name: closed[name] for name in ("at", "by")},
        "event": "closed",
        "from": "manage.py",
        "window": window,
    }
    assert closed["at"] >= opened["at"] > "2026" and opened["by"] == closed["by"] != ""
    assert opened["at"].endswith("+00:00")


def test_a_broken_window_is_replaced(host: Host) -> None:
    host.open()
    host.window_file.write_text("{")
    call_command("maintenance", "on", "--reason", "Disk")
    current = host.state.current_window()
    assert current is not None and (current.reason, current.opened_by) == ("Disk", host.state.journal(1)[0]["by"])


@pytest.mark.parametrize("middleware", [[EARLY, "nowhere.Middleware"], [EARLY, "django_intermission.conf.load"]])
def test_what_is_no_late_half(configure: Configure, middleware: list[str]) -> None:
    configure(MIDDLEWARE=middleware)
    assert conf.load().has_late_half is False


@pytest.mark.parametrize("name", ["MAINTENANCE_BYPASS_IP", "MAINTENANCE_ALLOWED_URLS", "MAINTENANCE_JSON_PATHS"])
@pytest.mark.parametrize("value", [7, None, "text"])
def test_a_list_that_is_none(configure: Configure, name: str, value: object) -> None:
    configure(**{name: value})
    with pytest.raises(ImproperlyConfigured, match=f"{name} is {value!r}: set it to a list"):
        conf.load()


def test_no_seconds_are_a_number_of_seconds(configure: Configure, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_RETRY_AFTER=0)
    assert visit()["Retry-After"] == "0"


@pytest.mark.parametrize("settings", [{"MAINTENANCE_HANDLER": handler}, {"MAINTENANCE_REDIRECT_URL": "/x/"}])
def test_one_way_to_answer_is_no_finding(configure: Configure, settings: dict[str, Any]) -> None:
    configure(**settings)
    assert check_settings(None) == []


def test_the_checks_are_registered() -> None:
    assert check_settings in list[object](registry.registered_checks)


def test_a_verb_is_needed() -> None:
    with pytest.raises(CommandError, match="verb"):
        call_command("maintenance")


def test_a_view_of_an_earlier_urlconf_passes(configure: Configure, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_ALLOWED_URL_NAMES=["another"], MIDDLEWARE=[OTHER, EARLY])
    assert visit("/health/").status == 200
    assert visit("/open/function/").status == 503


@pytest.mark.parametrize(
    "settings",
    [
        {"MAINTENANCE_ALLOW_STAFF": True, "MIDDLEWARE": [EARLY, SESSIONS, AUTHENTICATION, LATE]},
        {"MAINTENANCE_ALLOW_STAFF": True, "MIDDLEWARE": [SESSIONS, AUTHENTICATION, EARLY]},
        {"MAINTENANCE_ALLOWED_URL_NAMES": ["health"], "MIDDLEWARE": [EARLY, OTHER]},
    ],
    ids=["by the late half", "after authentication", "at the view"],
)
@pytest.mark.usefixtures("database")
def test_who_is_refused_later_is_answered_as_asked_for(
    configure: Configure, host: Host, visit: Visit, settings: dict[str, Any]
) -> None:
    configure(**settings)
    host.open(reason="A disk is changed")
    refused = visit("/health/", Accept="application/json")
    assert (refused.status, refused["Content-Type"]) == (503, "application/problem+json")
    assert "A disk is changed" in json.dumps(json.loads(refused.body))


def test_a_view_that_keeps_its_class_elsewhere(
    configure: Configure, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As REST frameworks' viewsets do."""
    from django_layer import project

    configure(MAINTENANCE_MODE=True)
    assert visit("/health/").status == 503
    monkeypatch.setattr(project.home, "cls", project.OpenClass, raising=False)
    assert visit("/health/").status == 200


def test_networks_and_clients_at_the_edge() -> None:
    assert str(parse_network("::ffff:0:0/96")) == "0.0.0.0/0"
    assert Proxies((), False).client("", "") is None


@pytest.mark.usefixtures("elsewhere")
def test_what_is_still_to_begin_or_being_written_is_not_forgotten(host: Host) -> None:
    soon = [f"soon-{number}" for number in range(writer.KEPT_WINDOWS + 5)]
    for number, name in enumerate(soon):
        host.state.stage(Window(id=name, site="shop", start=instant(minutes=5, seconds=number)))
        host.state.stage(Window(id=f"begun-{number}", site="shop", start=f"2026-01-01T00:00:{number:02}Z"))
    host.state.stage(Window(id="old", site="shop", start="2020-01-01T00:00:00Z"))
    (host.state.windows / "old").rename(host.state.windows / ".being-written")
    writer.StateWriter(host.path).open(state.Window(id="manage-1", site="shop", start=instant()))
    left = set(os.listdir(host.state.windows))
    assert {*soon, ".being-written", "manage-1"} <= left
    assert "begun-0" not in left


def test_a_line_of_the_journal_that_was_cut_short_ends_there(host: Host) -> None:
    journal = host.path / "journal.jsonl"
    journal.write_text('{"event": "op')
    call_command("maintenance", "on", "--reason", "Disk")
    call_command("maintenance", "off")
    cut, *whole = journal.read_text().splitlines()
    assert (cut, [json.loads(line)["event"] for line in whole]) == ('{"event": "op', ["opened", "closed"])


def test_a_deploys_window_is_closed_by_force_alone(host: Host) -> None:
    host.open("deploy-1")
    with pytest.raises(writer.StateError, match="by a deploy"):
        writer.StateWriter(host.path).close()


def test_a_secret_that_is_no_text_is_the_wrong_one() -> None:
    request = HttpRequest()
    request.META["HTTP_X_INTERMISSION_PASS"] = "\udcff"
    assert not by_secret(request, state.Maintenance("flag", site="shop", bypass_digest="0" * 64))
