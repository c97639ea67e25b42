"""Who is asking? From a presented credential and what the headers say to a `Principal`.

The same 401, with the same body and after the same work, for a key that is unknown, wrong or malformed. A key that was
right once is told so only to whoever still has its secret: expired or revoked. Identity is never taken from a body or
from a header that the credential does not allow.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final, final

import msgspec

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.principal import Grant, Principal
from bailiwick.identity import api_keys
from bailiwick.services.blocked_users import BlockedUsers
from bailiwick.services.remembered import Remembered
from bailiwick.storage.credentials import CredentialLookup, KeyOnFile
from bailiwick.storage.epoch import Epoch

_KEYS_KEPT: Final = 20_000


@final
class Presented(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a call brings along to say who it is.

    `credential` is the bearer's text, `slug` the project in the address (None at `/v1`), `uid` and `sid` the values of
    `X-End-User-Id` and `X-Session-Id`, `organization` and `project` the ids that the headers name, None for none.
    """

    credential: str | None
    slug: str | None
    uid: str | None
    sid: str | None
    organization: str | None
    project: str | None


@final
class EndedCredential(Refused):
    """Refused to whoever has the secret of a key that has ended; `grant` is what it stood for."""

    def __init__(self, code: Code, message: str, grant: Grant) -> None:
        super().__init__(code, message)
        self.grant = grant


def refused_credentials() -> Refused:
    """The one answer to unknown, wrong and malformed credentials."""
    return Refused(Code.INVALID_CREDENTIALS, "The API key is not valid.")


@final
class Authentication:
    """Recognizes API keys."""

    def __init__(
        self,
        lookup: CredentialLookup,
        epoch: Epoch,
        blocked: BlockedUsers,
        *,
        pepper: bytes,
        now: Callable[[], datetime],
    ) -> None:
        """`now` is the wall clock, in UTC."""
        self._blocked = blocked
        self._pepper = pepper
        self._now = now
        # Texts whose secret was proven, and against which record: proof holds while that very record is current.
        self._proven: dict[str, KeyOnFile] = {}
        self._keys: Remembered[str, KeyOnFile | None] = Remembered(lookup.find_key, epoch, capacity=_KEYS_KEPT)

    async def authenticate(self, presented: Presented) -> Principal:
        """Say who calls; raises `Refused` (401) or `Unavailable`."""
        if presented.credential is None:
            message = "No credential was sent. Use the header Authorization: Bearer <API key>."
            raise Refused(Code.MISSING_CREDENTIALS, message)
        on_file = await self._recognize(presented.credential)
        self._check_state(on_file)
        if presented.slug is not None and presented.slug != on_file.grant.project_slug:
            raise refused_credentials()
        uid, grant = presented.uid, on_file.grant
        blocked = False
        if uid is not None:
            known = self._blocked.known(grant.project_id)
            blocked = uid in (await self._blocked.read(grant) if known is None else known)
        return Principal(
            grant=grant,
            uid=uid,
            sid=presented.sid,
            blocked=blocked,
            organization=presented.organization,
            project=presented.project,
        )

    async def _recognize(self, text: str) -> KeyOnFile:
        """Find the key that this text is, by its secret; raises `Refused` (401) if it is none."""
        proven = self._proven.get(text)
        if proven is not None and await self._keys.get(proven.lookup_id) is proven:
            return proven
        key = api_keys.parse(text)
        if key is None or key.kind != api_keys.PROJECT_KEY:
            raise refused_credentials()
        on_file = await self._keys.get(key.lookup_id)
        if on_file is None:
            api_keys.matches(self._pepper, key)  # The time of a wrong secret.
            raise refused_credentials()
        if api_keys.matches(self._pepper, key, on_file.digest):
            # Only the current secret is remembered: one that was rotated away has an end of its own.
            if len(self._proven) >= _KEYS_KEPT:
                self._proven.clear()
            self._proven[text] = on_file
        elif api_keys.matches(self._pepper, key, on_file.previous_digest):
            self._check_grace(on_file)
        else:
            raise refused_credentials()
        return on_file

    def _check_state(self, on_file: KeyOnFile) -> None:
        if on_file.revoked_at is not None:
            raise EndedCredential(Code.REVOKED_CREDENTIALS, "The API key was revoked.", on_file.grant)
        if on_file.expires_at is not None and on_file.expires_at <= self._now():
            raise EndedCredential(Code.EXPIRED_CREDENTIALS, "The API key has expired.", on_file.grant)

    def _check_grace(self, on_file: KeyOnFile) -> None:
        if on_file.revoked_at is None and (on_file.previous_until is None or on_file.previous_until <= self._now()):
            message = "This secret was rotated and its time of grace has ended."
            raise EndedCredential(Code.EXPIRED_CREDENTIALS, message, on_file.grant)
