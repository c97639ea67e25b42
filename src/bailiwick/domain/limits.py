"""Rate limits as arithmetic: (rate, cost, stored, now) -> (decision, new stored). Pure, and exact: integers only.

GCRA. A bucket is a debt that each admission raises by its cost, in intervals (`per / amount`), and that time pays off;
a call is admitted while the debt stays within `burst` intervals. In any time t at most
`burst + floor(amount * t / per)` are admitted, and a caller who never lets up gets exactly that, because nothing is
ever rounded: time is counted in ticks of 1/k ns, with k the least number that makes the interval whole (7 a second:
k = 7, an interval of 10**9).

- Several buckets are decided together, all or nothing: a refusal at one consumes nothing at another.
- A call costs one request, and as many tokens as it is estimated at; what it really used corrects its token buckets
  when it settles. Only admission compares with the limit: a correction may leave a debt that is larger.
- A clock that goes backwards never admits more: the same debt is then seen to have drained less.
- When a rate changes, a bucket keeps the requests or tokens it holds, rounded up; the new rate holds from that moment.

Worked example: 60 a minute, burst 60. Sixty calls at once are admitted, the sixty-first is told to wait 1 s.

Every store must decide as `decide` does; the tests hold each of them to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import gcd
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, final

import msgspec

from bailiwick.domain.durations import DAY, MILLISECOND
from bailiwick.domain.errors import BailiwickError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_REQUESTS: Final = 1_000_000_000
MOST_TOKENS: Final = 1_000_000_000_000
SHORTEST_PER: Final = 100 * MILLISECOND
LONGEST_PER: Final = 31 * DAY


class LimitLevel(StrEnum):
    """Whose calls are counted together. The order is fixed: it is that of every decision, and it breaks ties."""

    IP = "ip"
    PROJECT = "project"
    KEY = "key"
    USER = "user"


class Unit(StrEnum):
    """What is counted."""

    REQUESTS = "requests"
    TOKENS = "tokens"


@final
class InvalidLimit(BailiwickError):
    """A limit that cannot be: `field` is a dotted path, `message` says what was expected."""

    def __init__(self, field: str, message: str) -> None:
        """Both are fit to be shown to whoever sent the limit."""
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def whole_number(field: str, value: object, lowest: int, highest: int) -> int:
    """Take an integer within bounds; InvalidLimit naming `field` for anything else, booleans and floats included."""
    if type(value) is not int or not lowest <= value <= highest:
        raise InvalidLimit(field, f"must be a whole number from {lowest} to {highest}")
    return value


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`amount` in every `per_ns` nanoseconds, and at most `burst` at once; InvalidLimit outside the bounds."""

    amount: int
    per_ns: int
    burst: int
    ticks: int = field(init=False, repr=False, compare=False)
    """Ticks in a nanosecond."""
    interval: int = field(init=False, repr=False, compare=False)
    """What one request or token adds to the debt, in ticks."""
    tolerance: int = field(init=False, repr=False, compare=False)
    """The debt up to which calls are admitted, in ticks."""

    def __post_init__(self) -> None:
        """Check the bounds and derive the exact arithmetic."""
        whole_number("amount", self.amount, 1, MOST_TOKENS)
        whole_number("burst", self.burst, 1, MOST_TOKENS)
        if type(self.per_ns) is not int or not SHORTEST_PER <= self.per_ns <= LONGEST_PER:
            raise InvalidLimit(field="per", message="must be from 100ms to 31d")
        common = gcd(self.amount, self.per_ns)
        object.__setattr__(self, "ticks", self.amount // common)
        object.__setattr__(self, "interval", self.per_ns // common)
        object.__setattr__(self, "tolerance", self.burst * self.interval)


# What is kept of a bucket: (drained_at, returned, since_ns, rate). A plain tuple, because four are made for each call.
#   drained_at  when its debt is paid off, in ticks of `rate` since the epoch (the theoretical arrival time of GCRA)
#   returned    ticks that refunds took off this debt since `since_ns`
#   since_ns    when this debt began: the bucket was empty, or came under another rate
#   rate        the rate it was reckoned under
Stored: TypeAlias = tuple[int, int, int, Rate]

# One bucket that a call is counted in: (level, unit, rate, cost, stored).
Asked: TypeAlias = tuple[LimitLevel, Unit, Rate, int, Stored | None]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one bucket says to a call."""

    admitted: bool
    stored: Stored | None
    """The bucket after an admission, or untouched after a refusal."""
    remaining: int
    """How much more would be admitted now."""
    retry_after_ns: int | None
    """0 when admitted; else the wait after which this call would be; None when it never would (cost over burst)."""
    reset_ns: int
    """Until the bucket is empty again."""


@final
class Standing(msgspec.Struct, frozen=True, gc=False):
    """Where one bucket stands after a decision; the fields mean what they do in `Verdict`."""

    level: LimitLevel
    rate: Rate
    remaining: int
    reset_ns: int
    retry_after_ns: int | None = 0


@final
class Refusal(NamedTuple):
    """One bucket that refuses a call of this cost, and after which wait it would not."""

    level: LimitLevel
    unit: Unit
    rate: Rate
    cost: int
    retry_after_ns: int | None


@final
class Decision(msgspec.Struct, frozen=True, gc=False):
    """What all buckets say together. A struct, as `Standing`: made for each call, at a third of a named tuple."""

    admitted: bool
    requests: Standing | None
    """The strictest of those that count requests: fewest remaining, or if any of them refuses the longest wait; the
    first of equals. None: there is none."""
    tokens: Standing | None
    """The strictest of those that count tokens."""
    refusals: Sequence[Refusal]
    """Every bucket that refuses, the longest wait first."""
    at_ns: int
    taken: Sequence[Stored]
    """Each bucket as this admission left it, in order: what a refund needs. Empty when refused."""

    @property
    def retry_after_ns(self) -> int | None:
        """The wait after which the call would be admitted, if nobody came before it; None: never."""
        return self.refusals[0].retry_after_ns if self.refusals else 0

    def told_to_wait(self, wait_ns: int) -> Decision:
        """The same refusal, when it is known that the wait is another."""
        requests, tokens = (
            one if one is None or one.retry_after_ns == 0 else msgspec.structs.replace(one, retry_after_ns=wait_ns)
            for one in (self.requests, self.tokens)
        )
        refusals = [refusal._replace(retry_after_ns=wait_ns) for refusal in self.refusals]
        return msgspec.structs.replace(self, requests=requests, tokens=tokens, refusals=refusals)


def standing(rate: Rate, stored: Stored | None, now_ns: int) -> tuple[int, int, int]:
    """Say how a bucket stands now, under `rate`: (debt in ticks, `returned`, `since_ns`)."""
    if stored is None:
        return 0, 0, now_ns
    drained_at, returned, since_ns, under = stored
    debt = drained_at - now_ns * under.ticks
    if debt <= 0:
        return 0, 0, now_ns
    if (under.interval, under.ticks) == (rate.interval, rate.ticks):
        return debt, returned, since_ns
    # The requests it holds are kept, not their time: else 600 calls of a 600-a-minute limit would shrink to 60 under
    # 60 a minute, and whoever alternates two tiers would be refilled. Rounded up, against the caller.
    return -(-debt * rate.interval // under.interval), 0, now_ns


def evaluate(rate: Rate, cost: int, stored: Stored | None, now_ns: int) -> Verdict:
    """Decide one bucket; ValueError for a cost below 1, which would pay debts off."""
    check_cost(cost)
    debt, returned, since_ns = standing(rate, stored, now_ns)
    wanted = debt + cost * rate.interval
    if wanted <= rate.tolerance:
        return Verdict(
            admitted=True,
            stored=(now_ns * rate.ticks + wanted, returned, since_ns, rate),
            remaining=(rate.tolerance - wanted) // rate.interval,
            retry_after_ns=0,
            reset_ns=-(-wanted // rate.ticks),
        )
    return Verdict(
        admitted=False,
        stored=stored,
        remaining=max(0, (rate.tolerance - debt) // rate.interval),
        retry_after_ns=None if cost > rate.burst else -((rate.tolerance - wanted) // rate.ticks),
        reset_ns=-(-debt // rate.ticks),
    )


def decide(asked: Sequence[Asked], now_ns: int) -> Decision:
    """Decide all buckets at once, all or nothing; they come in the order of `LimitLevel`, each at most once."""
    verdicts = [evaluate(rate, cost, stored, now_ns) for _, _, rate, cost, stored in asked]
    refusals = [
        Refusal(level, unit, rate, cost, verdict.retry_after_ns)
        for (level, unit, rate, cost, _), verdict in zip(asked, verdicts, strict=True)
        if not verdict.admitted
    ]
    refusals.sort(key=lambda refusal: _strictness(refusal.retry_after_ns), reverse=True)
    found: dict[Unit, list[Standing]] = {unit: [] for unit in Unit}
    for (level, unit, rate, _, stored), verdict in zip(asked, verdicts, strict=True):
        if refusals and verdict.admitted:  # It takes nothing all the same.
            debt = standing(rate, stored, now_ns)[0]
            remaining, reset_ns = (rate.tolerance - debt) // rate.interval, -(-debt // rate.ticks)
            found[unit].append(Standing(level, rate, remaining, reset_ns))
        else:
            found[unit].append(Standing(level, rate, verdict.remaining, verdict.reset_ns, verdict.retry_after_ns))
    return Decision(
        admitted=not refusals,
        requests=_strictest(found[Unit.REQUESTS]),
        tokens=_strictest(found[Unit.TOKENS]),
        refusals=refusals,
        at_ns=now_ns,
        taken=() if refusals else tuple(verdict.stored for verdict in verdicts if verdict.stored is not None),
    )


def _strictest(found: Sequence[Standing]) -> Standing | None:
    refusing = [one for one in found if one.retry_after_ns != 0]
    if refusing:
        return max(refusing, key=lambda one: _strictness(one.retry_after_ns))
    return min(found, key=lambda one: one.remaining, default=None)


def _strictness(retry_after_ns: int | None) -> tuple[bool, int]:
    return retry_after_ns is None, retry_after_ns or 0


def wait_ns(rate: Rate, amount: int, stored: Stored | None, now_ns: int) -> int:
    """Say when the last of several calls, which come one by one as they fit and cost `amount` in all, is admitted."""
    debt, _, _ = standing(rate, stored, now_ns)
    return max(0, -((rate.tolerance - debt - amount * rate.interval) // rate.ticks))


def refund(receipt: Stored, cost: int, back: int, at_ns: int, stored: Stored | None, now_ns: int) -> Stored | None:
    """Take `back` of an admission's `cost` back; once each.

    `receipt` is the bucket as the admission left it at `at_ns`, `stored` the bucket now. At the same instant it is the
    exact inverse, whatever was admitted in between and in whatever order refunds come. Later it returns what time has
    not drained: never more than leaves the bucket as if the call had cost only the rest, so the bound holds for what
    stays. Two lower bounds of that are known, and the better is taken: the charge had its turn at once (it drained
    since `at_ns`), or after all that was before it (`drained_at`), less what was returned since. It may fall short of
    the truth, by no more than the time the call was held. A bucket that was empty or came under another rate since then
    returns nothing.
    """
    if stored is None:
        return None
    drained_at, returned, since_ns, rate = stored
    receipt_drained_at, receipt_returned, receipt_since_ns, charged = receipt
    if since_ns != receipt_since_ns or (rate.interval, rate.ticks) != (charged.interval, charged.ticks):
        return stored
    had_its_turn_first = cost * rate.interval - (now_ns - at_ns) * rate.ticks
    had_its_turn_last = receipt_drained_at - now_ns * rate.ticks - (returned - receipt_returned)
    undrained = min(back * rate.interval, max(0, had_its_turn_first, had_its_turn_last))
    return drained_at - undrained, returned + undrained, since_ns, rate


def correct(receipt: Stored, cost: int, used: int, at_ns: int, stored: Stored | None, now_ns: int) -> Stored | None:
    """Make of an admission's estimated `cost` what was `used`: refund the rest, or charge what was used beyond it.

    What was used beyond is charged as of now, whatever the limit: the debt may be larger than that, and time pays it.
    """
    if used <= cost:
        return refund(receipt, cost, cost - used, at_ns, stored, now_ns)
    rate = receipt[3] if stored is None else stored[3]
    debt, returned, since_ns = standing(rate, stored, now_ns)
    return now_ns * rate.ticks + debt + (used - cost) * rate.interval, returned, since_ns, rate


def replay(rate: Rate, arrivals_ns: Sequence[int]) -> Stored | None:
    """Rebuild a bucket from admissions that are on record, in any order: max over k of t_k + (n - k + 1) intervals."""
    if not arrivals_ns:
        return None
    arrivals = sorted(arrivals_ns)
    drained_at = max(
        arrival * rate.ticks + (len(arrivals) - place) * rate.interval for place, arrival in enumerate(arrivals)
    )
    return drained_at, 0, arrivals[0], rate


def stricter(one: Stored | None, other: Stored, now_ns: int) -> Stored:
    """Of two records of one bucket, keep the larger debt, under the rate of `other`."""
    rate = other[3]
    debt, returned, since_ns = standing(rate, one, now_ns)
    if debt >= standing(rate, other, now_ns)[0]:
        return now_ns * rate.ticks + debt, returned, since_ns, rate
    return other


def drained(stored: Stored, now_ns: int) -> bool:
    """Say whether a bucket is empty, so that nothing is lost by forgetting it."""
    return stored[0] <= now_ns * stored[3].ticks


def check_cost(cost: int) -> None:
    """Refuse a cost that would pay debts off: ValueError below 1."""
    if cost < 1:
        message = "the cost of a call is at least 1"
        raise ValueError(message)
