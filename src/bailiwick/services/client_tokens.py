"""What clients ask of tokens that were minted here: is one good (RFC 7662), and that one be taken away (RFC 7009).

What may not be told is told like what does not exist: a token that is foreign, has ended, was taken away or is of
another project is not active, and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, final

from bailiwick.domain.errors import Code, Refused, Unavailable
from bailiwick.domain.ids import ProjectId
from bailiwick.domain.oauth import OAuthError, RefusedGrant
from bailiwick.services.authentication import Authentication
from bailiwick.services.clients import Client
from bailiwick.storage.taken_away import TakenAwayChanges

_INACTIVE: Final[Mapping[str, Any]] = {"active": False}
_RETRY_SECONDS: Final = 600


@final
class ClientTokens:
    """Judges and takes away. Belongs to one event loop."""

    def __init__(
        self, authentication: Authentication, changes: TakenAwayChanges, *, now: Callable[[], datetime]
    ) -> None:
        """`now` is the wall clock, in UTC."""
        self._authentication = authentication
        self._changes = changes
        self._now = now

    async def introspect(self, text: str, project_id: ProjectId) -> Mapping[str, Any]:
        """Say what a token of this project is good for now; raises `Unavailable`."""
        try:
            claims, grant, blocked = await self._authentication.read_own(text)
        except Unavailable:
            raise
        except Refused:
            return _INACTIVE
        if blocked or grant.project_id != project_id or claims.expires_at <= self._now().timestamp():
            return _INACTIVE
        # A token may what it says as far as its key does.
        scope = " ".join(sorted(claims.scopes & grant.scopes))
        return {"active": True, "token_type": "Bearer", **claims.written(), "scope": scope}

    async def revoke(self, client: Client, text: str) -> None:
        """Take a token away that this client minted; nothing happens to what is no good anyway.

        Raises `RefusedGrant` (400) for another client's token, `Refused` (429) beyond what a project may; or
        `Unavailable`.
        """
        try:
            claims, grant, _ = await self._authentication.read_own(text)
        except Unavailable:
            raise
        except Refused:
            return
        if claims.client_id != client.id or grant.key_id is None:
            message = "The token was issued to another client."
            raise RefusedGrant(OAuthError.UNAUTHORIZED_CLIENT, message)
        if not await self._changes.revoke_token(grant.tenant_id, grant.key_id, claims.jti):
            message = "The project's clients took too many tokens away within an hour."
            raise Refused(Code.RATE_LIMITED, message, retry_after=_RETRY_SECONDS)
