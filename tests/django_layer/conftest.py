"""The site in both ways that Django serves it, and a state directory as the host has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.intermission.django.plugins.module_utils.state import StateDirectory, Window
from django.test.utils import override_settings
from django.utils import translation
from django_intermission import conf
from hypothesis import settings as hypothesis_settings

import django_layer.project  # noqa: F401  It configures Django
from django_layer.visitors import Visit, over_asgi, over_wsgi

hypothesis_settings.register_profile("project", deadline=None, database=None)
hypothesis_settings.load_profile("project")

Configure = Callable[..., None]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing that a test has seen or logged is known to the next."""
    monkeypatch.delenv("MAINTENANCE_MODE", raising=False)
    conf.forget()
    with translation.override("en"):
        yield
    conf.forget()


@pytest.fixture
def configure() -> Iterator[Configure]:
    """Set settings until the test ends."""
    with ExitStack() as stack:

        def set_until_the_end(**settings: Any) -> None:
            stack.enter_context(override_settings(**settings))

        yield set_until_the_end


@pytest.fixture(params=[over_wsgi, over_asgi])
def visit(request: pytest.FixtureRequest) -> Visit:
    """Ask for a path as a visitor would, in both ways that Django serves it."""
    chosen: Visit = request.param
    return chosen


class Host:
    """A state directory that the product's own code writes."""

    def __init__(self, root: Path) -> None:
        self.state = StateDirectory(str(root), "shop")
        self.state.make()
        (self.state.pages / "503.en.html.template").write_text("%%reason%%")
        self.path = self.state.path

    def open(self, id: str = "manual-1", **fields: Any) -> Window:
        window = Window(id=id, site="shop", **{"start": "2026-01-01T00:00:00Z", **fields})
        self.state.open(window, by="ada", source="test", secret=None)
        return window

    def close(self) -> None:
        self.state.close(by="ada", source="test", force=True)

    @property
    def window_file(self) -> Path:
        return self.state.flag / "window.json"


@pytest.fixture
def host(tmp_path: Path, configure: Configure) -> Host:
    """The state directory, named in the settings."""
    host = Host(tmp_path / "intermission")
    configure(MAINTENANCE_STATE_DIRECTORY=str(host.path))
    return host


@pytest.fixture(scope="session")
def database() -> None:
    """The tables of users and sessions, in memory."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def instant(**ahead: float) -> str:
    """Give an instant from now on, as window.json has it."""
    return (datetime.now(timezone.utc) + timedelta(**ahead)).strftime("%Y-%m-%dT%H:%M:%SZ")
