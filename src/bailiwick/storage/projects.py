"""The projects of one tenant in the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final
from uuid import UUID

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from bailiwick.domain.ids import KeyId, ProjectId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.tenancy import OnDisconnect, Project, ProjectSpec, Slug, Status, Tenant
from bailiwick.domain.tools import MODES, tool_rules
from bailiwick.storage.conflicts import slug_taken
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load
from bailiwick.storage.tenants import tenant_from

_SQL: Final = load("projects")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ListedProject:
    """A project with the name of its tenant."""

    project: Project
    tenant_name: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedProject:
    """A project and the tenant that it is of; `key_names` are of all its keys."""

    tenant: Tenant
    project: Project
    key_names: Mapping[KeyId, str]

    @classmethod
    def of(cls, row: Row) -> PlacedProject:
        """Read a row that has the tenant's columns with a `t_` before each."""
        tenant = {name.removeprefix("t_"): value for name, value in row.items() if name.startswith("t_")}
        names = (row["key_names"] or {}).items()
        return cls(
            tenant=tenant_from(tenant),
            project=project_from(row),
            key_names={KeyId(UUID(key)): name for key, name in names},
        )


@final
class ProjectRows:
    """The projects of the tenant in scope; every query also says whose."""

    def __init__(self, scope: Scope, tenant_id: TenantId) -> None:
        self._scope = scope
        self._tenant_id = tenant_id

    async def find(self, project_id: ProjectId) -> Project | None:
        """One project; None if the tenant has none of this id."""
        return await self._one("find_project", project_id)

    async def place(self, project_id: ProjectId) -> PlacedProject | None:
        """One project with its tenant; None if the tenant has none of this id."""
        values = {"tenant": self._tenant_id, "project": project_id}
        row = await self._scope.fetch_one(_SQL["find_placed_project"], values)
        return None if row is None else PlacedProject.of(row)

    async def lock(self, project_id: ProjectId) -> Project | None:
        """One project as it is and stays until the end of the transaction."""
        return await self._one("lock_project", project_id)

    async def hold(self, project_id: ProjectId) -> bool:
        """Keep a project from being removed until the end of the transaction; False if there is none."""
        values = {"tenant": self._tenant_id, "project": project_id}
        return await self._scope.fetch_one(_SQL["hold_project"], values) is not None

    async def list(self, page: PageRequest) -> Page[Project]:
        """A page of projects."""
        values = {"tenant": self._tenant_id, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["list_projects"], values)
        return Page.of([project_from(row) for row in rows], page.limit)

    async def add(
        self, project_id: ProjectId, spec: ProjectSpec, slug: Slug, *, created_at: datetime, created_by: str
    ) -> Project | None:
        """Add a project; None if the slug is taken."""
        values = self._values(project_id, spec, slug) | {"created_at": created_at, "created_by": created_by}
        row = await self._scope.fetch_one(_SQL["add_project"], values)
        return None if row is None else project_from(row)

    async def change(self, project_id: ProjectId, spec: ProjectSpec, slug: Slug) -> Project | None:
        """Make a project what `spec` says; raises `Refused` (409) if the slug is taken."""
        try:
            row = await self._scope.fetch_one(_SQL["change_project"], self._values(project_id, spec, slug))
        except UniqueViolation:
            raise slug_taken() from None
        return None if row is None else project_from(row)

    async def remove(self, project_id: ProjectId) -> bool:
        """Remove a project with its keys and providers; False if there was none."""
        values = {"tenant": self._tenant_id, "project": project_id}
        return await self._scope.execute(_SQL["remove_project"], values) > 0

    async def _one(self, query: str, project_id: ProjectId) -> Project | None:
        row = await self._scope.fetch_one(_SQL[query], {"tenant": self._tenant_id, "project": project_id})
        return None if row is None else project_from(row)

    def _values(self, project_id: ProjectId, spec: ProjectSpec, slug: Slug) -> dict[str, object]:
        return {
            "tenant": self._tenant_id,
            "project": project_id,
            "slug": slug,
            "name": spec.name,
            "status": spec.status.value,
            "limits": Jsonb(spec.limits),
            "aliases": Jsonb(spec.aliases),
            "default_tier": spec.default_tier,
            "require_end_user": spec.require_end_user,
            "cors_origins": list(spec.cors_origins),
            "on_disconnect": spec.on_disconnect.value,
            "default_max_output_tokens": spec.default_max_output_tokens,
            "tools": None if spec.tools is None else Jsonb(spec.tools.document()),
        }


async def list_every_project(scope: Scope, tenant_id: TenantId | None, page: PageRequest) -> Page[ListedProject]:
    """A page of the projects of a tenant; None, in an operator's scope: of everybody."""
    values = {"tenant": tenant_id, "after": page.after, "limit": page.limit + 1}
    rows = await scope.fetch_all(_SQL["list_every_project"], values)
    listed = [ListedProject(project=project_from(row), tenant_name=row["tenant_name"]) for row in rows]
    return Page.of(listed, page.limit)


def project_from(row: Row) -> Project:
    """The project of a row."""
    return Project(
        id=ProjectId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        name=row["name"],
        slug=Slug(row["slug"]),
        status=Status(row["status"]),
        limits=row["limits"],
        aliases={name: tuple(models) for name, models in row["aliases"].items()},
        default_tier=row["default_tier"],
        require_end_user=row["require_end_user"],
        cors_origins=tuple(row["cors_origins"]),
        on_disconnect=OnDisconnect(row["on_disconnect"]),
        default_max_output_tokens=row["default_max_output_tokens"],
        tools=tool_rules("tools", row["tools"], modes=MODES),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
