"""The modules that change a web host: told in check mode, done once, nothing to do the second time."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import socket
import sqlite3
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils import preflight, standby
from ansible_collections.intermission.django.plugins.module_utils.environment import dump
from ansible_collections.intermission.django.plugins.module_utils.release import COMPLETE, Releases
from ansible_collections.intermission.django.plugins.module_utils.setting import EnvironmentSetting
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory
from ansible_collections.intermission.django.plugins.module_utils.units import Units

from certificates import Authority

RunModule = Callable[..., dict[str, Any]]


@pytest.fixture
def commands(tmp_path: Path) -> dict[str, str]:
    """A service that runs while a file is there."""
    running, log = tmp_path / "running", tmp_path / "log"
    return {
        "test": f"! grep -q wrong {tmp_path}/site.conf",
        "start": f"touch {running}; echo start >>{log}",
        "stop": f"rm {running}; echo stop >>{log}",
        "reload": f"echo reload >>{log}",
        "status": f"test -e {running}",
    }


def done(tmp_path: Path) -> list[str]:
    log = tmp_path / "log"
    return log.read_text().split() if log.exists() else []


@pytest.mark.parametrize(
    ("running", "state", "changed", "did"),
    [
        (False, "started", True, ["start"]),
        (True, "started", False, []),
        (True, "stopped", True, ["stop"]),
        (False, "stopped", False, []),
        (True, "reloaded", True, ["reload"]),
        (False, "reloaded", True, ["start"]),
        (True, "told", False, []),
        (False, "told", False, []),
    ],
)
def test_service(
    run_module: RunModule,
    commands: dict[str, str],
    tmp_path: Path,
    running: bool,
    state: str,
    changed: bool,
    did: list[str],
) -> None:
    if running:
        (tmp_path / "running").touch()
    arguments = {"name": "the app", "commands": commands, "state": state}
    expected = {"changed": changed, "running": running, "cut_off": 0}
    assert run_module("app_service", arguments, True) == expected
    assert done(tmp_path) == []
    assert run_module("app_service", arguments) == expected
    assert done(tmp_path) == did
    if state in ("started", "stopped"):
        assert run_module("app_service", arguments)["changed"] is False


def test_a_service_that_is_about_to_be_started_again_is_stopped(
    run_module: RunModule, commands: dict[str, str], tmp_path: Path
) -> None:
    queued = tmp_path / "queued"
    queued.touch()
    commands.update(stop=f"rm {queued}", idle=f"test ! -e {queued}")
    arguments = {"name": "the workers", "commands": commands, "state": "stopped"}
    assert run_module("app_service", arguments)["changed"] is True
    assert run_module("app_service", arguments)["changed"] is False


def test_a_service_that_does_not_keep_running(run_module: RunModule, commands: dict[str, str], tmp_path: Path) -> None:
    arguments = {"name": "the worker", "commands": commands, "state": "started"}
    assert run_module("app_service", {**arguments, "watch_seconds": 0.2})["changed"] is True
    commands["status"] = f"test -e {tmp_path}/running && rm {tmp_path}/running"
    assert "did not keep running" in run_module("app_service", {**arguments, "watch_seconds": 600})["msg"]


def test_a_service_that_fails(run_module: RunModule, commands: dict[str, str]) -> None:
    commands["start"] = "echo no such module >&2; false"
    result = run_module("app_service", {"name": "the app", "commands": commands, "state": "started"})
    assert "no such module" in result["msg"]


def test_who_is_cut_off_when_a_service_is_stopped(
    run_module: RunModule, commands: dict[str, str], tmp_path: Path, public_path: Path
) -> None:
    (tmp_path / "running").touch()
    path = str(public_path / "app.sock")
    with socket.socket(socket.AF_UNIX) as app, socket.socket(socket.AF_UNIX) as client:
        app.bind(path)
        app.listen()
        client.connect(path)
        arguments = {
            "name": "the app",
            "commands": commands,
            "state": "stopped",
            "drain_socket": path,
            "drain_seconds": 0,
        }
        assert run_module("app_service", arguments)["cut_off"] == 1
    assert done(tmp_path) == ["stop"]


UNCHANGED = {"changed": False, "diff": [], "waiting": [], "former": {}}


@pytest.fixture
def nginx(run_module: RunModule, commands: dict[str, str], tmp_path: Path) -> RunModule:
    def run(
        content: str, check: bool = False, pages: dict[str, str] | None = None, keep: list[str] | None = None
    ) -> dict[str, Any]:
        files = {str(tmp_path / "site.conf"): content, str(tmp_path / "old.conf"): ""}
        arguments = {"files": files, "pending": str(tmp_path / "pending"), "commands": commands}
        return run_module("nginx_files", {**arguments, "pages": pages or {}, "keep": keep or []}, check)

    return run


def test_nginx_files(nginx: RunModule, tmp_path: Path) -> None:
    conf = tmp_path / "site.conf"
    (tmp_path / "old.conf").write_text("old\n")
    told = nginx("new\n", check=True)
    assert told["changed"] is True
    assert [(entry["before"], entry["after"]) for entry in told["diff"]] == [("", "new\n"), ("old\n", "")]
    assert told["diff"][0]["after_header"] == str(conf)
    assert not conf.exists()
    assert nginx("new\n") == told
    assert conf.read_text() == "new\n"
    assert not (tmp_path / "old.conf").exists()
    assert nginx("new\n", check=True) == nginx("new\n") == UNCHANGED
    assert done(tmp_path) == ["start"]


def test_nginx_files_that_are_kept_and_put_back(nginx: RunModule, tmp_path: Path) -> None:
    conf = tmp_path / "site.conf"
    nginx("first\n", keep=[str(conf)])
    assert conf.read_text() == "first\n"
    for check in (True, False):
        assert nginx("second\n", check, keep=[str(conf)]) == {**UNCHANGED, "waiting": [str(conf)]}
    assert conf.read_text() == "first\n"
    assert nginx("first\n", keep=[str(conf)]) == UNCHANGED
    assert "Nginx refuses the new configuration" in nginx("wrong\n", keep=[str(conf)])["msg"]
    assert conf.read_text() == "first\n"
    former = nginx("second\n")["former"]
    assert former == {str(conf): "first\n"}
    nginx(former[str(conf)])
    assert conf.read_text() == "first\n"
    assert done(tmp_path) == ["start", "reload", "reload"]


def test_nginx_files_that_are_refused(nginx: RunModule, tmp_path: Path) -> None:
    nginx("new\n")
    result = nginx("wrong\n")
    assert "Nginx refuses the new configuration" in result["msg"]
    assert result["diff"][0]["after"] == "wrong\n"
    assert (tmp_path / "site.conf").read_text() == "new\n"


def test_nginx_files_that_are_removed_leave_no_empty_directory(
    run_module: RunModule, commands: dict[str, str], tmp_path: Path
) -> None:
    files = {str(tmp_path / name / "site.conf"): "text\n" for name in ("made", "shared", "kept")}
    arguments = {"pending": str(tmp_path / "pending"), "commands": commands}
    run_module("nginx_files", {**arguments, "files": files})
    (tmp_path / "shared" / "another.conf").touch()
    arguments.update(files=dict.fromkeys(files, ""), tidy=[str(tmp_path / name) for name in ("made", "shared", "none")])
    assert run_module("nginx_files", arguments, True)["changed"] is True
    assert (tmp_path / "made" / "site.conf").exists()
    assert run_module("nginx_files", arguments)["changed"] is True
    assert [(tmp_path / name).exists() for name in ("made", "shared", "kept")] == [False, True, True]
    (tmp_path / "running").unlink()
    assert run_module("nginx_files", arguments) == run_module("nginx_files", arguments, True) == UNCHANGED
    (tmp_path / "made").mkdir()
    assert run_module("nginx_files", arguments, True)["changed"] is True
    assert run_module("nginx_files", arguments)["changed"] is True
    assert done(tmp_path) == ["start", "reload"]


def test_pages_are_written_without_a_reload(nginx: RunModule, tmp_path: Path) -> None:
    nginx("new\n")
    pages = {str(tmp_path / "503.html"): "<p>Back soon</p>"}
    told = nginx("new\n", check=True, pages=pages)
    assert (told["changed"], [entry["after"] for entry in told["diff"]]) == (True, ["16 characters\n"])
    assert not (tmp_path / "503.html").exists()
    assert nginx("new\n", pages=pages) == told
    assert (tmp_path / "503.html").read_text() == "<p>Back soon</p>"
    assert nginx("new\n", pages=pages) == nginx("new\n", check=True, pages=pages) == UNCHANGED
    (change,) = nginx("new\n", check=True, pages=dict.fromkeys(pages, "<p>Soon</p>"))["diff"]
    assert (change["before"], change["after"]) == ("<p>Back soon</p>", "<p>Soon</p>")
    assert done(tmp_path) == ["start"]


@pytest.fixture
def release(run_module: RunModule, tmp_path: Path) -> RunModule:
    """Run release on a host that has the archive of one release."""
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "srv" / "environments").mkdir(parents=True)
    (tmp_path / "srv" / "environments" / "e1").touch()

    def run(state: str, check: bool = False, **arguments: Any) -> dict[str, Any]:
        common = {"root": str(tmp_path / "srv"), "state": state, "id": "r1", "environment": "e1", "preparation": "p1"}
        archive = {}
        if state == "unpacked":
            archive = {"archive": str(tmp_path / "r1.tar.gz"), "version": "v1", "origin": "here"}
            with tarfile.open(archive["archive"], "w:gz") as stream:
                stream.add(tmp_path / "requirements.txt", arcname="requirements.txt")
        return run_module("release", {**common, **archive, **arguments}, check)

    return run


def test_the_states_of_a_release(release: RunModule, tmp_path: Path) -> None:
    current = tmp_path / "srv" / "current"
    nothing = {
        "changed": False,
        "known": {},
        "runnable": False,
        "current": None,
        "live": {},
        "versions": {},
        "removed": [],
    }
    assert release("told") == {
        **nothing,
        "closed_by_setting": False,
        "closing_by_setting": False,
        "diff": {"before": "", "after": ""},
    }
    for state in ("unpacked", "prepared", "current", "live"):
        assert release(state, check=True)["changed"] is True, state
        assert release(state)["changed"] is True, state
        assert release(state, check=True)["changed"] is False, state
        assert release(state)["changed"] is False, state
    told = release("told")
    assert (told["known"]["version"], told["known"]["prepared"], told["current"]) == ("v1", "p1", "r1")
    assert (told["live"]["release"], told["live"]["environment"]) == ("r1", "e1")
    assert (current / "requirements.txt").exists()


def test_a_setting_that_closes_the_site_and_that_its_app_has_not_taken_up(release: RunModule, tmp_path: Path) -> None:
    setting = EnvironmentSetting(tmp_path / "srv/maintenance.env")
    acts: list[tuple[Callable[[], None], tuple[bool, bool]]] = [
        (lambda: setting.write(True, {}), (True, True)),
        (setting.note_applied, (True, False)),
        (lambda: setting.write(False, {}), (False, False)),
    ]
    for act, expected in acts:
        act()
        told = release("told")
        assert (told["closed_by_setting"], told["closing_by_setting"]) == expected


def test_a_sites_directories_and_environment_file(release: RunModule, tmp_path: Path) -> None:
    site = tmp_path / "srv"
    wanted = {"directories": [str(site / "shared/media")], "environment": "e2", "content": 'KEY="secret"\n'}
    made = [site / name for name in ("releases", "shared", "shared/private", "shared/media", "environments/e2")]
    told = release("present", check=True, **wanted)
    assert (told["changed"], told["diff"]["after"]) == (True, "".join(f"{path}\n" for path in made))
    assert not any(path.exists() for path in made)
    assert release("present", **wanted) == told
    assert made[-1].read_text() == 'KEY="secret"\n'
    assert [path.stat().st_mode & 0o777 for path in made] == [0o755, 0o755, 0o700, 0o755, 0o600]
    assert release("present", check=True, **wanted)["changed"] is release("present", **wanted)["changed"] is False
    made[-1].chmod(0o644)
    made[3].chmod(0o2775)
    assert release("present", **wanted)["diff"]["after"] == f"{made[-1]}\n"
    assert [path.stat().st_mode & 0o7777 for path in made] == [0o755, 0o755, 0o700, 0o2775, 0o600]


def test_nothing_in_the_accounts_own_directory_is_taken_for_the_environment(
    release: RunModule, public_path: Path
) -> None:
    site = public_path / "srv"
    wanted = {"root": str(site), "environment": "e2", "user": "nobody" if os.geteuid() == 0 else None}
    release("present", content='KEY="secret"\n', **wanted)
    owners = [(path.stat().st_uid, path.stat().st_mode & 0o777) for path in (site / "environments", site)]
    assert owners == [(os.geteuid(), 0o700), (os.geteuid(), 0o755)]
    (site / "shared/environment").symlink_to("/etc/shadow")
    (site / "shared/environment.x").mkdir()
    assert release("pruned", **wanted)["changed"] is False
    assert sorted(path.name for path in (site / "shared").iterdir()) == ["environment", "environment.x", "private"]
    (public_path / "others").write_text('KEY="secret"\n')
    (public_path / "others").chmod(0o600)
    (site / "environments/e2").unlink(missing_ok=True)
    (site / "environments/e2").symlink_to(public_path / "others")
    assert release("present", content='KEY="secret"\n', **wanted)["changed"] is True
    assert not (site / "environments/e2").is_symlink()


def test_the_account_of_the_site_owns_what_is_made_for_it(release: RunModule, public_path: Path) -> None:
    media = public_path / "srv/shared/media"
    wanted = {"root": str(public_path / "srv"), "directories": [str(media)], "environment": "e1"}
    assert release("present", check=True, user="nobody-of-this-name", **wanted)["changed"] is True
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody").pw_uid
        release("present", user="nobody", **wanted)
        owned = (media.parent, media.with_name("private"), media, public_path / "srv/releases")
        assert [path.stat().st_uid for path in owned] == [nobody, nobody, nobody, 0]
        assert release("present", user="nobody", **wanted)["changed"] is False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be led astray")
def test_nothing_is_made_where_a_directory_is_not_the_accounts_to_write_in(
    release: RunModule, public_path: Path
) -> None:
    wanted = {"root": str(public_path / "srv"), "user": "nobody"}
    (public_path / "elsewhere").mkdir()
    (public_path / "link").symlink_to("elsewhere")
    os.lchown(public_path / "link", pwd.getpwnam("nobody").pw_uid, -1)
    for name, message in (("elsewhere", "nobody cannot write in it"), ("link/new", "a symlink that nobody has made")):
        for check in (True, False):
            assert message in release("present", check, directories=[str(public_path / name)], **wanted)["msg"]
    assert (public_path / "elsewhere").stat().st_uid == 0
    assert not (public_path / "srv").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has something to lose")
@pytest.mark.parametrize("name", [".", "releases", "venvs", "environments"])
def test_root_takes_nothing_from_a_directory_that_the_account_can_write_in(
    release: RunModule, public_path: Path, name: str
) -> None:
    place = public_path / "srv" / name
    place.mkdir(parents=True)
    os.chown(place, pwd.getpwnam("nobody").pw_uid, -1)
    for check in (True, False):
        assert (
            f"nobody can write in {place}"
            in release("present", check, root=str(public_path / "srv"), user="nobody")["msg"]
        )
    assert not (public_path / "srv/shared").exists()


def test_a_release_is_installed(release: RunModule, tmp_path: Path) -> None:
    python = {"python": sys.executable}
    assert release("installed", check=True, **python)["changed"] is True
    release("unpacked")
    assert release("installed", check=True, **python)["changed"] is True
    releases = Releases(str(tmp_path / "srv"))
    key = releases.virtualenv_key("r1", "requirements.txt", sys.executable, [])
    (tmp_path / "srv" / "venvs" / key).mkdir(parents=True)
    (tmp_path / "srv" / "venvs" / key / COMPLETE).touch()
    assert release("installed", **python)["changed"] is True
    assert release("installed", check=True, **python)["changed"] is False
    assert release("installed", **python)["changed"] is False
    assert release("installed", check=True, extra_packages=["gunicorn"], **python)["changed"] is True


def test_a_release_is_made_collectable_and_no_other_is_ready_then(release: RunModule, tmp_path: Path) -> None:
    folder = tmp_path / "srv/releases/r1"
    css, module = folder / "shop.css", folder / "shop.py"
    release("unpacked")
    css.touch()
    module.write_text("TEA = 1\n")
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    os.utime(css, (0, 0))
    release("unpacked", id="r2")
    assert release("prepared", id="r2", preparation="p")["known"]["prepared"] == "p"
    assert (release("collectable", check=True)["changed"], css.stat().st_mtime) == (True, 0)
    assert release("collectable")["changed"] is True
    assert css.stat().st_mtime > 0
    compiled = Path(importlib.util.cache_from_source(str(module))).read_bytes()
    assert int.from_bytes(compiled[8:12], "little") == int(module.stat().st_mtime), "it would be compiled at each start"
    assert release("told", id="r2")["known"]["prepared"] is False


def test_what_a_host_needs_for_a_virtualenv(release: RunModule, tmp_path: Path) -> None:
    told = release("target", python=sys.executable)
    assert (told["changed"], told["virtualenv"]) == (False, False)
    assert told["target"]["python"] == "{}.{}.{}".format(*sys.version_info)
    for name in ("r1", "r2"):
        release("unpacked", id=name)
    assert release("target", python=sys.executable)["virtualenv"] is False
    key = Releases(str(tmp_path / "srv")).virtualenv_key("r1", "requirements.txt", sys.executable, [])
    (tmp_path / "srv" / "venvs" / key).mkdir(parents=True)
    (tmp_path / "srv" / "venvs" / key / COMPLETE).touch()
    assert [release("target", check, id="r2", python=sys.executable)["virtualenv"] for check in (True, False)] == [
        True,
        True,
    ]
    assert release("target", python=sys.executable, extra_packages=["gunicorn"])["virtualenv"] is False
    assert "virtualenv" not in release("told")


@pytest.mark.programs
def test_a_wheelhouse_is_all_that_a_release_is_installed_from(release: RunModule, tmp_path: Path) -> None:
    release("unpacked")
    wheelhouse = tmp_path / "wheelhouse.tar"
    failed = release("installed", python=sys.executable, wheelhouse=str(wheelhouse))
    assert f"the wheelhouse {wheelhouse} cannot be unpacked" in failed["msg"]


def test_releases_are_pruned(release: RunModule, tmp_path: Path) -> None:
    for number in range(1, 4):
        release("unpacked", id=f"r{number}")
    assert release("pruned", check=True, keep=1)["changed"] is True
    assert len(list((tmp_path / "srv" / "releases").iterdir())) == 3
    done = release("pruned", keep=1)
    assert (done["changed"], done["removed"]) == (True, ["r2", "r1"])
    assert release("pruned", keep=1) == {**done, "changed": False, "removed": []}
    assert release("pruned", check=True, keep=1)["changed"] is False


@pytest.mark.parametrize(
    ("state", "arguments", "message"),
    [
        ("current", {}, "there is no release r1"),
        ("collectable", {}, "there is no release r1"),
        ("unpacked", {"archive": "/nonexistent"}, "No such file"),
        ("installed", {"python": "/nonexistent"}, "No such file"),
    ],
)
def test_a_release_that_is_not_there(release: RunModule, state: str, arguments: dict[str, str], message: str) -> None:
    assert message in release(state, **arguments)["msg"]


@pytest.mark.parametrize("state", ["unpacked", "target", "collectable", "installed", "prepared", "current", "live"])
def test_a_release_needs_its_id(run_module: RunModule, tmp_path: Path, state: str) -> None:
    assert "missing: id" in run_module("release", {"root": str(tmp_path), "state": state})["msg"]


@pytest.fixture
def project(tmp_path: Path) -> dict[str, str]:
    """A directory with a manage.py that tells what it is given, and one migration's worth of Django."""
    directory = tmp_path / "project"
    (directory / "tea" / "migrations").mkdir(parents=True)
    for package in ("tea", "tea/migrations"):
        (directory / package / "__init__.py").touch()
    (directory / "tea" / "migrations" / "0001_initial.py").write_text(
        "from django.db import migrations\n"
        "class Migration(migrations.Migration):\n"
        "    operations = [migrations.RunSQL('CREATE TABLE tea (id)', 'DROP TABLE tea')]\n"
    )
    (directory / "manage.py").write_text(
        "import os, sys\n"
        "from django.conf import settings\n"
        "if sys.argv[1] == 'tell':\n"
        "    sys.exit(print(sys.argv[2:], os.environ['SHOP'], os.getcwd()))\n"
        "settings.configure(INSTALLED_APPS=['tea'], DATABASES={'default': "
        "{'ENGINE': 'django.db.backends.sqlite3', 'NAME': os.environ['SHOP']}})\n"
        "from django.core.management import execute_from_command_line\n"
        "execute_from_command_line(sys.argv)\n"
    )
    (tmp_path / "environment").write_text(dump({"SHOP": tmp_path / "$shop.sqlite3"}))
    return {"python": sys.executable, "project": str(directory), "environment_file": str(tmp_path / "environment")}


def test_manage(run_module: RunModule, project: dict[str, str], tmp_path: Path) -> None:
    arguments = {**project, "command": ["tell", "--noinput", "a b"]}
    assert run_module("manage", arguments, True) == {"changed": True, "stdout": ""}
    said = f"['--noinput', 'a b'] {tmp_path}/$shop.sqlite3 {project['project']}\n"
    assert run_module("manage", arguments) == {"changed": True, "stdout": said}


def test_manage_that_does_not_end(run_module: RunModule, project: dict[str, str]) -> None:
    said = run_module("manage", {**project, "command": ["nothing"], "seconds": 0.001})["msg"]
    assert said == "manage.py nothing was not done after 0.001 s"


def test_manage_that_fails(run_module: RunModule, project: dict[str, str]) -> None:
    said = run_module("manage", {**project, "command": ["nothing", "--at", "all"]})["msg"]
    assert said.startswith("manage.py nothing --at all ended with 1:\n")
    assert "Unknown command: 'nothing'" in said


@pytest.mark.programs
def test_database_migrate(run_module: RunModule, project: dict[str, str], tmp_path: Path) -> None:
    database = tmp_path / "$shop.sqlite3"
    request = {
        **project,
        "state": "migrated",
        "backup_directory": str(tmp_path / "backups"),
        "job": str(tmp_path / "job"),
    }
    planned = run_module("database_migrate", project)
    assert planned["changed"] is False
    assert [entry["name"] for entry in planned["pending"]] == ["0001_initial"]
    told = run_module("database_migrate", request, True)
    assert told["changed"] is True
    assert not (tmp_path / "backups").exists()
    done = run_module("database_migrate", request)
    assert (done["changed"], done["applied"], done["failure"]) == (True, ["tea.0001_initial"], "")
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT * FROM tea").fetchall() == []
    assert run_module("database_migrate", request, True)["changed"] is False
    assert run_module("database_migrate", request)["changed"] is False


@pytest.mark.programs
def test_database_migrate_is_followed_and_undone(
    run_module: RunModule, project: dict[str, str], tmp_path: Path
) -> None:
    request = {**project, "job": str(tmp_path / "job"), "name": "r1"}
    assert run_module("database_migrate", {**request, "state": "undone"})["msg"] == (
        "it is not known which migrations were applied before"
    )
    assert run_module("database_migrate", {**request, "state": "migrated"})["applied"] == ["tea.0001_initial"]
    followed = run_module("database_migrate", {**request, "state": "followed", "wait": 0})
    assert (followed["running"], followed["applied"]) == (False, ["tea.0001_initial"])
    undone = run_module("database_migrate", {**request, "state": "undone"})
    assert (undone["changed"], undone["failure"]) == (True, "")
    planned = run_module("database_migrate", {**request, "state": "planned"})
    assert [entry["name"] for entry in planned["pending"]] == ["0001_initial"]


def test_database_migrate_without_a_project(run_module: RunModule, tmp_path: Path) -> None:
    arguments = {"python": sys.executable, "project": str(tmp_path)}
    assert "manage.py" in run_module("database_migrate", arguments)["msg"]
    assert "No such file" in run_module("database_migrate", {**arguments, "python": "/nonexistent"})["msg"]


@pytest.fixture
def deploy(run_module: RunModule, site: StateDirectory) -> RunModule:
    def run(state: str, check: bool = False, user: str = "ada", **arguments: Any) -> dict[str, Any]:
        holder = {"user": user, "host": "laptop", "pid": 1, "started": "1"}
        common = {"state_root": str(site.path.parent), "site": "shop", "state": state, "holder": holder}
        return run_module("deploy_record", {**common, **arguments}, check)

    return run


def test_deploy_record(deploy: RunModule, site: StateDirectory) -> None:
    for check in (True, False):
        assert deploy("begun", check, release="r1").get("failed", False) is False
        assert deploy("phase", check, phase="migrate").get("failed", False) is False
        held = deploy("told", check)["held_by"]
        assert (held or {}).get("phase") == (None if check else "migrate")
        ended = deploy("ended", check, outcome="done")
        assert (ended["held_by"], (ended["summary"] or {}).get("outcome")) == (None, None if check else "done")
    assert [entry["event"] for entry in site.journal(5)] == ["deploy begun", "deploy phase", "deploy ended"]


def test_with_the_deploy_ends_who_stayed_to_migrate(deploy: RunModule, site: StateDirectory) -> None:
    path = standby.standby_of(site.migration_file)
    listener = standby.listen(path)
    assert listener is not None
    with listener:
        deploy("begun")
        deploy("ended", user="bob")
        assert path.exists()
        deploy("ended")
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1) == b""
    assert not path.exists()


def test_who_is_left_behind_is_known_until_a_deploy_takes_all_along(deploy: RunModule) -> None:
    for gone in (["web3"], []):
        deploy("begun")
        assert deploy("ended", outcome="done", left_behind=gone)["left_behind"] == gone
        assert deploy("begun", user="bob")["left_behind"] == gone
        assert deploy("ended", left_behind=["web1"])["left_behind"] == gone
        deploy("ended", user="bob", left_behind=gone)


@pytest.mark.parametrize("content", ["{", "{}", '"web3"', "[1]"])
def test_a_damaged_note_of_who_is_left_behind_names_nobody(
    deploy: RunModule, site: StateDirectory, content: str
) -> None:
    site.left_behind_file.write_text(content)
    assert deploy("told")["left_behind"] == []


def test_the_deploy_lock_says_who_has_it(deploy: RunModule) -> None:
    deploy("begun", release="r1")
    refused = deploy("begun", user="bob", release="r2")
    assert refused["msg"].startswith("ada on laptop is deploying shop since ")
    assert "(phase prepare, process 1)" in refused["msg"]
    assert "-e django_release_take_over=true" in refused["msg"]
    assert refused["held_by"]["release"] == "r1"
    assert deploy("ended", user="bob", outcome="failed")["summary"] is None
    assert deploy("begun", user="bob", release="r2", take_over=True)["held_by"]["holder"]["user"] == "bob"


def test_a_damaged_deploy_lock_says_so(deploy: RunModule, site: StateDirectory) -> None:
    site.deploy_file.write_text("{")
    assert deploy("begun")["msg"].startswith("somebody on an unknown controller is deploying shop")


def test_a_planted_deploy_lock_does_not_steer_the_terminal(deploy: RunModule, site: StateDirectory) -> None:
    site.deploy_file.write_text(json.dumps({"holder": {"user": "\x1b[2Jada"}, "since": "\x9b"}))
    assert deploy("begun")["msg"].startswith("?[2Jada on an unknown controller is deploying shop since ? ")


def test_source_archive(run_module: RunModule, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "src").mkdir(parents=True)
    (source / "src" / "manage.py").touch()
    (source / "requirements.txt").touch()
    arguments = {"source": str(source), "version": "v1", "cache": str(tmp_path / "cache"), "project": "./src/"}
    first, again = run_module("source_archive", arguments), run_module("source_archive", {**arguments, "version": "v2"})
    assert first == again
    assert Path(first["path"]).name == f"{first['id']}.tar.gz"
    assert first["origin"] == str(source)
    for missing, message in [
        ({"project": "."}, "django_release_project: .* has no manage.py. Name the directory"),
        ({"requirements": "requirements/all.txt"}, "django_release_requirements: .* has no requirements/all.txt"),
        ({"source": "/nonexistent"}, "django_release_source: there is no directory or archive /nonexistent"),
    ]:
        result = run_module("source_archive", {**arguments, **missing})
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(result["msg"])


def test_source_archive_with_a_package(run_module: RunModule, tmp_path: Path) -> None:
    source, package = tmp_path / "source", tmp_path / "own"
    for directory in (source, package):
        directory.mkdir()
    for name in ("manage.py", "requirements.txt"):
        (source / name).touch()
    arguments = {"source": str(source), "cache": str(tmp_path / "cache")}
    without = run_module("source_archive", arguments)
    asked = {**arguments, "package": str(package), "python": sys.executable}
    assert "own cannot be built on the controller" in run_module("source_archive", asked)["msg"]
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (package / "backend.py").write_text(
        "import pathlib, zipfile\n"
        "def build_wheel(directory, config_settings=None, metadata_directory=None):\n"
        "    with zipfile.ZipFile(pathlib.Path(directory) / 'own-1-py3-none-any.whl', 'w') as wheel:\n"
        "        wheel.writestr('own-1.dist-info/METADATA', 'Metadata-Version: 2.1\\nName: own\\nVersion: 1\\n')\n"
        "        wheel.writestr('own-1.dist-info/WHEEL', 'Wheel-Version: 1.0\\nTag: py3-none-any\\n')\n"
        "        wheel.writestr('own-1.dist-info/RECORD', '')\n"
        "    return 'own-1-py3-none-any.whl'\n"
    )
    packed = run_module("source_archive", asked)
    assert packed["id"] != without["id"]
    with tarfile.open(packed["path"]) as archive:
        assert archive.getnames() == ["manage.py", "requirements.txt", ".intermission/own-1-py3-none-any.whl"]


def test_preflight_of_a_host_that_is_right(run_module: RunModule, public_path: Path, other_user: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    arguments = {
        "listen": [f"127.0.0.1:{port}"],
        "readable": [str(public_path)],
        "worker_user": other_user,
        "socket": "/run/shop/app.sock",
    }
    assert (
        run_module("host_preflight", arguments)
        == run_module("host_preflight", arguments, True)
        == {
            "changed": False,
            "missing_packages": [],
            "changed_units": [],
        }
    )


def test_preflight_names_all_that_is_wrong_and_what_to_set(
    run_module: RunModule, public_path: Path, other_user: str
) -> None:
    (public_path / "closed").mkdir(mode=0o700 if os.getuid() == 0 else 0)
    with socket.create_server(("127.0.0.1", 0)) as holder:
        listen = f"127.0.0.1:{holder.getsockname()[1]}"
        arguments = {
            "listen": [listen, "http"],
            "readable": [str(public_path / "closed")],
            "worker_user": other_user,
            "socket": f"/run/{'x' * 200}",
        }
        lines = run_module("host_preflight", arguments)["msg"].splitlines()
    assert len(lines) == 4
    assert lines[0].startswith(f"maintenance_page_listen '{listen}': port ")
    assert lines[1].startswith("maintenance_page_listen 'http': 'http' has no port, as in 80")
    assert lines[2].startswith("intermission_state_root: ")
    assert f"chmod o+x {public_path}/closed" in lines[2]
    assert lines[3].startswith("django_release_socket: ")


@pytest.fixture
def unit_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of unit files, with a systemctl(1) that says yes to everything."""

    make = Units.__init__

    def place(self: Units, site: str, part: str = "") -> None:
        make(self, site, str(tmp_path), part)

    monkeypatch.setattr(Units, "__init__", place)
    said = "Id=any\nLoadState=loaded\nUnitFileState=enabled\nNeedDaemonReload=no"
    monkeypatch.setattr("ansible_collections.intermission.django.plugins.module_utils.units.systemctl", lambda *_: said)
    return tmp_path


def test_units_are_those_of_the_environment_that_is_gone_back_to(run_module: RunModule, unit_files: Path) -> None:
    def install(environment: str, **units: str) -> dict[str, Any]:
        given = {"units": {f"shop.{kind}": text for kind, text in units.items()}} if units else {}
        return run_module("systemd_units", {"site": "shop", "kept": str(unit_files / f"{environment}.json"), **given})

    def has(kind: str, text: str) -> bool:
        return (unit_files / f"shop.{kind}").read_text() == f"# Intermission: shop\n{text}"

    install("one", socket="A", service="1")
    install("two", socket="B", service="2")
    assert install("one", socket="B", service="2")["changed"] is True
    assert has("service", "1")
    assert has("socket", "B")
    assert install("one")["names"] == ["shop.service", "shop.socket"]
    assert has("socket", "A")
    assert install("none") == {"changed": False, "diff": [], "names": []}
    assert has("socket", "A")


def test_units_of_a_part_are_not_kept_and_go_without_the_others(run_module: RunModule, unit_files: Path) -> None:
    (unit_files / "shop.service").write_text("# Intermission: shop\n[Service]\n")
    part: dict[str, Any] = {"site": "shop", "part": "schedule"}
    installed = run_module("systemd_units", {**part, "units": {"shop-schedule.path": "[Path]\n"}})
    assert (installed["changed"], installed["names"]) == (True, ["shop-schedule.path"])
    assert (unit_files / "shop-schedule.path").read_text() == "# Intermission: shop schedule\n[Path]\n"
    assert run_module("systemd_units", {**part, "units": {}}, check=True)["changed"] is True
    assert run_module("systemd_units", {**part, "units": {}})["changed"] is True
    assert run_module("systemd_units", {**part, "units": {}})["changed"] is False
    assert [path.name for path in unit_files.glob("shop*")] == ["shop.service"]


def test_preflight_of_units(run_module: RunModule, unit_files: Path, tmp_path: Path) -> None:
    """A unit of other origin is refused before anything is stopped: stopping is by name."""
    arguments = {"site": "shop", "units": {"shop.socket": "[Socket]\n"}}
    assert run_module("host_preflight", arguments)["changed_units"] == []
    (tmp_path / "shop.socket").write_text("# Intermission: shop\n[Socket]\nBacklog=1\n")
    assert run_module("host_preflight", arguments)["changed_units"] == ["shop.socket"]
    (tmp_path / "shop.socket").write_text("[Socket]\n")
    assert "shop.socket is there and is not shop's" in run_module("host_preflight", arguments)["msg"]


@pytest.mark.parametrize("root", ["/home/ann/shop", "/root", "/run/user/0/shop", "/tmp/shop", "/srv/../var/tmp/shop"])
def test_preflight_of_a_directory_that_the_sandbox_hides(run_module: RunModule, root: str) -> None:
    assert "they could not start. Choose another place" in run_module("host_preflight", {"root": root})["msg"]


def test_preflight_of_a_directory_that_leads_to_a_hidden_one(
    run_module: RunModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "HIDDEN_DIRECTORIES", (str(tmp_path / "home"),))
    (tmp_path / "shop").symlink_to(tmp_path / "home" / "shop")
    assert f"is below {tmp_path}/home" in run_module("host_preflight", {"root": str(tmp_path / "shop")})["msg"]


@pytest.mark.parametrize("root", ["/srv/shop", "/homestead/shop", "/opt/tmp/shop"])
def test_preflight_of_a_directory_that_the_services_see(run_module: RunModule, root: str) -> None:
    assert "msg" not in run_module("host_preflight", {"root": root})


def test_preflight_of_an_account_that_is_somebody_elses(run_module: RunModule, other_user: str) -> None:
    said = run_module("host_preflight", {"account": {"name": other_user, "home": "/srv/shop"}})["msg"]
    assert said.startswith(f"django_release_user: there is an account '{other_user}' already, with the home ")


def test_preflight_of_a_user_who_is_not_there(run_module: RunModule) -> None:
    result = run_module("host_preflight", {"readable": ["/"], "worker_user": "no-such-user"})
    assert result["msg"].startswith("maintenance_page_worker_user 'no-such-user': there is no such user")


@pytest.fixture
def tls_preflight(run_module: RunModule, other_user: str) -> Callable[..., list[str]]:
    """Run host_preflight for TLS, plain HTTP being on port 1, and give what it says line by line."""

    def run(**tls: Any) -> list[str]:
        arguments = {"listen": ["127.0.0.1:1"], "worker_user": other_user, "tls": {"listen": ["127.0.0.1:2"], **tls}}
        result = run_module("host_preflight", arguments, True)
        assert result == run_module("host_preflight", arguments)
        return str(result.get("msg", "")).splitlines()

    return run


def test_preflight_of_tls(tls_preflight: Callable[..., list[str]], authority: Authority) -> None:
    certificate, key = authority.issue("shop.example")
    assert tls_preflight(certificate=str(certificate), key=str(key)) == []


def test_preflight_of_tls_without_files(tls_preflight: Callable[..., list[str]]) -> None:
    certificate, key = tls_preflight()
    assert certificate.startswith("maintenance_page_tls.certificate is not set. Name the file on the host")
    assert key.startswith("maintenance_page_tls.key is not set. Name the file on the host")


def test_preflight_of_tls_names_the_variable(tls_preflight: Callable[..., list[str]], authority: Authority) -> None:
    (certificate, _), (_, key) = authority.issue("shop.example"), authority.issue("shop.example")
    (said,) = tls_preflight(certificate=str(certificate), key=str(key))
    assert said.startswith(
        f"maintenance_page_tls: the key {key} does not belong to the certificate {certificate}. Set "
    )


@pytest.mark.parametrize(
    ("listen", "fault"),
    [
        (["https"], "maintenance_page_tls.listen 'https': 'https' has no port"),
        ([], "maintenance_page_tls.listen is empty. Name a port"),
        (["127.0.0.1:1"], "maintenance_page_tls.listen: port 1 is in maintenance_page_listen too"),
    ],
)
def test_preflight_of_the_ports_of_tls(
    tls_preflight: Callable[..., list[str]], authority: Authority, listen: list[str], fault: str
) -> None:
    certificate, key = authority.issue("shop.example")
    (said,) = tls_preflight(listen=listen, certificate=str(certificate), key=str(key))
    assert said.startswith(fault)


def test_pages_are_written_to_a_directory_at_once(run_module: RunModule, tmp_path: Path) -> None:
    directory = tmp_path / "preview"
    arguments = {"directory": str(directory), "pages": {"503.en.html": "<p>Soon</p>", "503.txt": "Soon"}}
    assert run_module("page_files", arguments, check=True)["changed"]
    assert not directory.exists()
    assert run_module("page_files", arguments)["changed"]
    assert {path.name: path.read_text() for path in directory.iterdir()} == arguments["pages"]
    assert not run_module("page_files", arguments)["changed"]
    (tmp_path / "file").touch()
    told = run_module("page_files", {**arguments, "directory": str(tmp_path / "file")})
    assert "The pages cannot be written" in told["msg"]
