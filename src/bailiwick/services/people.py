"""Persons who are operators: invited, read, changed, removed. Each change is audited in its own transaction.

Who is invited cannot do anything until they have followed their link. Nobody gives more than they hold, and nobody
touches a person of a higher role than their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.administration import authorize_grant, authorize_touch
from bailiwick.domain.audit import INSTALLATION, Actor, changes
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import OperatorId
from bailiwick.domain.operators import Invitation, OperatorRole, Person, PersonSpec, PersonStatus
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import person_document
from bailiwick.services.owners import check_owner_remains
from bailiwick.services.reach import acting_within, reading_within
from bailiwick.services.sessions import Sessions
from bailiwick.storage.operators import OperatorRows
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.tenants import TenantRows


@final
class People:
    """The persons who administer the installation and its tenants."""

    def __init__(self, database: Database, acts: Acts, sessions: Sessions) -> None:
        """`database` is the control process's; `sessions` are those that end where a person's authority changes."""
        self._database = database
        self._acts = acts
        self._sessions = sessions

    async def list(self, actor: Actor, page: PageRequest) -> Page[Person]:
        """A page of the persons within reach."""
        reading = reading_within(self._database, self._acts, actor, action="operator.list", target=INSTALLATION)
        async with reading as scope:
            return await OperatorRows(scope, actor.authority.tenant_id).list(page)

    async def find(self, actor: Actor, operator_id: OperatorId) -> Person:
        """One person; raises `Refused` (404)."""
        target = ids.shown(ids.OPERATOR, operator_id)
        reading = reading_within(self._database, self._acts, actor, action="operator.read", target=target)
        async with reading as scope:
            return found(await OperatorRows(scope, actor.authority.tenant_id).find(operator_id))

    async def invite(self, actor: Actor, invitation: Invitation) -> Person:
        """Make a person an operator who has yet to come; raises `Refused` (403, 409) and `Invalid`."""
        authorize_grant(actor.authority, invitation.role, invitation.tenant_id, None).or_raise()
        asked = Person(
            id=OperatorId(self._acts.new_id()),
            email=invitation.email,
            name=invitation.name,
            role=invitation.role,
            tenant_id=invitation.tenant_id,
            status=PersonStatus.INVITED,
            created_at=self._acts.now(),
            created_by=actor.name,
        )
        async with acting_within(self._database, invitation.tenant_id) as scope:
            if invitation.tenant_id is not None and not await TenantRows(scope, invitation.tenant_id).hold():
                raise invalid("tenant_id", "must be a tenant of this installation")
            person = await OperatorRows(scope, invitation.tenant_id).add(asked)
            if person is None:
                raise Refused(Code.CONFLICT, "Somebody has this e-mail address already.", param="email")
            await self._record(scope, actor, "invite", person, {"after": person_document(person)})
            return person

    async def change(
        self,
        actor: Actor,
        operator_id: OperatorId,
        change: Callable[[Person], PersonSpec],
        *,
        expected: Expected = WHATEVER,
    ) -> Person:
        """Make a person what `change` says; raises `Refused` (403, 404, 412; 409 for the last owner) and `Invalid`."""
        async with acting_within(self._database, actor.authority.tenant_id) as scope:
            rows = OperatorRows(scope, actor.authority.tenant_id)
            before = await self._locked(rows, actor, operator_id, expected)
            spec = change(before)
            if _gives(before, spec):
                authorize_grant(actor.authority, spec.role, before.tenant_id, None).or_raise()
            if spec.role is not OperatorRole.OWNER or spec.status is not PersonStatus.ACTIVE:
                await _check_owner_remains(scope, before)
            after = found(await rows.change(operator_id, spec))
            detail = changes(person_document(before), person_document(after))
            await self._record(scope, actor, "change", after, detail)
            if (before.role, before.status) != (after.role, after.status):
                await self._sessions.end_all(scope, actor, after, but=None)
            return after

    async def remove(self, actor: Actor, operator_id: OperatorId, *, expected: Expected = WHATEVER) -> None:
        """Remove a person; raises `Refused` (403, 404, 412; 409 for the installation's last owner)."""
        async with acting_within(self._database, actor.authority.tenant_id) as scope:
            rows = OperatorRows(scope, actor.authority.tenant_id)
            before = await self._locked(rows, actor, operator_id, expected)
            await _check_owner_remains(scope, before)
            await rows.remove(operator_id)
            await self._record(scope, actor, "remove", before, {"before": person_document(before)})

    async def _locked(self, rows: OperatorRows, actor: Actor, operator_id: OperatorId, expected: Expected) -> Person:
        """The person as they stay until the end of the act, if the actor may touch them."""
        before = found(await rows.lock(operator_id))
        authorize_touch(actor.authority, before.role).or_raise()
        expected.check(person_document(before))
        return before

    async def _record(
        self, scope: Scope, actor: Actor, verb: str, person: Person, detail: Mapping[str, object]
    ) -> None:
        target = ids.shown(ids.OPERATOR, person.id)
        await self._acts.record(scope, actor, f"operator.{verb}", target, tenant_id=person.tenant_id, detail=detail)


def _gives(before: Person, spec: PersonSpec) -> bool:
    """Whether a change gives a person what they do not have."""
    comes_back = spec.status is PersonStatus.ACTIVE and before.status is not PersonStatus.ACTIVE
    return comes_back or not before.role.includes(spec.role)


async def _check_owner_remains(scope: Scope, person: Person) -> None:
    if person.status is PersonStatus.ACTIVE:
        await check_owner_remains(scope, person.operator)
