"""How `echo` is asked and how it answers at each door that it has: the forms of OpenAI and of Anthropic.

A form reads what was said last and how much may be said, and writes an answer or the events of a stream. What cannot be
read raises what msgspec raises. Whatever the form, the text and the counts of tokens are the same.
"""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Final, final

import msgspec

from bailiwick.domain.usage import estimated_tokens

MODEL: Final = "echo"
_WORD: Final = re.compile(r"\s*\S+|\s+$")
_USER: Final = "user"
_TEXTS: Final = frozenset({"text", "input_text"})
_DIMENSIONS: Final = 16
# Of all vectors of one answer: the event loop waits for them.
MOST_NUMBERS: Final = 65_536

_encode = msgspec.json.encode
_Maximum = Annotated[int, msgspec.Meta(ge=0)] | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was asked: the last that the user said, all that was said in bytes, the most tokens to be said."""

    spoken: str
    size: int
    most: int | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is answered. `whole` says that no maximum cut it; `read` and `wrote` are tokens, `now` is Unix time."""

    id: str
    now: int
    text: str
    whole: bool
    read: int
    wrote: int

    @property
    def words(self) -> list[str]:
        """The text in the pieces of a stream."""
        found: list[str] = _WORD.findall(self.text)
        return found


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EchoForm:
    """One door's form; `content` is the field that it is about."""

    content: str
    hear: Callable[[bytes], Heard]
    answer: Callable[[Said], object]
    events: Callable[[Said], Iterator[bytes]]


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    text: str = ""


class _Message(msgspec.Struct, gc=False):
    role: str = ""
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return " ".join(part.text for part in self.content if part.type in _TEXTS)
        return self.content or ""


class _Chat(msgspec.Struct):
    messages: list[_Message]
    max_tokens: _Maximum = None
    max_completion_tokens: _Maximum = None


class _Prompt(msgspec.Struct):
    prompt: str | list[str]
    max_tokens: _Maximum = None


class _Input(msgspec.Struct):
    input: str | list[_Message] = ""
    max_output_tokens: _Maximum = None


class _Embedded(msgspec.Struct):
    input: str | list[str | int | list[int]]
    dimensions: Annotated[int, msgspec.Meta(ge=1, le=MOST_NUMBERS)] = _DIMENSIONS
    encoding_format: str = "float"


def _heard(messages: list[_Message], most: int | None) -> Heard:
    spoken = next((message.text for message in reversed(messages) if message.role == _USER), "")
    return Heard(spoken=spoken, size=sum(len(message.text.encode()) for message in messages), most=most)


def _hear_chat(body: bytes) -> Heard:
    asked = msgspec.json.decode(body, type=_Chat)
    return _heard(
        asked.messages, asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens
    )


def _hear_prompt(body: bytes) -> Heard:
    asked = msgspec.json.decode(body, type=_Prompt)
    text = asked.prompt if isinstance(asked.prompt, str) else " ".join(asked.prompt)
    return Heard(spoken=text, size=len(text.encode()), most=asked.max_tokens)


def _hear_input(body: bytes) -> Heard:
    asked = msgspec.json.decode(body, type=_Input)
    said = asked.input
    return _heard([_Message(_USER, said)] if isinstance(said, str) else said, asked.max_output_tokens)


def _frame(content: Mapping[str, object]) -> bytes:
    return b"data: %b\n\n" % _encode(content)


def _named(kind: str, **content: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **content}))


# OpenAI's completions, of chats and of texts.


def _completion(said: Said, kind: str, choices: list[dict[str, object]]) -> dict[str, object]:
    prefix = "cmpl" if kind == "text_completion" else "chatcmpl"
    return {"id": f"{prefix}-{said.id}", "object": kind, "created": said.now, "model": MODEL, "choices": choices}


def _usage(said: Said) -> dict[str, int]:
    return {"prompt_tokens": said.read, "completion_tokens": said.wrote, "total_tokens": said.read + said.wrote}


def _choice(said: Said | None, **content: object) -> dict[str, object]:
    """`said` is given where the choice is at its end."""
    finish = None if said is None else "stop" if said.whole else "length"
    return {"index": 0, **content, "logprobs": None, "finish_reason": finish}


def _chat_answer(said: Said) -> dict[str, object]:
    message = {"role": "assistant", "content": said.text, "refusal": None}
    return {**_completion(said, "chat.completion", [_choice(said, message=message)]), "usage": _usage(said)}


def _text_answer(said: Said) -> dict[str, object]:
    return {**_completion(said, "text_completion", [_choice(said, text=said.text)]), "usage": _usage(said)}


def _completion_events(said: Said, kind: str, choices: Iterator[dict[str, object]]) -> Iterator[bytes]:
    for choice in choices:
        yield _frame({**_completion(said, kind, [choice]), "usage": None})
    yield _frame({**_completion(said, kind, []), "usage": _usage(said)}) + b"data: [DONE]\n\n"


def _chat_events(said: Said) -> Iterator[bytes]:
    def choices() -> Iterator[dict[str, object]]:
        yield _choice(None, delta={"role": "assistant", "content": ""})
        for word in said.words:
            yield _choice(None, delta={"content": word})
        yield _choice(said, delta={})

    return _completion_events(said, "chat.completion.chunk", choices())


def _text_events(said: Said) -> Iterator[bytes]:
    def choices() -> Iterator[dict[str, object]]:
        for word in said.words:
            yield _choice(None, text=word)
        yield _choice(said, text="")

    return _completion_events(said, "text_completion", choices())


# OpenAI's responses.


def _item(said: Said, text: str | None) -> dict[str, object]:
    content = [] if text is None else [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    status = "in_progress" if text is None else "completed" if said.whole else "incomplete"
    return {"type": "message", "id": f"msg_{said.id}", "status": status, "role": "assistant", "content": content}


def _response(said: Said, *, ended: bool) -> dict[str, object]:
    usage = {
        "input_tokens": said.read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": said.wrote,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": said.read + said.wrote,
    }
    return {
        "id": f"resp_{said.id}",
        "object": "response",
        "created_at": said.now,
        "status": "in_progress" if not ended else "completed" if said.whole else "incomplete",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if ended and not said.whole else None,
        "instructions": None,
        "metadata": {},
        "model": MODEL,
        "output": [_item(said, said.text)] if ended else [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage if ended else None,
    }


def _response_events(said: Said) -> Iterator[bytes]:
    place = {"item_id": f"msg_{said.id}", "output_index": 0, "content_index": 0}
    empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    item = _item(said, said.text)
    events: list[tuple[str, dict[str, object]]] = [
        ("response.created", {"response": _response(said, ended=False)}),
        ("response.in_progress", {"response": _response(said, ended=False)}),
        ("response.output_item.added", {"output_index": 0, "item": _item(said, None)}),
        ("response.content_part.added", {**place, "part": empty}),
        *(("response.output_text.delta", {**place, "delta": word, "logprobs": []}) for word in said.words),
        ("response.output_text.done", {**place, "text": said.text, "logprobs": []}),
        ("response.content_part.done", {**place, "part": {**empty, "text": said.text}}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        (f"response.{'completed' if said.whole else 'incomplete'}", {"response": _response(said, ended=True)}),
    ]
    for number, (kind, content) in enumerate(events):
        yield _named(kind, sequence_number=number, **content)


# Anthropic's messages.


def _message(said: Said, *, ended: bool) -> dict[str, object]:
    return {
        "id": f"msg_{said.id}",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": said.text}] if ended else [],
        "stop_reason": _stop_reason(said) if ended else None,
        "stop_sequence": None,
        "usage": {"input_tokens": said.read, "output_tokens": said.wrote if ended else 0},
    }


def _stop_reason(said: Said) -> str:
    return "end_turn" if said.whole else "max_tokens"


def _message_events(said: Said) -> Iterator[bytes]:
    yield _named("message_start", message=_message(said, ended=False))
    yield _named("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for word in said.words:
        yield _named("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield _named("content_block_stop", index=0)
    delta = {"stop_reason": _stop_reason(said), "stop_sequence": None}
    yield _named("message_delta", delta=delta, usage={"output_tokens": said.wrote})
    yield _named("message_stop")


FORMS: Final[Mapping[str, EchoForm]] = {
    "/chat/completions": EchoForm(content="messages", hear=_hear_chat, answer=_chat_answer, events=_chat_events),
    "/completions": EchoForm(content="prompt", hear=_hear_prompt, answer=_text_answer, events=_text_events),
    "/responses": EchoForm(
        content="input", hear=_hear_input, answer=lambda said: _response(said, ended=True), events=_response_events
    ),
    "/messages": EchoForm(
        content="messages", hear=_hear_chat, answer=lambda said: _message(said, ended=True), events=_message_events
    ),
    "/messages/count_tokens": EchoForm(
        content="messages", hear=_hear_chat, answer=lambda said: {"input_tokens": said.read}, events=_message_events
    ),
}


def embed(body: bytes) -> bytes:
    """Answer at `/embeddings`: for each text a vector of length 1 that depends on nothing but the text.

    Raises what msgspec raises.
    """
    asked = msgspec.json.decode(body, type=_Embedded)
    given = asked.input
    texts: list[str | int | list[int]] = [given] if isinstance(given, str) else list(given)
    tokens = [token for token in texts if isinstance(token, int)]
    if texts and len(tokens) == len(texts):
        texts = [tokens]
    if not texts or len(texts) * asked.dimensions > MOST_NUMBERS:
        raise msgspec.ValidationError
    read = 0
    data: list[dict[str, object]] = []
    for index, text in enumerate(texts):
        raw = text.encode() if isinstance(text, str) else _encode(text)
        read += estimated_tokens(len(raw)) if isinstance(text, str) else len(text) if isinstance(text, list) else 1
        vector = _vector(raw, asked.dimensions)
        shown: object = vector
        if asked.encoding_format == "base64":
            shown = base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": shown})
    usage = {"prompt_tokens": read, "total_tokens": read}
    return _encode({"object": "list", "data": data, "model": MODEL, "usage": usage})


def _vector(raw: bytes, dimensions: int) -> list[float]:
    numbers = [byte - 127.5 for byte in hashlib.shake_128(raw).digest(dimensions)]
    length = sum(number * number for number in numbers) ** 0.5
    return [number / length for number in numbers]
