"""Looking names up: one that nobody answers for holds up no other, and many who ask are one look-up."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from bailiwick.providers.names import Names
from bailiwick.providers.transport import ConnectFailed, Origin, Timeouts, Transport
from tests.providers.transport.calls import nowhere

MANY = 100


class Servers:
    """What stands for the servers of names: those that begin with `silent` are answered when the test is over."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = threading.Event()

    def getaddrinfo(self, host: str, port: int, **_kind: Any) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        if host.startswith("silent"):
            self.over.wait(30)
        if host.startswith("unknown"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]


@pytest.fixture
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.over.set()


@pytest.fixture
def names(servers: Servers) -> Names:
    return Names(getaddrinfo=servers.getaddrinfo)


async def test_names_that_nobody_answers_for_hold_up_no_other(names: Names, servers: Servers) -> None:
    waiting = [asyncio.create_task(names.addresses(f"silent{number}.example", 443)) for number in range(MANY)]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(2):
        assert await names.addresses("other.example", 443) == ["192.0.2.1"]
    servers.over.set()
    await asyncio.gather(*waiting)


async def test_a_name_is_looked_up_once_for_all_who_ask_meanwhile(names: Names, servers: Servers) -> None:
    waiting = [asyncio.create_task(names.addresses("silent.example", 443)) for _ in range(MANY)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    await asyncio.sleep(0.05)
    servers.over.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert servers.asked == ["silent.example"]
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [["192.0.2.1"]] * (MANY - 1)
    assert await names.addresses("silent.example", 443) == ["192.0.2.1"]
    assert len(servers.asked) == 2


async def test_a_name_without_an_address_is_a_failure_to_connect(names: Names) -> None:
    transport = Transport(resolve=nowhere, names=names)
    origin = Origin(scheme="http", host="unknown.example", port=80, guarded=False)
    with pytest.raises(ConnectFailed, match="the name has no address"):
        await transport.send(origin, b"", timeouts=Timeouts())
    await transport.aclose()


async def test_an_address_is_not_looked_up(names: Names, servers: Servers) -> None:
    assert await names.addresses("192.0.2.9", 443) == ["192.0.2.9"]
    assert await names.addresses("2001:db8::9", 443) == ["2001:db8::9"]
    assert servers.asked == []
