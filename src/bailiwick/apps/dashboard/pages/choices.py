"""What a visitor can choose from: roles that they hold themselves, tenants that they reach."""

from __future__ import annotations

from typing import Final

from bailiwick.apps.dashboard.page import Visit
from bailiwick.domain import ids
from bailiwick.domain.ids import TenantId
from bailiwick.domain.operators import OperatorRole
from bailiwick.domain.paging import MAX_LIMIT, PageRequest
from bailiwick.services.absence import found

_ROLES: Final = {
    OperatorRole.VIEWER: "Viewer: sees everything within reach, changes nothing",
    OperatorRole.ADMIN: "Admin: changes everything but people and how they sign in",
    OperatorRole.OWNER: "Owner: everything",
}
LIFETIMES: Final = (
    ("", "Never"),
    ("7", "In 7 days"),
    ("30", "In 30 days"),
    ("90", "In 90 days"),
    ("365", "In a year"),
)
GRACES: Final = ((3_600, "1 hour"), (86_400, "1 day"), (604_800, "7 days"), (0, "Not at all"))


def roles_within(visit: Visit) -> list[tuple[str, str]]:
    """The roles that a visitor can give."""
    return [(role.value, text) for role, text in _ROLES.items() if visit.operator.role.includes(role)]


def tenant_named(visit: Visit, text: str) -> TenantId:
    """The tenant that an address or a form names; raises `Refused` (404) for one that the visitor does not reach."""
    tenant_id = TenantId(found(ids.parsed(ids.TENANT, text)))
    visit.plane.confinement.keep(visit.operator, tenant_id)
    return tenant_id


async def tenants_within(visit: Visit) -> list[tuple[str, str]]:
    """The tenants that can be chosen; nothing if there is no choice."""
    if visit.operator.tenant_id is not None:
        return []
    page = await visit.plane.provisioning.list_tenants(visit.actor, PageRequest(limit=MAX_LIMIT))
    return [(ids.shown(ids.TENANT, tenant.id), tenant.name) for tenant in page.items]
