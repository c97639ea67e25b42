"""Recognizes OAuth's clients, which are API keys: the key's id is the client's, the key its secret (RFC 6749 §2.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

import msgspec

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import KEY, shown
from bailiwick.domain.oauth import ClientSecret, OAuthError, RefusedGrant, invalid_client
from bailiwick.domain.permissions import CredentialKind, Permission
from bailiwick.domain.principal import Principal
from bailiwick.services.authentication import Presented
from bailiwick.services.pipeline import Pipeline
from bailiwick.storage.credentials import KeyOnFile
from bailiwick.telemetry.observer import Observation

_UNAUTHORIZED = 401
_FORBIDDEN = 403


@final
class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A client that was recognized: its id, whom it is as a caller, and what is stored of its key."""

    id: str
    principal: Principal
    key: KeyOnFile


@final
class Clients:
    """Knows them as the pipeline knows keys: with the same work, under the same rules."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    async def authenticate(
        self, secret: ClientSecret, presented: Presented, permissions: Iterable[Permission], seen: Observation
    ) -> Client:
        """Say which client it is that may use all `permissions`; `presented` is what else the call says.

        Raises `RefusedGrant`: 401, with one answer for all that is unknown, wrong or malformed; 400 for a client that
        is known and may not. Or `Unavailable`.
        """
        presented = msgspec.structs.replace(presented, credential=secret.secret)
        try:
            if "." in secret.secret:  # A token, and no token is a client.
                raise invalid_client()
            principal = await self._pipeline.authenticate(presented, None, seen)
            key_id = principal.grant.key_id
            if principal.grant.kind is not CredentialKind.API_KEY or key_id is None:
                raise invalid_client()
            client = Client(id=shown(KEY, key_id), principal=principal, key=await self._pipeline.key_on_file(presented))
            if client.id != secret.client_id:
                raise invalid_client()
            for permission in permissions:
                await self._pipeline.authenticate(presented, permission, seen)
        except Refused as refused:
            raise told(refused) from None
        return client

    async def bearer(self, presented: Presented, permission: Permission, seen: Observation) -> Principal:
        """Say whose key was presented as a bearer (RFC 6750) that holds `permission`.

        Raises `RefusedGrant` (401, 403) or `Unavailable`.
        """
        try:
            return await self._pipeline.authenticate(presented, permission, seen)
        except Refused as refused:
            if refused.status == _UNAUTHORIZED:
                raise RefusedGrant(OAuthError.INVALID_TOKEN, refused.message) from None
            if refused.status == _FORBIDDEN:
                raise RefusedGrant(OAuthError.INSUFFICIENT_SCOPE, refused.message) from None
            raise


def told(refused: Refused) -> Refused:
    """What OAuth calls it when a client is refused."""
    if isinstance(refused, RefusedGrant):
        return refused
    if refused.status == _UNAUTHORIZED:
        return invalid_client() if refused.code is Code.INVALID_CREDENTIALS else invalid_client(refused.message)
    if refused.status == _FORBIDDEN:
        return RefusedGrant(OAuthError.UNAUTHORIZED_CLIENT, refused.message)
    return refused
