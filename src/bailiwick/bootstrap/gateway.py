"""Builds the gateway process: its connections, its caches, its pipeline; and closes them in reverse."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Final, final
from uuid import UUID

from bailiwick.bootstrap.ambient import SteadyClock, new_id
from bailiwick.bootstrap.credentials import CredentialParts, credential_parts
from bailiwick.bootstrap.mcp import tool_calls, tool_servers
from bailiwick.domain.errors import Unavailable
from bailiwick.domain.models import ProviderKind
from bailiwick.identity.keyring import GatewayKeys
from bailiwick.identity.outbound import OutboundGuard
from bailiwick.identity.sealing import provider_row_identity, unseal_with_any
from bailiwick.limiting.in_process import InProcessLimitStore
from bailiwick.providers.echo import EchoProvider
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.names import Names
from bailiwick.providers.openai import OpenAIProvider
from bailiwick.providers.prices import context_window, quoted
from bailiwick.providers.provider import ModelProvider
from bailiwick.providers.transport import Transport
from bailiwick.services.admission import Admission
from bailiwick.services.allowances import Allowances
from bailiwick.services.attempts import Attempts
from bailiwick.services.circuits import Circuits, Report
from bailiwick.services.guard import Guard
from bailiwick.services.metering import Metering
from bailiwick.services.origins import Origins
from bailiwick.services.outside_documents import OutsideDocuments
from bailiwick.services.pipeline import Pipeline
from bailiwick.services.refusals import Refusals
from bailiwick.services.serving import PriceList, Serving
from bailiwick.services.tool_calls import ToolCalls
from bailiwick.services.usage import UsageReports
from bailiwick.storage.epoch import Epoch, follow_epoch
from bailiwick.storage.ledger import Ledger
from bailiwick.storage.limit_history import LimitHistory
from bailiwick.storage.origins import OriginLookup
from bailiwick.storage.refused_calls import RefusalStore
from bailiwick.storage.scope import Conninfo, Database, open_pool
from bailiwick.storage.serving import ServingLookup, StoredOffer
from bailiwick.telemetry.exposition import Standing
from bailiwick.telemetry.observer import Observer

_BEAT_SECONDS: Final = 1.0
_APP_CONNECTIONS: Final = 8
# A report may read for half a minute: it takes no connection from the look-ups that every call depends on.
_REPORT_CONNECTIONS: Final = 4
_LONGEST_WAIT_FOR_EPOCH: Final = 200  # hundredths of a second
_POOL_CLOSE_SECONDS: Final = 1.0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayParts:
    """What a gateway process serves with."""

    pipeline: Pipeline
    tool_calls: ToolCalls
    origins: Origins
    usage: UsageReports
    allowances: Allowances
    credentials: CredentialParts
    guard: Guard
    transport: Transport
    epoch: Epoch
    standing: Callable[[], Standing]


@asynccontextmanager
async def gateway(
    *,
    app_url: Conninfo,
    ledger_url: Conninfo,
    sealing: Callable[[], Sequence[bytes]],
    keys: GatewayKeys,
    public_url: str,
    outbound_allow: Sequence[IPv4Network | IPv6Network],
    limits: InProcessLimitStore,
    observer: Observer,
    guard_requests: int,
    guard_failures: int,
    max_open_calls: int,
    timeouts: Timeouts,
    report_circuit: Report,
) -> AsyncGenerator[GatewayParts]:
    """Build a gateway: connected, its lease taken, its caches following the epoch.

    Where to log in, and what secrets are sealed with, is asked at each need: it may change. What `limits` forgot, the
    ledger is asked for. `report_circuit` is told whom we leave alone. On the way out every settlement is written.
    """
    async with AsyncExitStack() as stack:
        database, reports = await _databases(stack, app_url)
        epoch = await _epoch(stack, app_url)
        admission = _admission(stack, limits, database, steady := SteadyClock())
        ledger = await _ledger(stack, ledger_url, observer)
        metering = _metering(stack, ledger, admission, observer, max_open_calls)
        transport, documents = _transport(stack, outbound_allow)
        known = credential_parts(stack, database, epoch, keys, documents, sealing=sealing, public_url=public_url)
        speakers = Speakers(transport, sealing, timeouts=timeouts, aside=(aside := _aside(stack)))
        attempts = Attempts(Circuits(now=time.monotonic, report=report_circuit), total=timeouts.total)
        serving = _serving(database, epoch, speakers, ledger)
        pipeline = _pipeline(known, serving, admission, metering, attempts, keys, aside)
        servers = tool_servers(database, epoch, transport, sealing, timeouts)
        yield GatewayParts(
            pipeline=pipeline,
            tool_calls=tool_calls(pipeline, servers, admission, metering, keys, aside),
            origins=Origins(OriginLookup(database), epoch),
            usage=UsageReports(reports),
            allowances=Allowances(reports, admission, now_ns=steady),
            credentials=known,
            guard=Guard(InProcessLimitStore(), requests=guard_requests, failures=guard_failures, now_ns=steady),
            transport=transport,
            epoch=epoch,
            standing=partial(_standing, transport, (database, reports), ledger, admission, attempts, epoch, observer),
        )


def _pipeline(
    known: CredentialParts,
    serving: Serving,
    admission: Admission,
    metering: Metering,
    attempts: Attempts,
    keys: GatewayKeys,
    aside: Executor,
) -> Pipeline:
    return Pipeline(
        authentication=known.authentication,
        serving=serving,
        admission=admission,
        metering=metering,
        attempts=attempts,
        pseudonym_key=keys.pseudonyms,
        aside=aside,
    )


def _transport(
    stack: AsyncExitStack, outbound_allow: Sequence[IPv4Network | IPv6Network]
) -> tuple[Transport, OutsideDocuments]:
    """The way to providers, and to what issuers publish."""
    names = Names()
    guard = OutboundGuard(tuple(outbound_allow), lookup=names.addresses)
    made = Transport(resolve=guard.resolve, names=names)
    stack.push_async_callback(made.aclose)
    return made, OutsideDocuments(made, guard)


def _admission(
    stack: AsyncExitStack, limits: InProcessLimitStore, database: Database, now_ns: SteadyClock
) -> Admission:
    made = Admission(limits, LimitHistory(database), now_ns=now_ns)
    stack.push_async_callback(made.aclose)
    return made


def _take_notes(stack: AsyncExitStack, ledger_url: Conninfo, observer: Observer) -> None:
    """Take notes of refused calls, and write them; the last ones on the way out."""
    store = RefusalStore(ledger_url, UUID(hex=new_id()))
    refusals = Refusals(store, observer.metrics, now_us=lambda: time.time_ns() // 1_000)
    observer.refused = refusals.note
    stack.push_async_callback(store.aclose)
    stack.push_async_callback(refusals.flush)
    stack.push_async_callback(_stop, asyncio.create_task(refusals.run()))


def _serving(database: Database, epoch: Epoch, speakers: Speakers, ledger: Ledger) -> Serving:
    return Serving(
        ServingLookup(database),
        epoch,
        connect=speakers,
        prices=PriceList(quoted, context_window, ledger.prices.note),
        now_ns=time.time_ns,
    )


def _metering(
    stack: AsyncExitStack, ledger: Ledger, admission: Admission, observer: Observer, max_open: int
) -> Metering:
    made = Metering(ledger, admission, observer, max_open=max_open, now_ns=time.time_ns, monotonic_ns=time.monotonic_ns)
    stack.push_async_callback(made.drain)
    return made


def _standing(
    transport: Transport,
    databases: tuple[Database, Database],
    ledger: Ledger,
    admission: Admission,
    attempts: Attempts,
    epoch: Epoch,
    observer: Observer,
) -> Standing:
    connections, idle = transport.connections()
    spans = observer.spans
    return Standing(
        connections=connections,
        idle_connections=idle,
        database_pools={"gateway": databases[0].connections(), "reports": databases[1].connections()},
        settlements_waiting=ledger.settlements_waiting,
        limit_buckets=admission.buckets,
        queue_calls=len(admission.waiting),
        queue_waits_ms=admission.waiting.waits,
        open_circuits=attempts.circuits.open_now(),
        circuit_openings=attempts.circuits.openings,
        database_up=epoch.fresh,
        spans_sent=0 if spans is None else spans.queue.sent,
        spans_dropped=0 if spans is None else spans.queue.dropped,
    )


@final
class Speakers:
    """Makes who speaks to a provider, from what is stored of it."""

    def __init__(
        self, transport: Transport, sealing: Callable[[], Sequence[bytes]], *, timeouts: Timeouts, aside: Executor
    ) -> None:
        """`sealing` has the keys that providers' secrets may be sealed with; large bodies are read by `aside`."""
        self._transport = transport
        self._sealing = sealing
        self._timeouts = timeouts
        self._echo = EchoProvider(now=lambda: int(time.time()), new_id=new_id, aside=aside)

    def __call__(self, stored: StoredOffer | None) -> ModelProvider:
        """Speak to `stored`, or, for None, be the built-in echo."""
        if stored is None or stored.offer.kind is ProviderKind.ECHO:
            return self._echo
        row = provider_row_identity(stored.tenant_id, stored.project_id, stored.provider_id)
        return OpenAIProvider(
            self._transport,
            kind=stored.offer.kind,
            base_url=stored.base_url,
            secret=None if stored.secret is None else unseal_with_any(self._sealing(), row, stored.secret),
            guarded=stored.guarded,
            timeouts=self._timeouts,
        )


def _aside(stack: AsyncExitStack) -> Executor:
    """Where large bodies are read: one thread, so that one of them at a time takes the memory that this takes."""
    aside = ThreadPoolExecutor(1, thread_name_prefix="large bodies")
    stack.callback(aside.shutdown, wait=False, cancel_futures=True)
    return aside


async def _databases(stack: AsyncExitStack, app_url: Conninfo) -> tuple[Database, Database]:
    """For calls, and for reports."""
    calls = await _database(stack, app_url, name="gateway", size=_APP_CONNECTIONS)
    return calls, await _database(stack, app_url, name="gateway reports", size=_REPORT_CONNECTIONS)


async def _database(stack: AsyncExitStack, app_url: Conninfo, *, name: str, size: int) -> Database:
    pool = open_pool(app_url, name=name, size=size)
    await pool.open(wait=False)
    stack.push_async_callback(pool.close, timeout=_POOL_CLOSE_SECONDS)
    return Database(pool)


async def _epoch(stack: AsyncExitStack, app_url: Conninfo) -> Epoch:
    """Follow the epoch; returns when it is known, or when it is not told soon."""
    epoch = Epoch(time.monotonic)
    stack.push_async_callback(_stop, asyncio.create_task(follow_epoch(epoch, app_url, time.monotonic)))
    for _ in range(_LONGEST_WAIT_FOR_EPOCH):
        if epoch.fresh:
            break
        await asyncio.sleep(0.01)
    return epoch


async def _ledger(stack: AsyncExitStack, ledger_url: Conninfo, observer: Observer) -> Ledger:
    """Take a lease and keep it, and notes of what is refused; on the way out all is settled before it is given up."""
    ledger = Ledger(ledger_url, UUID(hex=new_id()), wrote=observer.metrics.wrote_batch, monotonic=time.monotonic)
    stack.push_async_callback(ledger.aclose)
    with suppress(Unavailable):
        await ledger.beat()
    stack.push_async_callback(_stop, asyncio.create_task(_beat(ledger)))
    _take_notes(stack, ledger_url, observer)
    return ledger


async def _beat(ledger: Ledger) -> None:
    while True:
        await asyncio.sleep(_BEAT_SECONDS)
        with suppress(Unavailable):  # The next one comes in a second.
            await ledger.beat()


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
