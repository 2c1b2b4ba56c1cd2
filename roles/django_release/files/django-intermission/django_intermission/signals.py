"""What other apps can listen to."""

from __future__ import annotations

from django.dispatch import Signal

from django_intermission.log import logger

# Sent by each process when it first sees that the host's flag has been set or taken away. Arguments: ``maintenance``, what is in
# force now (a Maintenance) or None. Receivers are plain functions and return at once: a visitor waits for them.
maintenance_changed = Signal()


def announce(sender: type, maintenance: object) -> None:
    """Send ``maintenance_changed``. A receiver that fails is logged, and changes nothing for the visitor."""
    try:
        results = maintenance_changed.send_robust(sender, maintenance=maintenance)
    except Exception:  # An async receiver cannot be waited for in an event loop
        logger.exception("a receiver of maintenance_changed could not be called")
        return
    for receiver, result in results:
        if isinstance(result, Exception):
            logger.error("the receiver %r of maintenance_changed failed: %r", receiver, result)
