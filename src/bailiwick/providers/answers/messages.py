"""Anthropic's Messages: whole, or as events.

A stream tells its usage in two parts, what was read at its beginning and what was written at its end, as running
totals. `input_tokens` are those that neither came from the cache nor went there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

import msgspec

from bailiwick.domain.usage import TokenUsage
from bailiwick.providers.answers.form import ABSENT, AnswerForm, Count, Read, count, is_there, text_size
from bailiwick.providers.answers.message_calls import MessageCalls

_TYPES: Final = {
    "provider_timeout": "timeout_error",
    "rate_limited": "rate_limit_error",
    "unavailable": "overloaded_error",
}


class _Stored(msgspec.Struct):
    ephemeral_1h_input_tokens: Count = None


class _Wrote(msgspec.Struct):
    thinking_tokens: Count = None


class _Usage(msgspec.Struct):
    input_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_creation: _Stored | None = None
    output_tokens: Count = None
    output_tokens_details: _Wrote | None = None


class _Begun(msgspec.Struct):
    usage: msgspec.Raw = ABSENT


class _Delta(msgspec.Struct):
    stop_reason: str | None = None
    text: msgspec.Raw = ABSENT
    thinking: msgspec.Raw = ABSENT
    partial_json: msgspec.Raw = ABSENT


class _Message(msgspec.Struct):
    type: str = ""
    usage: msgspec.Raw = ABSENT
    content: msgspec.Raw = ABSENT
    stop_reason: str | None = None
    message: _Begun | None = None
    delta: _Delta | None = None
    error: msgspec.Raw = ABSENT
    input_tokens: Count = None


_read: Final = msgspec.json.Decoder(_Message).decode
_read_usage: Final = msgspec.json.Decoder(_Usage).decode


@final
class MessagesAnswer:
    """A message, one event of its stream, or a count of tokens; `begun` is what the stream's first event reported."""

    __slots__ = ("_begun", "_message")

    def __init__(self, message: _Message, begun: _Usage) -> None:
        self._message = message
        self._begun = begun

    @property
    def valid(self) -> bool:
        """See `Answer`."""
        return self._message.type == "message" or self._message.input_tokens is not None

    @property
    def failed(self) -> bool:
        """See `Answer`."""
        return self._message.type == "error"

    @property
    def finished(self) -> bool:
        """See `Answer`."""
        message = self._message
        return message.stop_reason is not None or (message.delta is not None and message.delta.stop_reason is not None)

    @property
    def last(self) -> bool:
        """See `Answer`."""
        return self._message.type in {"message_stop", "error"}

    @property
    def usage_only(self) -> bool:
        """See `Answer`: usage is never asked for, it always comes."""
        return False

    @property
    def written(self) -> int:
        """See `Answer`."""
        message = self._message
        if message.delta is None:
            return text_size(message.content)
        return sum(map(text_size, (message.delta.text, message.delta.thinking, message.delta.partial_json)))

    def tokens(self) -> TokenUsage | None:
        """See `Answer`."""
        message = self._message
        part = message.usage if message.message is None else message.message.usage
        if not is_there(part):
            return None
        try:
            usage = _read_usage(part)
        except msgspec.MsgspecError:
            return None
        begun = self._begun
        cached = count(begun.cache_read_input_tokens if usage.cache_read_input_tokens is None
                       else usage.cache_read_input_tokens)  # fmt: skip
        stored = count(begun.cache_creation_input_tokens if usage.cache_creation_input_tokens is None
                       else usage.cache_creation_input_tokens)  # fmt: skip
        fresh = begun.input_tokens if usage.input_tokens is None else usage.input_tokens
        if fresh is None:
            return None
        return TokenUsage.of(
            input_tokens=count(fresh) + cached + stored,
            output_tokens=count(usage.output_tokens),
            cached=cached,
            cache_write=stored,
            cache_write_1h=count((usage.cache_creation or begun.cache_creation or _Stored()).ephemeral_1h_input_tokens),
            reasoning=count((usage.output_tokens_details or _Wrote()).thinking_tokens),
        )


def _reader() -> Read:
    begun = _Usage()

    def read(data: bytes) -> MessagesAnswer:
        nonlocal begun
        message = _read(data)
        if message.message is not None and is_there(message.message.usage):
            try:
                begun = _read_usage(message.message.usage)
            except msgspec.MsgspecError:
                begun = _Usage()
        return MessagesAnswer(message, begun)

    return read


def anthropic_error(error: Mapping[str, object], status_type: str | None = None) -> dict[str, object]:
    """Write an error object (`message`, `type`, `code`, …) in Anthropic's envelope; `status_type` is its status's."""
    kind = status_type or _TYPES.get(str(error.get("code")), "api_error")
    return {"type": "error", "error": {**error, "type": kind}}


def _failure(error: Mapping[str, object]) -> bytes:
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(anthropic_error(error))


MESSAGES: Final = AnswerForm(reader=_reader, failure=_failure, marks=(b'"message"', b'"content"'), calls=MessageCalls)
