from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils import nginx
from ansible_collections.intermission.django.plugins.module_utils.files import write_file
from ansible_collections.intermission.django.plugins.module_utils.nginx import (
    NginxError,
    apply,
    changes,
    read_page,
    write_pages,
)
from ansible_collections.intermission.django.plugins.module_utils.service import Service, ServiceError


class Host:
    """Files that Nginx accepts while ``site.conf`` has the word ok, and commands that only take notes."""

    def __init__(self, path: Path) -> None:
        self.conf = path / "site.conf"
        self.snippet = path / "snippet.conf"
        self.pending = path / "pending"
        self.running = path / "running"
        self.log = path / "log"
        self.test = f"grep -q ok {self.conf} || {{ echo 'nginx: [emerg] unexpected end in {self.conf}:1' >&2; false; }}"
        self.commands = {
            "start": f"echo start >>{self.log}; touch {self.running}",
            "stop": "false",
            "reload": f"echo reload >>{self.log}",
            "status": f"test -e {self.running}",
        }

    def apply(self, conf: str | None, snippet: str | None = "gate") -> bool:
        files = {str(self.conf): conf, str(self.snippet): snippet}
        return apply(files, self.pending, self.test, Service("Nginx", self.commands, 20))

    def done(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_accepted_files_are_kept_and_taken_up(host: Host) -> None:
    assert host.apply("ok 1")
    assert (host.conf.read_text(), host.snippet.read_text()) == ("ok 1", "gate")
    assert host.conf.stat().st_mode & 0o777 == 0o644
    assert host.apply("ok 2")
    assert host.conf.read_text() == "ok 2"
    assert host.done() == ["start", "reload"]
    assert not host.pending.exists()


def test_the_second_time_nothing_is_done(host: Host) -> None:
    host.apply("ok")
    written = host.conf.stat()
    assert not host.apply("ok")
    assert host.conf.stat() == written
    assert host.done() == ["start"]


def test_nginx_is_started_where_only_that_is_missing(host: Host) -> None:
    host.apply("ok")
    host.running.unlink()
    assert host.apply("ok")
    assert host.done() == ["start", "start"]


def test_refused_files_are_put_back(host: Host) -> None:
    host.apply("ok")
    with pytest.raises(NginxError, match=r"unexpected end in .*site\.conf:1"):
        host.apply("wrong", "another gate")
    assert (host.conf.read_text(), host.snippet.read_text()) == ("ok", "gate")
    assert host.done() == ["start"]
    assert not host.pending.exists()


def test_refused_files_that_were_not_there_are_removed(host: Host) -> None:
    with pytest.raises(NginxError):
        host.apply("wrong")
    assert not host.conf.exists()
    assert not host.snippet.exists()


def test_a_test_that_hangs_puts_the_files_back(host: Host) -> None:
    host.apply("ok")
    host.test = "sleep 600"
    with pytest.raises(ServiceError, match="took longer"):
        apply({str(host.conf): "ok 2"}, host.pending, host.test, Service("Nginx", host.commands, 0.2))
    assert host.conf.read_text() == "ok"


def test_a_file_that_cannot_be_written_puts_the_others_back(host: Host, tmp_path: Path) -> None:
    host.apply("ok")
    (tmp_path / "no-directory").touch()
    with pytest.raises(OSError):
        apply(
            {str(host.conf): "ok 2", str(tmp_path / "no-directory" / "file"): "text"},
            host.pending,
            host.test,
            Service("Nginx", host.commands, 20),
        )
    assert host.conf.read_text() == "ok"


def test_a_reload_that_failed_is_done_again(host: Host) -> None:
    host.apply("ok")
    works = host.commands["reload"]
    host.commands["reload"] = "false"
    with pytest.raises(ServiceError):
        host.apply("ok 2")
    assert host.pending.exists()
    host.commands["reload"] = works
    assert host.apply("ok 2")
    assert host.done() == ["start", "reload"]
    assert not host.pending.exists()


def cut_short(host: Host, wanted: str) -> None:
    """Leave what an apply leaves that was killed between its writes and the reload."""
    host.apply("ok")
    host.commands["reload"] = "false"
    with pytest.raises(ServiceError):
        host.apply(wanted)
    host.commands["reload"] = f"echo reload >>{host.log}"


def test_a10_an_apply_that_was_cut_short_is_finished(host: Host) -> None:
    cut_short(host, "ok 2")
    assert host.apply("ok 2")
    assert host.conf.read_text() == "ok 2"
    assert host.done() == ["start", "reload"]


def test_a10_an_apply_that_was_cut_short_is_put_back_to_before_it(host: Host) -> None:
    cut_short(host, "ok 2")
    with pytest.raises(NginxError):
        host.apply("wrong")
    assert host.conf.read_text() == "ok"
    assert not host.pending.exists()


def test_a_file_without_content_is_removed(host: Host) -> None:
    host.apply("ok")
    assert host.apply("ok", None)
    assert not host.snippet.exists()
    assert not host.apply("ok", None)


def test_changes(host: Host) -> None:
    host.conf.write_text("here")
    files = {str(host.conf): "here", str(host.snippet): "new", str(host.log): None}
    assert changes(files) == {host.snippet: (None, "new")}
    assert changes({str(host.conf): None}) == {host.conf: ("here", None)}


def test_pages_are_written_once(tmp_path: Path) -> None:
    pages = {str(tmp_path / "pages" / "503.html"): "one"}
    assert write_pages(pages)
    assert (tmp_path / "pages" / "503.html").read_text() == "one"
    assert (tmp_path / "pages" / "503.html").stat().st_mode & 0o777 == 0o644
    assert not write_pages(pages)
    (tmp_path / "pages" / "503.html").write_bytes(b"\xff")
    assert write_pages(pages)


def test_a_planted_page_is_replaced_and_not_read(tmp_path: Path) -> None:
    victim, page = tmp_path / "victim", tmp_path / "pages" / "503.html"
    victim.write_text("secret")
    page.parent.mkdir()
    page.symlink_to(victim)
    assert changes({str(page): "one"}, read_page) == {page: (None, "one")}
    assert write_pages({str(page): "one"})
    assert (page.is_symlink(), page.read_text(), victim.read_text()) == (False, "one", "secret")


def test_pages_are_not_written_into_another_directory(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "pages").symlink_to("victim")
    with pytest.raises(NotADirectoryError):
        write_pages({str(tmp_path / "pages" / "503.html"): "one"})
    assert list((tmp_path / "victim").iterdir()) == []


def test_pages_are_not_written_into_a_directory_that_takes_their_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "pages").mkdir()

    def swap_and_write(path: Path, content: bytes, mode: int) -> None:
        (tmp_path / "pages").rename(tmp_path / "moved")
        (tmp_path / "pages").symlink_to("victim")
        write_file(path, content, mode)

    monkeypatch.setattr(nginx, "write_file", swap_and_write)
    write_pages({str(tmp_path / "pages" / "503.html"): "one"})
    assert [entry.name for entry in (tmp_path / "moved").iterdir()] == ["503.html"]
    assert list((tmp_path / "victim").iterdir()) == []


def test_nginx_is_not_started_for_files_that_are_removed(host: Host) -> None:
    host.apply("ok")
    host.running.unlink()
    host.test = "true"
    assert host.apply(None, None)
    assert not host.apply(None, None)
    assert host.done() == ["start"]


def test_a_removal_that_is_refused_changes_nothing(host: Host) -> None:
    host.apply("ok")
    with pytest.raises(NginxError):
        host.apply(None, None)
    assert (host.conf.read_text(), host.snippet.read_text()) == ("ok", "gate")
    assert host.done() == ["start"]
