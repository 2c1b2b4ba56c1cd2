"""The account that a site's own code runs as: never root, so that a package's setup or a project's bug cannot reach further."""

from __future__ import annotations

import os
import pwd
from typing import Any, Optional


def run_as(user: Optional[str]) -> dict[str, Any]:
    """Give the arguments of subprocess.run(3) that make a program run as ``user``; none where no user is named.

    Raises KeyError where there is no such account.
    """
    if not user:
        return {}
    account = pwd.getpwnam(user)
    return {
        "user": account.pw_uid,
        "group": account.pw_gid,
        "extra_groups": os.getgrouplist(user, account.pw_gid),
        "umask": 0o022,
    }


def home(user: Optional[str]) -> dict[str, str]:
    """Give the variables of the environment that name an account; none where no user is named. Raises KeyError."""
    return {"HOME": pwd.getpwnam(user).pw_dir, "USER": user, "LOGNAME": user} if user else {}
