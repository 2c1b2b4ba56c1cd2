#!/usr/bin/python
# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT

from __future__ import annotations

DOCUMENTATION = r"""
---
module: report
short_description: Show a text as it is
version_added: 0.1.0
description:
  - Prints a text on the terminal with its own line breaks, whatever callback shows the rest. Runs on the controller.
  - Each character that does not print is shown as C(?), so that text from a host cannot steer the terminal.
attributes:
  check_mode:
    support: full
    description: Prints in check mode too.
  diff_mode:
    support: none
    description: Nothing changes.
options:
  text:
    description: What to print.
    type: str
    required: true
  stderr:
    description: Print it to standard error, where standard output is a document for a program.
    type: bool
    default: false
  screen_only:
    description: Keep it out of the file that C(log_path) in Ansible's configuration names, as it is a secret.
    type: bool
    default: false
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- name: Say it
  intermission.django.report:
    text: |
      web1 is closed
      web2 is closed
"""

RETURN = r"""
{}
"""
