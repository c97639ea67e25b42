"""Calls of tools in answers: what was not offered to a provider does not reach whoever asked.

    guard = CallGuard(CompletionCalls(offered), strict=offered.strict)
    guard.whole(body)             # the same bytes, or the answer without the calls that were not offered
    guard.event(event, data)      # the same bytes, the event without them, or nothing

An answer is decoded only if one of a few words is in it; what holds no such call passes as the bytes that came. When a
call is taken out, whatever counts calls or says why the answer ended is put right, so that the rest can be used.
"""

from __future__ import annotations

from typing import ClassVar, Final, Protocol, final

import msgspec

from bailiwick.domain.errors import Code, ProviderFailed
from bailiwick.domain.json_body import MOST_VALUES, Json, too_many_values
from bailiwick.providers.sse import with_data

Object = dict[str, Json]

_encode = msgspec.json.encode
_LONGEST_SHOWN: Final = 64
_MOST_SHOWN: Final = 32


@final
class Blocked:
    """The calls that were taken out of one answer."""

    __slots__ = ("count", "names")

    def __init__(self) -> None:
        self.count = 0
        self.names: list[str] = []

    def add(self, name: Json) -> None:
        """Take down a call; `name` is what the provider called."""
        self.count += 1
        shown = name[:_LONGEST_SHOWN] if isinstance(name, str) and name else "unnamed"
        if shown not in self.names and len(self.names) < _MOST_SHOWN:
            self.names.append(shown)


class CallForm(Protocol):
    """Where calls stand in one form of answers. Belongs to one answer."""

    marks: ClassVar[tuple[bytes, ...]]
    """One of these is in whatever holds a call, if its letters are not escaped."""

    @property
    def blocked(self) -> Blocked:
        """What was taken out."""
        ...

    def whole(self, answer: Object) -> bool:
        """Take calls out of a whole answer, in place; says whether anything was changed."""
        ...

    def event(self, event: Object) -> bool | None:
        """Take calls out of an event, in place; says whether it was changed, None if nothing of it is to be shown.

        Raises `ProviderFailed` if a call turns out not to be offered when a part of it was shown.
        """
        ...


@final
class CallGuard:
    """Stands between one answer and its client."""

    __slots__ = ("_form", "strict")

    def __init__(self, form: CallForm, *, strict: bool) -> None:
        """`strict`: nothing passes that cannot be looked through."""
        self._form = form
        self.strict: Final = strict

    @property
    def blocked(self) -> Blocked:
        """What was taken out, up to now."""
        return self._form.blocked

    def whole(self, body: bytes) -> bytes:
        """A whole answer as it may be shown; raises `ProviderFailed`."""
        if not self._may_call(body) or self._is_passed(body):
            return body
        answer = _decoded(body)
        return _encode(answer) if self._form.whole(answer) else body

    def event(self, event: bytes, data: bytes) -> bytes:
        """An event with this data as it may be shown, b"" for not at all; raises `ProviderFailed`."""
        # Once a call was taken out, later events must be counted anew.
        if (not self._form.blocked.count and not self._may_call(data)) or self._is_passed(data):
            return event
        said = _decoded(data)
        changed = self._form.event(said)
        if changed is None:
            return b""
        return with_data(event, _encode(said)) if changed else event

    def _is_passed(self, data: bytes) -> bool:
        """Whether this is too intricate to be looked through, and passes all the same; raises `ProviderFailed`."""
        if not too_many_values(data, MOST_VALUES):
            return False
        if self.strict:
            message = "The model provider's answer is too intricate to be looked through for calls of tools."
            raise ProviderFailed(message, garbled=True)
        return True

    def _may_call(self, data: bytes) -> bool:
        for mark in self._form.marks:
            if mark in data:
                return True
        return b"\\u00" in data


def _decoded(data: bytes) -> Object:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ProviderFailed("The model provider's answer could not be understood.", garbled=True)
    return found


def not_offered(name: Json) -> ProviderFailed:
    """End an answer for a call that can no longer be taken out."""
    shown = name[:_LONGEST_SHOWN] if isinstance(name, str) else "unnamed"
    message = f"The model called the tool {shown!r}, which was not offered to it."
    return ProviderFailed(message, code=Code.TOOL_NOT_ALLOWED)


def objects_in(value: Json) -> list[Object]:
    """The objects of a list; none if it is no list."""
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []
