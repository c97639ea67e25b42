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

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_Judgement = tuple[str, bool, Address | None]
UNKNOWN: Final = "unknown"
# The peer at a socket that only processes of this installation can use: it is believed for whom it asks. No header can
# name it, since a comma parts the addresses there.
OURSELVES: Final = "ourselves,"
# By these a proxy says for whom it asks.
_FOR: Final = b"x-forwarded-for"
_FORWARDED: Final = frozenset({_FOR, b"forwarded", b"x-real-ip", b"via"})
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
        counted, trusted, _ = self._judged(peer)
        return self._forwarded(peer, headers)[0] if trusted else counted

    def exact(self, peer: str | None, headers: Iterable[tuple[bytes, bytes]]) -> Address | None:
        """The client's very address; None if it cannot be known, as behind a proxy that nobody told us of.

        So it is, too, if a trusted proxy says in another header alone that it asks for somebody.
        """
        if peer is None:
            return None
        _, trusted, address = self._judged(peer)
        sent = {name for name, _ in headers} & _FORWARDED
        if trusted and _FOR in sent:
            return self._forwarded(peer, headers)[2]
        return None if sent else address

    def _forwarded(self, peer: str, headers: Iterable[tuple[bytes, bytes]]) -> _Judgement:
        """Judge whom a trusted peer speaks for."""
        judged = self._judged(peer)
        forwarded = b",".join(value for name, value in headers if name == _FOR).decode("latin-1")
        for hop in reversed(forwarded.split(",")):
            # A list may have empty places (RFC 9110 §5.6.1); a proxy that says nothing speaks for itself.
            if not (address := hop.strip()):
                continue
            judged = self._judged(address)
            if not judged[1]:
                break
        return judged

    def _judge(self, text: str) -> _Judgement:
        """Say how an address is counted, whether it is a trusted proxy's, and which it is."""
        if text == OURSELVES:
            return UNKNOWN, True, None
        hop = _HOP.fullmatch(text)
        try:
            address = _plain(ip_address(text if hop is None else hop[1] or hop[2]))
        except ValueError:
            return UNKNOWN, False, None
        trusted = any(address in network for network in self._trusted if network.version == address.version)
        return _counted(address), trusted, address


def counted(text: str) -> str:
    """How a client's very address is counted; what is none, as it is."""
    try:
        return _counted(_plain(ip_address(text)))
    except ValueError:
        return text


def _counted(address: Address) -> str:
    return str(ip_network((address, 64), strict=False)) if isinstance(address, IPv6Address) else str(address)


def _plain(address: Address) -> Address:
    """An IPv4 address that came over an IPv6 socket is an IPv4 address; a zone is the machine's own business."""
    if not isinstance(address, IPv6Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))
