"""What tokens cost: exact integer arithmetic in nano-dollars, rounded up once, at the end.

A rate is in nano-dollars per million tokens (0.15 USD per million = 150,000,000), so that prices with fractions of a
nano-dollar a token stay exact until the sum. Some models charge more above a number of input tokens: a rate then has
steps, and the step is chosen by the call's whole input.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, final

from bailiwick.domain.usage import TokenUsage

_MILLION: Final = 1_000_000
_NANO: Final = 1_000_000_000
# The names are kept in the database: never another meaning.
_KINDS: Final = (
    "input", "output", "cached", "cache_write", "input_audio", "output_audio", "cache_write_1h", "input_image",
    "output_image",
)  # fmt: skip


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """Nano-dollars per million tokens; `steps` are (input tokens from which it applies, rate), ascending."""

    base: int
    steps: tuple[tuple[int, int], ...] = ()

    def at(self, input_tokens: int) -> int:
        """The rate for a call with so many input tokens."""
        rate = self.base
        for start, higher in self.steps:
            if input_tokens > start:
                rate = higher
        return rate


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """The rates of one model; where a kind of token has none of its own it costs what its whole costs.

    `version` is the number by which these rates are found again, of prices that calls are charged at.
    """

    input: Rate
    output: Rate
    cached: Rate | None = None
    cache_write: Rate | None = None
    input_audio: Rate | None = None
    output_audio: Rate | None = None
    cache_write_1h: Rate | None = None
    input_image: Rate | None = None
    output_image: Rate | None = None
    version: int | None = field(default=None, compare=False)
    _dearest_input: Rate = field(init=False, repr=False, compare=False)
    _dearest_output: Rate = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Find the dearest rates, which each call under a budget needs."""
        read = (self.input, self.cached, self.cache_write, self.cache_write_1h, self.input_audio, self.input_image)
        object.__setattr__(self, "_dearest_input", _dearest(read))
        object.__setattr__(self, "_dearest_output", _dearest((self.output, self.output_audio, self.output_image)))

    def rates(self) -> dict[str, dict[str, object]]:
        """The rates as they are kept, by kind of token: `{"input": {"base": 150000000, "steps": []}, …}`."""
        return {kind: {"base": rate.base, "steps": [list(step) for step in rate.steps]} for kind, rate in self.known()}

    def known(self) -> Iterator[tuple[str, Rate]]:
        """The kinds of tokens that have rates of their own, with these."""
        for kind in _KINDS:
            rate: Rate | None = getattr(self, kind)
            if rate is not None:
                yield kind, rate

    def most(self, read: int, written: int) -> int:
        """The most that so many tokens can cost, or any fewer, of whatever kinds; in nano-dollars, rounded up."""
        total = read * self._dearest_input.at(read) + written * self._dearest_output.at(read)
        return -(-total // _MILLION)

    def writes(self, read: int, nano: int) -> int:
        """How many tokens can be written beside `read` ones for so many nano-dollars; 0 if writing costs nothing."""
        rate = self._dearest_output.at(read)
        return (nano * _MILLION - read * self._dearest_input.at(read)) // rate if rate else 0

    def cost(self, usage: TokenUsage) -> int:
        """Nano-dollars for `usage`, rounded up to a whole one."""
        size = usage.input_tokens
        read, wrote = self.input.at(size), self.output.at(size)
        total = size * read + usage.output_tokens * wrote
        if any(usage[2:]):
            total += self._more_for_parts(usage, size, read, wrote)
        return -(-total // _MILLION)

    def cost_of_input(self, tokens: int) -> int:
        """The same for so many tokens that were only read."""
        return -(-tokens * self.input.at(tokens) // _MILLION)

    def _more_for_parts(self, usage: TokenUsage, size: int, read: int, wrote: int) -> int:
        """What parts with rates of their own cost more (or less) than as their whole; parts of one do not overlap."""
        parts = (
            (usage.cached_tokens, self.cached, read),
            (usage.cache_write_tokens - usage.cache_write_1h_tokens, self.cache_write, read),
            (usage.cache_write_1h_tokens, self.cache_write_1h or self.cache_write, read),
            (usage.input_audio_tokens, self.input_audio, read),
            (usage.input_image_tokens, self.input_image, read),
            (usage.output_audio_tokens, self.output_audio, wrote),
            (usage.output_image_tokens, self.output_image, wrote),
        )
        return sum(tokens * (rate.at(size) - whole) for tokens, rate, whole in parts if rate is not None)


def price_of(rates: Mapping[str, Mapping[str, Any]], version: int) -> Price:
    """The price of a version that was kept, from its `rates`."""
    kept = {
        kind: Rate(base=rate["base"], steps=tuple((start, higher) for start, higher in rate["steps"]))
        for kind, rate in rates.items()
    }
    return Price(**kept, version=version)


def _dearest(rates: Sequence[Rate | None]) -> Rate:
    """The highest of some rates at each number of tokens, or at any fewer."""
    known = [rate for rate in rates if rate is not None]
    highest = max(rate.base for rate in known)
    base, steps = highest, []
    for start in sorted({start for rate in known for start, _ in rate.steps}):
        highest = max(highest, *(rate.at(start + 1) for rate in known))
        steps.append((start, highest))
    return Rate(base=base, steps=tuple(steps))


def rate_from_usd(usd_per_million: Decimal) -> int:
    """Nano-dollars per million tokens from dollars per million tokens, rounded up to a whole nano-dollar."""
    scaled = usd_per_million * _NANO
    whole = int(scaled)
    return whole if whole == scaled else whole + 1


FREE: Final = Price(input=Rate(base=0), output=Rate(base=0), version=0)
"""What costs nothing. Its version needs no history."""
