"""The composition root: builds each process's parts from plain values, and closes them in reverse.

This is the one module that reads the clock and draws randomness; everything below gets them as parameters.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Final, final
from uuid import UUID

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.ids import uuid7_int
from bailiwick.identity.keyring import GatewayKeys
from bailiwick.identity.outbound import OutboundGuard
from bailiwick.identity.sealing import provider_row_identity, unseal
from bailiwick.limiting.in_process import InProcessLimitStore
from bailiwick.providers.echo import EchoProvider
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.openai import OpenAIProvider
from bailiwick.providers.prices import list_price
from bailiwick.providers.provider import ChatProvider
from bailiwick.providers.transport import Transport
from bailiwick.services.admission import Admission
from bailiwick.services.authentication import Authentication
from bailiwick.services.guard import Guard
from bailiwick.services.metering import Metering
from bailiwick.services.pipeline import Pipeline
from bailiwick.services.serving import Serving
from bailiwick.services.usage import UsageReports
from bailiwick.storage.credentials import CredentialLookup
from bailiwick.storage.epoch import Epoch, follow_epoch
from bailiwick.storage.ledger import Ledger
from bailiwick.storage.limit_history import LimitHistory
from bailiwick.storage.scope import Database, open_pool
from bailiwick.storage.serving import ServingLookup, StoredOffer

_BEAT_SECONDS: Final = 1.0
_APP_CONNECTIONS: Final = 8
_LONGEST_WAIT_FOR_EPOCH: Final = 1000  # hundredths of a second


def now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


@final
class NewId:
    """Makes UUIDv7s, as 32 hex digits. Randomness is drawn for many at once: each draw is a system call."""

    __slots__ = ("_drawn", "_used")

    _EACH: Final = 10
    _AT_ONCE: Final = 4000

    def __init__(self) -> None:
        self._drawn = b""
        self._used = 0

    def __call__(self) -> str:
        """Make one."""
        start = self._used
        if start >= len(self._drawn):
            self._drawn, start = os.urandom(self._AT_ONCE), 0
        self._used = start + self._EACH
        return f"{uuid7_int(time.time_ns() // 1_000_000, self._drawn[start : start + self._EACH]):032x}"


new_id = NewId()


@final
class SteadyClock:
    """Unix time in nanoseconds that never goes back: the wall clock at its making, and what has passed since.

    For limits: a wall clock that is set back would stop every bucket from draining until it has caught up.
    """

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()

    def __call__(self) -> int:
        """Tell the time."""
        return time.monotonic_ns() + self._offset


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """What a gateway process serves with."""

    pipeline: Pipeline
    usage: UsageReports
    guard: Guard
    transport: Transport
    epoch: Epoch


@asynccontextmanager
async def gateway(
    *,
    app_url: str,
    ledger_url: str,
    keys: GatewayKeys,
    outbound_allow: Sequence[IPv4Network | IPv6Network],
    limits: InProcessLimitStore,
    limits_remembered: bool,
    guard_requests: int,
    guard_failures: int,
    timeouts: Timeouts,
) -> AsyncGenerator[GatewayParts]:
    """Build a gateway: connected, its lease taken, its caches following the epoch.

    `limits_remembered`: `limits` holds all that its predecessor knew; else the ledger is asked, project by project.
    On the way out every settlement that is still to be written is written. Raises `Unavailable` without a database.
    """
    outbound = OutboundGuard(tuple(outbound_allow))
    steady = SteadyClock()
    async with AsyncExitStack() as stack:
        pool = open_pool(app_url, name="gateway", size=_APP_CONNECTIONS)
        await pool.open(wait=False)
        stack.push_async_callback(pool.close)
        database = Database(pool)
        epoch = Epoch(time.monotonic)
        stack.push_async_callback(_stop, asyncio.create_task(follow_epoch(epoch, app_url, time.monotonic)))

        ledger = Ledger(ledger_url, UUID(hex=new_id()))
        await ledger.beat()
        stack.push_async_callback(ledger.aclose)
        metering = Metering(ledger, now_ns=time.time_ns, monotonic_ns=time.monotonic_ns)
        stack.push_async_callback(_stop, asyncio.create_task(_beat(ledger)))
        stack.push_async_callback(metering.drain)

        transport = Transport(resolve=outbound.resolve)
        stack.push_async_callback(transport.aclose)

        def connect(stored: StoredOffer) -> ChatProvider:
            row = provider_row_identity(stored.tenant_id, stored.project_id, stored.provider_id)
            secret = None if stored.secret is None else unseal(keys.sealing, row, stored.secret)
            return OpenAIProvider(
                transport, base_url=stored.base_url, secret=secret, guarded=stored.guarded, timeouts=timeouts
            )

        await _confirmed(epoch)
        yield GatewayParts(
            pipeline=Pipeline(
                authentication=Authentication(CredentialLookup(database), epoch, pepper=keys.pepper, now=now),
                serving=Serving(
                    ServingLookup(database),
                    epoch,
                    connect=connect,
                    echo=EchoProvider(now=lambda: int(time.time()), new_id=new_id),
                    list_price=list_price,
                    now_ns=time.time_ns,
                ),
                admission=Admission(limits, LimitHistory(database), remembers=limits_remembered, now_ns=steady),
                metering=metering,
                pseudonym_key=keys.pseudonyms,
            ),
            usage=UsageReports(database),
            guard=Guard(InProcessLimitStore(), requests=guard_requests, failures=guard_failures, now_ns=steady),
            transport=transport,
            epoch=epoch,
        )


async def _confirmed(epoch: Epoch) -> None:
    """Wait until the epoch is known; raises `Unavailable` when the database does not tell it."""
    for _ in range(_LONGEST_WAIT_FOR_EPOCH):
        if epoch.fresh:
            return
        await asyncio.sleep(0.01)
    raise Unavailable(cause="the epoch is not known")


async def _beat(ledger: Ledger) -> None:
    while True:
        await asyncio.sleep(_BEAT_SECONDS)
        with suppress(Unavailable):  # The next one comes in a second.
            await ledger.beat()


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
