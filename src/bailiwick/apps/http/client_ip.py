"""Whose address is it? The peer's, or behind trusted proxies the last one that they do not vouch for.

`X-Forwarded-For` is read from right to left while the address on the right is a trusted proxy's; a header from anybody
else is ignored. An IPv6 address is counted by its /64, since a single subscriber has that many to choose from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, final

Network = IPv4Network | IPv6Network
UNKNOWN: Final = "unknown"
# An address as proxies write it: bare, in brackets, with a port.
_HOP: Final = re.compile(r"\[([^\]]*)\](?::\d+)?|([\d.]+):\d+")


@final
class ClientIp:
    """Finds the address that a request is counted by."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        """`trusted` are the proxies whose `X-Forwarded-For` is believed."""
        self._trusted = tuple(trusted)
        self._judged = lru_cache(maxsize=65_536)(self._judge)

    def of(self, peer: str | None, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The client's address in its counted form."""
        if peer is None:
            return UNKNOWN
        counted, trusted = self._judged(peer)
        if not trusted:
            return counted
        forwarded = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
        for hop in reversed(forwarded.split(",")):
            # A list may have empty places (RFC 9110 §5.6.1); a proxy that says nothing speaks for itself.
            if not (address := hop.strip()):
                continue
            counted, trusted = self._judged(address)
            if not trusted:
                break
        return counted

    def _judge(self, text: str) -> tuple[str, bool]:
        """Say how an address is counted, and whether it is a trusted proxy's."""
        hop = _HOP.fullmatch(text)
        try:
            address = _plain(ip_address(text if hop is None else hop[1] or hop[2]))
        except ValueError:
            return UNKNOWN, False
        trusted = any(address in network for network in self._trusted if network.version == address.version)
        if isinstance(address, IPv6Address):
            return str(ip_network((address, 64), strict=False)), trusted
        return str(address), trusted


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that came over an IPv6 socket is an IPv4 address; a zone is the machine's own business."""
    if not isinstance(address, IPv6Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))
