"""Who is asking? From a presented credential and what the headers say to a `Principal`.

The same 401, with the same body and after the same work, for a key that is unknown, wrong or malformed. A key that was
right once is told so only to whoever still has its secret: expired or revoked. Identity is never taken from a body or
from a header that the credential does not allow.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, final

import msgspec

from bailiwick.domain.access_tokens import TokenClaims
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.foreign_tokens import ForeignIdentity
from bailiwick.domain.principal import Grant, Principal
from bailiwick.identity import api_keys
from bailiwick.services.callers import Caller, Recalled
from bailiwick.services.credential_errors import EndedCredential, refused_credentials
from bailiwick.services.entering import Target
from bailiwick.services.recognized import Recognized
from bailiwick.services.remembered import Remembered
from bailiwick.services.taken_away import TakenAwayKeeper
from bailiwick.services.tokens import Tokens
from bailiwick.storage.credentials import KeyOnFile

KEYS_KEPT: Final = 20_000


@final
class Presented(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a call brings along to say who it is.

    `credential` is the bearer's text, `address` finds the client's very address (None if that cannot be known), `slug`
    is the project in the address (None at `/v1`), `uid` and `sid` the values of `X-End-User-Id` and `X-Session-Id`,
    `organization` and `project` the ids that the headers name, None for none. What expires is judged as of `as_of`,
    None for now: whoever was let in then goes on, unless they were taken away since.
    """

    credential: str | None
    address: Callable[[], IPv4Address | IPv6Address | None]
    slug: str | None
    uid: str | None
    sid: str | None
    organization: str | None
    project: str | None
    as_of: datetime | None = None


@final
class Authentication:
    """Recognizes API keys, and asks for tokens."""

    def __init__(
        self,
        keys: Remembered[str, KeyOnFile | None],
        tokens: Tokens,
        taken_away: TakenAwayKeeper,
        *,
        pepper: bytes,
        now: Callable[[], datetime],
    ) -> None:
        """`keys` finds API keys by the part of them that is no secret; `now` is the wall clock, in UTC."""
        self._tokens = tokens
        self._taken_away = taken_away
        self._pepper = pepper
        self.now: Final = now
        # Texts whose secret was proven, and against which record: proof holds while that very record is current.
        self._proven: dict[str, KeyOnFile] = {}
        self._keys = keys

    async def authenticate(self, presented: Presented) -> Principal:
        """Say who calls; raises `Refused` (400, 401, 403) or `Unavailable`."""
        text = presented.credential
        if text is None:
            message = "No credential was sent. Use the header Authorization: Bearer <API key or token>."
            raise Refused(Code.MISSING_CREDENTIALS, message)
        now = presented.as_of or self.now()
        if "." in text:  # A key has none, and a token two.
            target = Target(slug=presented.slug, organization=presented.organization, project=presented.project)
            return await self._token_holder(await self._tokens.recognize(text, target, now), presented)
        on_file = await self._recognize(text, now)
        self._check_state(on_file, now)
        grant = on_file.grant
        self._check_place(grant, presented)
        uid = presented.uid
        blocked = False
        if uid is not None:
            known = self._taken_away.known(grant.project_id)
            blocked = uid in (await self._taken_away.read(grant) if known is None else known).blocked
        return Principal(
            grant=grant,
            uid=uid,
            sid=presented.sid,
            blocked=blocked,
            outside=grant.ip_allow is not None and _is_outside(grant.ip_allow, presented),
            organization=presented.organization,
            project=presented.project,
        )

    async def recognize(self, caller: Caller) -> Principal:
        """Say who calls, as `authenticate`; of whom that was said before, nothing is asked again that has not changed.

        What they may do was decided on this very principal, if `caller` has it recalled.
        """
        recalled = caller.recalled
        if recalled is not None and self._holds(recalled):
            return recalled.principal
        principal = await self.authenticate(caller.presented)
        caller.recalled = self._recallable(caller.presented, principal)
        return principal

    def _holds(self, recalled: Recalled) -> bool:
        """Whether nothing has changed of what a caller was recognized by."""
        if not self._keys.unchanged_since(recalled.epoch):
            return False
        if recalled.expires_at is not None and recalled.expires_at <= self.now():
            return False
        taken, principal = recalled.taken, recalled.principal
        return taken is None or (
            self._taken_away.is_current(taken, principal.grant.project_id) and principal.uid not in taken.blocked
        )

    def _recallable(self, presented: Presented, principal: Principal) -> Recalled | None:
        """What can be recalled of a caller: a key by its current secret, for a user who is not blocked; or None."""
        on_file = self._proven.get(presented.credential or "")
        if on_file is None or on_file.grant is not principal.grant or principal.blocked:
            return None
        taken = None if principal.uid is None else self._taken_away.known(principal.grant.project_id)
        if self._keys.at_hand(on_file.lookup_id) is not on_file or (principal.uid is not None and taken is None):
            return None
        return Recalled(principal, self._keys.epoch, on_file.expires_at, taken)

    async def key_on_file(self, presented: Presented) -> KeyOnFile:
        """What is stored of the presented key; raises `Refused` (401), also for what is no key."""
        return await self._recognize(presented.credential or "", self.now())

    async def read_own(self, text: str) -> tuple[TokenClaims, Grant, bool]:
        """Say what a token says that was minted here, what it stands for now, and whether its user is blocked.

        Raises `Refused` (401) for any other, and for one that has ended; or `Unavailable`.
        """
        claims, token = await self._tokens.read_own(text, self.now())
        return claims, token.grant, await self._check_not_taken(token)

    async def read_foreign(self, text: str, slug: str) -> tuple[ForeignIdentity, Grant, bool]:
        """Say the same of a token of an issuer that the project `slug` trusts.

        Raises `Refused` (400, 401, 403) for any other, and for one of our own; or `Unavailable`.
        """
        identity, token = await self._tokens.read_foreign(text, slug, self.now())
        return identity, token.grant, await self._check_not_taken(token)

    async def _token_holder(self, token: Recognized, presented: Presented) -> Principal:
        grant = token.grant
        self._check_place(grant, presented)
        blocked = await self._check_not_taken(token)
        return Principal(
            grant=grant,
            uid=token.uid,
            sid=token.sid,
            named_uid=presented.uid,
            named_sid=presented.sid,
            blocked=blocked,
            outside=grant.ip_allow is not None and _is_outside(grant.ip_allow, presented),
            organization=presented.organization,
            project=presented.project,
        )

    async def _check_not_taken(self, token: Recognized) -> bool:
        """Raise `Refused` (401) for a token that was taken away; returns whether its user is blocked."""
        if token.home is not None:
            await self._check_not_taken_in(token.home, token)
        return await self._check_not_taken_in(token.grant, token)

    async def _check_not_taken_in(self, grant: Grant, token: Recognized) -> bool:
        taken = self._taken_away.known(grant.project_id)
        if taken is None:
            taken = await self._taken_away.read(grant)
        if taken.has_token(
            jti=token.jti, sid=token.sid, uid=token.uid, issued_at=token.issued_at, source_jti=token.source_jti
        ):
            raise EndedCredential(Code.REVOKED_CREDENTIALS, "The token was revoked.", grant)
        return token.uid in taken.blocked

    def _check_place(self, grant: Grant, presented: Presented) -> None:
        if presented.slug is not None and presented.slug != grant.project_slug:
            raise refused_credentials()

    async def _recognize(self, text: str, now: datetime) -> KeyOnFile:
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
            if len(self._proven) >= KEYS_KEPT:
                self._proven.clear()
            self._proven[text] = on_file
        elif api_keys.matches(self._pepper, key, on_file.previous_digest):
            self._check_grace(on_file, now)
        else:
            raise refused_credentials()
        return on_file

    def _check_state(self, on_file: KeyOnFile, now: datetime) -> None:
        if on_file.revoked_at is not None:
            raise EndedCredential(Code.REVOKED_CREDENTIALS, "The API key was revoked.", on_file.grant)
        if on_file.expires_at is not None and on_file.expires_at <= now:
            raise EndedCredential(Code.EXPIRED_CREDENTIALS, "The API key has expired.", on_file.grant)

    def _check_grace(self, on_file: KeyOnFile, now: datetime) -> None:
        if on_file.revoked_at is None and (on_file.previous_until is None or on_file.previous_until <= now):
            message = "This secret was rotated and its time of grace has ended."
            raise EndedCredential(Code.EXPIRED_CREDENTIALS, message, on_file.grant)


def _is_outside(networks: tuple[IPv4Network | IPv6Network, ...], presented: Presented) -> bool:
    address = presented.address()
    return address is None or not any(address in network for network in networks)
