"""When what recurs happens: calendar expressions as systemd.time(7) has them, worked out by systemd itself.

systemd knows zones and daylight saving: a time that a day does not have falls out on that day, one that a day has twice happens once.
"""

from __future__ import annotations

import os
import re
from datetime import datetime, timezone

# From systemd 256 on it is Iteration
ELAPSES = re.compile(
    r"^ *(?:Next elapse|Iter\. #\d+|Iteration #\d+): \w{3} (\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) UTC$", re.MULTILINE
)
NORMALIZED = re.compile(r"^ *Normalized form: (.*)$", re.MULTILINE)


def next_times(calendar: str, after: datetime, count: int = 1) -> list[datetime]:
    """List the next times of a calendar expression after an instant; fewer where it ends. Raises ValueError.

    The expression has to name its zone: two hosts may be in different ones.
    """
    import subprocess  # Costs most that import this a fifth of their start, and few of them have what recurs

    base = after.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    command = ["systemd-analyze", "calendar", f"--base-time={base}", f"--iterations={count}", "--", calendar]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    try:
        ran = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"'{calendar}' cannot be worked out: {error}") from error
    normalized = NORMALIZED.search(ran.stdout)
    if ran.returncode != 0 or normalized is None:
        raise ValueError(f"'{calendar}' is neither an instant nor a calendar expression of systemd.time(7)")
    if ":" in normalized.group(1).rpartition(" ")[2]:
        raise ValueError(f"'{calendar}' has no time zone: write it behind, for instance '{calendar} Europe/Berlin'")
    found = ELAPSES.findall(ran.stdout)
    return [datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc) for text in found]
