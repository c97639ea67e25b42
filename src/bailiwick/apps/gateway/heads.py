"""Heads of requests that came before, and what they mean.

A client says nearly the same at the head of each of its calls: what differs is the length of the body. So a head that
was parsed once, and whose call went well, is kept beside what it means. One that is the same to the byte, but for the
digits of its Content-Length, means the same, and is not read again; nor parsed, if its body came with it. Guarantees:

- llhttp has judged every head that is kept, in its place at the beginning of a request; whatever is not compared to the
  byte, it judges again;
- only a request that is here whole, with exactly the bytes that it announces, goes past it;
- heads are kept of calls that went well: who has no credential cannot make us forget those of others;
- at most `_MOST_KEPT` are kept, each of at most `LONGEST` bytes; the oldest leave first.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, final
from urllib.parse import unquote

import msgspec
from httptools import parse_url

LONGEST: Final = 2048
_MOST_KEPT: Final = 2048
# Of a scope, what differs between requests with the same head.
_NOT_OF_HEAD: Final = frozenset({"headers", "client", "server"})
_END: Final = b"\r\n\r\n"
# As clients write it. Another spelling is parsed each time.
_LENGTHS: Final = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
_LENGTH: Final = b"content-length"
MOST_DIGITS: Final = 7

_LONGEST_TARGET: Final = 256
_TARGETS_KEPT: Final = 1024

# Whose request it is, by the host it comes from, and its head without the length's digits.
Key = tuple[str, bytes]


@final
class Begun(msgspec.Struct, frozen=True, gc=False):
    """A request of which the head is here: that without the length's digits, these, and what came behind.

    `whole`: that is the whole body, and nothing else.
    """

    head: bytes
    length: bytes
    behind: bytes
    whole: bool


@final
class KnownHead(msgspec.Struct, frozen=True):
    """A head that came before. `meaning` is what the application made of it.

    `scope` is the request's as ASGI has it, but for the headers: those that stand before the length, and after it.
    """

    scope: dict[str, Any]
    before: list[tuple[bytes, bytes]]
    after: list[tuple[bytes, bytes]]
    meaning: object

    def scope_of(self, length: bytes) -> dict[str, Any]:
        """The scope of a request with this head, whose body has the length that these digits say."""
        return {**self.scope, "headers": [*self.before, (_LENGTH, length), *self.after]}

    def is_of(self, scope: dict[str, Any]) -> bool:
        """Whether this is the head of a request that was parsed."""
        headers, place = scope["headers"], len(self.before)
        return (
            headers[:place] == self.before
            and headers[place + 1 :] == self.after
            and all(scope[name] == value for name, value in self.scope.items())
        )


@final
class KnownHeads:
    """The heads that came to one server."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[Key, KnownHead] = {}

    def __len__(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def find(self, key: Key) -> KnownHead | None:
        """What is known of a head."""
        return self._kept.get(key)

    def keep(self, key: Key, scope: dict[str, Any], meaning: object) -> None:
        """Keep a head that was parsed, if what it means depends on nothing but its bytes and the body's length."""
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        names = [name for name, _ in headers]
        if names.count(_LENGTH) != 1 or b"transfer-encoding" in names or b"expect" in names:
            return
        place = names.index(_LENGTH)
        while len(self._kept) >= _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        rest = {name: value for name, value in scope.items() if name not in _NOT_OF_HEAD}
        self._kept[key] = KnownHead(rest, headers[:place], headers[place + 1 :], meaning)


def begun(data: bytes) -> Begun | None:
    """Split what arrived, if it is a request's whole head, which says its body's length; None for anything else."""
    end = data.find(_END)
    if not 0 < end <= LONGEST:
        return None
    for spelled in _LENGTHS:
        begin = data.find(spelled, 0, end)
        if begin >= 0:
            break
    else:
        return None
    begin += len(spelled)
    stop = data.index(b"\r\n", begin)
    length = data[begin:stop]
    if len(length) > MOST_DIGITS or not length.isdigit():
        return None
    behind = data[end + len(_END) :]
    return Begun(data[:begin] + data[stop:end], length, behind, int(length) == len(behind))


def target(url: bytes) -> tuple[str, bytes, bytes]:
    """Split a request's target into path (decoded), path and query; raises `HttpParserError`."""
    return _target(url) if len(url) <= _LONGEST_TARGET else _parse_target(url)


def _parse_target(url: bytes) -> tuple[str, bytes, bytes]:
    parsed = parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""


# Connected use few of them, and say them again and again.
_target: Final = lru_cache(maxsize=_TARGETS_KEPT)(_parse_target)
