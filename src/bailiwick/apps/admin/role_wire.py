"""What operators send, and are shown, of a tenant's own roles."""

from __future__ import annotations

from pydantic import Field

from bailiwick.apps.admin.shown import CreatedBy, ItemShown
from bailiwick.apps.admin.wire import StrictBody, ToolsBody, present, tools_asked
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.permissions import Permission
from bailiwick.domain.roles import Role, RoleSpec, role_spec


class RoleBody(StrictBody):
    """A role. It narrows what its people's tokens let: to `permissions`, and to globs of models, tools and agents."""

    name: str
    permissions: list[str] = Field(examples=[[Permission.CHAT_CREATE.value, Permission.MODELS_LIST.value]])
    models: list[str] | None = None
    tools: ToolsBody | None = None
    agents: list[str] | None = None


class RoleShown(ItemShown):
    """A role of a tenant's own."""

    id: str
    tenant_id: str
    name: str
    permissions: list[str]
    models: list[str] | None
    tools: dict[str, list[str]] | None
    agents: list[str] | None
    created_at: str
    created_by: CreatedBy


def role_body(role: Role) -> Document:
    """The body of a role as it is."""
    spec = role.spec
    return present(
        name=spec.name,
        permissions=sorted(spec.permissions),
        models=None if spec.models is None else list(spec.models),
        tools=None if spec.tools is None else spec.tools.document(),
        agents=None if spec.agents is None else list(spec.agents),
    )


def role_asked(body: RoleBody) -> RoleSpec:
    """The role that a body asks for; raises `Invalid`."""
    return role_spec(
        name=body.name,
        permissions=body.permissions,
        models=body.models,
        tools=tools_asked(body.tools),
        agents=body.agents,
    )
