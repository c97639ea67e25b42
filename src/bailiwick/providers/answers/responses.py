"""OpenAI's Responses: an object with its usage, or events of which the last one holds that object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from bailiwick.domain.usage import TokenUsage
from bailiwick.providers.answers.form import ABSENT, AnswerForm, Count, count, is_there, text_size
from bailiwick.providers.answers.response_calls import ResponseCalls

# The events that end a stream; `error` stands for what went wrong outside of the response.
_LAST: Final = frozenset({"response.completed", "response.incomplete", "response.failed", "error"})
_FAILED: Final = frozenset({"response.failed", "error"})


class _InputDetails(msgspec.Struct):
    cached_tokens: Count = None
    cache_write_tokens: Count = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: Count = None


class _Usage(msgspec.Struct):
    """`input_tokens` includes what was cached, `output_tokens` what was not shown."""

    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


_read_usage: Final = msgspec.json.Decoder(_Usage).decode


class _Response(msgspec.Struct):
    status: str | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


class ResponsesAnswer(msgspec.Struct):
    """A response, or one event of its stream."""

    type: str = ""
    object: str | None = None
    status: str | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    output: msgspec.Raw = ABSENT
    delta: msgspec.Raw = ABSENT
    response: _Response | None = None

    @property
    def valid(self) -> bool:
        """See `Answer`."""
        return self.object == "response"

    @property
    def failed(self) -> bool:
        """See `Answer`."""
        return self.type in _FAILED or self.status == "failed" or is_there(self.error)

    @property
    def finished(self) -> bool:
        """See `Answer`."""
        return self.last or self.object == "response"

    @property
    def last(self) -> bool:
        """See `Answer`."""
        return self.type in _LAST

    @property
    def usage_only(self) -> bool:
        """See `Answer`: the usage comes with the last event, for everybody."""
        return False

    @property
    def written(self) -> int:
        """See `Answer`."""
        return text_size(self.delta) if self.type else text_size(self.output)

    def tokens(self) -> TokenUsage | None:
        """See `Answer`."""
        part = self.usage if self.response is None else self.response.usage
        if not is_there(part):
            return None
        try:
            usage = _read_usage(part)
        except msgspec.MsgspecError:
            return None
        if usage.input_tokens is None:
            return None
        of_input = usage.input_tokens_details or _InputDetails()
        return TokenUsage.of(
            input_tokens=count(usage.input_tokens),
            output_tokens=count(usage.output_tokens),
            cached=count(of_input.cached_tokens),
            cache_write=count(of_input.cache_write_tokens),
            reasoning=count((usage.output_tokens_details or _OutputDetails()).reasoning_tokens),
        )


_read: Final = msgspec.json.Decoder(ResponsesAnswer).decode


def _failure(error: Mapping[str, object]) -> bytes:
    event = {"type": "error", "sequence_number": 0, **error, "error": error}
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode({**event, "type": "error"})


RESPONSES: Final = AnswerForm(reader=lambda: _read, failure=_failure, marks=(b'"response"',), calls=ResponseCalls)
