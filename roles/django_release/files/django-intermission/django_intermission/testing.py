"""For the tests of projects: ``override_maintenance``."""

from __future__ import annotations

from typing import Any

from django.test.utils import override_settings


class override_maintenance(override_settings):  # noqa: N801  Named as Django names its own
    """Switch maintenance on, or off, for a test: a decorator for functions and test classes, and a context manager.

    Neither the environment nor the host's flag counts meanwhile. Other settings are given by their lower-case names
    without ``MAINTENANCE_``, for instance ``override_maintenance(reason="Disk", bypass_ip=["127.0.0.1"])``.
    """

    def __init__(self, on: bool = True, **options: Any) -> None:
        """Name what holds meanwhile."""
        chosen = {f"MAINTENANCE_{name.upper()}": value for name, value in options.items()}
        own = {"MAINTENANCE_STATE_DIRECTORY": None, "MAINTENANCE_FROM_ENVIRONMENT": False}
        super().__init__(**{**own, **chosen, "MAINTENANCE_MODE": on})
