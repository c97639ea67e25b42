"""Agents: a project's named configurations of a model, as operators write them.

A call names an agent, by `X-Agent-Id` or as the model `agent/NAME`; the agent then says which model is asked, with
which instructions, parameters and tools. Every change makes a new version, and the versions before are kept. A name has
one spelling only, so that none looks like another; and it is no model's name, since `agent/` is nobody's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, final

from bailiwick.domain.agent_parameters import read_parameters
from bailiwick.domain.agent_tools import read_definitions
from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.ids import AGENT, AgentId, AgentVersionId, ProjectId, TenantId, shown
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.model_names import read_model
from bailiwick.domain.tools import ToolRules, tool_rules

MAX_AGENTS: Final = 200
MAX_INSTRUCTIONS: Final = 64 * 1024
MAX_DESCRIPTION: Final = 1000
AGENT_MODELS: Final = "agent"
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """What can be asked of an agent. `instructions` None: none; `tools` None: says nothing of them.

    `definitions` are the tools that it offers, each a function as `/v1/chat/completions` takes it.
    """

    name: str
    description: str
    model: str
    instructions: str | None
    tools: ToolRules | None
    definitions: tuple[Mapping[str, object], ...]
    parameters: Mapping[str, object]
    enabled: bool

    def written(self) -> Document:
        """All of it as it is stored and shown. Evolution: fields are added, with a default in `agent_spec`."""
        return {
            "name": self.name,
            "description": self.description,
            "model": self.model,
            "instructions": self.instructions,
            "tools": None if self.tools is None else self.tools.document(),
            "tool_definitions": [dict(tool) for tool in self.definitions],
            "parameters": dict(self.parameters),
            "enabled": self.enabled,
        }

    def says_the_same(self, other: AgentSpec) -> bool:
        """Whether both are written alike, to the order of what they hold."""
        return json.dumps(self.written()) == json.dumps(other.written())


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """An agent as it is, by its newest version."""

    id: AgentId
    tenant_id: TenantId
    project_id: ProjectId
    version: int
    spec: AgentSpec
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AgentVersion:
    """What an agent said from `created_at` on, until its next version."""

    id: AgentVersionId
    version: int
    spec: AgentSpec
    created_at: datetime
    created_by: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ListedAgent:
    """An enabled agent as its project knows it: enough to find it. Calls and globs know it by its `names`."""

    id: AgentId
    name: str
    model: str
    version: int
    names: tuple[str, str] = field(init=False, compare=False)

    @property
    def model_name(self) -> str:
        """How a call names it as a model."""
        return f"{AGENT_MODELS}/{self.name}"

    def __post_init__(self) -> None:
        """Derive what is looked up."""
        object.__setattr__(self, "names", (self.name, shown(AGENT, self.id)))


def agent_spec(
    *,
    name: str,
    model: str,
    description: str | None = None,
    instructions: str | None = None,
    tools: Mapping[str, object] | None = None,
    tool_definitions: Sequence[object] | None = None,
    parameters: Mapping[str, object] | None = None,
    enabled: bool | None = None,
) -> AgentSpec:
    """Check what is asked of an agent; raises `Invalid`."""
    findings = Findings()
    spec = AgentSpec(
        name=findings.take(lambda: _read_name(name), ""),
        description=findings.take(lambda: _read_description(description or ""), ""),
        model=findings.take(lambda: _read_model(model), ""),
        instructions=findings.take(lambda: _read_instructions(instructions), None),
        tools=findings.take(lambda: tool_rules("tools", tools), None),
        definitions=findings.take(lambda: read_definitions("tool_definitions", tool_definitions or ()), ()),
        parameters=findings.take(lambda: read_parameters("parameters", parameters or {}), {}),
        enabled=enabled is not False,
    )
    findings.or_raise()
    return spec


def _read_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise invalid("name", "must be 1 to 63 of a-z, 0-9, '.', '_' and '-', and begin and end with one of a-z, 0-9")
    if text.startswith(f"{AGENT}_"):
        raise invalid("name", f"must not begin with {AGENT}_, as ids do")
    return text


def _read_description(text: str) -> str:
    if len(text) > MAX_DESCRIPTION:
        raise invalid("description", f"must be at most {MAX_DESCRIPTION} characters long")
    return text


def _read_model(text: str) -> str:
    if text.partition("/")[0] == AGENT_MODELS:
        raise invalid("model", "must be a model, and no agent")
    return read_model("model", text)


def _read_instructions(text: str | None) -> str | None:
    if text is None:
        return None
    if not 1 <= len(text.encode()) <= MAX_INSTRUCTIONS:
        raise invalid("instructions", f"must be 1 to {MAX_INSTRUCTIONS} bytes of UTF-8")
    return text
