"""Calls as an agent, through HTTP: what it says is what is asked, and who may."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from bailiwick.domain import ids
from tests.apps.gateway.doors.cases import BY_PATH, CASES, project
from tests.serving import ASK, MODEL, Caller, Site, error_of, until
from tests.upstream import Upstream

SYSTEM = {"role": "system", "content": "Be brief."}
MESSAGES = {"model": "agent/support", "max_tokens": 9, "messages": ASK}


def agent(caller: Caller, **fields: object) -> dict[str, Any]:
    """An agent of the caller's project, once the gateway knows it."""
    asked = {"name": "support", "model": MODEL, "instructions": "Be brief.", **fields}
    made = caller.site.admin.make(f"/projects/{caller.id}/agents", asked)
    if made["enabled"]:
        known(caller, made["name"])
    return made


def known(caller: Caller, name: str, *, there: bool = True) -> None:
    """Wait until the gateway knows of an agent, or knows no more of it."""
    other = caller.site.caller(caller.project)
    path = "/v1/models"
    until(lambda: any(m["id"] == f"agent/{name}" for m in other.ask("GET", path).json()["data"]) is there, patience=1.0)


def change(caller: Caller, made: dict[str, Any], **fields: object) -> dict[str, Any]:
    changed: dict[str, Any] = caller.site.admin.change(f"/projects/{caller.id}/agents/{made['id']}", fields)
    return changed


def sent(upstream: Upstream) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(upstream.requests[-1].body)
    return document


@pytest.fixture
def caller(site: Site) -> Caller:
    return site.project()


@pytest.mark.parametrize("by", ["model", "model by id", "header", "header by id", "both"])
def test_a_call_as_an_agent_asks_what_the_agent_says(caller: Caller, upstream: Upstream, by: str) -> None:
    made = agent(caller, parameters={"temperature": 0.25})
    name = made["id"] if by.endswith("id") else "support"
    headers = {} if by.startswith("model") else {"x-agent-id": name}
    body = {"messages": ASK, "temperature": 1} | ({} if by.startswith("header") else {"model": f"agent/{name}"})
    answer = caller.ask("POST", "/v1/chat/completions", headers=headers, json=body)
    assert answer.status_code == 200, answer.text
    asked = sent(upstream)
    assert (asked["model"], asked["temperature"]) == (MODEL, 0.25)
    assert asked["messages"] == [SYSTEM, *ASK]
    assert caller.row()["model"] == MODEL


@pytest.mark.parametrize(
    ("path", "field", "said"),
    [
        ("/responses", "instructions", "Be brief.\n\nMine."),
        ("/messages", "system", "Be brief."),
        ("/messages/count_tokens", "system", "Be brief."),
    ],
)
def test_responses_and_messages_take_an_agent_too(
    site: Site, upstream: Upstream, path: str, field: str, said: str
) -> None:
    caller = project(site, BY_PATH[path])
    agent(caller)
    upstream.on(f"/v1{path}", CASES[path].behaviour)
    body = {"input": "hi", "instructions": "Mine."} if path == "/responses" else {"messages": ASK, "max_tokens": 9}
    answer = caller.ask("POST", f"/v1{path}", headers={"x-agent-id": "support"}, json=body)
    assert answer.status_code == 200, answer.text
    assert (sent(upstream)["model"], sent(upstream)[field]) == (MODEL, said)


def test_openais_package_calls_as_an_agent_in_a_stream(caller: Caller) -> None:
    agent(caller, model="echo")
    stream = caller.sdk().chat.completions.create(
        model="agent/support", messages=[{"role": "user", "content": "Hello"}], stream=True
    )
    assert "Hello" in "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


@pytest.mark.parametrize("model", [MODEL, "agent/support"])
def test_beside_the_header_the_agent_and_its_model_may_be_named(caller: Caller, model: str) -> None:
    agent(caller)
    assert caller.chat(model=model, headers={"x-agent-id": "support"}).status_code == 200


@pytest.mark.parametrize("model", ["gpt-4o", "agent/other", "agent/Support", "agent", "echo"])
def test_beside_the_header_nothing_else_may_be_named(caller: Caller, model: str) -> None:
    agent(caller)
    refusal = caller.chat(model=model, headers={"x-agent-id": "support"})
    assert (error_of(refusal), refusal.json()["error"]["param"]) == ((400, "invalid_request"), "model")
    caller.assert_untouched()


def refusals(caller: Caller, name: str) -> list[tuple[int, bytes]]:
    """What is said of an agent by its name, in each way to name one; with the name taken out."""
    ways = ({"model": f"agent/{name}"}, {"headers": {"x-agent-id": name}})
    answers = [caller.chat(**way) for way in ways]  # type: ignore[arg-type]
    answers.append(caller.ask("POST", "/v1/messages", json={**MESSAGES, "model": f"agent/{name}"}))
    return [(answer.status_code, answer.content.replace(name.encode(), b"NAME")) for answer in answers]


def test_what_is_anothers_switched_off_or_spelled_otherwise_is_not_there_in_the_same_bytes(
    site: Site, caller: Caller
) -> None:
    tenant = str(caller.project["tenant_id"])
    sibling, foreign = site.project(tenant_id=tenant), site.project()
    own = agent(caller)
    off = agent(caller, name="off", enabled=False)
    theirs = [agent(other, name="theirs") for other in (sibling, foreign)]
    gone = agent(caller, name="gone")
    site.admin.request("DELETE", f"/projects/{caller.id}/agents/{gone['id']}")
    known(caller, "gone", there=False)
    absent = refusals(caller, "absent")
    listed = [model["id"] for model in caller.ask("GET", "/v1/models").json()["data"]]
    assert [name for name in listed if name.startswith("agent/")] == ["agent/support"]
    assert [status for status, _ in absent] == [404, 404, 404]
    assert error_of(caller.chat(model="agent/absent")) == (404, "model_not_found")
    assert error_of(caller.chat(headers={"x-agent-id": "absent"})) == (404, "not_found")
    names = ["theirs", "off", off["id"], "gone", gone["id"], "Support", "SUPPORT", "support/", "*", "supp*", "zz"]
    for name in (
        *names,
        *(made["id"] for made in theirs),
        own["id"].upper(),
        ids.shown(ids.AGENT, ids.uuid7(0, bytes(10))),
    ):
        assert refusals(caller, name) == absent, name
    # A name that a client can send, and looks like the agent's.
    assert error_of(caller.chat(model="agent/\u0455upport")) == (404, "model_not_found")
    assert error_of(caller.chat(headers=[("x-agent-id", "\u0455upport".encode())])) == (404, "not_found")
    caller.assert_untouched()


@pytest.mark.parametrize("path", ["embeddings", "completions", "images/generations", "moderations", "audio/speech"])
def test_where_there_are_no_agents_naming_one_is_refused(caller: Caller, path: str) -> None:
    agent(caller)
    body = {"input": "x", "prompt": "x", "voice": "alloy"}
    for way in (
        {"json": {**body, "model": "agent/support"}},
        {"json": {**body, "model": MODEL}, "headers": {"x-agent-id": "support"}},
    ):
        assert error_of(caller.ask("POST", f"/v1/{path}", **way)) == (400, "invalid_request")  # type: ignore[arg-type]
    caller.assert_untouched()


@pytest.mark.parametrize("value", ["", "x" * 256])
def test_a_header_that_names_nothing_that_could_be_is_refused(caller: Caller, value: str) -> None:
    assert error_of(caller.chat(headers={"x-agent-id": value})) == (400, "invalid_request")
    twice = caller.chat(headers=[("x-agent-id", "a"), ("X-Agent-Id", "a")])
    assert error_of(twice) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("allowed", "status"),
    [("support", 200), ("supp*", 200), ("ID", 200), ("*", 200), ("sales", 403), ("Support", 403), ("agent/*", 403)],
)
def test_whoever_is_confined_to_agents_calls_as_these(site: Site, caller: Caller, allowed: str, status: int) -> None:
    made = agent(caller)
    confined = site.caller(caller.project, agents=[made["id"] if allowed == "ID" else allowed])
    answer = confined.chat(model="agent/support")
    assert answer.status_code == status
    named = [model["id"] for model in confined.ask("GET", "/v1/models").json()["data"]]
    assert named == (["agent/support"] if status == 200 else [])
    if status != 200:
        assert error_of(answer) == (403, "agent_not_allowed")
        assert answer.json()["error"]["message"] == "The key does not allow this agent."
        caller.assert_untouched()


def test_an_agents_model_is_one_that_the_caller_may_use(site: Site, caller: Caller) -> None:
    agent(caller)
    confined = site.caller(caller.project, models=["gpt-4o"])
    assert error_of(confined.chat(model="agent/support")) == (403, "model_not_allowed")
    assert "agent/support" not in confined.ask("GET", "/v1/models").text
    caller.assert_untouched()
    allowed = site.caller(caller.project, models=[MODEL])
    assert allowed.chat(model="agent/support").status_code == 200


def test_an_agents_model_is_found_as_any_name_is(site: Site, caller: Caller, upstream: Upstream) -> None:
    caller.change(aliases={"fast": ["up/gpt-4.1-nano"]})
    agent(caller, model="fast")
    assert caller.chat(model="agent/support").status_code == 200
    assert sent(upstream)["model"] == "gpt-4.1-nano"
    lost = site.project(provider={"models": [MODEL]})
    agent(lost, name="other")
    agent(site.project(), model="nobodys")
    change(lost, site.admin.make(f"/projects/{lost.id}/agents", {"name": "lost", "model": "nobodys"}))
    until(lambda: error_of(lost.chat(model="agent/lost")) == (404, "model_not_found"), patience=1.0)


def test_a_change_holds_within_a_second_and_each_row_says_which_version_it_was(
    site: Site, caller: Caller, upstream: Upstream
) -> None:
    made = agent(caller)
    first = caller.chat(model="agent/support")
    changed = change(caller, made, instructions="Be long.", name="helper")
    assert changed["version"] == 2
    until(lambda: caller.chat(model="agent/helper").status_code == 200, patience=1.0)
    assert sent(upstream)["messages"][0]["content"] == "Be long."
    assert caller.chat(model="agent/support").status_code == 404
    assert caller.chat(model=f"agent/{made['id']}").status_code == 200
    assert explained(site, first)["agent"] == {"id": made["id"], "version": 1}
    answer = caller.chat(headers={"x-agent-id": "helper"})
    told = explained(site, answer)
    assert told["agent"] == {"id": made["id"], "version": 2}
    (step,) = [decision for decision in told["decisions"] if decision["step"] == "agent"]
    assert step["reason"] == f"The call was made as the agent {made['id']}, by its version 2."
    assert explained(site, caller.chat())["agent"] is None
    change(caller, made, enabled=False)
    until(lambda: caller.chat(model="agent/helper").status_code == 404, patience=1.0)


def test_a_refusal_is_explained_where_the_agent_is_decided(site: Site, caller: Caller) -> None:
    agent(caller)
    confined = site.caller(caller.project, agents=["sales"])
    for answer, code in (
        (confined.chat(model="agent/support"), "agent_not_allowed"),
        (confined.chat(), "agent_not_allowed"),
        (caller.chat(headers={"x-agent-id": "absent"}), "not_found"),
    ):
        told = explained(site, answer)
        (step,) = [decision for decision in told["decisions"] if decision["outcome"] == "refused"]
        assert (step["step"], step["code"]) == ("agent", code)


def test_an_agent_of_a_large_conversation_adds_its_instructions_and_nothing_else(
    caller: Caller, upstream: Upstream
) -> None:
    agent(caller)
    messages = [{"role": "user", "content": "x" * 700_000}]
    assert caller.chat(model="agent/support", messages=messages).status_code == 200
    assert sent(upstream)["messages"] == [SYSTEM, *messages]


def explained(site: Site, answer: httpx2.Response) -> dict[str, Any]:
    """What the control plane says of a request."""
    path = f"/admin/v1/requests/{answer.headers['x-request-id']}"
    headers = {"authorization": f"Bearer {site.installation.keys['admin_key']}"}
    until(lambda: site.http.get(path, headers=headers).status_code == 200, patience=3.0)
    found: dict[str, Any] = site.http.get(path, headers=headers).json()
    return found


def test_an_agents_rules_and_maximum_hold_beside_the_callers_own(
    site: Site, caller: Caller, upstream: Upstream
) -> None:
    function = {"type": "function", "function": {"name": "search", "parameters": {"type": "object"}}}
    agent(
        caller, tools={"allow": ["search", "look"]}, tool_definitions=[function], parameters={"max_output_tokens": 50}
    )
    theirs = [{"type": "function", "function": {"name": name}} for name in ("look", "delete_all")]
    answer = caller.chat(model="agent/support", tools=theirs, max_tokens=500)
    assert answer.status_code == 200, answer.text
    asked = sent(upstream)
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["search", "look"]
    assert asked["max_tokens"] == 50
    assert caller.chat(tools=theirs, max_tokens=500).status_code == 200
    assert (len(sent(upstream)["tools"]), sent(upstream)["max_tokens"]) == (2, 500)
    confined = site.caller(caller.project, tools={"deny": ["search"]})
    until(lambda: confined.chat(model="agent/support", tools=theirs, max_tokens=5).status_code == 200)
    assert [tool["function"]["name"] for tool in sent(upstream)["tools"]] == ["look"]
    assert sent(upstream)["max_tokens"] == 5
