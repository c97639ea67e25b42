"""Tiers, revocations and signing keys by commands."""

from __future__ import annotations

import pytest

from tests.apps.cli.commands import Commands, commands
from tests.serving import Caller, Site, until


@pytest.fixture
def shell(site: Site) -> Commands:
    return commands(site)


def where(caller: Caller) -> tuple[str, ...]:
    return ("--project", caller.id)


def test_a_tier_is_made_changed_and_deleted_by_its_name(shell: Commands, site: Site) -> None:
    caller = site.project()
    limit = ("--rate-limit", "user:requests=600,per=1m")
    made = shell.document("tiers", "create", "pro", *limit, "--model", "gpt-*", "--agent", "sup*", *where(caller))
    assert (made["limits"]["user"]["requests"], made["models"], made["agents"]) == (600, ["gpt-*"], ["sup*"])
    changed = shell.document("tiers", "update", "pro", "--name", "plus", "--clear", "models", *where(caller))
    assert (changed["name"], changed["models"], changed["limits"]) == ("plus", None, made["limits"])
    assert made["id"] in shell.run("tiers", "list", *where(caller)).out
    assert shell.document("projects", "update", caller.id, "--default-tier", "plus")["default_tier"] == "plus"
    assert shell.run("tiers", "delete", "plus", "--yes", *where(caller)).status == 0
    assert shell.run("tiers", "show", "plus", *where(caller)).status == 1


def test_rules_of_tools_are_given_pattern_by_pattern(shell: Commands, site: Site) -> None:
    caller = site.project()
    tools = ("--allow-tool", "search_*", "--allow-tool", "mcp", "--deny-tool", "search_all")
    said = {"allow": ["search_*", "mcp"], "deny": ["search_all"]}
    tier = shell.document("tiers", "create", "free", *tools, "--max-output-tokens", "500", *where(caller))
    assert (tier["tools"], tier["max_output_tokens"]) == (said, 500)
    assert shell.document("keys", "create", "Narrow", *tools, *where(caller))["tools"] == said
    changed = shell.document("projects", "update", caller.id, "--deny-tool", "x", "--tool-mode", "refuse")
    assert changed["tools"] == {"deny": ["x"], "mode": "refuse"}
    assert shell.document("projects", "update", caller.id, "--clear", "tools")["tools"] is None
    assert shell.run("tiers", "update", "free", "--max-output-tokens", "many", *where(caller)).status == 2


def test_a_key_is_tied_to_a_tier_and_to_addresses(shell: Commands, site: Site) -> None:
    caller = site.project()
    given = ("--tier", "free", "--agent", "support", "--ip-allow", "192.0.2.7", "--ip-allow", "2001:DB8::/32")
    made = shell.document("keys", "create", "Tied", *given, *where(caller))
    assert (made["agents"], made["tier"], made["ip_allow"]) == (["support"], "free", ["192.0.2.7/32", "2001:db8::/32"])
    freed = shell.document("keys", "update", "Tied", "--clear", "ip-allow", "--clear", "tier", *where(caller))
    assert (freed["tier"], freed["ip_allow"]) == (None, None)


def test_what_a_user_has_is_revoked(shell: Commands, site: Site) -> None:
    caller = site.project()
    minted = caller.ask("POST", "/v1/auth/mint", json={"user_id": "ada", "session_id": "s-1"}).json()
    bearer = {"authorization": f"Bearer {minted['token']}"}
    assert site.ask("GET", "/v1/me", headers=bearer).status_code == 200
    made = shell.document("revoke", "--user", "ada", "--yes", *where(caller))
    assert (made["user_id"], made["session_id"], made["jti"]) == ("ada", None, None)
    until(lambda: site.ask("GET", "/v1/me", headers=bearer).status_code == 401, patience=1.5)
    assert shell.document("revoke", "--session", "s-1", "--yes", *where(caller))["session_id"] == "s-1"
    assert shell.document("revoke", "--token", "t", "--yes", *where(caller))["jti"] == "t"
    listed = shell.run("revocations", "list", *where(caller)).out.splitlines()
    assert [line.split()[1:4] for line in listed[1:]] == [["ada", "-", "-"], ["-", "s-1", "-"], ["-", "-", "t"]]


@pytest.mark.parametrize("named", [(), ("--user", "a", "--token", "b")])
def test_a_revocation_names_one_thing(shell: Commands, site: Site, named: tuple[str, ...]) -> None:
    refused = shell.run("revoke", *named, "--yes", *where(site.project()))
    assert (refused.status, "jti" in refused.err) == (1, True)


def test_a_revocation_has_to_be_meant(shell: Commands, site: Site) -> None:
    caller = site.project()
    assert shell.run("revoke", "--user", "ada", *where(caller)).status == 2
    assert shell.document("revocations", "list", *where(caller))["data"] == []


def test_signing_keys_are_listed_and_rotated(shell: Commands, site: Site) -> None:
    before = shell.document("signing-keys", "list")["data"]
    made = shell.document("signing-keys", "rotate", "--at-once")
    assert made["status"] == "signing"
    kids = [key["kid"] for key in shell.document("signing-keys", "list")["data"]]
    assert kids == [*(key["kid"] for key in before), made["kid"]]
    caller = site.project()
    until(lambda: made["kid"] in site.ask("GET", "/.well-known/jwks.json").text)
    assert caller.ask("POST", "/v1/auth/mint", json={"user_id": "ada"}).status_code == 200
