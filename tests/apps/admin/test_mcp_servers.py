"""`/admin/v1/projects/{id}/mcp-servers`: tool servers, their lives, their credentials, where they may be."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from bailiwick.domain import ids
from bailiwick.identity.sealing import CannotOpen, mcp_server_row_identity, unseal
from bailiwick.services import mcp_servers
from tests.control import UNKNOWN, Audit, Control
from tests.database import MASTER_KEY, TestDatabase

CANARY = "Bearer canary-0123456789"
URL = "https://tools.example/mcp"


async def servers(control: Control) -> str:
    """The address of a new project's servers."""
    return f"/projects/{(await control.project())['id']}/mcp-servers"


def stored(database: TestDatabase, server: dict[str, Any]) -> tuple[bytes | None, UUID, UUID, UUID]:
    (row,) = database.rows(
        "SELECT credential, tenant_id, project_id, id FROM bailiwick.mcp_servers WHERE id = %s",
        ids.parsed(ids.MCP_SERVER, server["id"]),
    )
    return row[0], row[1], row[2], row[3]


def opened(database: TestDatabase, server: dict[str, Any]) -> str | None:
    sealed, *whose = stored(database, server)
    return None if sealed is None else unseal(MASTER_KEY.sealing(), mcp_server_row_identity(*whose), bytes(sealed))


async def test_a_server_is_registered_read_changed_and_removed(
    control: Control, database: TestDatabase, audit: Audit
) -> None:
    path = await servers(control)
    made = await control.ask("POST", path, {"name": "docs", "url": URL, "credential": CANARY})
    assert made.status_code == 201
    server = made.json()
    address = f"{path}/{server['id']}"
    assert made.headers["location"] == f"/admin/v1{address}"
    assert {
        name: server[name] for name in ("name", "url", "credential_header", "has_credential", "enabled", "tools")
    } == {
        "name": "docs",
        "url": URL,
        "credential_header": "authorization",
        "has_credential": True,
        "enabled": True,
        "tools": None,
    }
    assert await control.read(address) == server
    assert (await control.read(path))["data"] == [server]
    changed = await control.change(address, name="papers", enabled=False, tools={"deny": ["*_delete"]})
    assert changed == {**server, "name": "papers", "enabled": False, "tools": {"deny": ["*_delete"]}}
    assert opened(database, server) == CANARY
    assert (await control.change(address, enabled=None, tools=None)) == {**server, "name": "papers"}
    assert (await control.ask("DELETE", address)).status_code == 204
    assert (await control.ask("GET", address)).status_code == 404
    acts = [entry.action for entry in audit(server["id"])]
    assert acts == ["mcp_server.create", *["mcp_server.change"] * 2, "mcp_server.remove"]


async def test_a_stored_credential_only_goes_where_it_was_given_for(control: Control, database: TestDatabase) -> None:
    path = await servers(control)
    server = await control.make(path, name="docs", url=URL, credential=CANARY)
    address = f"{path}/{server['id']}"
    expected = {"credential": "must be given again when url or credential_header changes"}
    for patch in ({"url": "https://elsewhere.example/mcp"}, {"credential_header": "x-api-key"}):
        assert await control.wrong_fields("PATCH", address, patch) == expected
    assert await control.read(address) == server
    moved = await control.change(address, credential_header="X-Api-Key", credential="t-2")
    assert (moved["credential_header"], opened(database, server)) == ("x-api-key", "t-2")
    assert (await control.change(address, credential=None))["has_credential"] is False
    assert opened(database, server) is None
    assert (await control.change(address, url="https://elsewhere.example/mcp"))["has_credential"] is False


async def test_a_credential_opens_only_for_its_own_row(control: Control, database: TestDatabase) -> None:
    path = await servers(control)
    one, other = [await control.make(path, name=name, url=URL, credential=CANARY) for name in ("one", "other")]
    sealed = stored(database, one)[0]
    assert sealed is not None
    assert CANARY.encode() not in bytes(sealed)
    database.run(
        "UPDATE bailiwick.mcp_servers SET credential = %s WHERE id = %s",
        sealed,
        ids.parsed(ids.MCP_SERVER, other["id"]),
    )
    with pytest.raises(CannotOpen):
        opened(database, other)


async def test_a_credential_is_in_no_answer_no_audit_entry_and_no_log(control: Control, database: TestDatabase) -> None:
    path = await servers(control)
    made = await control.ask("POST", path, {"name": "canary", "url": URL, "credential": CANARY})
    address = f"{path}/{made.json()['id']}"
    answers = [
        made,
        await control.ask("GET", path),
        await control.ask("GET", address),
        await control.ask("PATCH", address, {"credential": CANARY + "2", "name": "canary2"}),
        await control.ask("PATCH", address, {"credential": CANARY + "\u00e9"}),
        await control.ask("PATCH", address, {"credential": [CANARY]}),
        await control.ask("POST", path, {"name": CANARY, "url": CANARY, "credential_header": CANARY}),
        await control.ask("DELETE", address),
    ]
    assert not [answer.text for answer in answers if CANARY in answer.text]
    assert not [row for row in database.rows("SELECT a::text FROM bailiwick.audit a") if CANARY in row[0]]
    assert CANARY not in control.log.getvalue()


@pytest.mark.parametrize(
    "url",
    [
        "http://tools.example/mcp", "https://127.0.0.1/mcp", "https://localhost/mcp", "https://169.254.169.254/latest",
        "https://[::1]/", "https://10.0.0.8/", "https://2130706433/", "https://user:password@tools.example/",
        "file:///etc/passwd", "https://", "tools.example", "", "https://tools.example/\r\nx: y",
    ],
)  # fmt: skip
async def test_addresses_that_we_would_not_connect_to_are_refused(control: Control, url: str) -> None:
    wrong = await control.wrong_fields("POST", await servers(control), {"name": "docs", "url": url})
    assert set(wrong) == {"url"}
    assert wrong["url"].startswith("is refused: ")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"name": "Docs"}, "name"),
        ({"name": "-docs"}, "name"),
        ({"name": "docs-"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "x" * 64}, "name"),
        ({"name": ""}, "name"),
        ({"credential": "a\r\nb"}, "credential"),
        ({"credential": " a"}, "credential"),
        ({"credential": ""}, "credential"),
        ({"credential": "x" * 4097}, "credential"),
        ({"credential_header": "host"}, "credential_header"),
        ({"credential_header": "Content-Length"}, "credential_header"),
        ({"credential_header": "mcp-session-id"}, "credential_header"),
        ({"credential_header": "a b"}, "credential_header"),
        ({"credential_header": "a: b"}, "credential_header"),
        ({"tools": {"allowed": []}}, "tools.allowed"),
        ({"tools": {"allow": [""]}}, "tools.allow.0"),
        ({"tools": {"deny": ["x" * 10_000]}}, "tools.deny.0"),
        ({"enabled": "yes"}, "enabled"),
        ({"other": 1}, "other"),
    ],
)
async def test_what_cannot_be_is_named(control: Control, asked: dict[str, Any], field: str) -> None:
    body = {"name": "docs", "url": URL, **asked}
    assert set(await control.wrong_fields("POST", await servers(control), body)) == {field}


async def test_a_name_is_taken_once_in_a_project(control: Control) -> None:
    path, elsewhere = await servers(control), await servers(control)
    await control.make(path, name="twice", url=URL)
    await control.make(elsewhere, name="twice", url=URL)
    status, problem = await control.refused("POST", path, {"name": "twice", "url": URL})
    assert (status, problem["code"], problem["errors"][0]["field"]) == (409, "conflict", "name")
    second = await control.make(path, name="once", url=URL)
    assert (await control.refused("PATCH", f"{path}/{second['id']}", {"name": "twice"}))[0] == 409


async def test_a_project_has_at_most_so_many_servers(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_servers, "MAX_MCP_SERVERS", 2)
    path = await servers(control)
    for name in ("one", "two"):
        await control.make(path, name=name, url=URL)
    assert (await control.refused("POST", path, {"name": "three", "url": URL}))[0] == 409


async def test_there_are_no_servers_of_no_project(control: Control) -> None:
    path = f"/projects/{UNKNOWN['prj']}/mcp-servers"
    assert (await control.refused("GET", path))[0] == 404
    assert (await control.refused("POST", path, {"name": "docs", "url": URL}))[0] == 404
