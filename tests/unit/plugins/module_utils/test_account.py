"""The account that the site's code runs as."""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

import pytest
from ansible_collections.intermission.django.plugins.module_utils.account import fresh_home, home, run_as

ME = pwd.getpwuid(os.getuid())


def test_without_a_user_nothing_is_set() -> None:
    assert (run_as(None), run_as(""), home(None)) == ({}, {}, {})
    with fresh_home(None) as variables:
        assert variables == {}


def test_an_unknown_user_is_an_error() -> None:
    with pytest.raises(KeyError):
        run_as("nobody-has-this-name")


def test_the_account_is_named_in_the_environment() -> None:
    names = {"USER": ME.pw_name, "LOGNAME": ME.pw_name, "PYTHONNOUSERSITE": "1"}
    assert home(ME.pw_name) == {"HOME": ME.pw_dir, **names}
    with fresh_home(ME.pw_name) as variables:
        place = Path(variables["HOME"])
        assert variables == {"HOME": str(place), **names}
        assert (list(place.iterdir()), place.stat().st_uid, place.stat().st_mode & 0o777) == ([], ME.pw_uid, 0o700)
        (place / "left").mkdir()
    assert not place.exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run Python as another account")
def test_python_runs_nothing_from_the_accounts_home(public_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sandbox of the app lets it write to its home, and a deploy runs without that sandbox."""
    nobody = pwd.getpwnam("nobody")
    monkeypatch.setattr(pwd, "getpwnam", lambda name: pwd.struct_passwd([*nobody[:5], str(public_path), nobody[6]]))
    python = ["/usr/bin/python3", "-c"]
    site = subprocess.run(
        [*python, "import site; print(site.getusersitepackages())"],
        env={"HOME": str(public_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    Path(site.strip()).mkdir(parents=True)
    Path(site.strip(), "usercustomize.py").write_text("print('left by the app')\n")
    for variables in ({"HOME": str(public_path)}, home("nobody")):
        said = subprocess.run(
            [*python, ""], env=variables, capture_output=True, text=True, check=True, **run_as("nobody")
        )
        assert said.stdout == ("" if "USER" in variables else "left by the app\n")


def test_a_program_runs_with_the_accounts_ids_a_plain_umask_and_no_terminal() -> None:
    user = "nobody" if os.getuid() == 0 else ME.pw_name
    said = subprocess.run(
        ["sh", "-c", "id -u; id -g; umask; cut -d ' ' -f 6 /proc/$$/stat; echo $$"],
        capture_output=True,
        text=True,
        check=True,
        **run_as(user),
    )
    account = pwd.getpwnam(user)
    *ids, session, process = said.stdout.split()
    assert ids == [str(account.pw_uid), str(account.pw_gid), "0022"]
    assert session == process
    groups = subprocess.run(["id", "-G"], capture_output=True, text=True, check=True, **run_as(user)).stdout.split()
    assert set(groups) == {str(group) for group in os.getgrouplist(user, account.pw_gid)}
