#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: source_archive
short_description: Make a site's source into an archive that is named by its content
version_added: 0.1.0
description:
  - Fetches a git repository, a directory or an archive on the controller and packs what is to be deployed. Run it delegated to localhost.
  - The same content gives the same id, whatever its version is called.
attributes:
  check_mode:
    support: full
    description: Tells what would change without changing it.
  diff_mode:
    support: none
    description: Shows what changes.
options:
  source:
    description: URL of a git repository, or path of a directory or of an archive on the controller.
    type: str
    required: true
  version:
    description: Branch, tag or commit, for a git repository; a label for the others.
    type: str
    default: HEAD
  cache:
    description: Directory on the controller that keeps the archives.
    type: path
    required: true
  exclude:
    description: Patterns of names or relative paths to leave out.
    type: list
    elements: str
    default: []
  project:
    description: Directory of C(manage.py) in the source.
    type: str
    default: .
  requirements:
    description: The requirements file, relative to the source.
    type: str
    default: requirements.txt
  package:
    description: Directory of a Python package that is built into a wheel and packed with the source, to be installed beside its requirements.
    type: path
  python:
    description: The Python on the controller whose pip builds O(package).
    type: str
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Pack the shop
  intermission.django.source_archive:
    source: https://git.example.com/shop.git
    version: v1.4.2
    cache: ~/.cache/intermission
  delegate_to: localhost
"""

RETURN = r"""
id:
  description: The release's id, from the commit or the content.
  returned: always
  type: str
path:
  description: The archive.
  returned: always
  type: str
origin:
  description: Where it came from, without secrets.
  returned: always
  type: str
"""

import posixpath
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.intermission.django.plugins.module_utils.source import (
    SourceError,
    fetch,
    files_in,
    with_wheel,
)
from ansible_collections.intermission.django.plugins.module_utils.wheelhouse import WheelhouseError, build_wheel

ARGUMENTS: dict[str, Any] = {
    "argument_spec": {
        "source": {"type": "str", "required": True},
        "version": {"type": "str", "default": "HEAD"},
        "cache": {"type": "path", "required": True},
        "exclude": {"type": "list", "elements": "str", "default": []},
        "project": {"type": "str", "default": "."},
        "requirements": {"type": "str", "default": "requirements.txt"},
        "package": {"type": "path"},
        "python": {"type": "str"},
    },
    "required_by": {"package": "python"},
    "supports_check_mode": True,
}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(**ARGUMENTS)
    params = module.params
    try:
        source = fetch(params["source"], params["version"], Path(params["cache"]), params["exclude"])
        files = files_in(source.path)
        if params["package"]:
            wheel = build_wheel(Path(params["package"]), Path(params["cache"]), params["python"])
            source = with_wheel(source, wheel, Path(params["cache"]))
    except WheelhouseError as error:
        module.fail_json(msg=f"django_release_middleware: {error}")
    except (SourceError, OSError) as error:
        module.fail_json(
            msg=f"django_release_source: {error}. Name a directory, an archive or a git repository, for instance "
            "https://git.example.com/shop.git, and its django_release_version, for instance v1.4.2."
        )
    manage = posixpath.normpath(posixpath.join(params["project"], "manage.py"))
    if manage not in files:
        module.fail_json(
            msg=f"django_release_project: {source.origin} has no {manage}. Name the directory of manage.py in the "
            "source, for instance src."
        )
    if posixpath.normpath(params["requirements"]) not in files:
        module.fail_json(
            msg=f"django_release_requirements: {source.origin} has no {params['requirements']}. Name the requirements "
            "file in the source, for instance requirements/production.txt."
        )
    module.exit_json(id=source.id, path=str(source.path), origin=source.origin)


if __name__ == "__main__":
    main()
