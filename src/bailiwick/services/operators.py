"""Who administers? From the bearer's text to an operator key.

The same refusal, after the same work, for a key that is unknown, wrong or malformed; only whoever still has the secret
of a key is told that it has expired or was revoked.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import final

from bailiwick.domain.credentials import Active, Expired, Revoked
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.operators import Operator
from bailiwick.identity import api_keys
from bailiwick.storage.operator_keys import OperatorLookup


@final
class Operators:
    """Recognizes operator keys."""

    def __init__(self, lookup: OperatorLookup, *, pepper: bytes, now: Callable[[], datetime]) -> None:
        """`pepper` is the operators' own; `now` the wall clock in UTC."""
        self._lookup = lookup
        self._pepper = pepper
        self._now = now

    async def authenticate(self, credential: str | None) -> Operator:
        """Say who asks; raises `Refused` (401) and `Unavailable`."""
        if credential is None:
            message = "No operator key was sent. Use the header Authorization: Bearer <operator key>."
            raise Refused(Code.MISSING_CREDENTIALS, message)
        presented = api_keys.parse(credential)
        if presented is None or presented.kind != api_keys.OPERATOR_KEY:
            raise _refused()
        on_file = await self._lookup.find_key(presented.lookup_id)
        stored, before = (None, None) if on_file is None else (on_file.digest, on_file.previous_digest)
        # Compared when there is nothing to compare with, too: an unknown key takes the time of a wrong one.
        current = api_keys.matches(self._pepper, presented, stored)
        previous = api_keys.matches(self._pepper, presented, before)
        if not (current or previous) or on_file is None:
            raise _refused()
        now = self._now()
        match on_file.key.lifetime.state(now):
            case Expired():
                raise Refused(Code.EXPIRED_CREDENTIALS, "The operator key has expired.")
            case Revoked():
                raise Refused(Code.REVOKED_CREDENTIALS, "The operator key was revoked.")
            case Active(previous_until=until):
                if not current and until is None:
                    message = "This secret was rotated and its time of grace has ended."
                    raise Refused(Code.EXPIRED_CREDENTIALS, message)
        return on_file.key.operator


def _refused() -> Refused:
    return Refused(Code.INVALID_CREDENTIALS, "The operator key is not valid.")
