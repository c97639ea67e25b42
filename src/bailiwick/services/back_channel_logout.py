"""Ends here what ended at a trusted issuer: a session, or all that a user had by then.

A project's own issuers do that, for the project alone. What they end, they end as of the moment of which their token
speaks: whoever sends it again ends nothing that was given since.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, final

from bailiwick.domain.errors import Code, Refused, Unavailable
from bailiwick.domain.ids import IssuerId, TenantId
from bailiwick.domain.logout_tokens import Logout, read_logout
from bailiwick.domain.oauth import OAuthError, RefusedGrant
from bailiwick.domain.revocations import RevocationKind
from bailiwick.identity import jws
from bailiwick.services.credential_errors import refused_credentials
from bailiwick.services.issuer_keys import IssuerKeys
from bailiwick.services.trusted_issuers import TrustedIssuers
from bailiwick.storage.taken_away import TakenAwayChanges

_DONE_KEPT: Final = 10_000
_RETRY_SECONDS: Final = 600


@final
class BackChannelLogout:
    """Takes logout tokens. Belongs to one event loop."""

    def __init__(
        self, issuers: TrustedIssuers, keys: IssuerKeys, changes: TakenAwayChanges, *, now: Callable[[], datetime]
    ) -> None:
        """`now` is the wall clock, in UTC."""
        self._issuers = issuers
        self._keys = keys
        self._changes = changes
        self._now = now
        # What was done lately: a token that is sent over and over costs nothing.
        self._done: dict[tuple[IssuerId, str], None] = {}

    async def take(self, text: str, slug: str) -> None:
        """End what a logout token says, in the project `slug`.

        Raises `RefusedGrant` (400), the same whatever is wrong with it; `Refused` (429) beyond what a project may; or
        `Unavailable`.
        """
        try:
            tenant_id, issuer_id, logout = await self._read(text, slug)
        except Unavailable:
            raise
        except (Refused, jws.InvalidToken):
            message = "The logout_token is not accepted."
            raise RefusedGrant(OAuthError.INVALID_REQUEST, message) from None
        done = (issuer_id, logout.jti)
        if done in self._done:
            return
        kind = RevocationKind.USER if logout.sid is None else RevocationKind.SESSION
        at = datetime.fromtimestamp(logout.issued_at, UTC)
        if not await self._changes.log_out(tenant_id, issuer_id, kind, logout.sid or logout.uid or "", at):
            message = "The project's issuers ended too much within an hour."
            raise Refused(Code.RATE_LIMITED, message, retry_after=_RETRY_SECONDS)
        while len(self._done) >= _DONE_KEPT:
            del self._done[next(iter(self._done))]
        self._done[done] = None

    async def _read(self, text: str, slug: str) -> tuple[TenantId, IssuerId, Logout]:
        token = jws.read(text)
        _, issuer = await self._issuers.choose(token.claims, slug)
        if issuer.tenant_id is None:
            raise refused_credentials()
        logout = read_logout(issuer.spec, token.header, token.claims, self._now().timestamp())
        (await self._keys.choose(issuer.spec, token)).verify(token)
        return issuer.tenant_id, issuer.id, logout
