"""A project's agents: made, changed, removed; and what each of their versions changed, and by whom."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.agent_wire import AgentBody, agent_asked
from bailiwick.apps.admin.wire import read_body_as
from bailiwick.apps.dashboard.agent_form import agent_given, agent_sent, agent_shown
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import expected
from bailiwick.apps.dashboard.pages.projects import framed
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.agents import Agent, AgentSpec, AgentVersion
from bailiwick.domain.audit import changes
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import AgentId
from bailiwick.domain.paging import MAX_LIMIT, PageRequest
from bailiwick.domain.versions import etag
from bailiwick.services.absence import not_found
from bailiwick.services.documents import agent_document

_READ: Final = AdminPermission.AGENTS_READ
_WRITE: Final = AdminPermission.AGENTS_WRITE


async def list_agents(visit: Visit) -> Response:
    """Every agent of a project."""
    frame = await framed(visit, "agents")
    page = await visit.plane.agents.list(*visit.at, PageRequest(limit=MAX_LIMIT), is_there=True)
    return visit.show("agents/list.html", **frame.values, agents=page.items, writes=visit.may(_WRITE))


async def new_agent(visit: Visit) -> Response:
    """The form for another one."""
    return visit.show("agents/form.html", **await _around(visit, None), given=agent_shown(None))


async def create_agent(visit: Visit) -> Response:
    """Make one: its first version."""
    try:
        await visit.plane.agents.create(visit.actor, *visit.at, _asked(visit))
    except Refused as refused:
        return await _again(visit, refused, None)
    return visit.go(_list(visit), "created")


async def show_agent(visit: Visit) -> Response:
    """One agent, to be changed."""
    agent = await visit.plane.agents.find(*visit.at, _id(visit))
    return visit.show("agents/form.html", **await _around(visit, agent), given=agent_shown(agent.spec))


async def change_agent(visit: Visit) -> Response:
    """Make an agent what the form says: its next version, unless it says the same."""
    agent_id = _id(visit)

    def change(agent: Agent) -> AgentSpec:
        return _asked(visit, agent)

    try:
        await visit.plane.agents.change(visit.actor, visit.at, agent_id, change, expected=expected(visit))
    except Refused as refused:
        return await _again(visit, refused, await visit.plane.agents.find(*visit.at, agent_id))
    return visit.go(_list(visit), "saved")


async def remove_agent(visit: Visit) -> Response:
    """Remove one with its versions."""
    visit.form.known()
    await visit.plane.agents.remove(visit.actor, visit.at, _id(visit))
    return visit.go(_list(visit), "removed")


async def show_versions(visit: Visit) -> Response:
    """What each version changed, the newest first; of very many, those of one page."""
    frame, after = await framed(visit, "agents"), visit.asked("after")
    request = PageRequest(limit=MAX_LIMIT, after=visit.page(ids.AGENT_VERSION).after)
    page = await visit.plane.agents.versions(*visit.at, _id(visit), request, is_there=True)
    if not page.items:
        raise not_found()
    # The next page begins with the last of this one, which its first change is told against.
    following = ids.shown(ids.AGENT_VERSION, page.items[-2].id) if page.has_more else None
    values = {"agent_id": visit.request.path_params["agent_id"], "name": page.items[-1].spec.name}
    told = _told(page.items, first=not after)
    return visit.show("agents/versions.html", **frame.values, **values, told=told, following=following)


def _told(
    versions: Sequence[AgentVersion], *, first: bool
) -> list[tuple[AgentVersion, dict[str, tuple[object, object]]]]:
    """Each version with the fields that it changed, each as it was and as it became; the newest first."""
    told = [(after, _changed(before.spec, after.spec)) for before, after in pairwise(versions)]
    return [*reversed(told), *([(versions[0], {})] if first else [])]


def _changed(before: AgentSpec, after: AgentSpec) -> dict[str, tuple[object, object]]:
    was, became = changes(before.written(), after.written()).values()
    return {name: (dict(was)[name], value) for name, value in dict(became).items()}  # type: ignore[call-overload]


def _asked(visit: Visit, before: Agent | None = None) -> AgentSpec:
    """The form as the API's body; raises `Refused`."""
    return agent_asked(read_body_as(AgentBody, agent_given(visit.form, None if before is None else before.spec)))


async def _around(visit: Visit, agent: Agent | None) -> dict[str, object]:
    """What the form shows besides its fields."""
    around = {**(await framed(visit, "agents")).values, "agent": None, "writes": visit.may(_WRITE)}
    if agent is not None:
        document = agent_document(agent)
        around |= {"agent": document, "changed_at": agent.changed_at, "version": etag(document)}
    return around


async def _again(visit: Visit, refused: Refused, agent: Agent | None) -> Response:
    return visit.again("agents/form.html", refused, **await _around(visit, agent), given=agent_sent(visit.form))


def _id(visit: Visit) -> AgentId:
    return AgentId(id_of(visit.request, "agent_id", ids.AGENT))


def _list(visit: Visit) -> str:
    return f"/projects/{visit.request.path_params['project_id']}/agents"


_LIST: Final = "/projects/{project_id}/agents"
_ONE: Final = f"{_LIST}/{{agent_id}}"

PAGES: Final = (
    Page(path=_LIST, handler=list_agents, needs=_READ),
    Page(path=f"{_LIST}/new", handler=new_agent, needs=_WRITE),
    Page(path=f"{_LIST}/new", handler=create_agent, needs=_WRITE, method="POST"),
    Page(path=_ONE, handler=show_agent, needs=_READ),
    Page(path=_ONE, handler=change_agent, needs=_WRITE, method="POST"),
    Page(path=f"{_ONE}/versions", handler=show_versions, needs=_READ),
    Page(path=f"{_ONE}/remove", handler=remove_agent, needs=_WRITE, method="POST"),
)
