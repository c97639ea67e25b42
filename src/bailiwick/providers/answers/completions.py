"""Completions of chats and of texts, as providers write them: an answer, or the frames of a stream."""

from __future__ import annotations

from typing import Final

import msgspec

from bailiwick.domain.usage import AUDIO_AS_TEXT, TokenUsage
from bailiwick.providers.answers.completion_calls import CompletionCalls
from bailiwick.providers.answers.form import ABSENT, AnswerForm, Count, Read, is_there, openai_failure, text_size

# As many as a request may ask for, and the digits of their numbers.
_MOST_CHOICES: Final = 128
_LONGEST_INDEX: Final = 3
# In bytes; a choice takes three of them at least.
_SHORT: Final = 16 * 1024


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


_NOTHING_OF_PROMPT: Final = _PromptDetails()
_NOTHING_OF_COMPLETION: Final = _CompletionDetails()
_read_usage: Final = msgspec.json.Decoder(_Usage).decode


class _Sound(msgspec.Struct):
    """Base64, and what is said in it."""

    data: str = ""
    transcript: str = ""


_read_sound: Final = msgspec.json.Decoder(_Sound).decode


class _Written(msgspec.Struct):
    """What a choice says; only its size counts, when no usage is reported."""

    content: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT
    reasoning: msgspec.Raw = ABSENT
    reasoning_content: msgspec.Raw = ABSENT
    reasoning_details: msgspec.Raw = ABSENT
    tool_calls: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    audio: msgspec.Raw = ABSENT

    @property
    def size(self) -> int:
        parts = (
            self.content, self.refusal, self.tool_calls, self.function_call,
            # What was thought may come as text and once more in parts.
            self.reasoning_details if self.reasoning is ABSENT else self.reasoning, self.reasoning_content,
        )  # fmt: skip
        size = sum([text_size(part) for part in parts if part is not ABSENT])
        return size if self.audio is ABSENT else size + _sound_size(self.audio)


def _sound_size(part: msgspec.Raw) -> int:
    try:
        sound = _read_sound(part)
    except msgspec.MsgspecError:
        return text_size(part)
    return len(sound.transcript.encode()) + -(-len(sound.data) * 3 // 4 // AUDIO_AS_TEXT)


class _Choice(msgspec.Struct):
    index: msgspec.Raw = ABSENT
    message: _Written | None = None
    delta: _Written | None = None
    text: msgspec.Raw = ABSENT
    finish_reason: msgspec.Raw = ABSENT

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
        for choice in self.choices or ():  # noqa: SIM110 - a generator takes three times as long, and this is every call
            if is_there(choice.finish_reason):
                return True
        return False

    @property
    def failed(self) -> bool:
        """See `Answer`."""
        return self.error is not ABSENT and is_there(self.error)

    @property
    def last(self) -> bool:
        """See `Answer`: what ends a stream is no completion."""
        return False

    @property
    def usage_only(self) -> bool:
        """See `Answer`."""
        return self.has_usage and not self.choices


class _OneOfSeveral(Completion):
    """A frame with the end of one choice, while others go on."""

    @property
    def finished(self) -> bool:
        """See `Answer`."""
        return False


_read_short: Final = msgspec.json.Decoder(Completion).decode
_Few: Final = msgspec.defstruct(
    "_Few", [(f"choice_{number}", _Choice | None, None) for number in range(_MOST_CHOICES)], array_like=True
)


class _Long(msgspec.Struct):
    """The same, of which no more choices are decoded than anybody may ask for: each takes its time and room."""

    choices: _Few | None = None  # type: ignore[valid-type] # made above
    usage: msgspec.Raw = ABSENT
    x_groq: _Groq | None = None
    error: msgspec.Raw = ABSENT


_read_long: Final = msgspec.json.Decoder(_Long).decode


def read_completion(data: bytes) -> Completion:
    """Read an answer, or one frame; raises what msgspec raises."""
    if len(data) <= _SHORT:
        return _read_short(data)
    long = _read_long(data)
    few = None if long.choices is None else [choice for choice in msgspec.structs.astuple(long.choices) if choice]
    return Completion(choices=few, usage=long.usage, x_groq=long.x_groq, error=long.error)


def _reader() -> Read:
    going_on: set[bytes] = set()

    def read(data: bytes) -> Completion:
        completion = read_completion(data)
        finished = False
        for choice in completion.choices or ():
            if is_there(choice.finish_reason):
                finished = True
                going_on.discard(bytes(choice.index))
            elif len(choice.index) <= _LONGEST_INDEX:
                going_on.add(bytes(choice.index))
        if finished and going_on:
            return _OneOfSeveral(**msgspec.structs.asdict(completion))
        return completion

    return read


COMPLETIONS: Final = AnswerForm(
    reader=_reader, failure=openai_failure, marks=(b'"choices"',), sentinel=b"[DONE]", calls=CompletionCalls
)


def _tokens(usage: _Usage) -> TokenUsage | None:
    # Written out, and not by `count`: eleven calls would take more time than all else here.
    read, wrote = int(usage.prompt_tokens or 0), int(usage.completion_tokens or 0)
    thought = max(int(usage.total_tokens or 0) - read - wrote, 0)
    of_prompt = usage.prompt_tokens_details or _NOTHING_OF_PROMPT
    of_completion = usage.completion_tokens_details or _NOTHING_OF_COMPLETION
    if not (
        thought or usage.prompt_cache_hit_tokens
        or of_prompt.cached_tokens or of_prompt.cache_write_tokens or of_prompt.audio_tokens or of_prompt.image_tokens
        or of_completion.reasoning_tokens or of_completion.audio_tokens or of_completion.image_tokens
    ):  # fmt: skip
        return TokenUsage.of(input_tokens=read, output_tokens=wrote)
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
