"""The announcement of the next window, and what templates know."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.state import Window
from django.template import Context, Template, engines
from django.test import RequestFactory

from django_layer.conftest import Configure, Host, instant


def render(text: str) -> str:
    return Template("{% load intermission %}" + text).render(Context())


def stage(host: Host, start: datetime, **fields: Any) -> None:
    host.state.stage(Window(id="next", site="shop", start=start.strftime("%Y-%m-%dT%H:%M:%SZ"), **fields))


@pytest.fixture
def tomorrow() -> datetime:
    noon = datetime.now(timezone.utc).replace(hour=12, minute=0, second=0, microsecond=0)
    return noon + timedelta(days=1)


def words(html: str) -> str:
    from django.utils.html import strip_tags

    return strip_tags(html).strip()


def test_nothing_is_announced(host: Host) -> None:
    assert render("{% maintenance_announcement %}") == ""
    assert render("{% maintenance_announced as window %}{{ window }}") == "None"


def test_without_a_directory() -> None:
    assert render("{% maintenance_announcement %}") == ""


def test_an_announcement(host: Host, tomorrow: datetime) -> None:
    end = (tomorrow + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    stage(host, tomorrow, end=end, reason="<Disk>")
    html = render("{% maintenance_announcement %}")
    assert words(html) == "Maintenance tomorrow from 12:00 to 12:30: &lt;Disk&gt;"
    assert f'datetime="{tomorrow.isoformat()}"' in html
    assert render("{% maintenance_announced as window %}{{ window.reason }}") == "&lt;Disk&gt;"


def test_an_announcement_without_an_end(host: Host, tomorrow: datetime) -> None:
    stage(host, tomorrow)
    assert words(render("{% maintenance_announcement %}")) == "Maintenance tomorrow from 12:00"


def test_an_end_on_another_day(host: Host) -> None:
    stage(host, datetime(2099, 12, 1, 23, tzinfo=timezone.utc), end="2099-12-02T01:00:00Z")
    assert (
        words(render("{% maintenance_announcement %}")) == "Maintenance Dec. 1, 2099 from 23:00 to Dec. 2, 2099, 01:00"
    )


def test_times_are_in_the_current_zone(host: Host, configure: Configure) -> None:
    from django.utils import timezone as zones

    stage(host, datetime(2099, 12, 1, 2, tzinfo=timezone.utc))
    with zones.override("Asia/Tokyo"):
        assert "11:00" in words(render("{% maintenance_announcement %}"))


def test_the_context_processor(host: Host, configure: Configure) -> None:
    template = engines["django"].from_string("{{ maintenance.reason }}|{{ maintenance_announced.reason }}")
    request = RequestFactory().get("/")
    assert template.render({}, request) == "None|None" or template.render({}, request) == "|"
    stage(host, datetime(2099, 12, 1, tzinfo=timezone.utc), reason="Next")
    host.open(reason="Now")
    assert template.render({}, request) == "Now|Next"


def test_an_announcement_says_what_comes_first(host: Host) -> None:
    host.state.stage(Window(id="later", site="shop", start=instant(days=9), reason="Later"))
    host.state.stage(Window(id="sooner", site="shop", start=instant(days=8), reason="Sooner"))
    assert "Sooner" in render("{% maintenance_announcement %}")
