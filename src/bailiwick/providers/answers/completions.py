"""Completions of chats and of texts, as providers write them: an answer, or the frames of a stream."""

from __future__ import annotations

from typing import Final

import msgspec

from bailiwick.domain.usage import TokenUsage
from bailiwick.providers.answers.form import ABSENT, AnswerForm, Count, is_there, openai_failure, text_size


class _PromptDetails(msgspec.Struct):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: Count = None
    audio_tokens: Count = None
    image_tokens: Count = None


class _Usage(msgspec.Struct):
    """A `usage` object. `prompt_tokens` includes cached and audio tokens, `completion_tokens` includes reasoning.

    Gemini and xAI count what a model thought in `total_tokens` only; DeepSeek reports its cache in a field of its own.
    """

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_cache_hit_tokens: Count = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


_read_usage: Final = msgspec.json.Decoder(_Usage).decode


class _Written(msgspec.Struct):
    """What a choice says; only its size counts, when no usage is reported."""

    content: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT
    reasoning: msgspec.Raw = ABSENT
    reasoning_content: msgspec.Raw = ABSENT
    tool_calls: msgspec.Raw = ABSENT

    @property
    def size(self) -> int:
        parts = (self.content, self.refusal, self.reasoning, self.reasoning_content, self.tool_calls)
        return sum([text_size(part) for part in parts if part is not ABSENT])


class _Choice(msgspec.Struct):
    message: _Written | None = None
    delta: _Written | None = None
    text: msgspec.Raw = ABSENT
    finish_reason: str | None = None

    @property
    def size(self) -> int:
        said = self.message or self.delta
        return text_size(self.text) if said is None else said.size


class _Groq(msgspec.Struct):
    """What Groq adds; its streams told their usage only there."""

    usage: msgspec.Raw = ABSENT


class Completion(msgspec.Struct):
    """An answer, or one frame of a stream."""

    choices: list[_Choice] | None = None
    usage: msgspec.Raw = ABSENT
    x_groq: _Groq | None = None
    error: msgspec.Raw = ABSENT

    @property
    def valid(self) -> bool:
        """See `Answer`."""
        return self.choices is not None

    @property
    def has_usage(self) -> bool:
        """Whether it has a `usage` object, readable or not."""
        return is_there(self.usage)

    def tokens(self) -> TokenUsage | None:
        """See `Answer`."""
        part = self.usage
        if not is_there(part):
            if self.x_groq is None or not is_there(self.x_groq.usage):
                return None
            part = self.x_groq.usage
        try:
            usage = _read_usage(part)
        except msgspec.MsgspecError:
            return None
        return None if usage.prompt_tokens is None else _tokens(usage)

    @property
    def written(self) -> int:
        """See `Answer`."""
        return sum(choice.size for choice in self.choices or ())

    @property
    def finished(self) -> bool:
        """See `Answer`: a choice came to its end."""
        return any(choice.finish_reason is not None for choice in self.choices or ())

    @property
    def failed(self) -> bool:
        """See `Answer`."""
        return is_there(self.error)

    @property
    def last(self) -> bool:
        """See `Answer`: what ends a stream is no completion."""
        return False

    @property
    def usage_only(self) -> bool:
        """See `Answer`."""
        return self.has_usage and not self.choices


read_completion: Final = msgspec.json.Decoder(Completion).decode
COMPLETIONS: Final = AnswerForm(reader=lambda: read_completion, failure=openai_failure, sentinel=b"[DONE]")


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
        input_image=int(of_prompt.image_tokens or 0),
        output_image=int(of_completion.image_tokens or 0),
    )
