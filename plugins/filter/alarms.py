# Copyright (c) 2026 the Intermission developers
# SPDX-License-Identifier: MIT
"""Filter ``alarms``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Callable, Optional

from ansible_collections.intermission.django.plugins.module_utils.terminal import printable

BY_THE_APP = "closed by the app"  # What a proof saw, see module_utils.proof.observe

DOCUMENTATION = r"""
name: alarms
short_description: Say what of a site's status somebody wants to be woken for
version_added: 0.1.0
description:
  - Gives a line for each host and each of the wanted states that it is in, with what is known of it.
options:
  _input:
    description: The hosts, as C(maintenance_status.yml) prints them as JSON.
    type: list
    elements: dict
    required: true
  wanted:
    description: The states.
    type: list
    elements: str
    choices: [closed, overdue, unreachable, disagreeing, unproven, unfinished_deploy, left_behind, problem]
    required: true
author:
  - The Intermission developers (@intermission)
"""

EXAMPLES = r"""
- ansible.builtin.debug:
    msg: "{{ status.hosts | intermission.django.alarms(['overdue', 'unreachable']) }}"
"""

RETURN = r"""
_value:
  description: The lines, host by host.
  type: list
  elements: str
"""


def alarms(entries: Sequence[dict[str, Any]], wanted: Sequence[str]) -> list[str]:
    """Say what is to be known; see the documentation above."""
    asked = [entry for entry in entries if entry["reached"]]
    usual = Counter(map(_said, asked)).most_common(1)[0][0] if asked else ""
    lines = []
    for entry in entries:
        said = _all_of(entry, usual)
        lines += [f"{entry['host']}: {_on_one_line(said[state])}" for state in wanted if said.get(state)]
    return lines


def _all_of(entry: dict[str, Any], usual: str) -> dict[str, Optional[str]]:
    """Say what there is to say of a host, by state; None where it is not in it."""
    told, problem = _said(entry), entry["problem"]
    left_behind = "was left behind by the last deploy" if entry["left_behind"] else None
    if not entry["reached"]:
        return {"unreachable": f"cannot be asked: {problem or 'nothing is known of it'}", "left_behind": left_behind}
    return {
        "closed": told if entry["state"] == "closed" else None,
        "overdue": f"should have been opened at {entry['until']}" if entry["overdue"] else None,
        "disagreeing": f"{told}, and others say that it {usual}" if told != usual else None,
        "unproven": f"{told}, and a visitor gets: {entry['visitors_get']}" if _is_unproven(entry) else None,
        "unfinished_deploy": _unfinished(entry["unfinished_deploy"], entry["failed_deploy"]),
        "left_behind": left_behind,
        "problem": problem,
    }


def _is_unproven(entry: dict[str, Any]) -> bool:
    """Tell whether a visitor who was asked for gets something else than the flag says."""
    closed, mixed = entry["state"] == "closed", entry["read_only"] or entry["share"]
    right = ("open", "closed", BY_THE_APP) if closed and mixed else ("closed" if closed else "open", BY_THE_APP)
    return entry["visitors_get"] not in (None, *right)


def _unfinished(deploy: Optional[dict[str, Any]], failed: Optional[dict[str, Any]]) -> Optional[str]:
    """Say which deploy is not over, or has failed and keeps the site closed."""
    if deploy:
        user, since, phase = deploy["holder"].get("user"), deploy.get("since"), deploy.get("phase")
        return f"the deploy of {user} since {since} is not finished, phase {phase}"
    if failed:
        what = " of ".join(filter(None, ("the deploy", failed["version"])))
        return f"{what} has {failed['outcome'] or 'failed'}, and keeps the site closed"
    return None


def _said(entry: dict[str, Any]) -> str:
    """Say what a host says of the site, in words that are the same where the same is so."""
    words = ["is", entry["state"]]
    words += ["to writes"] if entry["read_only"] else []
    words += [f"to {100 - entry['share']}%"] if entry["share"] else []
    words += ["until", entry["until"]] if entry["until"] else []
    words += ["with MAINTENANCE_MODE on"] if (entry["setting"] or {}).get("on") else []
    return " ".join(words)


def _on_one_line(text: Optional[str]) -> str:
    return printable(" ".join((text or "").split()))


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name them."""
        return {"alarms": alarms}
