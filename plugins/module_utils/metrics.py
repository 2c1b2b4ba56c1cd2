"""What monitoring wants to know of a site, in Prometheus's text format, for the textfile collector of node_exporter.

Times are instants: whoever asks works out an age, which would be old as soon as it is written. What does not apply has no sample.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Optional

from ansible_collections.intermission.django.plugins.module_utils.state import is_of_deploy
from ansible_collections.intermission.django.plugins.module_utils.times import parse_instant

PREFIX = "intermission_"
HELP = {
    "maintenance_on": "Whether the site is closed to visitors on this host, by its flag.",
    "maintenance_since_timestamp_seconds": "When the window that is open began.",
    "maintenance_until_timestamp_seconds": "When the window that is open ends.",
    "maintenance_overdue": "Whether the window that is open should have ended.",
    "deploy_unfinished": "Whether a deploy is under way on this host, has died, or has failed and keeps the site closed.",
    "deploy_since_timestamp_seconds": "When that deploy began.",
    "deploy_left_behind_hosts": "Web hosts that the site's last deploy has left behind.",
    "state_problem": "Whether something is wrong with the flag, its window or the page, so that visitors may not get it.",
    "metrics_timestamp_seconds": "When these metrics were written.",
}


def gauges(
    status: Mapping[str, Any],
    deploy: Optional[Mapping[str, Any]],
    left_behind: Sequence[str],
    problem: Optional[str],
) -> dict[str, Optional[int]]:
    """Give the values of a site, from what its state directory says; None where one does not apply or cannot be read."""
    on = status["on"]
    return {
        "maintenance_on": int(on),
        "maintenance_since_timestamp_seconds": _seconds(status["since"]) if on else None,
        "maintenance_until_timestamp_seconds": _seconds(status["until"]) if on else None,
        "maintenance_overdue": int(status["overdue"]),
        "deploy_unfinished": int(deploy is not None or is_of_deploy((status["window"] or {}).get("id"))),
        "deploy_since_timestamp_seconds": _seconds(deploy.get("since")) if deploy else None,
        "deploy_left_behind_hosts": len(left_behind),
        "state_problem": int(problem is not None),
    }


def render(sites: Mapping[str, Mapping[str, Optional[int]]], now: datetime) -> str:
    """Write the values of sites, each by its name, at an instant."""
    written = {"metrics_timestamp_seconds": int(now.timestamp())}
    samples = {site: {**values, **written} for site, values in sites.items()}
    lines = []
    for name, text in HELP.items():
        lines += [f"# HELP {PREFIX}{name} {text}", f"# TYPE {PREFIX}{name} gauge"]
        lines += [
            f'{PREFIX}{name}{{site="{site}"}} {values[name]}'
            for site, values in samples.items()
            if values.get(name) is not None
        ]
    return "\n".join(lines) + "\n"


def _seconds(instant: object) -> Optional[int]:
    try:
        return int(parse_instant(str(instant)).timestamp())
    except ValueError:
        return None
