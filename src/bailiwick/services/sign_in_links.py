"""Whoever has a link that is good once chooses a password and is signed in. Links are made by `LinkIssuer`.

Looking at one does not use it up: mail programs look at links
before people do. A second factor is asked for all the same, unless the link was made to take it away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.audit import BOOTSTRAP, Actor
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import Findings, invalid, read_name
from bailiwick.domain.ids import OperatorId
from bailiwick.domain.operators import OperatorRole, Person, PersonStatus, read_email
from bailiwick.domain.sign_in import Browser, SignInMethod
from bailiwick.identity.passwords import Passwords, read_password
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.failed_sign_ins import Failures
from bailiwick.services.link_issuer import link_digest
from bailiwick.services.second_factor import SecondFactor
from bailiwick.services.sessions import Sessions, SignedIn
from bailiwick.storage.conflicts import email_taken
from bailiwick.storage.operators import OperatorRows
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.sign_in import LinkOnFile, PersonSecrets, SignInLookup, use_link

LIFETIME: Final = timedelta(hours=24)
_TOKEN_BYTES: Final = 32
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LinkUse:
    """What a link's form asks for. `person` is None where it makes the first owner."""

    person: Person | None
    asks_code: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Chosen:
    """What somebody wrote into a link's form."""

    email: str
    name: str
    password: str
    code: str


@final
class SignInLinks:
    """Signs in whoever has a link."""

    def __init__(
        self,
        database: Database,
        acts: Acts,
        *,
        sessions: Sessions,
        passwords: Passwords,
        second_factor: SecondFactor,
        failures: Failures,
        pepper: bytes,
    ) -> None:
        """`pepper` makes of a link what is stored."""
        self._database = database
        self._acts = acts
        self._sessions = sessions
        self._passwords = passwords
        self._second_factor = second_factor
        self._failures = failures
        self._pepper = pepper
        self._lookup = SignInLookup(database)

    async def find(self, token: str) -> LinkUse:
        """What a link is good for; raises `Refused` (404) for one that is none, was used, or has expired."""
        link = await self._find(token)
        if link.found is None:
            return LinkUse(person=None, asks_code=False)
        return LinkUse(person=link.found.person, asks_code=link.found.has_codes and not link.resets_codes)

    async def use(self, token: str, chosen: Chosen, browser: Browser) -> SignedIn:
        """Take a link: set the password that was chosen, and sign in. Raises `Refused` (404, 409) and `Invalid`."""
        link = await self._find(token)
        person = self._new_owner(chosen) if link.found is None else link.found.person
        read_password("password", chosen.password, not_like=(person.email, person.name))
        password_hash = await self._passwords.hash(chosen.password)
        async with self._database.within(person.tenant_id) as scope:
            admitted = await (
                self._add_owner(scope, person, browser)
                if link.found is None
                else self._admit(scope, person, link, chosen.code, browser)
            )
            if admitted:
                return await self._take(scope, person, link_digest(self._pepper, token), password_hash, browser)
        raise invalid("code", "is wrong, or was used already")

    async def _take(
        self, scope: Scope, person: Person, digest: bytes, password_hash: str, browser: Browser
    ) -> SignedIn:
        # Whoever comes second finds nothing, also where both come at once.
        if not await use_link(scope, person.tenant_id, digest, self._acts.now()):
            raise _no_such_link()
        rows, actor = PersonSecrets(scope, person), browser.actor(person.operator)
        if await rows.activate():
            await self._record(scope, actor, "operator.activate", person)
        await rows.set_password(password_hash)
        await self._record(scope, actor, "password.set", person)
        await self._sessions.end_all(scope, actor, person, but=None)
        active = found(await OperatorRows(scope, person.tenant_id).find(person.id))
        return await self._sessions.open(scope, active, SignInMethod.LINK, browser)

    async def _find(self, token: str) -> LinkOnFile:
        link = await self._lookup.find_link(link_digest(self._pepper, token)) if _TOKEN.fullmatch(token) else None
        if link is None or link.expires_at <= self._acts.now():
            raise _no_such_link()
        if link.found is not None and link.found.person.status is PersonStatus.SUSPENDED:
            raise _no_such_link()
        return link

    def _new_owner(self, chosen: Chosen) -> Person:
        findings = Findings()
        email = findings.take(lambda: read_email("email", chosen.email.strip()), "")
        name = findings.take(lambda: read_name("name", chosen.name), "")
        findings.or_raise()
        return Person(
            id=OperatorId(self._acts.new_id()),
            tenant_id=None,
            email=email,
            name=name,
            role=OperatorRole.OWNER,
            status=PersonStatus.INVITED,
            created_at=self._acts.now(),
            created_by=BOOTSTRAP.name,
        )

    async def _add_owner(self, scope: Scope, person: Person, browser: Browser) -> bool:
        if await OperatorRows(scope, None).add(person) is None:
            raise email_taken()
        detail = {"after": {"email": person.email, "name": person.name, "role": person.role.value}}
        target = ids.shown(ids.OPERATOR, person.id)
        await self._acts.record(
            scope, browser.actor(person.operator), "operator.create", target, tenant_id=None, detail=detail
        )
        return True

    async def _admit(self, scope: Scope, person: Person, link: LinkOnFile, code: str, browser: Browser) -> bool:
        """Ask somebody known for their second factor, or take it away; returns False for a wrong code."""
        locked = await OperatorRows(scope, person.tenant_id).lock(person.id)
        if locked is None or locked.status is PersonStatus.SUSPENDED:
            raise _no_such_link()
        if (await PersonSecrets(scope, person).find()).totp_secret is None:
            return True
        if link.resets_codes:
            await self._second_factor.reset(scope, browser.actor(person.operator), person)
            return True
        if await self._second_factor.take(scope, person, code) is None:
            await self._failures.record(scope, browser, person, person.email, "code")
            return False
        return True

    async def _record(self, scope: Scope, actor: Actor, action: str, person: Person) -> None:
        target = ids.shown(ids.OPERATOR, person.id)
        await self._acts.record(scope, actor, action, target, tenant_id=person.tenant_id, detail={})


def _no_such_link() -> Refused:
    return Refused(Code.NOT_FOUND, "This link is no longer good: it was used, or is too old. Ask for another one.")
