"""From open to settled: what one call used, what that cost, and that it is written exactly once.

`Metering.open` makes the call's row durable before the provider hears of it; the `Meter` it returns watches the call
and settles it. Guarantees:

- `settle` happens once, whoever asks for it and how often: the first one decides;
- it is shielded: the settlement goes on when the caller is cancelled, and is waited for at shutdown;
- no tenant has so many calls open that there are no connections, descriptors or memory left for others;
- limits on tokens are corrected with it, to what the ledger says;
- usage is what the provider reported of an answer that came to its end; of one that did not, it is what was seen or
  what was reported on the way, whichever is more, and marked as an estimate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, final
from uuid import UUID

import msgspec

from bailiwick.domain.agent_calls import CalledAgent
from bailiwick.domain.ceilings import Extent
from bailiwick.domain.claims import Claim, claim
from bailiwick.domain.errors import Code, Refused, Unavailable
from bailiwick.domain.metering import NoRoom, OpenCall, Settlement
from bailiwick.domain.models import ProviderKind, Route
from bailiwick.domain.pricing import Price
from bailiwick.domain.principal import Principal
from bailiwick.domain.usage import (
    AUDIO_AS_TEXT,
    MAX_TOKENS,
    NO_USAGE,
    Outcome,
    TokenUsage,
    UsageSource,
    estimated_tokens,
)
from bailiwick.providers.answers.calls import Blocked
from bailiwick.providers.answers.form import Answer
from bailiwick.services.admission import Admission, Place
from bailiwick.services.lines import Lines
from bailiwick.services.serving import Served
from bailiwick.storage.ledger import Ledger
from bailiwick.telemetry.observer import Observation, Observer

_S: Final = 1_000_000_000
_MS: Final = 1_000_000
_US: Final = 1_000
_LONGEST_MS: Final = 2**31 - 1
# By a name of its own, for every call: Python 3.11 takes 0.1 us to look up a member of an enumeration.
_REPORTED: Final = UsageSource.REPORTED
_UNDECIDED: Final = NoRoom(need=0, settled=0, reserved=0)


class Use(Protocol):
    """What a call is for, as far as its row is concerned: who is asked for what, and what that costs."""

    @property
    def route(self) -> Route:
        """Who is asked, for which model or tool."""
        ...

    @property
    def price(self) -> Price | None:
        """What it costs; None: nobody knows."""
        ...


@final
class Metering:
    """Opens calls in the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        admission: Admission,
        observer: Observer,
        *,
        max_open: int,
        now_ns: Callable[[], int],
        monotonic_ns: Callable[[], int],
    ) -> None:
        """`max_open` is how many calls of one tenant may be open at once; `now_ns` is Unix time."""
        self._max_open = max_open
        # By the number that an id is: what ids hash by is written in Python.
        self._open: dict[int, int] = {}
        self._ledger = ledger
        self._admission = admission
        self._observer = observer
        self._now_ns = now_ns
        self._monotonic_ns = monotonic_ns
        self._settling: set[asyncio.Task[None]] = set()
        self.lines: Final = Lines()
        """Who waits for room in budgets."""

    async def open(
        self,
        seen: Observation,
        principal: Principal,
        served: Use,
        place: Place,
        *,
        size: int,
        stream: bool,
        asked: str | None = None,
        agent: CalledAgent | None = None,
    ) -> Meter:
        """Open a call whose request has `size` bytes, and names its model as `asked`.

        Raises `Refused` (503), and then nothing was opened.
        """
        call = self._call(seen, principal, served, place, size=size, stream=stream, asked=asked, agent=agent)
        self._take(call.tenant_id)
        began = self._monotonic_ns()
        try:
            await self._ledger.open(call)
        except BaseException:
            self._give_back(call.tenant_id)
            raise
        self._observer.opened(seen, call, served.route.offer.kind)
        return Meter(self, seen, call, served, place, began)

    async def open_within(
        self,
        claim: Claim,
        seen: Observation,
        principal: Principal,
        served: Use,
        place: Place,
        *,
        size: int,
        stream: bool,
        asked: str,
        agent: CalledAgent | None = None,
    ) -> Meter | NoRoom:
        """Open a call as `open` does if there is room for its `claim`; else say where there is none."""
        call = self._call(seen, principal, served, place, size=size, stream=stream, asked=asked, agent=agent)
        call = claim.held_by(call)
        self._take(call.tenant_id)
        began = self._monotonic_ns()
        no_room: NoRoom | None = _UNDECIDED
        try:
            no_room = await self._ledger.open_with_room(call, claim.needs)
        finally:
            if no_room is not None:
                self._give_back(call.tenant_id)
        if no_room is not None:
            return no_room
        self._observer.opened(seen, call, served.route.offer.kind)
        return Meter(self, seen, call, served, place, began, claim)

    async def move(self, call: OpenCall, before: Claim, after: Claim) -> bool:
        """Have an open call hold what it claims `after`, in the place of what it holds; False if there is no room."""
        if before.covers(after):
            return True
        try:
            return await self._ledger.move_room(after.held_by(call), after.needs)
        except Unavailable:
            return False

    def now_us(self) -> int:
        """Unix time, in microseconds."""
        return self._now_ns() // _US

    def _call(
        self,
        seen: Observation,
        principal: Principal,
        served: Use,
        place: Place,
        *,
        size: int,
        stream: bool,
        asked: str | None,
        agent: CalledAgent | None,
    ) -> OpenCall:
        grant = principal.grant
        estimate = estimated_tokens(size)
        price = served.price
        return OpenCall(
            id=seen.id,
            tenant_id=grant.tenant_id,
            project_id=grant.project_id,
            key_id=grant.key_id,
            uid=principal.uid,
            sid=principal.sid,
            provider=served.route.offer.name,
            model=served.route.model,
            streamed=stream,
            opened_us=self._now_ns() // _US,
            input_estimate=estimate,
            cost_estimate_nano=None if price is None else price.cost_of_input(estimate),
            held_tokens=min(place.tokens, MAX_TOKENS) if place.tokens else None,
            agent_id=None if agent is None else agent.agent_id,
            agent_version=None if agent is None else agent.version,
            tier=grant.tier,
            price=None if price is None else price.version,
            asked=None if asked == served.route.model else asked,
        )

    def now(self) -> float:
        """Unix time, in seconds."""
        return self._now_ns() / _S

    def elapsed_ms(self, began: int) -> int:
        """Milliseconds since `began`, on the monotonic clock."""
        return min((self._monotonic_ns() - began) // _MS, _LONGEST_MS)

    def settled(self, seen: Observation, kind: ProviderKind, settlement: Settlement) -> None:
        """Tell how a call ended."""
        self._give_back(settlement.call.tenant_id)
        self._observer.settled(seen, kind, settlement)

    def blocked(self, seen: Observation, blocked: Blocked) -> None:
        """Tell which calls of tools were taken out of an answer."""
        self._observer.blocked(seen, blocked.names, blocked.count)

    def correct(self, place: Place, usage: TokenUsage) -> None:
        """Let the limits know what a call used."""
        self._admission.correct(place, usage.input_tokens + usage.output_tokens)

    def elapsed(self, began: int) -> float:
        """Seconds since `began`, on the monotonic clock."""
        return (self._monotonic_ns() - began) / _S

    async def write(self, settlement: Settlement, claim: Claim | None) -> None:
        """Make a settlement durable, also when the caller is cancelled in the middle.

        When it is, whoever waits for room may have what the call held by its `claim`.
        """
        try:
            await self._ledger.settle(settlement)
        finally:
            if claim is not None:
                self.lines.freed(claim.needs)

    def write_behind(self, settlement: Settlement, claim: Claim | None) -> None:
        """Make a settlement durable without waiting; `drain` waits."""
        task = asyncio.get_running_loop().create_task(self.write(settlement, claim))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)

    def _take(self, tenant_id: UUID) -> None:
        tenant = tenant_id.int
        already = self._open.get(tenant, 0)
        if already >= self._max_open:
            message = "Too many calls of this tenant are open at once. Try again when some of them have ended."
            raise Refused(Code.UNAVAILABLE, message, retry_after=1)
        self._open[tenant] = already + 1

    def _give_back(self, tenant_id: UUID) -> None:
        tenant = tenant_id.int
        left = self._open[tenant] - 1
        if left:
            self._open[tenant] = left
        else:
            del self._open[tenant]

    async def drain(self) -> None:
        """Wait for every settlement that nobody waits for, as long as each of them waits for the ledger."""
        while self._settling:
            await asyncio.wait(self._settling)


@final
class Meter(msgspec.Struct):
    """Watches one open call.

    `finished`: the answer came to its own end. `blocked` are the calls of tools that are taken out of the answer, if
    somebody looks for them.
    """

    _metering: Metering
    _seen: Observation
    _call: OpenCall
    _served: Use
    _place: Place
    _began: int
    _claim: Claim | None = None
    _first_byte_ms: int | None = None
    _reported: TokenUsage | None = None
    _written: int = 0
    _settled: bool = False
    finished: bool = False
    status: int | None = None
    blocked: Blocked | None = None

    @property
    def generated(self) -> bool:
        """Whether anything of an answer was seen."""
        return self._written > 0 or self._reported is not None

    @property
    def opened_us(self) -> int:
        """When the call was opened: Unix time in microseconds."""
        return self._call.opened_us

    def now(self) -> float:
        """Unix time, in seconds."""
        return self._metering.now()

    def elapsed(self) -> float:
        """For how many seconds the call has been open."""
        return self._metering.elapsed(self._began)

    async def moves_to(self, served: Served, extent: Extent | None) -> bool:
        """Whether somebody else may be asked, and then hold what that may come to; False if no budget has that room.

        `extent` is that of the request as it is written for them, None if no budget is to be asked.
        """
        before, principal = self._claim, self._seen.principal
        if before is None or extent is None or principal is None:
            return True
        try:
            after = claim(principal, served.route.names, extent, served.price, served.window, before.opened_us)
        except Refused:
            return False
        if after is None or not await self._metering.move(self._named(served), before, after):
            return False
        self._claim = after
        return True

    def _named(self, served: Served) -> OpenCall:
        route, price = served.route, served.price
        return self._call.moved_to(route.offer.name, route.model, None if price is None else price.version)

    def asks(self, served: Served) -> None:
        """Somebody else is asked now: whom the row will name, and whose price it will use."""
        self._call = self._named(served)
        self._served = served
        self.status = None

    def first_byte(self) -> None:
        """The first byte of an answer is here."""
        if self._first_byte_ms is None:
            self._first_byte_ms = self._metering.elapsed_ms(self._began)

    def observe(self, answer: Answer) -> None:
        """Read an answer or a frame. Of several usage reports the last one counts, as providers mean it."""
        self.finished = self.finished or answer.finished
        tokens = answer.tokens()
        if tokens is not None:
            self._reported = tokens
        if tokens is None or not self.finished:
            self._written += answer.written

    def wrote(self, size: int, *, sound: bool) -> None:
        """Count what was generated and is no JSON, in bytes."""
        self._written += max(size // AUDIO_AS_TEXT, 1) if sound else size

    async def settle(self, outcome: Outcome) -> None:
        """Settle the call; returns when that is durable. Does nothing if it was settled before."""
        if (settlement := self._settlement(outcome)) is not None:
            await self._metering.write(settlement, self._claim)

    def settle_behind(self, outcome: Outcome) -> None:
        """Settle the call for a caller who cannot wait any more. Does nothing if it was settled before."""
        if (settlement := self._settlement(outcome)) is not None:
            self._metering.write_behind(settlement, self._claim)

    def _settlement(self, outcome: Outcome) -> Settlement | None:
        if self._settled:
            return None
        self._settled = True
        if self.blocked is not None and self.blocked.count:
            self._metering.blocked(self._seen, self.blocked)
        usage, source = self._usage(outcome)
        if self._place.tokens:
            self._metering.correct(self._place, usage)
        price = self._served.price
        settlement = Settlement(
            call=self._call,
            outcome=outcome,
            usage=usage,
            source=source,
            cost_nano=None if price is None else price.cost(usage),
            latency_ms=self._metering.elapsed_ms(self._began),
            first_byte_ms=self._first_byte_ms,
            status=self.status,
        )
        self._metering.settled(self._seen, self._served.route.offer.kind, settlement)
        return settlement

    def _usage(self, outcome: Outcome) -> tuple[TokenUsage, UsageSource]:
        reported = self._reported
        if reported is not None and (self.finished or outcome is Outcome.COMPLETED):
            return reported, _REPORTED
        refused = outcome in (Outcome.PROVIDER_ERROR, Outcome.PROVIDER_TIMEOUT) and not self.generated
        if refused:
            return NO_USAGE, UsageSource.NOTHING
        written = estimated_tokens(self._written)
        if reported is None and not written and not self._call.input_estimate:
            return NO_USAGE, UsageSource.NOTHING
        if reported is None:
            return TokenUsage(input_tokens=self._call.input_estimate, output_tokens=written), UsageSource.ESTIMATED
        # Some providers report with each frame what they have written up to there, or nothing yet.
        return reported._replace(output_tokens=max(written, reported.output_tokens)), UsageSource.ESTIMATED
