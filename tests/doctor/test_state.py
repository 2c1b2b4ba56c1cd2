"""What the doctor finds in a site's state, beside its Nginx: flags and pages."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.doctor_host import dump, look, read
from ansible_collections.intermission.django.plugins.module_utils.state import Window
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant
from ansible_collections.intermission.django.plugins.plugin_utils.doctor import refusal

from doctor.host import WORKER, Host

MakeHost = Callable[..., Host]
NOW = datetime.now(UTC)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="whoever runs the tests is the worker, and may read everything")


def window(start: timedelta, end: timedelta) -> Window:
    return Window("w1", "shop", format_instant(NOW + start), format_instant(NOW + end))


@pytest.fixture
def host(make_host: MakeHost) -> Host:
    return make_host("healthy-debian-certbot")


def found(host: Host) -> list[tuple[str, str, str]]:
    return [(one.id, one.severity, os.path.relpath(one.file, host.root)) for one in host.examine()]


def test_n29_a_flag_that_points_to_nothing(host: Host) -> None:
    host.state.flag.symlink_to("windows/gone")
    assert found(host) == [("N29", "error", "state/shop/on")]


def test_a_window_that_is_overdue(host: Host) -> None:
    host.state.open(window(timedelta(hours=-2), timedelta(hours=-1)), "somebody", "here")
    assert found(host) == [("overdue", "error", "state/shop/on")]


@pytest.mark.parametrize(("hours", "expected"), [(23, []), (25, [("by-hand", "warning", "state/shop/on")])])
def test_a_flag_that_somebody_has_forgotten(host: Host, hours: int, expected: list[tuple[str, str, str]]) -> None:
    host.state.flag.touch()
    since = (NOW - timedelta(hours=hours)).timestamp()
    os.utime(host.state.flag, (since, since))
    assert found(host) == expected


def test_n9_a_page_that_is_missing(host: Host) -> None:
    (host.state.pages / "50x.en.html").unlink()
    assert found(host) == [("N9", "error", "state/shop/pages/50x.en.html")]


@as_root
def test_n9_a_page_that_the_worker_may_not_read(host: Host) -> None:
    (host.state.pages / "50x.en.html").chmod(0o600)
    (finding,) = host.examine()
    assert (finding.id, f"may not be read by the worker ({WORKER})" in finding.what) == ("N9", True)


@as_root
def test_n9_the_page_of_a_window_that_the_worker_may_not_read(host: Host) -> None:
    host.state.open(window(timedelta(), timedelta(hours=1)), "somebody", "here")
    (host.state.flag / "503.en.html").chmod(0o600)
    assert found(host) == [("N9", "error", "state/shop/on/503.en.html")]


@as_root
def test_n10_a_state_directory_that_the_worker_cannot_traverse(host: Host) -> None:
    (host.root / "state").chmod(0o700)
    ids = [(id_, file) for id_, _, file in found(host)]
    assert ids[-1] == ("N10", "state/shop")
    assert {id_ for id_, _ in ids} == {"N9", "N10"}


def test_n10_an_nginx_that_lives_in_a_file_system_of_its_own(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def seen(path: str, user: str, pid_file: str) -> dict[str, Any]:
        assert pid_file == str(host.root / "nginx.pid")
        return {**look(path, user, pid_file), "other": path == str(host.state.path)}

    monkeypatch.setattr("doctor.host.look", seen)
    (finding,) = host.examine()
    assert (finding.id, "PrivateTmp" in finding.why) == ("N10", True)


@pytest.mark.parametrize(("root", "expected"), [(True, WORKER), (False, "")])
def test_only_an_nginx_of_roots_changes_the_user_of_its_workers(
    host: Host, monkeypatch: pytest.MonkeyPatch, root: bool, expected: str
) -> None:
    asked: list[str] = []

    def user(*names: str) -> str:
        asked.append(names[0])
        return WORKER

    monkeypatch.setattr("doctor.host.read", lambda *arguments: {**read(*arguments), "root": root})
    monkeypatch.setattr("doctor.host.known_user", user)
    host.examine()
    assert set(asked) == {expected}


def test_a_page_that_another_version_has_written(host: Host) -> None:
    (host.state.pages / "503.en.html").write_text("<p>Closed</p>")
    assert found(host) == [("pages", "warning", "state/shop/pages/503.en.html")]


def test_what_is_in_a_container_is_not_looked_for_on_the_host(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host("n9-page-missing")
    text = dump(host.command, 60)
    inside = {**text, "stdout": text["stdout"].replace(str(host.root), "/container")}
    monkeypatch.setattr("doctor.host.dump", lambda *_: inside)
    assert host.examine() == []


def test_a_file_that_is_not_understood_is_told(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    text = dump(host.command, 60)
    odd = {**text, "stdout": f"{text['stdout']}\n# configuration file {host.root}/conf.d/odd.conf:\nserver {{\n"}
    monkeypatch.setattr("doctor.host.dump", lambda *_: odd)
    assert found(host) == [("unread", "warning", "conf.d/odd.conf")]


def test_only_a_cache_that_keeps_errors_hides_a_new_flag(make_host: MakeHost) -> None:
    host = make_host("n11-file-cache")
    cache = host.root / "conf.d/cache.conf"
    cache.write_text(cache.read_text().replace("open_file_cache_errors on;", ""))
    assert ("N11", "warning", "conf.d/cache.conf") in found(host)


def test_values_that_nginx_quotes_are_not_told() -> None:
    said = 'nginx: [emerg] invalid port in upstream "user:swordfish@host" in /etc/nginx/a.conf:30\nnginx: test failed\n'
    finding = refusal(said, "shop")
    assert (finding.file, finding.line) == ("/etc/nginx/a.conf", 30)
    assert "swordfish" not in finding.what
    assert '"proxy_pas"' in refusal('[emerg] unknown directive "proxy_pas" in /a:1', "shop").what


def test_a_command_that_says_nothing_is_told_too() -> None:
    assert "said nothing" in refusal("", "shop").what
    assert "sh: 1: nginx: not found" in refusal("sh: 1: nginx: not found\n", "shop").what


def with_line(host: Host, line: str) -> Host:
    """Put a line into the user's server, above the snippet."""
    server = host.root / "sites-enabled/shop"
    server.write_text(server.read_text(encoding="utf-8").replace("root ", f"{line} root ", 1), encoding="utf-8")
    return host


@pytest.mark.parametrize(("word", "severity"), [("on", "error"), ("if_not_owner", "warning")])
@pytest.mark.parametrize("above", [False, True])
def test_n10_a_flag_that_is_a_symlink_which_nginx_does_not_follow(
    host: Host, word: str, severity: str, above: bool
) -> None:
    barrier = f"disable_symlinks {word};"
    (host.root / "conf.d/symlinks.conf").write_text(f"{barrier if above else ''}\n")
    with_line(host, "" if above else barrier)
    assert found(host) == [("N10", severity, "conf.d/symlinks.conf" if above else "sites-enabled/shop")]


def test_n10_a_server_that_follows_symlinks_again(host: Host) -> None:
    (host.root / "conf.d/symlinks.conf").write_text("disable_symlinks on;\n")
    assert found(with_line(host, "disable_symlinks off;")) == []


def test_a_line_of_the_snippets_that_the_server_has_already(host: Host) -> None:
    with_line(host, "open_file_cache off;")
    (finding,) = host.examine()
    assert (finding.id, "write no open_file_cache of the server's own" in finding.fix) == ("refused", True)
