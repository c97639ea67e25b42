"""`/admin/v1/projects/{id}/agents`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.agent_wire import AgentBody, AgentShown, AgentVersionShown, agent_asked, agent_body
from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtAgent, AtProject, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, listed
from bailiwick.apps.admin.wire import PatchOf, read_patched
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.agents import Agent, AgentSpec
from bailiwick.domain.merge_patch import Document
from bailiwick.services.documents import agent_document, agent_version_document

_LIST: Final = "/admin/v1/projects/{project_id}/agents"
_ITEM: Final = "/admin/v1/projects/{project_id}/agents/{agent_id}"
_VERSIONS: Final = "/admin/v1/projects/{project_id}/agents/{agent_id}/versions"
_READ: Final = needs(AdminPermission.AGENTS_READ)
_WRITE: Final = needs(AdminPermission.AGENTS_WRITE)

router = APIRouter(route_class=ControlRoute, tags=["agents"])

AgentPatch = Annotated[dict[str, Any], Body(), PatchOf(AgentBody)]


@router.get(_LIST, response_model=Listed[AgentShown], openapi_extra=_READ)
async def list_agents(plane: Plane, at: AtProject, limit: Limit = None, after: After = None) -> Document:
    """List the agents of a project."""
    return listed(await plane.agents.list(*at, page_of(ids.AGENT, limit, after)), agent_document)


@router.post(_LIST, status_code=201, response_model=AgentShown, openapi_extra=_WRITE)
async def create_agent(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, at: AtProject, body: AgentBody
) -> Document:
    """Make an agent: its first version."""
    document = agent_document(await plane.agents.create(actor, *at, agent_asked(body)))
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_ITEM, response_model=AgentShown, openapi_extra=_READ)
async def read_agent(plane: Plane, at: AtProject, agent_id: AtAgent) -> Document:
    """Read an agent."""
    return agent_document(await plane.agents.find(*at, agent_id))


@router.patch(_ITEM, response_model=AgentShown, openapi_extra=_WRITE)
async def change_agent(
    plane: Plane, actor: CurrentActor, at: AtProject, agent_id: AtAgent, patch: AgentPatch, expected: IfMatch
) -> Document:
    """Change an agent: its next version, unless it says the same."""

    def change(agent: Agent) -> AgentSpec:
        return agent_asked(read_patched(AgentBody, agent_body(agent), patch))

    return agent_document(await plane.agents.change(actor, at, agent_id, change, expected=expected))


@router.delete(_ITEM, status_code=204, openapi_extra=_WRITE)
async def remove_agent(plane: Plane, actor: CurrentActor, at: AtProject, agent_id: AtAgent, expected: IfMatch) -> None:
    """Remove an agent with its versions: calls as it are those as one that never was."""
    await plane.agents.remove(actor, at, agent_id, expected=expected)


@router.get(_VERSIONS, response_model=Listed[AgentVersionShown], openapi_extra=_READ)
async def list_versions(
    plane: Plane, at: AtProject, agent_id: AtAgent, limit: Limit = None, after: After = None
) -> Document:
    """List the versions of an agent, the oldest first: what each said, since when, and by whom."""
    page = await plane.agents.versions(*at, agent_id, page_of(ids.AGENT_VERSION, limit, after))
    return listed(page, partial(agent_version_document, agent_id))
