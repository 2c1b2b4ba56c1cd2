"""Instructions for one request, counted by callgrind: hardly another machine's mood can change them."""

import re
from pathlib import Path

from benchmarks.site import APP_PATH, Site
from benchmarks.visitor import ask

SHORT, LONG = 200, 1_200  # requests


def per_request(site: Site, gate: bool) -> float:
    """Give the instructions that Nginx runs for one request: a long run's less a short one's."""
    return (instructions(site, gate, LONG) - instructions(site, gate, SHORT)) / (LONG - SHORT)


def instructions(site: Site, gate: bool, requests: int) -> int:
    """Give the instructions of a whole run of Nginx, with its start and its end."""
    counted = Path(site.root, "callgrind.out")
    wrapper = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={counted}"]
    with site.start("callgrind", gate, wrapper) as server:
        ask(server.ports[0], APP_PATH, requests, expected_status=200, connections=1)
    found = re.search(r"^totals: (\d+)$", counted.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])
