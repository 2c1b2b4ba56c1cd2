"""For the tests of projects: ``override_maintenance``."""

from __future__ import annotations

import os
from typing import Any, Optional

from django.test.utils import override_settings

from django_intermission.conf import ENVIRONMENT_VARIABLE


class override_maintenance(override_settings):  # noqa: N801  Named as Django names its own
    """Switch maintenance on, or off, for a test: a decorator for functions and test classes, and a context manager.

    Neither the environment variable nor the host's flag counts meanwhile. Other settings are given by their lower-case names
    without ``MAINTENANCE_``, for instance ``override_maintenance(reason="Disk", bypass_ip=["127.0.0.1"])``.
    """

    def __init__(self, on: bool = True, **options: Any) -> None:
        """Name what holds meanwhile."""
        chosen = {f"MAINTENANCE_{name.upper()}": value for name, value in options.items()}
        super().__init__(**{"MAINTENANCE_STATE_DIRECTORY": None, **chosen, "MAINTENANCE_MODE": on})
        self._environment: Optional[str] = None

    def enable(self) -> None:
        """Begin."""
        self._environment = os.environ.pop(ENVIRONMENT_VARIABLE, None)
        super().enable()

    def disable(self) -> None:
        """End."""
        super().disable()
        if self._environment is not None:
            os.environ[ENVIRONMENT_VARIABLE] = self._environment
