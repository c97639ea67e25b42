"""What every limit store owes its callers, in one process or shared by many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

from bailiwick.domain.limits import LimitLevel, Rate, Unit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bailiwick.domain.limits import Decision

# (level, unit, project, subject). `project` is the project's id as text, so that no subject of one project can ever be
# that of another, and the room of a store can be shared out fairly. `subject` is the address, key id or end user, and
# "" at the project's own level.
BucketKey: TypeAlias = tuple[LimitLevel, Unit, str, str]
# A bucket, its rate, and what the call costs there, at least 1.
Charge: TypeAlias = tuple[BucketKey, Rate, int]


class LimitStore(Protocol):
    """Keeps the buckets and decides.

    Duties, the same for each store and tested against `decide`:
    - one atomic decision over all buckets: between reading the first bucket and writing the last nobody else decides;
      a refusal writes nothing, not even a bucket that did not exist;
    - the arithmetic of `bailiwick.domain.limits`, to the nanosecond;
    - a clock that went backwards stands still until it has caught up, so that a forgotten bucket cannot be had twice;
    - a bucket is forgotten only when it is empty; nobody gains by crowding others out;
    - what cannot be decided raises `Unavailable`; whether calls then pass is the caller's choice.
    """

    async def admit(self, charges: Sequence[Charge], now_ns: int) -> Decision:
        """Decide on all buckets at once; `charges` come in the order of `LimitLevel`, each bucket at most once.

        `now_ns` is in nanoseconds since the epoch. Raises `Unavailable`; ValueError for a cost below 1.
        """
        ...

    async def refund(self, charges: Sequence[Charge], decision: Decision, now_ns: int) -> None:
        """Give back what an admission took, everywhere, once: `charges` and `decision` are the admission's own."""
        ...

    def correct(self, charges: Sequence[Charge], decision: Decision, tokens: int, now_ns: int) -> None:
        """Make of the tokens that an admission took, by estimate, what the call used: `tokens`. Once.

        Returns at once, and holds for every decision that this process asks for from then on.
        """
        ...

    async def foresee(self, charges: Sequence[Charge], now_ns: int) -> tuple[Decision, int]:
        """Decide and take nothing; and say in how many nanoseconds calls of this cost together will all have passed."""
        ...
