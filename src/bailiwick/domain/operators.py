"""Operators: persons and keys that administer the installation, or one tenant.

An operator without a tenant is the installation's: its reach is everything. One with a tenant reaches that tenant
alone. Roles are a ladder: an owner may what an admin may, an admin what a viewer may.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.credentials import Lifetime
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
