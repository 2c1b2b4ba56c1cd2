"""The app; it has no models."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from django_intermission.checks import check_settings


class IntermissionConfig(AppConfig):
    """Registers the system checks."""

    name = "django_intermission"
    verbose_name = "Intermission"

    def ready(self) -> None:
        """Register the system checks."""
        register(check_settings)
