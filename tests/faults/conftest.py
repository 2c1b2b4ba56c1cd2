"""The site of the end-to-end tests, for the faults that take too long to be tried each time."""

from e2e.conftest import fresh, lone, record, shop, short_tmp

__all__ = ["fresh", "lone", "record", "shop", "short_tmp"]
