"""Embeddings, moderations, images, transcripts and speech: whole answers of one piece, and OpenAI's streams of them.

Images and audio count their tokens as Responses do, `input_tokens` and `output_tokens`; embeddings as completions do.
"""

from __future__ import annotations

from math import ceil
from typing import Final

import msgspec

from bailiwick.domain.usage import MAX_TOKENS, TOKENS_A_SECOND, TokenUsage
from bailiwick.providers.answers.form import ABSENT, AnswerForm, Count, count, is_there, openai_failure, text_size


class _Details(msgspec.Struct):
    cached_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None


class _Usage(msgspec.Struct):
    """A `usage` object of any of these; one of a recording may count seconds, one of embeddings a total only."""

    input_tokens: Count = None
    output_tokens: Count = None
    prompt_tokens: Count = None
    total_tokens: Count = None
    seconds: Count = None
    output_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    input_token_details: _Details | None = None
    prompt_tokens_details: _Details | None = None


_read_usage: Final = msgspec.json.Decoder(_Usage).decode


class MediaAnswer(msgspec.Struct):
    """An answer, or one event of a stream."""

    type: str = ""
    data: msgspec.Raw = ABSENT
    results: msgspec.Raw = ABSENT
    text: msgspec.Raw = ABSENT
    delta: msgspec.Raw = ABSENT
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT

    @property
    def valid(self) -> bool:
        """See `Answer`."""
        return is_there(self.data) or is_there(self.results) or is_there(self.text)

    @property
    def failed(self) -> bool:
        """See `Answer`."""
        return self.type == "error" or is_there(self.error)

    @property
    def finished(self) -> bool:
        """See `Answer`."""
        return self.type.endswith((".done", ".completed")) or not self.type

    @property
    def last(self) -> bool:
        """See `Answer`: of several pictures each has its own end; the stream has one besides."""
        return False

    @property
    def usage_only(self) -> bool:
        """See `Answer`."""
        return False

    @property
    def written(self) -> int:
        """See `Answer`: of texts only; nobody estimates tokens by the bytes of a picture."""
        return text_size(self.delta) or text_size(self.text)

    def tokens(self) -> TokenUsage | None:
        """See `Answer`."""
        if not is_there(self.usage):
            return None
        try:
            usage = _read_usage(self.usage)
        except msgspec.MsgspecError:
            return None
        counts = (usage.input_tokens, usage.prompt_tokens, usage.total_tokens)
        read = next((number for number in counts if number is not None), None)
        if read is None:
            return None if usage.seconds is None else _heard(usage.seconds)
        details = usage.input_tokens_details or usage.input_token_details or usage.prompt_tokens_details or _Details()
        return TokenUsage.of(
            input_tokens=count(read),
            output_tokens=count(usage.output_tokens),
            cached=count(details.cached_tokens),
            input_audio=count(details.audio_tokens),
            input_image=count(details.image_tokens),
            output_image=count((usage.output_tokens_details or _Details()).image_tokens),
        )


def _heard(seconds: float) -> TokenUsage | None:
    tokens = ceil(min(max(seconds, -1), MAX_TOKENS) * TOKENS_A_SECOND)
    return TokenUsage.of(input_tokens=tokens, output_tokens=0, input_audio=tokens)


_read: Final = msgspec.json.Decoder(MediaAnswer).decode
MEDIA: Final = AnswerForm(
    reader=lambda: _read,
    failure=openai_failure,
    sentinel=b"[DONE]",
    marks=(b'"data"', b'"results"', b'"text"'),
    is_text=False,
)
