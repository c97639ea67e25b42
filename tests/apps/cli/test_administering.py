"""An operator sets up and runs everything with commands, by the names that people know."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.apps.cli.commands import Commands, commands
from tests.serving import PROVIDER_SECRET, Site, until
from tests.upstream import scripts


@pytest.fixture
def shell(site: Site) -> Commands:
    return commands(site)


def fresh(word: str) -> str:
    """A slug that no other test has."""
    return f"{word}-{os.urandom(4).hex()}"


def project(shell: Commands) -> tuple[str, str]:
    """The slugs of a new tenant and of its new project."""
    tenant, slug = fresh("tenant"), fresh("project")
    shell.document("tenants", "create", "Some tenant", "--slug", tenant)
    shell.document("projects", "create", "Some project", "--slug", slug, "--tenant", tenant)
    return tenant, slug


def test_a_tenant_is_made_shown_changed_suspended_resumed_and_deleted(shell: Commands) -> None:
    slug = fresh("acme")
    made = shell.document("tenants", "create", "Acme", "--slug", slug)
    assert shell.document("tenants", "show", slug) == shell.document("tenants", "show", made["id"]) == made
    assert shell.document("tenants", "update", slug, "--name", "Acme Ltd")["name"] == "Acme Ltd"
    assert shell.document("tenants", "suspend", slug)["status"] == "suspended"
    assert shell.document("tenants", "resume", slug)["status"] == "active"
    assert shell.run("tenants", "delete", slug, "--yes").out == "done\n"
    gone = shell.run("tenants", "show", made["id"])
    assert gone.status == 1
    assert gone.err.startswith("bailiwick: not_found: ")


def test_a_project_has_limits_aliases_and_origins_from_options(shell: Commands) -> None:
    tenant, slug = project(shell)
    changed = shell.document(
        "projects", "update", slug, "--tenant", tenant, "--rate-limit", "user:requests=60,per=1m",
        "--rate-limit", "project:requests=600,per=1m,overflow=queue", "--alias", "fast=openai/a,openai/b",
        "--cors-origin", "https://app.example.com", "--require-end-user", "--default-max-output-tokens", "500",
    )  # fmt: skip
    assert changed["limits"]["user"]["requests"] == 60
    assert changed["limits"]["project"]["overflow"] == "queue"
    assert changed["aliases"] == {"fast": ["openai/a", "openai/b"]}
    assert changed["cors_origins"] == ["https://app.example.com"]
    assert changed["require_end_user"] is True
    assert changed["default_max_output_tokens"] == 500
    again = shell.document(
        "projects", "update", slug, "--rate-limit", "user:", "--alias", "fast=", "--clear", "cors-origins",
        "--no-require-end-user", "--tenant", tenant,
    )  # fmt: skip
    assert list(again["limits"]) == ["project"]
    assert (again["aliases"], again["cors_origins"], again["require_end_user"]) == ({}, [], False)


def test_a_whole_body_comes_from_a_file_or_standard_input(shell: Commands, tmp_path: Path) -> None:
    tenant, slug = project(shell)
    body = tmp_path / "body.json"
    body.write_text('{"limits": {"user": {"requests": 7, "per": "1s"}}, "name": "From the file"}')
    changed = shell.document("projects", "update", slug, "--tenant", tenant, "--body", str(body), "--name", "Over it")
    assert (changed["limits"]["user"]["requests"], changed["name"]) == (7, "Over it")
    changed = shell.document("projects", "update", slug, "--tenant", tenant, "--body", "-", typed='{"name": "Typed"}')
    assert changed["name"] == "Typed"


def test_a_key_is_made_rotated_and_revoked_by_its_name(shell: Commands, site: Site) -> None:
    tenant, slug = project(shell)
    where = ("--project", slug, "--tenant", tenant)
    made = shell.document("keys", "create", "Mine", "--model", "gpt-*", "--no-act-as", *where)
    assert (made["models"], made["act_as"]) == (["gpt-*"], False)
    rotated = shell.document("keys", "rotate", "Mine", "--grace-seconds", "60", *where)
    assert rotated["id"] == made["id"]
    assert rotated["key"] != made["key"]
    assert rotated["previous_until"] is not None
    listed = shell.run("keys", "list", *where)
    assert made["id"] in listed.out
    assert rotated["key"] not in listed.out
    assert shell.document("keys", "revoke", "Mine", "--yes", *where)["status"] == "revoked"


def test_the_only_one_there_is_needs_no_name(shell: Commands, site: Site) -> None:
    tenant = shell.document("tenants", "create", "Only", "--slug", fresh("only"))
    operator = site.admin.make("/operator-keys", {"name": "K", "role": "admin", "tenant_id": tenant["id"]})
    own = {"BAILIWICK_ADMIN_KEY": operator["key"]}
    made = shell.document("projects", "create", "One", **own)
    assert made["tenant_id"] == tenant["id"]
    assert shell.document("keys", "create", "K", **own)["project_id"] == made["id"]
    shell.document("projects", "create", "Two", **own)
    several = shell.run("keys", "list", **own)
    assert (several.status, several.err) == (2, "bailiwick: there is more than one project: say which with --project\n")


def test_what_two_are_called_names_neither(shell: Commands) -> None:
    name = fresh("Same name")
    ids = {shell.document("tenants", "create", name)["id"] for _ in range(2)}
    refused = shell.run("tenants", "suspend", name)
    assert refused.status == 2
    assert all(one in refused.err for one in ids)
    assert {shell.document("tenants", "show", one)["status"] for one in ids} == {"active"}


def test_a_slug_counts_before_a_name(shell: Commands) -> None:
    slug = fresh("slug")
    meant = shell.document("tenants", "create", "Meant", "--slug", slug)
    shell.document("tenants", "create", slug, "--slug", fresh("other"))
    assert shell.document("tenants", "show", slug) == meant


@pytest.mark.parametrize(
    ("source", "typed"),
    [("env:MY_SECRET", None), ("stdin", f"{PROVIDER_SECRET}\n"), ("prompt", f"{PROVIDER_SECRET}\n")],
)
def test_the_key_of_a_provider_is_read_and_never_shown(
    shell: Commands, site: Site, source: str, typed: str | None
) -> None:
    tenant, slug = project(shell)
    made = shell.run(
        "providers", "create", "mine", "--kind", "openai", "--base-url", site.upstream.base_url,
        "--api-key-from", source, "--price", "gpt-4o=2.50/10", "--project", slug, "--tenant", tenant, "--json",
        typed=typed, MY_SECRET=PROVIDER_SECRET,
    )  # fmt: skip
    assert made.status == 0, made.err
    assert PROVIDER_SECRET not in made.out + made.err
    assert '"has_api_key":true' in made.out
    assert '"input_usd_per_million":"2.5' in made.out


def test_the_key_of_a_provider_cannot_be_an_argument(shell: Commands) -> None:
    refused = shell.run("providers", "create", "mine", "--kind", "openai", "--api-key-from", PROVIDER_SECRET)
    assert refused.status == 2
    assert PROVIDER_SECRET not in refused.out + refused.err


def test_providers_of_the_platform_a_tenant_and_a_project_are_apart(shell: Commands) -> None:
    tenant, slug = project(shell)
    places: list[tuple[str, ...]] = [(), ("--tenant", tenant), ("--project", slug, "--tenant", tenant)]
    name = fresh("echoes")
    for place in places:
        shell.document("providers", "create", name, "--kind", "echo", *place)
    found = [shell.document("providers", "show", name, *place) for place in places]
    assert [(one["tenant_id"] is None, one["project_id"] is None) for one in found] == [
        (True, True), (False, True), (False, False)
    ]  # fmt: skip
    for place in places:
        assert shell.run("providers", "delete", name, "--yes", *place).status == 0
    assert shell.run("providers", "show", name).status == 1


def test_a_provider_is_asked_whether_it_answers(shell: Commands, site: Site) -> None:
    tenant, slug = project(shell)
    where = ("--project", slug, "--tenant", tenant)
    shell.document("providers", "create", "mine", "--kind", "openai", "--base-url", site.upstream.base_url, *where)
    assert shell.run("providers", "test", "mine", *where).status == 0
    site.upstream.otherwise(scripts.leaky_error(401))
    refused = shell.run("providers", "test", "mine", *where)
    assert (refused.status, "Incorrect API key" in refused.out) == (1, True)


def test_operators_and_their_keys_are_administered(shell: Commands) -> None:
    tenant, email, name = fresh("tenant"), f"{fresh('ada')}@example.com", fresh("key")
    tenant_id = shell.document("tenants", "create", "T", "--slug", tenant)["id"]
    person = shell.document("operators", "invite", email, "--name", "Ada", "--role", "admin", "--tenant", tenant)
    assert (person["tenant_id"], person["role"]) == (tenant_id, "admin")
    assert shell.document("operators", "update", email, "--role", "viewer")["role"] == "viewer"
    assert email in shell.run("operators", "list", "--limit", "200").out
    assert shell.run("operators", "delete", email, "--yes").status == 0
    made = shell.document("operator-keys", "create", name, "--role", "viewer", "--tenant", tenant)
    assert made["tenant_id"] == tenant_id
    assert shell.document("operator-keys", "rotate", name)["key"] != made["key"]
    assert shell.document("operator-keys", "revoke", name, "--yes")["status"] == "revoked"
    assert shell.run("operator-keys", "delete", name, "--yes").status == 0


def test_usage_is_reported_by_group_with_a_total(shell: Commands, site: Site) -> None:
    caller = site.project()
    for user in ("ada", "ada", "bob"):
        caller.chat(headers={"x-end-user-id": user})
    told = shell.run("usage", "--project", caller.id, "--by", "user")
    lines = [line.split() for line in told.out.splitlines()]
    assert [line[:2] for line in lines] == [["USER", "REQUESTS"], ["ada", "2"], ["bob", "1"], ["all", "3"]]
    asked = site.admin.request("GET", f"/projects/{caller.id}/usage?group_by=user&to=2100-01-01T00:00:00Z").text
    span = ("--from", json.loads(asked)["from"], "--to", "2100-01-01T00:00:00Z")
    assert shell.document("usage", "--project", caller.id, "--by", "user", *span) == json.loads(asked)


def test_usage_by_agent_tells_their_names(shell: Commands, site: Site) -> None:
    caller = site.project()
    agent = site.admin.make(f"/projects/{caller.id}/agents", {"name": "support", "model": "echo"})
    until(lambda: caller.chat(model="agent/support").status_code == 200)
    assert f"support ({agent['id']})" in shell.run("usage", "--project", caller.id, "--by", "agent").out


def test_settled_calls_are_written_a_line_each(shell: Commands, site: Site) -> None:
    caller = site.project()
    for name in ("ada", "bob"):
        assert caller.chat(headers={"x-end-user-id": name}).status_code == 200
    where = ("--project", caller.id)
    assert [json.loads(line)["user_id"] for line in shell.run("calls", *where).out.splitlines()] == ["ada", "bob"]
    told = shell.run("calls", *where, "--format", "csv", "--from", "2026-01-01T00:00:00Z").out.splitlines()
    assert told[0].startswith("id,opened_at,project_id")
    assert len(told) == 3
    assert shell.run("calls", *where, "--to", "2026-01-02T00:00:00Z", "--from", "2026-01-01T00:00:00Z").out == ""


def test_what_was_done_is_listed_and_exported(shell: Commands) -> None:
    tenant, slug = project(shell)
    key = shell.document("keys", "create", "Audited", "--project", slug, "--tenant", tenant)
    shell.document("keys", "revoke", key["id"], "--yes")
    listed = shell.run("audit", "list", "--tenant", tenant, "--action", "key").out.splitlines()
    assert [line.split()[1:3] for line in listed[1:]] == [["key.revoke", key["id"]], ["key.create", key["id"]]]
    exported = [json.loads(line) for line in shell.run("audit", "export", "--tenant", tenant).out.splitlines()]
    assert [entry["seq"] for entry in exported] == list(range(1, len(exported) + 1))
    assert [entry["action"] for entry in exported if entry["target"] == key["id"]] == ["key.create", "key.revoke"]
    assert "tenant.create" in shell.run("audit", "list", "--action", "tenant", "--limit", "200").out


def test_an_end_user_is_shown_and_blocked_and_let_in_again(shell: Commands, site: Site) -> None:
    caller = site.project()
    uid, where = "ada/lovelace@example.com", ("--project", caller.id)
    assert caller.chat(headers={"x-end-user-id": uid}).status_code == 200
    assert shell.document("users", "show", uid, *where)["requests"] == 1
    assert shell.document("users", "block", uid, *where)["blocked"] is True
    until(lambda: caller.chat(headers={"x-end-user-id": uid}).status_code == 403)
    shell.document("users", "block", "bob", *where)
    listed = shell.run("users", "list", "--blocked", "--prefix", "ada", *where).out.splitlines()
    assert [line.split()[:2] for line in listed] == [["USER", "REQUESTS"], [uid, "1"]]
    assert shell.document("users", "unblock", uid, *where)["blocked"] is False


def test_a_refused_call_is_explained_by_its_id(shell: Commands, site: Site) -> None:
    caller = site.project(limits={"project": {"requests": 1, "per": "1h"}})
    caller.chat()
    refused = caller.chat()
    assert refused.status_code == 429
    until(lambda: shell.run("explain", refused.headers["x-request-id"]).status == 0)
    told = [line.split() for line in shell.run("explain", refused.headers["x-request-id"]).out.splitlines()]
    assert ["limits", "refused", "rate_limited"] in [line[:3] for line in told]
    assert ["credential", "passed"] in [line[:2] for line in told]
