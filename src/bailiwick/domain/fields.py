"""What is wrong with the fields of something that somebody asked to be made or changed.

Every wrong field is told at once, by its dotted path (`limits.user.per`) and by what was expected of it. Messages never
repeat the value: it may be a secret that was put into the wrong field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar, final

from bailiwick.domain.errors import Code, Refused

Value = TypeVar("Value")

MAX_NAME: Final = 200
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """One wrong field: `field` is a dotted path, `message` a clause that goes on from it ("must be …")."""

    field: str
    message: str


@final
class Invalid(Refused):
    """What was sent is well formed and cannot be; every field that is wrong is told."""

    def __init__(self, *errors: FieldError) -> None:
        """At least one error."""
        super().__init__(Code.UNPROCESSABLE, "Some fields are not valid.", param=errors[0].field)
        self.errors = errors


@final
class Findings:
    """Collects what is wrong with several fields, to tell all of it at once."""

    def __init__(self) -> None:
        self._errors: list[FieldError] = []

    def add(self, field: str, message: str) -> None:
        """Note that `field` is wrong."""
        self._errors.append(FieldError(field=field, message=message))

    def take(self, read: Callable[[], Value], otherwise: Value) -> Value:
        """Return what `read` returns; note what it raises as `Invalid`, and return `otherwise`."""
        try:
            return read()
        except Invalid as invalid:
            self._errors.extend(invalid.errors)
            return otherwise

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note what is raised as `Invalid` inside, and go on after."""
        try:
            yield
        except Invalid as invalid:
            self._errors.extend(invalid.errors)

    def or_raise(self) -> None:
        """Raise `Invalid` if anything was noted."""
        if self._errors:
            raise Invalid(*self._errors)


def invalid(field: str, message: str) -> Invalid:
    """Say that one field is wrong."""
    return Invalid(FieldError(field=field, message=message))


def read_name(field: str, text: str) -> str:
    """Take a name that people read: 1 to 200 characters, none of them a control character, not only spaces."""
    if not text.strip():
        raise invalid(field, "must not be empty")
    if len(text) > MAX_NAME:
        raise invalid(field, f"must be at most {MAX_NAME} characters long")
    if _CONTROL.search(text) is not None:
        raise invalid(field, "must not contain control characters")
    return text
