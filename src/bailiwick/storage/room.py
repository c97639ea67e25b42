"""The ledger's writing side for calls under budgets: the open row is the reservation.

Calls under budgets have connections and batches of their own, so that nobody else waits for a budget's row. Guarantees:

- `open` writes a call's row and takes its ceiling from all of its budgets, or does neither, in one transaction; calls
  that come together are decided together, in the order in which they came;
- a batch that is tried again, since its connection broke, takes no room twice;
- `settle` gives back the ceiling and adds what was spent, in the transaction that deletes the open row; no limit is
  asked then, so it cannot fail for want of room;
- what was opened and refused all the same is given back before anything else is opened.

Whoever locks several slices does so in the order of their ids; deadlocks, should there be any, are tried again like a
connection that broke.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final
from uuid import UUID

import msgspec
import psycopg

from bailiwick.domain.errors import Unavailable
from bailiwick.domain.metering import Need, NoRoom, OpenCall, Settlement
from bailiwick.storage.batches import OPEN_PATIENCE, SETTLE_PATIENCE, Batcher, Wrote
from bailiwick.storage.ledger_connection import LedgerConnection
from bailiwick.storage.price_history import PriceHistory
from bailiwick.storage.scope import Conninfo
from bailiwick.storage.settlements import corrections, first_of_each, refused, settlements
from bailiwick.storage.sql import load

_SQL: Final = load("room")
_CORRECT_LOST: Final = load("ledger")["correct_lost"]
_encode: Final = msgspec.json.encode


@final
class _Opening:
    """A call that is to be opened, and what became of that."""

    __slots__ = ("call", "needs", "no_room")

    def __init__(self, call: OpenCall, needs: Sequence[Need]) -> None:
        self.call = call
        self.needs = needs
        self.no_room: NoRoom | None = None


@final
class Room:
    """Opens and settles one process's calls under budgets."""

    def __init__(
        self,
        conninfo: Conninfo,
        process_id: UUID,
        *,
        leased: Callable[[], Awaitable[None]],
        prices: PriceHistory,
        wrote: Wrote,
        monotonic: Callable[[], float],
    ) -> None:
        """`leased` returns when this process has its lease; `prices` are what calls are charged at.

        `wrote` is told of every batch, as of the ledger's.
        """
        self._process = str(process_id).encode()
        self._leased = leased
        self._prices = prices
        self._wrote = wrote
        self._monotonic = monotonic
        self._opener = LedgerConnection(conninfo, name=f"bailiwick room open {process_id}")
        self._settler = LedgerConnection(conninfo, name=f"bailiwick room settle {process_id}")
        self._opening: Batcher[_Opening] = Batcher(self._write_open, patience=OPEN_PATIENCE, undo=self._take_back)
        self._settling: Batcher[Settlement] = Batcher(self._write_settled, patience=SETTLE_PATIENCE)
        self._void: list[OpenCall] = []

    @property
    def settlements_waiting(self) -> int:
        """How many settlements wait for the next batch."""
        return self._settling.pending

    async def open(self, call: OpenCall, needs: Sequence[Need]) -> NoRoom | None:
        """Write the open row of `call` if there is what it `needs`; else tell where there is not.

        Of several budgets without room it is one in which what is settled leaves none, if there is one. Raises
        `Unavailable`.
        """
        opening = _Opening(call, needs)
        outcome = self._opening.add(opening)
        try:
            written = await outcome
        except asyncio.CancelledError:
            # The client went away in the moment between the commit and our going on: no provider will hear of this.
            if not outcome.cancelled() and outcome.done() and outcome.exception() is None and outcome.result():
                self._take_back([opening])
            raise
        except psycopg.Error as refusal:
            raise Unavailable(cause=type(refusal).__name__) from refusal
        if not written:
            raise Unavailable(cause="the ledger cannot be written")
        return opening.no_room

    async def move(self, call: OpenCall, needs: Sequence[Need]) -> bool:
        """Have an open call, as it is now, hold what it `needs` now; False if it goes on to hold what it held.

        When the connection breaks over it nobody knows which it is: raises `Unavailable`, and the open row says.
        """
        try:
            params = (self._process, *_batch([_Opening(call, needs)]))
            told = await self._opener.fetch(_SQL["move_room"], *params)
        except (psycopg.Error, OSError) as trouble:
            raise Unavailable(cause=type(trouble).__name__) from trouble
        return told.get_value(0, 0) == b"t"

    async def settle(self, settlement: Settlement) -> None:
        """Settle a call; returns when that is durable, or after 5 s without a database (it will be durable later)."""
        await self._settling.add(settlement)

    async def take_back_now(self) -> None:
        """Give back what was opened and refused all the same. Raises what the database says."""
        if self._void:
            void, self._void = self._void, []
            try:
                ids = f"{{{','.join(call.id for call in void)}}}"
                if await self._opener.execute(_SQL["void_calls"], ids.encode()) < len(void):
                    # Never written, or settled as lost in the meantime: what was refused costs nothing.
                    await self._opener.execute(_CORRECT_LOST, corrections([refused(call) for call in void]))
            except BaseException:
                self._void.extend(void)
                raise

    async def drain(self) -> None:
        """Wait until everything is written."""
        await self._opening.drain()
        await self._settling.drain()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._opener.aclose()
        await self._settler.aclose()

    def _take_back(self, openings: list[_Opening]) -> None:
        self._void.extend(opening.call for opening in openings)

    async def _write_open(self, openings: list[_Opening], *, again: bool) -> None:
        await self._leased()
        await self.take_back_now()
        await self._prices.write(self._opener)
        began = self._monotonic()
        params = (self._process, *_batch(openings), b"true" if again else b"false")
        # Of those that are tried again some may be open, and some of these settled as lost since: they stay so.
        fetch = self._opener.fetch_alone if again else self._opener.fetch
        told = await fetch(_SQL["open_with_room"], *params)
        for opening in openings:
            opening.no_room = None
        for row in range(told.ntuples):
            place, need, settled, reserved = (int(told.get_value(row, column) or 0) for column in range(4))
            openings[place - 1].no_room = NoRoom(need=need - 1, settled=settled, reserved=reserved)
        self._wrote("open", len(openings), self._monotonic() - began)

    async def _write_settled(self, batch: list[Settlement], *, again: bool) -> None:
        del again  # The open row says what is written already.
        batch = first_of_each(batch)
        began = self._monotonic()
        if await self._settler.execute(_SQL["settle_calls"], settlements(batch)) < len(batch):
            # Settled before (a batch that is tried again) or lost: only the lost ones still say "unknown".
            await self._settler.execute(_CORRECT_LOST, corrections(batch))
        self._wrote("settle", len(batch), self._monotonic() - began)


def _batch(openings: Sequence[_Opening]) -> tuple[bytes, bytes, bytes]:
    """The slices that are needed, each once, the calls, and the places, from 1, of what each of them needs."""
    places: dict[tuple[int, str, str, int], int] = {}
    wanted: list[Need] = []
    needs: list[dict[str, list[int]]] = []
    for opening in openings:
        slices: list[int] = []
        for need in opening.needs:
            key = (need.budget_id.int, need.counted, need.subject, need.slice)
            place = places.setdefault(key, len(wanted) + 1)
            if place > len(wanted):
                wanted.append(need)
            else:
                wanted[place - 1] = need  # A limit that was changed a moment ago: the latest that is known.
            slices.append(place)
        needs.append({"slices": slices})
    return _encode(wanted), _encode([opening.call for opening in openings]), _encode(needs)
