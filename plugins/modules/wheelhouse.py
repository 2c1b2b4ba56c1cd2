#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: wheelhouse
short_description: Make all wheels that a release needs on a kind of host
version_added: 0.1.0
description:
  - Downloads the wheels of a release's requirements for another Python and platform, as one tar. Run it delegated to localhost.
  - Made once for each set of requirements and each target, and kept; those used last stay. The pip settings of the user who runs it count.
attributes:
  check_mode:
    support: full
    description: Makes the wheelhouse in check mode too, so that a missing wheel is told; no host is changed by it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  archive:
    description: The release's archive, as the module M(intermission.django.source_archive) makes it.
    type: path
    required: true
  requirements:
    description: The requirements file, relative to the release.
    type: str
    default: requirements.txt
  extra_packages:
    description: Packages that are installed beside the requirements.
    type: list
    elements: str
    default: []
  target:
    description: Which wheels the host can use, as the module M(intermission.django.release) tells it.
    type: dict
    required: true
    suboptions:
      python:
        description: Version of the Python.
        type: str
        required: true
      implementation:
        description: Its implementation, V(cp) for CPython.
        type: str
        required: true
      abi:
        description: Its ABI, for instance V(cp313).
        type: str
        required: true
      machine:
        description: The machine, for instance V(x86_64).
        type: str
        required: true
      glibc:
        description: Version of glibc.
        type: str
        required: true
  cache:
    description: Directory on the controller that keeps the wheelhouses.
    type: path
    required: true
  python:
    description: The Python on the controller whose pip makes it.
    type: str
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Make the wheels of a release for Debian 13
  intermission.django.wheelhouse:
    archive: ~/.cache/intermission/shop/3f2a9c1b7d04.tar.gz
    target: {python: "3.13.5", implementation: cp, abi: cp313, machine: x86_64, glibc: "2.41"}
    cache: ~/.cache/intermission/shop
    python: "{{ ansible_playbook_python }}"
  delegate_to: localhost
"""

RETURN = r"""
path:
  description: The tar.
  returned: always
  type: str
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.source import SourceError
from ansible_collections.intermission.django.plugins.module_utils.wheelhouse import (
    Target,
    WheelhouseError,
    provide,
)

ABOUT = ("python", "implementation", "abi", "machine", "glibc")
ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "archive": {"type": "path", "required": True},
        "requirements": {"type": "str", "default": "requirements.txt"},
        "extra_packages": {"type": "list", "elements": "str", "default": []},
        "target": {
            "type": "dict",
            "required": True,
            "options": {name: {"type": "str", "required": True} for name in ABOUT},
        },
        "cache": {"type": "path", "required": True},
        "python": {"type": "str", "required": True},
    },
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    archive = Path(params["archive"])
    if not archive.exists():
        module.fail_json(
            msg=f"django_release_wheelhouse: this controller has no {archive}, so the requirements of that release are not "
            "known here. Deploy the version that you want by its name, for instance -e django_release_version=v1.4.1, or "
            "set django_release_wheelhouse: false."
        )
    needs = (params["requirements"], params["extra_packages"], Target(**params["target"]))
    try:
        path, made = provide(archive, *needs, Path(params["cache"]), params["python"])
    except (WheelhouseError, SourceError, OSError) as error:
        module.fail_json(msg=f"django_release_wheelhouse: {error}")
    module.exit_json(changed=made, path=str(path))


if __name__ == "__main__":
    main()
