"""The ledger's writing side: open before, settle after, exactly once, many calls a statement.

One connection opens and one settles, both as the role that may touch the ledger of any tenant and nothing else: the
one stated exception to "the tenant is set first". Calls under budgets have two of their own, in `storage/room.py`. A
batch travels as one JSON parameter, which costs the driver the same for one call as for five hundred. Guarantees:

- `open` returns when the row is durable; a call whose open row cannot be written is refused, and a row that may have
  been written all the same (the connection broke at the commit) is taken back before anything else is opened;
- whoever deletes the open row has settled the call: settling twice, or settling and losing, makes one ledger row; a
  row is opened again only while its call was not settled in between;
- a call that was settled as lost while its process was only cut off is corrected once, to nothing if it was refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, final
from uuid import UUID

import msgspec
import psycopg

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.metering import Need, NoRoom, OpenCall, Settlement
from bailiwick.storage.batches import OPEN_PATIENCE, SETTLE_PATIENCE, Batcher, Step, Wrote
from bailiwick.storage.ledger_connection import LedgerConnection
from bailiwick.storage.price_history import PriceHistory
from bailiwick.storage.room import Room
from bailiwick.storage.scope import TROUBLE, Conninfo
from bailiwick.storage.settlements import corrections, first_of_each, refused, settlements
from bailiwick.storage.sql import load

LEASE_SECONDS: Final = 5.0
# What is not settled so long after the end began is settled as lost, by whoever comes next.
_LAST_PATIENCE: Final = 2.0

_SQL: Final = load("ledger")
_encode = msgspec.json.encode


def _to_nobody(_step: Step, _size: int, _seconds: float) -> None:
    """For those who do not want to know."""


def _standing_still() -> float:
    return 0.0


@final
class Ledger:
    """Opens and settles calls for one process."""

    def __init__(
        self,
        conninfo: Conninfo,
        process_id: UUID,
        *,
        wrote: Wrote = _to_nobody,
        monotonic: Callable[[], float] = _standing_still,
    ) -> None:
        """`conninfo` is the ledger role's login; nothing connects before the first call.

        `wrote` is told of every batch: whether it opened or settled, how many calls, and how many seconds it took by
        the clock `monotonic`.
        """
        self._wrote = wrote
        self._monotonic = monotonic
        self._process = str(process_id)
        self._opener = LedgerConnection(conninfo, name=f"bailiwick ledger open {process_id}")
        self._settler = LedgerConnection(conninfo, name=f"bailiwick ledger settle {process_id}")
        self._opening: Batcher[OpenCall] = Batcher(self._write_open, patience=OPEN_PATIENCE, undo=self._take_back)
        self._settling: Batcher[Settlement] = Batcher(self._write_settled, patience=SETTLE_PATIENCE)
        self._void: list[OpenCall] = []
        self._leased = False
        self.prices: Final = PriceHistory()
        """What calls are charged at."""
        self._room: Final = Room(
            conninfo, process_id, leased=self._have_lease, prices=self.prices, wrote=wrote, monotonic=monotonic
        )

    @property
    def settlements_waiting(self) -> int:
        """How many settlements wait for the next batch."""
        return self._settling.pending + self._room.settlements_waiting

    async def open(self, call: OpenCall) -> None:
        """Write the open row of `call`; raises `Unavailable` when the database cannot."""
        outcome = self._opening.add(call)
        try:
            written = await outcome
        except asyncio.CancelledError:
            # The client went away in the moment between the commit and our going on: no provider will hear of this.
            if not outcome.cancelled() and outcome.done() and outcome.exception() is None:
                self._void.append(call)
            raise
        except psycopg.Error as refusal:
            raise Unavailable(cause=type(refusal).__name__) from refusal
        if not written:
            raise Unavailable(cause="the ledger cannot be written")

    async def settle(self, settlement: Settlement) -> None:
        """Settle a call; returns when that is durable, or after 5 s without a database (it will be durable later)."""
        if settlement.call.ceiling_tokens is None:
            await self._settling.add(settlement)
        else:
            await self._room.settle(settlement)

    async def open_with_room(self, call: OpenCall, needs: Sequence[Need]) -> NoRoom | None:
        """Write the open row of `call`, which is under budgets, as `Room.open` does."""
        return await self._room.open(call, needs)

    async def move_room(self, call: OpenCall, needs: Sequence[Need]) -> bool:
        """Have an open call hold what it `needs` now, as `Room.move` does."""
        return await self._room.move(call, needs)

    async def beat(self) -> int:
        """Renew this process's lease and settle what dead processes left open; returns how many calls that were.

        To be called every second; raises `Unavailable`.
        """
        try:
            await self._lease()
            await self._take_back_now()
            await self._room.take_back_now()
            return await self._opener.execute_alone(_SQL["settle_lost"], b"%g" % LEASE_SECONDS)
        except (psycopg.Error, OSError) as trouble:
            raise Unavailable(cause=type(trouble).__name__) from trouble

    async def aclose(self) -> None:
        """Write what is left, give up the lease, and close the connections; without a database that is not waited for.

        What is open then is settled as lost when the lease has run out.
        """
        with suppress(TimeoutError, *TROUBLE):
            async with asyncio.timeout(_LAST_PATIENCE):
                await self._opening.drain()
                await self._settling.drain()
                await self._room.drain()
            await self._take_back_now()
            await self._room.take_back_now()
            await self._opener.execute(_SQL["leave"], self._process.encode())
        await self._opener.aclose()
        await self._settler.aclose()
        await self._room.aclose()

    def _take_back(self, calls: list[OpenCall]) -> None:
        self._void.extend(calls)

    async def _take_back_now(self) -> None:
        if self._void:
            void, self._void = self._void, []
            try:
                ids = f"{{{','.join(call.id for call in void)}}}"
                if await self._opener.execute(_SQL["void_calls"], ids.encode()) < len(void):
                    # Never written, or settled as lost in the meantime: what was refused costs nothing.
                    await self._opener.execute(_SQL["correct_lost"], corrections([refused(call) for call in void]))
            except BaseException:
                self._void.extend(void)
                raise

    async def _have_lease(self) -> None:
        """Have a lease before the first call is opened: rows without one count as lost."""
        if not self._leased:  # The database was away when this process began.
            await self._lease()

    async def _lease(self) -> None:
        await self._opener.execute(_SQL["beat"], self._process.encode())
        self._leased = True

    async def _write_open(self, calls: list[OpenCall], *, again: bool) -> None:
        await self._have_lease()
        await self._take_back_now()
        await self.prices.write(self._opener)
        began = self._monotonic()
        params = (self._process.encode(), _encode(calls))
        if again:
            # Some may be written, and some of those settled as lost since: these must not come to life again.
            await self._opener.execute_alone(_SQL["open_calls_again"], *params)
        else:
            await self._opener.execute(_SQL["open_calls"], *params)
        self._wrote("open", len(calls), self._monotonic() - began)

    async def _write_settled(self, batch: list[Settlement], *, again: bool) -> None:
        del again  # The open row says what is written already.
        batch = first_of_each(batch)
        began = self._monotonic()
        if await self._settler.execute(_SQL["settle_calls"], settlements(batch)) < len(batch):
            # Settled before (a batch that is tried again) or lost: only the lost ones still say "unknown".
            await self._settler.execute(_SQL["correct_lost"], corrections(batch))
        self._wrote("settle", len(batch), self._monotonic() - began)
