"""Mints user tokens: for one end user of a project, signed here, good for minutes.

A token says what it may at most; what its key may then, is asked again at each of its calls. So whatever is taken from
a key is taken from all its tokens at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import final

import msgspec
from msgspec.structs import replace

from bailiwick.domain.access_tokens import TokenClaims
from bailiwick.domain.errors import Code, Refused, Unavailable
from bailiwick.domain.ids import KEY, PROJECT, ProjectId, TenantId, shown
from bailiwick.domain.minting import MintRequest, minted_scopes, minted_tier, new_session
from bailiwick.domain.permissions import Permission
from bailiwick.domain.principal import Principal
from bailiwick.identity.signing_keys import SigningKey
from bailiwick.services.signing import Signing


@final
class Minted(msgspec.Struct, frozen=True, kw_only=True):
    """A token and what its holder has to know; the answer of `POST /v1/auth/mint`. `expires_at` is Unix seconds."""

    token: str
    token_type: str
    ttl: int
    session_id: str
    expires_at: int
    project_id: str


@final
class Minting:
    """Signs tokens for keys."""

    def __init__(
        self, signing: Signing, *, public_url: str, now: Callable[[], datetime], new_id: Callable[[], str]
    ) -> None:
        """`public_url` is the issuer and the audience; `new_id` gives ids that nobody can guess."""
        self._signing = signing
        self._issuer = public_url
        self._now = now
        self._new_id = new_id

    async def mint(self, principal: Principal, request: MintRequest, *, key_tier: str | None) -> Minted:
        """Mint a token for the request's user; `principal` is the key, which may. Raises `Refused` (400, 403, 503)."""
        grant = principal.grant
        if grant.key_id is None:
            raise Unavailable(cause="only a key mints")
        client_id = shown(KEY, grant.key_id)
        now = self._now()
        claims = minted_claims(
            replace(request, tier=minted_tier(request.tier, key_tier)),
            issuer=self._issuer,
            at=now,
            tenant_id=grant.tenant_id,
            project_id=grant.project_id,
            client_id=client_id,
            held=grant.scopes,
            new_id=self._new_id,
        )
        return minted((await self._signing.ring()).signer(now), claims)


def minted_claims(
    request: MintRequest,
    *,
    issuer: str,
    at: datetime,
    tenant_id: TenantId,
    project_id: ProjectId,
    client_id: str,
    held: frozenset[Permission],
    orgs: tuple[str, ...] = (),
    new_id: Callable[[], str],
) -> TokenClaims:
    """What a token says that `client_id` mints, of what it has `held`; raises `Refused` (400, 403)."""
    if request.user_id == client_id:
        message = "user_id is the key's own id. A token for the key itself comes from /oauth/token."
        raise Refused(Code.INVALID_REQUEST, message, param="user_id")
    issued_at = int(at.timestamp())
    return TokenClaims(
        issuer=issuer,
        uid=request.user_id,
        issued_at=issued_at,
        expires_at=issued_at + request.ttl,
        jti=new_id(),
        tenant_id=tenant_id,
        project_id=project_id,
        sid=request.session_id or new_session(new_id()),
        client_id=client_id,
        scopes=minted_scopes(held, request.scopes),
        tier=request.tier,
        role=request.role,
        orgs=orgs,
    )


def minted(key: SigningKey, claims: TokenClaims) -> Minted:
    """Sign what a token says."""
    return Minted(
        token=key.sign(claims.written()),
        token_type="Bearer",  # noqa: S106 - RFC 6750
        ttl=claims.expires_at - claims.issued_at,
        session_id=claims.sid or "",
        expires_at=claims.expires_at,
        project_id=shown(PROJECT, claims.project_id),
    )
