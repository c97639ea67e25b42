"""Identifiers that the application chooses: end users, sessions, threads.

They are taken byte for byte: 1 to 255 bytes of UTF-8, no case folding, no normalization. Control characters (Unicode
category Cc) are refused, since they hide in logs and break headers. `john_doe`, `john-doe` and `JOHN_DOE` are three.
"""

from __future__ import annotations

import re
from typing import Final

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import invalid

MAX_BYTES: Final = 255
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


def read_identifier(name: str, raw: bytes) -> str:
    """Read the value of the header `name`; raises `Refused` (400) for anything but an identifier."""
    if not 1 <= len(raw) <= MAX_BYTES:
        message = f"{name} must be 1 to {MAX_BYTES} bytes long."
        raise Refused(Code.INVALID_REQUEST, message, param=name)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        message = f"{name} must be UTF-8."
        raise Refused(Code.INVALID_REQUEST, message, param=name) from None
    if _CONTROL.search(text) is not None:
        message = f"{name} must not contain control characters."
        raise Refused(Code.INVALID_REQUEST, message, param=name)
    return text


def identifier_field(field: str, text: str) -> str:
    """Take an identifier that stands in the field of a body; raises `Invalid`."""
    try:
        return read_identifier(field, text.encode("utf-8", "surrogatepass"))
    except Refused:
        raise invalid(field, f"must be 1 to {MAX_BYTES} bytes of UTF-8 without control characters") from None
