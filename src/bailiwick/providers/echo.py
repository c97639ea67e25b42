"""The built-in model `echo`: always there, so that the first request works with no account anywhere.

It is no model, and says so. It answers with the last user message, streams word by word, honours the maximum of
tokens, and counts tokens as bytes divided by four. It costs nothing.

It works in this process, so what it does at once is bounded: how much it decodes, says, and writes in one go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Final, final

import msgspec

from bailiwick.domain.json_body import LARGE, MOST_VALUES, too_many_values
from bailiwick.domain.usage import estimated_tokens
from bailiwick.providers.echo_forms import FORMS, MOST_NUMBERS, Said, embed
from bailiwick.providers.provider import Ask, Exchange, Headers

_INTRODUCTION: Final = "This is Bailiwick's built-in echo, not a model. You said: "
_BYTES_A_TOKEN: Final = 4
_EMBEDDINGS: Final = "/embeddings"
# It says no more than this, as any model.
_MOST_TOKENS: Final = 16_384
# Events of a stream, each of some ten microseconds, before others have their turn.
_EVENTS_AT_ONCE: Final = 64


@final
class EchoProvider:
    """Answers from within this process."""

    def __init__(self, *, now: Callable[[], int], new_id: Callable[[], str], aside: Executor | None = None) -> None:
        """`now` is Unix time in seconds; `new_id` makes the ids of answers; large bodies are read by `aside`."""
        self._aside = aside
        self._now = now
        self._new_id = new_id

    async def send(self, ask: Ask) -> Exchange:
        """Answer at any of its doors; never raises."""
        if len(ask.body) <= LARGE:
            return self._answer(ask)
        return await asyncio.get_running_loop().run_in_executor(self._aside, self._answer, ask)

    def _answer(self, ask: Ask) -> EchoExchange:
        if too_many_values(ask.body, MOST_VALUES):
            name = "input" if ask.path == _EMBEDDINGS else FORMS[ask.path].content
            return _refused(name, f"must have at most {MOST_VALUES} values.")
        if ask.path == _EMBEDDINGS:
            try:
                return EchoExchange(200, iter((embed(ask.body),)))
            except (msgspec.MsgspecError, RecursionError):
                return _refused("input", f"must be texts or tokens, for at most {MOST_NUMBERS} numbers in all.")
        form = FORMS[ask.path]
        try:
            heard = form.hear(ask.body)
        except (msgspec.MsgspecError, RecursionError):
            return _refused(form.content, "must be text, or messages with a role and text.")
        text, whole = _cut(_INTRODUCTION + heard.spoken, heard.most)
        said = Said(
            id=self._new_id(),
            now=self._now(),
            text=text,
            whole=whole,
            read=estimated_tokens(heard.size),
            wrote=estimated_tokens(len(text.encode())),
        )
        if ask.stream:
            return EchoExchange(200, form.events(said))
        return EchoExchange(200, iter((msgspec.json.encode(form.answer(said)),)))

    def scrub(self, text: str) -> str:
        """Nothing of an echo is secret."""
        return text


@final
class EchoExchange:
    """An answer that is already known."""

    headers: Headers = ()
    sent = True

    def __init__(self, status: int, chunks: Iterator[bytes]) -> None:
        self.status = status
        self._chunks = chunks
        self._given = 0

    def whole(self, limit: int) -> bytes | None:
        """All of it, if it is not longer."""
        content = b"".join(self._chunks)
        if len(content) <= limit:
            return content
        self._chunks = iter((content,))
        return None

    async def read(self, limit: int) -> bytes:
        """The whole answer."""
        return b"".join(self._chunks)[:limit]

    async def next_chunk(self) -> bytes | None:
        """The next frame, None at the end."""
        self._given += 1
        if self._given % _EVENTS_AT_ONCE == 0:
            await asyncio.sleep(0)
        return next(self._chunks, None)

    def abort(self) -> None:
        """Forget the rest."""
        self._chunks = iter(())


def _refused(name: str, what: str) -> EchoExchange:
    error = {"message": f"{name} {what}", "param": name}
    return EchoExchange(400, iter((msgspec.json.encode({"error": error}),)))


def _cut(text: str, most: int | None) -> tuple[str, bool]:
    """Keep to the maximum of tokens; says too whether all of it is there."""
    size = (_MOST_TOKENS if most is None else min(most, _MOST_TOKENS)) * _BYTES_A_TOKEN
    raw = text.encode()
    if len(raw) <= size:
        return text, True
    return raw[:size].decode(errors="ignore"), False
