"""Calls of tools in chat completions: `tool_calls`, each with its index in a stream, and the older `function_call`.

In a stream the first part of a call has its name; what follows has its index. Calls that are shown are numbered anew,
since clients take an index for a place in a list. `finish_reason` is `stop` where no call is left.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import ClassVar, Final, final

from bailiwick.domain.json_body import Json
from bailiwick.domain.offered_tools import Offered
from bailiwick.providers.answers.calls import Blocked, Object, not_offered, objects_in

_CALLS: Final = "tool_calls"
_CALL: Final = "function_call"
_CALLED: Final = frozenset({"tool_calls", "function_call"})
# Parts of a call that come before its name: none of them is long.
_MOST_WAITING: Final = 16


@final
class _Call:
    """One call of a stream: its name once it is known, whether it is shown, and what came before its name."""

    __slots__ = ("is_shown", "name", "waiting")

    def __init__(self) -> None:
        self.name: str | None = None
        self.is_shown = False
        self.waiting: list[Object] = []


@final
class _Choice:
    """One choice of a stream, as far as it has come."""

    __slots__ = ("blocked", "calls", "gone", "last", "shown")

    def __init__(self) -> None:
        self.calls: dict[int | str, _Call] = {}
        self.last: _Call | None = None
        self.shown = 0
        self.blocked = False
        # The indexes of calls that are not shown, in order.
        self.gone: list[int] = []


@final
class CompletionCalls:
    """See `CallForm`."""

    marks: ClassVar[tuple[bytes, ...]] = (b"tool_calls", b"function_call")

    def __init__(self, offered: Offered) -> None:
        self._offered = offered
        self._choices: dict[int | str, _Choice] = {}
        self.blocked: Final = Blocked()

    def whole(self, answer: Object) -> bool:
        """See `CallForm`."""
        before = self.blocked.count
        for choice in objects_in(answer.get("choices")):
            state = _Choice()
            for part in (choice.get("message"), choice.get("delta")):
                if isinstance(part, dict):
                    self._message(part, state)
            _finish(choice, state)
        return self.blocked.count > before

    def event(self, event: Object) -> bool | None:
        """See `CallForm`."""
        changed = emptied = False
        choices = objects_in(event.get("choices"))
        for number, choice in enumerate(choices):
            index = choice.get("index", number)
            state = self._choices.setdefault(index if isinstance(index, int) else str(index), _Choice())
            if isinstance(message := choice.get("message"), dict):
                before = self.blocked.count
                self._message(message, state)
                changed = changed or self.blocked.count > before
            if isinstance(delta := choice.get("delta"), dict) and self._delta(delta, state):
                changed = True
                emptied = emptied or not (delta or choice.get("finish_reason"))
            changed = _finish(choice, state) or changed
        return None if emptied and len(choices) == 1 and not event.get("usage") else changed

    def _message(self, message: Object, state: _Choice) -> None:
        """A whole message."""
        if (calls := message.get(_CALLS)) is not None:
            kept = [call for call in objects_in(calls) if self._is_let(_name_of(call), state)]
            state.shown += len(kept)
            if kept:
                message[_CALLS] = [*kept]
            else:
                del message[_CALLS]
        if (call := message.get(_CALL)) is not None:
            name = call.get("name") if isinstance(call, dict) else None
            if self._is_let(name, state):
                state.shown += 1
            else:
                del message[_CALL]

    def _delta(self, delta: Object, state: _Choice) -> bool:
        """A part of a message; says whether it was changed."""
        changed = False
        if (calls := delta.get(_CALLS)) is not None:
            kept: list[Json] = []
            for part in objects_in(calls):
                kept.extend(self._part(part, state))
            if state.gone or not isinstance(calls, list) or len(kept) != len(calls):
                changed = True
                if kept:
                    delta[_CALLS] = kept
                else:
                    del delta[_CALLS]
        if isinstance(call := delta.get(_CALL), dict):
            one = state.calls.setdefault(_CALL, _Call())
            if not self._goes_on(one, call.get("name"), state):
                del delta[_CALL]
                changed = True
        return changed

    def _part(self, part: Object, state: _Choice) -> list[Object]:
        """What is shown for a part of a call: itself, in its new place, after what had waited for its name."""
        name = _name_of(part)
        index = part.get("index")
        if isinstance(index, int):
            call = state.calls.setdefault(index, _Call())
        elif name or state.last is None:
            call = _Call()
        else:
            call = state.last
        state.last = call
        if call.name is None and not name:
            call.waiting.append(part)
            if len(call.waiting) > _MOST_WAITING:
                raise not_offered(None)
            return []
        first = call.name is None
        if not self._goes_on(call, name, state):
            if first and isinstance(index, int):
                insort(state.gone, index)
            return []
        waited, call.waiting = call.waiting, []
        shown = [*waited, part]
        if isinstance(index, int) and state.gone:
            for one in shown:
                one["index"] = index - bisect_left(state.gone, index)
        return shown

    def _goes_on(self, call: _Call, name: Json, state: _Choice) -> bool:
        """Whether a call is shown, now that `name` came with a part of it."""
        if call.name is None:
            if not name:
                return False
            call.name = name if isinstance(name, str) else ""
            if self._is_let(name, state):
                call.is_shown = True
                state.shown += 1
        elif name and name != call.name and call.is_shown:
            # Some clients put names together, others take the last one.
            self.blocked.add(name)
            raise not_offered(name)
        return call.is_shown

    def _is_let(self, name: Json, state: _Choice) -> bool:
        if self._offered.has_named(name):
            return True
        state.blocked = True
        self.blocked.add(name)
        return False


def _name_of(call: Object) -> Json:
    """By which name a call calls: of a function, of a custom tool, or its own."""
    names = {str(inner.get("name")) for inner in (call.get("function"), call.get("custom"), call)
             if isinstance(inner, dict) and inner.get("name")}  # fmt: skip
    return names.pop() if len(names) == 1 else ("|".join(sorted(names)) or None)


def _finish(choice: Object, state: _Choice) -> bool:
    """Say why a choice ended, now that calls of it were taken out; says whether that was changed."""
    if state.blocked and not state.shown and choice.get("finish_reason") in _CALLED:
        choice["finish_reason"] = "stop"
        return True
    return False
