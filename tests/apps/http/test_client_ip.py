"""Whose address a request is counted by, and who is believed about it."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.apps.http.client_ip import OURSELVES, UNKNOWN, ClientIp

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")]
PROXY = "10.0.0.1"


def counted(peer: str | None, *forwarded: str, trusted: bool = True) -> str:
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return ClientIp(TRUSTED if trusted else []).of(peer, [(b"accept", b"*/*"), *headers])


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        # Nobody believes a stranger.
        ("198.51.100.7", ["203.0.113.9"], "198.51.100.7"),
        ("198.51.100.7", ["10.0.0.1"], "198.51.100.7"),
        # From right to left, as far as proxies vouch.
        (PROXY, ["203.0.113.9"], "203.0.113.9"),
        (PROXY, ["1.1.1.1, 203.0.113.9"], "203.0.113.9"),
        (PROXY, ["1.1.1.1, 203.0.113.9, 10.2.3.4"], "203.0.113.9"),
        (PROXY, ["1.1.1.1, 203.0.113.9 ,10.2.3.4,  10.9.9.9"], "203.0.113.9"),
        (PROXY, ["10.2.3.4, 203.0.113.9"], "203.0.113.9"),
        (PROXY, ["10.2.3.4, 10.9.9.9"], "10.2.3.4"),
        # Several headers are one list.
        (PROXY, ["1.1.1.1", "203.0.113.9"], "203.0.113.9"),
        (PROXY, ["203.0.113.9", "10.2.3.4"], "203.0.113.9"),
        # A proxy that says nothing speaks for itself.
        (PROXY, [], PROXY),
        (PROXY, [""], PROXY),
        (PROXY, [" , "], PROXY),
        (PROXY, ["203.0.113.9,"], "203.0.113.9"),
        # A proxy that says nonsense.
        (PROXY, ["unknown"], UNKNOWN),
        (PROXY, ["203.0.113.9, unknown"], UNKNOWN),
        (PROXY, ["203.0.113.9, 999.1.1.1"], UNKNOWN),
        (PROXY, ["203.0.113.9, 010.1.1.1"], UNKNOWN),
        (PROXY, ["203.0.113.9, 10.1"], UNKNOWN),
        (PROXY, ["unknown, 203.0.113.9"], "203.0.113.9"),
        (PROXY, ["\xff"], UNKNOWN),
        # With a port, as some proxies write it.
        (PROXY, ["203.0.113.9:51234"], "203.0.113.9"),
        (PROXY, ["[2a00:1450::5]:443"], "2a00:1450::/64"),
        (PROXY, ["[2a00:1450::5]"], "2a00:1450::/64"),
        (PROXY, ["203.0.113.9, 10.2.3.4:80"], "203.0.113.9"),
        # IPv6 is counted by its /64; the zone is nobody's business.
        ("2a00:1450:4001:82b::200e", [], "2a00:1450:4001:82b::/64"),
        ("2a00:1450:4001:82b:ffff:1:2:3", [], "2a00:1450:4001:82b::/64"),
        ("2a00:1450:4001:82c::200e", [], "2a00:1450:4001:82c::/64"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("2001:db8::1", ["203.0.113.9"], "203.0.113.9"),
        ("2001:db9::1", ["203.0.113.9"], "2001:db9::/64"),
        # An IPv4 address over an IPv6 socket is an IPv4 address.
        ("::ffff:198.51.100.7", [], "198.51.100.7"),
        ("::ffff:10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        (PROXY, ["::ffff:203.0.113.9"], "203.0.113.9"),
        # No address at all: a Unix socket.
        (None, ["203.0.113.9"], UNKNOWN),
        ("", [], UNKNOWN),
    ],
)
def test_a_request_is_counted_by(peer: str | None, forwarded: list[str], expected: str) -> None:
    assert counted(peer, *forwarded) == expected


def test_without_trusted_proxies_the_header_is_never_believed() -> None:
    assert counted(PROXY, "203.0.113.9", trusted=False) == PROXY


@given(st.lists(st.ip_addresses().map(str) | st.text(st.sampled_from("1.:,[]a x%"), max_size=12), max_size=4))
def test_what_a_client_writes_left_of_the_truth_changes_nothing(invented: list[str]) -> None:
    assert counted(PROXY, ", ".join([*invented, "203.0.113.9", "10.2.3.4"])) == "203.0.113.9"


@given(st.text(max_size=40), st.lists(st.text(st.characters(max_codepoint=255), max_size=40), max_size=3))
def test_nothing_raises(peer: str, forwarded: list[str]) -> None:
    assert counted(peer, *forwarded)
    assert counted(PROXY, *forwarded)


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_all_addresses_of_a_subscriber_count_as_one(address: object, host: int) -> None:
    assert isinstance(address, IPv6Address)
    neighbour = IPv6Address(int(address) >> 64 << 64 | host)
    if address.ipv4_mapped is None and neighbour.ipv4_mapped is None:
        assert counted(str(address), trusted=False) == counted(str(neighbour), trusted=False)


def test_a_process_of_ours_is_believed_for_whom_it_asks_and_no_header_can_claim_to_be_one() -> None:
    client_ip = ClientIp([])
    said = [(b"x-forwarded-for", b"192.0.2.7")]
    assert client_ip.of(OURSELVES, said) == "192.0.2.7"
    assert str(client_ip.exact(OURSELVES, said)) == "192.0.2.7"
    behind_proxy = ClientIp([ip_network("127.0.0.0/8")])
    for claim in (OURSELVES, OURSELVES.strip(","), f"{OURSELVES} "):
        hops = [(b"x-forwarded-for", b"192.0.2.7, " + claim.encode())]
        assert client_ip.of("127.0.0.1", hops) == "127.0.0.1"
        assert behind_proxy.of("127.0.0.1", hops) == UNKNOWN
