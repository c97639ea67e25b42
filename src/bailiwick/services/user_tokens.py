"""Recognizes user tokens that were minted here.

What a signature proves is remembered until the token expires, by the token's digest. Everything that can change is
asked anew at each call, in memory: whether the key that minted it lives and what it holds, what the project says, what
was taken away. Revocation never goes by the token's text, which has more than one spelling.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Final, final

import msgspec

from bailiwick.domain.access_tokens import LEEWAY_SECONDS, IssuedFor, TokenClaims, read_own
from bailiwick.domain.confinement import THE_KEY, confining
from bailiwick.domain.errors import Code
from bailiwick.domain.ids import KEY, OPERATOR_KEY, OperatorKeyId, parsed
from bailiwick.domain.permissions import FOR_KEYS_ALONE, CredentialKind, Permission
from bailiwick.domain.principal import Grant
from bailiwick.domain.roles import role_of_token
from bailiwick.identity.jws import InvalidToken, Unverified
from bailiwick.services.credential_errors import EndedCredential, expired_token, refused_credentials, told_alike
from bailiwick.services.entering import Target
from bailiwick.services.operator_tokens import OperatorTokens
from bailiwick.services.project_grants import THE_TOKEN, Named, resolution
from bailiwick.services.recognized import Recognized
from bailiwick.services.remembered import Remembered
from bailiwick.services.signing import Signing
from bailiwick.services.trusted_issuers import TrustedIssuers
from bailiwick.storage.credentials import KeyOnFile

TOKENS_KEPT: Final = 20_000
_GRANTS_KEPT: Final = 20_000

_HOME: Final = Target(slug=None)

_Grantee = tuple[str, CredentialKind, str | None, str | None, frozenset[Permission]]


@final
class _Proven(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a token says, and by which signing key's id that was proven; minted with `key`, or with an operator's."""

    claims: TokenClaims
    kid: str
    key: str | None
    operator_key: OperatorKeyId | None


@final
class UserTokens:
    """Knows the tokens of this installation. Belongs to one event loop."""

    def __init__(
        self,
        keys: Remembered[str, KeyOnFile | None],
        operators: OperatorTokens,
        issuers: TrustedIssuers,
        signing: Signing,
        *,
        public_url: str,
    ) -> None:
        """`keys` finds API keys by their ids; `public_url` is our own."""
        self._keys = keys
        self._operators = operators
        self._issuers = issuers
        self._signing = signing
        self._issuer = public_url
        self._proven: dict[bytes, _Proven] = {}
        self._grants: dict[_Grantee, tuple[KeyOnFile, Grant]] = {}

    def knows(self, digest: bytes) -> bool:
        """Whether the token of this digest was proven."""
        return digest in self._proven

    async def recall(self, digest: bytes, target: Target, now: datetime) -> Recognized:
        """Say whose token it is that was proven before; raises `Refused` (400, 401, 403) or `Unavailable`."""
        proven = self._proven[digest]
        if proven.claims.expires_at + LEEWAY_SECONDS < now.timestamp():
            raise expired_token()
        if proven.kid not in (await self._signing.ring()).kids:
            raise refused_credentials()
        return await self._recognized(proven, target, now)

    async def prove(self, token: Unverified, digest: bytes, target: Target, now: datetime) -> Recognized:
        """Say whose token this is, which says that it is ours; raises `Refused` (400, 401, 403) or `Unavailable`."""
        proven = await self._verified(token, now)
        while len(self._proven) >= TOKENS_KEPT:
            del self._proven[next(iter(self._proven))]
        self._proven[digest] = proven
        return await self._recognized(proven, target, now)

    async def read(self, token: Unverified, now: datetime) -> tuple[TokenClaims, Recognized]:
        """Say the same of a token that calls nothing, and what it says; raises as `prove`."""
        proven = await self._verified(token, now)
        return proven.claims, await self._recognized(proven, _HOME, now)

    async def _verified(self, token: Unverified, now: datetime) -> _Proven:
        try:
            if token.kid is None:
                raise refused_credentials()
            (await self._signing.ring()).public.choose(token.kid, token.alg).verify(token)
        except InvalidToken:
            raise refused_credentials() from None
        with told_alike():
            claims = read_own(token.header, token.claims, issuer=self._issuer, now=now.timestamp())
        key, operator_key = parsed(KEY, claims.client_id), parsed(OPERATOR_KEY, claims.client_id)
        if key is None and operator_key is None:
            raise refused_credentials()
        return _Proven(
            claims=claims,
            kid=token.kid,
            key=None if key is None else str(key),
            operator_key=None if operator_key is None else OperatorKeyId(operator_key),
        )

    async def _recognized(self, proven: _Proven, target: Target, now: datetime) -> Recognized:
        claims = proven.claims
        if proven.key is not None:
            grant = home = await self._granted_by_key(proven.key, claims, now)
        elif proven.operator_key is not None:
            grant, home = await self._operators.grants(claims, proven.operator_key, target, now)
        else:
            raise refused_credentials()
        source = claims.source
        if source is not None and not await self._issuers.trusts(claims.project_id, source.issuer):
            message = "The issuer of the token that this one was exchanged for is trusted no more."
            raise EndedCredential(Code.REVOKED_CREDENTIALS, message, grant)
        return Recognized(
            grant=grant,
            home=None if home is grant else home,
            uid=claims.uid,
            sid=claims.sid,
            jti=claims.jti,
            issued_at=claims.issued_at if source is None else source.issued_at,
            source_jti=None if source is None else source.jti,
        )

    async def _granted_by_key(self, key: str, claims: TokenClaims, now: datetime) -> Grant:
        on_file = await self._keys.get(key)
        if on_file is None or on_file.terms.project_id != claims.project_id:
            raise refused_credentials()
        if on_file.revoked_at is not None:
            message = "The key that minted this token was revoked."
            raise EndedCredential(Code.REVOKED_CREDENTIALS, message, on_file.grant)
        if on_file.expires_at is not None and on_file.expires_at <= now:
            message = "The key that minted this token has expired."
            raise EndedCredential(Code.EXPIRED_CREDENTIALS, message, on_file.grant)
        return self._grant(on_file, claims)

    def _grant(self, on_file: KeyOnFile, claims: TokenClaims) -> Grant:
        """What a token stands for: what it says, within what its key holds now."""
        for_machine = claims.issued_for is IssuedFor.MACHINE
        kind = CredentialKind.MACHINE if for_machine else CredentialKind.USER_TOKEN
        known = (on_file.lookup_id, kind, claims.tier, claims.role, claims.scopes)
        kept = self._grants.get(known)
        if kept is not None and kept[0] is on_file:
            return kept[1]
        terms, role = on_file.terms.under(claims.tier), role_of_token(claims.role, on_file.terms.roles)
        said = ((THE_KEY, on_file.grant.scopes), (THE_TOKEN, claims.scopes), role.said)
        grant = replace(
            on_file.grant,
            kind=kind,
            scopes=(claims.scopes & on_file.grant.scopes & role.permissions) - FOR_KEYS_ALONE,
            limits=terms.limits,
            tier=terms.tier,
            role=role.name,
            resolution=resolution(terms, Named(claims.tier), Named(claims.role), said),
            confinements=on_file.confinements + terms.confinements + confining(role.confinement),
            max_output_tokens=terms.max_output_tokens,
            budgets=terms.budgets,
        )
        while len(self._grants) >= _GRANTS_KEPT:
            del self._grants[next(iter(self._grants))]
        self._grants[known] = (on_file, grant)
        return grant
