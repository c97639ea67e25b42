"""The gateway process: `python -m bailiwick.apps.gateway`, started and told everything by `bailiwick serve`."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from ipaddress import ip_network
from pathlib import Path

import msgspec
import uvloop

from bailiwick.apps.child import background, heed_parent, read_settings, say_ready
from bailiwick.apps.gateway.app import Gateway
from bailiwick.apps.gateway.body import Room
from bailiwick.apps.gateway.call import Handler
from bailiwick.apps.gateway.control_relay import ControlRelay
from bailiwick.apps.gateway.mcp import ToolServerDoor
from bailiwick.apps.gateway.metrics_page import MetricsPage
from bailiwick.apps.gateway.oauth import OAuthEndpoints
from bailiwick.apps.gateway.operator_minting import OperatorMinting
from bailiwick.apps.gateway.pages import Pages
from bailiwick.apps.gateway.readiness import tell_of_database
from bailiwick.apps.gateway.routes import DataPlane
from bailiwick.apps.gateway.server import serve
from bailiwick.apps.gateway.watch import Watch
from bailiwick.apps.handover import GatewaySecrets, GatewaySettings
from bailiwick.apps.http.client_ip import ClientIp
from bailiwick.apps.http.tls import CertificateFiles, follow
from bailiwick.bootstrap.ambient import SteadyClock, monotonic, monotonic_ns, new_id, now
from bailiwick.bootstrap.gateway import GatewayParts, gateway
from bailiwick.bootstrap.traces import sending_spans
from bailiwick.domain.ids import PROVIDER, TENANT, shown
from bailiwick.identity.keyring import GatewayKeys
from bailiwick.limiting.in_process import InProcessLimitStore
from bailiwick.limiting.snapshots import DamagedSnapshot
from bailiwick.providers.http1 import Timeouts
from bailiwick.services.circuits import CircuitKey
from bailiwick.services.clients import Clients
from bailiwick.telemetry.event_loop import watch_event_loop
from bailiwick.telemetry.exposition import Exposition
from bailiwick.telemetry.logs import Log
from bailiwick.telemetry.metrics import Metrics
from bailiwick.telemetry.observer import Observer


async def run(settings: GatewaySettings) -> None:
    """Serve until SIGTERM or the parent's end; returns when every call is settled."""
    log = Log(sys.stderr, process="gateway", level=settings.log_level, form=settings.log_format, now=now)
    log.take_over()
    secrets = settings.secrets

    def change(line: bytes) -> None:
        nonlocal secrets
        secrets = msgspec.json.decode(line, type=GatewaySecrets)

    heed_parent(change)
    limits = InProcessLimitStore()
    client_ip = ClientIp([ip_network(text) for text in settings.trusted_proxies])
    snapshot = Path(settings.limits_snapshot)
    _restore(limits, snapshot, log)
    async with (
        _observing(settings, log) as observer,
        gateway(
            app_url=lambda: secrets.app_url,
            ledger_url=lambda: secrets.ledger_url,
            sealing=lambda: secrets.sealing,
            keys=GatewayKeys(pepper=settings.pepper, pseudonyms=settings.pseudonyms),
            public_url=settings.public_url,
            outbound_allow=[ip_network(text) for text in settings.outbound_allow],
            limits=limits,
            observer=observer,
            guard_requests=settings.guard_requests,
            guard_failures=settings.guard_failures,
            max_open_calls=settings.max_open_calls,
            timeouts=Timeouts(
                connect=settings.provider_connect_seconds,
                first_byte=settings.provider_first_byte_seconds,
                between_bytes=settings.provider_between_bytes_seconds,
                total=settings.provider_total_seconds,
            ),
            report_circuit=partial(_tell_of_circuit, log),
        ) as parts,
    ):
        watch = Watch(asyncio.get_running_loop(), standing=parts.epoch.standing)
        app = Gateway(
            _routes(parts, settings),
            pages=Pages(parts.origins, parts.pipeline.project_of),
            guard=parts.guard,
            client_ip=client_ip,
            control=ControlRelay(
                parts.transport,
                socket=settings.control_socket,
                guard=parts.guard,
                watch=watch,
                new_id=new_id,
                max_head=settings.max_header_bytes,
            ),
            watch=watch,
            ready=lambda: parts.epoch.fresh,
            observer=observer,
            metrics=MetricsPage(
                Exposition(observer.metrics, parts.standing),
                client_ip,
                [ip_network(text) for text in settings.metrics_allow],
            ),
            new_id=new_id,
            public_url=settings.public_url,
            report=lambda call_id, error: log.failure(f"req_{call_id}", error),
            base_domain=settings.base_domain,
            max_body=settings.max_body_bytes,
            room=Room(settings.max_buffered_bytes),
            max_head=settings.max_header_bytes,
        )
        async with (
            _tls(settings, log) as tls,
            background(watch.run()),
            background(tell_of_database(lambda: parts.epoch.fresh, log)),
            background(watch_event_loop(observer.metrics, monotonic)),
        ):
            # What was made until now lives as long as the process: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            # A call makes some hundred objects and no cycles: looking for cycles after every 700 finds nothing.
            gc.set_threshold(20_000, 50, 100)
            await serve(
                app,
                socket.socket(fileno=settings.listen_fd),
                inside=Path(settings.own_socket),
                tls=tls,
                new_id=new_id,
                drain_seconds=settings.drain_seconds,
                on_ready=say_ready,
            )
        _keep(limits, snapshot, log)


def _routes(parts: GatewayParts, settings: GatewaySettings) -> Mapping[str, Mapping[str, Handler]]:
    known = parts.credentials
    operators = OperatorMinting(parts.transport, socket=settings.control_socket)
    plane = DataPlane(parts.pipeline, parts.usage, parts.allowances, known.minting, operators, known.signing, now=now)
    oauth = OAuthEndpoints(
        Clients(parts.pipeline), known.granting, known.client_tokens, known.logout, public_url=settings.public_url
    )
    tools = ToolServerDoor(parts.tool_calls, public_url=settings.public_url)
    return {**plane.routes(), **oauth.routes(), **tools.routes()}


@asynccontextmanager
async def _tls(settings: GatewaySettings, log: Log) -> AsyncGenerator[ssl.SSLContext | None]:
    """The certificate to serve with, if there is one, and whatever it is renewed to."""
    if settings.tls_cert is None or settings.tls_key is None:
        yield None
        return
    files = CertificateFiles(certificate=settings.tls_cert, key=settings.tls_key)
    context = files.context()
    async with background(follow(files, context, log.warning)):
        yield context


@asynccontextmanager
async def _observing(settings: GatewaySettings, log: Log) -> AsyncGenerator[Observer]:
    """Tell of requests: to metrics always, to the log and to a collector of spans where that is wanted."""

    def tell(taken: bool) -> None:  # noqa: FBT001 - the one thing there is to tell
        if taken:
            log.warning("the collector takes spans again")
        else:
            log.warning("the collector does not take spans; they are dropped until it does")

    async with sending_spans(wanted=settings.traces, to_providers=settings.trace_providers, on_change=tell) as spans:
        yield Observer(Metrics(), log=log if log.tells_events else None, spans=spans, monotonic_ns=monotonic_ns)


def _tell_of_circuit(log: Log, key: CircuitKey, is_open: bool) -> None:  # noqa: FBT001 - a circuit's state
    what = "a provider keeps failing and is left alone" if is_open else "a provider answers again"
    provider = None if key.provider_id is None else shown(PROVIDER, key.provider_id)
    log.warning(what, tenant=shown(TENANT, key.tenant_id), provider=provider)


def _restore(limits: InProcessLimitStore, path: Path, log: Log) -> None:
    """Take in what the last process knew of the limits, if it left it.

    It is used once, since it is true only once: a process that is killed leaves none.
    """
    try:
        saved = path.read_bytes()
    except FileNotFoundError:
        return
    path.unlink()
    try:
        limits.restore(saved, SteadyClock()())
    except DamagedSnapshot:
        log.warning("the saved limits could not be read; the ledger is asked instead", file=path.name)


def _keep(limits: InProcessLimitStore, path: Path, log: Log) -> None:
    """Save the limits, whole or not at all: addresses and end users are in them, so only we may read it."""
    unfinished = path.with_suffix(".new")
    try:
        unfinished.unlink(missing_ok=True)
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(limits.snapshot())
        unfinished.rename(path)
    except OSError as error:
        log.warning("the limits could not be saved; the ledger will be asked instead", error=error.strerror)


def _admit_many_connections() -> None:
    """Have as many descriptors as the system allows us: what is usual by default is one for each of 1,024 clients."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # Some systems say "unlimited" and do not mean it.
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    """Run the process."""
    _admit_many_connections()
    uvloop.run(run(read_settings(GatewaySettings)))


if __name__ == "__main__":
    main()
