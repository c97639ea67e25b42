"""The outbound guard: which URLs may be set, and where a connection may go."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.identity.outbound import Address, OutboundGuard, OutboundRefused, is_public

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

NOT_PUBLIC = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.255.0.3",
    "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "168.63.129.16",
)  # fmt: skip
NOT_PUBLIC_V6 = (
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:0:8.8.8.8", "100::1", "64:ff9b:1::1", "fc00::1", "fd00:ec2::254",
    "fd20:ce::254", "fe80::1", "fec0::1", "ff02::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:2::1",
    "2001:10::1", "2001:20::1", "2001:db8::1", "2002:808:808::1", "2002:7f00:1::", "3fff::1", "4000::1", "5f00::1",
    "2620:4f:8000::1",
)  # fmt: skip
PUBLIC = (
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.1",
    "172.15.255.255", "172.32.0.0", "192.167.255.255", "192.169.0.0", "223.255.255.255", "2001:4860:4860::8888",
    "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
)  # fmt: skip


def guard_of(names: dict[str, Sequence[str]], *allow: str) -> OutboundGuard:
    async def lookup(host: str, port: int) -> Sequence[str]:
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return names[host]

    return OutboundGuard(tuple(map(ip_network, allow)), lookup=lookup)


# what may be set


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com/v1",
        "https://API.Example.COM:8443/v1/",
        "HTTPS://api.example.com/",
        "https://issuer.example/keys?x=1&y=%20",
        "https://xn--mnchen-3ya.example/",
        "https://a_b.example/",
        "https://8.8.8.8/v1",
        "https://[2606:4700:4700::1111]:443/v1",
        "https://1e100.net/",
    ],
)
def test_an_ordinary_url_is_accepted(url: str) -> None:
    OutboundGuard().check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "", "https", "https:", "https://", "https:///v1", "https:api.example.com", "https:/api.example.com",
        "//api.example.com", "api.example.com", "http://api.example.com", "http://8.8.8.8/", "ftp://api.example.com",
        "file:///etc/passwd", "gopher://x.example/", "data:text/plain,x", "javascript:alert(1)", "httpss://x.example",
    ],
)  # fmt: skip
def test_only_https_is_accepted(url: str) -> None:
    with pytest.raises(OutboundRefused):
        OutboundGuard().check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://user@api.example.com", "https://user:pass@api.example.com", "https://@api.example.com",
        "https://api.example.com@127.0.0.1/", "https://127.0.0.1;@api.example.com/",
        "https://api.example.com#x", "https://api.example.com/#", "https://api.example.com/#@127.0.0.1",
        "https://api.example.com\\@127.0.0.1/", "https:\\\\api.example.com", "https://api.example.com/a\\b",
        " https://api.example.com", "https://api.example.com ", "https://api.example.com/a b",
        "https://api.exa\nmple.com", "https://api.example.com/\r\nx: y", "ht\ttps://api.example.com",
        "https://api.example.com/\x00", "https://api.example.com/\x7f", "https://api.example.com/é",
        "https://bücher.example/", "https://ⓔxample.com/", "https://example。com/", "https://\uff11\uff12\uff17.0.0.1/",
        "https://api.example.com:0/", "https://api.example.com:65536/", "https://api.example.com:99999/",
        "https://api.example.com:443443/", "https://api.example.com:-1/", "https://api.example.com:+443/",
        "https://api.example.com:4_3/", "https://api.example.com:http/", "https://api.example.com:/",
        "https://api.example.com:443:80/", "https://api.example.com:٤٤٣/",
        "https://api.example.com./", "https://.example.com/", "https://api..example.com/", "https://-a.example/",
        "https://a-.example/", "https://a%2eexample/", "https://%31%32%37.0.0.1/", "https://a,b.example/",
        "https://[api.example.com]/", "https://[8.8.8.8]/", "https://[::1/", "https://::1/", "https://[]/",
        "https://[v1.fe80::a]/", "https://[2606:4700:4700::1111]x/", "https://[2606:4700:4700::1111]]/",
        "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[2606:4700:4700::1111%25eth0]/",
        f"https://{'a' * 64}.example/", f"https://{'a.' * 126}example/", "https://api.example.com/" + "x" * 2048,
    ],
)  # fmt: skip
def test_a_url_that_parsers_could_read_differently_is_refused(url: str) -> None:
    with pytest.raises(OutboundRefused):
        OutboundGuard((ip_network("0.0.0.0/0"), ip_network("::/0"))).check_url(url)


ODD_SPELLINGS = (
    "127.1", "127.0.1", "0x7f.1", "0x7f.0.0.1", "0X7F.1", "0x7f000001", "0x", "2130706433", "017700000001",
    "0177.0.0.1", "0177.0.0.01", "127.0.0.01", "00127.0.0.1", "127.0.0.1.", "127.0.0.0x1", "127.0.0.256", "256.1.1.1",
    "1.2.3.4.5", "3232235521", "0xa9fea9fe", "169.254.43518", "a.1", "example.0x1", "127。0。0。1", "①②⑦.0.0.1",
    "localhost.", "[127.0.0.1]", "[::ffff:127.0.0.1%lo]", "::1%1", "fe80::1%eth0", "[::1", "::1]", "", ".", "..",
    "127.0.0.1 ", " 127.0.0.1", "127.0.0.1\n", "127.0.0.1\x00", "user@host.example",
    "127.0.0.1/", "127.0.0.1:80",  # in a URL: a path, a port
)  # fmt: skip


@pytest.mark.parametrize("host", ODD_SPELLINGS[:-2])
def test_an_odd_spelling_is_refused_in_a_url_even_where_everything_is_open(host: str) -> None:
    with pytest.raises(OutboundRefused):
        OutboundGuard((ip_network("0.0.0.0/0"), ip_network("::/0"))).check_url(f"https://{host}/v1")


@pytest.mark.parametrize("host", ODD_SPELLINGS)
async def test_an_odd_spelling_is_refused_at_the_connection_too(host: str) -> None:
    guard = OutboundGuard((ip_network("0.0.0.0/0"), ip_network("::/0")))
    with pytest.raises(OutboundRefused):
        await guard.resolve(host, 443, plain=False)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_cannot_be_set(address: str) -> None:
    for form in (address, f"[::ffff:{address}]", f"[64:ff9b::{address}]"):
        with pytest.raises(OutboundRefused, match="not public"):
            OutboundGuard().check_url(f"https://{form}/")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "LocalHost", "foo.localhost", "a.b.LOCALHOST"])
def test_localhost_cannot_be_set(host: str) -> None:
    with pytest.raises(OutboundRefused, match="not public"):
        OutboundGuard().check_url(f"https://{host}/")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "https://127.0.0.1/",
        "http://localhost:11434",
        "http://[::1]:80/",
        "http://a.localhost/",
    ],
)
def test_loopback_can_be_opened_with_plain_http(url: str) -> None:
    OutboundGuard(LOOPBACK).check_url(url)


def test_an_open_network_opens_nothing_else() -> None:
    guard = OutboundGuard((ip_network("10.1.0.0/16"),))
    guard.check_url("http://10.1.2.3/")
    for url in (
        "http://10.2.0.1/",
        "https://10.2.0.1/",
        "http://8.8.8.8/",
        "http://localhost/",
    ):
        with pytest.raises(OutboundRefused):
            guard.check_url(url)


async def test_a_name_inside_an_open_network_may_do_without_tls() -> None:
    guard = guard_of({"models": ["10.1.2.3"]}, "10.1.0.0/16")
    guard.check_url("http://models:8000/v1")
    assert await guard.resolve("models", 8000, plain=True) == [("10.1.2.3", 8000)]


async def test_a_public_name_needs_tls_whatever_network_is_open() -> None:
    guard = guard_of({"api.example.com": ["93.184.215.14"]}, "10.1.0.0/16")
    assert await guard.resolve("api.example.com", 443, plain=False)
    with pytest.raises(OutboundRefused, match="https"):
        await guard.resolve("api.example.com", 80, plain=True)


def test_a_name_needs_tls_where_no_network_is_open() -> None:
    with pytest.raises(OutboundRefused, match="https"):
        OutboundGuard().check_url("http://models:8000/v1")


# where a connection may go


@pytest.mark.parametrize("address", [*NOT_PUBLIC, *NOT_PUBLIC_V6])
async def test_a_name_that_points_inside_is_refused(address: str) -> None:
    with pytest.raises(OutboundRefused, match="not public"):
        await guard_of({"evil.example": [address]}).resolve("evil.example", 443, plain=False)


@pytest.mark.parametrize("address", [*NOT_PUBLIC, *NOT_PUBLIC_V6])
async def test_an_address_that_is_not_public_is_refused_as_a_host(address: str) -> None:
    with pytest.raises(OutboundRefused, match="not public"):
        await OutboundGuard().resolve(address, 443, plain=False)


@pytest.mark.parametrize("address", PUBLIC)
async def test_a_name_that_points_outside_is_resolved(address: str) -> None:
    found = await guard_of({"good.example": [address]}).resolve("Good.EXAMPLE", 8443, plain=False)
    assert found == [(str(ip_address(address.removeprefix("::ffff:"))), 8443)]


async def test_one_bad_address_condemns_all_of_them() -> None:
    guard = guard_of({"mixed.example": ["8.8.8.8", "2606:4700:4700::1111", "169.254.169.254"]})
    with pytest.raises(OutboundRefused):
        await guard.resolve("mixed.example", 443, plain=False)


async def test_addresses_keep_their_order_and_lose_their_repetitions() -> None:
    guard = guard_of({"good.example": ["2606:4700:4700::1111", "8.8.8.8", "::ffff:8.8.8.8", "8.8.8.8"]})
    assert await guard.resolve("good.example", 443, plain=False) == [("2606:4700:4700::1111", 443), ("8.8.8.8", 443)]


async def test_every_resolution_judges_anew() -> None:
    names: dict[str, Sequence[str]] = {"rebind.example": ["8.8.8.8"]}
    guard = guard_of(names)
    assert await guard.resolve("rebind.example", 443, plain=False) == [("8.8.8.8", 443)]
    names["rebind.example"] = ["127.0.0.1"]
    with pytest.raises(OutboundRefused):
        await guard.resolve("rebind.example", 443, plain=False)


async def test_a_name_may_point_into_an_open_network() -> None:
    guard = guard_of({"vllm.internal": ["10.1.2.3"], "db.internal": ["10.2.0.1"]}, "10.1.0.0/16")
    assert await guard.resolve("vllm.internal", 8000, plain=False) == [("10.1.2.3", 8000)]
    with pytest.raises(OutboundRefused):
        await guard.resolve("db.internal", 8000, plain=False)


async def test_an_open_ipv4_network_does_not_open_its_nat64_form() -> None:
    with pytest.raises(OutboundRefused):
        await OutboundGuard((ip_network("10.0.0.0/8"),)).resolve("64:ff9b::a00:1", 443, plain=False)


async def test_localhost_is_never_looked_up() -> None:
    guard = guard_of({"localhost": ["8.8.8.8"]}, "127.0.0.0/8")
    assert await guard.resolve("localhost", 80, plain=False) == [("127.0.0.1", 80)]
    with pytest.raises(OutboundRefused):
        await guard_of({"localhost": ["8.8.8.8"]}).resolve("localhost", 80, plain=False)


@pytest.mark.parametrize("answer", ["fe80::1%eth0", "8.8.8.8%1", "127.1", "0x7f.1", "2130706433", "localhost", ""])
async def test_an_odd_answer_of_the_resolver_is_refused(answer: str) -> None:
    with pytest.raises(OutboundRefused):
        await guard_of({"odd.example": [answer]}, "0.0.0.0/0", "::/0").resolve("odd.example", 443, plain=False)


async def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(OutboundRefused):
        await guard_of({"empty.example": []}).resolve("empty.example", 443, plain=False)


async def test_an_unknown_name_is_the_resolvers_own_error() -> None:
    with pytest.raises(socket.gaierror):
        await guard_of({}).resolve("unknown.example", 443, plain=False)


@pytest.mark.parametrize("port", [0, -1, 65536])
async def test_a_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(OutboundRefused):
        await OutboundGuard().resolve("8.8.8.8", port, plain=False)


async def test_the_systems_resolver_is_the_default() -> None:
    assert await OutboundGuard(LOOPBACK).resolve("127.0.0.1", 80, plain=False) == [("127.0.0.1", 80)]


def test_a_refusal_is_an_os_error_and_tells_no_address() -> None:
    with pytest.raises(OSError, match="not public") as caught:
        OutboundGuard().check_url("https://10.11.12.13/")
    assert isinstance(caught.value, OutboundRefused)
    assert caught.value.reason == str(caught.value)
    assert "10.11" not in str(caught.value)


# properties

V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(IPv6Address)


@given(V4)
def test_no_form_of_an_ipv4_address_is_more_public_than_it_is(address: IPv4Address) -> None:
    number = int(address)
    mapped = IPv6Address(0xFFFF << 32 | number)
    nat64 = IPv6Address(0x64_FF9B << 96 | number)
    assert is_public(mapped) == is_public(nat64) == is_public(address)
    for dead in (number, 0xFFFF << 48 | number, 0x2002 << 112 | number << 80 | 1, 0x2001 << 112 | number ^ 0xFFFF_FFFF):
        assert not is_public(IPv6Address(dead))


@given(V4 | V6)
def test_what_is_public_to_us_is_never_private_to_the_standard_library(address: Address) -> None:
    if is_public(address):
        assert not address.is_multicast
        if isinstance(address, IPv4Address) or not (address.ipv4_mapped or address in IPv6Network("64:ff9b::/96")):
            assert address.is_global


@given(st.sampled_from([*NOT_PUBLIC, *NOT_PUBLIC_V6, *PUBLIC]), V4 | V6)
async def test_resolve_returns_only_what_is_public(one: str, other: Address) -> None:
    guard = guard_of({"some.example": [one, str(other)]})
    try:
        found = await guard.resolve("some.example", 443, plain=False)
    except OutboundRefused:
        assert not (is_public(other) and one in PUBLIC)
    else:
        assert is_public(other)
        assert one in PUBLIC
        assert found


def spelled(address: IPv4Address, forms: tuple[str, ...], parts: int) -> str:
    """Write an IPv4 address as inet_aton would read it: `parts` numbers, each decimal, octal or hexadecimal."""
    octets = list(address.packed)
    numbers = [*octets[: parts - 1], int.from_bytes(bytes(octets[parts - 1 :]), "big")]
    return ".".join(format_ % number for format_, number in zip(forms, numbers, strict=False))


@given(V4, st.tuples(*[st.sampled_from(["%d", "0%o", "0x%x", "0X%X", "00%d"])] * 4), st.integers(1, 4))
def test_no_spelling_of_a_private_address_slips_through(
    address: IPv4Address, forms: tuple[str, ...], parts: int
) -> None:
    host = spelled(address, forms, parts)
    canonical = host == str(address)
    try:
        OutboundGuard().check_url(f"https://{host}/")
    except OutboundRefused:
        assert not (canonical and is_public(address))
    else:
        assert canonical
        assert is_public(address)


@given(st.text(max_size=40))
def test_whatever_the_text_the_answer_is_a_judgement(text: str) -> None:
    for url in (text, f"https://{text}", f"https://{text}/v1", f"https://a.example{text}"):
        try:
            OutboundGuard(LOOPBACK).check_url(url)
        except OutboundRefused as refusal:
            assert refusal.reason  # noqa: PT017 - both outcomes are fine, any other exception is not
