"""Builds what delivers to webhooks in the control process: a way out and connections of its own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from bailiwick.identity.outbound import OutboundGuard
from bailiwick.providers.names import Names
from bailiwick.providers.transport import Transport
from bailiwick.services.acts import Acts
from bailiwick.services.delivering import ANSWER_SECONDS, Delivering, Poster
from bailiwick.storage.scope import Database, open_pool

# Held for moments only: while a receiver is waited for, none is.
_CONNECTIONS: Final = 2


@asynccontextmanager
async def webhook_delivery(
    control_url: str,
    acts: Acts,
    *,
    sealing: bytes,
    outbound_allow: Sequence[IPv4Network | IPv6Network],
    report: Callable[[BaseException], None],
    answer_seconds: float = ANSWER_SECONDS,
) -> AsyncGenerator[Delivering]:
    """Build it; it delivers while it runs. `report` is told of errors that nobody expected."""
    names = Names()
    guard = OutboundGuard(tuple(outbound_allow), lookup=names.addresses)
    # Connections are not kept: between two events minutes may pass, and the answer's body is not read.
    transport = Transport(resolve=guard.resolve, names=names, max_idle_per_origin=0)
    pool = open_pool(control_url, name="control webhooks", size=_CONNECTIONS)
    await pool.open(wait=False)
    try:
        poster = Poster(transport, guard, seconds=answer_seconds)
        yield Delivering(Database(pool), acts, poster, sealing=sealing, report=report)
    finally:
        await transport.aclose()
        await pool.close(timeout=1.0)
