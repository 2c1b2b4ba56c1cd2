#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: together
short_description: Run several of this collection's modules on a host in one go, and on all hosts in step
version_added: 0.1.0
description:
  - Runs modules one after the other until one fails, over one connection and in one Python. A site that is closed meanwhile is closed
    for less long.
  - With O(stages) all hosts of the task go through them together. None begins a stage before all have ended the one before, and where
    one fails or is lost none begins another. What a stage is called is said when the first host begins it.
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
        C(app_smoke_test), C(database_migrate), C(deploy_record), C(maintenance_window), C(release) or C(systemd_units); and, where it is
        to be done only then, C(when), which is true or false.
      - Where the options of any are wrong, none is run.
      - In a stage of its own also C(maintenance_proof), which is asked from the controller.
      - In the details of a note of C(deploy_record) something that is none is what RV(work) says of it, when it is noted.
      - One of O(steps) and O(stages) is required.
    type: list
    elements: dict
  stages:
    description:
      - What to run on all hosts in step. All hosts have the same stages; one has nothing to do in some of them where C(when) says so.
      - C(database_migrate) begins work. Where that goes on, or fails, the task ends well, and the stages after it are not begun.
    type: list
    elements: dict
    suboptions:
      name:
        description: What it is called.
        type: str
        required: true
      steps:
        description: See O(steps).
        type: list
        elements: dict
        required: true
  hosts:
    description: With O(stages), the hosts that go through them, all of which have to be in the run still.
    type: list
    elements: str
  alone:
    description:
      - With O(stages), that each host goes through them by itself. Where there are more hosts than Ansible has processes (C(forks)) they
        cannot wait for each other in one task; give each stage a task of its own then.
    type: bool
    default: false
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

- name: Start it on the first host, and then on the others
  intermission.django.together:
    hosts: "{{ groups['shop'] }}"
    stages:
      - name: Start it on the first
        steps:
          - intermission.django.app_service: "{{ started }}"
            when: "{{ inventory_hostname == groups['shop'][0] }}"
      - name: Start it on the others
        steps:
          - intermission.django.app_service: "{{ started }}"
            when: "{{ inventory_hostname != groups['shop'][0] }}"
"""

RETURN = r"""
changed:
  description: Whether any has changed anything. Beside it is all that the modules return; of two of one name, the later.
  returned: always
  type: bool
done:
  description: Whether the host has gone through all stages.
  returned: with O(stages)
  type: bool
begun:
  description: The stages that the host has begun.
  returned: with O(stages)
  type: list
  elements: str
stage:
  description: The last of them.
  returned: with O(stages), where the host has begun any
  type: str
work:
  description: What C(database_migrate) returned on the host that has migrated; nothing where none has.
  returned: with O(stages)
  type: dict
"""
