"""The command ``intermission``: what it does, prints and returns, called in this process."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
import yaml
from ansible_collections.intermission.django.plugins.module_utils import (
    command_line,
    schedule,
    window_job,
    window_job_run,
)
from ansible_collections.intermission.django.plugins.module_utils.command_line import VERSION
from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord
from ansible_collections.intermission.django.plugins.module_utils.hold import Hold
from ansible_collections.intermission.django.plugins.module_utils.job import Job
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, Window
from ansible_collections.intermission.django.plugins.module_utils.times import format_instant

START = "2026-12-01T01:00:00Z"
ADA = {"user": "ada", "host": "laptop", "pid": 11, "started": "100"}


class Command:
    """Run the command and keep what it says."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self.capsys = root, capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        try:
            status: int | str | None = command_line.main(list(arguments), str(self.root))
        except SystemExit as ended:
            status = ended.code
        self.out, self.err = self.capsys.readouterr()
        assert isinstance(status, int)
        return status


@pytest.fixture
def command(site: StateDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    for name in ("SUDO_USER", "SSH_CONNECTION"):
        monkeypatch.delenv(name, raising=False)
    (site.pages / "503.en.html").write_text("<html></html>\n")
    monkeypatch.setattr(command_line, "nginx_fault", lambda directory: None)  # pytest closes its directories to others
    return Command(site.path.parent, capsys)


def test_only_who_became_root_is_named_by_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "ada")
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert command_line.person() == "ada"
    monkeypatch.setattr(os, "getuid", lambda: 1)
    assert command_line.person() == pwd.getpwuid(1).pw_name


def test_on_then_off(command: Command, site: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "ada")
    monkeypatch.setenv("SSH_CONNECTION", "192.0.2.7 50000 192.0.2.1 22")
    assert command("on", "shop", "--for", "10m", "--reason", "Disk", "--message", "Soon back") == 0
    window = site.current_window()
    assert window is not None
    assert re.fullmatch(r"window-\d{8}T\d{6}", window.id)
    assert (window.reason, window.message, window.opened_by) == ("Disk", "Soon back", "ada")
    lines = dict(line.split(maxsplit=1) for line in command.out.splitlines())
    assert lines["shop:"] == "CLOSED to visitors"
    assert lines["since"].startswith(window.start)
    assert re.fullmatch(rf"{window.end} \(in (10m|9m \d+s)\)", lines["until"])
    assert (lines["reason"], lines["by"], lines["next"]) == ("Disk", "ada", "intermission off shop")
    assert lines["nginx"] == "sees the flag and can read the page"
    assert command("off", "shop") == 0
    assert not site.flag.is_symlink()
    assert command.out.startswith("shop: OPEN to visitors\n")
    assert "intermission on shop --for 30m" in command.out
    assert [(entry["event"], entry["by"], entry["from"]) for entry in site.journal(9)] == [
        ("opened", "ada", "192.0.2.7"),
        ("closed", "ada", "192.0.2.7"),
    ]


def test_what_is_so_already_is_no_failure(command: Command, site: StateDirectory) -> None:
    assert command("off", "shop") == 0
    assert command.out.startswith("Nothing to do: no window is open.\nshop: OPEN")
    assert command("on", "shop", "--until", "2999-12-01T03:00+01:00") == 0
    assert command("on", "shop", "--until", "2999-12-01T02:00Z") == 0
    assert command.out.startswith("Nothing to do: the same window is open already.\nshop: CLOSED")
    assert len(site.journal(9)) == 1


def test_whether_it_closes_by_itself_is_another_request(command: Command, site: StateDirectory) -> None:
    for expires in ([], ["--expires"]):
        assert command("on", "shop", "--until", "2999-12-01T02:00Z", *expires) == 0
        window = site.current_window()
        assert window is not None
        assert window.expires is bool(expires)
    assert len(site.journal(9)) == 2


def test_a_secret_is_shown_once(command: Command, site: StateDirectory) -> None:
    assert command("on", "shop", "--pass") == 0
    shown = re.search(r"^  pass    /_intermission/pass/(\S+) at the site's address", command.out, re.MULTILINE)
    assert shown
    assert (site.flag / "passes" / shown.group(1)).exists()
    command("status", "shop", "--json")
    assert shown.group(1) not in command.out
    assert json.loads(command.out)["sites"][0]["has_pass"] is True
    assert command("on", "shop") == 0
    assert (site.flag / "passes" / shown.group(1)).exists()


def test_a_later_end_keeps_the_link_and_says_so(command: Command, site: StateDirectory) -> None:
    command("on", "shop", "--pass")
    (secret,) = (path.name for path in (site.flag / "passes").iterdir())
    for again in (("on", "shop", "--for", "2h"), ("status", "shop")):
        assert command(*again) == 0
        assert "  pass    a secret link lets its bearer pass until the site is opened\n" in command.out
        assert secret not in command.out
    assert (site.flag / "passes" / secret).exists()
    command("off", "shop")
    assert "  pass  " not in command.out


def test_a_link_that_cannot_be_kept_is_not_lost_in_silence(
    command: Command, site: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    command("on", "shop", "--pass")
    monkeypatch.setattr(StateDirectory, "secret_of", lambda directory, window: None)
    assert command("on", "shop", "--for", "2h") == 0
    assert command.out.startswith("The secret link has ended: only who made it, and root, can keep it. Make another")
    assert "  pass  " not in command.out
    assert site.status()["until"]
    command("on", "shop", "--for", "3h")
    assert "has ended" not in command.out


def test_a_read_only_window(command: Command, site: StateDirectory) -> None:
    assert command("on", "shop", "--read-only") == 0
    assert command.out.startswith("shop: READ-ONLY to visitors\n")
    assert (site.flag / "passes" / "GET").exists()


def test_the_site_is_opened_in_waves(command: Command, site: StateDirectory) -> None:
    command("on", "shop")
    assert command("off", "shop", "--share", "20") == 0
    assert command.out.startswith("shop: CLOSED to 80 of 100 visitors\n")
    assert "  share   20 of 100 visitors pass, by their address\n" in command.out
    command("status", "--json")
    assert json.loads(command.out)["sites"][0]["share"] == 20
    assert command("off", "shop", "--share=20") == 0
    assert command.out.startswith("Nothing to do: that is the share already.\nshop: CLOSED to 80 of 100")
    assert command("off", "shop", "--share", "0") == 0
    assert command.out.startswith("shop: CLOSED to visitors\n")
    assert "  share " not in command.out
    assert command("off", "shop", "--share", "100") == 0
    assert command.out.startswith("shop: OPEN to visitors\n")
    assert [entry["event"] for entry in site.journal(9)] == ["opened", "let in", "let in", "closed"]


def test_a_share_that_cannot_be_let_in_is_refused(command: Command) -> None:
    assert command("off", "shop", "--share", "20") == 1
    assert "shop is open to all visitors: there is no window" in command.err
    assert command("off", "shop", "--share", "15") == 2
    assert "invalid choice: '15' (choose from" in command.err
    assert command("off", "shop", "--share", "20", "--force") == 2
    assert "--force opens a site to all visitors" in command.err


def test_an_end_that_is_not_known(command: Command) -> None:
    assert command("on", "shop") == 0
    assert "  until   not known\n" in command.out


def test_who_and_where_without_sudo_or_ssh(
    command: Command, site: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_terminal(descriptor: int) -> str:
        raise OSError(25, "Inappropriate ioctl for device")

    monkeypatch.setattr(os, "ttyname", no_terminal)
    monkeypatch.setenv("LOGNAME", "mallory")
    command("on", "shop")
    entry = site.journal(1)[0]
    assert (entry["by"], entry["from"]) == (command_line.account(), "console")
    assert entry["by"] != "mallory"
    monkeypatch.setattr(os, "ttyname", lambda descriptor: "/dev/pts/7")
    command("off", "shop")
    assert site.journal(1)[0]["from"] == "/dev/pts/7"


def test_the_window_of_a_deploy_is_not_closed(command: Command, site: StateDirectory) -> None:
    site.open(Window(id="deploy-r1-20261201T010000", site="shop", start=START), "ada", "laptop")
    assert command("off", "shop") == 1
    assert "closed by a deploy that is under way or has failed (deploy-r1-20261201T010000)" in command.err
    assert "intermission off shop --force" in command.err
    assert site.flag.exists()
    command("status", "shop")
    assert "  next    deploy again" in command.out
    assert command("off", "shop", "--force") == 0
    assert not site.flag.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["on", "shop", "--for", "soon"], "'soon' is not a duration. Give --for a duration, for instance 30m"),
        (["on", "shop", "--until", "2020-01-01T00:00Z"], "has passed"),
        (["on", "shop", "--for", "5m", "--until", "2999-01-01T00:00Z"], "only one can be true"),
        (["on", "shop", "--expires"], "needs an end: give --for or --until"),
        (["on", "shop", "--reason", "\udcff"], "is not text in the encoding of this session"),
        (["on", "blog"], "There is no site 'blog' on this host. The sites of this host are: shop."),
        (["off", "../state/shop"], "The sites of this host are: shop."),
        (["status", "blog"], "The sites of this host are: shop."),
        (["on"], "SITE"),
        ([], "COMMAND"),
        (["on", "shop", "--forc", "1m"], "--forc"),
    ],
)
def test_what_makes_no_sense(command: Command, site: StateDirectory, arguments: list[str], said: str) -> None:
    assert command(*arguments) == 2
    assert said in command.err
    assert command.out == ""
    assert not site.flag.is_symlink()


def test_a_host_without_sites(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = Command(tmp_path / "nowhere", capsys)
    assert command("status") == 0
    assert "There is no site below" in command.out
    assert command("on", "shop") == 2
    assert "There is no site at all below" in command.err


def test_the_state_of_all_sites(command: Command, site: StateDirectory) -> None:
    StateDirectory(str(command.root), "blog").make()
    (command.root / ".shop.nginx.pending").touch()
    (command.root / "lost+found").mkdir()
    site.open(Window(id="one", site="shop", start=START, end="2026-12-01T02:00:00Z"), "ada", "here")
    assert command("status") == 0
    assert [line for line in command.out.splitlines() if not line.startswith(" ")][0] == "blog: OPEN to visitors"
    assert command("status", "--json") == 0
    document = json.loads(command.out)
    assert document["version"] == VERSION
    assert [(entry["site"], entry["state"]) for entry in document["sites"]] == [("blog", "open"), ("shop", "closed")]
    assert document["sites"][1]["window"]["id"] == "one"
    assert document["sites"][1]["journal"][-1]["by"] == "ada"
    assert command("status", "blog", "--json") == 0
    assert [entry["site"] for entry in json.loads(command.out)["sites"]] == ["blog"]


def test_a_flag_set_by_hand_and_a_window_past_its_end(command: Command, site: StateDirectory) -> None:
    site.flag.touch()
    command("status", "shop")
    assert command.out.startswith("shop: CLOSED to visitors, by hand\n")
    site.open(Window(id="one", site="shop", start=START, end="2020-12-01T02:00:00Z"), "ada", "here")
    command("status", "shop")
    assert command.out.startswith("shop: CLOSED to visitors, OVERDUE\n")


def test_an_unfinished_deploy_is_shown(command: Command, site: StateDirectory) -> None:
    DeployRecord(site).begin(ADA, "r1", take_over=False, version="v2")
    command("status", "shop")
    assert "  deploy  ada's of v2 is not finished: phase prepare, begun " in command.out
    site.deploy_file.write_text("spoiled")
    command("status", "shop")
    assert "  deploy  somebody's is not finished: phase unknown\n" in command.out


def test_a_deploy_that_has_failed_is_shown_while_it_keeps_the_site_closed(
    command: Command, site: StateDirectory
) -> None:
    record = DeployRecord(site)
    record.begin(ADA, "r1", take_over=False, version="v2")
    site.open(Window(id="deploy-r1", site="shop", start=START), "ada", "here")
    assert record.failed() is None
    record.end("failed in the phase migrate", ADA)
    failed = record.failed()
    assert failed is not None
    command("status", "shop")
    said = f"  deploy  the deploy of v2 failed in the phase migrate at {failed['at']}, and keeps the site closed\n"
    assert said in command.out
    site.journal_file.unlink()
    command("status", "shop")
    assert "  deploy  the deploy failed, and keeps the site closed\n" in command.out
    site.close("ada", "here", only="deploy-r1")
    assert record.failed() is None


def test_requests_that_wait_for_a_deploy_are_shown_until_they_are_released(
    command: Command, site: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = Hold(site)
    hold.begin(Window(id="deploy-1", site="shop", start=START), ["shop.service"], "/run/shop/app.sock", 1000, 288)
    command("status", "shop")
    assert command.out.startswith("shop: OPEN to visitors, whose requests wait\n")
    assert re.search(r"^  held    at most 288 requests wait, for (1000|9\d\d(\.\d)?) s yet$", command.out, re.MULTILINE)
    with monkeypatch.context() as another:
        another.setattr(Hold, "read", Mock(side_effect=PermissionError))
        command("status", "shop")
    assert command.out.startswith("shop: OPEN to visitors, whose requests wait\n")
    assert "  held " not in command.out
    keeper = threading.Thread(target=command, args=("hold", "shop"))
    keeper.start()
    assert hold.release()
    keeper.join(30)
    assert not keeper.is_alive()
    command("status", "shop")
    assert command.out.startswith("shop: OPEN to visitors\n")
    assert command("hold", "shop") == 0


def test_what_others_wrote_does_not_steer_the_terminal(command: Command, site: StateDirectory) -> None:
    site.open(Window(id="one", site="shop", start=START, reason="\x1b[2J\nshop: OPEN"), "ada", "here")
    command("status", "shop")
    assert "  reason  ?[2J?shop: OPEN\n" in command.out


def test_a_failure_is_one_line(command: Command, site: StateDirectory) -> None:
    site.journal_file.mkdir()
    assert command("on", "shop") == 1
    assert command.err == f"intermission: {site.journal_file}: Is a directory\n"
    for template in site.pages.glob("503.*.template"):
        template.unlink()
    assert command("on", "shop", "--reason", "Another") == 1
    assert command.err.count("\n") == 1
    assert "apply the role maintenance_page" in command.err


@pytest.mark.parametrize(
    ("group", "mode", "groups", "members", "said"),
    [
        (54321, 0o2775, [], [], "An administrator adds bob with: adduser bob 54321"),
        (54321, 0o2775, [], ["bob"], "bob has become a member since this session began: log out and in again."),
        (54321, 0o2775, [54321], ["bob"], "bob is a member, but .*/shop is closed to the group"),
        (54321, 0o2755, [], [], "only root may, on this host"),
        (0, 0o2775, [], [], "only root may, on this host"),
    ],
)
def test_who_may_not(
    command: Command,
    site: StateDirectory,
    monkeypatch: pytest.MonkeyPatch,
    group: int,
    mode: int,
    groups: list[int],
    members: list[str],
    said: str,
) -> None:
    found = os.stat_result((mode, 0, 0, 1, 0, group, 0, 0, 0, 0))
    real = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **more: found if path == site.path else real(path, **more))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(os, "getgroups", lambda: groups)
    monkeypatch.setattr(command_line, "account", lambda: "bob")
    monkeypatch.setattr(grp, "getgrnam", lambda name: grp.struct_group((name, "x", group, members)))
    monkeypatch.setattr(command_line, "known_sites", lambda root: ["shop"])
    assert command("on", "shop") == 77
    assert re.search(said, command.err)
    assert not site.flag.is_symlink()


def test_the_version_is_that_of_the_collection(command: Command) -> None:
    assert command("--version") == 0
    assert command.out == f"intermission {VERSION}\n"
    galaxy = yaml.safe_load((Path(__file__).parents[4] / "galaxy.yml").read_text())
    assert galaxy["version"] == VERSION


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("none", None),
        ("by hand", None),
        ("window gone", "lets visitors in: the flag points to a window that is gone"),
        (
            "page closed",
            "may not be able to read the page: .*/windows/one/503.en.html is closed to others \\(mode 600\\)",
        ),
        ("windows closed", "may not be able to read the page: .*/windows is closed to others \\(mode 700\\)"),
        ("no page", "sees the flag, but there is no .*/pages/503.<language>.html: visitors get Nginx's own page"),
    ],
)
def test_what_nginx_sees(public_path: Path, damage: str, said: str | None) -> None:
    site = StateDirectory(str(public_path / "state"), "shop")
    site.make()
    for name in ("503.en.html.template", "503.en.html"):
        (site.pages / name).write_text("<html></html>")
        (site.pages / name).chmod(0o644)
    site.open(Window(id="one", site="shop", start=START), "ada", "here")
    if damage == "by hand":
        site.close("ada", "here")
        site.flag.touch()
    elif damage == "window gone":
        (site.windows / "one").rename(site.windows / "two")
    elif damage == "page closed":
        (site.windows / "one" / "503.en.html").chmod(0o600)
    elif damage == "windows closed":
        site.windows.chmod(0o700)
    elif damage == "no page":
        (site.windows / "one" / "503.en.html").unlink()
        (site.pages / "503.en.html").unlink()
    fault = command_line.nginx_fault(site)
    assert (fault is None) if said is None else re.fullmatch(said, fault or "")


@pytest.mark.parametrize(
    ("seconds", "text"), [(600, "in 10m"), (90061, "in 1d 1h"), (-5, "5s ago"), (-3600, "1h ago"), (0, "now")]
)
def test_distances(seconds: int, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noon = datetime(2026, 12, 1, 12, tzinfo=UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return noon

    monkeypatch.setattr(command_line, "datetime", Clock)
    assert command_line._distance((noon + timedelta(seconds=seconds)).isoformat()) == text


NIGHT = ("--from", "2099-12-01T02:00Z", "--until", "2099-12-01T02:30Z")
NIGHT_ID = "window-20991201T020000"


def test_schedule_list_and_cancel(command: Command, site: StateDirectory) -> None:
    assert command("schedule", "shop", *NIGHT, "--reason", "Disk", "--read-only") == 0
    assert command.out.startswith("shop is closed from 2099-12-01T02:00:00Z (in ")
    assert command.out.endswith(f" to 2099-12-01T02:30:00Z, window {NIGHT_ID}.\n")
    assert not site.flag.exists()
    assert site.read_window(NIGHT_ID).read_only
    assert command("schedule", "shop", *NIGHT, "--reason", "Disk", "--read-only") == 0
    assert command.out.startswith("Nothing to do: shop is closed from ")
    assert command("status", "shop") == 0
    assert "  planned from 2099-12-01T02:00:00Z (in " in command.out
    assert command("list") == 0
    titles, row = (line.split() for line in command.out.splitlines())
    assert titles == ["SITE", "WINDOW", "STATE", "FROM", "UNTIL", "RECURS", "BY", "REASON", "COMMAND"]
    assert row == [
        "shop",
        NIGHT_ID,
        "scheduled",
        "2099-12-01T02:00:00Z",
        "2099-12-01T02:30:00Z",
        "-",
        command_line.account(),
        "Disk",
        "-",
    ]
    assert command("cancel", "shop") == 0
    assert command.out == f"Cancelled: {NIGHT_ID}.\n"
    assert command("cancel", "shop") == 0
    assert command.out == "Nothing to do: no window is scheduled.\n"
    assert command("list", "shop") == 0
    assert command.out == "No window is scheduled.\n"
    assert command("cancel", "shop", "window-1") == 1
    assert "shop has no scheduled window window-1" in command.err


def test_list_and_status_for_programs(command: Command) -> None:
    assert command("schedule", "shop", *NIGHT, "--message", "Soon back") == 0
    assert command("list", "shop", "--json") == 0
    (window,) = json.loads(command.out)["windows"]
    assert (window["id"], window["state"], window["recurs"], window["following"]) == (NIGHT_ID, "scheduled", None, [])
    assert command("list", "shop", "--icalendar") == 0
    assert "DTSTART:20991201T020000Z\nDTEND:20991201T023000Z\n" in command.out.replace("\r\n", "\n")
    assert command("status", "shop", "--json") == 0
    assert json.loads(command.out)["sites"][0]["Maintenance-Window"] == [
        {
            "id": NIGHT_ID,
            "start": "2099-12-01T02:00:00Z",
            "end": "2099-12-01T02:30:00Z",
            "reason": "",
            "message": "Soon back",
        }
    ]


def test_the_secret_of_a_scheduled_window_is_shown_once(command: Command, site: StateDirectory) -> None:
    assert command("schedule", "shop", *NIGHT, "--pass") == 0
    shown = re.search(r"^Pass: /_intermission/pass/(\S+) at the site's address", command.out, re.MULTILINE)
    assert shown
    passes = site.windows / NIGHT_ID / "passes"
    assert os.listdir(passes) == [shown.group(1)]
    assert command("schedule", "shop", *NIGHT, "--pass") == 0
    assert command.out.endswith("who scheduled it. Where that is lost, cancel the window and schedule it again.\n")
    for told in (["list", "shop"], ["list", "--json"], ["list", "--icalendar"], ["status", "--json"], ["metrics"]):
        assert command(*told) == 0
        assert shown.group(1) not in command.out
    assert shown.group(1) not in site.journal_file.read_text()
    assert os.listdir(passes) == [shown.group(1)]
    assert command("schedule", "shop", *NIGHT) == 0
    assert "secret" not in command.out


def test_an_overlap_is_refused_unless_it_is_to_be_merged(command: Command) -> None:
    later = ("--from", "2099-12-01T02:15Z", "--for", "1h")
    assert command("schedule", "shop", *NIGHT) == 0
    assert command("schedule", "shop", *later) == 1
    assert f"shop has the window {NIGHT_ID} from 2099-12-01T02:00:00Z to 2099-12-01T02:30:00Z" in command.err
    assert command.err.endswith("or let both become one: --merge\n")
    assert command("schedule", "shop", *later, "--merge") == 0
    assert "from 2099-12-01T02:00:00Z (in " in command.out
    assert "to 2099-12-01T03:15:00Z" in command.out


def test_extend(command: Command, site: StateDirectory) -> None:
    assert command("extend", "shop", "--until", "2099-12-01T02:45Z") == 1
    assert "there is none to extend" in command.err
    assert command("schedule", "shop", *NIGHT) == 0
    assert command("extend", "shop", "--until", "2099-12-01T03:45+01:00") == 0
    assert "2099-12-01T02:45:00Z" in command.out
    assert command("extend", "shop", NIGHT_ID, "--until", "2099-12-01T02:45Z") == 0
    assert command.out.startswith("Nothing to do")
    assert command("extend", "shop", "--until", "2020-12-01T02:45Z") == 2
    assert "Give --until an end" in command.err
    assert command("schedule", "shop", "--from", "2099-12-01T03:00Z", "--for", "1h") == 0
    assert command("extend", "shop", NIGHT_ID, "--until", "2099-12-01T03:30Z") == 1
    assert command.err.endswith("or let both become one: --merge\n")


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--from", "in 2h"), "needs an end or a duration"),
        (("--from", "soon", "--for", "30m"), "'soon' is neither an instant nor a calendar expression"),
        (("--from", "2099-12-01T02:00", "--for", "30m"), "has no time zone"),
    ],
)
def test_a_schedule_that_makes_no_sense(
    command: Command, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], fault: str
) -> None:
    def neither(calendar: str, after: datetime, count: int = 1) -> list[datetime]:
        raise ValueError(f"'{calendar}' is neither an instant nor a calendar expression of systemd.time(7)")

    monkeypatch.setattr(schedule, "next_times", neither)
    assert command("schedule", "shop", *arguments) == 2
    assert fault in command.err
    assert "for instance 'in 2h'" in command.err


def test_what_the_timer_runs_opens_and_tells_systemd(
    command: Command, site: StateDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    assert command("schedule", "shop", "--from", "in 1h", "--for", "2h") == 0
    monkeypatch.setattr(schedule, "_now", lambda: now + timedelta(hours=2))
    monkeypatch.setattr(schedule.keep_time, "__defaults__", (schedule._now, None))
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("notify")
        monkeypatch.setenv("NOTIFY_SOCKET", "notify")
        assert command("due", "shop") == 0
        assert systemd.recv(100) == b"READY=1"
    assert site.flag.exists()
    assert (command.out, command.err) == ("", "")


def test_what_the_timer_runs_fails_where_something_is_left_undone(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)

    def keep_time(schedule: schedule.Schedule, ready: Callable[[], None]) -> None:
        ready()
        schedule.fault = "what follows could not be staged"

    monkeypatch.setattr(command_line, "keep_time", keep_time)
    assert command("due", "shop") == 1
    assert command.err == "intermission: what follows could not be staged\n"


@pytest.fixture
def job(site: StateDirectory, monkeypatch: pytest.MonkeyPatch) -> str:
    """A window whose job fails, and whose time has come."""
    now = datetime.now(UTC)
    times = {"start": now + timedelta(hours=1), "end": now + timedelta(hours=2)}
    instants = {name: format_instant(instant) for name, instant in times.items()}
    window, series = schedule.placed(
        Window(id="", site="shop", start="", opened_by="ada"), {**instants, "calendar": None, "seconds": None}, now
    )
    words = ("/bin/sh", "-c", "echo 'half \033[31mdone'; exit 3")
    planner = schedule.Schedule(site)
    planner.add(window, series, "ada", "here", command=window_job.Command(words))
    monkeypatch.setattr(schedule, "_now", lambda: now + timedelta(minutes=61))
    monkeypatch.setattr(window_job_run, "_now", schedule._now)
    planner.settle(schedule._now())
    return window.id


def test_a_job_that_fails(command: Command, site: StateDirectory, job: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "/bin/sh -c 'echo "
    begins = site.read_window(job).start
    assert command("status", "shop") == 0
    assert "JOB FAILED" not in command.out
    assert re.search(r"^  job +/bin/sh -c .*, waits$", command.out, re.MULTILINE)
    (order,) = site.jobs.glob("*.json")
    with monkeypatch.context() as running:
        running.setattr(Job, "record", lambda self: {"name": begins, "running": True, "since": START, "result": None})
        order.with_suffix(".run").touch()
        assert command("status", "shop") == 0
        assert "JOB FAILED" not in command.out
        assert re.search(r"^  job +/bin/sh -c .*, runs, since 2026-12-01T01:00:00Z \(.*\)$", command.out, re.MULTILINE)
        assert "  next    wait for the job: journalctl --follow --unit intermission-shop-job.service\n" in command.out
        assert command("off", "shop") == 1
        assert command.err.endswith("To open the site all the same: intermission off shop --force\n")
    order.with_suffix(".run").unlink()
    assert command("job", "shop") == 1
    assert command.out == "half ?[31mdone\n"
    assert command.err.startswith(f"intermission: the job of {job} ended with 3. shop stays closed")
    assert command("status", "shop") == 0
    assert command.out.startswith("shop: CLOSED to visitors, JOB FAILED\n")
    assert re.search(
        r"^  job +/bin/sh -c .*, ended with 3, since \S+ \(.*\): half \?\[31mdone$", command.out, re.MULTILINE
    )
    assert command("status", "shop", "--json") == 0
    told = json.loads(command.out)["sites"][0]["job"]
    assert (told["window"], told["state"], told["failed"]) == (job, "failed", True)
    assert told["command"].startswith(text)
    assert command("list", "shop") == 0
    assert text in command.out
    assert command("job", "shop") == 1
    assert command("off", "shop") == 0
    assert command("job", "shop") == 0
    assert [entry["event"] for entry in site.journal(9)] == [
        "scheduled",
        "opened",
        "job begun",
        "job failed",
        "closed",
    ]


def test_a_job_of_a_directory_that_others_may_write_is_refused(
    command: Command, site: StateDirectory, job: str
) -> None:
    site.jobs.chmod(0o777)
    assert command("job", "shop") == 77
    assert "Jobs are run by their owner, where nobody else may write" in command.err


def test_systemd_starts_the_unit_of_a_job_and_is_not_waited_for(
    command: Command, job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text('#!/bin/sh\necho "$@" > "$0.said"\necho no bus >&2\nexit "${FAILS:-0}"\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(schedule.keep_time, "__defaults__", (schedule._now, None))
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert command("due", "shop") == 0
    said = (tmp_path / "systemctl.said").read_text()
    assert said == "--no-ask-password --no-block start intermission-shop-job.service\n"
    monkeypatch.setenv("FAILS", "1")
    assert command("due", "shop") == 1
    assert f"the job of {job} could not be started: `systemctl --no-ask-password" in command.err
    assert command.err.endswith("ended with 1: no bus\n")
