"""The second factor: codes of an authenticator application, and recovery codes for when it is lost.

A secret is proposed first and kept only when a code of it came back, so that nobody locks themselves out. It is sealed
for its person's row. Recovery codes are shown once; of each there is an HMAC, which goes with its use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, final
from uuid import UUID

import msgspec

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.operators import Person
from bailiwick.domain.sign_in import Browser, Session, SignInMethod
from bailiwick.identity import totp
from bailiwick.identity.sealed_values import SealedValues
from bailiwick.identity.sealing import CannotOpen, seal, second_factor_row_identity, unseal
from bailiwick.limiting.sign_in_delays import Delays, TooSoon
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.own_password import OwnPassword, locked
from bailiwick.services.too_soon import too_soon
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.sign_in import PersonSecrets

ISSUER: Final = "Bailiwick"
_PROPOSAL: Final = "authenticator"
_PROPOSAL_LIFETIME: Final = timedelta(minutes=30)
_NONCE: Final = 12


@final
class _Proposed(msgspec.Struct, frozen=True, kw_only=True):
    """A secret that is not yet anybody's."""

    operator: UUID
    secret: str
    at: datetime


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Proposal:
    """A secret for an authenticator: to type, as the `otpauth://` address, and as what comes back with a code."""

    secret: str
    address: str
    sealed: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a person signs in, and how many recovery codes they have left."""

    has_password: bool
    has_codes: bool
    recovery_codes: int


@final
class SecondFactor:
    """Takes codes, and changes what they are made of."""

    def __init__(
        self,
        database: Database,
        acts: Acts,
        *,
        own: OwnPassword,
        sealed: SealedValues,
        sealing: bytes,
        pepper: bytes,
        monotonic: Callable[[], float],
    ) -> None:
        """`own` asks for passwords; `sealing` seals secrets; `pepper` makes of recovery codes what is stored.

        `monotonic` is a steady clock in seconds, for delays.
        """
        self._database = database
        self._acts = acts
        self._own = own
        self._sealed = sealed
        self._sealing = sealing
        self._pepper = pepper
        self._delays = Delays(free=5, longest=900, now=monotonic)

    async def take(self, scope: Scope, person: Person, code: str) -> SignInMethod | None:
        """Use up a code of an authenticator, or a recovery code; None if it is neither. In the sign-in's transaction.

        Raises `Refused` (429) for a person of whom too many codes were wrong.
        """
        key = (str(person.id),)
        try:
            self._delays.begin(key)
        except TooSoon as wait:
            raise too_soon(wait) from None
        method = await self._taken(PersonSecrets(scope, person), person, code)
        if method is not None:
            self._delays.succeeded(key)
        return method

    async def _taken(self, rows: PersonSecrets, person: Person, code: str) -> SignInMethod | None:
        secrets = await rows.find()
        if secrets.totp_secret is None:
            return None
        counter = totp.match(
            self._opened(person, secrets.totp_secret),
            code,
            unix_seconds=self._acts.now().timestamp(),
            last_counter=secrets.totp_counter,
        )
        if counter is not None:
            return SignInMethod.PASSWORD_AND_CODE if await rows.use_code(counter) else None
        if await rows.use_recovery_code(totp.recovery_digest(self._pepper, code)):
            return SignInMethod.PASSWORD_AND_RECOVERY_CODE
        return None

    async def standing(self, person: Person) -> Standing:
        """How a person signs in."""
        async with self._database.within(person.tenant_id) as scope:
            secrets = await PersonSecrets(scope, person).find()
        return Standing(
            has_password=secrets.password_hash is not None,
            has_codes=secrets.totp_secret is not None,
            recovery_codes=len(secrets.recovery_digests),
        )

    def propose(self, person: Person) -> Proposal:
        """Make a secret; it is nobody's until `confirm`."""
        secret = totp.secret_text(self._acts.entropy(totp.SECRET_BYTES))
        proposed = _Proposed(operator=person.id, secret=secret, at=self._acts.now())
        return Proposal(
            secret=secret,
            address=totp.address(secret, account=person.email, issuer=ISSUER),
            sealed=self._sealed.seal(_PROPOSAL, proposed),
        )

    def proposed(self, person: Person, sealed: str) -> Proposal | None:
        """The same proposal again, as its form sent it back; None if it is none, another's, or too old."""
        before = self._sealed.open(_PROPOSAL, sealed, _Proposed)
        if before is None or before.operator != person.id or self._acts.now() >= before.at + _PROPOSAL_LIFETIME:
            return None
        address = totp.address(before.secret, account=person.email, issuer=ISSUER)
        return Proposal(secret=before.secret, address=address, sealed=sealed)

    async def confirm(
        self, session: Session, proposal: Proposal, code: str, password: str, browser: Browser
    ) -> list[str]:
        """Keep a proposed secret, since a code of it came back; returns ten recovery codes, shown this once.

        Raises `Invalid` for a wrong code or password, `Refused` (409) if there is a second factor already.
        """
        person = session.person
        seconds = self._acts.now().timestamp()
        counter = totp.match(proposal.secret, code, unix_seconds=seconds, last_counter=0)
        if counter is None:
            raise invalid("code", "is not the code that the authenticator shows now")
        known_by = await self._own.check(person, password)
        async with self._database.within(person.tenant_id) as scope:
            rows = await locked(scope, person, known_by)
            secrets = await rows.find()
            if secrets.totp_secret is not None:
                raise Refused(Code.CONFLICT, "There is a second factor already. Remove it first.")
            sealed = seal(
                self._sealing, second_factor_row_identity(person.id), proposal.secret, self._acts.entropy(_NONCE)
            )
            codes, digests = self._recovery_codes()
            await rows.set_codes(secret=sealed, counter=counter, digests=digests)
            await self._record(scope, browser.actor(person.operator), "second_factor.set_up", person)
        return codes

    async def renew_recovery_codes(self, session: Session, password: str, browser: Browser) -> list[str]:
        """Make ten new recovery codes in place of those before; raises `Invalid`, `Refused` (404)."""
        person = session.person
        known_by = await self._own.check(person, password)
        async with self._database.within(person.tenant_id) as scope:
            rows = await locked(scope, person, known_by)
            secrets = await rows.find()
            codes, digests = self._recovery_codes()
            sealed = found(secrets.totp_secret)
            await rows.set_codes(secret=sealed, counter=secrets.totp_counter, digests=digests)
            await self._record(scope, browser.actor(person.operator), "recovery_codes.renew", person)
        return codes

    async def remove(self, session: Session, password: str, browser: Browser) -> None:
        """Sign in without codes from now on; raises `Invalid`, `Refused` (404)."""
        person = session.person
        known_by = await self._own.check(person, password)
        async with self._database.within(person.tenant_id) as scope:
            rows = await locked(scope, person, known_by)
            secrets = await rows.find()
            found(secrets.totp_secret)
            await self.reset(scope, browser.actor(person.operator), person)

    async def reset(self, scope: Scope, actor: Actor, person: Person) -> None:
        """Take a second factor away, in the transaction of what does so."""
        await PersonSecrets(scope, person).set_codes(secret=None, counter=0, digests=())
        await self._record(scope, actor, "second_factor.remove", person)

    def _recovery_codes(self) -> tuple[list[str], list[bytes]]:
        codes = totp.recovery_codes(self._acts.entropy(totp.RECOVERY_CODES * totp.RECOVERY_BYTES))
        return codes, [totp.recovery_digest(self._pepper, code) for code in codes]

    def _opened(self, person: Person, sealed: bytes) -> str:
        try:
            return unseal(self._sealing, second_factor_row_identity(person.id), sealed)
        except CannotOpen:
            # Written by somebody who has not the key; nobody's code fits it.
            return totp.secret_text(self._acts.entropy(totp.SECRET_BYTES))

    async def _record(self, scope: Scope, actor: Actor, action: str, person: Person) -> None:
        target = ids.shown(ids.OPERATOR, person.id)
        await self._acts.record(scope, actor, action, target, tenant_id=person.tenant_id, detail={})
