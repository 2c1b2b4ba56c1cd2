"""Hosts for the doctor, below a folder that Nginx's workers may enter."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from doctor.host import Host
from folders import served_folder


@pytest.fixture
def make_host() -> Iterator[Callable[..., Host]]:
    """Make hosts out of trees; they are gone after the test."""
    with ExitStack() as stack:

        def make(*trees: str, **settings: Any) -> Host:
            host = Host(stack.enter_context(served_folder()), **settings)
            host.install("base", *trees)
            return host

        yield make
