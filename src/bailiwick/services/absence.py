"""What is absent and what belongs to somebody else: one refusal, so that nobody learns which of the two it was."""

from __future__ import annotations

from typing import TypeVar

from bailiwick.domain.errors import Code, Refused

Value = TypeVar("Value")


def not_found() -> Refused:
    """The refusal (404)."""
    return Refused(Code.NOT_FOUND, "There is nothing at this address.")


def found(value: Value | None) -> Value:
    """Return what was found; raises `Refused` (404) for None."""
    if value is None:
        raise not_found()
    return value
