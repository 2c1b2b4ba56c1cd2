"""How fast Intermission is, as ratios measured in one run on one machine: ``python -m benchmarks`` from the checkout.

Throughput on a shared machine swings by a factor of ten; what two neighbouring measurements have in common cancels out
in their ratio. Absolute numbers are printed for orientation only.
"""

import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]

# Where the collection and the tests' rendering of the role are imported from
sys.path[:0] = [str(CHECKOUT / "collections"), str(CHECKOUT / "tests")]


class BrokenRunError(Exception):
    """The benchmark itself could not be run; the message says why."""
