"""Agents in the dashboard: made, changed, removed by forms; what each version changed, and by whom."""

from __future__ import annotations

from typing import Any, Final

import pytest

from tests.dashboard import Browser, done

EVERYTHING: Final = {
    "name": "support", "model": "openai/gpt-4o-mini", "description": "Answers <b>customers</b>",
    "instructions": "Be kind.\n  Say “sir” & {{ 7 * 7 }}.",
    "tools": {"allow": ["search_*"], "deny": ["search_all"]},
    "tool_definitions": [{"type": "function", "function": {"name": "search_docs", "parameters": {"type": "object"}}}],
    "parameters": {
        "response_format": {"type": "json_object"}, "temperature": 0.2, "max_output_tokens": 800,
        "reasoning_effort": "low",
    },
    "enabled": False,
}  # fmt: skip


async def place(browser: Browser) -> tuple[str, str]:
    """The page of a project's agents, and their address in the API."""
    project = await browser.control.project()
    return f"/dashboard/projects/{project['id']}/agents", f"/projects/{project['id']}/agents"


async def the_agent(browser: Browser, api: str) -> dict[str, Any]:
    """The only one."""
    agent: dict[str, Any]
    (agent,) = (await browser.control.read(api))["data"]
    return agent


async def test_an_agent_is_made_changed_and_removed_by_forms(browser: Browser) -> None:
    page, api = await place(browser)
    assert "No agents yet" in (await browser.get(page)).text
    fields = {
        "name": "support", "model": "echo", "instructions": "Be brief.", "parameters.temperature": "0.5",
        "parameters.reasoning_effort": "high", "tools.deny": "*_delete",
        "tool_definitions": '[{"type": "function", "function": {"name": "search"}}]',
    }  # fmt: skip
    assert done(await browser.send(f"{page}/new", **fields)) == "created"
    agent = await the_agent(browser, api)
    assert (agent["version"], agent["enabled"], agent["instructions"]) == (1, True, "Be brief.")
    assert agent["parameters"] == {"temperature": 0.5, "reasoning_effort": "high"}
    assert agent["tool_definitions"] == [{"type": "function", "function": {"name": "search"}}]
    assert agent["tools"] == {"deny": ["*_delete"]}
    one = f"{page}/{agent['id']}"
    emptied = dict.fromkeys(("instructions", "parameters.temperature", "tool_definitions", "tools.deny"), "")
    assert done(await browser.send(one, **emptied, enabled=None)) == "saved"
    changed = await the_agent(browser, api)
    assert (changed["version"], changed["enabled"], changed["instructions"]) == (2, False, None)
    assert (changed["parameters"], changed["tool_definitions"]) == ({"reasoning_effort": "high"}, [])
    assert changed["tools"] is None
    assert done(await browser.send(one, action=f"{one}/remove")) == "removed"
    assert [(await browser.get(address)).status for address in (one, f"{one}/versions")] == [404, 404]


async def test_who_saves_an_agent_as_it_was_found_makes_no_version(browser: Browser) -> None:
    page, api = await place(browser)
    made = await browser.control.make(api, **EVERYTHING)
    assert done(await browser.send(f"{page}/{made['id']}")) == "saved"
    assert await the_agent(browser, api) == made


async def test_each_version_tells_what_it_changed_and_by_whom(browser: Browser) -> None:
    page, api = await place(browser)
    made = await browser.control.make(api, **EVERYTHING)
    admin = browser.as_("admin", made["tenant_id"])
    assert done(await admin.send(f"{page}/{made['id']}", instructions="Be <i>brief</i>.", enabled="yes")) == "saved"
    seen = (await browser.get(f"{page}/{made['id']}/versions")).page
    rows = " ".join(seen.text.split()).partition("What changed By")[2]
    newest, _, first = rows.partition("Made, with the model")
    assert newest.strip().startswith("2 ")
    assert "Instructions Be kind. Say “sir” & {{ 7 * 7 }}. Be <i>brief</i>. Enabled false true" in newest
    assert admin.visitor.operator.shown_id in newest
    assert made["created_by"] in first
    assert "<i>" not in seen.html


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Not A Name"}, "must be 1 to 63 of a-z"),
        ({"model": "agent/other"}, "must be a model, and no agent"),
        ({"parameters.temperature": "hot"}, "must be a number"),
        ({"parameters.temperature": "9"}, "must be a number from 0 to 2"),
        ({"parameters.response_format": "{"}, "must be JSON"),
        ({"tool_definitions": '{"a": 1}'}, "list"),
        ({"tool_definitions": "[1]"}, "must be an object"),
    ],
)
async def test_an_agent_that_cannot_be_is_told_in_its_form(browser: Browser, fields: dict[str, str], said: str) -> None:
    page, api = await place(browser)
    wrong = await browser.send(f"{page}/new", **{"name": "support", "model": "echo", **fields})
    assert (wrong.status, said in wrong.text) == (422, True), wrong.text
    shown = wrong.page.form("").fields
    assert {name: shown[name] for name in fields} == {name: [value] for name, value in fields.items()}
    assert (await browser.control.read(api))["data"] == []


async def test_an_agent_that_somebody_else_changed_is_not_overwritten(browser: Browser) -> None:
    page, api = await place(browser)
    made = await browser.control.make(api, name="support", model="echo")
    form = (await browser.get(f"{page}/{made['id']}")).page.form("")
    await browser.control.change(f"{api}/{made['id']}", model="theirs")
    assert (await browser.post(f"{page}/{made['id']}", {**form.fields, "model": ["mine"]})).status == 412
    assert (await the_agent(browser, api))["model"] == "theirs"
