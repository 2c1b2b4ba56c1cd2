"""For templates: what is in force, and what comes next."""

from __future__ import annotations

from typing import Any, Optional

from django.http import HttpRequest

from django_intermission import conf
from django_intermission.state import Maintenance


def next_window() -> Optional[Maintenance]:
    """Give the next window that lies ready on the host; None where there is none."""
    host = conf.current().host
    return next(iter(host.announced()), None) if host is not None else None


def maintenance(request: HttpRequest) -> dict[str, Any]:
    """Give ``maintenance``, what is in force (for those who pass), and ``maintenance_announced``, the next window; or None."""
    return {"maintenance": conf.current().look(), "maintenance_announced": next_window()}
