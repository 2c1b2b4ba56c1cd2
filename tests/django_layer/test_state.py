"""The host's flag: what it says, what it costs, and what becomes of one that is broken."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import state as theirs
from ansible_collections.intermission.django.plugins.module_utils import times as their_times
from django_intermission import conf, state, times
from django_intermission.signals import maintenance_changed
from hypothesis import given
from hypothesis import strategies as st

from django_layer.conftest import Configure, Host, instant
from django_layer.visitors import Visit

INSTANTS = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 1), timezones=st.just(timezone.utc)).map(
    times.format_instant
)
WINDOWS = st.builds(
    theirs.Window,
    id=st.text(),
    site=st.text(),
    start=INSTANTS,
    end=st.none() | INSTANTS,
    reason=st.text(),
    message=st.text(),
    opened_by=st.text(),
    layer=st.sampled_from(state.LAYERS),
    expires=st.booleans(),
    bypass_digest=st.none() | st.from_regex(r"\A[0-9a-f]{64}\Z"),
    read_only=st.booleans(),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["schema", "id", "end"]), inner),
    max_leaves=8,
)
FIELDS = {"schema": 1, "id": "w", "site": "shop", "start": "2026-01-01T00:00:00Z"}


@given(WINDOWS)
def test_both_readers_agree_on_a_window(window: theirs.Window) -> None:
    read = state.Window.from_json(window.to_json())
    assert asdict(read) == asdict(window)
    assert read.to_json() == window.to_json()


@given(
    st.dictionaries(st.sampled_from([*FIELDS, *asdict(state.Window("", "", ""))]), JSON).map(
        lambda odd: {**FIELDS, **odd}
    )
)
def test_what_the_product_refuses_is_refused(fields: dict[str, Any]) -> None:
    text = json.dumps(fields)
    try:
        theirs.Window.from_json(text)
    except theirs.StateError:
        with pytest.raises(ValueError):
            state.Window.from_json(text)


@given(st.one_of(JSON.map(json.dumps), st.text(), st.just("[" * 100000)))
def test_any_text_is_a_window_or_a_value_error(text: str) -> None:
    try:
        window = state.Window.from_json(text)
    except ValueError:
        return
    assert state.Maintenance.of(window).source == "flag"


@pytest.mark.parametrize(
    "change",
    [
        {"schema": 2},
        {"reason": 5},
        {"read_only": "yes"},
        {"expires": 1},
        {"start": "soon"},
        {"end": "later"},
        {"id": None},
    ],
)
def test_a_field_that_is_wrong(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        state.Window.from_json(json.dumps({**FIELDS, **change}))


def test_fields_of_later_versions_are_passed_over() -> None:
    text = json.dumps({**FIELDS, "colour": "red"})
    assert state.Window.from_json(text) == state.Window.from_json(json.dumps(FIELDS))
    assert asdict(state.Window.from_json(text)) == asdict(theirs.Window.from_json(text))


@given(st.one_of(st.text(), INSTANTS, st.from_regex(times.INSTANT, fullmatch=True)))
def test_both_agree_on_instants(text: str) -> None:
    assert result(times.parse_instant, text) == result(their_times.parse_instant, text)


@given(st.one_of(st.text(), st.from_regex(times.DURATION, fullmatch=True)))
def test_both_agree_on_durations(text: str) -> None:
    assert result(times.parse_duration, text) == result(their_times.parse_duration, text)


def result(function: Callable[[str], Any], text: str) -> Any:
    try:
        return function(text)
    except ValueError:
        return ValueError


def test_both_agree_while_windows_come_and_go(host: Host) -> None:
    reader = state.HostState(str(host.path))
    for step in (
        lambda: host.open(reason="Disk"),
        lambda: host.open("manual-2", reason="Disk", end=instant(hours=1)),
        lambda: host.open("manual-3", read_only=True),
        host.close,
        lambda: (host.path / "on").touch(),
        lambda: (host.path / "on").unlink(),
        lambda: host.open("deploy-1"),
        host.close,
    ):
        step()
        status = host.state.status()
        seen = reader.look()
        assert (seen is not None) == status["on"]
        if status["window"]:
            assert seen is not None
            assert (seen.window_id, seen.reason) == (status["window"]["id"], status["window"]["reason"])
            assert seen.read_only == status["window"]["read_only"]
            assert seen.end == (status["until"] and times.parse_instant(status["until"]))
            assert seen.start == times.parse_instant(status["since"])


def test_the_flag_closes_and_opens(host: Host, visit: Visit) -> None:
    assert visit().status == 200
    host.open(reason="Disk")
    assert visit().status == 503
    host.close()
    assert visit().status == 200


def test_a_flag_by_hand_closes(host: Host, visit: Visit) -> None:
    (host.path / "on").touch()
    assert visit().status == 503


def test_a_window_that_is_written_over_is_read_again(host: Host, visit: Visit) -> None:
    host.open(reason="Disk")
    assert "Disk" in visit().body
    host.window_file.write_text(json.dumps({**FIELDS, "reason": "Memory is changed"}))
    assert "Memory is changed" in visit().body


def test_a_window_is_read_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.open()
    reader = state.HostState(str(host.path))
    first = reader.look()
    monkeypatch.setattr(state, "read_text", lambda path: pytest.fail("read again"))
    assert reader.look() is first


def test_an_open_site_costs_one_access(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = state.HostState(str(host.path))
    assert reader.look() is None
    looks: list[str] = []

    def access(path: str, mode: int, **how: bool) -> bool:
        looks.append(path)
        return False

    monkeypatch.setattr(os, "access", access)
    monkeypatch.setattr(os, "lstat", lambda path: pytest.fail("a second call"))
    assert reader.look() is None
    assert looks == [str(host.path / "on")]


BROKEN = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"schema": 1}',
    b"\xff\xfe",
    b'{"schema": 2, "id": "w"}',
    b"x" * 70000,
    b"[" * 60000,
]


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_window_closes_with_the_built_in_text(
    host: Host, visit: Visit, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    host.open(reason="Disk")
    assert visit().status == 503
    host.window_file.write_bytes(content)
    for _ in range(3):
        answer = visit()
        assert answer.status == 503
        assert "We are working on this site" in answer.body and "Disk" not in answer.body
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda window: shutil.rmtree(window.parent.resolve()),
        lambda window: window.unlink(),
        lambda window: (window.unlink(), window.mkdir()),
        lambda window: window.unlink() or os.mkfifo(window),  # type: ignore[func-returns-value]
        lambda window: (window.unlink(), window.symlink_to(window.name)),
    ],
)
def test_a_window_that_is_not_there_closes(host: Host, visit: Visit, spoil: Callable[[Path], Any]) -> None:
    host.open()
    spoil(host.window_file)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        assert visit().status == 503
    assert len(os.listdir("/proc/self/fd")) <= before + 2


def test_a_file_may_be_just_so_long_and_is_closed_again(tmp_path: Path) -> None:
    file = tmp_path / "window.json"
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        file.write_text("x" * 65536)
        assert len(state.read_text(file)) == 65536
        file.write_text("x" * 65537)
        with pytest.raises(ValueError, match="too long"):
            state.read_text(file)
        with pytest.raises(ValueError, match="no plain file"):
            state.read_text(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_window_that_could_not_be_read_once_is_read_again(
    host: Host, visit: Visit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(path: Path) -> str:
        raise OSError(24, "Too many open files")

    host.open(read_only=True)
    with monkeypatch.context() as patched:
        patched.setattr(state, "read_text", fail)
        assert {visit().status, visit().status} == {503}
    assert visit().status == 200
    assert caplog.text.count("cannot be read") == 1


def test_each_time_that_a_window_breaks_is_logged(host: Host, visit: Visit, caplog: pytest.LogCaptureFixture) -> None:
    for number in (1, 2):
        host.open(f"manual-{number}")
        host.window_file.write_text("{")
        visit()
        host.close()
        visit()
    assert caplog.text.count("cannot be read") == 2
    host.open("manual-3")
    for content in ("{", host.window_file.read_text(), "[]"):
        host.window_file.write_text(content)
        visit()
    assert caplog.text.count("cannot be read") == 4


def test_a_flag_that_leads_to_itself_closes(host: Host, visit: Visit) -> None:
    (host.path / "on").symlink_to("on")
    assert visit().status == 503


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_directory_that_cannot_be_looked_into_closes_and_is_logged_once(
    host: Host, visit: Visit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: OSError
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "access", lambda path, mode, **how: False)
        patched.setattr(os, "lstat", raising(error, os.lstat, host.path / "on"))
        assert {visit().status for _ in range(3)} == {503}
    assert len([record for record in caplog.records if "cannot be looked at" in record.message]) == 1
    assert visit().status == 200


def raising(error: OSError, function: Callable[..., Any], at: Path) -> Callable[..., Any]:
    def lstat(path: Any, **how: Any) -> Any:
        if str(path) == str(at):
            raise error
        return function(path, **how)

    return lstat


def test_a_directory_that_becomes_unreadable_is_found_out(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = state.HostState(str(host.path))
    assert reader.look() is None
    now = time.monotonic() + 2 * state.FULL_LOOK_SECONDS
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(os, "lstat", raising(PermissionError(13, "no"), os.lstat, host.path / "on"))
    assert reader.look() is not None


@pytest.mark.parametrize("what", ["the directory", "its parent"])
def test_without_the_directory_the_site_is_open(host: Host, visit: Visit, what: str) -> None:
    gone = host.path if what == "the directory" else host.path.parent
    shutil.rmtree(gone)
    assert visit().status == 200
    gone.write_text("no directory")
    assert visit().status == 200


@pytest.mark.parametrize(
    ("layers", "layer", "status"), [(["django"], "nginx", 200), (["django"], "django", 503), (["nginx"], "nginx", 503)]
)
def test_windows_of_another_layer(
    configure: Configure, host: Host, visit: Visit, layers: list[str], layer: str, status: int
) -> None:
    configure(MAINTENANCE_LAYERS=layers)
    host.open(layer=layer)
    assert visit().status == status


def test_a_flag_by_hand_is_of_every_layer(configure: Configure, host: Host, visit: Visit) -> None:
    configure(MAINTENANCE_LAYERS=["nginx"])
    (host.path / "on").touch()
    assert visit().status == 503


def test_the_stricter_one_counts(configure: Configure, host: Host, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_READ_ONLY=True)
    assert (visit().status, visit(method="POST").status) == (200, 503)
    host.open(read_only=True)
    assert visit().status == 200
    host.open("manual-2")
    assert visit().status == 503


def test_the_setting_alone_closes(configure: Configure, host: Host, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True)
    host.open(read_only=True)
    assert visit().status == 503


@pytest.fixture
def changes() -> Any:
    seen: list[Any] = []

    def receiver(maintenance: Any, **_: Any) -> None:
        seen.append(maintenance and maintenance.reason)

    maintenance_changed.connect(receiver)
    yield seen
    maintenance_changed.disconnect(receiver)


def test_changes_are_told(host: Host, visit: Visit, changes: list[Any], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "django_intermission")
    for step in (
        lambda: None,
        lambda: host.open(reason="Disk"),
        lambda: host.open("manual-2", reason="Memory"),
        host.close,
    ):
        step()
        visit()
        visit()
    assert changes == ["Disk", "Memory", None]
    lines = [record.message for record in caplog.records if record.name == "django_intermission"]
    assert [line.partition(" on ")[2] for line in lines] == [] or len(lines) == 3
    assert ["closed" in line for line in lines] == [True, True, False]


def test_a_receiver_that_fails_does_no_harm(host: Host, visit: Visit, caplog: pytest.LogCaptureFixture) -> None:
    def receiver(**_: Any) -> None:
        raise RuntimeError("no")

    maintenance_changed.connect(receiver)
    host.open()
    try:
        assert visit().status == 503
    finally:
        maintenance_changed.disconnect(receiver)
    assert "receiver" in caplog.text


def test_an_error_of_the_signal_does_no_harm(
    host: Host, visit: Visit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("in an event loop")

    monkeypatch.setattr(maintenance_changed, "send_robust", fail)
    host.open()
    assert visit().status == 503
    assert "could not be called" in caplog.text


def stage(host: Host, id: str, **fields: Any) -> None:
    host.state.stage(theirs.Window(id=id, site="shop", **fields))


def test_announced_windows(host: Host) -> None:
    reader = state.HostState(str(host.path))
    assert reader.announced() == ()
    stage(host, "second", start=instant(days=2))
    stage(host, "past", start=instant(days=-2))
    stage(host, "first", start=instant(days=1), end=instant(days=1, hours=1), reason="Disk")
    (host.state.windows / "broken").mkdir()
    shutil.copytree(host.state.windows / "first", host.state.windows / ".partial")
    assert [window.window_id for window in reader.announced()] == ["first", "second"]
    assert reader.announced()[0].reason == "Disk"


def test_announced_windows_are_kept_until_the_directory_changes(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = state.HostState(str(host.path))
    stage(host, "first", start=instant(days=1))
    os.utime(host.state.windows, (1, 1))
    assert len(reader.announced()) == 1
    with monkeypatch.context() as patched:
        patched.setattr(os, "listdir", lambda path: pytest.fail("read again"))
        assert len(reader.announced()) == 1
    stage(host, "second", start=instant(days=2))
    assert len(reader.announced()) == 2


def test_a_directory_changed_just_now_is_read_each_time(host: Host) -> None:
    reader = state.HostState(str(host.path))
    stage(host, "first", start=instant(days=1))
    assert len(reader.announced()) == 1
    times_before = os.stat(host.state.windows).st_mtime_ns
    stage(host, "second", start=instant(days=2))
    os.utime(host.state.windows, ns=(times_before, times_before))
    assert len(reader.announced()) == 2


def test_windows_that_cannot_be_listed_announce_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def listdir(path: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "listdir", listdir)
    reader = conf.current().host
    assert reader is not None and reader.announced() == () == reader.announced()
    assert caplog.text.count("no window is announced") == 1
    shutil.rmtree(host.path)
    assert reader.announced() == ()


def test_the_announcement_ends_when_the_window_begins(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = state.HostState(str(host.path))
    stage(host, "first", start="2030-01-01T00:00:00Z")

    class Later(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime(2030, 1, 1, tzinfo=timezone.utc)

    assert len(reader.announced()) == 1
    monkeypatch.setattr(state, "datetime", Later)
    assert reader.announced() == ()
