"""Grants access tokens to clients, which are API keys (RFC 6749 §4.4, RFC 8693).

A machine's token says that the key itself calls: its `sub` and its `uid` are the key's id, the same for all its tokens
and after each rotation. It is the key's own work done with something that expires, so it takes no permission of its
own; what it holds is never more than the key does, it never outlives it, and it ends when the key is taken away.

A token of a trusted issuer is exchanged for one of our own, for the same user. That one is no wider and no longer than
both the token that it is given for and the key; it says where it comes from, and ends with that: when the issuer is
trusted no more, and when the token, its session or its user is revoked. Our own tokens are never exchanged, so none
lives on by it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime
from typing import Final, final

import msgspec

from bailiwick.domain.access_tokens import Source, TokenClaims
from bailiwick.domain.errors import Refused, Unavailable
from bailiwick.domain.foreign_tokens import ForeignIdentity
from bailiwick.domain.minting import minted_tier, new_session
from bailiwick.domain.oauth import Exchange, OAuthError, RefusedGrant, granted_scopes
from bailiwick.domain.principal import Grant
from bailiwick.services.authentication import Authentication
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
    issued_token_type: str | None = None


@final
class Granting:
    """Signs tokens for clients."""

    def __init__(
        self,
        authentication: Authentication,
        signing: Signing,
        *,
        public_url: str,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        """`public_url` is the issuer and the audience; `new_id` gives ids that nobody can guess."""
        self._authentication = authentication
        self._signing = signing
        self._issuer = public_url
        self._now = now
        self._new_id = new_id

    async def to_machine(self, client: Client, *, asked: str | None) -> Granted:
        """Grant a client a token of its own, with the scopes `asked`; raises `RefusedGrant` (400) or `Unavailable`."""
        now, grant = self._now(), client.principal.grant
        issued_at = int(now.timestamp())
        claims = TokenClaims(
            issuer=self._issuer,
            uid=client.id,
            issued_at=issued_at,
            expires_at=_end(issued_at, client),
            jti=self._new_id(),
            tenant_id=grant.tenant_id,
            project_id=grant.project_id,
            sid=None,
            client_id=client.id,
            scopes=granted_scopes(grant.scopes, asked),
            tier=client.key.tier,
        )
        return await self._signed(claims, now)

    async def in_exchange(self, client: Client, exchange: Exchange, *, asked: str | None) -> Granted:
        """Grant a client a token for the user whose token of a trusted issuer it has, with the scopes `asked`.

        Raises `RefusedGrant` (400) or `Unavailable`.
        """
        identity, theirs = await self._subject(client, exchange.subject_token)
        now, grant = self._now(), client.principal.grant
        issued_at = int(now.timestamp())
        if identity.expires_at <= issued_at:
            raise _unacceptable("It has expired.")
        try:
            tier = minted_tier(identity.tier, client.key.tier)
        except Refused as refused:
            raise _unacceptable(refused.message) from None
        claims = TokenClaims(
            issuer=self._issuer,
            uid=identity.uid,
            issued_at=issued_at,
            expires_at=min(_end(issued_at, client), identity.expires_at),
            jti=self._new_id(),
            tenant_id=grant.tenant_id,
            project_id=grant.project_id,
            sid=identity.sid or new_session(self._new_id()),
            client_id=client.id,
            scopes=granted_scopes(grant.scopes, asked, at_most=theirs.scopes),
            tier=tier,
            role=identity.role,
            source=Source(issuer=identity.issuer, issued_at=identity.issued_at, jti=identity.jti),
        )
        return await self._signed(claims, now, exchange.issued_token_type)

    async def _subject(self, client: Client, text: str) -> tuple[ForeignIdentity, Grant]:
        """Who a foreign token is of, in the client's project, and what it stands for."""
        grant = client.principal.grant
        try:
            identity, theirs, blocked = await self._authentication.read_foreign(text, grant.project_slug)
        except Unavailable:
            raise
        except Refused as refused:
            raise _unacceptable(refused.message) from None
        if theirs.project_id != grant.project_id or identity.uid == client.id:
            raise _unacceptable("It is of nobody whom this client may speak for.")
        if blocked:
            raise _unacceptable("Its user is blocked in this project.")
        return identity, theirs

    async def _signed(self, claims: TokenClaims, now: datetime, issued_token_type: str | None = None) -> Granted:
        key = (await self._signing.ring()).signer(now)
        return Granted(
            access_token=key.sign(claims.written()),
            token_type="Bearer",  # noqa: S106 - RFC 6750
            expires_in=claims.expires_at - claims.issued_at,
            scope=" ".join(sorted(claims.scopes)),
            issued_token_type=issued_token_type,
        )


def _end(issued_at: int, client: Client) -> int:
    """Until when a token may be good, in Unix seconds: never longer than its key."""
    end = issued_at + LIFETIME_SECONDS
    ends = client.key.expires_at
    return end if ends is None else min(end, math.ceil(ends.timestamp()))


def _unacceptable(why: str) -> RefusedGrant:
    """The answer to a subject token that is none (RFC 8693 §2.2.2)."""
    return RefusedGrant(OAuthError.INVALID_REQUEST, f"The subject_token is not accepted. {why}")
