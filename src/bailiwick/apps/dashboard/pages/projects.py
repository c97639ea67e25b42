"""Projects: the list, a new one, and a project's first page with its address and ready-made calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from starlette.responses import Response

from bailiwick.apps.admin.wire import ProjectBody, project_asked, read_body_as
from bailiwick.apps.dashboard.page import Page, Piece, Visit
from bailiwick.apps.dashboard.pages.choices import tenants_within
from bailiwick.apps.dashboard.snippets import snippets
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import KeyId, TenantId
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.tenancy import Project, Tenant
from bailiwick.domain.usage_report import usage_query
from bailiwick.domain.versions import etag
from bailiwick.services.documents import project_document
from bailiwick.storage.projects import PlacedProject

_READ: Final = AdminPermission.PROJECTS_READ
_WRITE: Final = AdminPermission.PROJECTS_WRITE


async def list_projects(visit: Visit) -> Response:
    """Every project that the visitor reaches."""
    return visit.show("projects/list.html", page=await visit.plane.directory.projects(visit.actor, visit.page("prj")))


async def new_project(visit: Visit) -> Response:
    """The form for a new one."""
    return visit.show("projects/new.html", tenants=await tenants_within(visit), chosen=visit.asked("tenant"))


async def create_project(visit: Visit) -> Response:
    """Make one, and go on to its first page."""
    form = visit.form.known("tenant", "name", "slug")
    try:
        document: Document = {"name": form.text("name").strip(), "slug": form.optional("slug")}
        asked = project_asked(read_body_as(ProjectBody, document))
        project = await visit.plane.provisioning.create_project(visit.actor, _chosen(visit), asked)
    except Refused as refused:
        values = {"tenants": await tenants_within(visit), "chosen": form.text("tenant")}
        return visit.again("projects/new.html", refused, **values)
    return visit.go(f"/projects/{ids.shown(ids.PROJECT, project.id)}", "created")


async def show_project(visit: Visit) -> Response:
    """How to call it, and whether anybody has."""
    frame = await framed(visit, "overview")
    address = base_url(visit, frame.project)
    return visit.show(
        "projects/overview.html",
        **frame.values,
        base_url=address,
        snippets=snippets(address, None),
        calls=(await _this_month(visit)).html,
    )


async def first_call(visit: Visit) -> Response:
    """Whether the first call has come: a piece of the page, asked for until it has."""
    return visit.site.renderer.sent((await _this_month(visit)).html)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What each page of a project shows around its own."""

    tab: str
    tenant: Tenant
    project: Project
    key_names: Mapping[KeyId, str]

    @property
    def values(self) -> dict[str, object]:
        """As the templates know it."""
        return {
            "tab": self.tab,
            "project": self.project,
            "tenant": self.tenant,
            "version": etag(project_document(self.project)),
            "project_id": ids.shown(ids.PROJECT, self.project.id),
            "tenant_id": ids.shown(ids.TENANT, self.tenant.id),
        }


async def framed(visit: Visit, tab: str) -> Frame:
    """The project of the address; raises `Refused` (404)."""
    return around(await visit.plane.directory.project(*visit.at), tab)


def around(placed: PlacedProject, tab: str) -> Frame:
    """What a page of a project shows around its own."""
    return Frame(tab=tab, tenant=placed.tenant, project=placed.project, key_names=placed.key_names)


def base_url(visit: Visit, project: Project) -> str:
    """Where clients call a project."""
    return f"{visit.site.public_url}/p/{project.slug}/v1"


async def _this_month(visit: Visit) -> Piece:
    """What the project used this month, or that its first call is waited for."""
    query = usage_query({}, visit.plane.acts.now())

    async def draw() -> Piece:
        (report,), _ = await visit.plane.usage.survey(*visit.at, [query])
        values = {"usage": report.total, "here": f"/dashboard/projects/{_id(visit)}"}
        return Piece(calls=report.total.requests, html=visit.site.renderer.piece("projects/month.html", values))

    return await visit.site.pieces.get(("month", *visit.at, query.since), draw)


def _chosen(visit: Visit) -> TenantId:
    """The tenant of the form; a tenant's operator has but one. Raises `Refused`."""
    if visit.operator.tenant_id is not None:
        return visit.operator.tenant_id
    read = ids.parsed(ids.TENANT, visit.form.text("tenant"))
    if read is None:
        raise invalid("tenant", "must be chosen")
    visit.plane.confinement.keep(visit.operator, TenantId(read))
    return TenantId(read)


def _id(visit: Visit) -> str:
    return ids.shown(ids.PROJECT, visit.at[1])


PAGES: Final = (
    Page(path="/projects", handler=list_projects, needs=_READ, confined=True),
    Page(path="/projects/new", handler=new_project, needs=_WRITE, confined=True),
    Page(path="/projects/new", handler=create_project, needs=_WRITE, confined=True, method="POST"),
    Page(path="/projects/{project_id}", handler=show_project, needs=_READ),
    Page(path="/projects/{project_id}/first-call", handler=first_call, needs=_READ),
)
