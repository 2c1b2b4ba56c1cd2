#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: deploy_record
short_description: Hold the deploy lock of a site on a host, and note the phases of the deploy
version_added: 0.1.0
description:
  - The record is the lock. It names the run that holds it and the phase that it is in.
  - Where the run that holds it was started on this controller and has died, the lock is taken over.
  - Requests that a run has let wait, which has died since, get the page as soon as the lock is another's.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  state_root:
    description: Directory that holds the state directories of all sites on the host.
    type: path
    default: /var/lib/intermission
  site:
    description: The site's name.
    type: str
    required: true

  state:
    description: Begin a deploy, note its phase, end it, or only tell.
    type: str
    choices: [begun, phase, ended, told]
    default: told
  phase:
    description: The phase, with O(state=phase).
    type: str
  details:
    description: What is known when the phase begins, with O(state=phase), for the journal.
    type: dict
    default: {}
  release:
    description: The release that is deployed.
    type: str
    default: ""
  version:
    description: The version that the operator calls it, for those who look at an unfinished deploy.
    type: str
    default: ""
  outcome:
    description: How the deploy ended, with O(state=ended).
    type: str
    default: ""
  overtaken:
    description:
      - With O(state=phase), that the site's other web hosts have been deployed to while this one was gone. The way back that it may know of
        leads to before that, and is forgotten.
    type: bool
    default: false
  settled:
    description: With O(state=ended), whether the site is whole, so that nobody has to take back what the deploy has migrated.
    type: bool
    default: true
  left_behind:
    description:
      - With O(state=ended), the site's web hosts that were gone and have not come along.
      - With O(state=begun), those that are gone, beside those of before.
    type: list
    elements: str
    default: []
  take_over:
    description: Take the lock over from another run, deliberately.
    type: bool
    default: false
  lets_wait:
    description: With O(state=told), whether requests that this run has let wait go on to wait; else they get the page.
    type: bool
    default: true
  holder:
    description: The run that does this; set by the action plugin.
    type: dict
    default: {}
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Take the deploy lock
  intermission.django.deploy_record:
    site: shop
    state: begun
    release: 1a2b3c4d5e6f
"""

RETURN = r"""
ours:
  description: Whether this run holds the deploy lock.
  returned: always
  type: bool
phase:
  description: The phase that the deploy is in now.
  returned: with O(state=begun) and O(state=phase)
  type: str
status:
  description: What the site's flag says, as the module M(intermission.django.maintenance_window) tells it.
  returned: always
  type: dict
summary:
  description: The deploy summed up, with C(seconds), C(phases), C(closed_seconds) and C(outcome); none where it was not this run's to end.
  returned: with O(state=ended)
  type: dict
left_behind:
  description: The site's web hosts that were gone, and have not come along with its last deploy.
  returned: always
  type: list
  elements: str
held_by:
  description: The record of an unfinished deploy, or none.
  returned: always
  type: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.deploy import LOOKED_THROUGH, DeployRecord, summary
from ansible_collections.intermission.django.plugins.module_utils.hold import Hold
from ansible_collections.intermission.django.plugins.module_utils.standby import dismiss, standby_of
from ansible_collections.intermission.django.plugins.module_utils.state import (
    StateDirectory,
    StateError,
)
from ansible_collections.intermission.django.plugins.module_utils.terminal import printable

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "state_root": {"type": "path", "default": "/var/lib/intermission"},
        "site": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["begun", "phase", "ended", "told"], "default": "told"},
        "phase": {"type": "str"},
        "details": {"type": "dict", "default": {}},
        "release": {"type": "str", "default": ""},
        "version": {"type": "str", "default": ""},
        "outcome": {"type": "str", "default": ""},
        "overtaken": {"type": "bool", "default": False},
        "settled": {"type": "bool", "default": True},
        "left_behind": {"type": "list", "elements": "str", "default": []},
        "take_over": {"type": "bool", "default": False},
        "lets_wait": {"type": "bool", "default": True},
        "holder": {"type": "dict", "default": {}},
    },
    "required_if": [("state", "phase", ("phase",))],
    "supports_check_mode": True,
}


def refusal(site: str, record: dict[str, Any]) -> str:
    """Say who holds the lock and what to do about it; the record may be written by a group, and Ansible prints this as it is."""
    holder = record["holder"]
    return printable(
        f"{holder.get('user', 'somebody')} on {holder.get('host', 'an unknown controller')} is deploying {site} since "
        f"{record.get('since')} (phase {record.get('phase')}, process {holder.get('pid')}). Wait for it to end; or, where you "
        "know that it has died, take it over: -e django_release_take_over=true"
    )


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    directory = StateDirectory(params["state_root"], params["site"])
    record = DeployRecord(directory)
    holder = params["holder"]
    summed = None
    try:
        if params["state"] == "begun" and not module.check_mode:
            other = record.begin(
                holder, params["release"], params["take_over"], params["version"], params["left_behind"]
            )
            if other is not None:
                module.fail_json(msg=refusal(params["site"], other), held_by=other)
            Hold(directory).pass_over()
        elif params["state"] == "phase" and not module.check_mode:
            record.enter(params["phase"], holder, params["details"], params["overtaken"])
        elif params["state"] == "ended" and not module.check_mode:
            was_ours = record.end(params["outcome"], holder, params["settled"], params["left_behind"])
            summed = summary(directory.journal(LOOKED_THROUGH)) if was_ours else None
            if was_ours:
                dismiss(standby_of(directory.migration_file))
        elif not params["lets_wait"] and record.held(holder) and not module.check_mode:
            Hold(directory).pass_over()
        phase = "prepare" if params["state"] == "begun" else params["phase"]
        module.exit_json(
            held_by=record.read(),
            left_behind=record.left_behind(),
            ours=record.held(holder),
            phase=phase,
            status=directory.status(),
            summary=summed,
        )
    except (StateError, OSError) as error:
        module.fail_json(msg=printable(str(error)))


if __name__ == "__main__":
    main()
