# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Runs the module of this name from its copy on the host."""

from ansible_collections.intermission.django.plugins.modules import app_hold
from ansible_collections.intermission.django.plugins.plugin_utils.resident import ActionModule

__all__ = ["ActionModule", "app_hold"]
