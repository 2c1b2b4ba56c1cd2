"""``{% load intermission %}``: the announcement of the next window."""

from __future__ import annotations

from datetime import datetime
from typing import Optional

from django import template
from django.contrib.humanize.templatetags.humanize import naturalday
from django.template import Context
from django.utils import timezone
from django.utils.safestring import SafeString

from django_intermission import log
from django_intermission.answer import built_in
from django_intermission.context_processors import next_window
from django_intermission.state import Maintenance

register = template.Library()


@register.simple_tag
def maintenance_announced() -> Optional[Maintenance]:
    """Give the next window: ``{% maintenance_announced as window %}``."""
    return next_window()


@register.simple_tag
def maintenance_announcement() -> SafeString:
    """Write the next window as a sentence, nothing where none is announced; times are in the current time zone."""
    window = next_window()
    if window is None or window.start is None:
        return SafeString("")
    try:
        return _sentence(window, window.start)
    except Exception:
        log.once("announcement", "the window %s cannot be announced", window.window_id, exc_info=True)
        return SafeString("")


def _sentence(window: Maintenance, start_at: datetime) -> SafeString:
    start = timezone.localtime(start_at)
    end = timezone.localtime(window.end) if window.end is not None else None
    values = {
        "start": start,
        "end": end,
        "day": naturalday(start),
        "end_day": naturalday(end) if end is not None and end.date() != start.date() else None,
        "reason": window.reason,
    }
    return built_in("announcement.html").render(Context(values))
