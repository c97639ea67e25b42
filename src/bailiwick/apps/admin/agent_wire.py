"""What operators send, and are shown, of agents."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from bailiwick.apps.admin.shown import CreatedBy, ItemShown
from bailiwick.apps.admin.wire import StrictBody, present
from bailiwick.domain.agents import Agent, AgentSpec, agent_spec
from bailiwick.domain.merge_patch import Document


def _plain(value: object) -> object:
    """A value with its numbers as a model's parser takes them; elsewhere in this plane they are exact."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, Decimal):
        if math.isinf(number := float(value)):
            raise PydanticCustomError("number_too_large", "must not have numbers of more than 308 digits")
        return number
    return value


# What passes on to a provider.
PassedOn = Annotated[dict[str, Any], BeforeValidator(_plain)]


class AgentBody(StrictBody):
    """An agent. Calls as it ask its `model`, with its `instructions` before the caller's own.

    `tools` rules over what may be offered and called; `tool_definitions` are functions that each call offers;
    `parameters` hold for each call, whatever the caller says.
    """

    name: str
    model: str
    description: str | None = None
    instructions: str | None = None
    tools: dict[str, Any] | None = Field(None, examples=[{"allow": ["search_*"], "deny": ["search_all"]}])
    tool_definitions: list[PassedOn] | None = Field(
        None, examples=[[{"type": "function", "function": {"name": "search_docs", "parameters": {"type": "object"}}}]]
    )
    parameters: PassedOn | None = Field(
        None, examples=[{"temperature": 0.2, "max_output_tokens": 800, "reasoning_effort": "low"}]
    )
    enabled: bool | None = None


class AgentShown(ItemShown):
    """A named configuration of a project, by its newest version."""

    id: str
    tenant_id: str
    project_id: str
    version: int
    name: str
    description: str
    model: str
    instructions: str | None
    tools: dict[str, Any] | None
    tool_definitions: list[dict[str, Any]]
    parameters: dict[str, Any]
    enabled: bool
    created_at: str
    created_by: CreatedBy
    changed_at: str
    changed_by: CreatedBy


class AgentVersionShown(ItemShown):
    """What an agent said from `created_at` on, until its next version, and who had it say that."""

    id: str
    agent_id: str
    version: int
    name: str
    description: str
    model: str
    instructions: str | None
    tools: dict[str, Any] | None
    tool_definitions: list[dict[str, Any]]
    parameters: dict[str, Any]
    enabled: bool
    created_at: str
    created_by: CreatedBy


def agent_body(agent: Agent) -> Document:
    """The body of an agent as it is."""
    return present(**agent.spec.written())


def agent_asked(body: AgentBody) -> AgentSpec:
    """The agent that a body asks for; raises `Invalid`."""
    return agent_spec(
        name=body.name,
        model=body.model,
        description=body.description,
        instructions=body.instructions,
        tools=body.tools,
        tool_definitions=body.tool_definitions,
        parameters=body.parameters,
        enabled=body.enabled,
    )
