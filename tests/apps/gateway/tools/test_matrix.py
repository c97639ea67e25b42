"""Project by key by tier by role by agent, at every door that has tools: what is visible is what can be used.

Each of the five says nothing, allows some things, or denies one. What a caller sees and what they may use is what all
five let, at the models' doors, whole and streamed, and at a tool server, in both revisions; of the rest nobody hears.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, Final, final

import pytest

from tests.apps.gateway.test_tools import calling
from tests.apps.gateway.tools.cases import ask, error_of
from tests.apps.gateway.tools.test_attacks import JSON
from tests.domain.tool_bodies import CHAT, MESSAGES, RESPONSES, function
from tests.serving import ASK, Caller, Site, until
from tests.upstream import Behaviour, Upstream

TOOLS: Final = ("alpha", "beta", "gamma", "delta")
PROMPTS: Final = ("p1", "p2")
RESOURCES: Final = ("file:///r1", "file:///r2")
EVERYTHING: Final = frozenset(TOOLS + PROMPTS + RESOURCES)
NOTHING_SAID, SOME, BUT_ONE = range(3)
RULES: Final[tuple[dict[str, Any] | None, ...]] = (
    None,
    {"allow": ["alpha", "b*", "tools/delta", "delta", "tools/prompt:p1", "tools/resource:*"]},
    {"deny": ["BETA", "*/R2"]},
)
# What each of them lets, written by hand.
LET: Final = (EVERYTHING, EVERYTHING - {"gamma", "p2"}, EVERYTHING - {"beta", "file:///r2"})
REFUSING: Final = {"deny": ["epsilon"], "mode": "refuse"}
DOORS: Final = (CHAT, RESPONSES, MESSAGES)
# How a tool server is asked for each: the method of its list, the list, a thing's name there, the method that uses it.
KINDS: Final = (
    ("tools/list", "tools", "name", "tools/call", TOOLS),
    ("prompts/list", "prompts", "name", "prompts/get", PROMPTS),
    ("resources/list", "resources", "uri", "resources/read", RESOURCES),
)
SCOPES: Final = ["chat:create", "responses:create", "messages:create", "tools:call"]
MODEL_OF: Final = {CHAT: "up/m", RESPONSES: "up/m", MESSAGES: "ant/m"}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One caller: with which token, as which agent, and what is let."""

    caller: Caller
    agent: int
    let: frozenset[str]

    def headers(self, path: str) -> dict[str, str]:
        return {"x-agent-id": f"{MODEL_OF[path][:2]}-{self.agent}"} if self.agent else {}


def settled(caller: Caller, tier: int, role: int) -> bool:
    said = caller.ask("GET", "/v1/me").json()
    return (said["tier"], said["role"]) == (f"t{tier}", f"r{role}")


def cases(site: Site, tools: dict[str, Any] | None, variant: int) -> Iterator[tuple[int, Case]]:
    """Callers of a new project with these rules, and a turn for each; `let` is without what these say.

    A third of all there are, chosen so that every four of the five meet in every way (an orthogonal array).
    """
    tenant = site.admin.tenant()["id"]
    keys = [site.project(tenant_id=tenant, tools=tools, key={"tools": RULES[0]})]
    (project,) = (keys[0].project,)
    keys += [site.caller(project, tools=rules) for rules in RULES[1:]]
    site.admin.provider(project["id"], site.upstream.base_url, name="ant", kind="anthropic")
    site.admin.mcp_server(project["id"], site.upstream.base_url.removesuffix("/v1") + "/mcp")
    for number, rules in enumerate(RULES):
        said: dict[str, Any] = {} if rules is None else {"tools": rules}
        site.admin.make(f"/projects/{project['id']}/tiers", {"name": f"t{number}", **said})
        site.admin.make(f"/tenants/{tenant}/roles", {"name": f"r{number}", "permissions": SCOPES, **said})
        for model in {*MODEL_OF.values()} if number else ():
            site.admin.make(
                f"/projects/{project['id']}/agents", {"name": f"{model[:2]}-{number}", "model": model, **said}
            )
    for key, tier, role in product(range(len(RULES)), repeat=3):
        wanted = {"user_id": "ada", "tier": f"t{tier}", "role": f"r{role}"}
        token = keys[key].ask("POST", "/v1/auth/mint", json=wanted).json()["token"]
        caller = Caller(site=site, project=project, key=token, key_id=keys[key].key_id)
        until(lambda caller=caller, tier=tier, role=role: settled(caller, tier, role))
        agent = (variant - key - tier - role) % len(RULES)
        yield key + 2 * tier, Case(caller=caller, agent=agent, let=LET[key] & LET[tier] & LET[role] & LET[agent])


def serve(upstream: Upstream) -> None:
    """Models that call everything, and a tool server that lists everything, whatever is asked."""
    lists = {name: [{field: one} for one in things] for _, name, field, _, things in KINDS}
    said = {"jsonrpc": "2.0", "id": 7, "result": {**lists, "content": [], "messages": [], "contents": []}}
    upstream.clear()
    upstream.on("/mcp", Behaviour(body=json.dumps(said).encode(), headers=JSON))


def at_a_model(case: Case, path: str, *, stream: bool, refusing: bool) -> None:
    """Offer every tool at a door whose model calls every tool."""
    upstream, let = case.caller.site.upstream, case.let & set(TOOLS)
    upstream.on(f"/v1{path}", calling(path, *TOOLS, stream=stream))
    heard = len(upstream.requests)
    body = {"input": "x"} if path == RESPONSES else {"messages": ASK, "max_tokens": 9}
    tools = [function(name, path) for name in TOOLS]
    answer = case.caller.ask(
        "POST", f"/v1{path}", headers=case.headers(path),
        json={**body, "model": MODEL_OF[path], "tools": tools, "stream": stream},
    )  # fmt: skip
    if refusing and let < set(TOOLS):
        assert answer.status_code == 403, answer.text
        assert len(upstream.requests) == heard
        return
    assert answer.status_code == 200, answer.text
    assert {name for name in TOOLS if f'"{name}"' in answer.text} == let
    (record,) = upstream.requests[heard:]
    assert {tool.get("name") or tool["function"]["name"] for tool in record.json.get("tools", [])} == let
    assert not any(name.encode() in record.body for name in set(TOOLS) - let)


def at_the_tool_server(case: Case, number: int, *, stateless: bool) -> None:
    """List all things of a kind, and use each."""
    listing, listed, field, using, things = KINDS[number]
    upstream, more = case.caller.site.upstream, case.headers(CHAT)
    answer = ask(case.caller, listing, stateless=stateless, more=more)
    assert {thing[field] for thing in answer.json()["result"][listed]} == case.let & set(things)
    for thing in things:
        heard = len(upstream.requests)
        used = ask(case.caller, using, stateless=stateless, more=more, **{field: thing})
        expected = (200, None) if thing in case.let else (403, "tool_not_allowed")
        assert error_of(used)[::2] == expected, (thing, used.text)
        assert len(upstream.requests) == heard + (thing in case.let)


@pytest.mark.parametrize("variant", range(len(RULES) + 1))
def test_what_is_visible_is_what_can_be_used_and_both_are_what_all_five_let(
    site: Site, upstream: Upstream, variant: int
) -> None:
    refusing = variant == len(RULES)
    done = 0
    for turn, case in cases(site, REFUSING if refusing else RULES[variant], variant):
        held = Case(caller=case.caller, agent=case.agent, let=case.let if refusing else case.let & LET[variant])
        path = DOORS[turn % len(DOORS)]
        serve(upstream)
        try:
            for stream in (False, True):
                at_a_model(held, path, stream=stream, refusing=refusing)
            at_the_tool_server(held, 0, stateless=done % 2 == 0)
            at_the_tool_server(held, 1 + turn % 2, stateless=done % 2 > 0)
        except AssertionError as error:
            raise AssertionError((done, path)) from error
        done += 1
    assert done == len(RULES) ** 3
