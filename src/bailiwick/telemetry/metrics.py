"""What one process counts of its calls, kept so that counting costs a call next to nothing.

Plain integers in dictionaries; they are written in Prometheus' form only when somebody asks (`exposition`). Guarantee:
every label is one of a closed list (an address of ours, a kind of provider, an outcome, an error code, …), so whatever
callers send, the number of series is bounded. No tenant, project, user, key or model is ever a label.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, final

from bailiwick.domain.errors import Code
from bailiwick.domain.metering import Settlement
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.usage import Outcome

Step: TypeAlias = Literal["open", "settle"]

OTHER: Final = "other"
"""The door of a request to an address that does not exist."""

# What calls take: from a cached embedding to a long answer. Milliseconds.
CALL_MS: Final = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000, 120_000, 300_000, 600_000)
BATCH_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500)
# What a batch takes to be durable, and how late the event loop is. Microseconds.
BATCH_US: Final = (500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000)
LAG_US: Final = (1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000)


@final
class Histogram:
    """Counts of values by upper bound. `counts` has one place more than `bounds`; `total` is the sum of all values."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[int]) -> None:
        """`bounds` ascend; a value equal to a bound is within it."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0

    def observe(self, value: int) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@final
class Spent:
    """What the calls of one door and one kind of provider came to; all other tokens are parts of `read` and `wrote`."""

    __slots__ = (
        "audio", "cache_write", "cached", "cost_nano", "first_byte_ms", "latency_ms", "outcomes", "read", "reasoning",
        "wrote",
    )  # fmt: skip

    def __init__(self) -> None:
        self.outcomes = [0] * len(Outcome)
        self.read = 0
        self.wrote = 0
        self.cached = 0
        self.cache_write = 0
        self.reasoning = 0
        self.audio = 0
        self.cost_nano = 0
        self.latency_ms = Histogram(CALL_MS)
        self.first_byte_ms = Histogram(CALL_MS)

    def add(self, settlement: Settlement) -> None:
        """Count one call."""
        self.outcomes[settlement.outcome] += 1
        read, wrote, cached, cache_write, reasoning, audio_in, audio_out, *_ = settlement.usage
        self.read += read
        self.wrote += wrote
        if cached or cache_write or reasoning or audio_in or audio_out:
            self.cached += cached
            self.cache_write += cache_write
            self.reasoning += reasoning
            self.audio += audio_in + audio_out
        self.cost_nano += settlement.cost_nano or 0
        self.latency_ms.observe(settlement.latency_ms)
        if settlement.first_byte_ms is not None:
            self.first_byte_ms.observe(settlement.first_byte_ms)


@final
class LedgerBatches:
    """The ledger's batches of one step."""

    __slots__ = ("duration_us", "size")

    def __init__(self) -> None:
        self.size = Histogram(BATCH_SIZES)
        self.duration_us = Histogram(BATCH_US)


@final
class Metrics:
    """The numbers of one process, from its start."""

    def __init__(self) -> None:
        self.answers: defaultdict[tuple[str, int], int] = defaultdict(int)
        """By door and first digit of the status, 0 if the client was gone before an answer."""
        self.refusals = dict.fromkeys(Code, 0)
        self.refused_calls_dropped = 0
        """Of which nothing was kept that would explain them."""
        self.spent: defaultdict[tuple[str, ProviderKind], Spent] = defaultdict(Spent)
        self.open_calls: defaultdict[str, int] = defaultdict(int)
        """By door."""
        self.tool_calls_blocked: defaultdict[str, int] = defaultdict(int)
        """By door."""
        self.batches: dict[Step, LedgerBatches] = {
            "open": LedgerBatches(),
            "settle": LedgerBatches(),
        }
        self.lag_us = Histogram(LAG_US)

    def answered(self, door: str, status: int, refused: Code | None) -> None:
        """Count an answer; `status` is 0 if there was nobody to send it to."""
        self.answers[door, status // 100] += 1
        if refused is not None:
            self.refusals[refused] += 1

    def opened(self, door: str) -> None:
        """Count a call that is open from now on."""
        self.open_calls[door] += 1

    def settled(self, door: str, kind: ProviderKind, settlement: Settlement) -> None:
        """Count a call that was open until now."""
        self.open_calls[door] -= 1
        self.spent[door, kind].add(settlement)

    def wrote_batch(self, step: Step, size: int, seconds: float) -> None:
        """Count a batch that the ledger has written."""
        batches = self.batches[step]
        batches.size.observe(size)
        batches.duration_us.observe(int(seconds * 1_000_000))

    def late(self, seconds: float) -> None:
        """Count how much later than asked for the event loop came back to something."""
        self.lag_us.observe(int(max(seconds, 0.0) * 1_000_000))
