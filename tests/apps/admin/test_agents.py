"""`/admin/v1/projects/{id}/agents`: a project's agents, and what they said before."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bailiwick.services import agents
from tests.control import UNKNOWN, Audit, Control

SEARCH: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Finds.",
        "parameters": {"type": "object", "multipleOf": 0.5},
        "strict": True,
    },
}
SCHEMA = {"name": "n", "schema": {"type": "object", "properties": {"z": {}, "a": {}}}}
FULL: dict[str, Any] = {
    "name": "support",
    "description": "Answers customers.",
    "model": "openai/gpt-4o",
    "instructions": "Be brief.\nBe kind.",
    "tools": {"allow": ["search"], "deny": ["search_all"]},
    "tool_definitions": [SEARCH],
    "parameters": {
        "temperature": 0.5, "top_p": 1, "max_output_tokens": 100, "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    },
    "enabled": False,
}  # fmt: skip


async def made(control: Control, **fields: object) -> tuple[str, dict[str, Any]]:
    """An agent of a new project, and the address of the project's agents."""
    path = f"/projects/{(await control.project())['id']}/agents"
    return path, await control.make(path, **{"name": "support", "model": "echo", **fields})


async def test_an_agent_is_made_read_changed_and_removed(control: Control, audit: Audit) -> None:
    project = await control.project()
    path = f"/projects/{project['id']}/agents"
    answer = await control.ask("POST", path, FULL)
    agent = answer.json()
    assert answer.status_code == 201, agent
    own = f"{path}/{agent['id']}"
    assert (answer.status_code, answer.headers["location"]) == (201, f"/admin/v1{own}")
    by, at = control.operator_id, "2026-11-21T12:00:02Z"
    named = {"id": agent["id"], "tenant_id": project["tenant_id"], "project_id": project["id"], "version": 1}
    times = {"created_at": at, "created_by": by, "changed_at": at, "changed_by": by}
    assert agent == {**named, **FULL, **times}
    assert agent["id"].startswith("agt_")
    # The order of a schema's properties is the order in which a model answers.
    schema = agent["parameters"]["response_format"]["json_schema"]["schema"]
    assert list(schema["properties"]) == ["z", "a"]
    assert await control.read(own) == agent
    assert (await control.read(path))["data"] == [agent]
    changed = await control.change(own, model="echo", parameters={"top_p": None}, tools=None, enabled=None)
    assert (changed["version"], changed["model"], changed["tools"], changed["enabled"]) == (2, "echo", None, True)
    assert changed["parameters"] == {name: said for name, said in FULL["parameters"].items() if name != "top_p"}
    assert (await control.ask("DELETE", own)).status_code == 204
    assert (await control.ask("GET", own)).status_code == 404
    assert (await control.ask("GET", f"{own}/versions")).status_code == 404
    entries = audit(agent["id"])
    assert [entry.action for entry in entries] == ["agent.create", "agent.change", "agent.remove"]
    assert entries[0].detail["after"] == agent
    assert {entry.actor for entry in entries} == {control.operator_id}


async def test_each_change_makes_a_version_and_the_versions_before_are_kept(control: Control) -> None:
    path, agent = await made(control, instructions="One.")
    own = f"{path}/{agent['id']}"
    assert await control.change(own, instructions="One.") == agent
    second = await control.change(own, instructions="Two.", name="helper")
    versions = (await control.read(f"{own}/versions"))["data"]
    assert [(v["version"], v["instructions"], v["name"]) for v in versions] == [
        (1, "One.", "support"),
        (2, "Two.", "helper"),
    ]
    assert {v["agent_id"] for v in versions} == {agent["id"]}
    assert {v["created_by"] for v in versions} == {control.operator_id}
    assert (versions[1]["created_at"], second["created_at"]) == (second["changed_at"], agent["created_at"])
    page = await control.read(f"{own}/versions?limit=1")
    assert (page["data"], page["has_more"]) == (versions[:1], True)
    assert (await control.read(f"{own}/versions?limit=1&after={page['next']}"))["data"] == versions[1:]


async def test_another_order_of_a_schemas_properties_is_another_version(control: Control) -> None:
    path, agent = await made(control, tool_definitions=[SEARCH])
    turned = {**SEARCH, "function": dict(reversed(SEARCH["function"].items()))}
    changed = await control.change(f"{path}/{agent['id']}", tool_definitions=[turned])
    assert changed["version"] == 2
    assert list(changed["tool_definitions"][0]["function"]) == ["strict", "parameters", "description", "name"]


async def test_changes_at_once_each_make_a_version_of_their_own_and_none_is_lost(control: Control) -> None:
    path, agent = await made(control)
    own = f"{path}/{agent['id']}"
    patches: list[dict[str, Any]] = [
        {"description": "d"}, {"instructions": "i"}, {"model": "m"}, {"enabled": False}, {"name": "n"},
        {"tools": {"deny": ["x"]}}, {"parameters": {"temperature": 1}}, {"parameters": {"top_p": 1}},
    ]  # fmt: skip
    answers = await asyncio.gather(*(control.ask("PATCH", own, patch) for patch in patches))
    assert sorted(answer.json()["version"] for answer in answers) == [2, 3, 4, 5, 6, 7, 8, 9]
    versions = (await control.read(f"{own}/versions"))["data"]
    assert [v["version"] for v in versions] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    after = await control.read(own)
    assert all(after[name] == said for patch in patches[:-2] for name, said in patch.items())
    assert after["parameters"] == {"temperature": 1, "top_p": 1}


async def test_names_are_unique_in_a_project(control: Control) -> None:
    path, agent = await made(control)
    status, problem = await control.refused("POST", path, {"name": "support", "model": "echo"})
    assert (status, problem["code"], problem["detail"]) == (409, "conflict", "An agent of this name exists already.")
    other = await control.make(path, name="sales", model="echo")
    assert (await control.refused("PATCH", f"{path}/{other['id']}", {"name": "support"}))[0] == 409
    assert (await control.read(f"{path}/{other['id']}")) == other
    await made(control)  # In another project.
    assert (await control.ask("DELETE", f"{path}/{agent['id']}")).status_code == 204
    assert (await control.change(f"{path}/{other['id']}", name="support"))["version"] == 2


@pytest.mark.parametrize(
    "name",
    ["", "Support", "SUPPORT", "support ", "sup port", "-a", "a-", ".", "a/b", "agt_1", "x" * 64,
     "\u0455upport", "\ufb01", "*", "a\u200b", "\u0430"],
)  # fmt: skip
async def test_a_name_has_one_spelling_and_none_looks_like_another(control: Control, name: str) -> None:
    path, _ = await made(control)
    assert list(await control.wrong_fields("POST", path, {"name": name, "model": "echo"})) == ["name"]


@pytest.mark.parametrize("name", ["a", "gpt-4o", "echo", "agent", "a.b_c-d", "x" * 63])
async def test_a_name_may_be_a_models_which_is_named_otherwise(control: Control, name: str) -> None:
    assert (await made(control, name=name))[1]["name"] == name


def function(**fields: object) -> dict[str, Any]:
    return {"tool_definitions": [{"type": "function", "function": fields}]}


def schema(**fields: object) -> dict[str, Any]:
    return {"parameters": {"response_format": {"type": "json_schema", "json_schema": fields}}}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": "a b"}, "model"),
        ({"model": "agent/support"}, "model"),
        ({"model": "agent/other"}, "model"),
        ({"model": "agent"}, "model"),
        ({"description": "x" * 1001}, "description"),
        ({"instructions": ""}, "instructions"),
        ({"instructions": "x" * 65_537}, "instructions"),
        ({"instructions": "ü" * 32_769}, "instructions"),
        ({"instructions": 3}, "instructions"),
        ({"tools": []}, "tools"),
        ({"tools": {"allowed": []}}, "tools.allowed"),
        ({"tools": {"allow": ["a b"]}}, "tools.allow.0"),
        ({"tool_definitions": [SEARCH, SEARCH]}, "tool_definitions"),
        ({"tool_definitions": [{"type": "web_search"}]}, "tool_definitions.0"),
        ({"tool_definitions": [{"type": "function", "function": 3}]}, "tool_definitions.0.function"),
        ({"tool_definitions": [{**SEARCH, "cache_control": {}}]}, "tool_definitions.0"),
        (function(), "tool_definitions.0.function.name"),
        (function(name="a b"), "tool_definitions.0.function.name"),
        (function(name="x" * 65), "tool_definitions.0.function.name"),
        (function(name="x" * 10_000), "tool_definitions.0.function.name"),
        (function(name="x", parameters=[]), "tool_definitions.0.function.parameters"),
        (function(name="x", strict=1), "tool_definitions.0.function.strict"),
        (function(name="x", code="y"), "tool_definitions.0.function.code"),
        (function(name="x", description="y" * 65_536), "tool_definitions"),
        ({"tool_definitions": [function(name=f"f{n}")["tool_definitions"][0] for n in range(129)]}, "tool_definitions"),
        ({"parameters": {"temperature": 2.1}}, "parameters.temperature"),
        ({"parameters": {"temperature": True}}, "parameters.temperature"),
        ({"parameters": {"temperature": "0"}}, "parameters.temperature"),
        ({"parameters": {"top_p": -1}}, "parameters.top_p"),
        ({"parameters": {"max_output_tokens": 0}}, "parameters.max_output_tokens"),
        ({"parameters": {"max_output_tokens": 1.5}}, "parameters.max_output_tokens"),
        ({"parameters": {"max_output_tokens": 2**31}}, "parameters.max_output_tokens"),
        ({"parameters": {"reasoning_effort": "LOW"}}, "parameters.reasoning_effort"),
        ({"parameters": {"reasoning_effort": {}}}, "parameters.reasoning_effort"),
        ({"parameters": {"response_format": "json"}}, "parameters.response_format"),
        ({"parameters": {"response_format": {"type": "json_object", "x": 1}}}, "parameters.response_format"),
        ({"parameters": {"response_format": {"type": []}}}, "parameters.response_format"),
        (schema(name="x"), "parameters.response_format"),
        (schema(name="x", schema=[]), "parameters.response_format"),
        (schema(name="a b", schema={}), "parameters.response_format"),
        (schema(name="x", schema={}, more=1), "parameters.response_format"),
        (schema(name="x", schema={"description": "y" * 65_536}), "parameters"),
        ({"parameters": {"model": "gpt-4o"}}, "parameters.model"),
        ({"parameters": {"messages": []}}, "parameters.messages"),
        ({"enabled": "yes"}, "enabled"),
        ({"version": 3}, "version"),
    ],
)
async def test_an_agent_that_cannot_be_is_refused_by_its_field(
    control: Control, fields: dict[str, Any], field: str
) -> None:
    path, agent = await made(control)
    wrong = await control.wrong_fields("POST", path, {"name": "other", "model": "echo", **fields})
    assert list(wrong) == [field]
    assert list(await control.wrong_fields("PATCH", f"{path}/{agent['id']}", fields)) == [field]
    assert await control.read(f"{path}/{agent['id']}") == agent


async def test_instructions_of_a_megabyte_are_refused_as_a_body_is(control: Control) -> None:
    path, _ = await made(control)
    body = {"name": "other", "model": "echo", "instructions": "x" * 1024 * 1024}
    assert (await control.refused("POST", path, body))[0] == 413


async def test_a_project_has_at_most_so_many_agents_however_they_come(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "MAX_AGENTS", 3)
    path, _ = await made(control)
    bodies = ({"name": f"a{n}", "model": "echo"} for n in range(6))
    answers = await asyncio.gather(*(control.ask("POST", path, body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 409, 409, 409, 409]


async def test_there_are_no_agents_of_no_project(control: Control) -> None:
    path = f"/projects/{UNKNOWN['prj']}/agents"
    assert (await control.refused("GET", path))[0] == 404
    assert (await control.refused("POST", path, {"name": "a", "model": "echo"}))[0] == 404


async def test_an_agent_of_another_project_is_not_there(control: Control) -> None:
    path, agent = await made(control)
    other, _ = await made(control)
    for method, body in (("GET", None), ("PATCH", {"name": "mine"}), ("DELETE", None)):
        assert (await control.refused(method, f"{other}/{agent['id']}", body))[0] == 404
    assert (await control.refused("GET", f"{other}/{agent['id']}/versions"))[0] == 404
    assert await control.read(f"{path}/{agent['id']}") == agent


async def test_a_number_that_no_parser_holds_is_refused(control: Control) -> None:
    path, agent = await made(control)
    body = (
        b'{"parameters": {"response_format": {"type": "json_schema", "json_schema": {"schema": {"maximum": 1e999}}}}}'
    )
    answer = await control.http.patch(
        f"/admin/v1{path}/{agent['id']}", content=body, headers={"content-type": "application/merge-patch+json"}
    )
    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == ["parameters"]
