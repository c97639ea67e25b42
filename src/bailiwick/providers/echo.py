"""The built-in model `echo`: always there, so that the first request works with no account anywhere.

It is no model, and says so. It answers with the last user message, streams word by word, honours the maximum of
tokens, and counts tokens as bytes divided by four. It costs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Final, final

import msgspec

from bailiwick.domain.usage import estimated_tokens
from bailiwick.providers.provider import Ask, Exchange, Headers

_INTRODUCTION: Final = "This is Bailiwick's built-in echo, not a model. You said: "
_WORD: Final = re.compile(r"\s*\S+|\s+$")
_BYTES_A_TOKEN: Final = 4


class _Part(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Message(msgspec.Struct):
    role: str = ""
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return " ".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class _Request(msgspec.Struct):
    messages: list[_Message]
    stream: bool = False
    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None


@final
class EchoProvider:
    """Answers from within this process."""

    def __init__(self, *, now: Callable[[], int], new_id: Callable[[], str]) -> None:
        """`now` is Unix time in seconds; `new_id` makes the ids of completions."""
        self._now = now
        self._new_id = new_id

    async def send(self, ask: Ask) -> Exchange:
        """Answer a chat completion; never raises."""
        try:
            request = msgspec.json.decode(ask.body, type=_Request)
        except (msgspec.MsgspecError, RecursionError):
            error = {"message": "messages must be objects with a role and text content.", "param": "messages"}
            return EchoExchange(400, iter((msgspec.json.encode({"error": error}),)))
        spoken = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
        text, finish = _cut(_INTRODUCTION + spoken, request.max_completion_tokens or request.max_tokens)
        asked = estimated_tokens(sum(len(message.text.encode()) for message in request.messages))
        answered = estimated_tokens(len(text.encode()))
        usage = {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}
        shared = {"id": f"chatcmpl-{self._new_id()}", "created": self._now(), "model": "echo"}
        if ask.stream:
            return EchoExchange(200, _frames(shared, text, finish, usage))
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        answer = {**shared, "object": "chat.completion", "choices": [choice], "usage": usage}
        return EchoExchange(200, iter((msgspec.json.encode(answer),)))

    def scrub(self, text: str) -> str:
        """Nothing of an echo is secret."""
        return text


@final
class EchoExchange:
    """An answer that is already known."""

    headers: Headers = ()

    def __init__(self, status: int, chunks: Iterator[bytes]) -> None:
        self.status = status
        self._chunks = chunks

    async def read(self, limit: int) -> bytes:
        """The whole answer."""
        return b"".join(self._chunks)[:limit]

    async def next_chunk(self) -> bytes | None:
        """The next frame, None at the end."""
        return next(self._chunks, None)

    def abort(self) -> None:
        """Forget the rest."""
        self._chunks = iter(())


def _frames(shared: dict[str, object], text: str, finish: str, usage: dict[str, int]) -> Iterator[bytes]:
    def frame(delta: dict[str, object], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**shared, "object": "chat.completion.chunk", "choices": [choice], "usage": None}
        return b"data: %b\n\n" % msgspec.json.encode(chunk)

    yield frame({"role": "assistant", "content": ""})
    for word in _WORD.findall(text):
        yield frame({"content": word})
    yield frame({}, finish)
    last = {**shared, "object": "chat.completion.chunk", "choices": [], "usage": usage}
    yield b"data: %b\n\ndata: [DONE]\n\n" % msgspec.json.encode(last)


def _cut(text: str, most: int | None) -> tuple[str, str]:
    size = None if most is None else most * _BYTES_A_TOKEN
    raw = text.encode()
    if size is None or len(raw) <= size:
        return text, "stop"
    return raw[:size].decode(errors="ignore"), "length"
