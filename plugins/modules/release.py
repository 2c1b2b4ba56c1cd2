#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: release
short_description: Keep the releases of a site on a web host
version_added: 0.1.0
description:
  - Unpacks releases, gives each a virtualenv, switches C(current) with one rename, and removes old ones; see C(plugins/module_utils/release.py).
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: partial
    description: Shows the directories and the file that O(state=present) makes, without content.
options:
  root:
    description: The site's directory.
    type: path
    required: true
  state:
    description:
      - V(present) makes the site's directories, and the environment file O(environment) with O(content).
      - V(unpacked) unpacks O(archive) as the release O(id), and removes the archive.
      - V(target) tells what the host needs for its virtualenv.
      - V(collectable) dates its files to now, so that C(collectstatic) takes them for new, and what the others have collected for gone.
      - V(installed) gives it its virtualenv, and does what V(collectable) does.
      - V(prepared) notes that it passed its checks, with O(preparation).
      - V(current) points C(current) at it, and C(environment) at O(environment).
      - V(live) notes that it runs and answers.
      - V(pruned) removes all but the newest O(keep) releases, never one that is in use.
      - V(told) only tells.
    type: str
    choices: [present, unpacked, target, collectable, installed, prepared, current, live, pruned, told]
    default: told
  id:
    description: The release.
    type: str
  archive:
    description: The archive on the host, for O(state=unpacked).
    type: path
  version:
    description: What people call the release.
    type: str
    default: ""
  origin:
    description: Where it came from.
    type: str
    default: ""
  requirements:
    description: The requirements file, relative to the release.
    type: str
    default: requirements.txt
  python:
    description: The Python that makes virtualenvs.
    type: str
    default: python3
  extra_packages:
    description: Packages that are installed beside the requirements.
    type: list
    elements: str
    default: []
  wheelhouse:
    description: A tar of wheels on the host, for O(state=installed). The virtualenv is then built from nothing else, and the tar is removed.
    type: path
  preparation:
    description: Digest of all that the release was made ready with, for O(state=prepared).
    type: str
    default: ""
  environment:
    description: Digest in the name of the environment file C(environments/<digest>).
    type: str
    default: ""
  directories:
    description: Directories that the site's code may write to, for O(state=present). Those that are there are left as they are.
    type: list
    elements: path
    default: []
  content:
    description: The content of the environment file, for O(state=present).
    type: str
    default: ""
  keep:
    description: How many releases to keep.
    type: int
    default: 5
  former:
    description:
      - With O(state=live), the C(release) and the C(environment) that a rollback goes to from here; empty after a rollback, which has none.
      - Where it is not given, what was live before.
    type: dict
  user:
    description: The account that the site's code runs as; this one where it is not named.
    type: str
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Which release is live?
  intermission.django.release:
    root: /srv/shop
"""

RETURN = r"""
known:
  description: What is known of the release O(id); empty where it is not there.
  returned: always
  type: dict
runnable:
  description: Whether the release O(id) has an interpreter to be asked with.
  returned: always
  type: bool
current:
  description: The release that C(current) points to.
  returned: always
  type: str
live:
  description: What was last activated and answered.
  returned: always
  type: dict
versions:
  description: The names of the live release's version and of the former one's, by their ids, as far as they are there.
  returned: always
  type: dict
closed_by_setting:
  description: Whether C(MAINTENANCE_MODE) is on for the app, in the file of its own that the role writes.
  returned: always
  type: bool
closing_by_setting:
  description: Whether that was switched on there, and the app has not been restarted since, as far as was noted.
  returned: always
  type: bool
removed:
  description: Releases that were removed.
  returned: with O(state=pruned)
  type: list
  elements: str
virtualenv:
  description: Whether the virtualenv that the release needs is there already.
  returned: with O(state=target)
  type: bool
target:
  description: Which wheels the host can use, as the module M(intermission.django.wheelhouse) takes it.
  returned: with O(state=target)
  type: dict
"""

import contextlib
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.places import PlaceError
from ansible_collections.intermission.django.plugins.module_utils.release import (
    ReleaseError,
    Releases,
    target_of,
)
from ansible_collections.intermission.django.plugins.module_utils.setting import EnvironmentSetting

STATES = ["present", "unpacked", "target", "collectable", "installed", "prepared", "current", "live", "pruned", "told"]
LOCKING = ("unpacked", "collectable", "installed", "prepared", "current", "live", "pruned")
ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "root": {"type": "path", "required": True},
        "state": {"type": "str", "choices": STATES, "default": "told"},
        "id": {"type": "str"},
        "archive": {"type": "path"},
        "version": {"type": "str", "default": ""},
        "origin": {"type": "str", "default": ""},
        "requirements": {"type": "str", "default": "requirements.txt"},
        "python": {"type": "str", "default": "python3"},
        "extra_packages": {"type": "list", "elements": "str", "default": []},
        "user": {"type": "str"},
        "wheelhouse": {"type": "path"},
        "preparation": {"type": "str", "default": ""},
        "environment": {"type": "str", "default": ""},
        "directories": {"type": "list", "elements": "path", "default": []},
        "content": {"type": "str", "default": "", "no_log": True},
        "keep": {"type": "int", "default": 5},
        "former": {"type": "dict"},
    },
    "required_if": [
        ("state", "unpacked", ("id", "archive")),
        *(("state", state, ("id",)) for state in ("target", "collectable", "installed", "prepared", "current", "live")),
    ],
    "supports_check_mode": True,
}


def apply(releases: Releases, params: dict[str, Any]) -> tuple[bool, list[str]]:
    """Bring the release to the wanted state; gives whether anything changed, and what was removed."""
    state, release, environment = params["state"], params["id"], params["environment"]
    if state == "unpacked":
        return releases.unpack(Path(params["archive"]), release, params["version"], params["origin"]), []
    if state == "installed":
        needs = (params["requirements"], params["python"], params["extra_packages"])
        wheelhouse = Path(params["wheelhouse"]) if params["wheelhouse"] else None
        built = releases.build_virtualenv(release, *needs, params["user"], wheelhouse)
        releases.make_collectable(release)
        return built, []
    if state == "collectable":
        releases.make_collectable(release)
        releases.compile(release, str(releases.path(release) / ".venv/bin/python"))
        return True, []
    if state == "prepared":
        releases.compile(release, params["python"])
        return releases.mark_prepared(release, params["preparation"]), []
    if state == "current":
        return releases.activate(release, environment), []
    if state == "live":
        return releases.record_live(release, environment, params["former"]), []
    removed = releases.prune(params["keep"]) if state == "pruned" else []
    return bool(removed), removed


def needs_of(releases: Releases, params: dict[str, Any]) -> dict[str, Any]:
    """Tell whether a release's virtualenv is there, and which wheels it would be made of."""
    needs = (params["requirements"], params["python"], params["extra_packages"])
    unpacked = bool(releases.describe(params["id"]))
    built = unpacked and releases.is_built(releases.virtualenv_key(params["id"], *needs))
    return {"virtualenv": built, "target": target_of(params["python"])}


def would_change(releases: Releases, params: dict[str, Any]) -> bool:
    """Tell whether the release is not in the wanted state yet."""
    wanted = (params["id"], params["environment"])
    known = releases.describe(params["id"]) if params["id"] else {}
    live = releases.live()
    if params["state"] == "installed":
        needs = (params["requirements"], params["python"], params["extra_packages"])
        return not known or not releases.has_virtualenv(params["id"], *needs)
    if params["state"] == "pruned":
        return bool(releases.superfluous(params["keep"]))
    changed = {
        "unpacked": not known,
        "collectable": True,
        "prepared": known.get("prepared") != params["preparation"],
        "current": not releases.is_current(*wanted),
        "live": (live.get("release"), live.get("environment")) != wanted,
    }
    return bool(changed.get(params["state"], False))


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    releases = Releases(params["root"])
    removed: list[str] = []
    made: list[str] = []
    try:
        if params["state"] == "present":
            wanted = (params["directories"], params["environment"], params["content"], params["user"])
            made = releases.missing(*wanted) if module.check_mode else releases.make(*wanted)
            changed = bool(made)
        elif module.check_mode:
            changed = would_change(releases, params)
        else:
            with releases.locked() if params["state"] in LOCKING else contextlib.nullcontext():
                changed, removed = apply(releases, params)
        setting = EnvironmentSetting(releases.setting_file)
        closed_by_setting = setting.is_on()
        closing_by_setting = closed_by_setting and not setting.is_applied()
        needed = needs_of(releases, params) if params["state"] == "target" else {}
    except (ReleaseError, PlaceError, OSError, KeyError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        known=releases.describe(params["id"]) if params["id"] else {},
        runnable=bool(params["id"]) and releases.is_runnable(params["id"]),
        diff={"before": "", "after": "".join(f"{path}\n" for path in made)},
        current=releases.current_id(),
        live=releases.live(),
        versions=releases.versions(),
        closed_by_setting=closed_by_setting,
        closing_by_setting=closing_by_setting,
        removed=removed,
        **needed,
    )


if __name__ == "__main__":
    main()
