"""Calls as an agent: what it puts into a request, made ready once for each of its versions; pure.

What the agent says, it says for every call: its model, its parameters, its tools, its rules. Its instructions come
before the caller's own. What it does not say stays as the caller has it. The conversation passes on as the bytes that
came.

Worked example, at `/v1/chat/completions`: as an agent with the instructions "Be brief." and `temperature` 0.2, the body
`{"model": "agent/support", "messages": [M], "temperature": 1}` goes to the agent's model as
`{"messages": [{"role": "system", "content": "Be brief."}, M], "temperature": 0.2}`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, cast, final

import msgspec

from bailiwick.domain.agent_tools import function_of
from bailiwick.domain.agents import AgentSpec
from bailiwick.domain.confinement import Confinement, confining
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import AGENT, AgentId, shown
from bailiwick.domain.json_body import Json, Raw, decoded, wrong
from bailiwick.domain.principal import Grant, Principal
from bailiwick.domain.requests import ModelRequest

_Object = Mapping[str, object]
_encode = msgspec.json.encode
_TOOLS: Final = "tools"
_NULL: Final = b"null"
_NO_PARAMETERS: Final = {"type": "object", "properties": {}}
# An agent is called with few grants at a time.
_GRANTS_KEPT: Final = 1000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AgentForm:
    """How one address takes what an agent says.

    `content`: instructions are a message before those of the conversation; else they are the field `instructions`, as a
    text or as `blocks`, too. `tool` writes a definition, `parameters` what an agent fixes, over what the caller says
    of the same. `names` are the fields that may be written: a second spelling of one of them is refused.
    """

    instructions: str | None
    blocks: bool
    tool: Callable[[_Object], _Object]
    parameters: Callable[[AgentSpec, Mapping[str, Raw]], dict[str, object]]
    names: frozenset[str]


@final
class CalledAgent:
    """A version of an agent, as calls need it."""

    __slots__ = ("_confinement", "_grants", "_lead", "_message", "_tools", "agent_id", "shown_id", "spec", "version")

    def __init__(self, agent_id: AgentId, version: int, spec: AgentSpec) -> None:
        self.agent_id = agent_id
        self.shown_id = shown(AGENT, agent_id)
        self.version = version
        self.spec = spec
        self._confinement = confining(Confinement(source=f"the agent {spec.name!r}", tools=spec.tools))
        self._grants: dict[int, tuple[Grant, Grant]] = {}
        # The text as JSON has it, without its last quote: what a caller's own goes on from.
        self._lead = b"" if spec.instructions is None else _encode(spec.instructions)[:-1]
        self._message = b"" if spec.instructions is None else b'{"role":"system","content":%b"},' % self._lead
        self._tools: dict[AgentForm, Raw] = {}

    def called_by(self, principal: Principal) -> Principal:
        """Whoever calls as this agent: within the agent's confinements, beside their own."""
        return msgspec.structs.replace(principal, grant=self._within(principal.grant))

    def _within(self, grant: Grant) -> Grant:
        kept = self._grants.get(id(grant))
        if kept is not None and kept[0] is grant:
            return kept[1]
        own = cast("int | None", self.spec.parameters.get("max_output_tokens"))
        most = [maximum for maximum in (grant.max_output_tokens, own) if maximum is not None]
        narrowed = replace(
            grant,
            confinements=grant.confinements + self._confinement,
            max_output_tokens=min(most) if most else None,
        )
        if len(self._grants) >= _GRANTS_KEPT:
            self._grants.clear()
        self._grants[id(grant)] = (grant, narrowed)
        return narrowed

    def applied(self, request: ModelRequest, form: AgentForm) -> ModelRequest:
        """The request with all that the agent says; raises `Refused` (400)."""
        fields = request.fields
        for name in fields:
            # To a parser that does not regard case, it would be what the agent says otherwise.
            if name not in form.names and name.casefold() in form.names:
                raise wrong(name, f"must be written {name.casefold()!r}")
        written: dict[str, object] = form.parameters(self.spec, fields)
        before = b""
        if self._lead:
            if form.instructions is None:
                before = self._message
            else:
                written[form.instructions] = self._instructed(fields, form, form.instructions)
        if self.spec.definitions:
            written[_TOOLS] = self._offered(fields, form)
        encoded = {name: value if isinstance(value, Raw) else Raw(_encode(value)) for name, value in written.items()}
        grown = len(self._lead) + len(encoded.get(_TOOLS, b"")) - len(fields.get(_TOOLS, b""))
        return msgspec.structs.replace(
            request,
            fields={**fields, **encoded},
            values={},
            model=self.spec.model,
            named=True,
            before=before,
            size=request.size + max(grown, 0),
        )

    def _instructed(self, fields: Mapping[str, Raw], form: AgentForm, name: str) -> Raw:
        """The agent's instructions, and after them what the caller has in the same field, as the bytes that came."""
        raw = fields.get(name)
        said = _NULL if raw is None else bytes(raw)
        if said == _NULL:
            return Raw(self._lead + b'"')
        if said.startswith(b'"'):
            return Raw(self._lead + rb"\n\n" + said[1:])
        if form.blocks and said.startswith(b"["):
            rest = said[1:].lstrip()
            return Raw(b'[{"type":"text","text":%b"}%b%b' % (self._lead, b"" if rest == b"]" else b",", rest))
        raise wrong(name, "must be a text" + (", or an array of blocks" if form.blocks else ""))

    def _offered(self, fields: Mapping[str, Raw], form: AgentForm) -> Raw:
        """The agent's tools, and after them the caller's; of two of one name, the agent's."""
        own = self._tools.get(form)
        if own is None:
            own = self._tools[form] = Raw(_encode([form.tool(function_of(tool)) for tool in self.spec.definitions]))
        names = {function_of(tool)["name"] for tool in self.spec.definitions}
        given = cast("list[Json]", decoded(dict(fields), _TOOLS) or [])
        kept = [tool for tool in given if names.isdisjoint(_names_of(tool))]
        return Raw(b"%b,%b" % (bytes(own)[:-1], _encode(kept)[1:])) if kept else own


def _names_of(tool: Json) -> Iterator[str]:
    """Whatever a tool might be called by, in any form: of two names a provider may read either."""
    for part in (tool, tool.get("function"), tool.get("custom")) if isinstance(tool, dict) else ():
        if isinstance(part, dict) and isinstance(name := part.get("name"), str):
            yield name


def _chat_tool(function: _Object) -> _Object:
    return {"type": "function", "function": function}


def _responses_tool(function: _Object) -> _Object:
    # There a function is strict unless it says otherwise.
    return {"type": "function", "parameters": _NO_PARAMETERS, "strict": False, **function}


def _messages_tool(function: _Object) -> _Object:
    said = {name: function[name] for name in ("name", "description") if name in function}
    strict = {"strict": True} if function.get("strict") is True else {}
    return {**said, "input_schema": function.get("parameters", _NO_PARAMETERS), **strict}


def _sampling(spec: AgentSpec) -> dict[str, object]:
    return {name: spec.parameters[name] for name in ("temperature", "top_p") if name in spec.parameters}


def _chat_parameters(spec: AgentSpec, _fields: Mapping[str, Raw]) -> dict[str, object]:
    return {name: value for name, value in spec.parameters.items() if name != "max_output_tokens"}


def _responses_parameters(spec: AgentSpec, fields: Mapping[str, Raw]) -> dict[str, object]:
    written = _sampling(spec)
    if (effort := spec.parameters.get("reasoning_effort")) is not None:
        written["reasoning"] = {**_object(fields, "reasoning"), "effort": effort}
    if (form := spec.parameters.get("response_format")) is not None:
        said = cast("dict[str, object]", form)
        schema = cast("dict[str, object]", said.get("json_schema", {}))
        written["text"] = {**_object(fields, "text"), "format": {"type": said["type"], **schema}}
    return written


def _messages_parameters(spec: AgentSpec, fields: Mapping[str, Raw]) -> dict[str, object]:
    return {**_sampling(spec), **_count_parameters(spec, fields)}


def _count_parameters(spec: AgentSpec, fields: Mapping[str, Raw]) -> dict[str, object]:
    config: dict[str, object] = {}
    if (effort := spec.parameters.get("reasoning_effort")) is not None:
        config["effort"] = effort
    form = cast("dict[str, object]", spec.parameters.get("response_format", {"type": "text"}))
    if form["type"] == "json_object":
        message = f"The agent {spec.name!r} has its answers as json_object, for which there is no word at this address."
        raise Refused(Code.INVALID_REQUEST, message)
    if form["type"] == "json_schema":
        config["format"] = {"type": "json_schema", "schema": cast("_Object", form["json_schema"])["schema"]}
    return {"output_config": {**_object(fields, "output_config"), **config}} if config else {}


def _object(fields: Mapping[str, Raw], name: str) -> dict[str, Json]:
    """What a caller has in a field that the agent writes a part of; raises `Refused` (400)."""
    said = decoded(dict(fields), name)
    if said is None:
        return {}
    if not isinstance(said, dict):
        raise wrong(name, "must be an object")
    return said


CHAT_AS_AGENT: Final = AgentForm(
    instructions=None,
    blocks=False,
    tool=_chat_tool,
    parameters=_chat_parameters,
    names=frozenset({"temperature", "top_p", "reasoning_effort", "response_format"}),
)
RESPONSES_AS_AGENT: Final = AgentForm(
    instructions="instructions",
    blocks=False,
    tool=_responses_tool,
    parameters=_responses_parameters,
    names=frozenset({"instructions", "temperature", "top_p", "reasoning", "text"}),
)
MESSAGES_AS_AGENT: Final = AgentForm(
    instructions="system",
    blocks=True,
    tool=_messages_tool,
    parameters=_messages_parameters,
    names=frozenset({"system", "temperature", "top_p", "output_config"}),
)
COUNTED_AS_AGENT: Final = AgentForm(
    instructions="system",
    blocks=True,
    tool=_messages_tool,
    parameters=_count_parameters,
    names=frozenset({"system", "output_config"}),
)
