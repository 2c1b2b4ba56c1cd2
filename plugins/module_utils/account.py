"""The account that a site's own code runs as: never root, so that a package's setup or a project's bug cannot reach further."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any, Optional


def run_as(user: Optional[str]) -> dict[str, Any]:
    """Give the arguments of subprocess.run(3) that make a program run as ``user``; none where no user is named.

    It has no terminal, into which it could type for who deploys (TIOCSTI). Raises KeyError where there is no such account.
    """
    if not user:
        return {}
    account = pwd.getpwnam(user)
    return {
        "user": account.pw_uid,
        "group": account.pw_gid,
        "extra_groups": os.getgrouplist(user, account.pw_gid),
        "umask": 0o022,
        "start_new_session": True,
    }


def home(user: Optional[str], directory: Optional[str] = None) -> dict[str, str]:
    """Give the variables of the environment that name an account; none where no user is named. Raises KeyError.

    The home is the account's own unless another is given. Python runs nothing that the account has left there.
    """
    if not user:
        return {}
    return {"HOME": directory or pwd.getpwnam(user).pw_dir, "USER": user, "LOGNAME": user, "PYTHONNOUSERSITE": "1"}


@contextlib.contextmanager
def fresh_home(user: Optional[str]) -> Iterator[dict[str, str]]:
    """Give the variables of an account with an empty home, which goes with the block; none where no user is named.

    What the site has left in its account's home, such as settings of pip, then counts for nothing. Raises KeyError and
    OSError.
    """
    account = run_as(user)
    if not account:
        yield {}
        return
    directory = tempfile.mkdtemp(prefix="intermission-")
    try:
        os.chown(directory, account["user"], account["group"])
        yield home(user, directory)
    finally:
        # Not TemporaryDirectory, which follows the account's symlinks where it is refused something (CVE-2023-6597)
        shutil.rmtree(directory, ignore_errors=True)
