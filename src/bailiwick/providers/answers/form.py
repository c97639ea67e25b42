"""What is read of every answer, whatever its form, and how a form's streams end and fail."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, final

import msgspec

from bailiwick.domain.offered_tools import Offered
from bailiwick.domain.usage import TokenUsage
from bailiwick.providers.answers.calls import CallForm, CallGuard

# A field that is kept as it came: absent, null, or its bytes.
ABSENT: Final = msgspec.Raw()
_EMPTY: Final = (b"", b"null")
_LONGEST_EMPTY: Final = max(map(len, _EMPTY))
# An object that holds at most objects without any. Within a text its quotes would be escaped.
_USAGE: Final = re.compile(rb'"usage"\s*+:\s*+(\{[^{}]*+(?:\{[^{}]*+\}[^{}]*+)*+\})')

Count: TypeAlias = int | float | None


class Answer(Protocol):
    """A whole answer, or one event of a stream."""

    @property
    def valid(self) -> bool:
        """Whether a whole answer is one of this form."""
        ...

    @property
    def failed(self) -> bool:
        """Whether it is an error in the place of an answer."""
        ...

    @property
    def finished(self) -> bool:
        """Whether what was generated came to its end."""
        ...

    @property
    def last(self) -> bool:
        """Whether no event follows."""
        ...

    @property
    def usage_only(self) -> bool:
        """Whether an event holds nothing but the usage that we asked for."""
        ...

    @property
    def written(self) -> int:
        """About how many bytes were generated in it."""
        ...

    def tokens(self) -> TokenUsage | None:
        """What it says was used; None when it says nothing, or nothing that can be read: no reason to fail a call."""
        ...


Read: TypeAlias = Callable[[bytes], Answer]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerForm:
    """How one kind of answer is read.

    `reader` makes what reads the answer, or the events in their order, of one call; it raises what msgspec raises.
    `sentinel` is the data of a last event that is no JSON. `failure` writes an error object (`message`, `code`, …) as
    the last event of a stream that fails. `marks`: one of these stands near the beginning of every whole answer.
    `is_text`: the size of an answer says how much was generated. `calls` makes what finds the calls of tools in one
    answer, by what was offered; None if it can hold none.
    """

    reader: Callable[[], Read]
    failure: Callable[[Mapping[str, object]], bytes]
    marks: tuple[bytes, ...]
    is_text: bool = True
    sentinel: bytes | None = None
    calls: Callable[[Offered], CallForm] | None = None

    def guard(self, offered: Offered | None) -> CallGuard | None:
        """What stands between an answer and its client; None if nothing has to."""
        if offered is None or self.calls is None:
            return None
        return CallGuard(self.calls(offered), strict=offered.strict)

    def usage_in(self, part: bytes) -> Answer | None:
        """The last usage that is reported in a part of an answer, as an answer with nothing else; None for none."""
        found = _USAGE.findall(part)
        try:
            return self.reader()(b'{"usage":%b}' % found[-1]) if found else None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None


def is_there(part: msgspec.Raw) -> bool:
    """Whether a field is neither absent nor null."""
    return len(part) > _LONGEST_EMPTY or bytes(part) not in _EMPTY


def text_size(part: msgspec.Raw) -> int:
    """The bytes of a text, without its quotes, or of any other value."""
    return len(part) - len(b'""') if is_there(part) else 0


def count(value: Count) -> int:
    """A count as an integer, 0 for none."""
    return int(value or 0)


def openai_failure(error: Mapping[str, object]) -> bytes:
    """Write a failure in the middle of a stream, as OpenAI's SDKs read it."""
    return b"data: %b\n\n" % msgspec.json.encode({"error": error})
