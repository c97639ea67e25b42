"""Grants access tokens to clients, which are API keys (RFC 6749 §4.4).

A machine's token says that the key itself calls: its `sub` and its `uid` are the key's id, the same for all its tokens
and after each rotation. It is the key's own work done with something that expires, so it takes no permission of its
own; what it holds is never more than the key does, it never outlives it, and it ends when the key is taken away.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Final, final

import msgspec

from bailiwick.domain.access_tokens import TokenClaims
from bailiwick.domain.oauth import granted_scopes
from bailiwick.services.clients import Client
from bailiwick.services.signing import Signing

LIFETIME_SECONDS: Final = 900


@final
class Granted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An access token response (RFC 6749 §5.1); `expires_in` is in seconds."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


@final
class Granting:
    """Signs tokens for clients."""

    def __init__(
        self, signing: Signing, *, public_url: str, now: Callable[[], datetime], new_id: Callable[[], str]
    ) -> None:
        """`public_url` is the issuer and the audience; `new_id` gives ids that nobody can guess."""
        self._signing = signing
        self._issuer = public_url
        self._now = now
        self._new_id = new_id

    async def to_machine(self, client: Client, *, asked: str | None) -> Granted:
        """Grant a client a token of its own, with the scopes `asked`; raises `RefusedGrant` (400) or `Unavailable`."""
        now, grant = self._now(), client.principal.grant
        issued_at = int(now.timestamp())
        expires_at = issued_at + LIFETIME_SECONDS
        if client.key.expires_at is not None:
            expires_at = min(expires_at, math.ceil(client.key.expires_at.timestamp()))
        claims = TokenClaims(
            issuer=self._issuer,
            uid=client.id,
            issued_at=issued_at,
            expires_at=expires_at,
            jti=self._new_id(),
            tenant_id=grant.tenant_id,
            project_id=grant.project_id,
            sid=None,
            client_id=client.id,
            scopes=granted_scopes(grant.scopes, asked),
            tier=client.key.tier,
        )
        return await self._signed(claims, now)

    async def _signed(self, claims: TokenClaims, now: datetime) -> Granted:
        key = (await self._signing.ring()).signer(now)
        return Granted(
            access_token=key.sign(claims.written()),
            token_type="Bearer",  # noqa: S106 - RFC 6750
            expires_in=claims.expires_at - claims.issued_at,
            scope=" ".join(sorted(claims.scopes)),
        )
