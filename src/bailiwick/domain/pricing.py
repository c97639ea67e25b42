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

    def cost(self, usage: TokenUsage) -> int:
        """Nano-dollars for `usage`, rounded up to a whole one."""
        size = usage.input_tokens
        plain_input = size - usage.cached_tokens - usage.cache_write_tokens - usage.input_audio_tokens
        plain_output = usage.output_tokens - usage.output_audio_tokens
        total = plain_input * self.input.at(size) + plain_output * self.output.at(size)
        if plain_input != size or plain_output != usage.output_tokens:
            total += usage.cached_tokens * (self.cached or self.input).at(size)
            total += usage.cache_write_tokens * (self.cache_write or self.input).at(size)
            total += usage.input_audio_tokens * (self.input_audio or self.input).at(size)
            total += usage.output_audio_tokens * (self.output_audio or self.output).at(size)
        return -(-total // _MILLION)


def rate_from_usd(usd_per_million: Decimal) -> int:
    """Nano-dollars per million tokens from dollars per million tokens, rounded up to a whole nano-dollar."""
    scaled = usd_per_million * _NANO
    whole = int(scaled)
    return whole if whole == scaled else whole + 1


FREE: Final = Price(input=Rate(base=0), output=Rate(base=0))
