"""A request that is sent again: the same operator, address and `Idempotency-Key` act once.

Follows draft-ietf-httpapi-idempotency-key-header: the first answer of an act is kept for a day and given again; the
same key with another body is refused, and so is one whose first request still runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, final

from bailiwick.domain.errors import Code, Refused

KEPT: Final = timedelta(hours=24)
MAX_KEY: Final = 255


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """What shall be done once: `digest` is SHA-256 of what the body says, `request_id` the request that does it."""

    operator: str
    route: str
    key: str
    digest: bytes
    request_id: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as it is given again, without secrets."""

    status: int
    location: str | None
    etag: str | None
    body: bytes


def read_key(values: list[str]) -> str | None:
    """Read the values of `Idempotency-Key`; raises `Refused` (400) unless there is one of visible ASCII, or none."""
    if not values:
        return None
    (key, *more) = values
    if more or not 1 <= len(key) <= MAX_KEY or not all("!" <= letter <= "~" for letter in key):
        message = f"Idempotency-Key must be sent once, with 1 to {MAX_KEY} visible characters of ASCII."
        raise Refused(Code.INVALID_REQUEST, message, param="Idempotency-Key")
    return key


def running() -> Refused:
    """The first request with this key has not ended yet."""
    return Refused(Code.CONFLICT, "A request with this Idempotency-Key is running.", param="Idempotency-Key")
