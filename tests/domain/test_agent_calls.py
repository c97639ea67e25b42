"""What an agent puts into a request, at each address that has agents."""

from __future__ import annotations

import json
from typing import Any, get_type_hints
from uuid import UUID

import anthropic.types
import openai.types.chat
import openai.types.responses
import pydantic
import pytest

from bailiwick.domain.agent_calls import (
    CHAT_AS_AGENT,
    COUNTED_AS_AGENT,
    MESSAGES_AS_AGENT,
    RESPONSES_AS_AGENT,
    AgentForm,
    CalledAgent,
)
from bailiwick.domain.agents import agent_spec
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import AgentId
from bailiwick.domain.requests import read_request
from bailiwick.services.doors import DOORS, Door

BY_FORM = {door.as_agent: door for door in DOORS if door.as_agent is not None}
SEARCH = {"name": "search", "description": "Finds.", "parameters": {"type": "object", "properties": {"q": {}}}}
SCHEMA = {"name": "n", "schema": {"type": "object"}, "strict": True}
PARAMETERS: dict[str, Any] = {
    "temperature": 0.25, "top_p": 0.5, "reasoning_effort": "low",
    "response_format": {"type": "json_schema", "json_schema": SCHEMA},
}  # fmt: skip
SAID = b'[ {"role" : "user","content":"\\u00e9" } ]'


def agent(**fields: Any) -> CalledAgent:
    return CalledAgent(AgentId(UUID(int=1)), 3, agent_spec(**{"name": "support", "model": "gpt-4o", **fields}))


def written(form: AgentForm, called: CalledAgent, body: bytes) -> bytes:
    """What goes to a provider that the caller's own tenant has an account with."""
    door: Door = BY_FORM[form]
    assert door.body is not None
    request = called.applied(read_request(body, door.body, as_agent=True), form)
    return request.upstream(model=request.model, user=None, shared_account=False)


def asked(form: AgentForm, called: CalledAgent, **fields: object) -> dict[str, Any]:
    content = "input" if form is RESPONSES_AS_AGENT else "messages"
    sent: dict[str, Any] = json.loads(
        written(form, called, json.dumps({content: [{"role": "user"}], **fields}).encode())
    )
    return sent


@pytest.mark.parametrize("body", [b'{"messages":%b}', b'{ "model" : "agent/support", "messages" : %b , "x":[1.0 ]}'])
def test_instructions_come_before_a_conversation_that_passes_as_the_bytes_that_came(body: bytes) -> None:
    sent = written(CHAT_AS_AGENT, agent(instructions='Be "brief".\n\u00fc'), body % SAID)
    first = json.dumps({"role": "system", "content": 'Be "brief".\n\u00fc'}, separators=(",", ":"), ensure_ascii=False)
    assert b'"messages":[' + first.encode() + b"," + SAID[1:] in sent
    assert json.loads(sent)["model"] == "gpt-4o"
    assert (b'"x":[1.0 ]' in sent) == (b'"x"' in body)


def test_an_agent_that_says_nothing_else_leaves_a_request_as_it_is(
) -> None:  # fmt: skip
    for form in BY_FORM:
        own = {"temperature": 1, "tools": [{"type": "custom", "name": "x"}], "system": "s", "instructions": "i"}
        sent = asked(form, agent(), **own)
        assert {name: sent[name] for name in own} == own


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        (None, '"A\\u00e9"'),
        ("B", '"A\\u00e9\\n\\nB"'),
        ("", '"A\\u00e9\\n\\n"'),
        ('"\\', '"A\\u00e9\\n\\n\\"\\\\"'),
    ],
)
def test_instructions_come_before_the_callers_own_in_the_same_field(theirs: str | None, expected: str) -> None:
    for form, field in (
        (RESPONSES_AS_AGENT, "instructions"),
        (MESSAGES_AS_AGENT, "system"),
        (COUNTED_AS_AGENT, "system"),
    ):
        assert asked(form, agent(instructions="A\u00e9"), **{field: theirs})[field] == json.loads(expected)
        assert asked(form, agent(instructions="A\u00e9"))[field] == "A\u00e9"


def test_instructions_come_before_the_callers_own_blocks() -> None:
    mine = {"type": "text", "text": "A"}
    theirs = {"type": "text", "text": "B", "cache_control": {"type": "ephemeral"}}
    assert asked(MESSAGES_AS_AGENT, agent(instructions="A"), system=[theirs])["system"] == [mine, theirs]
    assert asked(MESSAGES_AS_AGENT, agent(instructions="A"), system=[])["system"] == [mine]
    assert b'"A"}]' in written(MESSAGES_AS_AGENT, agent(instructions="A"), b'{"system": [ ], "messages": [{}]}')


@pytest.mark.parametrize(
    ("form", "fields"),
    [
        (RESPONSES_AS_AGENT, {"instructions": 3}),
        (RESPONSES_AS_AGENT, {"instructions": ["B"]}),
        (MESSAGES_AS_AGENT, {"system": {}}),
        (MESSAGES_AS_AGENT, {"system": True}),
    ],
)
def test_what_cannot_be_gone_on_with_is_refused(form: AgentForm, fields: dict[str, object]) -> None:
    with pytest.raises(Refused) as refused:
        asked(form, agent(instructions="A"), **fields)
    assert (refused.value.status, refused.value.param) == (400, next(iter(fields)))


def test_what_an_agent_fixes_holds_whatever_the_caller_says() -> None:
    fixed = agent(parameters=PARAMETERS)
    theirs = {"temperature": 2, "top_p": 1, "reasoning_effort": "high", "response_format": {"type": "text"}}
    sent = asked(CHAT_AS_AGENT, fixed, seed=7, **theirs)
    assert {name: sent[name] for name in PARAMETERS} == PARAMETERS
    assert sent["seed"] == 7
    theirs = {"temperature": 2, "reasoning": {"effort": "high", "summary": "auto"}, "text": {"verbosity": "low"}}
    sent = asked(RESPONSES_AS_AGENT, fixed, **theirs)
    assert (sent["temperature"], sent["top_p"]) == (0.25, 0.5)
    assert sent["reasoning"] == {"effort": "low", "summary": "auto"}
    assert sent["text"] == {"verbosity": "low", "format": {"type": "json_schema", **SCHEMA}}
    sent = asked(MESSAGES_AS_AGENT, fixed, temperature=1, output_config={"effort": "max", "x": 1})
    assert (sent["temperature"], sent["top_p"]) == (0.25, 0.5)
    config = {"effort": "low", "x": 1, "format": {"type": "json_schema", "schema": SCHEMA["schema"]}}
    assert sent["output_config"] == config
    counted = asked(COUNTED_AS_AGENT, fixed)
    assert (counted["output_config"]["effort"], "temperature" in counted) == ("low", False)


@pytest.mark.parametrize(
    ("form", "field"),
    [
        (CHAT_AS_AGENT, "Temperature"),
        (CHAT_AS_AGENT, "RESPONSE_FORMAT"),
        (RESPONSES_AS_AGENT, "Instructions"),
        (RESPONSES_AS_AGENT, "Reasoning"),
        (MESSAGES_AS_AGENT, "System"),
        (MESSAGES_AS_AGENT, "\u017fystem"),
        (COUNTED_AS_AGENT, "sYstem"),
    ],
)
def test_a_second_spelling_of_what_an_agent_may_say_is_refused(form: AgentForm, field: str) -> None:
    with pytest.raises(Refused, match="must be written"):
        asked(form, agent(), **{field: "x"})


def test_an_answer_in_json_without_a_schema_has_no_form_among_messages() -> None:
    called = agent(parameters={"response_format": {"type": "json_object"}})
    with pytest.raises(Refused, match="json_object"):
        asked(MESSAGES_AS_AGENT, called)
    assert asked(CHAT_AS_AGENT, called)["response_format"] == {"type": "json_object"}
    assert asked(RESPONSES_AS_AGENT, called)["text"] == {"format": {"type": "json_object"}}


def test_tools_are_offered_in_the_form_of_each_address_before_the_callers_own() -> None:
    called = agent(tool_definitions=[{"type": "function", "function": SEARCH}])
    theirs: dict[str, Any] = {"type": "function", "function": {"name": "mine"}}
    assert asked(CHAT_AS_AGENT, called, tools=[theirs])["tools"] == [{"type": "function", "function": SEARCH}, theirs]
    flat = {"type": "function", "strict": False, **SEARCH}
    assert asked(RESPONSES_AS_AGENT, called, tools=None)["tools"] == [flat]
    schema = {"name": "search", "description": "Finds.", "input_schema": SEARCH["parameters"]}
    theirs = {"type": "web_search_20250305", "name": "web_search"}
    assert asked(MESSAGES_AS_AGENT, called, tools=[theirs])["tools"] == [schema, theirs]
    bare = agent(tool_definitions=[{"type": "function", "function": {"name": "f", "strict": True}}])
    assert asked(MESSAGES_AS_AGENT, bare)["tools"] == [
        {"name": "f", "input_schema": {"type": "object", "properties": {}}, "strict": True}
    ]


@pytest.mark.parametrize(
    ("form", "theirs"),
    [
        (CHAT_AS_AGENT, {"type": "function", "function": {"name": "search", "description": "Mine."}}),
        (CHAT_AS_AGENT, {"type": "custom", "custom": {"name": "search"}}),
        (RESPONSES_AS_AGENT, {"type": "function", "name": "search"}),
        (MESSAGES_AS_AGENT, {"name": "search", "input_schema": {}}),
    ],
)
def test_of_two_tools_of_one_name_the_agents_is_offered(form: AgentForm, theirs: dict[str, Any]) -> None:
    called = agent(tool_definitions=[{"type": "function", "function": SEARCH}])
    sent = asked(form, called, tools=[theirs])["tools"]
    assert len(sent) == 1
    assert "Finds." in json.dumps(sent)


@pytest.mark.parametrize("form", [CHAT_AS_AGENT, RESPONSES_AS_AGENT, MESSAGES_AS_AGENT])
def test_no_second_name_of_a_tool_stands_in_for_the_agents(form: AgentForm) -> None:
    called = agent(tool_definitions=[{"type": "function", "function": SEARCH}])
    for theirs in (
        {"type": "function", "name": "other", "function": {"name": "search"}},
        {"type": "function", "name": "search", "function": {"name": "other"}},
        {"type": "custom", "function": {"name": "search"}},
        {"function": {"name": "other"}, "custom": {"name": "search"}},
    ):
        assert len(asked(form, called, tools=[theirs])["tools"]) == 1
    odd = [{"type": ["a"], "name": {"search": 1}}, {"type": {}, "name": ["search"]}, {"function": "search"}]
    assert asked(form, called, tools=odd)["tools"][1:] == odd


def test_what_an_agent_adds_counts_as_what_the_request_holds() -> None:
    door = BY_FORM[CHAT_AS_AGENT]
    assert door.body is not None
    plain = read_request(b'{"model": "m", "messages": [{}]}', door.body)
    grown = agent(instructions="x" * 400).applied(plain, CHAT_AS_AGENT)
    assert 100 <= grown.tokens() - plain.tokens() <= 102


FULL: dict[str, Any] = {
    "instructions": "Be brief.",
    "parameters": PARAMETERS,
    "tool_definitions": [{"type": "function", "function": SEARCH}, {"type": "function", "function": {"name": "f"}}],
}


@pytest.mark.parametrize(
    ("form", "takes", "fields"),
    [
        (CHAT_AS_AGENT, openai.types.chat.completion_create_params.CompletionCreateParamsNonStreaming, {}),
        (RESPONSES_AS_AGENT, openai.types.responses.response_create_params.ResponseCreateParamsNonStreaming, {}),
        (MESSAGES_AS_AGENT, anthropic.types.message_create_params.MessageCreateParamsNonStreaming, {"max_tokens": 9}),
        (COUNTED_AS_AGENT, anthropic.types.MessageCountTokensParams, {}),
    ],
)
def test_what_goes_to_a_provider_is_what_its_own_package_would_send(
    form: AgentForm, takes: Any, fields: dict[str, Any]
) -> None:
    body = asked(form, agent(**FULL), content=None, **fields)
    body.pop("content")
    content = "input" if form is RESPONSES_AS_AGENT else "messages"
    body[content] = [{"role": "user", "content": "hi"}]
    # Anthropic's package knows these no more; its older models do.
    older = {"temperature", "top_p"} if form is MESSAGES_AS_AGENT else set()
    assert set(body) - older <= set(get_type_hints(takes))
    pydantic.TypeAdapter(takes).validate_python(body)
