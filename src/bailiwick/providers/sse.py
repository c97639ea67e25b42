r"""Server-sent events (WHATWG HTML §9.2), as far as a relay needs them: where one event ends and what it holds.

`Events` cuts arriving bytes at the ends of events and hands on the very bytes: nothing is encoded anew. An event may
end with `\n\n`, `\r\n\r\n` or `\r\r`. What is not yet a whole event waits, up to `MAX_EVENT` bytes.
"""

from __future__ import annotations

import re
from typing import Final, final

MAX_EVENT: Final = 16 * 1024 * 1024

_END: Final = re.compile(rb"\r\n\r\n|\n\n|\r\r|\n\r\n")
_LONGEST_END: Final = 4
_MOST_LINES: Final = 10_000
_LINE: Final = re.compile(rb"\r\n|\n|\r")


class EventTooLarge(Exception):
    """An event without an end."""


@final
class Events:
    """Cuts a stream of bytes into whole events."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    @property
    def waiting(self) -> int:
        """How many bytes wait for the end of their event."""
        return len(self._rest)

    @property
    def unfinished(self) -> bool:
        """Whether bytes of an event are waiting for its end."""
        return bool(self._rest.strip())

    def feed(self, chunk: bytes) -> list[bytes]:
        """Take what arrived; returns the events that are whole now, each with its end. Raises `EventTooLarge`."""
        rest = self._rest
        if not rest and chunk.endswith(b"\n\n") and chunk.find(b"\n\n") == len(chunk) - 2 and b"\r" not in chunk:
            return [chunk]  # The usual case: one event, whole.
        known = len(rest)
        rest += chunk
        events = []
        start = 0
        for end in _END.finditer(rest, max(known - _LONGEST_END + 1, 0)):
            events.append(bytes(rest[start : end.end()]))
            start = end.end()
        self._rest = rest[start:] if start else rest
        if len(self._rest) > MAX_EVENT:
            raise EventTooLarge
        return events


def data_of(event: bytes) -> bytes | None:
    """The data of an event, None if it has none (a comment, a ping). Raises `EventTooLarge` for one of many lines."""
    if event.startswith(b"data: ") and event.endswith(b"\n\n") and event.count(b"\n") == 2 and b"\r" not in event:  # noqa: PLR2004 - one line
        return event[6:-2]
    if event.count(b"\n") + event.count(b"\r") > _MOST_LINES:
        raise EventTooLarge
    lines = [line[5:].removeprefix(b" ") for line in _LINE.split(event) if line.startswith(b"data:") or line == b"data"]
    return b"\n".join(lines) if lines else None


def with_data(event: bytes, data: bytes) -> bytes:
    """The same event with other data, of one line: what else it says stays."""
    if b"\r" not in event and event.count(b"\n") == 2:  # noqa: PLR2004 - one line
        return b"data: %b\n\n" % data
    lines = [line for line in _LINE.split(event) if line and not line.startswith(b"data")]
    return b"\n".join([*lines, b"data: " + data, b"", b""])
