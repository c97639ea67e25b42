"""Chat completions as providers write them: the few fields that we read of an answer and of a stream's frames."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil
from typing import Final

import msgspec

from bailiwick.domain.usage import TokenUsage
from bailiwick.providers.provider import Headers

# A field that is kept as it came: absent, null, or its bytes.
_ABSENT: Final = msgspec.Raw()
_EMPTY: Final = (b"", b"null")
# The three forms of a date that a recipient must read (RFC 9110 §5.6.7).
_DATE_FORMS: Final = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
_LONGEST_RETRY: Final = 86_400
_MOST_DIGITS: Final = 6


_Count = int | float | None


class _PromptDetails(msgspec.Struct):
    cached_tokens: _Count = None
    cache_write_tokens: _Count = None
    audio_tokens: _Count = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: _Count = None
    audio_tokens: _Count = None


class _Usage(msgspec.Struct):
    """A `usage` object. `prompt_tokens` includes cached and audio tokens, `completion_tokens` includes reasoning.

    Gemini and xAI count what a model thought in `total_tokens` only; DeepSeek reports its cache in a field of its own.
    """

    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    total_tokens: _Count = None
    prompt_cache_hit_tokens: _Count = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


_read_usage: Final = msgspec.json.Decoder(_Usage).decode


class _Written(msgspec.Struct):
    """What a choice says; only its size counts, when no usage is reported."""

    content: msgspec.Raw = _ABSENT
    refusal: msgspec.Raw = _ABSENT
    reasoning: msgspec.Raw = _ABSENT
    reasoning_content: msgspec.Raw = _ABSENT
    tool_calls: msgspec.Raw = _ABSENT

    @property
    def size(self) -> int:
        parts = (self.content, self.refusal, self.reasoning, self.reasoning_content, self.tool_calls)
        return sum([_size(part) for part in parts if part is not _ABSENT])


class _Choice(msgspec.Struct):
    message: _Written | None = None
    delta: _Written | None = None
    finish_reason: str | None = None


class Completion(msgspec.Struct):
    """An answer, or one frame of a stream."""

    choices: list[_Choice] | None = None
    usage: msgspec.Raw = _ABSENT
    error: msgspec.Raw = _ABSENT

    @property
    def has_usage(self) -> bool:
        """Whether it has a `usage` object, readable or not."""
        return bytes(self.usage) not in _EMPTY

    def tokens(self) -> TokenUsage | None:
        """What it says was used; None when it says nothing, or nothing that can be read: no reason to fail a call."""
        if not self.has_usage:
            return None
        try:
            usage = _read_usage(self.usage)
        except msgspec.MsgspecError:
            return None
        return None if usage.prompt_tokens is None else _tokens(usage)

    @property
    def written(self) -> int:
        """About how many bytes of text it holds."""
        return sum((choice.message or choice.delta or _NOTHING).size for choice in self.choices or ())

    @property
    def finished(self) -> bool:
        """Whether a choice came to its end."""
        return any(choice.finish_reason is not None for choice in self.choices or ())

    @property
    def failed(self) -> bool:
        """Whether it is an error in the place of an answer."""
        return bytes(self.error) not in _EMPTY


class ProviderError(msgspec.Struct):
    """An error object, as far as it has OpenAI's form."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _ErrorBody(msgspec.Struct):
    error: ProviderError | str | None = None
    message: str | None = None


read_completion: Final = msgspec.json.Decoder(Completion).decode
_NOTHING: Final = _Written()


def read_error(body: bytes) -> ProviderError:
    """What a provider said of its refusal; empty when it cannot be read."""
    try:
        found = msgspec.json.decode(body, type=_ErrorBody | list[_ErrorBody])
    except (msgspec.MsgspecError, RecursionError):
        return ProviderError()
    if isinstance(found, list):  # As Gemini writes it.
        found = found[0] if found else _ErrorBody()
    if isinstance(found.error, str):
        return ProviderError(message=found.error)
    return found.error or ProviderError(message=found.message)


def read_retry_after(headers: Headers, now: float) -> int | None:
    """The seconds that `Retry-After` asks to wait (RFC 9110 §10.2.3), at most a day; None if it says nothing readable.

    A date is reckoned from the answer's own `Date`, which the same clock wrote, else from `now` (Unix time).
    """
    by_name = dict(headers)
    value = by_name.get(b"retry-after", b"").strip()
    if value.isdigit():
        return min(int(value), _LONGEST_RETRY) if len(value) <= _MOST_DIGITS else None
    then, sent = _date(value), _date(by_name.get(b"date", b"").strip())
    if then is None:
        return None
    return min(max(ceil(then - (now if sent is None else sent)), 0), _LONGEST_RETRY)


def _date(value: bytes) -> float | None:
    """Unix time of an HTTP date."""
    for form in _DATE_FORMS:
        try:
            return datetime.strptime(value.decode("ascii"), form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return None


def _tokens(usage: _Usage) -> TokenUsage:
    read, wrote, total = (
        max(int(count or 0), 0) for count in (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
    )
    thought = max(total - read - wrote, 0)
    of_prompt = usage.prompt_tokens_details
    of_completion = usage.completion_tokens_details
    if of_prompt is None and of_completion is None and not thought and not usage.prompt_cache_hit_tokens:
        return TokenUsage.of(input_tokens=read, output_tokens=wrote)
    of_prompt, of_completion = of_prompt or _PromptDetails(), of_completion or _CompletionDetails()
    return TokenUsage.of(
        input_tokens=read,
        output_tokens=wrote + thought,
        cached=int(of_prompt.cached_tokens or usage.prompt_cache_hit_tokens or 0),
        cache_write=int(of_prompt.cache_write_tokens or 0),
        reasoning=int(of_completion.reasoning_tokens or thought),
        input_audio=int(of_prompt.audio_tokens or 0),
        output_audio=int(of_completion.audio_tokens or 0),
    )


def _size(part: msgspec.Raw) -> int:
    """The bytes of a text, without its quotes."""
    text = bytes(part)
    return 0 if text in _EMPTY else len(text) - len(b'""')
