"""Recognizes user tokens that were minted here.

What a signature proves is remembered until the token expires, by the token's digest. Everything that can change is
asked anew at each call, in memory: whether the key that minted it lives and what it holds, what the project says, what
was taken away. Revocation never goes by the token's text, which has more than one spelling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final, final

import msgspec

from bailiwick.domain.access_tokens import LEEWAY_SECONDS, RefusedToken, TokenClaims, read_own
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import KEY, parsed
from bailiwick.domain.permissions import FOR_KEYS_ALONE, CredentialKind, Permission
from bailiwick.domain.principal import Grant
from bailiwick.identity import jws
from bailiwick.services.credential_errors import EndedCredential, refused_credentials
from bailiwick.services.remembered import Remembered
from bailiwick.services.signing import Signing
from bailiwick.storage.credentials import KeyOnFile

_TOKENS_KEPT: Final = 20_000
_GRANTS_KEPT: Final = 20_000


@final
class Recognized(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whose token it is. `issued_at` is Unix seconds."""

    grant: Grant
    uid: str | None
    sid: str | None
    jti: str
    issued_at: float


@final
class _Proven(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a token says, and by which key's id that was proven."""

    claims: TokenClaims
    kid: str
    key: str


@final
class UserTokens:
    """Knows the tokens of this installation. Belongs to one event loop."""

    def __init__(
        self,
        keys: Remembered[str, KeyOnFile | None],
        signing: Signing,
        *,
        public_url: str,
        now: Callable[[], datetime],
    ) -> None:
        """`keys` finds API keys by their ids; `public_url` is the issuer; `now` is the wall clock, in UTC."""
        self._keys = keys
        self._signing = signing
        self._issuer = public_url
        self._now = now
        self._proven: dict[bytes, _Proven] = {}
        self._grants: dict[tuple[str, str | None, frozenset[Permission]], tuple[KeyOnFile, Grant]] = {}

    async def recognize(self, text: str) -> Recognized:
        """Say whose token this is; raises `Refused` (401) or `Unavailable`."""
        digest = hashlib.sha256(text.encode()).digest()
        proven = self._proven.get(digest)
        if proven is None:
            proven = await self._prove(text, digest)
        elif proven.claims.expires_at + LEEWAY_SECONDS < self._now().timestamp():
            raise _expired()
        elif proven.kid not in (await self._signing.ring()).kids:
            raise refused_credentials()
        on_file = await self._keys.get(proven.key)
        claims = proven.claims
        if on_file is None or on_file.terms.project_id != claims.project_id:
            raise refused_credentials()
        if on_file.revoked_at is not None:
            message = "The key that minted this token was revoked."
            raise EndedCredential(Code.REVOKED_CREDENTIALS, message, on_file.grant)
        if on_file.expires_at is not None and on_file.expires_at <= self._now():
            message = "The key that minted this token has expired."
            raise EndedCredential(Code.EXPIRED_CREDENTIALS, message, on_file.grant)
        return Recognized(
            grant=self._grant(on_file, claims),
            uid=claims.uid,
            sid=claims.sid,
            jti=claims.jti,
            issued_at=claims.issued_at,
        )

    async def _prove(self, text: str, digest: bytes) -> _Proven:
        try:
            token = jws.read(text)
            if token.claims.get("iss") != self._issuer or token.kid is None:
                raise refused_credentials()
            ring = await self._signing.ring()
            ring.public.choose(token.kid, token.alg).verify(token)
        except jws.InvalidToken:
            raise refused_credentials() from None
        try:
            claims = read_own(token.header, token.claims, issuer=self._issuer, now=self._now().timestamp())
        except RefusedToken as refused:
            raise refused if refused.code is Code.EXPIRED_CREDENTIALS else refused_credentials() from refused
        key = parsed(KEY, claims.client_id)
        if key is None:
            raise refused_credentials()
        proven = _Proven(claims=claims, kid=token.kid, key=str(key))
        while len(self._proven) >= _TOKENS_KEPT:
            del self._proven[next(iter(self._proven))]
        self._proven[digest] = proven
        return proven

    def _grant(self, on_file: KeyOnFile, claims: TokenClaims) -> Grant:
        """What a token stands for: what it says, within what its key holds now."""
        known = (on_file.lookup_id, claims.tier, claims.scopes)
        kept = self._grants.get(known)
        if kept is not None and kept[0] is on_file:
            return kept[1]
        terms = on_file.terms.under(claims.tier)
        grant = replace(
            on_file.grant,
            kind=CredentialKind.USER_TOKEN,
            scopes=(claims.scopes & on_file.grant.scopes) - FOR_KEYS_ALONE,
            limits=terms.limits,
            tier=terms.tier,
            tier_models=terms.models,
        )
        while len(self._grants) >= _GRANTS_KEPT:
            del self._grants[next(iter(self._grants))]
        self._grants[known] = (on_file, grant)
        return grant


def _expired() -> Refused:
    return Refused(Code.EXPIRED_CREDENTIALS, "The token has expired.")
