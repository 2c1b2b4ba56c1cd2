"""The account that the site's code runs as."""

from __future__ import annotations

import os
import pwd
import subprocess

import pytest
from ansible_collections.intermission.django.plugins.module_utils.account import home, run_as

ME = pwd.getpwuid(os.getuid())


def test_without_a_user_nothing_is_set() -> None:
    assert (run_as(None), run_as(""), home(None)) == ({}, {}, {})


def test_an_unknown_user_is_an_error() -> None:
    with pytest.raises(KeyError):
        run_as("nobody-has-this-name")


def test_the_account_is_named_in_the_environment() -> None:
    assert home(ME.pw_name) == {"HOME": ME.pw_dir, "USER": ME.pw_name, "LOGNAME": ME.pw_name}


def test_a_program_runs_with_the_accounts_ids_and_a_plain_umask() -> None:
    user = "nobody" if os.getuid() == 0 else ME.pw_name
    said = subprocess.run(
        ["sh", "-c", "id -u; id -g; umask"], capture_output=True, text=True, check=True, **run_as(user)
    )
    account = pwd.getpwnam(user)
    assert said.stdout.split() == [str(account.pw_uid), str(account.pw_gid), "0022"]
    groups = subprocess.run(["id", "-G"], capture_output=True, text=True, check=True, **run_as(user)).stdout.split()
    assert set(groups) == {str(group) for group in os.getgrouplist(user, account.pw_gid)}
