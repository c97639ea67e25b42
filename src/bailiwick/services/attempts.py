"""Who is asked, in which order, and when again: until an answer begins.

The first target whose circuit lets the call through is asked. When no answer begins, the next one is: it could not be
reached, it broke off or fell silent before its head, or its status says that the trouble is its own and not the
request's. Guarantees:

- once a head came that is no refusal, nobody is asked again: something may have been generated;
- a provider that a request reached, and that said nothing, may be at work on it: it is not asked again, by any model;
- a target is asked a second time only if the first never reached it, or if it refused and says that it is worth a
  try within a second; then once;
- nobody is asked after the call's total time, nor once it is cancelled or its client is gone.

A provider that keeps failing is left alone, whether before its answers begin or in the middle of them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from math import inf
from typing import Final, Protocol, final

import msgspec

from bailiwick.domain.errors import ProviderFailed, Refused
from bailiwick.providers.answers.errors import read_retry_after
from bailiwick.providers.provider import Ask, Exchange
from bailiwick.providers.transport_errors import (
    ConnectFailed,
    ConnectionBroken,
    ResponseTooLarge,
    TransportError,
    TransportTimeout,
)
from bailiwick.services.circuits import Circuits
from bailiwick.services.metering import Meter
from bailiwick.services.reply import Reply
from bailiwick.services.serving import Served

_REDIRECTS: Final = 300
_SERVER_ERRORS: Final = 500
# Another provider would say the same of such a request.
_THE_REQUESTS_FAULT: Final = frozenset({400, 413, 422})
# Before somebody is asked again who could not be reached, or who says that it is worth it and not when, in seconds.
_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 1.0
_PATIENCE_FOR_REFUSAL: Final = 0.25
_MAX_REFUSAL: Final = 256 * 1024


class Write(Protocol):
    """Writes a call's request, for whoever is asked."""

    async def __call__(self, served: Served, most: int | None, /) -> Ask:
        """Write it for a target, to write at most so much if it is cut; raises `Refused` if it cannot go there."""
        ...

    async def counted(self, ask: Ask, /) -> Ask:
        """What was written, with its words counted, if a budget asks."""
        ...


@final
class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One target that is asked, and who comes `later`.

    `pause` is how many seconds to wait before, if it is asked for the second time, else None. `most` is what it is cut
    to write by a budget, None if it is not.
    """

    served: Served
    ask: Ask
    later: tuple[Served, ...]
    write: Write
    pause: float | None = None
    most: int | None = None

    async def cut(self, most: int) -> Attempt:
        """The same, its words counted, with so much to be written at most."""
        ask = await self.write.counted(await self.write(self.served, most))
        return msgspec.structs.replace(self, ask=ask, most=most)

    async def counted(self) -> Attempt | None:
        """The same, its words counted; None if they are."""
        ask = await self.write.counted(self.ask)
        return None if ask is self.ask else msgspec.structs.replace(self, ask=ask)


@final
class Attempts:
    """Asks one target after another."""

    def __init__(self, circuits: Circuits, *, total: float | None) -> None:
        """`total` is how long a call may take altogether, in seconds; None: without end."""
        self.circuits: Final = circuits
        self._total = inf if total is None else total

    async def instead_of(self, attempt: Attempt) -> Attempt:
        """What may be attempted now that `attempt` may not; raises `ProviderFailed` if there is nothing."""
        following = await self._next(attempt)
        if following is None:
            message = "The model provider keeps failing, and is left alone for a moment."
            raise ProviderFailed(message, retry_after=self.circuits.seconds_left(attempt.served.circuit))
        return following

    async def send(self, attempt: Attempt, meter: Meter, reply: Reply) -> tuple[Served, Exchange]:
        """Ask until an answer begins, or there is nobody left to ask: then the last one's refusal is returned.

        Raises what the last one failed with, `TransportError`. To be followed by `ended`.
        """
        while True:
            served = attempt.served
            try:
                exchange = await served.provider.send(attempt.ask)
            except TransportError as error:
                following = await self._after_failure(attempt, meter, error)
                if following is None:
                    raise
            else:
                status = meter.status = exchange.status
                if status < _REDIRECTS:
                    self.circuits.begun(served.circuit)
                elif status < _SERVER_ERRORS:
                    self.circuits.succeeded(served.circuit)
                else:
                    self.circuits.failed(served.circuit)
                if status < _REDIRECTS or status in _THE_REQUESTS_FAULT:
                    return served, exchange
                following = await self._following(attempt, meter, _pause_asked_for(exchange, meter.now()))
                if following is None:
                    return served, exchange
                await _let_go(exchange)
            if following.pause:
                await asyncio.sleep(following.pause)
            if reply.client_gone:
                # Whom it was asked of would have been heard out; nobody else is asked for who will not hear it.
                raise asyncio.CancelledError
            attempt = following
            meter.asks(attempt.served)

    def ended(self, served: Served, exchange: Exchange, broken: ProviderFailed | TransportError | None) -> None:
        """What `send` returned has come to its end: whole, or for the reason `broken`.

        What a provider says of itself, or takes its time for, may be the request's fault.
        """
        if exchange.status >= _REDIRECTS:
            return
        if broken is None:
            self.circuits.succeeded(served.circuit)
        elif _is_breakdown(broken):
            self.circuits.failed(served.circuit, broken=True)

    async def _after_failure(self, attempt: Attempt, meter: Meter, error: TransportError) -> Attempt | None:
        """What is tried after an attempt that had no answer at all."""
        unheard = isinstance(error, ConnectionBroken) and error.unheard
        if unheard and attempt.pause is None:
            # The connection was closed while it was idle, which says nothing of the provider.
            return self._within(meter, msgspec.structs.replace(attempt, pause=0.0))
        self.circuits.failed(attempt.served.circuit)
        refused = isinstance(error, ConnectFailed)
        if not (unheard or refused or (isinstance(error, TransportTimeout) and error.phase == "connect")):
            at_work = attempt.served.route.offer.id
            others = tuple([served for served in attempt.later if served.route.offer.id != at_work])
            attempt = msgspec.structs.replace(attempt, later=others)
        return await self._following(attempt, meter, _PAUSE if refused else None)

    async def _following(self, attempt: Attempt, meter: Meter, pause: float | None) -> Attempt | None:
        """What is tried after `attempt`; itself, once, after `pause`, if there is nobody else."""
        following = await self._next(attempt)
        while following is not None and not await meter.moves_to(following.served, following.ask.extent):
            following = await following.counted() or await self._next(following)
        if following is None:
            if pause is None or attempt.pause is not None or not self.circuits.let_through(attempt.served.circuit):
                return None
            following = msgspec.structs.replace(attempt, pause=pause)
        return self._within(meter, following)

    def _within(self, meter: Meter, attempt: Attempt) -> Attempt | None:
        """Give an attempt what is left of the call's time; None if that is nothing."""
        left = self._total - meter.elapsed() - (attempt.pause or 0.0)
        if left <= 0:
            return None
        return msgspec.structs.replace(attempt, ask=msgspec.structs.replace(attempt.ask, total=left))

    async def _next(self, attempt: Attempt) -> Attempt | None:
        """The next target that takes the request and whose circuit lets it through."""
        for place, served in enumerate(attempt.later, 1):
            with suppress(Refused):
                ask = await attempt.write(served, attempt.most)
                if self.circuits.let_through(served.circuit):
                    later = attempt.later[place:]
                    return Attempt(served=served, ask=ask, later=later, write=attempt.write, most=attempt.most)
        return None


def _is_breakdown(broken: ProviderFailed | TransportError) -> bool:
    """Whether an answer came to nothing by its provider, and not by what was asked."""
    if isinstance(broken, ProviderFailed):
        return broken.garbled
    took_its_time = isinstance(broken, TransportTimeout) and broken.phase == "total"
    return not (took_its_time or isinstance(broken, ResponseTooLarge))


def _pause_asked_for(exchange: Exchange, now: float) -> float | None:
    """For how many seconds a refusal asks to wait, if it says that asking again is worth it, and soon."""
    wanted = next((value.strip().lower() for name, value in exchange.headers if name == b"x-should-retry"), None)
    if wanted == b"false":
        return None
    seconds = read_retry_after(exchange.headers, now)
    if seconds is None:
        return _PAUSE if wanted == b"true" else None
    return seconds if seconds <= _LONGEST_PAUSE else None


async def _let_go(exchange: Exchange) -> None:
    """Take a refusal that nobody will hear of to its end, so that its connection can serve again; but not for long."""
    try:
        async with asyncio.timeout(_PATIENCE_FOR_REFUSAL):
            await exchange.read(_MAX_REFUSAL)
    except (TimeoutError, TransportError):
        exchange.abort()
