"""Recognizes tokens of trusted issuers: of those that a project trusts, and of the platform's.

Which project a call is for comes from its address, or from a claim that the issuer is said to write it in; nothing is
inferred. The issuer is found by its exact name, the key among that issuer's own. What a signature proves is remembered
until the token expires or the issuer's keys are read anew; everything else is asked at each call, in memory.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final, final

import msgspec

from bailiwick.domain.access_tokens import LEEWAY_SECONDS
from bailiwick.domain.foreign_tokens import ForeignIdentity, read_foreign
from bailiwick.domain.ids import ProjectId
from bailiwick.domain.permissions import CredentialKind
from bailiwick.domain.terms import ProjectTerms
from bailiwick.identity.jws import InvalidToken, PublicKey, Unverified
from bailiwick.services.credential_errors import expired_token, refused_credentials, told_alike
from bailiwick.services.entering import Entering, Target, fits, outsider
from bailiwick.services.issuer_keys import IssuerKeys
from bailiwick.services.project_grants import Named, ProjectGrants
from bailiwick.services.recognized import Recognized
from bailiwick.services.remembered import Remembered
from bailiwick.services.trusted_issuers import TrustedIssuers
from bailiwick.storage.credentials import Trust, TrustedIssuer

_TOKENS_KEPT: Final = 20_000

_Place = tuple[bytes, str | None]


@final
class ProofNeeded(Exception):
    """The issuer has changed, or its keys were read anew: the token has to be proven again."""


@final
class _Proven(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who somebody is by a token, whom it was read for, and the key that proved it.

    `named` holds of the token only what finds its key again.
    """

    identity: ForeignIdentity
    trust: Trust
    issuer: TrustedIssuer
    key: PublicKey
    named: Unverified


@final
class IssuerTokens:
    """Knows the tokens of trusted issuers. Belongs to one event loop."""

    def __init__(
        self,
        issuers: TrustedIssuers,
        projects: Remembered[ProjectId, ProjectTerms | None],
        entering: Entering,
        keys: IssuerKeys,
    ) -> None:
        """`projects` finds what projects say, `entering` what members enter."""
        self._issuers = issuers
        self._projects = projects
        self._entering = entering
        self._keys = keys
        self._proven: dict[_Place, _Proven] = {}
        self._grants = ProjectGrants(CredentialKind.ISSUER_TOKEN)

    def knows(self, digest: bytes, slug: str | None) -> bool:
        """Whether the token of this digest was proven at this address."""
        return (digest, slug) in self._proven

    async def recall(self, digest: bytes, target: Target, now: datetime) -> Recognized:
        """Say whose token it is that was proven before; raises `Refused` (400, 401, 403) or `Unavailable`."""
        slug = target.slug
        proven = self._proven[digest, slug]
        identity, issuer = proven.identity, proven.issuer
        if identity.expires_at + LEEWAY_SECONDS < now.timestamp():
            raise expired_token()
        found = await self._issuers.find(proven.trust)
        if found is not issuer and found != issuer:
            del self._proven[digest, slug]
            raise ProofNeeded
        try:
            key = await self._keys.choose(issuer.spec, proven.named)
        except InvalidToken:
            raise refused_credentials() from None
        if key is not proven.key:
            del self._proven[digest, slug]
            raise ProofNeeded
        return await self._recognized(proven, target)

    async def prove(self, token: Unverified, digest: bytes, target: Target, now: datetime) -> Recognized:
        """Say whose token this is; raises `Refused` (400, 401, 403) or `Unavailable`."""
        proven = await self._verified(token, target.slug, now)
        recognized = await self._recognized(proven, target)
        while len(self._proven) >= _TOKENS_KEPT:
            del self._proven[next(iter(self._proven))]
        self._proven[digest, target.slug] = proven
        return recognized

    async def read(self, token: Unverified, slug: str, now: datetime) -> tuple[ForeignIdentity, Recognized]:
        """Say the same of a project's token that calls nothing, and who it is by what it says; raises as `prove`.

        What is taken for a token of the platform's would outlive the membership that it goes by: it is refused.
        """
        proven = await self._verified(token, slug, now)
        if proven.issuer.project_id is None:
            raise outsider(proven.identity)
        return proven.identity, await self._recognized(proven, Target(slug=slug))

    async def _verified(self, token: Unverified, slug: str | None, now: datetime) -> _Proven:
        trust, issuer = await self._issuers.choose(token.claims, slug)
        with told_alike():
            identity = read_foreign(issuer.spec, token.header, token.claims, now.timestamp())
        try:
            key = await self._keys.choose(issuer.spec, token)
            key.verify(token)
        except InvalidToken:
            raise refused_credentials() from None
        named = replace(token, header={}, claims={}, signed=b"", signature=b"")
        return _Proven(identity=identity, trust=trust, issuer=issuer, key=key, named=named)

    async def _recognized(self, proven: _Proven, target: Target) -> Recognized:
        identity, issuer = proven.identity, proven.issuer
        if issuer.project_id is None:
            there = await self._entering.with_foreign(identity, target)
            grant = self._grants.of(
                there.terms,
                there.tier(identity.tier),
                there.role,
                identity.scopes,
                membership=there.membership.scopes,
            )
        else:
            own = await self._projects.get(issuer.project_id)
            if own is None or not fits(identity, own):
                raise refused_credentials()
            grant = self._grants.of(own, Named(identity.tier), Named(identity.role), identity.scopes)
        return Recognized(
            grant=grant,
            uid=identity.uid,
            sid=identity.sid,
            jti=identity.jti,
            issued_at=identity.issued_at,
        )
