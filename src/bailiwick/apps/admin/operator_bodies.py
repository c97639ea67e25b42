"""What is sent about operators: the bodies of POST, and of PATCH once merged into what is there.

Evolution: fields are added, with a default that gives nothing; their meaning never changes.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bailiwick.apps.admin.wire import StrictBody
from bailiwick.domain import ids
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import TenantId
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.operators import (
    Invitation,
    Operator,
    OperatorKey,
    OperatorKeySpec,
    OperatorRole,
    Person,
    PersonSpec,
    PersonStatus,
    invitation,
    operator_key_spec,
    person_spec,
)
from bailiwick.domain.times import read_moment
from bailiwick.services.acts import Acts

Role = Literal["viewer", "admin", "owner"]


class OperatorKeyBody(StrictBody):
    """An operator key. A viewer, of the tenant of whoever makes it and ending with them, unless it says another."""

    name: str
    role: Role | None = None
    tenant_id: str | None = Field(None, description="Whose operator it is; an installation's may make both kinds.")
    expires_at: str | None = Field(None, description="RFC 3339, in the future.")


class OperatorKeyName(StrictBody):
    """What can be changed of an operator key."""

    name: str


class PersonBody(StrictBody):
    """A person who is invited. A viewer, of the tenant of whoever invites, unless it says another."""

    email: str = Field(examples=["ada@example.com"])
    name: str
    role: Role | None = None
    tenant_id: str | None = Field(None, description="Whose operator they are; an installation's may invite both kinds.")


class LinkBody(StrictBody):
    """A link that is good once."""

    reset_codes: bool = Field(False, description="Take the person's second factor away.")


class PersonChange(StrictBody):
    """What can be changed of a person."""

    name: str
    role: Role
    status: Literal["active", "suspended"] | None = None


def operator_key_asked(body: OperatorKeyBody, asker: Operator, acts: Acts) -> OperatorKeySpec:
    """The operator key that a body asks for; raises `Invalid`."""
    expires_at = asker.until
    if body.expires_at is not None:
        expires_at = read_moment(body.expires_at)
        if expires_at is None:
            raise invalid("expires_at", "must be a moment by RFC 3339, such as 2027-01-01T00:00:00Z")
    return operator_key_spec(
        name=body.name,
        role=_role(body.role),
        tenant_id=_tenant(body.tenant_id, asker),
        expires_at=expires_at,
        now=acts.now(),
    )


def operator_key_body(key: OperatorKey) -> Document:
    """What can be changed of an operator key, as it is."""
    return {"name": key.name}


def invitation_asked(body: PersonBody, asker: Operator) -> Invitation:
    """Whom a body invites; raises `Invalid`."""
    return invitation(email=body.email, name=body.name, role=_role(body.role), tenant_id=_tenant(body.tenant_id, asker))


def person_body(person: Person) -> Document:
    """What can be changed of a person, as it is."""
    body: Document = {"name": person.name, "role": person.role.value}
    if person.status is not PersonStatus.INVITED:
        body["status"] = person.status.value
    return body


def person_asked(body: PersonChange, before: Person) -> PersonSpec:
    """The person that a body asks for; raises `Invalid`."""
    status = None if body.status is None else PersonStatus(body.status)
    return person_spec(name=body.name, role=OperatorRole(body.role), status=status, before=before.status)


def _role(text: str | None) -> OperatorRole:
    return OperatorRole.VIEWER if text is None else OperatorRole(text)


def _tenant(text: str | None, asker: Operator) -> TenantId | None:
    if text is None:
        return asker.tenant_id
    read = ids.parsed(ids.TENANT, text)
    if read is None:
        raise invalid("tenant_id", "must be a tenant of this installation")
    return TenantId(read)
