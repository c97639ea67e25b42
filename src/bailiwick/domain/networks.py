"""Networks from which a credential may be used, as operators write them: `192.0.2.0/24`, `2001:db8::/32`."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from bailiwick.domain.fields import Findings, invalid

MAX_NETWORKS: Final = 100
_LONGEST: Final = 64
_MAPPED: Final = IPv6Network("::ffff:0:0/96")


def read_networks(field: str, texts: Sequence[str] | None) -> tuple[str, ...] | None:
    """Take a list of networks, each once and as it is written canonically, or no list; raises `Invalid`."""
    if texts is None:
        return None
    if not texts:
        raise invalid(field, "must name a network; without this field, any address is good")
    if len(texts) > MAX_NETWORKS:
        raise invalid(field, f"must be at most {MAX_NETWORKS}")
    findings = Findings()
    read: list[str] = []
    for place, text in enumerate(texts):
        with findings.noted():
            read.append(str(_read_network(f"{field}.{place}", text)))
    findings.or_raise()
    if len(set(read)) < len(read):
        raise invalid(field, "must not name anything twice")
    return tuple(read)


def _read_network(field: str, text: str) -> IPv4Network | IPv6Network:
    try:
        # One that can be read as another by its host bits is none; and a zone is some machine's own.
        network = ip_network(text) if len(text) <= _LONGEST and "%" not in text else None
    except ValueError:
        network = None
    if network is None:
        raise invalid(field, "must be an address or a network without host bits, such as 192.0.2.0/24 or 2001:db8::/32")
    if isinstance(network, IPv6Network) and network.overlaps(_MAPPED) and network.prefixlen >= _MAPPED.prefixlen:
        raise invalid(field, "must be written as IPv4: callers with an IPv4 address are known by that")
    return network
