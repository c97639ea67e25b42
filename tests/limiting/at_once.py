"""A coroutine that may not wait, run to its end in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

Result = TypeVar("Result")


def at_once(coroutine: Coroutine[object, None, Result]) -> Result:
    """Return what `coroutine` returns; an error if it waits, for then its decision would not be atomic."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    coroutine.close()
    message = "it waited"
    raise AssertionError(message)
