"""What a provider says when it refuses: its error object, in whichever form, and how long to wait."""

from __future__ import annotations

from datetime import UTC, datetime
from math import ceil
from typing import Final

import msgspec

from bailiwick.providers.provider import Headers

# The three forms of a date that a recipient must read (RFC 9110 §5.6.7).
_DATE_FORMS: Final = ("%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %d %H:%M:%S %Y")
MAX_ERROR: Final = 256 * 1024
_LONGEST_RETRY: Final = 86_400
_MOST_DIGITS: Final = 6


class ProviderError(msgspec.Struct):
    """An error object, as far as it has OpenAI's form."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _Failed(msgspec.Struct):
    error: ProviderError | None = None


class _ErrorBody(msgspec.Struct):
    """An error as it stands for an answer, as an event, or within a response that failed."""

    error: ProviderError | str | None = None
    message: str | None = None
    code: str | int | None = None
    response: _Failed | None = None


def read_error(body: bytes) -> ProviderError:
    """What a provider said of its refusal; empty when it cannot be read, or is too large to be one."""
    if len(body) > MAX_ERROR:
        return ProviderError()
    try:
        found = msgspec.json.decode(body, type=_ErrorBody | list[_ErrorBody])
    except (msgspec.MsgspecError, RecursionError):
        return ProviderError()
    if isinstance(found, list):  # As Gemini writes it.
        found = found[0] if found else _ErrorBody()
    if isinstance(found.error, str):
        return ProviderError(message=found.error)
    within = None if found.response is None else found.response.error
    return found.error or within or ProviderError(message=found.message, code=found.code)


def read_retry_after(headers: Headers, now: float) -> int | None:
    """The seconds that `Retry-After` asks to wait (RFC 9110 §10.2.3), at most a day; None if it says nothing readable.

    A date is reckoned from the answer's own `Date`, which the same clock wrote, else from `now` (Unix time).
    """
    by_name = dict(headers)
    value = by_name.get(b"retry-after", b"").strip()
    if value.isdigit():
        return min(int(value), _LONGEST_RETRY) if len(value) <= _MOST_DIGITS else None
    then, sent = _date(value), _date(by_name.get(b"date", b"").strip())
    if then is None:
        return None
    return min(max(ceil(then - (now if sent is None else sent)), 0), _LONGEST_RETRY)


def _date(value: bytes) -> float | None:
    """Unix time of an HTTP date."""
    for form in _DATE_FORMS:
        try:
            return datetime.strptime(value.decode("ascii"), form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    return None
