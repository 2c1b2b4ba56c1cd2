#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: together
short_description: Run several of this collection's modules on a host in one go
version_added: 0.1.0
description:
  - Runs modules one after the other until one fails, over one connection and in one Python. A site that is closed meanwhile is closed
    for less long.
attributes:
  check_mode:
    support: full
    description: Each module does what it does in check mode.
  diff_mode:
    support: full
    description: Shows what each module shows.
options:
  steps:
    description:
      - What to run, in this order. The name of a module of this collection with its options, C(app_hold), C(app_service),
        C(app_smoke_test), C(deploy_record), C(release) or C(systemd_units); and, where it is to be done only then, C(when), which is
        true or false.
      - Where the options of any are wrong, none is run.
    type: list
    elements: dict
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Take up what the release is now
  intermission.django.together:
    steps:
      - intermission.django.release:
          root: /srv/shop
          state: current
          id: 1a2b3c4d5e6f
          environment: 0f9e8d7c6b5a
      - intermission.django.app_service:
          name: the app
          commands: "{{ django_release_commands }}"
          state: reloaded
        when: "{{ app_runs }}"
"""

RETURN = r"""
changed:
  description: Whether any has changed anything. Beside it is all that the modules return; of two of one name, the later.
  returned: always
  type: bool
"""
