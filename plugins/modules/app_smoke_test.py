#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: app_smoke_test
short_description: Ask the app itself, past Nginx, whether it works
version_added: 0.1.0
description:
  - Asks for URLs over the app's unix socket, until each has the expected status or the time is over. Changes nothing.
  - With O(trial), a release is started on a socket of its own for that, beside the live one, and ended afterwards.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  socket:
    description: The app's unix socket. Either this or O(trial) is required.
    type: path
  trial:
    description: The release to start. Its server gets the socket as systemd gives it, see sd_listen_fds(3).
    type: dict
    suboptions:
      command:
        description: The app server's command; a program without a directory is one of O(trial.programs).
        type: str
        required: true
      programs:
        description: Directory of the release's programs.
        type: path
        required: true
      project:
        description: Directory to start it in.
        type: path
        required: true
      environment_file:
        description: The environment file that it runs with.
        type: path
        required: true
      service_extra:
        description: Lines of the service's section C([Service]), of which C(Environment=) counts here.
        type: str
        default: ""
      user:
        description: The account that it runs as; this one where it is not named.
        type: str
  host:
    description: The C(Host) header.
    type: str
    required: true
  scheme:
    description: How visitors reach the app; it is told as Nginx tells it, in C(X-Forwarded-Proto).
    type: str
    choices: [http, https]
    default: http
  checks:
    description: What to ask for.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path and query.
        type: str
        required: true
      status:
        description: The expected status.
        type: int
        default: 200
      contains:
        description: Text that the body must have.
        type: str
        default: ""
  seconds:
    description: How long to keep asking, in seconds.
    type: float
    default: 30
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: The front page works
  intermission.django.app_smoke_test:
    socket: /run/shop/app.sock
    host: shop.example.com
    checks:
      - path: /
"""

RETURN = r"""
{}
"""

import contextlib
import time
from collections.abc import Iterator
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.account import run_as
from ansible_collections.intermission.django.plugins.module_utils.environment import load_file
from ansible_collections.intermission.django.plugins.module_utils.migrations import process_environment
from ansible_collections.intermission.django.plugins.module_utils.proof import (
    POLL_SECONDS,
    ask,
    is_by_the_app,
)
from ansible_collections.intermission.django.plugins.module_utils.trial import (
    Server,
    TrialError,
    expanded,
    program,
    serving,
    settings,
)

CHECK_SPEC = {
    "path": {"type": "str", "required": True},
    "status": {"type": "int", "default": 200},
    "contains": {"type": "str", "default": ""},
}
TRIAL_SPEC = {
    "command": {"type": "str", "required": True},
    "programs": {"type": "path", "required": True},
    "project": {"type": "path", "required": True},
    "environment_file": {"type": "path", "required": True},
    "service_extra": {"type": "str", "default": ""},
    "user": {"type": "str"},
}
ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "socket": {"type": "path"},
        "trial": {"type": "dict", "options": TRIAL_SPEC},
        "host": {"type": "str", "required": True},
        "scheme": {"type": "str", "choices": ["http", "https"], "default": "http"},
        "checks": {"type": "list", "elements": "dict", "required": True, "options": CHECK_SPEC},
        "seconds": {"type": "float", "default": 30},
    },
    "required_one_of": [("socket", "trial")],
    "mutually_exclusive": [("socket", "trial")],
    "supports_check_mode": True,
}


def fault(params: dict[str, Any], socket: str, check: dict[str, Any]) -> str:
    """Say what is wrong with the answer to one check, nothing where it is right, or where the app runs and closes the site itself."""
    answer = ask(f"{params['scheme']}://app{check['path']}", params["host"], unix_socket=socket)
    if is_by_the_app(answer):
        return ""
    if answer.status != check["status"]:
        return f"{check['path']}: {answer.error or answer.status}, expected {check['status']}"
    if check["contains"].encode() not in answer.body:
        return f"{check['path']}: the answer does not contain '{check['contains']}'"
    return ""


@contextlib.contextmanager
def on_trial(trial: dict[str, Any]) -> Iterator[Server]:
    """Start the release for as long as the block lasts."""
    own = {"PATH": f"{trial['programs']}:/usr/local/bin:/usr/bin:/bin", **settings(trial["service_extra"])}
    environment = {**process_environment(None, trial["user"]), **own, **load_file(trial["environment_file"])}
    environment.pop("MAINTENANCE_STATE_DIRECTORY", None)  # A flag that closes the app would hide whether it works
    command = expanded(program(trial["command"], trial["programs"]), environment)
    with serving(command, trial["project"], environment, run_as(trial["user"])) as server:
        yield server


def ask_all(params: dict[str, Any], socket: str, server: Optional[Server]) -> str:
    """Ask until all answers are right, which gives nothing, or the time is over, which gives what was wrong last."""
    deadline = time.monotonic() + params["seconds"]
    left = params["checks"]
    while True:
        if server:
            server.check()
        faults = [(check, said) for check in left if (said := fault(params, socket, check))]
        if not faults:
            return ""
        if time.monotonic() >= deadline:
            return "; ".join(said for _check, said in faults)
        left = [check for check, _said in faults]
        time.sleep(POLL_SECONDS)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    try:
        if params["trial"]:
            with on_trial(params["trial"]) as server:
                wrong = ask_all(params, server.path, server)
        else:
            wrong = ask_all(params, params["socket"], None)
    except (TrialError, OSError, ValueError, KeyError) as error:
        module.fail_json(msg=str(error))
    if wrong:
        module.fail_json(msg=f"the app fails its smoke test: {wrong}")
    module.exit_json()


if __name__ == "__main__":
    main()
