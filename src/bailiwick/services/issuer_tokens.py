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
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.foreign_tokens import ForeignIdentity, read_foreign
from bailiwick.domain.ids import PROJECT, TENANT, ProjectId, shown
from bailiwick.domain.permissions import CredentialKind
from bailiwick.domain.terms import ProjectTerms
from bailiwick.identity.jws import InvalidToken, PublicKey, Unverified
from bailiwick.services.credential_errors import expired_token, refused_credentials, told_alike
from bailiwick.services.issuer_keys import IssuerKeys
from bailiwick.services.project_grants import ProjectGrants
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
        keys: IssuerKeys,
    ) -> None:
        """`projects` finds what projects say."""
        self._issuers = issuers
        self._projects = projects
        self._keys = keys
        self._proven: dict[_Place, _Proven] = {}
        self._grants = ProjectGrants(CredentialKind.ISSUER_TOKEN)

    def knows(self, digest: bytes, slug: str | None) -> bool:
        """Whether the token of this digest was proven at this address."""
        return (digest, slug) in self._proven

    async def recall(self, digest: bytes, slug: str | None, now: datetime) -> Recognized:
        """Say whose token it is that was proven before; raises `Refused` (401, 403) or `Unavailable`."""
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
        return await self._recognized(proven)

    async def prove(self, token: Unverified, digest: bytes, slug: str | None, now: datetime) -> Recognized:
        """Say whose token this is; raises `Refused` (400, 401, 403) or `Unavailable`."""
        proven = await self._verified(token, slug, now)
        recognized = await self._recognized(proven)
        while len(self._proven) >= _TOKENS_KEPT:
            del self._proven[next(iter(self._proven))]
        self._proven[digest, slug] = proven
        return recognized

    async def read(self, token: Unverified, slug: str, now: datetime) -> tuple[ForeignIdentity, Recognized]:
        """Say the same of a token that calls nothing, and who it is by what it says; raises as `prove`."""
        proven = await self._verified(token, slug, now)
        return proven.identity, await self._recognized(proven)

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

    async def _recognized(self, proven: _Proven) -> Recognized:
        identity, issuer = proven.identity, proven.issuer
        if issuer.project_id is None:
            # Of the platform's issuers only members of a tenant enter it, and nobody is a member of any yet.
            raise Refused(Code.NOT_A_MEMBER, "The credential does not belong to this organization.")
        terms = await self._projects.get(issuer.project_id)
        if terms is None or not _fits(identity, terms):
            raise refused_credentials()
        return Recognized(
            grant=self._grants.of(terms, identity.tier, identity.scopes),
            uid=identity.uid,
            sid=identity.sid,
            jti=identity.jti,
            issued_at=identity.issued_at,
        )


def _fits(identity: ForeignIdentity, terms: ProjectTerms) -> bool:
    """Whether tenant and project, where the token says them, are those that it is used in."""
    tenant, project = identity.tenant, identity.project
    return (tenant is None or tenant in (terms.tenant_slug, shown(TENANT, terms.tenant_id))) and (
        project is None or project in (terms.slug, shown(PROJECT, terms.project_id))
    )
