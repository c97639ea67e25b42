"""Tokens: read once, strictly, and then those that are ours by our own keys, all others by their issuer's."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import final

from bailiwick.domain.access_tokens import TokenClaims
from bailiwick.domain.foreign_tokens import ForeignIdentity
from bailiwick.identity import jws
from bailiwick.services.credential_errors import refused_credentials
from bailiwick.services.entering import Target
from bailiwick.services.issuer_tokens import IssuerTokens, ProofNeeded
from bailiwick.services.recognized import Recognized
from bailiwick.services.user_tokens import UserTokens


@final
class Tokens:
    """Recognizes every token that a call may come with."""

    def __init__(self, own: UserTokens, foreign: IssuerTokens, *, public_url: str) -> None:
        """`public_url` is the issuer of our own."""
        self._own = own
        self._foreign = foreign
        self._issuer = public_url

    async def recognize(self, text: str, target: Target, now: datetime) -> Recognized:
        """Say whose token this is, and what it stands for where the call asks to be carried out; `now` is in UTC.

        Raises `Refused` (400, 401, 403) or `Unavailable`.
        """
        digest = hashlib.sha256(text.encode()).digest()
        if self._own.knows(digest):
            return await self._own.recall(digest, target, now)
        if self._foreign.knows(digest, target.slug):
            try:
                return await self._foreign.recall(digest, target, now)
            except ProofNeeded:
                pass
        token = _read(text)
        if token.claims.get("iss") == self._issuer:
            return await self._own.prove(token, digest, target, now)
        return await self._foreign.prove(token, digest, target, now)

    async def read_own(self, text: str, now: datetime) -> tuple[TokenClaims, Recognized]:
        """Say what one of our own tokens says, and whose it is; raises `Refused` (401) or `Unavailable`."""
        return await self._own.read(_read(text), now)

    async def read_foreign(self, text: str, slug: str, now: datetime) -> tuple[ForeignIdentity, Recognized]:
        """Say who somebody is by a token of an issuer that the project `slug` trusts, never by one of our own.

        Raises `Refused` (400, 401, 403) or `Unavailable`.
        """
        token = _read(text)
        if token.claims.get("iss") == self._issuer:
            raise refused_credentials()
        return await self._foreign.read(token, slug, now)


def _read(text: str) -> jws.Unverified:
    try:
        return jws.read(text)
    except jws.InvalidToken:
        raise refused_credentials() from None
