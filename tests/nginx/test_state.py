"""The flag and the pages on disk: what Nginx makes of every state that they can be in."""

import os
from collections.abc import Callable, Iterator
from email.utils import format_datetime
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.preflight import closed_ancestor
from ansible_collections.intermission.django.plugins.module_utils.proof import Answer
from ansible_collections.intermission.django.plugins.module_utils.state import KEPT_WINDOWS, Window

from nginx.answers import assert_app, assert_error, assert_maintenance
from nginx.site import WORKER, Site, in_an_hour

Damage = Callable[[str, str], None]


@pytest.fixture
def damage(site: Site) -> Iterator[Damage]:
    """Spoil a file of the state for Nginx's workers, whoever runs the tests."""
    closed: list[Path] = []

    def spoil(name: str, how: str) -> None:
        path = site.state.path / name
        if how == "unreadable":
            path.chmod(0o000)
        elif how == "in a closed directory":
            path.parent.chmod(0o600)
            closed.append(path.parent)
        else:
            path.unlink()
        if how == "a directory":
            path.mkdir()

    yield spoil
    for directory in closed:
        directory.chmod(0o755)


def test_retry_after_is_the_end_of_the_window(site: Site) -> None:
    end = in_an_hour()
    site.open_window(end)
    assert_maintenance(site.ask(), retry_after=format_datetime(end, usegmt=True))


def test_retry_after_is_a_number_for_a_window_without_an_end(site: Site) -> None:
    site.open_window()
    assert_maintenance(site.ask(), retry_after="300")


def test_page_says_why_and_until_when(site: Site) -> None:
    end = in_an_hour()
    site.open_window(end, reason="A new <cellar>", message="Back for tea & cake")
    page = site.ask().body.decode()
    assert "A new &lt;cellar&gt;" in page
    assert "Back for tea &amp; cake" in page
    assert end.strftime("%H:%M UTC") in page
    assert "%%" not in page


def test_flag_that_was_touched_closes_with_the_built_in_page(site: Site) -> None:
    site.state.flag.touch()
    assert_maintenance(site.ask())
    assert_maintenance(site.ask("POST", body=b"a=1"))


@pytest.mark.parametrize("how", ["window", "hand"])
def test_flag_that_was_removed_opens(site: Site, how: str) -> None:
    if how == "window":
        site.open_window()
    else:
        site.state.flag.touch()
    assert_maintenance(site.ask())
    site.state.flag.unlink()
    assert_app(site.ask())


@pytest.mark.parametrize("how", ["missing", "unreadable", "a directory", "in a closed directory"])
def test_n9_windows_page_is_damaged_and_the_built_in_one_is_shown(site: Site, damage: Damage, how: str) -> None:
    window = site.open_window(in_an_hour())
    damage(f"windows/{window.id}/503.en.html", how)
    assert_maintenance(without_location(site.ask()))
    assert_maintenance(site.ask("POST", body=b"a=1"))


@pytest.mark.parametrize("how", ["missing", "unreadable", "a directory", "in a closed directory"])
def test_n9_both_pages_are_damaged_and_the_status_is_still_503(site: Site, damage: Damage, how: str) -> None:
    window = site.open_window()
    damage(f"windows/{window.id}/503.en.html", how)
    damage("pages/503.en.html", how)
    for method in ("GET", "POST", "DELETE"):
        assert_error(without_location(site.ask(method)), 503, None, "300")


def without_location(answer: Answer) -> Answer:
    """Leave out where Nginx would have led to a directory: a client follows it with 201 and 3xx only (RFC 9110, 10.2.2)."""
    headers = dict(answer.headers)
    if headers.get("location", "").endswith("/on/503.en.html/"):
        del headers["location"]
    return Answer(answer.status, headers, answer.body)


@pytest.mark.parametrize("how", ["missing", "unreadable"])
def test_n9_flag_that_was_touched_and_no_built_in_page(site: Site, damage: Damage, how: str) -> None:
    damage("pages/503.en.html", how)
    site.state.flag.touch()
    assert_error(site.ask(), 503, None, "300")


def test_n10_flag_behind_a_closed_directory_is_found_before_it_matters(site: Site) -> None:
    assert closed_ancestor(str(site.state.path), WORKER) is None
    site.open_window()
    site.state_root.chmod(0o600)
    try:
        assert_app(site.ask())
        assert f'stat() "{site.state.flag}" failed (13' in site.error_log.read_text()
        assert closed_ancestor(str(site.state.path), WORKER) == str(site.state_root)
    finally:
        site.state_root.chmod(0o755)
    assert_maintenance(site.ask())


def test_n19_page_asks_for_nothing_else(site: Site) -> None:
    site.open_window(in_an_hour())
    page = site.ask().body
    for request in (b"src=", b"stylesheet", b"url(", b"@import", b"http://", b"https://"):
        assert request not in page


def test_n29_clean_up_leaves_the_window_that_the_flag_names(site: Site) -> None:
    flagged = site.open_window(reason="the one that holds")
    os.utime(site.state.windows / flagged.id / "window.json", (0, 0))
    for number in range(KEPT_WINDOWS + 5):
        site.state.stage(Window(f"later{number}", "shop", flagged.start))
    site.state.forget_old_windows()
    assert len(list(site.state.windows.iterdir())) == KEPT_WINDOWS + 1
    answer = site.ask()
    assert_maintenance(answer)
    assert b"the one that holds" in answer.body


def test_n29_flag_to_nowhere_is_open_for_nginx_and_is_told(site: Site) -> None:
    site.state.flag.symlink_to("windows/gone")
    assert_app(site.ask())
    status = site.state.status()
    assert status["on"] is False
    assert "gone" in status["problem"]
