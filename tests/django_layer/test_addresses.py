"""Who the client is, and who passes by it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Optional

import pytest
from django_intermission.addresses import Proxies, contains, parse_address, parse_network
from hypothesis import given
from hypothesis import strategies as st

from django_layer.conftest import Configure
from django_layer.visitors import Visit


def is_mapped(address: IPv4Address | IPv6Address) -> bool:
    return isinstance(address, IPv6Address) and address.ipv4_mapped is not None


ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).filter(lambda address: not is_mapped(address))
PROXY = "10.0.0.1"
PROXIES = Proxies((parse_network("10.0.0.0/8"),), unix=True)


@given(ADDRESSES)
def test_an_address_is_read_as_it_is_written(address: IPv4Address | IPv6Address) -> None:
    assert parse_address(f" {address} ") == address
    assert parse_address(f"[{address}]:443") == address
    assert contains([parse_network(str(address))], address)


@given(st.ip_addresses(v=4))
def test_an_address_of_version_4_in_version_6_is_one(address: IPv4Address) -> None:
    mapped = f"::ffff:{address}"
    assert parse_address(mapped) == address == parse_address(f"{address}:80")
    assert contains([parse_network(mapped)], address)
    assert contains([parse_network("::ffff:0:0/96")], address)


@given(st.ip_addresses(v=4), st.integers(0, 32))
def test_mapped_networks(address: IPv4Address, length: int) -> None:
    network = ip_network((int(address), length), strict=False)
    assert parse_network(f"::ffff:{network.network_address}/{96 + length}") == network


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_none(text: str) -> None:
    address = parse_address(text)
    assert address is None or isinstance(address, (IPv4Address, IPv6Address))


@pytest.mark.parametrize("text", ["", "unknown", "10.0.0.1/8", "10.0.0", "[::1", "10.0.0.1:x", "_hidden", "010.0.0.1"])
def test_no_address(text: str) -> None:
    assert parse_address(text) is None


@given(ADDRESSES, st.lists(st.one_of(ADDRESSES.map(str), st.text(max_size=12)), max_size=4), st.integers(0, 3))
def test_only_what_the_nearest_proxies_have_written_counts(
    client: IPv4Address | IPv6Address, forged: list[str], hops: int
) -> None:
    if contains(PROXIES.networks, client):
        return
    header = ", ".join([*forged, str(client), *["10.1.2.3"] * hops])
    assert PROXIES.client(PROXY, header) == client
    assert PROXIES.client("", header) == client
    assert PROXIES.client(str(client), ", ".join(forged)) == client


@pytest.mark.parametrize(
    ("peer", "header", "client"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "192.0.2.1", "203.0.113.7"),
        ("nonsense", "192.0.2.1", None),
        (PROXY, "", None),
        (PROXY, " ", None),
        (PROXY, "192.0.2.1", "192.0.2.1"),
        (PROXY, "192.0.2.1, ", None),
        (PROXY, "192.0.2.1, unknown", None),
        (PROXY, "192.0.2.1, unknown, 10.0.0.2", None),
        (PROXY, "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        (PROXY, "192.0.2.1, unix:", "192.0.2.1"),
        (PROXY, "unix:", None),
        (PROXY, "10.0.0.3, unix:", "10.0.0.3"),
        ("", "192.0.2.1", "192.0.2.1"),
        ("", "", None),
    ],
)
def test_the_client(peer: str, header: str, client: Optional[str]) -> None:
    assert PROXIES.client(peer, header) == (client and parse_address(client))


def test_a_unix_socket_that_is_not_trusted() -> None:
    proxies = Proxies(PROXIES.networks)
    assert proxies.client("", "192.0.2.1") is None
    assert proxies.client(PROXY, "192.0.2.1, unix:") is None


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("203.0.113.7", {}, 200),
        ("203.0.113.70", {}, 503),
        ("2001:db8:7::5", {}, 200),
        ("2001:db8:8::5", {}, 503),
        ("::ffff:203.0.113.7", {}, 200),
        ("198.51.100.1", {"X_Forwarded_For": "203.0.113.7"}, 503),
        (None, {"X_Forwarded_For": "203.0.113.7"}, 503),
        (None, {}, 503),
    ],
)
def test_without_trusted_proxies(
    configure: Configure, visit: Visit, peer: Optional[str], headers: dict[str, str], status: int
) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_BYPASS_IP=["203.0.113.7", "2001:db8:7::/48"])
    assert visit(peer=peer, **headers).status == status


def test_a_proof_from_an_address_that_passes(configure: Configure, visit: Visit) -> None:
    configure(MAINTENANCE_MODE=True, MAINTENANCE_BYPASS_IP=["203.0.113.7"])
    assert visit(peer="203.0.113.7", X_Intermission_Visitor="1").status == 503


@pytest.mark.parametrize(
    ("peer", "headers", "status"),
    [
        ("127.0.0.1", {"X_Real_Ip": "203.0.113.7"}, 200),
        (None, {"X_Real_Ip": "203.0.113.7"}, 200),
        ("127.0.0.1", {"X_Real_Ip": "203.0.113.8"}, 503),
        ("127.0.0.1", {"X_Forwarded_For": "203.0.113.7"}, 503),
        ("127.0.0.1", {}, 503),
        ("198.51.100.1", {"X_Real_Ip": "203.0.113.7"}, 503),
        ("203.0.113.7", {"X_Real_Ip": "198.51.100.1"}, 200),
        (None, {"X_Real_Ip": "203.0.113.7, 198.51.100.1"}, 503),
    ],
)
def test_behind_a_proxy(
    configure: Configure, visit: Visit, peer: Optional[str], headers: dict[str, str], status: int
) -> None:
    configure(
        MAINTENANCE_MODE=True,
        MAINTENANCE_BYPASS_IP=["203.0.113.7", "127.0.0.1"],
        MAINTENANCE_TRUSTED_PROXIES=["127.0.0.1", "unix"],
        MAINTENANCE_CLIENT_ADDRESS_HEADER="X-Real-IP",
    )
    assert visit(peer=peer, **headers).status == status
