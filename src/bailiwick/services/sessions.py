"""Sessions of people who signed in: opened, known again, listed, ended.

What the browser holds is 256 random bits; the database has an HMAC of it under a key that it never sees, so that
neither its reader nor its writer can be anybody. A session is made at sign-in and never taken over from before it.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, final
from uuid import UUID

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor
from bailiwick.domain.ids import OperatorId, SessionId, TenantId
from bailiwick.domain.operators import OperatorRole, Person
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.sign_in import Browser, Session, SessionLimits, SignInMethod
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.sessions import SessionRows, Whose, find_session, find_visit

_TOKEN_BYTES: Final = 32
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")
# A session that is used is noted so at most this often: not every page writes.
_NOTED_EVERY: Final = timedelta(minutes=1)


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SignedIn:
    """A session that was just opened, and what its browser is to hold."""

    session: Session
    token: str


@final
class Sessions:
    """The sessions of all people."""

    def __init__(self, database: Database, acts: Acts, *, pepper: bytes, limits: SessionLimits) -> None:
        """`pepper` is the key that makes of a token what is stored."""
        self._database = database
        self._acts = acts
        self._pepper = pepper
        self.limits: Final = limits

    async def find(self, token: str) -> Session | None:
        """The open session of what a browser holds; None if there is none. Raises `Unavailable`."""
        if _TOKEN.fullmatch(token) is None:
            return None
        return await self._open(await find_session(self._database, self._digest(b"session/1", token)))

    async def find_visit(self, token: str, project: UUID) -> tuple[Session | None, TenantId | None]:
        """What `find` finds and, in the same look-up, whose a project is; None if it is nobody's."""
        if _TOKEN.fullmatch(token) is None:
            return None, None
        session, tenant_id = await find_visit(self._database, self._digest(b"session/1", token), project)
        return await self._open(session), tenant_id

    async def _open(self, session: Session | None) -> Session | None:
        """A session if it is not over, and note that it is used."""
        now = self._acts.now()
        if session is None or not session.is_open(now, self.limits):
            return None
        if now - session.seen_at >= _NOTED_EVERY:
            async with self._database.within(session.person.tenant_id) as scope:
                await SessionRows(scope).touch(session, now)
        return session

    def csrf(self, token: str) -> str:
        """What a form of this session must send back. It follows from the token, and says nothing of it."""
        return base64.urlsafe_b64encode(self._digest(b"csrf/1", token)).rstrip(b"=").decode()

    async def open(self, scope: Scope, person: Person, method: SignInMethod, browser: Browser) -> SignedIn:
        """Open a session, in the transaction of the sign-in that it is for."""
        now = self._acts.now()
        session = Session(
            id=SessionId(self._acts.new_id()),
            person=person,
            method=method,
            ip=browser.ip,
            user_agent=browser.user_agent,
            opened_at=now,
            seen_at=now,
            expires_at=now + self.limits.longest,
        )
        token = base64.urlsafe_b64encode(self._acts.entropy(_TOKEN_BYTES)).rstrip(b"=").decode()
        rows = SessionRows(scope)
        await rows.forget(person.tenant_id, person.id, at=now, unused_since=now - self.limits.idle)
        await rows.add(session, self._digest(b"session/1", token))
        detail = {"after": {"method": method.value, "user_agent": browser.user_agent}}
        await self._record(scope, browser.actor(person.operator), "open", session.id, person.tenant_id, detail)
        return SignedIn(session=session, token=token)

    async def list(self, actor: Actor, page: PageRequest) -> Page[Session]:
        """A page of the open sessions that an operator may see: a person's own, for an owner all within reach."""
        now = self._acts.now()
        whose = _whose(actor)
        async with self._database.within(whose.tenant_id) as scope:
            return await SessionRows(scope).list(whose, page, at=now, unused_since=now - self.limits.idle)

    async def own(self, person: Person) -> Sequence[Session]:
        """Every open session of one person, the newest first, two hundred at most."""
        now = self._acts.now()
        whose = Whose(tenant_id=person.tenant_id, operator_id=person.id)
        async with self._database.within(person.tenant_id) as scope:
            page = await SessionRows(scope).list(
                whose, PageRequest(limit=200), at=now, unused_since=now - self.limits.idle
            )
        return page.items[::-1]

    async def end_own(self, actor: Actor, person: Person, session_id: SessionId) -> None:
        """End one of a person's own sessions, whatever their role; raises `Refused` (404)."""
        await self._end(actor, session_id, Whose(tenant_id=person.tenant_id, operator_id=person.id))

    async def end(self, actor: Actor, session_id: SessionId) -> None:
        """End a session that an operator may see; raises `Refused` (404)."""
        await self._end(actor, session_id, _whose(actor))

    async def _end(self, actor: Actor, session_id: SessionId, whose: Whose) -> None:
        async with self._database.within(whose.tenant_id) as scope:
            tenant_id, operator_id = found(await SessionRows(scope).end(session_id, whose))
            detail = {"before": {"operator": ids.shown(ids.OPERATOR, operator_id)}}
            await self._record(scope, actor, "end", session_id, tenant_id, detail)

    async def sign_out(self, token: str, browser: Browser) -> None:
        """End the session of what a browser holds, if there is one."""
        session = await self.find(token)
        if session is None:
            return
        person = session.person
        async with self._database.within(person.tenant_id) as scope:
            await SessionRows(scope).end(session.id, Whose(tenant_id=person.tenant_id))
            detail = {"before": {"operator": ids.shown(ids.OPERATOR, person.id)}}
            await self._record(scope, browser.actor(person.operator), "end", session.id, person.tenant_id, detail)

    async def end_all(self, scope: Scope, actor: Actor, person: Person, *, but: Session | None) -> None:
        """End every session of a person, but one that may be kept, in the transaction of what ends them."""
        kept = None if but is None else but.id
        ended = await SessionRows(scope).end_all(person.tenant_id, person.id, but=kept)
        if ended:
            target = ids.shown(ids.OPERATOR, person.id)
            detail = {"before": {"sessions": ended}}
            await self._acts.record(scope, actor, "session.end_all", target, tenant_id=person.tenant_id, detail=detail)

    def _digest(self, purpose: bytes, token: str) -> bytes:
        return hmac.digest(self._pepper, purpose + token.encode(), "sha256")

    async def _record(
        self,
        scope: Scope,
        actor: Actor,
        verb: str,
        session_id: SessionId,
        tenant_id: TenantId | None,
        detail: dict[str, dict[str, str]],
    ) -> None:
        target = ids.shown(ids.SESSION, session_id)
        await self._acts.record(scope, actor, f"session.{verb}", target, tenant_id=tenant_id, detail=detail)


def _whose(actor: Actor) -> Whose:
    operator = actor.authority
    if operator.role is OperatorRole.OWNER:
        return Whose(tenant_id=operator.tenant_id, everywhere=operator.tenant_id is None)
    # A key is nobody's session; there are none of this id.
    operator_id = OperatorId(operator.id)
    return Whose(tenant_id=operator.tenant_id, operator_id=operator_id)
