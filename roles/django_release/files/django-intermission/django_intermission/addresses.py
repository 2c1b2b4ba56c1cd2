"""Who the client is, by address: the connection's, or what a trusted proxy tells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Optional, Union

Address = Union[IPv4Address, IPv6Address]
Network = Union[IPv4Network, IPv6Network]

UNIX = "unix"
MAPPED = IPv6Network("::ffff:0:0/96")
WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d{1,5})?|([\d.]+):\d{1,5}")


def parse_network(text: str) -> Network:
    """Read an address or a network, such as ``203.0.113.7`` or ``2001:db8::/32``. Raises ValueError."""
    network = ip_network(text.strip())
    if isinstance(network, IPv6Network) and network.subnet_of(MAPPED):
        mapped = network.network_address.ipv4_mapped
        return IPv4Network((int(mapped or 0), network.prefixlen - MAPPED.prefixlen))
    return network


def parse_address(text: str) -> Optional[Address]:
    """Read an address as servers and proxies write it, also with a port; None where it is none."""
    match = WITH_PORT.fullmatch(text.strip())
    try:
        address = ip_address(match.group(1) or match.group(2) or "" if match else text.strip())
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


def contains(networks: Iterable[Network], address: Optional[Address]) -> bool:
    """Tell whether an address is in one of the networks."""
    return address is not None and any(address in network for network in networks)


@dataclass(frozen=True)
class Proxies:
    """The proxies whose word about the client is taken; ``unix`` stands for those that come through a unix socket."""

    networks: tuple[Network, ...] = ()
    unix: bool = False

    def client(self, peer: str, forwarded: str) -> Optional[Address]:
        """Give the client's address, None where it is not known.

        ``peer`` is the connection's address, empty on a unix socket; ``forwarded`` the header's value. It is read from the right,
        where the nearest proxy has written, up to the first address that is no trusted proxy's: what stands left of that is
        the client's own claim. A trusted proxy that says nothing speaks for an unknown client, not for itself.
        """
        if peer:
            address = parse_address(peer)
            if not contains(self.networks, address):
                return address
        elif not self.unix:
            return None
        client: Optional[Address] = None
        for entry in reversed(forwarded.split(",")):
            if self.unix and entry.strip() == "unix:":  # So Nginx names a client that has come through a unix socket
                client = None
                continue
            client = parse_address(entry)
            if not contains(self.networks, client):
                break
        return client
