"""What tokens cost: exact integer arithmetic in nano-dollars, rounded up once, at the end.

A rate is in nano-dollars per million tokens (0.15 USD per million = 150,000,000), so that prices with fractions of a
nano-dollar a token stay exact until the sum. Some models charge more above a number of input tokens: a rate then has
steps, and the step is chosen by the call's whole input.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, final

from bailiwick.domain.usage import TokenUsage

_MILLION: Final = 1_000_000
_NANO: Final = 1_000_000_000


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
    """The rates of one model; where a kind of token has none of its own it costs what its whole costs."""

    input: Rate
    output: Rate
    cached: Rate | None = None
    cache_write: Rate | None = None
    input_audio: Rate | None = None
    output_audio: Rate | None = None
    cache_write_1h: Rate | None = None
    input_image: Rate | None = None
    output_image: Rate | None = None

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


def rate_from_usd(usd_per_million: Decimal) -> int:
    """Nano-dollars per million tokens from dollars per million tokens, rounded up to a whole nano-dollar."""
    scaled = usd_per_million * _NANO
    whole = int(scaled)
    return whole if whole == scaled else whole + 1


FREE: Final = Price(input=Rate(base=0), output=Rate(base=0))
