"""`bailiwick issuers`: trusted issuers from the command line, and what is thought of a token."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from bailiwick.identity import signing_keys
from tests.apps.cli.commands import Commands, commands
from tests.serving import Site


@pytest.fixture
def shell(site: Site) -> Commands:
    return commands(site)


def test_an_issuer_is_trusted_changed_and_trusted_no_more(shell: Commands, site: Site) -> None:
    where = ("--project", site.admin.project()["slug"])
    made = shell.document(
        "issuers", "create", "https://acme.eu.auth0.com/", "--audience", "https://api.acme.com", "--algorithm", "RS256",
        "--claim", "tier:https://acme.com/plan", "--claim", "role:role", "--user-prefix", "a:", *where,
    )  # fmt: skip
    assert made["claims"] == {"tier": "https://acme.com/plan", "role": "role"}
    assert "https://acme.eu.auth0.com/" in shell.run("issuers", "list", *where).out
    named = ("https://acme.eu.auth0.com/", *where)
    changed = shell.document("issuers", "update", *named, "--max-lifetime", "600", "--claim", "role:")
    assert (changed["max_lifetime"], changed["claims"]) == (600, {"tier": "https://acme.com/plan"})
    assert shell.document("issuers", "show", *named) == changed
    assert shell.document("issuers", "update", *named, "--clear", "user_prefix")["user_prefix"] is None
    assert shell.run("issuers", "delete", *named, "--yes").status == 0
    assert shell.run("issuers", "show", *named).status == 1


def test_where_no_project_is_named_it_is_the_platforms(shell: Commands) -> None:
    asked = ("https://platform-cli.example", "--audience", "a", "--algorithm", "ES256", "--user-prefix", "cli:")
    made = shell.document("issuers", "create", *asked)
    assert (made["tenant_id"], made["project_id"]) == (None, None)
    assert shell.run("issuers", "delete", made["id"], "--yes").status == 0


@pytest.mark.parametrize("source", ["stdin", "env:MY_TOKEN", "prompt"])
def test_a_token_is_judged_and_not_shown(shell: Commands, site: Site, tmp_path: Path, source: str) -> None:
    where, key = ("--project", site.admin.project()["slug"]), signing_keys.make()
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps({"keys": [key.public_jwk()]}))
    asked = ("--jwks", str(keys), "--audience", "a", "--algorithm", "ES256")
    shell.document("issuers", "create", "acme-backend", *asked, *where)
    now = int(time.time())
    claims = {"iss": "acme-backend", "aud": "a", "sub": "ada", "iat": now, "exp": now + 600}
    for token, status, said in (
        (key.sign(claims, typ="JWT"), 0, "ada"),
        (key.sign({**claims, "aud": "b"}, typ="JWT"), 1, "aud is none of the issuer's audiences"),
    ):
        typed = None if source.startswith("env:") else f"{token}\n"
        done = shell.run("issuers", "test", "--token-from", source, *where, typed=typed, MY_TOKEN=token)
        assert (done.status, said in done.out) == (status, True), done.err
        assert token not in done.out + done.err


def test_a_token_cannot_be_an_argument(shell: Commands, site: Site) -> None:
    done = shell.run("issuers", "test", "--token-from", "e30.e30.e30", "--project", site.admin.project()["slug"])
    assert done.status == 2
    assert "e30.e30.e30" not in done.out + done.err
