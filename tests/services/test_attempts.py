"""A request that its provider cannot have heard goes to it again, at once; told apart on a real connection."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, Final
from uuid import UUID

import pytest

from bailiwick.domain.ids import ProviderId, TenantId
from bailiwick.domain.models import Offer, ProviderKind, Route
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.openai import OpenAIProvider
from bailiwick.providers.provider import Ask
from bailiwick.providers.transport import Transport
from bailiwick.services.attempts import Attempt, Attempts
from bailiwick.services.circuits import CircuitKey, Circuits
from bailiwick.services.metering import Meter, Metering
from bailiwick.services.serving import Served
from tests.providers.transport.calls import nowhere
from tests.storage.ledger_calls import new_call
from tests.upstream import Upstream

# The parts of a meter that an attempt does not touch.
_ANY: Final[Any] = None
# A client that waits.
_THERE: Final[Any] = SimpleNamespace(client_gone=False)
ASK: Final = Ask(path="/chat/completions", body=b'{"model":"m"}', stream=False)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
async def served(upstream: Upstream) -> AsyncIterator[Served]:
    transport = Transport(resolve=nowhere)
    provider = OpenAIProvider(
        transport, kind=ProviderKind.OPENAI, base_url=upstream.base_url, secret="s", guarded=False, timeouts=Timeouts()
    )
    offer = Offer(id=ProviderId(UUID(int=1)), name="up", kind=ProviderKind.OPENAI, models=None, shared=False)
    route = Route(offer=offer, model="m", names=("up/m",))
    key = CircuitKey(TenantId(UUID(int=1)), offer.id, "m", offer.kind)
    yield Served(route=route, provider=provider, price=None, circuit=key)
    await transport.aclose()


async def _write(_served: Served) -> Ask:
    return ASK


@pytest.mark.skipif(sys.platform != "linux", reason="what a peer had received is known on Linux only")
async def test_a_request_on_a_connection_that_was_closed_meanwhile_is_sent_again(
    upstream: Upstream, served: Served
) -> None:
    told: list[object] = []
    attempts = Attempts(Circuits(now=time.monotonic, report=lambda *change: told.append(change)), total=5.0)
    metering = Metering(_ANY, _ANY, _ANY, max_open=1, now_ns=time.time_ns, monotonic_ns=time.monotonic_ns)
    for number in range(8):  # More than would open a circuit.
        meter = Meter(metering, _ANY, new_call(), served, _ANY, time.monotonic_ns())
        attempt = Attempt(served=served, ask=ASK, later=(), write=_write)
        _, exchange = await attempts.send(attempt, meter, _THERE)
        await exchange.read(1 << 20)
        assert len(upstream.requests) == number + 1
        upstream.drop_connections()  # The end is here, and our loop has had no turn to see it.
    assert told == []
