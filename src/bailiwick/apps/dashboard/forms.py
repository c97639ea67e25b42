"""What a form sends: `application/x-www-form-urlencoded` in UTF-8, bounded, each field once, none that nobody asks for.

What the fields mean is not read here: a page makes of them the document that the API would be sent, and the same
functions read both.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import FieldError

MAX_FORM: Final = 256 * 1024
CSRF: Final = "csrf"
# Which version of the thing the form was filled in for.
VERSION: Final = "version"
_MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
_MOST_FIELDS: Final = 1_000
# What a person can mend in the form itself; anything else is told on a page of its own.
_MENDABLE: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY})


@final
class Form:
    """The fields of one form."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        """`fields` are the values of each name, in their order."""
        self._fields = fields

    def known(self, *names: str) -> Form:
        """This form, if it has no other fields than these; raises `Refused` (400)."""
        unknown = set(self._fields) - set(names) - {CSRF, VERSION}
        if unknown:
            raise _malformed("The form has a field that this page does not know. Reload the page and try again.")
        return self

    def text(self, name: str) -> str:
        """What stands in a field, "" if nothing does; raises `Refused` (400) if it came more than once."""
        values = self._fields.get(name, [])
        if len(values) > 1:
            raise _malformed("The form has a field twice. Reload the page and try again.")
        return values[0] if values else ""

    def optional(self, name: str) -> str | None:
        """What stands in a field, without spaces around it; None if nothing does."""
        return self.text(name).strip() or None

    def checked(self, name: str) -> bool:
        """Whether a box is checked."""
        return self.text(name) != ""

    def chosen(self, name: str) -> list[str]:
        """What is chosen of several."""
        return list(self._fields.get(name, []))

    def lines(self, name: str) -> list[str]:
        """The lines of a field that say something."""
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]


EMPTY: Final = Form({})


async def read_form(request: Request) -> Form:
    """Read a request's form; raises `Refused` (400, 413, 415)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _MEDIA_TYPE:
        message = "A form is sent as application/x-www-form-urlencoded."
        raise Refused(Code.INVALID_REQUEST, message, status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    try:
        pairs = parse_qsl(
            (await _read(request)).decode("ascii"),
            keep_blank_values=True,
            strict_parsing=False,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise _malformed("The form cannot be read. Reload the page and try again.") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\0" in value:
            raise _malformed("The form holds a character that cannot be stored.")
        # Browsers send line breaks as CR LF, whatever was typed.
        fields.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return Form(fields)


def errors_of(refused: Refused) -> list[FieldError]:
    """What to tell beside a form's fields; raises `refused` again where no field could mend it."""
    if refused.status not in _MENDABLE:
        raise refused
    found = getattr(refused, "errors", ())
    return list(found) or [FieldError(field=refused.param or "", message=refused.message)]


async def _read(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_FORM:
                raise Refused(Code.REQUEST_TOO_LARGE, f"A form must be at most {MAX_FORM} bytes.")
            chunks.append(chunk)
    except ClientDisconnect:
        raise _malformed("The form is not complete.") from None
    return b"".join(chunks)


def _malformed(message: str) -> Refused:
    return Refused(Code.INVALID_REQUEST, message)
