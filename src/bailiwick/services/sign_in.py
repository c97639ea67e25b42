"""Signing in by password, and by a code where a person has set that up.

The same answer, after the same work, for an address that nobody has and for a wrong password. Whoever keeps getting it
wrong waits longer each time, counted by account and where they come from: somebody who guesses from elsewhere keeps no
person out. Codes are counted by account alone, since only who knows the password gets there.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, final
from uuid import UUID

import msgspec

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import OperatorId, TenantId
from bailiwick.domain.operators import Person, PersonStatus
from bailiwick.domain.sign_in import Browser, SignInMethod
from bailiwick.identity.passwords import Passwords
from bailiwick.identity.sealed_values import SealedValues
from bailiwick.limiting.sign_in_delays import Delays, Key, TooSoon
from bailiwick.services.acts import Acts
from bailiwick.services.failed_sign_ins import Failures
from bailiwick.services.second_factor import SecondFactor
from bailiwick.services.sessions import Sessions, SignedIn
from bailiwick.services.too_soon import too_soon
from bailiwick.storage.operators import OperatorRows
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.sign_in import PersonOnFile, PersonSecrets, SignInLookup

_STEP: Final = "second factor"
_STEP_LIFETIME: Final = timedelta(minutes=5)
_LONGEST_ADDRESS: Final = 254


@final
class _Step(msgspec.Struct, frozen=True, kw_only=True):
    """That somebody knew a password, and when; `known_by` is a digest of the password's hash."""

    operator: UUID
    tenant: UUID | None
    known_by: bytes
    at: datetime


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CodeNeeded:
    """The password was right; `step` goes with the code."""

    step: str


@final
class SignIn:
    """Opens sessions for people who prove who they are."""

    def __init__(
        self,
        database: Database,
        acts: Acts,
        *,
        sessions: Sessions,
        passwords: Passwords,
        second_factor: SecondFactor,
        failures: Failures,
        sealed: SealedValues,
        monotonic: Callable[[], float],
    ) -> None:
        """`monotonic` is a steady clock in seconds, for delays."""
        self._database = database
        self._acts = acts
        self._sessions = sessions
        self._passwords = passwords
        self._second_factor = second_factor
        self._failures = failures
        self._sealed = sealed
        self._lookup = SignInLookup(database)
        self._by_account = Delays(free=4, longest=900, now=monotonic)
        self._by_network = Delays(free=60, longest=60, now=monotonic)

    async def with_password(self, email: str, password: str, browser: Browser) -> SignedIn | CodeNeeded:
        """Sign in by password; raises `Refused` (401, 429)."""
        account = email.strip().lower()[:_LONGEST_ADDRESS]
        key = (account, browser.network)
        self._begin(key, browser)
        try:
            known = await self._lookup.find_person(account)
            right = await self._passwords.matches(None if known is None else known.password_hash, password)
        except BaseException:
            # Nothing was learnt from it.
            self._by_account.forgive(key)
            self._by_network.forgive((browser.network,))
            raise
        if not right or known is None or known.person.status is not PersonStatus.ACTIVE:
            person = None if known is None else known.person
            await self._fail(browser, person, account, "status" if right else "password")
            raise Refused(Code.INVALID_CREDENTIALS, "The e-mail address or the password is wrong.")
        self._by_account.succeeded(key)
        self._by_network.forgive((browser.network,))
        if known.has_codes:
            return CodeNeeded(step=self._step(known))
        renewed = await self._renewed(known.password_hash or "", password)
        async with self._database.within(known.person.tenant_id) as scope:
            person = await _still_there(scope, known.person.tenant_id, known.person.id)
            rows = PersonSecrets(scope, known.person)
            secrets = await rows.find()
            if person is None or secrets.password_hash != known.password_hash or secrets.totp_secret is not None:
                raise _changed()
            if renewed is not None:
                await rows.set_password(renewed)
            return await self._sessions.open(scope, person, SignInMethod.PASSWORD, browser)

    async def with_code(self, step: str, code: str, browser: Browser) -> SignedIn:
        """Go on with a code, of the authenticator or a recovery code; raises `Refused` (401, 429)."""
        passed = self._sealed.open(_STEP, step, _Step)
        if passed is None or self._acts.now() >= passed.at + _STEP_LIFETIME:
            raise Refused(Code.EXPIRED_CREDENTIALS, "That took too long. Sign in again.")
        tenant_id = None if passed.tenant is None else TenantId(passed.tenant)
        async with self._database.within(tenant_id) as scope:
            person = await _still_there(scope, tenant_id, OperatorId(passed.operator))
            if person is None:
                raise _changed()
            secrets = await PersonSecrets(scope, person).find()
            if not hmac.compare_digest(_known_by(secrets.password_hash), passed.known_by):
                raise _changed()
            method = await self._second_factor.take(scope, person, code)
            if method is not None:
                return await self._sessions.open(scope, person, method, browser)
            await self._failures.record(scope, browser, person, person.email, "code")
        raise Refused(Code.INVALID_CREDENTIALS, "The code is wrong, or was used already. Wait for the next one.")

    def _begin(self, key: Key, browser: Browser) -> None:
        network = (browser.network,)
        try:
            self._by_network.begin(network)
            try:
                self._by_account.begin(key)
            except TooSoon:
                self._by_network.forgive(network)
                raise
        except TooSoon as wait:
            raise too_soon(wait) from None

    def _step(self, known: PersonOnFile) -> str:
        person = known.person
        step = _Step(
            operator=person.id,
            tenant=person.tenant_id,
            known_by=_known_by(known.password_hash),
            at=self._acts.now(),
        )
        return self._sealed.seal(_STEP, step)

    async def _renewed(self, stored: str, password: str) -> str | None:
        """Hash the password by the parameters that are in use, if it was by others."""
        return await self._passwords.hash(password) if self._passwords.is_outdated(stored) else None

    async def _fail(self, browser: Browser, person: Person | None, account: str, wrong: str) -> None:
        async with self._database.within(None if person is None else person.tenant_id) as scope:
            await self._failures.record(scope, browser, person, account, wrong)


async def _still_there(scope: Scope, tenant_id: TenantId | None, operator_id: OperatorId) -> Person | None:
    """A person who may sign in, as they stay until the end of the transaction."""
    person = await OperatorRows(scope, tenant_id).lock(operator_id)
    return person if person is not None and person.status is PersonStatus.ACTIVE else None


def _known_by(password_hash: str | None) -> bytes:
    return hmac.digest(b"step/1", (password_hash or "").encode(), "sha256")


def _changed() -> Refused:
    return Refused(Code.EXPIRED_CREDENTIALS, "Your sign-in was changed just now. Sign in again.")
