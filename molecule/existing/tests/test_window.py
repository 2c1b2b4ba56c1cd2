"""The site is closed with the playbook, and opened again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fleet import Fleet

testinfra_hosts = ["ansible://shop"]


@pytest.fixture(scope="module", autouse=True)
def window(site: Fleet) -> Iterator[None]:
    run = site.playbook("playbooks/maintenance_on.yml", maintenance_window_for="1h")
    try:
        assert run.status == 0, run.output
        yield
    finally:
        run = site.playbook("playbooks/maintenance_off.yml")
        assert run.status == 0, run.output
    assert site.kinds() == {"app"}


@pytest.mark.parametrize("path", ["/", "/status/502/", "/api/orders", "/hours.txt", "/none.txt"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_every_location_is_closed(site: Fleet, node: str, method: str, path: str) -> None:
    answer = site.ask(node, path, method, b"tea" if method == "POST" else None)
    assert (answer.status, answer.headers["cache-control"]) == (503, "no-store")
    assert answer.headers["retry-after"].endswith("GMT")
    assert answer.kind == ("nginx" if method == "HEAD" else "maintenance")
    assert answer.body.rstrip().endswith("" if method == "HEAD" else "</html>")


def test_the_neighbour_is_open(node: str, assert_neighbour: Callable[[str], None]) -> None:
    assert_neighbour(node)


def test_the_page_cannot_be_removed(site: Fleet, removal: str) -> None:
    run = site.playbook(removal)
    assert run.status != 0
    assert "is closed, and would be open without its gate" in run.words
    assert {totals["changed"] for totals in run.recap().values()} == {0}
    assert site.kinds() == {"maintenance"}
