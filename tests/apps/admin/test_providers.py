"""Providers of a project, of a tenant and of the platform: their lives, their secrets, where they may point."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from bailiwick.domain import ids
from bailiwick.identity.sealing import CannotOpen, provider_row_identity, unseal
from tests.control import Audit, Control
from tests.database import MASTER_KEY, TestDatabase

CANARY = "sk-canary-0123456789"


async def places(control: Control) -> dict[str, str]:
    """Where providers can be."""
    project = await control.project()
    return {
        "project": f"/projects/{project['id']}/providers",
        "tenant": f"/tenants/{project['tenant_id']}/providers",
        "platform": "/providers",
    }


def sealed(database: TestDatabase, provider: dict[str, Any]) -> tuple[bytes | None, UUID | None, UUID | None, UUID]:
    (row,) = database.rows(
        "SELECT secret, tenant_id, project_id, id FROM bailiwick.providers WHERE id = %s",
        ids.parsed(ids.PROVIDER, provider["id"]),
    )
    return row[0], row[1], row[2], row[3]


def opened(database: TestDatabase, provider: dict[str, Any]) -> str | None:
    secret, tenant_id, project_id, provider_id = sealed(database, provider)
    if secret is None:
        return None
    row = provider_row_identity(tenant_id, project_id, provider_id)
    return unseal(MASTER_KEY.sealing(), row, bytes(secret))


@pytest.mark.parametrize("place", ["project", "tenant", "platform"])
async def test_a_provider_is_made_read_changed_and_removed(
    control: Control, database: TestDatabase, audit: Audit, place: str
) -> None:
    path = (await places(control))[place]
    body = {"name": "main", "kind": "openai", "api_key": CANARY, "models": ["gpt-4o"]}
    made = await control.ask("POST", path, body)
    assert made.status_code == 201
    provider = made.json()
    address = f"{path}/{provider['id']}"
    assert made.headers["location"] == f"/admin/v1{address}"
    assert (provider["tenant_id"] is None, provider["project_id"] is None) == (place == "platform", place != "project")
    assert {name: provider[name] for name in ("name", "kind", "base_url", "has_api_key", "models", "prices")} == {
        "name": "main",
        "kind": "openai",
        "base_url": "https://api.openai.com/v1",
        "has_api_key": True,
        "models": ["gpt-4o"],
        "prices": {},
    }
    assert (provider["from_environment"], provider["created_by"]) == (False, control.operator_id)
    assert await control.read(address) == provider
    assert provider in (await control.read(path))["data"]

    changed = await control.change(address, name="other", models=None)
    assert changed == {**provider, "name": "other", "models": None}
    assert opened(database, provider) == CANARY
    assert (await control.ask("DELETE", address)).status_code == 204
    assert (await control.ask("GET", address)).status_code == 404
    acts = [entry.action for entry in audit(provider["id"]) if entry.action != "provider.read"]
    assert acts == ["provider.create", "provider.change", "provider.remove"]


async def test_each_place_lists_its_own_providers_alone(control: Control) -> None:
    paths = await places(control)
    made = {place: await control.make(path, name=f"x-{place}", kind="openai") for place, path in paths.items()}
    for place, path in paths.items():
        names = {provider["name"] for provider in (await control.read(path))["data"]}
        assert names & {f"x-{other}" for other in paths} == {f"x-{place}"}
        for other, provider in made.items():
            status = (await control.ask("GET", f"{path}/{provider['id']}")).status_code
            assert status == (200 if other == place else 404)
    await control.ask("DELETE", f"/providers/{made['platform']['id']}")


async def test_looking_at_the_platforms_providers_is_audited(control: Control, audit: Audit) -> None:
    provider = await control.make("/providers", name="seen", kind="openai")
    await control.read("/providers")
    await control.read(f"/providers/{provider['id']}")
    await control.ask("DELETE", f"/providers/{provider['id']}")
    listed = [entry.action for entry in audit("installation") if entry.actor == control.operator_id]
    assert listed == ["provider.list"]
    assert [entry.action for entry in audit(provider["id"])] == ["provider.create", "provider.read", "provider.remove"]


async def test_a_name_is_taken_once_in_each_place(control: Control) -> None:
    for path in (await places(control)).values():
        first = await control.make(path, name="twice", kind="openai")
        status, problem = await control.refused("POST", path, {"name": "twice", "kind": "gemini"})
        assert (status, problem["code"], problem["errors"][0]["field"]) == (409, "conflict", "name")
        second = await control.make(path, name="once", kind="openai")
        status, _ = await control.refused("PATCH", f"{path}/{second['id']}", {"name": "twice"})
        assert status == 409
        for provider in (first, second):
            await control.ask("DELETE", f"{path}/{provider['id']}")


async def test_a_secret_opens_only_for_its_own_row(control: Control, database: TestDatabase) -> None:
    path = (await places(control))["project"]
    one = await control.make(path, name="one", kind="openai", api_key=CANARY)
    other = await control.make(path, name="other", kind="openai", api_key=CANARY)
    secret = sealed(database, one)[0]
    assert secret is not None
    assert secret != sealed(database, other)[0]
    assert CANARY.encode() not in bytes(secret)
    database.run(
        "UPDATE bailiwick.providers SET secret = %s WHERE id = %s", secret, ids.parsed(ids.PROVIDER, other["id"])
    )
    with pytest.raises(CannotOpen):
        opened(database, other)


async def test_an_api_key_is_replaced_and_removed_by_patch(control: Control, database: TestDatabase) -> None:
    path = (await places(control))["tenant"]
    provider = await control.make(path, name="main", kind="openai", api_key=CANARY)
    assert (await control.change(f"{path}/{provider['id']}", api_key="sk-other"))["has_api_key"] is True
    assert opened(database, provider) == "sk-other"
    assert (await control.change(f"{path}/{provider['id']}", api_key=None))["has_api_key"] is False
    assert opened(database, provider) is None


async def test_a_stored_api_key_only_goes_where_it_was_given_for(control: Control, database: TestDatabase) -> None:
    path = (await places(control))["project"]
    provider = await control.make(path, name="main", kind="openai", api_key=CANARY)
    address = f"{path}/{provider['id']}"
    expected = {"api_key": "must be given again when base_url changes"}
    for patch in ({"base_url": "https://elsewhere.example/v1"}, {"kind": "anthropic"}):
        assert await control.wrong_fields("PATCH", address, patch) == expected
    assert await control.read(address) == provider
    moved = await control.change(address, base_url="https://elsewhere.example/v1", api_key="sk-new")
    assert moved["base_url"] == "https://elsewhere.example/v1"
    assert opened(database, provider) == "sk-new"
    keyless = await control.make(path, name="keyless", kind="openai")
    assert (await control.change(f"{path}/{keyless['id']}", kind="gemini"))["base_url"] == (
        "https://generativelanguage.googleapis.com/v1beta/openai"
    )


async def test_an_api_key_is_in_no_answer_no_audit_entry_and_no_log(control: Control, database: TestDatabase) -> None:
    answers = []
    for path in (await places(control)).values():
        made = await control.ask("POST", path, {"name": "canary", "kind": "openai", "api_key": CANARY})
        address = f"{path}/{made.json()['id']}"
        answers += [
            made,
            await control.ask("GET", path),
            await control.ask("GET", address),
            await control.ask("PATCH", address, {"api_key": CANARY + "2", "name": "canary2"}),
            await control.ask("PATCH", address, {"api_key": CANARY + "\u00e9"}),
            await control.ask("PATCH", address, {"api_key": [CANARY]}),
            await control.ask(
                "POST", path, {"name": CANARY, "kind": CANARY, "base_url": CANARY, "models": [CANARY] * 2}
            ),
            await control.ask("DELETE", address),
        ]
    assert not [answer.text for answer in answers if CANARY in answer.text]
    assert not [row for row in database.rows("SELECT a::text FROM bailiwick.audit a") if CANARY in row[0]]
    assert CANARY not in control.log.getvalue()


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example/v1",
        "https://127.0.0.1/v1",
        "https://localhost/v1",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://10.0.0.8/",
        "https://2130706433/",
        "https://user:password@api.example/",
        "file:///etc/passwd",
        "https://",
        "api.example",
        "",
        "https://api.example/\r\nx: y",
    ],
)
async def test_addresses_that_we_would_not_connect_to_are_refused(control: Control, url: str) -> None:
    path = (await places(control))["project"]
    body = {"name": "main", "kind": "openai", "base_url": url}
    wrong = await control.wrong_fields("POST", path, body)
    assert set(wrong) == {"base_url"}
    assert wrong["base_url"].startswith("is refused: ")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"name": "agent"}, "name"),
        ({"name": "echo"}, "name"),
        ({"name": "Main"}, "name"),
        ({"name": "-main"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "n" * 64}, "name"),
        ({"name": None}, "name"),
        ({"kind": "azure"}, "kind"),
        ({"kind": None}, "kind"),
        ({"kind": "echo", "base_url": "https://api.example"}, "base_url"),
        ({"kind": "echo", "api_key": "x"}, "api_key"),
        ({"api_key": "with space"}, "api_key"),
        ({"api_key": "line\nbreak"}, "api_key"),
        ({"api_key": ""}, "api_key"),
        ({"models": ["m", "m"]}, "models"),
        ({"prices": {"m": {"input_usd_per_million": "1"}}}, "prices.m.output_usd_per_million"),
        ({"from_environment": True}, "from_environment"),
        ({"has_api_key": True}, "has_api_key"),
        ({"tenant_id": None}, "tenant_id"),
    ],
)
async def test_providers_that_cannot_be_are_refused_by_their_field(
    control: Control, asked: dict[str, object], field: str
) -> None:
    path = (await places(control))["tenant"]
    assert set(await control.wrong_fields("POST", path, {"name": "main", "kind": "openai", **asked})) == {field}


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('"0.15"', "0.15"),
        ('"0.150"', "0.15"),
        ("0.1", "0.1"),
        ("0.30000000000000004", None),
        ("0.000000001", "0.000000001"),
        ("0.0000000001", None),
        ("3", "3"),
        ("30", "30"),
        ("1e2", "100"),
        ("1e-3", "0.001"),
        ("0", "0"),
        ('"0"', "0"),
        ("-1", None),
        ("1000001", None),
        ("1e999999999", None),
        ("1e-999999999", None),
        ('"1e2"', None),
        ('"NaN"', None),
        ('"\u0661"', None),
        ("true", None),
        ("null", None),
        ("[1]", None),
    ],
)
async def test_prices_are_kept_exactly(control: Control, sent: str, kept: str | None) -> None:
    path = (await places(control))["project"]
    body = (
        '{"name": "main", "kind": "openai", "prices": {"m":'
        f' {{"input_usd_per_million": {sent}, "output_usd_per_million": "1"}}}}}}'
    )
    headers = {"content-type": "application/json"}
    answer = await control.ask("POST", path, content=body.encode(), headers=headers)
    if kept is None:
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["field"].startswith("prices.m.input_usd_per_million")
    else:
        assert answer.json()["prices"] == {"m": {"input_usd_per_million": kept, "output_usd_per_million": "1"}}


async def test_prices_are_merged_model_by_model(control: Control) -> None:
    path = (await places(control))["project"]
    one, two = ({"input_usd_per_million": price, "output_usd_per_million": price} for price in ("1", "2"))
    provider = await control.make(path, name="main", kind="openai", prices={"a": one, "b": two})
    patch = {"a": {"output_usd_per_million": 3}, "b": None, "c": two}
    changed = await control.change(f"{path}/{provider['id']}", prices=patch)
    assert changed["prices"] == {"a": {"input_usd_per_million": "1", "output_usd_per_million": "3"}, "c": two}


async def test_an_echo_provider_needs_no_address(control: Control) -> None:
    path = (await places(control))["project"]
    provider = await control.make(path, name="parrot", kind="echo")
    assert (provider["base_url"], provider["has_api_key"]) == (None, False)


async def test_providers_of_the_environment_are_not_changed_by_the_control_plane(
    control: Control, database: TestDatabase
) -> None:
    provider = await control.make("/providers", name="gemini", kind="gemini")
    provider_id = ids.parsed(ids.PROVIDER, provider["id"])
    database.run("UPDATE bailiwick.providers SET from_environment = true WHERE id = %s", provider_id)
    address = f"/providers/{provider['id']}"
    for method, body in (("PATCH", {"name": "other"}), ("DELETE", None)):
        status, problem = await control.refused(method, address, body)
        assert (status, problem["code"]) == (409, "conflict")
    assert (await control.read(address))["name"] == "gemini"
    database.run("DELETE FROM bailiwick.providers WHERE id = %s", provider_id)
