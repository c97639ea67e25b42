"""At a tool server as an agent: within its rules, and for whoever is confined to agents in no other way."""

from __future__ import annotations

from tests.apps.gateway.tools.cases import call, error_of, scripted
from tests.apps.gateway.tools.test_attacks import result
from tests.serving import Caller, Site, until
from tests.upstream import Upstream


def as_agent(name: str) -> dict[str, str]:
    return {"x-agent-id": name}


def made(site: Site, **key: object) -> Caller:
    """Somebody of a project with a tool server, and an agent that may only look."""
    site.upstream.on("/mcp", result())
    caller = scripted(site, key=key)
    fields = {"name": "support", "model": "echo", "tools": {"allow": ["look"]}}
    site.admin.make(f"/projects/{caller.id}/agents", fields)
    until(lambda: call(caller, "look", more=as_agent("support")).status_code == 200)
    return caller


def test_an_agents_rules_hold_at_a_tool_server(site: Site, upstream: Upstream) -> None:
    caller = made(site)
    assert call(caller, "write").status_code == 200
    heard = len(upstream.requests)
    refused = call(caller, "write", more=as_agent("support"))
    assert error_of(refused)[2] == "tool_not_allowed"
    assert "the agent 'support'" in refused.json()["error"]["message"].casefold()
    assert len(upstream.requests) == heard


def test_whoever_is_confined_to_agents_uses_tools_as_one_of_them_alone(site: Site, upstream: Upstream) -> None:
    caller = made(site, agents=["support"])
    heard = len(upstream.requests)
    for more in ({}, as_agent("nobody")):
        refused = call(caller, "look", more=more)
        assert (refused.status_code, error_of(refused)[2]) in {(403, "agent_not_allowed"), (404, "not_found")}
    assert len(upstream.requests) == heard
