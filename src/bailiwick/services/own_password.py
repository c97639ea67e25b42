"""A person's own password: asked for once more before what they sign in with is changed, and changed itself.

So whoever finds a browser unattended has its session until that ends, and no more. Guessing is slowed down as at
sign-in, by person.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.operators import Person
from bailiwick.domain.sign_in import Browser, Session
from bailiwick.identity.passwords import Passwords, read_password
from bailiwick.limiting.sign_in_delays import Delays, TooSoon
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.sessions import Sessions
from bailiwick.services.too_soon import too_soon
from bailiwick.storage.operators import OperatorRows
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.sign_in import PersonSecrets


@final
class OwnPassword:
    """Knows people by their passwords, and gives them new ones."""

    def __init__(
        self,
        database: Database,
        acts: Acts,
        *,
        sessions: Sessions,
        passwords: Passwords,
        monotonic: Callable[[], float],
    ) -> None:
        """`monotonic` is a steady clock in seconds, for delays."""
        self._database = database
        self._acts = acts
        self._sessions = sessions
        self._passwords = passwords
        self._delays = Delays(free=5, longest=900, now=monotonic)

    async def check(self, person: Person, password: str, *, field: str = "password") -> str:
        """Return the hash that this is the password of; raises `Invalid`, `Refused` (429)."""
        key = (str(person.id),)
        try:
            self._delays.begin(key)
        except TooSoon as wait:
            raise too_soon(wait) from None
        async with self._database.within(person.tenant_id) as scope:
            secrets = await PersonSecrets(scope, person).find()
        if not await self._passwords.matches(secrets.password_hash, password) or secrets.password_hash is None:
            raise invalid(field, "is not your password")
        self._delays.succeeded(key)
        return secrets.password_hash

    async def change(self, session: Session, current: str, password: str, browser: Browser) -> None:
        """Give a person another password, and end their other sessions; raises `Invalid`, `Refused` (409, 429)."""
        person = session.person
        findings = Findings()
        findings.take(lambda: read_password("new", password, not_like=(person.email, person.name)), "")
        findings.or_raise()
        known_by = await self.check(person, current, field="current")
        changed = await self._passwords.hash(password)
        actor = browser.actor(person.operator)
        async with self._database.within(person.tenant_id) as scope:
            rows = await locked(scope, person, known_by)
            await rows.set_password(changed)
            target = ids.shown(ids.OPERATOR, person.id)
            await self._acts.record(scope, actor, "password.change", target, tenant_id=person.tenant_id, detail={})
            await self._sessions.end_all(scope, actor, person, but=session)


async def locked(scope: Scope, person: Person, known_by: str) -> PersonSecrets:
    """Hold a person's secrets until the end of the transaction; raises `Refused` (404, 409) if others are there."""
    found(await OperatorRows(scope, person.tenant_id).lock(person.id))
    rows = PersonSecrets(scope, person)
    if (await rows.find()).password_hash != known_by:
        raise Refused(Code.CONFLICT, "Your password was changed just now. Try again.")
    return rows
