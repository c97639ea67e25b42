"""What a call used, by kind of token, and how that is known.

`input_tokens` counts everything the model read, of which `cached_tokens` came from and `cache_write_tokens` went to a
provider's cache, `cache_write_1h_tokens` of these for an hour; `output_tokens` counts everything it wrote, of which
`reasoning_tokens` were not shown. Audio and images are parts of both sides, and of nothing that was cached. The parts
are always within their whole, so nothing is billed twice.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple, final

# A ledger row's token counts are 32-bit; a provider that reports more is not believed.
MAX_TOKENS: Final = 2**31 - 1
_BYTES_A_TOKEN: Final = 4
# So many bytes of sound count as one of text: a token of speech is about 1,600 bytes of compressed audio.
AUDIO_AS_TEXT: Final = 400
# What is reported, or priced, by the time that it takes: a token of speech is a tenth of a second.
TOKENS_A_SECOND: Final = 10


class Outcome(IntEnum):
    """How a call that went to a provider ended. The numbers are stored: never reused."""

    COMPLETED = 0
    PROVIDER_ERROR = 1
    PROVIDER_TIMEOUT = 2
    CLIENT_GONE = 3
    OUR_FAILURE = 4
    LOST = 5
    TAKEN_AWAY = 6


class UsageSource(IntEnum):
    """How a row's usage is known. The numbers are stored: never reused."""

    REPORTED = 0
    ESTIMATED = 1
    NOTHING = 2
    UNKNOWN = 3


@final
class TokenUsage(NamedTuple):
    """Token counts of one call; each is at least 0. A named tuple: two are made for each call."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    cache_write_1h_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0

    @classmethod
    def of(
        cls,
        *,
        input_tokens: int,
        output_tokens: int,
        cached: int = 0,
        cache_write: int = 0,
        reasoning: int = 0,
        input_audio: int = 0,
        output_audio: int = 0,
        cache_write_1h: int = 0,
        input_image: int = 0,
        output_image: int = 0,
    ) -> TokenUsage | None:
        """Build from what a provider reported; parts are brought between 0 and their whole.

        None if a whole is below 0 or above `MAX_TOKENS`: that is nobody's usage, and nothing in it is believed.
        """
        read, wrote = input_tokens, output_tokens
        if not (0 <= read <= MAX_TOKENS and 0 <= wrote <= MAX_TOKENS):
            return None
        if not (cached or cache_write or reasoning or input_audio or output_audio or input_image or output_image):
            return cls(read, wrote)
        from_cache = _bounded(cached, read)
        to_cache = _bounded(cache_write, read - from_cache)
        heard = _bounded(input_audio, read - from_cache - to_cache)
        said = _bounded(output_audio, wrote)
        return cls(
            input_tokens=read,
            output_tokens=wrote,
            cached_tokens=from_cache,
            cache_write_tokens=to_cache,
            reasoning_tokens=_bounded(reasoning, wrote),
            input_audio_tokens=heard,
            output_audio_tokens=said,
            cache_write_1h_tokens=_bounded(cache_write_1h, to_cache),
            input_image_tokens=_bounded(input_image, read - from_cache - to_cache - heard),
            output_image_tokens=_bounded(output_image, wrote - said),
        )


NO_USAGE: Final = TokenUsage()


def estimated_tokens(size: int) -> int:
    """Estimate the tokens of `size` bytes of text; at least one if there is any text."""
    return min((size + _BYTES_A_TOKEN - 1) // _BYTES_A_TOKEN, MAX_TOKENS)


def _bounded(value: int, most: int) -> int:
    return 0 if value < 0 else min(value, most)
