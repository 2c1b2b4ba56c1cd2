"""The modules that open, close and prove: told in check mode, done once, nothing to do the second time."""

from __future__ import annotations

import getpass
import grp
import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import schedule
from ansible_collections.intermission.django.plugins.module_utils.controller import identity
from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord
from ansible_collections.intermission.django.plugins.module_utils.setting import EnvironmentSetting
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, Window
from ansible_collections.intermission.django.plugins.module_utils.times import parse_instant

from certificates import Authority

RunModule = Callable[..., dict[str, Any]]
END = "2999-12-01T02:00:00Z"


@pytest.fixture
def window(run_module: RunModule, site: StateDirectory) -> RunModule:
    """Run maintenance_window on the site."""

    def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
        common = {"state_root": str(site.path.parent), "site": "shop", "by": "ada", "from": "laptop"}
        if arguments.get("state") == "open":
            common.update(id="one", start="2026-12-01T01:00:00Z")
        return run_module("maintenance_window", {**common, **arguments}, check)

    return run


def test_a_window_that_closes_by_itself(window: RunModule) -> None:
    for expires in (True, False):
        for check in (True, False):
            done = window(check=check, state="open", end=END, expires=expires)
            assert done["changed"]
    done = window(state="open", end=END, expires=True)
    assert done["status"]["window"]["expires"] is True


def test_open_in_check_mode_for_real_and_again(window: RunModule, site: StateDirectory) -> None:
    request = {"state": "open", "end": END, "reason": "A disk is changed", "visitor_message": "Soon back"}
    told = window(check=True, **request)
    assert (told["changed"], told["status"]["on"]) == (True, False)
    assert not site.flag.exists()
    done = window(**request)
    assert (done["changed"], done["status"]["on"]) == (True, True)
    assert done["status"]["window"] == {
        "id": "one",
        "site": "shop",
        "start": "2026-12-01T01:00:00Z",
        "end": END,
        "reason": "A disk is changed",
        "message": "Soon back",
        "opened_by": "ada",
        "layer": "nginx",
        "expires": False,
        "bypass_digest": None,
        "read_only": False,
        "progress": "",
    }
    assert site.journal(1)[0]["from"] == "laptop"
    assert window(check=True, **request)["changed"] is False
    assert window(**request)["changed"] is False
    assert window(check=True, **{**request, "reason": "Another"})["changed"] is True


def test_an_empty_end_is_no_end(window: RunModule) -> None:
    assert window(state="open", end="")["status"]["until"] is None
    assert window(state="open")["changed"] is False


def test_only_a_deploys_window_tells_how_far_it_is_in_check_mode_for_real_and_again(
    window: RunModule, site: StateDirectory
) -> None:
    far = {"state": "progressing", "progress": "1 / 3"}
    assert window(**far)["changed"] is False
    window(state="open")
    assert window(**far)["changed"] is False
    window(state="closed")
    site.open(Window("deploy-r1", "shop", "2026-12-01T01:00:00Z"), "ada", "laptop")
    for check, changed, progress in ((True, True, ""), (False, True, "1 / 3"), (False, False, "1 / 3")):
        assert window(check=check, **far)["changed"] is changed
        current = site.current_window()
        assert current and current.progress == progress


def test_close_in_check_mode_for_real_and_again(window: RunModule, site: StateDirectory) -> None:
    window(state="open")
    assert window(check=True, state="closed")["changed"] is True
    assert site.flag.exists()
    done = window(state="closed")
    assert (done["changed"], done["status"]["on"]) == (True, False)
    assert window(state="closed")["changed"] is False
    assert window(check=True, state="closed")["changed"] is False


def test_a_share_is_let_in_in_check_mode_for_real_and_again(window: RunModule, site: StateDirectory) -> None:
    window(state="open")
    told = window(check=True, state="closed", share=20)
    assert (told["changed"], told["status"]["share"]) == (True, 0)
    done = window(state="closed", share=20)
    assert (done["changed"], done["status"]["share"], done["status"]["on"]) == (True, 20, True)
    assert done["diff"] == told["diff"] == {"before": "share: 0\n", "after": "share: 20\n"}
    assert window()["journal"][-1]["event"] == "let in"
    for check in (True, False):
        again = window(check=check, state="closed", share=20)
        assert (again["changed"], "diff" in again) == (False, False)
    assert window(check=True, state="open")["changed"] is True
    assert window(state="closed", share=100)["status"]["on"] is False
    for check in (True, False):
        assert "there is no window" in window(check=check, state="closed", share=20)["msg"]
    assert "must be one of" in window(state="closed", share=15)["msg"]


@pytest.mark.parametrize(
    ("flag", "window_id", "changed"),
    [
        ("one", "one", True),
        ("one", "two", False),
        ("gone", "gone", True),
        ("gone", None, True),
        ("damaged", "damaged", True),
        ("damaged", "two", False),
        ("by hand", "one", False),
        ("by hand", None, True),
    ],
)
def test_close_only_one_window(
    window: RunModule, site: StateDirectory, flag: str, window_id: str | None, changed: bool
) -> None:
    if flag == "by hand":
        site.flag.touch()
    elif flag == "one":
        window(state="open")
    else:
        site.flag.symlink_to(f"windows/{flag}")
        if flag == "damaged":
            (site.windows / flag).mkdir()
            (site.windows / flag / "window.json").write_text("{")
    request = {"state": "closed", **({"id": window_id} if window_id else {})}
    assert window(check=True, **request)["changed"] is changed
    assert window(**request)["changed"] is changed
    assert (site.flag.is_symlink() or site.flag.exists()) is not changed


def test_the_live_release_is_told_where_somebody_asks_for_it(window: RunModule, tmp_path: Path) -> None:
    root = tmp_path / "srv"
    assert window(releases=str(root))["live"] == {"release": None, "version": None, "since": None}
    release = root / "releases/abc"
    release.mkdir(parents=True)
    noted = {"release": "abc", "environment": "e", "since": "2026-12-01T01:30:00+00:00"}
    (root / "live.json").write_text(json.dumps(noted))
    told = {"release": "abc", "version": None, "since": noted["since"]}
    assert window(releases=str(root))["live"] == told
    (release / ".release.json").write_text('{"version": "v1"}')
    assert window(releases=str(root))["live"] == {**told, "version": "v1"}
    (root / "live.json").write_text('{"release": ["abc"], "former": null}')
    spoilt = window(releases=str(root))
    assert (spoilt["live"]["version"], spoilt["status"]["on"]) == (None, False)
    assert "live" not in window()


def test_a_deploys_window_is_closed_by_its_name_or_by_force(window: RunModule, site: StateDirectory) -> None:
    window(state="open", id="deploy-r1")
    assert window()["unfinished_deploy"] is None
    for check in (True, False):
        said = window(check, state="closed")["msg"]
        assert "closed by a deploy that is under way or has failed (deploy-r1)" in said
        assert said.endswith("-e maintenance_window_force=true")
        assert window(check, state="closed", id="deploy-r2")["changed"] is False
    assert site.flag.exists()
    assert window(True, state="closed", id="deploy-r1")["changed"] is True
    assert window(state="closed", force=True)["changed"] is True
    assert not site.flag.exists()


def test_the_run_that_holds_the_deploy_lock_closes_a_deploys_window_whichever_it_is(
    window: RunModule, site: StateDirectory
) -> None:
    holder, other = identity(os.getpid()), identity(os.getppid())
    DeployRecord(site).begin(holder, "abc", False)
    ours = {"state": "closed", "of_deploy": True, "holder": holder}
    assert window(**ours)["changed"] is False
    window(state="open", id="deploy-abc-1", start="2026-12-01T01:00:00Z")
    assert window(**ours, check=True)["changed"] is True
    refused = window(**{**ours, "holder": other})
    assert "is no longer ours: somebody has taken this deploy over" in refused["msg"]
    assert site.status()["on"]
    assert window(**ours)["changed"] is True
    assert not site.status()["on"]
    DeployRecord(site).end("done", holder)
    window(state="open", id="w1", start="2026-12-01T01:00:00Z")
    DeployRecord(site).begin(holder, "abc", False)
    assert window(**ours)["changed"] is False
    assert site.status()["on"], "an operator's stays"


def test_each_boot_brings_the_state_directory_back(run_module: RunModule, tmp_path: Path) -> None:
    root, file = tmp_path / "50%", tmp_path / "intermission-shop.conf"
    common = {"state_root": str(root), "site": "shop", "tmpfiles": str(file)}

    def run(state: str, check: bool = False) -> dict[str, Any]:
        return run_module("maintenance_window", {**common, "state": state}, check)

    assert [run("present", True)["changed"], file.exists()] == [True, False]
    assert [run("present")["changed"], run("present")["changed"], run("present", True)["changed"]] == [
        True,
        False,
        False,
    ]
    written = f"{tmp_path}/50%%"
    assert file.read_text() == (
        f'd "{written}" 0755 root root -\n'
        f'd "{written}/shop" 2775 root root -\n'
        f'd "{written}/shop/windows" 2775 root root -\n'
        f'd "{written}/shop/pages" 2775 root root -\n'
    )
    assert file.stat().st_mode & 0o777 == 0o644
    file.write_text("d /elsewhere")
    assert [run("present", True)["changed"], run("present")["changed"], run("present")["changed"]] == [
        True,
        True,
        False,
    ]
    assert [run("absent")["changed"], file.exists(), run("absent")["changed"]] == [True, False, False]
    file.touch()
    assert [run("absent", True)["changed"], run("absent")["changed"], file.exists()] == [True, True, False]


def test_present_makes_the_state_directory(run_module: RunModule, tmp_path: Path) -> None:
    arguments = {"state_root": str(tmp_path / "new"), "site": "shop", "state": "present"}
    assert run_module("maintenance_window", arguments, True)["changed"] is True
    assert not (tmp_path / "new").exists()
    assert run_module("maintenance_window", arguments)["changed"] is True
    assert StateDirectory(str(tmp_path / "new"), "shop").missing() == []
    assert run_module("maintenance_window", arguments)["changed"] is False
    assert run_module("maintenance_window", arguments, True)["changed"] is False


def test_present_gives_the_tree_to_a_group(run_module: RunModule, tmp_path: Path) -> None:
    group = grp.getgrgid(os.getgroups()[-1] if os.getuid() else grp.getgrnam("daemon").gr_gid).gr_name
    arguments = {"state_root": str(tmp_path / "new"), "site": "shop", "state": "present"}
    run_module("maintenance_window", arguments)
    arguments["group"] = group
    site = StateDirectory(str(tmp_path / "new"), "shop")
    (site.windows / "one").mkdir(mode=0o700)
    assert run_module("maintenance_window", arguments, True)["changed"] is True
    assert (site.windows / "one").stat().st_mode & 0o777 == 0o700
    assert run_module("maintenance_window", arguments)["changed"] is True
    assert (site.path.group(), (site.windows / "one").group()) == (group, group)
    assert run_module("maintenance_window", arguments)["changed"] is False
    assert run_module("maintenance_window", arguments, True)["changed"] is False


def test_present_with_a_group_that_is_not_there(run_module: RunModule, tmp_path: Path) -> None:
    arguments = {"state_root": str(tmp_path / "new"), "site": "shop", "state": "present", "group": "no-such-group"}
    assert run_module("maintenance_window", arguments, True)["changed"] is True
    said = run_module("maintenance_window", arguments)["msg"]
    assert "there is no group 'no-such-group'" in said
    assert "intermission_group" in said
    assert not (tmp_path / "new").exists()
    StateDirectory(str(tmp_path / "new"), "shop").make()
    assert run_module("maintenance_window", arguments, True)["changed"] is True


def test_told_tells_the_setting_and_whether_the_app_has_taken_it_up(window: RunModule, tmp_path: Path) -> None:
    path = tmp_path / "maintenance.env"
    setting = EnvironmentSetting(path)
    assert "setting" not in window(state="told")
    found = [window(state="told", setting=str(path))["setting"]]
    setting.write(True, {})
    found.append(window(state="told", setting=str(path))["setting"])
    setting.note_applied()
    found.append(window(state="told", setting=str(path))["setting"])
    assert found == [{"on": False, "applied": True}, {"on": True, "applied": False}, {"on": True, "applied": True}]


def test_told_changes_nothing(window: RunModule, site: StateDirectory) -> None:
    assert window()["changed"] is False
    site.flag.touch()
    told = window(state="told")
    assert (told["changed"], told["status"]["opened_with"]) == (False, "hand")
    assert site.flag.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"state": "open", "end": "tomorrow"},
            "an instant of the window cannot be read: 'tomorrow' is not an ISO 8601 instant",
        ),
        ({"state": "open", "id": "../../etc"}, "is no window id"),
        ({"state": "open", "layer": "apache"}, "value of layer must be one of: nginx, django"),
    ],
)
def test_what_is_refused(window: RunModule, site: StateDirectory, arguments: dict[str, str], message: str) -> None:
    result = window(**arguments)
    assert message in result["msg"]
    assert not site.flag.exists()


def test_open_needs_an_id_and_a_start(run_module: RunModule) -> None:
    result = run_module("maintenance_window", {"site": "shop", "state": "open"})
    assert result["msg"] == "state is open but all of the following are missing: id, start"


def test_a_host_without_a_state_directory_says_what_to_do(window: RunModule, site: StateDirectory) -> None:
    for template in site.pages.glob("503.*.template"):
        template.unlink()
    assert "apply the role maintenance_page" in window(state="open")["msg"]


def test_request(run_module: RunModule) -> None:
    result = run_module("maintenance_request", {"duration": "1h30m", "until": "", "name": "deploy-r1"})
    assert result["changed"] is False
    length = parse_instant(result["end"]) - parse_instant(result["start"])
    assert length == timedelta(hours=1, minutes=30)
    assert abs(parse_instant(result["start"]) - datetime.now().astimezone()) < timedelta(minutes=1)
    assert re.fullmatch(r"deploy-r1-\d{8}T\d{6}", result["id"])
    assert (result["by"], result["from"]) == (getpass.getuser(), socket.gethostname())


@pytest.mark.parametrize(
    ("arguments", "end"), [({}, None), ({"until": "2999-12-01T03:00+01:00"}, "2999-12-01T02:00:00Z")]
)
def test_request_until(run_module: RunModule, arguments: dict[str, str], end: str | None) -> None:
    result = run_module("maintenance_request", arguments, True)
    assert (result["end"], result["id"].startswith("window-")) == (end, True)


@pytest.mark.parametrize(
    "arguments",
    [
        {"duration": "soon"},
        {"duration": "-5m"},
        {"duration": "99999999d"},
        {"until": "2020-01-01T00:00Z"},
        {"until": "2999-01-01T00:00"},
        {"duration": "5m", "until": "2999-01-01T00:00Z"},
    ],
)
def test_request_says_what_to_set(run_module: RunModule, arguments: dict[str, str]) -> None:
    said = run_module("maintenance_request", arguments)["msg"]
    assert "Set maintenance_window_for to a duration, for instance 30m" in said
    assert "maintenance_window_until" in said


@pytest.fixture
def proof(run_module: RunModule) -> RunModule:
    def run(url: str, expected: str, check: bool = False, **others: Any) -> dict[str, Any]:
        arguments = {"url": url, "host": "shop.example", "expected": expected, "seconds": 0, **others}
        return run_module("maintenance_proof", arguments, check)

    return run


@pytest.mark.parametrize("check", [True, False])
def test_proof(proof: RunModule, serve: Any, http: Any, closed_answer: bytes, check: bool) -> None:
    closed, opened = serve(closed_answer), serve(http(200, b"shop"))
    assert proof(closed.url, "closed", check) == {"changed": False, "seen": "closed"}
    assert proof(opened.url, "open", check) == {"changed": False, "seen": "open"}
    assert proof(closed.url, "any", check) == {"changed": False, "seen": "closed"}
    assert [request.split()[0] for request in closed.requests] == ["GET", "POST", "GET"]
    for server, seen in ((closed, "closed"), (opened, "open")):
        assert proof(server.url, "shared", check, methods=["GET"]) == {"changed": False, "seen": seen}
    assert proof(serve(http(500, b"oops")).url, "shared", check, methods=["GET"])["msg"].endswith("answered 500")


def test_proof_that_fails_names_each_method(proof: RunModule, serve: Any, http: Any) -> None:
    server = serve(http(200, b"shop"))
    result = proof(server.url, "closed")
    assert result["seen"] == "unproven"
    assert result["msg"] == (
        f"not proven to be closed: GET {server.url}: answered 200, not 503; POST {server.url}: answered 200, not 503"
    )


def test_proof_over_tls(proof: RunModule, serve: Any, closed_answer: bytes, authority: Authority) -> None:
    server = serve(closed_answer, certificate=authority.issue("shop.example"))
    for trusted in ({"ca": str(authority.bundle)}, {"validate_certs": False}):
        assert proof(server.url, "closed", **trusted)["seen"] == "closed"
        assert proof(server.url, "any", **trusted)["seen"] == "closed"


def test_proof_over_tls_says_how_to_trust(
    proof: RunModule, serve: Any, closed_answer: bytes, authority: Authority
) -> None:
    server = serve(closed_answer, certificate=authority.issue("shop.example"))
    said = proof(server.url, "closed")["msg"]
    assert ": its certificate is not trusted: " in said
    assert said.endswith("maintenance_window_proof_ca, or set maintenance_window_proof_validate_certs: false")
    assert "maintenance_window_proof_ca" not in proof("http://127.0.0.1:1/", "closed")["msg"]


def test_proof_with_a_ca_that_is_not_there(proof: RunModule, tmp_path: Path) -> None:
    said = proof("https://127.0.0.1:1/", "closed", ca=str(tmp_path / "none.pem"))["msg"]
    assert said.startswith(f"maintenance_window_proof_ca '{tmp_path}/none.pem' cannot be taken: ")
    assert "No such file" in said


@pytest.fixture
def smoke(run_module: RunModule, public_path: Path) -> RunModule:
    def run(*checks: dict[str, Any], check: bool = False, seconds: float = 0, **others: str) -> dict[str, Any]:
        arguments = {"socket": str(public_path / "app.sock"), "host": "shop.example", "checks": list(checks)}
        return run_module("app_smoke_test", {**arguments, "seconds": seconds, **others}, check)

    return run


def test_smoke_test(smoke: RunModule, serve: Any, http: Any, public_path: Path) -> None:
    server = serve(http(200, b"all is ok"), http(302), http(404, b"no"), unix_socket=public_path / "app.sock")
    result = smoke(
        {"path": "/health?deep=1", "contains": "ok"}, {"path": "/login", "status": 302}, {"path": "/x", "status": 404}
    )
    assert result == {"changed": False}
    assert [request.split()[1] for request in server.requests] == ["/health?deep=1", "/login", "/x"]
    assert "Host: shop.example" in server.requests[0].splitlines()


def test_smoke_test_of_an_app_that_wants_https(smoke: RunModule, serve: Any, http: Any, public_path: Path) -> None:
    server = serve(http(200), unix_socket=public_path / "app.sock")
    smoke({"path": "/"}, scheme="https")
    smoke({"path": "/"})
    told = [re.findall(r"X-Forwarded-Proto: (\w+)", request) for request in server.requests]
    assert told == [["https"], ["http"]]


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        ({"path": "/"}, "/: 500, expected 200"),
        ({"path": "/", "status": 500, "contains": "fine"}, "/: the answer does not contain 'fine'"),
        ({"path": "/ü"}, "/ü: UnicodeEncodeError"),
    ],
)
def test_smoke_test_that_fails(
    smoke: RunModule, serve: Any, http: Any, public_path: Path, check: dict[str, Any], fault: str
) -> None:
    serve(http(500, b"oops"), unix_socket=public_path / "app.sock")
    assert smoke(check)["msg"].startswith(f"the app fails its smoke test: {fault}")


def test_smoke_test_of_an_app_that_closes_the_site_itself(
    smoke: RunModule, serve: Any, http: Any, public_path: Path
) -> None:
    serve(http(503, b"Back soon", **{"X-Intermission": "maintenance"}), unix_socket=public_path / "app.sock")
    assert smoke({"path": "/"}) == {"changed": False}


def test_smoke_test_without_an_app(smoke: RunModule) -> None:
    assert "there is no such socket" in smoke({"path": "/"})["msg"]


def test_smoke_test_waits_for_the_app(smoke: RunModule, serve: Any, http: Any, public_path: Path) -> None:
    server = serve(http(500), http(200, b"ok"), unix_socket=public_path / "app.sock")
    assert smoke({"path": "/"}, seconds=30) == {"changed": False}
    assert len(server.requests) == 2


@pytest.fixture
def setting(run_module: RunModule, site: StateDirectory, tmp_path: Path) -> RunModule:
    """Run maintenance_setting on the site."""

    def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
        common = {"state_root": str(site.path.parent), "site": "shop", "by": "ada", "from": "laptop"}
        return run_module("maintenance_setting", {**common, "path": str(tmp_path / "setting"), **arguments}, check)

    return run


@pytest.mark.parametrize("kind", ["environment", "digit"])
def test_setting_in_check_mode_for_real_and_again(
    setting: RunModule, site: StateDirectory, tmp_path: Path, kind: str
) -> None:
    said = {"format": kind, "reason": "Disk"}
    assert setting(**said) == {"changed": False, "on": False, "applied": True}
    assert setting(check=True, state="on", **said)["changed"] is True
    assert not (tmp_path / "setting").exists()
    assert setting(state="on", **said) == {"changed": True, "on": True, "applied": kind == "digit"}
    assert setting(state="on", **said)["changed"] is False
    assert setting(check=True, state="applied", **said)["applied"] is (kind == "digit")
    assert setting(state="applied", **said)["applied"] is True
    assert setting(state="off", **said)["changed"] is True
    assert setting(state="off", **said)["changed"] is False
    entries = [(entry["event"], entry["by"], entry["setting"]) for entry in site.journal(2)]
    assert entries == [("opened", "ada", str(tmp_path / "setting")), ("closed", "ada", str(tmp_path / "setting"))]


def test_setting_is_left_alone_while_a_deploy_is_under_way(
    setting: RunModule, site: StateDirectory, tmp_path: Path
) -> None:
    DeployRecord(site).begin({"pid": 1}, "r1", False)
    refused = setting(state="on")
    assert refused["msg"].startswith(
        "a deploy of shop is under way, or has died or failed, and the app is not restarted meanwhile"
    )
    assert not (tmp_path / "setting").exists()
    assert setting(state="off")["changed"] is False


def test_setting_that_the_app_has_not_taken_up_waits_for_the_deploy_too(
    setting: RunModule, site: StateDirectory
) -> None:
    assert setting(state="on")["applied"] is False
    DeployRecord(site).begin({"pid": 1}, "r1", False)
    assert "the app is not restarted meanwhile" in setting(state="on")["msg"]
    DeployRecord(site).end("failed", {"pid": 1})
    again = setting(state="on")
    assert (again["changed"], again["applied"]) == (False, False)


def test_setting_waits_for_a_deploy_that_has_failed(setting: RunModule, site: StateDirectory) -> None:
    site.open(Window(id="deploy-r1", site="shop", start="2026-01-01T00:00:00Z"), by="ada", source="here")
    assert "the app is not restarted meanwhile" in setting(state="on")["msg"]


def test_setting_that_no_environment_can_have(setting: RunModule, tmp_path: Path) -> None:
    assert "the value of MAINTENANCE_REASON has a line break" in setting(state="on", reason="one\ntwo")["msg"]
    assert not (tmp_path / "setting").exists()


def test_absent_in_check_mode_for_real_and_again(window: RunModule, site: StateDirectory) -> None:
    window(state="open")
    window(state="closed")
    site.left_behind_file.write_text('["web3"]')
    assert window(check=True, state="absent")["changed"] is True
    assert site.pages.is_dir()
    done = window(state="absent")
    assert (done["changed"], done["others"], done["status"]["on"]) == (True, [], False)
    assert not site.path.parent.exists()
    assert window(check=True, state="absent")["changed"] is False
    assert window(state="absent")["changed"] is False


@pytest.mark.parametrize("check", [True, False])
def test_absent_is_refused_while_the_site_is_closed(window: RunModule, site: StateDirectory, check: bool) -> None:
    window(state="open")
    said = window(check, state="absent")["msg"]
    assert "shop is closed" in said
    assert "maintenance_off.yml" in said
    assert site.status()["on"]


@pytest.mark.parametrize("check", [True, False])
def test_absent_is_refused_while_a_deploy_is_at_it(window: RunModule, site: StateDirectory, check: bool) -> None:
    record = DeployRecord(site)
    holder = {"user": "ada", "host": "laptop", "pid": 1, "started": "now"}
    record.begin(holder, "r1", take_over=False)
    assert f"its lock is {record.path}" in window(check, state="absent")["msg"]
    assert record.held(holder)
    record.end("done", holder)
    assert window(check, state="absent")["changed"] is True


def test_a_planted_flag_does_not_steer_the_terminal(window: RunModule, site: StateDirectory) -> None:
    site.flag.symlink_to("windows/deploy-\x1b[2J")
    assert "(deploy-?[2J)" in window(state="closed")["msg"]


def test_absent_leaves_the_other_sites_and_what_is_not_of_a_site(window: RunModule, site: StateDirectory) -> None:
    root = site.path.parent
    (root / "tearoom").mkdir()
    assert window(check=True, state="absent")["others"] == ["tearoom"]
    assert window(state="absent")["others"] == ["tearoom"]
    assert [entry.name for entry in root.iterdir()] == ["tearoom"]
    (root / "tearoom").rmdir()
    (root / "notes").touch()
    assert window(state="absent")["others"] == []
    assert [entry.name for entry in root.iterdir()] == ["notes"]


def test_absent_finishes_a_removal_that_was_cut_short(window: RunModule, site: StateDirectory) -> None:
    shutil.rmtree(site.path)
    assert window(check=True, state="absent")["changed"] is True
    assert window(state="absent")["changed"] is True
    assert not site.path.parent.exists()


@pytest.fixture
def scheduled(run_module: RunModule, site: StateDirectory) -> RunModule:
    """Run maintenance_schedule on the site."""

    def run(check: bool = False, **arguments: Any) -> dict[str, Any]:
        common = {"state_root": str(site.path.parent), "site": "shop", "by": "ada", "from": "laptop"}
        return run_module("maintenance_schedule", {**common, **arguments}, check)

    return run


NIGHT = {"state": "present", "start": "2999-12-01T01:00:00Z", "end": "2999-12-01T02:00:00Z", "reason": "Disk"}
NIGHT_ID = "window-29991201T010000"


def test_schedule_in_check_mode_for_real_and_again(
    scheduled: RunModule, window: RunModule, site: StateDirectory
) -> None:
    assert scheduled(check=True, **NIGHT)["changed"] is True
    assert scheduled()["windows"] == []
    done = scheduled(**NIGHT)
    assert (done["changed"], done["id"]) == (True, NIGHT_ID)
    (planned,) = done["windows"]
    assert (planned["state"], planned["by"], planned["reason"]) == ("scheduled", "ada", "Disk")
    assert scheduled(**NIGHT)["changed"] is scheduled(check=True, **NIGHT)["changed"] is False
    assert [entry["id"] for entry in window()["announced"]] == [NIGHT_ID]
    longer = {"state": "extended", "end": "2999-12-01T03:00:00+01:00"}
    assert scheduled(**longer)["changed"] is False
    assert scheduled(**{**longer, "end": "2999-12-01T03:00:00Z"})["windows"][0]["end"] == "2999-12-01T03:00:00Z"
    assert scheduled(check=True, state="cancelled")["changed"] is True
    assert scheduled(state="cancelled", id=NIGHT_ID)["windows"] == []
    assert scheduled(state="cancelled", id=NIGHT_ID)["changed"] is False
    assert site.journal(1)[0]["from"] == "laptop"


def test_schedule_with_a_secret(scheduled: RunModule, site: StateDirectory) -> None:
    first, second = "a" * 43, "b" * 43
    assert scheduled(check=True, **NIGHT, secret=first)["changed"] is True
    done = scheduled(**NIGHT, secret=first)
    assert [path.name for path in (site.windows / NIGHT_ID / "passes").iterdir()] == [first]
    again = [scheduled(check, **NIGHT, secret=second) for check in (True, False)]
    assert [run["changed"] for run in again] == [False, False]
    assert first not in json.dumps([{**run, "invocation": None} for run in (done, *again)])
    assert scheduled(**{**NIGHT, "start": "2999-12-02T01:00:00Z"}, secret="short")["failed"]


def test_schedule_an_overlap(scheduled: RunModule) -> None:
    later = {**NIGHT, "start": "2999-12-01T01:30:00Z", "end": "2999-12-01T03:00:00Z"}
    scheduled(**NIGHT)
    assert scheduled(**later)["msg"].endswith("or let both become one: -e maintenance_window_overlap=merge")
    assert [window["end"] for window in scheduled(**later, overlap="merge")["windows"]] == ["2999-12-01T03:00:00Z"]


def test_schedule_a_window_that_runs_a_command(scheduled: RunModule, window: RunModule, site: StateDirectory) -> None:
    job = {**NIGHT, "command": "/bin/echo 'a b'", "command_closes": True}
    assert scheduled(check=True, **job)["windows"] == []
    (planned,) = scheduled(**job, command_seconds=60)["windows"]
    assert planned["command"] == "/bin/echo 'a b'"
    assert scheduled(**job, command_seconds=60)["changed"] is False
    assert "overlaps it" in scheduled(**job)["msg"]
    (ordered,) = site.jobs.glob("*.json")
    assert json.loads(ordered.read_text())["command"] == {
        "words": ["/bin/echo", "a b"],
        "user": "",
        "seconds": 60.0,
        "closes": True,
    }
    assert window()["job"] is None
    assert scheduled(state="cancelled")["windows"] == []
    assert list(site.jobs.iterdir()) == []
    assert scheduled(**{**job, "command": "echo"})["msg"].startswith("the command 'echo' has to begin with the path")
    assert "no account 'no one'" in scheduled(**job, command_user="no one")["msg"]
    assert window(state="absent")["changed"] is True
    assert not site.path.parent.exists()


def test_schedule_what_recurs(scheduled: RunModule, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [datetime(2999, 12, day, 2, tzinfo=UTC) for day in range(1, 31)]
    monkeypatch.setattr(
        schedule, "next_times", lambda calendar, after, count=1: [time for time in times if time > after][:count]
    )
    done = scheduled(state="present", calendar="02:00 UTC", seconds=1800)
    (planned,) = done["windows"]
    assert (done["id"], planned["recurs"]) == ("window-29991201T020000", "02:00 UTC")
    assert planned["following"][0] == {"start": "2999-12-02T02:00:00Z", "end": "2999-12-02T02:30:00Z"}
    assert scheduled(state="present", calendar="02:00 UTC", seconds=1800)["changed"] is False
    assert [window["start"] for window in scheduled(state="cancelled", once=True)["windows"]] == [
        "2999-12-02T02:00:00Z"
    ]


def test_schedule_where_the_clock_is_behind(scheduled: RunModule) -> None:
    refused = scheduled(**NIGHT, asked_at=datetime.now(UTC).timestamp() + 60)
    assert re.match(r"this host's clock is (60\.0|59\.\d) s behind the controller's", refused["msg"])
    assert scheduled()["windows"] == []
    assert scheduled(**NIGHT, asked_at=datetime.now(UTC).timestamp() + 60, tolerance=90)["changed"] is True
    assert scheduled(**NIGHT, asked_at=datetime.now(UTC).timestamp() - 60)["changed"] is False


def test_schedule_nonsense(scheduled: RunModule, tmp_path: Path) -> None:
    scheduled(**NIGHT)
    assert "is not after now" in scheduled(state="extended", end="2020-01-01T00:00Z")["msg"]
    assert "there is none to extend" in scheduled(state="extended", end="2999-01-01T00:00Z", id="window-1")["msg"]
    assert "apply the role maintenance_page" in scheduled(**{**NIGHT, "state_root": str(tmp_path / "nowhere")})["msg"]


def test_request_of_a_scheduled_window(run_module: RunModule) -> None:
    asked = run_module("maintenance_request", {"begins": "Sun 02:00 UTC", "duration": "30m"})
    assert asked["times"] == {"start": None, "end": None, "calendar": "Sun 02:00 UTC", "seconds": 1800}
    refused = run_module("maintenance_request", {"begins": "in 2h"})["msg"]
    assert re.search("needs an end or a duration, one of the two. Set maintenance_window_from to a begin", refused)
