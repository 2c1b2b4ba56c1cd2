"""Sites behind a real Nginx, in both forms of the role."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from folders import served_folder
from nginx.site import Site


@contextmanager
def running_site(form: str, **settings: Any) -> Iterator[Site]:
    """Run a site."""
    with served_folder() as root:
        site = Site(root, form, **settings)
        try:
            yield site
        finally:
            site.stop()


@pytest.fixture
def make_site() -> Iterator[Callable[..., Site]]:
    """Start sites with settings of their own; they end with the test."""
    with ExitStack() as stack:
        yield lambda form, **settings: stack.enter_context(running_site(form, **settings))


@pytest.fixture(scope="session", params=["vhost", "snippet"])
def form(request: pytest.FixtureRequest) -> str:
    """Name each form of the role in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def shared_nginx(form: str) -> Iterator[Site]:
    """Run one Nginx for all sites with the role's defaults."""
    with running_site(form) as site:
        yield site


@pytest.fixture
def site(shared_nginx: Site) -> Site:
    """Give a site with the role's defaults that is as new: open, its pages whole, its app running."""
    shared_nginx.renew()
    return shared_nginx


@pytest.fixture
def closed_site(site: Site) -> Site:
    """Give a site with a window that is open."""
    site.open_window()
    return site


@pytest.fixture
def dead_site(site: Site) -> Site:
    """Give a site whose app is gone."""
    site.app.die()
    return site
