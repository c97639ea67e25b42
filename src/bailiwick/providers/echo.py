"""The built-in model `echo`: always there, so that the first request works with no account anywhere.

It is no model, and says so. It answers with the last user message, streams word by word, honours the maximum of
tokens, and counts tokens as bytes divided by four. It costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, final

import msgspec

from bailiwick.domain.usage import estimated_tokens
from bailiwick.providers.echo_forms import FORMS, MOST_NUMBERS, Said, embed
from bailiwick.providers.provider import Ask, Exchange, Headers

_INTRODUCTION: Final = "This is Bailiwick's built-in echo, not a model. You said: "
_BYTES_A_TOKEN: Final = 4
_EMBEDDINGS: Final = "/embeddings"


@final
class EchoProvider:
    """Answers from within this process."""

    def __init__(self, *, now: Callable[[], int], new_id: Callable[[], str]) -> None:
        """`now` is Unix time in seconds; `new_id` makes the ids of answers."""
        self._now = now
        self._new_id = new_id

    async def send(self, ask: Ask) -> Exchange:
        """Answer at any of its doors; never raises."""
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


def _refused(name: str, what: str) -> EchoExchange:
    error = {"message": f"{name} {what}", "param": name}
    return EchoExchange(400, iter((msgspec.json.encode({"error": error}),)))


def _cut(text: str, most: int | None) -> tuple[str, bool]:
    """Keep to the maximum of tokens; says too whether all of it is there."""
    size = None if most is None else most * _BYTES_A_TOKEN
    raw = text.encode()
    if size is None or len(raw) <= size:
        return text, True
    return raw[:size].decode(errors="ignore"), False
