"""What a call needs of its budgets, and what is to be said when there is not that much; pure.

A call needs its ceiling in each budget that applies. Where it has not the room because of what was spent, it may be
cut: unless it says itself how much may be written, the model may then write only as much as there is room for.

    25.00 a day, of which 24.99 are settled: a call that may come to 0.05 is cut to one that comes to 0.01, or refused
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, final

import msgspec

from bailiwick.domain.budget_terms import Applied
from bailiwick.domain.budgets import BudgetScope, OnExceed, OnLost, Unit, limit_document
from bailiwick.domain.ceilings import Ceiling, Extent, ceiling
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import BUDGET, shown
from bailiwick.domain.metering import Need, NoRoom, OpenCall, SpentIfLost
from bailiwick.domain.money import usd
from bailiwick.domain.pricing import Price
from bailiwick.domain.principal import Principal
from bailiwick.domain.times import written

_SPENT: Final = {
    OnLost.RELEASE: SpentIfLost.NOTHING,
    OnLost.ESTIMATE: SpentIfLost.ESTIMATE,
    OnLost.CEILING: SpentIfLost.CEILING,
}
_STRICTEST: Final = (OnLost.CEILING, OnLost.ESTIMATE, OnLost.RELEASE)
# By names of their own, for every call: Python 3.11 takes 0.1 us to look up a member of an enumeration.
_TOKENS: Final = Unit.TOKENS
_CAP: Final = OnExceed.CAP
_NOTHING: Final = Ceiling(0, 0, 0)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@final
class Claim(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one call that opens at `opened_us` needs: of each budget in `applied` what is in `needs` at the same place.

    `price` is what it costs, of `extent` at most, `ceiling` what that comes to.
    """

    opened_us: int
    applied: tuple[Applied, ...]
    needs: tuple[Need, ...]
    extent: Extent
    price: Price | None
    ceiling: Ceiling
    on_lost: SpentIfLost

    def amount(self, need: int) -> int:
        """How much it needs of one of them."""
        return self.ceiling.tokens if self.needs[need].in_tokens else self.ceiling.nano or 0

    def least(self, need: int) -> int | None:
        """How much it needs of one of them if it is cut to write as little as may be; None: it may not be cut."""
        if not self._may_be_cut(need):
            return None
        read, written = self.ceiling.read, min(1, self.extent.written) * self.extent.choices + self.extent.beside
        if self.needs[need].in_tokens or self.price is None:
            return read + written
        return self.price.most(read, written)

    def is_spent(self, no_room: NoRoom) -> bool:
        """Whether what is settled leaves it no room, whatever becomes of the calls in flight."""
        return self.amount(no_room.need) > self.needs[no_room.need].lim - no_room.settled

    def cut(self, no_room: NoRoom) -> int | None:
        """How much a model may write so that the call fits beside what is settled; None: it may not be cut, or not so.

        For each choice, and less than now.
        """
        need, extent = self.needs[no_room.need], self.extent
        if not (self._may_be_cut(no_room.need) and self.is_spent(no_room)):
            return None
        left = need.lim - no_room.settled
        read, price = self.ceiling.read, self.price
        written = left - read if need.in_tokens or price is None else price.writes(read, left)
        most = (written - extent.beside) // extent.choices
        return most if 0 < most < extent.written else None

    def _may_be_cut(self, need: int) -> bool:
        return not self.extent.said and self.applied[need].budget.cap.on_exceed is _CAP

    def held_by(self, call: OpenCall) -> OpenCall:
        """The call as it opens under it."""
        # Where words were counted, that is what is known best, and no estimate of ours comes to more than is held.
        read = min(call.input_estimate, self.ceiling.read)
        return msgspec.structs.replace(
            call,
            input_estimate=read,
            cost_estimate_nano=None if self.price is None else self.price.cost_of_input(read),
            opened_us=self.opened_us,
            ceiling_nano=self.ceiling.nano,
            ceiling_tokens=self.ceiling.tokens,
            on_lost=self.on_lost,
        )

    def covers(self, other: Claim) -> bool:
        """Whether what this one holds is all that `other` needs."""
        return (
            self.needs == other.needs
            and self.ceiling.tokens >= other.ceiling.tokens
            and (self.ceiling.nano or 0) >= (other.ceiling.nano or 0)
        )


def claim(
    principal: Principal,
    names: tuple[str, ...],
    extent: Extent,
    price: Price | None,
    window: int | None,
    opened_us: int,
) -> Claim | None:
    """What a call of `principal` needs with a model that goes by `names`; None if no budget ever applies.

    Raises `Refused` (403) if a budget applies and what the call may come to cannot be told.
    """
    grant = principal.grant
    if grant.budgets is None:
        return None
    applied = grant.budgets.applying(names, key=grant.key_bucket, uid=principal.uid, sid=principal.sid)
    most = ceiling(extent, price, window) if applied else _NOTHING
    if most is None or (price is None and any(one.budget.cap.unit is not _TOKENS for one in applied)):
        raise _unpriced(names, window_missing=most is None)
    needs: list[Need] = []
    for budget, subject in applied:
        cap = budget.cap
        span = cap.window.slices(opened_us)
        needs.append(
            Need(
                tenant_id=grant.tenant_id,
                budget_id=budget.id,
                counted=budget.counted,
                subject=subject,
                slice=span.slice,
                span=span.slice - span.first,
                in_tokens=cap.unit is _TOKENS,
                lim=cap.amount,
                ends_us=span.frees_us,
            )
        )
    said = [one.budget.cap.on_lost for one in applied]
    return Claim(
        opened_us=opened_us,
        applied=applied,
        needs=tuple(needs),
        extent=extent,
        price=price,
        ceiling=most,
        on_lost=_SPENT[next((on_lost for on_lost in _STRICTEST if on_lost in said), OnLost.ESTIMATE)],
    )


@final
class NoBudget(Refused):
    """Refused by a budget; `budget` tells which, and how it stands."""

    def __init__(self, claim: Claim, no_room: NoRoom) -> None:
        """Settled spend leaves no room (402), or calls in flight hold it (429)."""
        applied, need = claim.applied[no_room.need], claim.needs[no_room.need]
        scope, unit = applied.budget.scope, applied.budget.cap.unit
        spent, most = claim.is_spent(no_room), claim.amount(no_room.need)
        whose = "This tenant" if scope is BudgetScope.TENANT else f"This {scope}"
        stands = f"of {_amount(unit, need.lim)}, {_amount(unit, no_room.settled)} are used"
        if spent:
            least = claim.least(no_room.need)
            asks = f"may come to {_amount(unit, most)}" if least is None else f"needs at least {_amount(unit, least)}"
            message = f"{whose}'s budget has no room for this call: {stands}, and this call {asks}."
            super().__init__(Code.BUDGET_EXCEEDED, message)
        else:
            held = f"calls in flight hold {_amount(unit, no_room.reserved)}, and this call may come to"
            message = f"{whose}'s budget has no room for this call now: {stands}, {held} {_amount(unit, most)}."
            super().__init__(Code.BUDGET_BUSY, message, retry_after=1)
        self.budget: Final[dict[str, object]] = {
            "id": shown(BUDGET, applied.budget.id),
            "scope": str(scope),
            "subject": applied.whose,
            "limit": limit_document(unit, need.lim),
            "used": limit_document(unit, no_room.settled),
            "in_flight": limit_document(unit, no_room.reserved),
            "frees_at": None if need.ends_us is None else written(_EPOCH + timedelta(microseconds=need.ends_us)),
        }


def _amount(unit: Unit, amount: int) -> str:
    return f"{amount} tokens" if unit is _TOKENS else f"{usd(amount)} USD"


def _unpriced(names: tuple[str, ...], *, window_missing: bool) -> Refused:
    name = names[0] if names else "this model"
    if window_missing:
        message = (
            f"What {name!r} reads here is not told by the request's size, and how much it can read at once is unknown:"
            ' under a budget its provider\'s "prices" must say its "context_window".'
        )
    else:
        message = (
            f'No price is known of {name!r}, and a budget of money applies: its provider\'s "prices" must say what it'
            " costs."
        )
    return Refused(Code.MODEL_UNPRICED, message, param="model")
