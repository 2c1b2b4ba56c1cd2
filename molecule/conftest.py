"""What the checks of all scenarios share. They run in Molecule, or by themselves against an inventory of hosts that are there::

pytest molecule/default --ansible-inventory inventory/shop --ssh-identity-file ~/.ssh/id_ed25519
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from testinfra.host import Host

from driving import wait_until
from fleet import Fleet


@pytest.fixture(scope="session")
def site(request: pytest.FixtureRequest) -> Fleet:
    """The site that the scenario has deployed."""
    return Fleet(str(Path(request.config.getoption("ansible_inventory")).resolve()))


@pytest.fixture
def node(host: Host) -> str:
    """The inventory name of the host that is looked at."""
    name: str = host.backend.get_pytest_id().removeprefix("ansible://")
    return name


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Where the load probe writes what visitors saw."""
    return tmp_path / "record"


@pytest.fixture
def stopped_app(host: Host, site: Fleet, node: str) -> Iterator[None]:
    """The app's socket and service are stopped, as by an operator."""
    units = "shop.socket shop.service"
    host.check_output(f"systemctl stop {units}")
    yield
    host.check_output(f"systemctl start {units}")
    wait_until(lambda: site.ask(node).kind == "app", "the app answers again")
