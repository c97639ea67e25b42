"""What every administrative act needs: ids, the time, and its entry in the audit log, in the act's own transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, final
from uuid import UUID

from bailiwick.domain.audit import Actor, Entry
from bailiwick.domain.ids import TenantId, uuid7
from bailiwick.storage import audit, repeats
from bailiwick.storage.scope import Scope

_SUFFIX_LETTERS: Final = "0123456789abcdefghijkmnpqrstuvwxyz"  # without l and o, which are read as digits
_SUFFIX_LENGTH: Final = 8


@final
class Acts:
    """Clock, randomness and audit, for the services that change something."""

    def __init__(self, *, now: Callable[[], datetime], entropy: Callable[[int], bytes], audit_key: bytes) -> None:
        """`now` is the wall clock in UTC; `entropy` gives so many bytes that nobody can guess.

        `audit_key` signs the heads of the audit log's chains.
        """
        self.now = now
        self.entropy = entropy
        self._audit_key = audit_key

    def new_id(self) -> UUID:
        """A new UUIDv7."""
        return uuid7(int(self.now().timestamp() * 1000), self.entropy(10))

    def slug_suffix(self) -> str:
        """Eight letters and digits, about 40 bits."""
        number = int.from_bytes(self.entropy(16), "big")
        letters = []
        for _ in range(_SUFFIX_LENGTH):
            number, place = divmod(number, len(_SUFFIX_LETTERS))
            letters.append(_SUFFIX_LETTERS[place])
        return "".join(letters)

    async def record(
        self,
        scope: Scope,
        actor: Actor,
        action: str,
        target: str,
        *,
        tenant_id: TenantId | None,
        detail: Mapping[str, object],
    ) -> None:
        """Write the act's audit entry; `detail` holds no secret.

        Raises `Refused` (409) if the act must be done once, and another request is doing it.
        """
        if actor.once is not None:
            await repeats.claim(scope, actor.once, tenant_id, self.now())
        entry = Entry(tenant_id=tenant_id, actor=actor, action=action, target=target, detail=detail)
        await audit.append(scope, self._audit_key, self.new_id(), entry, self.now())
