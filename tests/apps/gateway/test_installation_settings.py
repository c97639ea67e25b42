"""What an installation's own settings decide for every caller: its guard, and the providers of its environment."""

from __future__ import annotations

import os
from pathlib import Path

import httpx2
import pytest

from bailiwick.identity import api_keys
from tests.apps.gateway.wire import Answer, exchange, request
from tests.installation import Installation
from tests.serving import ASK, MODEL
from tests.upstream import Upstream

pytestmark = pytest.mark.slow

REQUESTS, FAILURES = 60, 10
SECRET = "sk-environment-canary"
SETTINGS = {
    "BAILIWICK_GUARD_REQUESTS": str(REQUESTS),
    "BAILIWICK_GUARD_FAILURES": str(FAILURES),
    "BAILIWICK_TRUSTED_PROXIES": "127.0.0.2/32",
    "BAILIWICK_OUTBOUND_ALLOW": "",
}


def ask(installation: Installation, source: str, path: str = "/v1/me", *, key: str | None = None) -> Answer:
    headers = [] if key is None else [(b"authorization", b"Bearer " + key.encode())]
    return exchange(installation.port, request(path, headers), source=source)


@pytest.mark.parametrize(
    ("path", "source"), [("/v1/me", "127.0.1.1"), ("/healthz", "127.0.1.2"), ("/p/x/v1/me", "127.0.1.3")]
)
def test_an_address_that_asks_too_much_is_turned_away(installation: Installation, path: str, source: str) -> None:
    key = installation.keys["api_key"]
    answers = [ask(installation, source, path, key=key if path == "/v1/me" else None) for _ in range(REQUESTS + 20)]
    refused = [answer for answer in answers if answer.status == 429]
    assert refused
    assert all(b'"code":"rate_limited"' in answer.body for answer in refused)
    assert all(int(answer.header("retry-after") or 0) >= 1 for answer in refused)
    assert answers[0].status != 429
    assert ask(installation, "127.0.1.9", path).status != 429


@pytest.mark.parametrize("path", ["/v1/me", "/admin/v1/tenants"])
def test_an_address_that_fails_too_often_is_turned_away_before_it_is_heard(
    installation: Installation, path: str
) -> None:
    source = "127.0.2.1" if path == "/v1/me" else "127.0.2.2"
    kind = api_keys.PROJECT_KEY if path == "/v1/me" else api_keys.OPERATOR_KEY
    good = installation.keys["api_key" if path == "/v1/me" else "admin_key"]
    assert ask(installation, source, path, key=good).status == 200
    guesses = [api_keys.make(kind, os.urandom(48)).text.decode() for _ in range(FAILURES + 5)]
    statuses = [ask(installation, source, path, key=guess).status for guess in guesses]
    assert statuses[:FAILURES] == [401] * FAILURES
    assert 429 in statuses[FAILURES:]
    assert ask(installation, source, path, key=good).status == 429
    assert ask(installation, "127.0.2.9", path, key=good).status == 200


def test_a_page_can_read_that_its_visitor_is_turned_away(installation: Installation) -> None:
    """From memory: whoever is turned away causes no query."""
    origin, source, slug = "https://app.example.com", "127.0.2.5", installation.keys["project_slug"]
    installation.admin.change(f"/projects/{installation.keys['project_id']}", {"cors_origins": [origin]})
    raw = request(f"/p/{slug}/v1/me", [(b"origin", origin.encode())])
    answers = [exchange(installation.port, raw, source=source) for _ in range(FAILURES + 5)]
    assert [answer.status for answer in answers[:FAILURES]] == [401] * FAILURES
    assert answers[-1].status == 429
    assert {answer.header("access-control-allow-origin") for answer in answers} == {origin}
    exposed = (answers[-1].header("access-control-expose-headers") or "").split(", ")
    assert answers[-1].header("retry-after") is not None
    assert "retry-after" in exposed
    never_asked = installation.admin.project(cors_origins=[origin])["slug"]
    unread = exchange(installation.port, raw.replace(slug.encode(), never_asked.encode()), source=source)
    assert (unread.status, unread.header("access-control-allow-origin")) == (429, None)


def test_a_stranger_cannot_have_another_address_turned_away(installation: Installation) -> None:
    for _ in range(FAILURES + 5):
        raw = request("/v1/me", [(b"x-forwarded-for", b"127.0.3.9")])
        exchange(installation.port, raw, source="127.0.3.1")
    assert ask(installation, "127.0.3.1").status == 429
    assert ask(installation, "127.0.3.9", key=installation.keys["api_key"]).status == 200


def test_a_provider_of_the_environment_serves_every_tenant_at_whatever_address(
    installation: Installation, provider: Upstream
) -> None:
    """Its address is the platform's own choice, loopback too; one that an operator sets up must be public."""
    admin = installation.admin
    tenant = admin.tenant()["id"]
    key = admin.key(admin.project(tenant)["id"])["key"]
    provider.clear()
    with installation.client(key) as client:
        body = {"model": MODEL, "messages": ASK, "store": True}
        assert client.post("/v1/chat/completions", json=body).status_code == 200
        kept = {**body, "previous_response_id": "resp_1"}
        assert client.post("/v1/chat/completions", json=kept).status_code == 400
    (record,) = provider.requests
    assert record.header("authorization") == f"Bearer {SECRET}"
    assert record.json["store"] is False
    inside = {"name": "inside", "kind": "openai", "base_url": provider.base_url}
    assert admin.request("POST", f"/tenants/{tenant}/providers", inside).status_code == 422


def test_no_process_but_the_parent_is_told_what_is_secret(installation: Installation) -> None:
    """Nothing on a command line or in an environment, where neighbours could read it."""
    secrets = [SECRET, (installation.folder / "master.key").read_text().strip(), installation.keys["admin_key"]]
    for name, pid in installation.children().items():
        environment = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        found = [secret for secret in secrets if secret in command or (name != "parent" and secret in environment)]
        assert found == [], name
    assert SECRET not in installation.told()


def test_the_database_of_the_installation_listens_to_nobody_outside(installation: Installation) -> None:
    """The one port that is open is the gateway's."""
    assert httpx2.get(f"{installation.url}/healthz", verify=False).status_code in {200, 429}
    mine = set().union(*map(socket_inodes, installation.children().values()))
    assert {port for inode, port in listening().items() if inode in mine} == {installation.port}


def socket_inodes(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def listening() -> dict[str, int]:
    """The TCP sockets of this machine that listen, by inode, with their ports."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found[fields[9]] = int(fields[1].rpartition(":")[2], 16)
    return found
