"""Looks up memberships before any tenant is in scope (`storage/look_ups.py`): of one person, in one tenant."""

from __future__ import annotations

from typing import Final, NamedTuple, final

import msgspec

from bailiwick.domain.ids import PROJECT, TENANT, ProjectId, TenantId, parsed, shown
from bailiwick.domain.members import Membership
from bailiwick.domain.permissions import ALL_SCOPES, Permission
from bailiwick.domain.tenancy import is_slug
from bailiwick.storage.look_ups import LookUps
from bailiwick.storage.scope import Database, Row
from bailiwick.storage.sql import load

_SQL: Final = load("memberships")


@final
class Sought(NamedTuple):
    """Whose membership, in which tenant: the one that is named, or else that of the project.

    `tenant` and `project` are ids as shown outside, or slugs; with neither a project nor a tenant it is nobody's.
    """

    issuer: str
    subject: str
    tenant: str | None
    project: str | None


@final
class MembershipLookup:
    """Reads memberships as the gateway's role. Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._look_ups = LookUps(database, _SQL["look_up_memberships"], by="asked")

    async def find(self, sought: Sought) -> Membership | None:
        """The membership, whatever the state of its tenant; None if there is none. Raises `Unavailable`."""
        names = (_named(TENANT, sought.tenant), _named(PROJECT, sought.project))
        if "" in names:
            return None
        row = await self._look_ups.find(msgspec.json.encode((sought.issuer, sought.subject, *names)).decode())
        return None if row is None else _membership(row)


def _named(prefix: str, text: str | None) -> str | None:
    """An id or a slug as `look_up_membership` in `0014_members.sql` takes them; empty for what can be neither."""
    if text is None:
        return None
    found = parsed(prefix, text)
    if found is not None:
        return f"@{found}"
    return text if is_slug(text) else ""


def _membership(row: Row) -> Membership:
    tenant_id, project_id, scopes = TenantId(row["tenant_id"]), row["project_id"], row["scopes"]
    return Membership(
        tenant_id=tenant_id,
        names=frozenset({shown(TENANT, tenant_id), row["tenant_slug"]}),
        project_id=None if project_id is None else ProjectId(project_id),
        role=row["role"],
        scopes=None if scopes is None else frozenset(Permission(scope) for scope in scopes if scope in ALL_SCOPES),
        tier=row["tier"],
    )
