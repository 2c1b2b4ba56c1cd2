#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: maintenance_window
short_description: Open, close or read the maintenance of a site on a host
version_added: 0.1.0
description:
  - Opens a window with one C(rename(2)) of a prepared symlink onto the flag C(<state_root>/<site>/on), and closes it with one C(unlink(2)).
  - Needs no reload of Nginx and no root, only write access to the state directory.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: partial
    description: Shows from which O(share) to which, and nothing else.
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
    description:
      - Whether a window is to be open, closed, or only told about; V(present) makes the state directory.
      - V(progressing) lets the pages of a deploy's window say how far it is.
      - V(absent) removes it, and O(state_root) where nothing else is in it, and fails while the site is closed or a deploy is under way.
    type: str
    choices: [open, closed, progressing, present, absent, told]
    default: told
  setting:
    description: The environment file in which the site has its own C(MAINTENANCE_MODE), to tell what it says too.
    type: path
  releases:
    description: The directory below which P(intermission.django.django_release#role) has the site's releases, to tell which one is live too.
    type: path
  group:
    description:
      - With O(state=present), the group whose members may open and close windows without root. Only root can give the directory to it.
      - Directories and files that are there already are brought to the owner and modes that this needs.
    type: str
  id:
    description:
      - Id of the window, required with O(state=open).
      - With O(state=closed), the flag is taken away only while it stands for this window; any window where it is left out.
    type: str
  of_deploy:
    description:
      - With O(state=closed), the flag is taken away only while it stands for a window of a deploy's, whichever it is, and only by the run
        that holds the deploy lock.
    type: bool
    default: false
  holder:
    description: With O(of_deploy), the run that does this; set by the action plugin.
    type: dict
    default: {}
  force:
    description: With O(state=closed), take a window away also while its job runs, and without O(id) a deploy's too.
    type: bool
    default: false
  share:
    description:
      - With O(state=closed), how many visitors in a hundred are let in. With less than V(100) the window stays open, and lets pass so many of
        them, by their address. The same ones with the same share, and with a larger one these and others.
      - Fails where no window is open, where it is a deploy's or lets visitors pass already, and where more are to be let in while a deploy or a
        window's job needs it.
    type: int
    choices: [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    default: 100
  tmpfiles:
    description:
      - A file of tmpfiles.d(5) that brings the directories back at each boot, for O(group).
      - Written with O(state=present) and removed with O(state=absent).
    type: path
  start:
    description: Start of the window, ISO 8601 with a zone. Required with O(state=open).
    type: str
  end:
    description: End of the window, ISO 8601 with a zone; left out where it is not known.
    type: str
  expires:
    description: With O(state=open), let the window close by itself at its O(end), which the host's timer does.
    type: bool
    default: false
  reason:
    description: Why, shown to visitors and kept in the journal.
    type: str
    default: ""
  visitor_message:
    description: What else visitors are to read.
    type: str
    default: ""
  layer:
    description:
      - Which part answers during the window. With V(django) Nginx lets all requests pass, and the app answers those that it does not let pass.
    type: str
    choices: [nginx, django]
    default: nginx
  read_only:
    description: With O(state=open), let GET and HEAD go on to the app.
    type: bool
    default: false
  secret:
    description:
      - With O(state=open), 43 letters, digits, V(-) and V(_) that let pass who shows them, in a cookie or in the header C(X-Intermission-Pass).
      - Where it is left out, a window that takes the place of another keeps that one's.
    type: str
  hooks:
    description:
      - Directory of the hooks that are run before and after a window is opened or closed. Left out, none are run.
      - Where one fails before a window is opened that is not a deploy's, the window is not opened. All others that fail are warned of.
    type: path
  progress:
    description: With O(state=progressing), what visitors read, for instance V(1 / 3).
    type: str
    default: ""
  by:
    description: Who does this, for the journal. The action plugin names the user who runs Ansible.
    type: str
    default: unknown
  from:
    description: From where, for the journal. The action plugin names the host on which Ansible runs.
    type: str
    default: unknown
  options:
    description:
      - More of these options, in one mapping. What stands beside it goes before what is in it. With an empty one the task is skipped, for
        less than a condition costs.
      - A task compiles each template that it has anew for each host. Over many hosts one is cheaper than one for each option.
    type: dict
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Close the shop to visitors until two o'clock
  intermission.django.maintenance_window:
    site: shop
    state: open
    id: disk-change
    start: 2026-12-01T01:30:00Z
    end: 2026-12-01T02:00:00Z
    reason: A disk is changed
"""

RETURN = r"""
status:
  description: What the flag says now (in check mode, what it said before).
  returned: always
  type: dict
journal:
  description: The last entries of the journal, oldest first.
  returned: with O(state=told)
  type: list
  elements: dict
unfinished_deploy:
  description: The record of a deploy that is under way or has died, or none.
  returned: with O(state=told)
  type: dict
left_behind:
  description: The site's web hosts that were gone, and have not come along with its last deploy, as this host knows it.
  returned: with O(state=told)
  type: list
  elements: str
pages:
  description: The directory of the pages that visitors get where no window has its own.
  returned: with O(state=told)
  type: str
announced:
  description: The scheduled windows that are still to come, the next one first.
  returned: with O(state=told)
  type: list
  elements: dict
job:
  description:
    - What has become of the job of the window that keeps visitors out. C(state) is V(waits), V(runs), V(done), V(failed) or V(interrupted),
      C(failed) is true with the last two. With C(fault) and the last lines of its C(output); C(window), C(command), C(since). None where
      there is no job.
  returned: with O(state=told)
  type: dict
live:
  description:
    - C(release), the release that was last started here and has answered, C(version), what its operator calls it, and C(since), when
      that was (ISO 8601); each is none where it is not known.
  returned: with O(releases)
  type: dict
setting:
  description: What C(MAINTENANCE_MODE) says in that file, and whether the app has taken it up.
  returned: with O(setting)
  type: dict
  contains:
    "on":
      description: Whether it closes the site.
      type: bool
    applied:
      description: Whether the app has been restarted since.
      type: bool
others:
  description: The other sites that the host has.
  returned: with O(state=absent)
  type: list
  elements: str
"""

import grp
from pathlib import Path
from typing import Any, Optional

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.deploy import DeployRecord
from ansible_collections.intermission.django.plugins.module_utils.files import write_file
from ansible_collections.intermission.django.plugins.module_utils.hooks import (
    HookError,
    Hooks,
    close_window,
    open_window,
)
from ansible_collections.intermission.django.plugins.module_utils.schedule import Schedule
from ansible_collections.intermission.django.plugins.module_utils.setting import EnvironmentSetting
from ansible_collections.intermission.django.plugins.module_utils.share import ALL, SHARES, let_in, would_let_in
from ansible_collections.intermission.django.plugins.module_utils.state import (
    LAYERS,
    HeldError,
    StateDirectory,
    StateError,
    Window,
    digest_of,
    is_of_deploy,
    known_sites,
)
from ansible_collections.intermission.django.plugins.module_utils.terminal import printable

OF_NO_WINDOW = "deploy-"  # A deploy's own has a name behind it

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "state_root": {"type": "path", "default": "/var/lib/intermission"},
        "site": {"type": "str", "required": True},
        "state": {
            "type": "str",
            "choices": ["open", "closed", "progressing", "present", "absent", "told"],
            "default": "told",
        },
        "setting": {"type": "path"},
        "releases": {"type": "path"},
        "group": {"type": "str"},
        "tmpfiles": {"type": "path"},
        "of_deploy": {"type": "bool", "default": False},
        "holder": {"type": "dict", "default": {}},
        "force": {"type": "bool", "default": False},
        "share": {"type": "int", "choices": list(SHARES), "default": ALL},
        "id": {"type": "str"},
        "start": {"type": "str"},
        "end": {"type": "str"},
        "expires": {"type": "bool", "default": False},
        "reason": {"type": "str", "default": ""},
        "visitor_message": {"type": "str", "default": ""},
        "layer": {"type": "str", "choices": list(LAYERS), "default": "nginx"},
        "read_only": {"type": "bool", "default": False},
        "secret": {"type": "str", "no_log": True},
        "hooks": {"type": "path"},
        "progress": {"type": "str", "default": ""},
        "by": {"type": "str", "default": "unknown"},
        "from": {"type": "str", "default": "unknown"},
        "options": {"type": "dict"},
    },
    "required_if": [("state", "open", ("id", "start"))],
    "supports_check_mode": True,
}

SHOWN_ENTRIES = 5
TMPFILES_MODE = 0o644


def wanted_window(params: dict[str, Any]) -> Window:
    """Make the window that the options describe."""
    return Window(
        id=params["id"],
        site=params["site"],
        start=params["start"],
        end=params["end"] or None,
        expires=params["expires"],
        reason=params["reason"],
        message=params["visitor_message"],
        opened_by=params["by"],
        layer=params["layer"],
        read_only=params["read_only"],
        bypass_digest=digest_of(params["secret"]) if params["secret"] else None,
    )


def group_id(name: str) -> Optional[int]:
    """Find a group's number; None where there is no such group."""
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def tmpfiles_differ(path: Path, content: str) -> bool:
    """Tell whether a file has another content or mode."""
    try:
        return (path.read_text(encoding="utf-8"), path.stat().st_mode & 0o7777) != (content, TMPFILES_MODE)
    except (FileNotFoundError, UnicodeDecodeError):
        return True


def present_would_change(directory: StateDirectory, group: Optional[str], tmpfiles: Optional[str]) -> bool:
    """Tell whether directories are missing, or not yet the group's, or would not be back after a boot."""
    if directory.missing() or (tmpfiles and tmpfiles_differ(Path(tmpfiles), directory.tmpfiles(group or "root"))):
        return True
    if not group:
        return False
    number = group_id(group)
    return number is None or directory.hand_over(number, only_tell=True)


def make_present(directory: StateDirectory, group: Optional[str], tmpfiles: Optional[str]) -> None:
    """Make the directories, give them to the group, and let each boot do so too. Raises StateError."""
    number = group_id(group) if group else None
    if group and number is None:
        raise StateError(
            f"there is no group '{group}' on this host: make it first, or name another with intermission_group"
        )
    directory.make()
    if number is not None:
        directory.hand_over(number)
    if tmpfiles:
        write_file(Path(tmpfiles), directory.tmpfiles(group or "root").encode(), TMPFILES_MODE)


def would_change(directory: StateDirectory, params: dict[str, Any]) -> bool:
    """Tell whether the state is another than the wanted one."""
    if params["state"] == "open":
        return not directory.in_force(wanted_window(params))
    if params["state"] == "present":
        return present_would_change(directory, params["group"], params["tmpfiles"])
    if params["state"] == "absent":
        return directory.removable() or bool(params["tmpfiles"] and Path(params["tmpfiles"]).exists())
    if params["state"] == "progressing":
        current = directory.current_window()
        return current is not None and current.deploys and current.progress != params["progress"]
    if params["state"] == "closed" and params["share"] != ALL:
        return would_let_in(directory, params["share"])
    return params["state"] == "closed" and directory.closable(only_that(directory, params), params["force"])


def only_that(directory: StateDirectory, params: dict[str, Any]) -> Optional[str]:
    """Give the id of the window that may be taken away, None for any."""
    if not params["of_deploy"]:
        return params["id"]  # type: ignore[no-any-return]
    flagged = directory.flagged_id()
    return flagged if is_of_deploy(flagged) else OF_NO_WINDOW


def told(directory: StateDirectory) -> dict[str, Any]:
    """Give what is known of the site beside what the flag says; raises StateError and OSError."""
    deploy, schedule = DeployRecord(directory), Schedule(directory)
    return {
        "journal": directory.journal(SHOWN_ENTRIES),
        "unfinished_deploy": deploy.read(),
        "failed_deploy": deploy.failed(),
        "left_behind": deploy.left_behind(),
        "pages": str(directory.pages),
        "announced": schedule.announced(),
        "job": schedule.told_job(),
    }


def live(root: str) -> dict[str, Any]:
    """Tell which release below a directory was last started and has answered. A flip does not pay for what is imported for it."""
    from ansible_collections.intermission.django.plugins.module_utils.release import Releases

    releases = Releases(root)
    noted = releases.live()
    release = noted.get("release")
    version = releases.describe(release).get("version") if isinstance(release, str) else None
    return {"release": release, "version": version or None, "since": noted.get("since")}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    directory = StateDirectory(params["state_root"], params["site"])
    hooks = Hooks(params["hooks"], directory)
    faults: list[str] = []
    try:
        if params["of_deploy"] and not module.check_mode:
            DeployRecord(directory).see_held(params["holder"])
        shares = params["state"] == "closed" and params["share"] != ALL
        before = directory.status()["share"] if shares else None
        changed = would_change(directory, params)
        if changed and not module.check_mode:
            if params["state"] == "present":
                make_present(directory, params["group"], params["tmpfiles"])
            elif params["state"] == "absent":
                directory.remove()
                if params["tmpfiles"]:
                    Path(params["tmpfiles"]).unlink(missing_ok=True)
            elif params["state"] == "progressing":
                changed = directory.tell_progress(params["progress"])
            elif params["state"] == "open":
                window, secret = wanted_window(params), params["secret"]
                changed, faults = open_window(directory, hooks, window, params["by"], params["from"], secret)
            elif shares:
                changed = let_in(directory, params["share"], params["by"], params["from"])
            else:
                changed, faults = close_window(
                    directory, hooks, params["by"], params["from"], only_that(directory, params), params["force"]
                )
        said: dict[str, Any] = {"status": directory.status()}
        if params["state"] == "told":
            said.update(told(directory))
        if changed and shares:
            said["diff"] = {"before": f"share: {before}\n", "after": f"share: {params['share']}\n"}
        if params["setting"]:
            setting = EnvironmentSetting(Path(params["setting"]))
            said["setting"] = {"on": setting.is_on(), "applied": setting.is_applied()}
        if params["releases"]:
            said["live"] = live(params["releases"])
        if params["state"] == "absent":
            said["others"] = [name for name in known_sites(params["state_root"]) if name != params["site"]]
        if faults:
            said["warnings"] = [printable(fault) for fault in faults]
        module.exit_json(changed=changed, **said)
    except HeldError as error:
        module.fail_json(msg=printable(f"{error} -e maintenance_window_force=true"))
    except HookError as error:
        module.fail_json(msg=printable(f"{error}: -e maintenance_window_hooks_directory="))
    except (StateError, OSError) as error:
        module.fail_json(msg=printable(str(error)))


if __name__ == "__main__":
    main()
