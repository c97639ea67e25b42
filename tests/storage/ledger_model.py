"""Calls and processes as the ledger's state machine expects them to be."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from uuid import UUID

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.metering import OpenCall
from bailiwick.storage.ledger import Ledger
from tests.database import Connection
from tests.storage.proxy import Proxy

NONE, OPEN, SETTLED, LOST = "never opened, or taken back", "open", "settled", "lost"
MOST_PROCESSES = 3
LOST_COST, NOTHING_COST = 6000, 0


@dataclass(eq=False)
class Call:
    """A call as the model knows it; `costs` are those that its row may show once it is settled."""

    call: OpenCall
    owner: Process
    state: str = NONE
    costs: set[int] = field(default_factory=set)

    def settle(self, cost: int) -> None:
        """The truth about it arrives."""
        if self.state in (OPEN, LOST):
            self.state, self.costs = SETTLED, {cost}

    def lose(self) -> None:
        """Its process is taken for dead."""
        if self.state == OPEN:
            self.state, self.costs = LOST, {LOST_COST}

    def take_back(self) -> None:
        """It was refused."""
        if self.state == OPEN:
            self.state = NONE
        elif self.state == LOST:
            self.state, self.costs = SETTLED, {NOTHING_COST}


@dataclass(eq=False)
class Process:
    """A process as the model knows it."""

    id: UUID
    ledger: Ledger
    proxy: Proxy
    cut: bool = False
    expired: bool = False
    gone: bool = False
    opening: list[tuple[Call, asyncio.Future[None]]] = field(default_factory=list)
    settling: list[tuple[Call, int, asyncio.Future[None]]] = field(default_factory=list)
    void: list[Call] = field(default_factory=list)

    @property
    def idle(self) -> bool:
        """Whether it is reachable and waits for nothing."""
        return not (self.cut or self.gone)

    def take_back(self) -> None:
        """What it does whenever it reaches its database."""
        for call in self.void:
            call.take_back()
        self.void.clear()


async def together(*work: Awaitable[object]) -> None:
    """Do all of it at once."""
    await asyncio.gather(*work)


async def beaten(ledger: Ledger) -> None:
    """Beat as often as it takes: over a connection that was cut unnoticed a beat does not go through."""
    while True:
        with suppress(Unavailable):
            await ledger.beat()
            return


async def until(reached: Callable[[], bool]) -> None:
    """Wait for something that comes about by itself."""
    while not reached():  # noqa: ASYNC110 - the database and the proxy set no events
        await asyncio.sleep(0.005)


def look_at(superuser: Connection, ids: list[UUID]) -> dict[UUID, tuple[int, list[tuple[int, int, int]]]]:
    """What the database holds of each call: how many open rows, and its ledger rows."""
    rows = superuser.execute(
        b"SELECT id, NULL, NULL, NULL FROM bailiwick.open_calls WHERE id = ANY(%s) UNION ALL"
        b" SELECT id, outcome, usage_source, cost_nano FROM bailiwick.ledger WHERE id = ANY(%s)",
        (ids, ids),
    ).fetchall()
    found: dict[UUID, tuple[int, list[tuple[int, int, int]]]] = {call_id: (0, []) for call_id in ids}
    for call_id, outcome, source, cost in rows:
        open_rows, settled = found[call_id]
        if outcome is None:
            open_rows += 1
        else:
            settled.append((outcome, source, cost))
        found[call_id] = (open_rows, settled)
    return found


def check(calls: list[Call], superuser: Connection) -> None:
    """Hold the database against the model: each call is there once, or not at all, and as it should be."""
    found = look_at(superuser, [UUID(hex=call.call.id) for call in calls])
    for call in calls:
        open_rows, rows = found[UUID(hex=call.call.id)]
        assert open_rows + len(rows) <= 1, (call.state, open_rows, rows)
        if rows:
            outcome, source, cost = rows[0]
            assert (LOST if (outcome, source) == (5, 3) else SETTLED) == call.state
            assert cost in call.costs
        else:
            assert (OPEN if open_rows else NONE) == call.state
