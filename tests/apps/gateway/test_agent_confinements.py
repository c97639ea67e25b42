"""Whoever is confined to agents calls as one of them, and in no other way: by key, token and tier, at every door."""

from __future__ import annotations

from dataclasses import replace

from tests.serving import ASK, Caller, Site, error_of, until


def holder(caller: Caller, **fields: object) -> Caller:
    """Whoever holds a token of a user of the project."""
    minted = caller.ask("POST", "/v1/auth/mint", json={"user_id": "ann", **fields}).json()
    return replace(caller, key=minted["token"])


def test_a_key_that_is_confined_to_agents_asks_no_model_directly(site: Site) -> None:
    caller = site.project(key={"agents": ["support"]})
    refusal = caller.chat()
    assert error_of(refusal) == (403, "agent_not_allowed")
    assert refusal.json()["error"]["message"] == "The key allows calls as agents only."
    for path, body in (("embeddings", {"input": "x"}), ("responses", {"input": "x"}), ("messages", {"messages": ASK})):
        answer = caller.ask("POST", f"/v1/{path}", json={"model": "gpt-4o", "max_tokens": 9, **body})
        assert answer.status_code == 403, path
    assert caller.ask("GET", "/v1/models").json()["data"] == []
    assert caller.ask("GET", "/v1/me").json()["agents"] == ["support"]
    caller.assert_untouched()


def test_tokens_of_a_key_are_confined_to_what_it_is_confined_to_now(site: Site) -> None:
    caller = site.project()
    token = holder(caller)
    assert token.chat().status_code == 200
    site.admin.change(f"/keys/{caller.key_id}", {"agents": ["support"]})
    until(lambda: error_of(token.chat()) == (403, "agent_not_allowed"), patience=1.0)
    site.admin.change(f"/keys/{caller.key_id}", {"agents": None})
    until(lambda: token.chat().status_code == 200, patience=1.0)


def test_a_tier_confines_whoever_is_under_it(site: Site) -> None:
    caller = site.project()
    site.admin.make(f"/projects/{caller.id}/tiers", {"name": "free", "agents": ["*"]})
    free, other = holder(caller, tier="free"), holder(caller, tier="pro")
    until(lambda: error_of(free.chat()) == (403, "agent_not_allowed"), patience=1.0)
    assert free.chat().json()["error"]["message"] == "The tier 'free' allows calls as agents only."
    assert other.chat().status_code == 200
