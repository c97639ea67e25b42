"""Rate limits as arithmetic: (limit, cost, stored, now) -> (decision, new stored). Pure, and exact: integers only.

GCRA. A bucket is a debt that each admission raises by one interval (`per / requests`) and that time pays off; a call
is admitted while the debt stays within `burst` intervals. In any time t at most `burst + floor(requests * t / per)`
calls are admitted, and a caller who never lets up gets exactly that, because nothing is ever rounded: time is counted
in ticks of 1/k ns, with k the least number that makes the interval whole (7 a second: k = 7, an interval of 10**9).

- Several levels are decided together, all or nothing: a refusal at one consumes nothing at another.
- A clock that goes backwards never admits more: the same debt is then seen to have drained less.
- When a limit changes, a bucket keeps the requests it holds, rounded up; the new limit holds from that moment on.

Worked example: 60 a minute, burst 60. Sixty calls at once are admitted, the sixty-first is told to wait 1 s.

Every store must decide as `decide` does; the tests hold each of them to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from math import gcd
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, final

from bailiwick.domain.durations import DAY, MILLISECOND
from bailiwick.domain.errors import BailiwickError

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_REQUESTS: Final = 1_000_000_000
SHORTEST_PER: Final = 100 * MILLISECOND
LONGEST_PER: Final = 31 * DAY


class LimitLevel(StrEnum):
    """Whose calls are counted together. The order is fixed: it is that of every decision, and it breaks ties."""

    IP = "ip"
    PROJECT = "project"
    KEY = "key"
    USER = "user"


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
class RequestLimit:
    """`requests` in every `per_ns` nanoseconds, and at most `burst` at once; InvalidLimit outside the bounds."""

    requests: int
    per_ns: int
    burst: int
    ticks: int = field(init=False, repr=False, compare=False)
    """Ticks in a nanosecond."""
    interval: int = field(init=False, repr=False, compare=False)
    """What one request adds to the debt, in ticks."""
    tolerance: int = field(init=False, repr=False, compare=False)
    """The debt up to which calls are admitted, in ticks."""

    def __post_init__(self) -> None:
        """Check the bounds and derive the exact arithmetic."""
        whole_number("requests", self.requests, 1, MOST_REQUESTS)
        whole_number("burst", self.burst, 1, MOST_REQUESTS)
        if type(self.per_ns) is not int or not SHORTEST_PER <= self.per_ns <= LONGEST_PER:
            raise InvalidLimit(field="per", message="must be from 100ms to 31d")
        common = gcd(self.requests, self.per_ns)
        object.__setattr__(self, "ticks", self.requests // common)
        object.__setattr__(self, "interval", self.per_ns // common)
        object.__setattr__(self, "tolerance", self.burst * self.interval)


# What is kept of a bucket: (drained_at, returned, since_ns, limit). A plain tuple, because four are made for each call.
#   drained_at  when its debt is paid off, in ticks of `limit` since the epoch (the theoretical arrival time of GCRA)
#   returned    ticks that refunds took off this debt since `since_ns`
#   since_ns    when this debt began: the bucket was empty, or came under another limit
#   limit       the limit it was reckoned under
Stored: TypeAlias = tuple[int, int, int, RequestLimit]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one level says to a call."""

    admitted: bool
    stored: Stored | None
    """The bucket after an admission, or untouched after a refusal."""
    remaining: int
    """How many more requests would be admitted now."""
    retry_after_ns: int | None
    """0 when admitted; else the wait after which this call would be; None when it never would (cost over burst)."""
    reset_ns: int
    """Until the bucket is empty again."""


@final
class Decision(NamedTuple):
    """What all levels say together. A named tuple: one is made for each call, at a fifth of a frozen dataclass."""

    admitted: bool
    level: LimitLevel | None
    """The strictest: fewest remaining when admitted, longest wait when refused; the first of equals. None: no limit."""
    limit: RequestLimit | None
    """That level's limit; `remaining`, `retry_after_ns` and `reset_ns` are that level's too, as in `Verdict`."""
    remaining: int
    retry_after_ns: int | None
    reset_ns: int
    cost: int
    at_ns: int
    taken: Sequence[Stored]
    """Each level's bucket as this admission left it, in order: what a refund needs. Empty when refused."""


_UNLIMITED: Final = Decision(
    admitted=True,
    level=None,
    limit=None,
    remaining=0,
    retry_after_ns=0,
    reset_ns=0,
    cost=0,
    at_ns=0,
    taken=(),
)


def standing(limit: RequestLimit, stored: Stored | None, now_ns: int) -> tuple[int, int, int]:
    """Say how a bucket stands now, under `limit`: (debt in ticks, `returned`, `since_ns`)."""
    if stored is None:
        return 0, 0, now_ns
    drained_at, returned, since_ns, under = stored
    debt = drained_at - now_ns * under.ticks
    if debt <= 0:
        return 0, 0, now_ns
    if (under.interval, under.ticks) == (limit.interval, limit.ticks):
        return debt, returned, since_ns
    # The requests it holds are kept, not their time: else 600 calls of a 600-a-minute limit would shrink to 60 under
    # 60 a minute, and whoever alternates two tiers would be refilled. Rounded up, against the caller.
    return -(-debt * limit.interval // under.interval), 0, now_ns


def evaluate(limit: RequestLimit, cost: int, stored: Stored | None, now_ns: int) -> Verdict:
    """Decide one level; ValueError for a cost below 1, which would pay debts off."""
    _check_cost(cost)
    debt, returned, since_ns = standing(limit, stored, now_ns)
    wanted = debt + cost * limit.interval
    if wanted <= limit.tolerance:
        return Verdict(
            admitted=True,
            stored=(now_ns * limit.ticks + wanted, returned, since_ns, limit),
            remaining=(limit.tolerance - wanted) // limit.interval,
            retry_after_ns=0,
            reset_ns=-(-wanted // limit.ticks),
        )
    return Verdict(
        admitted=False,
        stored=stored,
        remaining=max(0, (limit.tolerance - debt) // limit.interval),
        retry_after_ns=None if cost > limit.burst else -((limit.tolerance - wanted) // limit.ticks),
        reset_ns=-(-debt // limit.ticks),
    )


def decide(levels: Sequence[tuple[LimitLevel, RequestLimit, Stored | None]], cost: int, now_ns: int) -> Decision:
    """Decide all levels at once, all or nothing; they come in the order of `LimitLevel`, each at most once."""
    _check_cost(cost)
    if not levels:
        return _UNLIMITED._replace(cost=cost, at_ns=now_ns)
    verdicts = [(level, limit, evaluate(limit, cost, stored, now_ns)) for level, limit, stored in levels]
    refused = [entry for entry in verdicts if not entry[2].admitted]
    if refused:
        never = [entry for entry in refused if entry[2].retry_after_ns is None]
        level, limit, verdict = never[0] if never else max(refused, key=lambda entry: entry[2].retry_after_ns or 0)
    else:
        level, limit, verdict = min(verdicts, key=lambda entry: entry[2].remaining)
    return Decision(
        admitted=not refused,
        level=level,
        limit=limit,
        remaining=verdict.remaining,
        retry_after_ns=verdict.retry_after_ns,
        reset_ns=verdict.reset_ns,
        cost=cost,
        at_ns=now_ns,
        taken=() if refused else tuple(entry.stored for _, _, entry in verdicts if entry.stored is not None),
    )


def refund(receipt: Stored, cost: int, at_ns: int, stored: Stored | None, now_ns: int) -> Stored | None:
    """Take an admission back: `receipt` is the bucket as it left it at `at_ns`, `stored` the bucket now; once each.

    At the same instant it is the exact inverse, whatever was admitted in between and in whatever order refunds come.
    Later it returns what time has not drained: never more than leaves the bucket as if the call had never come, so the
    bound holds for the calls that stay. Two lower bounds of that are known, and the better is taken: the charge had
    its turn at once (it drained since `at_ns`), or after all that was before it (`drained_at`), less what was returned
    since. It may fall short of the truth, by no more than the time the call was held. A bucket that was empty or came
    under another limit since then returns nothing.
    """
    if stored is None:
        return None
    drained_at, returned, since_ns, limit = stored
    receipt_drained_at, receipt_returned, receipt_since_ns, charged = receipt
    if since_ns != receipt_since_ns or (limit.interval, limit.ticks) != (charged.interval, charged.ticks):
        return stored
    charge = cost * limit.interval
    had_its_turn_first = charge - (now_ns - at_ns) * limit.ticks
    had_its_turn_last = receipt_drained_at - now_ns * limit.ticks - (returned - receipt_returned)
    undrained = min(charge, max(0, had_its_turn_first, had_its_turn_last))
    return drained_at - undrained, returned + undrained, since_ns, limit


def replay(limit: RequestLimit, arrivals_ns: Sequence[int]) -> Stored | None:
    """Rebuild a bucket from admissions that are on record, in any order: max over k of t_k + (n - k + 1) intervals."""
    if not arrivals_ns:
        return None
    arrivals = sorted(arrivals_ns)
    drained_at = max(
        arrival * limit.ticks + (len(arrivals) - place) * limit.interval for place, arrival in enumerate(arrivals)
    )
    return drained_at, 0, arrivals[0], limit


def stricter(one: Stored | None, other: Stored, now_ns: int) -> Stored:
    """Of two records of one bucket, keep the larger debt, under the limit of `other`."""
    limit = other[3]
    debt, returned, since_ns = standing(limit, one, now_ns)
    if debt >= standing(limit, other, now_ns)[0]:
        return now_ns * limit.ticks + debt, returned, since_ns, limit
    return other


def drained(stored: Stored, now_ns: int) -> bool:
    """Say whether a bucket is empty, so that nothing is lost by forgetting it."""
    return stored[0] <= now_ns * stored[3].ticks


def _check_cost(cost: int) -> None:
    if cost < 1:
        message = "the cost of a call is at least 1"
        raise ValueError(message)
