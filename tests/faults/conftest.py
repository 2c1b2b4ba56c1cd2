"""The site of the end-to-end tests, for the faults that take too long to be tried each time."""

import pytest

from e2e.conftest import fresh, lone, record, short_tmp
from e2e.conftest import shop as plain_shop
from e2e.shop import Shop
from faults.killing import CALLBACK

__all__ = ["fresh", "lone", "plain_shop", "record", "short_tmp"]


@pytest.fixture(scope="session")
def shop(plain_shop: Shop) -> Shop:
    """Give the site with the callback that hosts are lost by in the middle of a task."""
    plain_shop.environment.update(CALLBACK)
    return plain_shop
