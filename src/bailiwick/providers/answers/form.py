"""What is read of every answer, whatever its form, and how a form's streams end and fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, final

import msgspec

from bailiwick.domain.usage import TokenUsage

# A field that is kept as it came: absent, null, or its bytes.
ABSENT: Final = msgspec.Raw()
_EMPTY: Final = (b"", b"null")

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
    the last event of a stream that fails.
    """

    reader: Callable[[], Read]
    failure: Callable[[Mapping[str, object]], bytes]
    sentinel: bytes | None = None


def is_there(part: msgspec.Raw) -> bool:
    """Whether a field is neither absent nor null."""
    return bytes(part) not in _EMPTY


def text_size(part: msgspec.Raw) -> int:
    """The bytes of a text, without its quotes, or of any other value."""
    text = bytes(part)
    return 0 if text in _EMPTY else len(text) - len(b'""')


def count(value: Count) -> int:
    """A count as an integer, 0 for none."""
    return int(value or 0)


def openai_failure(error: Mapping[str, object]) -> bytes:
    """Write a failure in the middle of a stream, as OpenAI's SDKs read it."""
    return b"data: %b\n\n" % msgspec.json.encode({"error": error})
