"""The guard for addresses that operators configure: issuers, webhooks and providers (server-side request forgery).

Actor: whoever may set a URL through the control plane. Action: make this server connect somewhere. Resource: whatever
only this server can reach: itself, its neighbours, its cloud's metadata. Two questions, both to be asked:

    guard.check_url("https://issuer.example/jwks")     # when the URL is set: is it one that we would ever fetch?
    await guard.resolve("issuer.example", 443)         # at each connection: where does the name point *now*?

Guarantees: a connection goes to an address that was judged, because the caller connects to exactly what `resolve`
returned (the name itself only serves for TLS and `Host`; so a name that changes its mind between two look-ups gains
nothing); one address that is not public condemns the whole answer; a host is a DNS name or an address in its only
canonical form, so that no other parser can read another host in it. Redirects are the caller's to refuse.

What is inside `allow` is exempt: it names private networks that the platform chose to open.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias, final
from urllib.parse import urlsplit

from bailiwick.domain.errors import BailiwickError

Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address
Lookup: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the addresses of a name, in order of preference; raises OSError when there are none."""

_MAX_URL: Final = 2048
_MAX_HOST: Final = 253
_MAX_PORT: Final = 65535
_URL: Final = re.compile(r"[!-~]+")  # visible ASCII: neither white space nor control characters, nor other alphabets
_AUTHORITY: Final = re.compile(r"(?P<host>\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?")
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_LOOPBACKS: Final = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")

# IANA's special-purpose registries (RFC 6890 and what followed), our own table because the standard library's
# `is_global` calls multicast, 6to4 and Teredo global and changes its mind between versions of Python.
_CLOSED_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # Azure's host agent: a public number that only a virtual machine's own host answers
    )
)  # fmt: skip
_UNICAST_V6: Final = IPv6Network("2000::/3")  # all else is local, reserved, multicast or a form of an IPv4 address
_CLOSED_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32", "2002::/16",  # documentation; 6to4
        "2620:4f:8000::/48", "3fff::/20",
    )
)  # fmt: skip
_NAT64: Final = IPv6Network("64:ff9b::/96")


@final
class OutboundRefused(BailiwickError, OSError):
    """We do not connect there. `reason` is for the operator who set the address.

    Also an OSError, as any other name or address that cannot be reached, so that whoever only connects needs no
    knowledge of this guard.
    """

    def __init__(self, reason: str) -> None:
        """`reason` is a clause without the address in it."""
        super().__init__(reason)
        self.reason = reason


@final
class OutboundGuard:
    """Judges URLs and addresses; holds no state."""

    def __init__(self, allow: tuple[Network, ...] = (), *, lookup: Lookup | None = None) -> None:
        """Open the networks of `allow`; `lookup` finds the addresses of names, of which without it none has any."""
        self._allow = allow
        self._lookup = lookup

    def check_url(self, url: str) -> None:
        """Raise OutboundRefused unless this is an absolute URL that we could be asked to fetch.

        Plain http is for an address inside `allow`, or for `localhost` when loopback is.
        """
        scheme, host = _split(url)
        if isinstance(host, str):
            allowed = bool(self._local(host))
            if _is_local(host) and not allowed:
                raise OutboundRefused("the address is not public")
        else:
            allowed = self._is_allowed(host)
            self.check_address(host)
        if scheme == "http" and not (allowed or self._may_be_inside(host)):
            raise OutboundRefused("the URL must start with https://")

    def check_address(self, address: Address) -> None:
        """Raise OutboundRefused unless the address is public or inside `allow`."""
        if not (self._is_allowed(address) or is_public(address)):
            raise OutboundRefused("the address is not public")

    async def resolve(self, host: str, port: int, *, plain: bool) -> list[tuple[str, int]]:
        """Return where to connect to for `host`, in order of preference; the caller connects nowhere else.

        `plain`: without TLS, which nobody between here and there may read, so only addresses inside `allow` will do.

        Raises OutboundRefused if the host is odd, has no address, or has one that is refused; OSError if the look-up
        fails.
        """
        _check_port(port)
        spelled = _parsed_host(host)
        if not isinstance(spelled, str):
            found: Sequence[Address] = (spelled,)
        elif _is_local(spelled):
            found = self._local(spelled)
        elif self._lookup is None:
            found = ()
        else:
            found = [_parsed_address(text) for text in await self._lookup(spelled, port)]
        if not found:
            raise OutboundRefused("the name has no address that is allowed")
        addresses = dict.fromkeys(map(_unmapped, found))
        for address in addresses:
            self.check_address(address)
            if plain and not self._is_allowed(address):
                raise OutboundRefused("an address outside the allowed networks needs https://")
        return [(str(address), port) for address in addresses]

    def _is_allowed(self, address: Address) -> bool:
        plain = _unmapped(address)
        return any(plain in network for network in self._allow)  # a network of the other family holds nothing of ours

    def _may_be_inside(self, host: Address | str) -> bool:
        """Whether a name could lead to an address in `allow`; which it does is judged when it is resolved."""
        return isinstance(host, str) and not _is_local(host) and bool(self._allow)

    def _local(self, name: str) -> Sequence[Address]:
        """Return the loopback addresses that `localhost` may stand for here (RFC 6761 §6.3: no look-up)."""
        return [address for address in _LOOPBACKS if self._is_allowed(address)] if _is_local(name) else []


def is_public(address: Address) -> bool:
    """Say whether an address belongs to the public Internet, also in its IPv6 forms of an IPv4 address."""
    plain = _unmapped(address)
    if isinstance(plain, IPv4Address):
        return not any(plain in network for network in _CLOSED_V4)
    if plain in _NAT64:  # how a host without IPv4 reaches IPv4 (RFC 6052): as public as what it stands for
        return is_public(IPv4Address(int(plain) & 0xFFFF_FFFF))
    return plain.scope_id is None and plain in _UNICAST_V6 and not any(plain in network for network in _CLOSED_V6)


def _split(url: str) -> tuple[str, Address | str]:
    """Return the scheme and the host of a URL that every parser reads alike; refuse all else."""
    if len(url) > _MAX_URL:
        raise OutboundRefused("the URL is too long")
    if _URL.fullmatch(url) is None:
        raise OutboundRefused("the URL holds a character that is not visible ASCII")
    if "\\" in url or "#" in url:
        raise OutboundRefused("the URL holds a backslash or a fragment")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise OutboundRefused("the URL cannot be read") from None
    if parts.scheme not in ("http", "https") or not url[len(parts.scheme) :].startswith("://"):
        raise OutboundRefused("the URL must start with https://")
    if "@" in parts.netloc:
        raise OutboundRefused("the URL holds a user name or password")
    match = _AUTHORITY.fullmatch(parts.netloc)
    if match is None:
        raise OutboundRefused("the URL's host or port cannot be read")
    if match["port"] is not None:
        _check_port(int(match["port"]))
    return parts.scheme, _parsed_host(match["host"])


def _unmapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv4-mapped one (::ffff:0:0/96) is to the system's sockets."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def _parsed_host(text: str) -> Address | str:
    """Return the address or the lower-case name that a host spells in its canonical form; refuse all else."""
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
        if ":" not in text:
            raise OutboundRefused("the host cannot be read")
    if ":" in text:
        return _parsed_address(text)
    name = text.lower()
    labels = name.split(".")
    if len(name) > _MAX_HOST or not all(map(_LABEL.fullmatch, labels)):
        raise OutboundRefused("the host is neither a name nor an address")
    # Whatever ends in a number is an address to some parser (127.1, 0x7f.1, 2130706433, 0177.0.0.1; URL Standard
    # §3.5): to us only in the one form that all of them read alike.
    return _parsed_address(name) if _NUMBER.fullmatch(labels[-1]) else name


def _parsed_address(text: str) -> Address:
    if "%" in text:
        raise OutboundRefused("the address names a zone")
    try:
        return ip_address(text)
    except ValueError:
        raise OutboundRefused("the address cannot be read") from None


def _is_local(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def _check_port(port: int) -> None:
    if not 0 < port <= _MAX_PORT:
        raise OutboundRefused("the port is out of range")
