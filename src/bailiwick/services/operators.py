"""Who administers? From the bearer's text to an operator key.

The same refusal, after the same work, for a key that is unknown, wrong or malformed; only whoever still has the secret
of a key is told that it has expired or was revoked.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import final

from bailiwick.domain.credentials import Active, Expired, OperatorKey, Revoked
from bailiwick.domain.errors import Code, Refused
from bailiwick.identity import api_keys
from bailiwick.storage.operators import OperatorLookup


@final
class Operators:
    """Recognizes operator keys."""

    def __init__(self, lookup: OperatorLookup, *, pepper: bytes, now: Callable[[], datetime]) -> None:
        """`pepper` is the operators' own; `now` the wall clock in UTC."""
        self._lookup = lookup
        self._pepper = pepper
        self._now = now

    async def authenticate(self, credential: str | None) -> OperatorKey:
        """Say whose key this is; raises `Refused` (401) and `Unavailable`."""
        if credential is None:
            message = "No operator key was sent. Use the header Authorization: Bearer <operator key>."
            raise Refused(Code.MISSING_CREDENTIALS, message)
        presented = api_keys.parse(credential)
        if presented is None or presented.kind != api_keys.OPERATOR_KEY:
            raise _refused()
        on_file = await self._lookup.find_key(presented.lookup_id)
        stored = None if on_file is None else on_file.digest
        # Compared when there is nothing to compare with, too: an unknown key takes the time of a wrong one.
        if not api_keys.matches(self._pepper, presented, stored) or on_file is None:
            raise _refused()
        match on_file.key.lifetime.state(self._now()):
            case Active():
                return on_file.key
            case Expired():
                raise Refused(Code.EXPIRED_CREDENTIALS, "The operator key has expired.")
            case Revoked():
                raise Refused(Code.REVOKED_CREDENTIALS, "The operator key was revoked.")


def _refused() -> Refused:
    return Refused(Code.INVALID_CREDENTIALS, "The operator key is not valid.")
