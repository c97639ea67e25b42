"""An operator asks whether a provider answers: what it says of each kind of answer, and what it gives away of none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from bailiwick.domain import ids
from bailiwick.services import provider_tests
from tests.control import Audit, Control, add_operator, controlled
from tests.database import TestDatabase
from tests.upstream import Upstream, scripts
from tests.upstream.behaviour import Behaviour, Ending

CANARY = "sk-canary-0123456789"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as made:
        yield made


@pytest.fixture
async def near(database: TestDatabase) -> AsyncIterator[Control]:
    """A control plane that may ask providers on this machine."""
    async with controlled(database, outbound_allow=(ip_network("127.0.0.0/8"),)) as made:
        yield made


async def provider(control: Control, upstream: Upstream, **fields: object) -> str:
    """The address of a new provider of a project."""
    project = await control.project()
    asked = {"name": "main", "kind": "openai", "base_url": upstream.base_url, "api_key": CANARY, **fields}
    made = await control.make(f"/projects/{project['id']}/providers", **asked)
    return f"/projects/{project['id']}/providers/{made['id']}"


async def outcome(control: Control, address: str) -> dict[str, Any]:
    """How the provider answered."""
    answer = await control.ask("POST", f"{address}/test")
    assert answer.status_code == 200, answer.text
    assert CANARY not in answer.text
    assert CANARY not in control.log.getvalue()
    found: dict[str, Any] = answer.json()
    assert set(found) == {"ok", "status", "latency_ms", "detail"}
    return found


async def test_a_provider_that_lists_its_models_is_fine(near: Control, upstream: Upstream, audit: Audit) -> None:
    address = await provider(near, upstream)
    found = await outcome(near, address)
    assert (found["ok"], found["status"]) == (True, 200)
    assert found["detail"].startswith("It lists ")
    (record,) = upstream.requests
    assert (record.method, record.header("authorization")) == ("GET", f"Bearer {CANARY}")
    assert [entry.action for entry in audit(address.split("/")[-1])] == ["provider.create", "provider.test"]


async def test_anthropic_is_asked_in_its_own_words(near: Control, upstream: Upstream) -> None:
    assert (await outcome(near, await provider(near, upstream, kind="anthropic")))["ok"] is True
    (record,) = upstream.requests
    assert record.header("x-api-key") == CANARY
    assert record.header("anthropic-version") is not None
    assert record.header("authorization") is None


async def test_a_refusal_is_told_without_the_key(near: Control, upstream: Upstream) -> None:
    upstream.otherwise(scripts.leaky_error(401))
    found = await outcome(near, await provider(near, upstream))
    assert (found["ok"], found["status"]) == (False, 401)
    assert found["detail"].startswith("Incorrect API key provided: [removed]")
    assert scripts.INTERNAL_ADDRESS not in found["detail"]


async def test_a_redirect_is_not_followed(near: Control, upstream: Upstream) -> None:
    upstream.otherwise(Behaviour(status=307, headers=(("location", f"{upstream.base_url}/elsewhere"),), body=b""))
    found = await outcome(near, await provider(near, upstream))
    assert (found["ok"], found["status"], len(upstream.requests)) == (False, 307, 1)


async def test_a_page_is_no_list_of_models(near: Control, upstream: Upstream) -> None:
    upstream.otherwise(scripts.html())
    found = await outcome(near, await provider(near, upstream))
    assert (found["ok"], found["status"]) == (False, 200)
    assert "base_url" in found["detail"]


async def test_without_a_list_of_models_one_token_is_asked_for(near: Control, upstream: Upstream) -> None:
    upstream.on("mine", Behaviour())
    upstream.otherwise(scripts.error(404))
    found = await outcome(near, await provider(near, upstream, models=["mine"]))
    assert (found["ok"], found["detail"]) == (True, "mine answered.")
    assert upstream.requests[-1].json["max_tokens"] == 1


async def test_patience_is_short(near: Control, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provider_tests, "SECONDS", 0.3)
    upstream.otherwise(Behaviour(ending=Ending.STALL))
    found = await outcome(near, await provider(near, upstream))
    assert (found["ok"], found["status"]) == (False, None)
    assert found["detail"].startswith("It did not answer within")


async def test_an_address_that_leads_inside_is_not_asked(
    control: Control, upstream: Upstream, database: TestDatabase
) -> None:
    address = await provider(control, upstream, base_url="https://api.example.com/v1")
    # As a name would that led elsewhere when it was set.
    database.run(
        "UPDATE bailiwick.providers SET base_url = %s WHERE id = %s",
        upstream.base_url,
        ids.parsed(ids.PROVIDER, address.split("/")[-1]),
    )
    found = await outcome(control, address)
    assert (found["ok"], found["status"], upstream.requests) == (False, None, [])


async def test_who_may_only_look_may_not_test(near: Control, upstream: Upstream, database: TestDatabase) -> None:
    address = await provider(near, upstream)
    viewer = near.asked_by(add_operator(database, role="viewer"))
    assert (await viewer.refused("POST", f"{address}/test"))[0] == 403
    assert upstream.requests == []


async def test_the_audit_log_tells_keys_apart_and_holds_none(near: Control, upstream: Upstream, audit: Audit) -> None:
    address = await provider(near, upstream)
    for key in ("sk-another-0123456789", CANARY, None):
        await near.change(address, api_key=key)
    entries = audit(address.split("/")[-1])
    seen = [entry.detail["after"]["api_key"] for entry in entries]
    assert seen[0] == seen[2] != seen[1]
    assert seen[3] is None
    assert [entry.detail["before"]["api_key"] for entry in entries[1:]] == seen[:3]
    assert "sk-" not in str(entries)


async def test_a_key_that_nobody_can_open_is_said_to_be_so_and_can_be_replaced(
    near: Control, upstream: Upstream, database: TestDatabase, audit: Audit
) -> None:
    address = await provider(near, upstream)
    shown = address.split("/")[-1]
    database.run("UPDATE bailiwick.providers SET secret = 'spoilt' WHERE id = %s", ids.parsed(ids.PROVIDER, shown))
    assert (await near.refused("POST", f"{address}/test"))[0] == 409
    await near.change(address, api_key=CANARY)
    assert audit(shown)[-1].detail["before"] == {"api_key": "unreadable"}
    assert (await outcome(near, address))["ok"] is True
