"""Operators: persons and keys that administer the installation, or one tenant.

An operator without a tenant is the installation's: its reach is everything. One with a tenant reaches that tenant
alone. Roles are a ladder: an owner may what an admin may, an admin what a viewer may.

A person: Invited ──follows the link──▶ Active ⇄ Suspended. Whoever was invited and never came is removed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.credentials import Lifetime
from bailiwick.domain.fields import Findings, invalid, read_name
from bailiwick.domain.ids import OperatorId, OperatorKeyId, TenantId


class OperatorKind(StrEnum):
    """What an operator is."""

    PERSON = "person"
    KEY = "key"


class OperatorRole(StrEnum):
    """How much an operator may do within its reach."""

    VIEWER = "viewer"
    ADMIN = "admin"
    OWNER = "owner"

    def includes(self, other: OperatorRole) -> bool:
        """Whether this role may do whatever `other` may."""
        return _LADDER.index(self) >= _LADDER.index(other)


# RFC 5321 §4.1.2 without quoted local parts; its longest path is 254 characters without the brackets.
_EMAIL: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{1,63}")
_MAX_EMAIL: Final = 254
_LADDER: Final = (OperatorRole.VIEWER, OperatorRole.ADMIN, OperatorRole.OWNER)
_PREFIXES: Final = {OperatorKind.PERSON: ids.OPERATOR, OperatorKind.KEY: ids.OPERATOR_KEY}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Who administers. `until` is when its authority ends by itself, None for never."""

    id: OperatorId | OperatorKeyId
    kind: OperatorKind
    name: str
    role: OperatorRole
    tenant_id: TenantId | None
    until: datetime | None = None

    @property
    def shown_id(self) -> str:
        """`opr_…` or `opk_…`."""
        return ids.shown(_PREFIXES[self.kind], self.id)

    def reaches(self, tenant_id: TenantId | None) -> bool:
        """Whether what belongs to this tenant, or to the installation (None), is within reach."""
        return self.tenant_id is None or self.tenant_id == tenant_id


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorKey:
    """An operator key as it is, without its secret. `lookup_id` is the part of its text that may be shown."""

    id: OperatorKeyId
    name: str
    role: OperatorRole
    tenant_id: TenantId | None
    lookup_id: str
    lifetime: Lifetime
    created_at: datetime
    created_by: str

    @property
    def operator(self) -> Operator:
        """The operator that whoever has its secret is."""
        return Operator(
            id=self.id,
            kind=OperatorKind.KEY,
            name=self.name,
            role=self.role,
            tenant_id=self.tenant_id,
            until=self.lifetime.expires_at,
        )


class PersonStatus(StrEnum):
    """Whether a person can sign in."""

    INVITED = "invited"
    ACTIVE = "active"
    SUSPENDED = "suspended"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person who is an operator. `email` is in lower case, and nobody else's in the installation."""

    id: OperatorId
    email: str
    name: str
    role: OperatorRole
    tenant_id: TenantId | None
    status: PersonStatus
    created_at: datetime
    created_by: str

    @property
    def operator(self) -> Operator:
        """The operator that this person is, once signed in."""
        return Operator(id=self.id, kind=OperatorKind.PERSON, name=self.name, role=self.role, tenant_id=self.tenant_id)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorKeySpec:
    """What can be asked of an operator key."""

    name: str
    role: OperatorRole
    tenant_id: TenantId | None
    expires_at: datetime | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PersonSpec:
    """What can be changed of a person."""

    name: str
    role: OperatorRole
    status: PersonStatus


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """Who is to become an operator."""

    email: str
    name: str
    role: OperatorRole
    tenant_id: TenantId | None


def operator_key_spec(
    *, name: str, role: OperatorRole, tenant_id: TenantId | None, expires_at: datetime | None, now: datetime
) -> OperatorKeySpec:
    """Check what is asked of an operator key; raises `Invalid`."""
    findings = Findings()
    read = findings.take(lambda: read_name("name", name), "")
    if expires_at is not None and expires_at <= now:
        findings.add("expires_at", "must be in the future")
    findings.or_raise()
    return OperatorKeySpec(name=read, role=role, tenant_id=tenant_id, expires_at=expires_at)


def invitation(*, email: str, name: str, role: OperatorRole, tenant_id: TenantId | None) -> Invitation:
    """Check whom somebody invites; raises `Invalid`."""
    findings = Findings()
    address = findings.take(lambda: read_email("email", email), "")
    read = findings.take(lambda: read_name("name", name), "")
    findings.or_raise()
    return Invitation(email=address, name=read, role=role, tenant_id=tenant_id)


def person_spec(*, name: str, role: OperatorRole, status: PersonStatus | None, before: PersonStatus) -> PersonSpec:
    """Check what a person shall be; no status: as it was. Raises `Invalid`."""
    findings = Findings()
    read = findings.take(lambda: read_name("name", name), "")
    if before is PersonStatus.INVITED and status not in (None, before):
        findings.add("status", "must be absent until the invitation is taken")
    findings.or_raise()
    return PersonSpec(name=read, role=role, status=status or before)


def read_email(field: str, text: str) -> str:
    """Take an address of mail, in lower case; raises `Invalid`. A domain of another alphabet is written `xn--…`."""
    if len(text) > _MAX_EMAIL or _EMAIL.fullmatch(text) is None:
        raise invalid(field, "must be an e-mail address such as name@example.com")
    return text.lower()
