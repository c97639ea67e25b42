"""From a provider's answer to the client's, byte for byte, with an eye on usage.

An answer is read whole, checked, settled, and sent; a large one is passed on as it comes, since to hold and to decode
it would take room and time that is everybody's, and its usage is looked for at its end. A stream is passed on event by
event as it comes, sound piece by piece. All are settled before the last of them leaves, so a client that has seen the
end has a ledger row. Guarantees:

- nothing is sent before the provider has shown that it answers: a refusal, garbage or silence is still a clean error;
- once events were sent, a failure is one error event and no `[DONE]`;
- the usage event that we always ask for is shown only to a client who asked for it too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeAlias, final

import msgspec

from bailiwick.domain.errors import Code, ProviderFailed, Refused
from bailiwick.domain.usage import Outcome
from bailiwick.providers.answers.calls import CallGuard
from bailiwick.providers.answers.errors import MAX_ERROR, read_error
from bailiwick.providers.answers.form import Answer, AnswerForm, Read
from bailiwick.providers.provider import Exchange, ModelProvider, failure_of
from bailiwick.providers.sse import Events, EventTooLarge, data_of
from bailiwick.providers.transport_errors import TransportError
from bailiwick.services.metering import Meter
from bailiwick.services.outcomes import failed
from bailiwick.services.provider_refusals import error_object, refusal, told
from bailiwick.services.reply import Reply

# What every answer may keep in memory; more counts.
_SMALL: Final = 64 * 1024
# What of a stream is read before others have their turn: it may be thousands of events.
_AT_ONCE: Final = 8 * 1024
# An answer up to this is read before it is sent, if there is room for it.
_WHOLE: Final = 1024 * 1024
# The same of one in which a call of a tool may have to be found: images are larger.
_LOOKED_THROUGH: Final = 16 * 1024 * 1024
# Where usage is looked for in a larger one, from its beginning and from its end.
_EDGE: Final = 16 * 1024
_OK: Final = 200
# By a name of its own, for every call: Python 3.11 takes 0.1 us to look up a member of an enumeration.
_COMPLETED: Final = Outcome.COMPLETED
_JSON: Final = b"application/json"
_TEXT: Final = (b"text/",)
_EVENTS: Final = b"text/event-stream"
_PLAIN: Final = (b"identity", b"")
# What is passed on for what it says it is.
_MEDIA: Final = (b"audio/", b"video/", b"application/octet-stream", b"text/plain", b"text/vtt", b"application/x-subrip")
_PATIENCE_FOR_END: Final = 1.0
_TOO_LARGE: Final = "The model provider's answer is too large to be looked through for calls of tools."
_UNREADABLE: Final = "The model provider's answer could not be understood."

# What befell an answer in its middle, once a part of it was sent: the client has been told.
Broken: TypeAlias = ProviderFailed | TransportError


async def relay_answer(
    form: AnswerForm,
    provider: ModelProvider,
    exchange: Exchange,
    meter: Meter,
    reply: Reply,
    guard: CallGuard | None = None,
) -> Broken | None:
    """Pass a whole JSON answer on, but for what `guard` takes out; raises `ProviderFailed`, `TransportError`."""
    if exchange.status != _OK:
        raise await refusal(provider, exchange, meter.now())
    body = exchange.whole(_SMALL)  # Most answers are here with their heads.
    if body is None:
        strict = guard is not None and guard.strict
        body, more = await _read_up_to(_LOOKED_THROUGH if strict else _WHOLE, exchange, reply)
        if more and strict:
            raise ProviderFailed(_TOO_LARGE)
        if more:
            return await _pass_on(form, exchange, meter, reply, body)
    meter.first_byte()
    answer = _read(form.reader(), body)
    meter.observe(answer)
    if answer.failed:
        raise told(provider, body)
    if not answer.valid:
        raise ProviderFailed(_UNREADABLE, garbled=True)
    if guard is not None:
        body = guard.whole(body)
        reply.calls_blocked = guard.blocked.names
    await meter.settle(_COMPLETED)
    await reply.answer(body)
    return None


async def _read_up_to(most: int, exchange: Exchange, reply: Reply) -> tuple[bytes, bool]:
    """Read an answer, unless it has more than `most` bytes or there is no room for it; says whether there is more."""
    parts: list[bytes] = []
    size = 0
    while (chunk := await exchange.next_chunk()) is not None:
        parts.append(chunk)
        size += len(chunk)
        if size > most or (size > _SMALL and not reply.holds(size)):
            return b"".join(parts), True
    return b"".join(parts), False


async def relay_media(
    form: AnswerForm, provider: ModelProvider, exchange: Exchange, meter: Meter, reply: Reply
) -> Broken | None:
    """Pass on what may be JSON, text or sound, as its content type says; raises `ProviderFailed`, `TransportError`."""
    if exchange.status != _OK:
        raise await refusal(provider, exchange, meter.now())
    kind, essence = _content_type(exchange)
    if essence == _EVENTS:  # Speech is streamed as events on the client's wish, by a field of its own.
        return await relay_stream(form, provider, exchange, meter, reply, usage_wanted=True)
    if essence == _JSON or not essence.startswith(_MEDIA):
        return await relay_answer(form, provider, exchange, meter, reply)
    first = await exchange.next_chunk()
    if first is None:
        raise ProviderFailed(_UNREADABLE, garbled=True)
    meter.first_byte()
    await reply.begin_stream(kind)
    sound = not essence.startswith(_TEXT)
    last = await _send_on(exchange, meter, reply, first, lambda piece: meter.wrote(len(piece), sound=sound))
    if isinstance(last, TransportError):
        return last
    await meter.settle(_COMPLETED)
    await reply.end_stream(last)
    return None


async def _pass_on(form: AnswerForm, exchange: Exchange, meter: Meter, reply: Reply, begin: bytes) -> Broken | None:
    """Pass on a JSON answer that is too large to be read whole; raises `ProviderFailed` if it is none of this form."""
    if not begin[:_EDGE].lstrip().startswith(b"{") or not any(mark in begin for mark in form.marks):
        raise ProviderFailed(_UNREADABLE, garbled=True)
    end = b""

    def see(piece: bytes) -> None:
        nonlocal end
        end = (end + piece)[-_EDGE:]
        if form.is_text:
            meter.wrote(len(piece), sound=False)

    meter.first_byte()
    await reply.begin_stream(_JSON)
    last = await _send_on(exchange, meter, reply, begin, see)
    if isinstance(last, TransportError):
        return last
    if (usage := form.usage_in(end) or form.usage_in(begin[:_EDGE])) is not None:
        meter.observe(usage)
    await meter.settle(_COMPLETED)
    await reply.end_stream(last)
    return None


async def _send_on(
    exchange: Exchange, meter: Meter, reply: Reply, first: bytes, see: Callable[[bytes], None]
) -> bytes | TransportError:
    """Send pieces as they come, of which `see` is told; returns the last one, which waits for the settlement.

    Returns why, if the provider breaks off: that is settled, and the client sees it.
    """
    see(first)
    waiting = first
    try:
        while (chunk := await exchange.next_chunk()) is not None:
            see(chunk)
            await reply.send(waiting)
            waiting = chunk
    except TransportError as error:
        exchange.abort()
        await meter.settle(failed(failure_of(error)))
        await reply.break_off()
        return error
    return waiting


async def relay_stream(
    form: AnswerForm,
    provider: ModelProvider,
    exchange: Exchange,
    meter: Meter,
    reply: Reply,
    guard: CallGuard | None = None,
    *,
    usage_wanted: bool,
) -> Broken | None:
    """Pass a stream of events on, but for what `guard` takes out.

    Raises `ProviderFailed` or `TransportError` while nothing of it was sent. Some models answer whole whatever is
    asked; that answer is passed on as it is.
    """
    if exchange.status != _OK:
        raise await refusal(provider, exchange, meter.now())
    _, essence = _content_type(exchange)
    if essence == _JSON:
        return await relay_answer(form, provider, exchange, meter, reply, guard)
    if essence not in (_EVENTS, b""):
        # What is no stream may still say why.
        body = await exchange.read(MAX_ERROR)
        raise told(provider, body) if read_error(body).message else ProviderFailed(_UNREADABLE, garbled=True)
    stream = _Stream(form, provider, meter, guard, usage_wanted=usage_wanted)
    return await _relay_events(form, stream, exchange, meter, reply)


async def _relay_events(
    form: AnswerForm, stream: _Stream, exchange: Exchange, meter: Meter, reply: Reply
) -> Broken | None:
    begun = False
    held = 0
    shown = b""
    try:
        while not stream.done and (come := await stream.next_events(exchange)) is not None:
            shown = come
            held = _held(stream.waiting + len(shown) + len(stream.end), held, reply)
            if shown and not begun:
                begun = True
                meter.first_byte()
                await reply.begin_stream()
            if shown and not stream.done:
                await reply.send(shown)
                shown = b""
                held = _held(stream.waiting, held, reply)
        if not stream.done:
            stream.check_end()
    except (TransportError, ProviderFailed) as error:
        if not begun:
            raise
        exchange.abort()
        await meter.settle(failed(failure_of(error)))
        await reply.end_stream(stream.before_failure + form.failure(error_object(failure_of(error))))
        return error
    if not begun:
        await reply.begin_stream()
    await meter.settle(_COMPLETED)
    await reply.end_stream(shown + stream.end)
    await _finish(exchange)
    return None


def _held(size: int, before: int, reply: Reply) -> int:
    """Take room for what is in memory of a stream, if that is much; raises `Refused` (503)."""
    now = size if size > _SMALL else 0
    if now != before and not reply.holds(now):
        message = "Too many large answers are being handled at once. Try again shortly."
        raise Refused(Code.UNAVAILABLE, message, retry_after=1)
    return now


async def _finish(exchange: Exchange) -> None:
    """Wait a moment for the end that follows the last event, so that the connection can serve again."""
    try:
        async with asyncio.timeout(_PATIENCE_FOR_END):
            ended = await exchange.next_chunk() is None
    except (TimeoutError, TransportError):
        ended = False
    if not ended:
        exchange.abort()


@final
class _Stream:
    """Reads the events of one stream: what to show, what was used, whether it ended and by which event."""

    __slots__ = (
        "_events", "_guard", "_meter", "_provider", "_read", "_sentinel", "_unread", "_usage_wanted", "before_failure",
        "done", "end",
    )  # fmt: skip

    def __init__(
        self,
        form: AnswerForm,
        provider: ModelProvider,
        meter: Meter,
        guard: CallGuard | None = None,
        *,
        usage_wanted: bool,
    ) -> None:
        self._read = form.reader()
        self._guard = guard
        self._sentinel = form.sentinel
        self._provider = provider
        self._meter = meter
        self._usage_wanted = usage_wanted
        self._events = Events()
        self._unread = b""
        self.done = False
        self.before_failure = b""
        # Clients of a form with a sentinel wait for it, whether or not the provider sends it.
        self.end = b"" if form.sentinel is None else b"data: %b\n\n" % form.sentinel

    @property
    def waiting(self) -> int:
        """How many bytes wait for the end of their event."""
        return self._events.waiting

    async def next_events(self, exchange: Exchange) -> bytes | None:
        """Take what arrives next; returns the events to show, None at the end. Raises as `_take` and `next_chunk`."""
        if self._unread:
            chunk = self._unread
            await asyncio.sleep(0)
        elif (came := await exchange.next_chunk()) is None:
            return None
        else:
            chunk = came
        self._unread = chunk[_AT_ONCE:]
        return self._take(chunk[:_AT_ONCE])

    def _take(self, chunk: bytes) -> bytes:
        """Take what arrived; returns the events to show, without the last one (`end`, then `done` is set).

        Raises `ProviderFailed`; what is to be shown of this chunk all the same is then in `before_failure`.
        """
        shown: list[bytes] = []
        try:
            shown.extend(self._shown(event) for event in self._events.feed(chunk))
        except EventTooLarge:
            raise ProviderFailed(_UNREADABLE, garbled=True) from None
        except ProviderFailed:
            self.before_failure = b"".join(shown)
            raise
        return b"".join(shown)

    def check_end(self) -> None:
        """Accept an end without a last event if the answer had come to its own; else raise `ProviderFailed`."""
        if self._events.unfinished or not self._meter.finished:
            raise ProviderFailed("The model provider broke off its answer.", garbled=True)

    def _shown(self, event: bytes) -> bytes:
        """What is shown of an event: most often itself."""
        data = data_of(event)
        if self.done:
            return b""
        if not data:
            return event
        if data == self._sentinel:
            self.done = True
            return b""
        answer = _read(self._read, data)
        self._meter.observe(answer)
        if answer.failed:
            raise told(self._provider, data)
        if self._guard is not None:
            event = self._guard.event(event, data)
        if answer.last:
            self.done = True
            self.end = event
            return b""
        return event if self._usage_wanted or not answer.usage_only else b""


def _read(read: Read, body: bytes) -> Answer:
    try:
        return read(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ProviderFailed(_UNREADABLE, garbled=True) from None


def _content_type(exchange: Exchange) -> tuple[bytes, bytes]:
    """What an answer says it is, and that without its parameters; raises `ProviderFailed` for what is compressed.

    We ask for none of it. To pass it on would need its header too, and to undo it a measure for what comes of it.
    """
    kind = b""
    for name, value in exchange.headers:
        if name == b"content-type":
            kind = value
        elif name == b"content-encoding" and value.strip().lower() not in _PLAIN:
            raise ProviderFailed(_UNREADABLE, garbled=True)
    return kind, kind.partition(b";")[0].strip().lower()
