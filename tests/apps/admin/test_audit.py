"""The audit log: what operators read of it, and that whatever a superuser changes in it is found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from uuid import UUID

import pytest

from bailiwick.apps import audit_witness
from bailiwick.domain import ids
from bailiwick.domain.audit import BOOTSTRAP
from bailiwick.domain.audit_chain import BEGINNING, Chain, link_digest, signed_head
from bailiwick.domain.ids import TenantId
from bailiwick.services.audit_trail import Witness
from bailiwick.storage.audit import _link
from tests.control import Control, controlled
from tests.database import CONTROL_KEYS, TestDatabase
from tests.serving import uuid_of

KEY: Final = CONTROL_KEYS.audit
Findings = dict[str, tuple[str, ...]]


@pytest.fixture
async def filled(scratch: TestDatabase) -> AsyncIterator[Control]:
    """A control plane of its own in which something has happened, in two tenants."""
    async with controlled(scratch) as control:
        for name in ("first", "second"):
            tenant = await control.tenant(name, slug=name)
            project = await control.make(f"/tenants/{tenant['id']}/projects", name=f"{name} project")
            key = await control.make(f"/projects/{project['id']}/keys", name="Zoë's key ☂")
            await control.ask("POST", f"/keys/{key['id']}/revoke")
            await control.change(f"/projects/{project['id']}", limits={"user": {"requests": 60, "per": "1m"}})
        yield control


async def verified(control: Control, witnessed: dict[Chain, dict[int, bytes]] | None = None) -> Findings:
    """What is wrong, by chain."""
    return {
        "installation" if chain.chain is None else ids.shown(ids.TENANT, chain.chain): chain.findings
        async for chain in control.plane.audit.verify(KEY, witnessed or {})
        if chain.findings
    }


async def test_entries_are_listed_newest_first_in_pages(filled: Control) -> None:
    tenant = (await filled.read("/tenants"))["data"][0]
    path = f"/tenants/{tenant['id']}/audit"
    first = await filled.read(f"{path}?limit=2")
    second = await filled.read(f"{path}?limit=2&after={first['next']}")
    entries = [*first["data"], *second["data"]]
    assert [entry["action"] for entry in entries] == ["project.change", "key.revoke", "key.create", "project.create"]
    assert [entry["seq"] for entry in entries] == [5, 4, 3, 2]
    change = entries[0]
    assert change["actor"] == filled.operator_id
    assert change["actor_name"] == "Test"
    assert change["detail"] == {
        "before": {"limits": {}},
        "after": {"limits": {"user": {"requests": 60, "per": "1m"}}},
    }
    assert change["request_id"].startswith("req_")


@pytest.mark.parametrize(
    ("asked", "actions"),
    [
        ("action=key", ["key.revoke", "key.create"]),
        ("action=key.revoke", ["key.revoke"]),
        ("action=ke", []),
        ("actor=opk_nobody", []),
        ("from=2026-11-21T13:00:00Z", []),
        ("to=2026-11-21T12:00:00Z", []),
    ],
)
async def test_entries_are_found_by_what_is_asked(filled: Control, asked: str, actions: list[str]) -> None:
    tenant = (await filled.read("/tenants"))["data"][0]
    found = await filled.read(f"/tenants/{tenant['id']}/audit?{asked}")
    assert [entry["action"] for entry in found["data"]] == actions


async def test_entries_are_found_by_target_and_actor(filled: Control) -> None:
    tenant = (await filled.read("/tenants"))["data"][0]
    by_target = await filled.read(f"/tenants/{tenant['id']}/audit?target={tenant['id']}&actor={filled.operator_id}")
    assert [entry["action"] for entry in by_target["data"]] == ["tenant.create"]


@pytest.mark.parametrize("asked", ["from=yesterday", "action=", "actor=%00", "target=%C3%A9", "limit=0", "after=aud_x"])
async def test_what_cannot_be_asked_is_told(filled: Control, asked: str) -> None:
    assert (await filled.refused("GET", f"/audit?{asked}"))[0] == 422


async def test_reading_the_installations_log_is_itself_an_entry(filled: Control) -> None:
    await filled.read("/audit?action=tenant")
    assert (await filled.read("/audit"))["data"][0]["action"] == "audit.read"


async def test_an_export_has_every_entry_as_a_line_and_can_be_checked_without_us(filled: Control) -> None:
    tenant = (await filled.read("/tenants"))["data"][0]
    answer = await filled.ask("GET", f"/tenants/{tenant['id']}/audit/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    entries = [json.loads(line) for line in answer.text.splitlines()]
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert entries[-1]["action"] == "audit.export"


async def test_a_tenant_that_nobody_has_has_no_log(filled: Control) -> None:
    unknown = ids.shown(ids.TENANT, ids.uuid7(1_700_000_000_000, bytes(10)))
    for path in (f"/tenants/{unknown}/audit", f"/tenants/{unknown}/audit/export"):
        assert (await filled.refused("GET", path))[0] == 404


async def test_a_log_as_it_was_written_is_intact(filled: Control) -> None:
    assert await verified(filled) == {}


async def test_a_long_log_is_walked_in_pages(scratch: TestDatabase) -> None:
    async with controlled(scratch) as control:
        tenant = await control.tenant()
        tenant_id = TenantId(uuid_of(ids.TENANT, tenant["id"]))
        async with control.plane.audit._database.acting(tenant_id) as scope:
            for _ in range(1005):
                await control.plane.acts.record(scope, BOOTSTRAP, "a.b", "c", tenant_id=tenant_id, detail={})
        (chain,) = [walk async for walk in control.plane.audit.verify(KEY, {}) if walk.chain is not None]
        assert (chain.entries, chain.findings) == (1006, ())
        scratch.run("UPDATE bailiwick.audit SET actor = 'x' WHERE seq = 1003")
        assert list(await verified(control)) == [tenant["id"]]


# What a superuser could do to the log of the first tenant ("mine"), in SQL; `again` writes every digest anew.
TAMPERING: Final = {
    "another actor": "UPDATE audit SET actor = 'opk_other' WHERE seq = 3 AND mine",
    "another actor's name": "UPDATE audit SET actor_name = 'Mallory' WHERE seq = 3 AND mine",
    "no actor's name": "UPDATE audit SET actor_name = NULL WHERE seq = 3 AND mine",
    "another address": "UPDATE audit SET ip = '192.0.2.1' WHERE seq = 3 AND mine",
    "another action": "UPDATE audit SET action = 'key.rotate' WHERE seq = 4 AND mine",
    "another target": "UPDATE audit SET target = 'key_other' WHERE seq = 4 AND mine",
    "another detail": "UPDATE audit SET detail = '{}' WHERE seq = 5 AND mine",
    "a number in the detail": (
        "UPDATE audit SET detail = replace(detail::text, '60', '61')::json WHERE seq = 5 AND mine"
    ),
    "a space in the detail": "UPDATE audit SET detail = (' ' || detail::text)::json WHERE seq = 5 AND mine",
    "a microsecond": "UPDATE audit SET at = at + interval '1 microsecond' WHERE seq = 2 AND mine",
    "another request": "UPDATE audit SET request_id = 'req_0' WHERE seq = 2 AND mine",
    "no request": "UPDATE audit SET request_id = NULL WHERE seq = 2 AND mine",
    "another id": "UPDATE audit SET id = gen_random_uuid() WHERE seq = 2 AND mine",
    "the first gone": "DELETE FROM audit WHERE seq = 1 AND mine",
    "a middle one gone": "DELETE FROM audit WHERE seq = 3 AND mine",
    "the last gone": "DELETE FROM audit WHERE seq = 5 AND mine",
    "all gone": "DELETE FROM audit WHERE mine",
    "all gone with the head": "DELETE FROM audit WHERE mine; DELETE FROM audit_heads WHERE mine",
    "all gone with the tenant": (
        "DELETE FROM audit WHERE mine; DELETE FROM audit_heads WHERE mine; DELETE FROM tenants WHERE slug = 'first'"
    ),
    "everything truncated": "TRUNCATE audit, audit_heads",
    "the installation's gone": (
        "DELETE FROM audit WHERE tenant_id IS NULL; DELETE FROM audit_heads WHERE tenant_id IS NULL"
    ),
    "two in each other's place": (
        "UPDATE audit SET seq = -1 WHERE seq = 2 AND mine; UPDATE audit SET seq = 2 WHERE seq = 3 AND mine;"
        "UPDATE audit SET seq = 3 WHERE seq = -1 AND mine"
    ),
    "one at the end": (
        "INSERT INTO audit SELECT gen_random_uuid(), tenant_id, at, actor, action, target, detail, request_id,"
        " actor_name, ip, 6, digest FROM audit WHERE seq = 5 AND mine"
    ),
    "one before all": (
        "INSERT INTO audit SELECT gen_random_uuid(), tenant_id, at, actor, action, target, detail, request_id,"
        " actor_name, ip, 0, digest FROM audit WHERE seq = 5 AND mine"
    ),
    "one twice": (
        "DROP INDEX audit_chain; INSERT INTO audit SELECT gen_random_uuid(), tenant_id, at, actor, action, target,"
        " detail, request_id, actor_name, ip, seq, digest FROM audit WHERE seq = 3 AND mine"
    ),
    "into another chain": "UPDATE audit SET tenant_id = other, seq = 6 WHERE seq = 5 AND mine",
    "a chain in another's place": (
        "UPDATE audit SET seq = seq + 100 WHERE tenant_id = other; UPDATE audit SET tenant_id = other WHERE mine"
    ),
    "another digest": "UPDATE audit SET digest = sha256('x') WHERE seq = 3 AND mine",
    "another digest at the end, and in the head": (
        "UPDATE audit SET digest = sha256('x') WHERE seq = 5 AND mine;"
        "UPDATE audit_heads SET digest = sha256('x') WHERE mine"
    ),
    "an edit with its digest": "UPDATE audit SET actor = 'opk_other' WHERE seq = 5 AND mine; again",
    "an early edit with all digests": "UPDATE audit SET actor = 'opk_other' WHERE seq = 2 AND mine; again",
    "a cut tail with its head": "DELETE FROM audit WHERE seq = 5 AND mine; again",
    "a head further on": "UPDATE audit_heads SET seq = 6 WHERE mine",
    "a head further back": "UPDATE audit_heads SET seq = 4 WHERE mine",
    "a head of another chain": (
        "UPDATE audit_heads h SET seq = o.seq, digest = o.digest, signature = o.signature FROM audit_heads o"
        " WHERE h.mine AND o.tenant_id = other"
    ),
    "no signature": "UPDATE audit_heads SET signature = '' WHERE mine",
    "no head": "DELETE FROM audit_heads WHERE mine",
}


@pytest.mark.parametrize("how", TAMPERING)
async def test_tampering_is_found(filled: Control, scratch: TestDatabase, how: str) -> None:
    tenants = {tenant["slug"]: uuid_of(ids.TENANT, tenant["id"]) for tenant in (await filled.read("/tenants"))["data"]}
    mine, other = tenants["first"], tenants["second"]
    assert await verified(filled) == {}
    for statement in TAMPERING[how].split(";"):
        if statement.strip() == "again":
            write_digests_anew(scratch, mine)
            continue
        text = statement.replace("other;", f"'{other}';").replace("= other", f"= '{other}'")
        text = text.replace("h.mine", f"h.tenant_id = '{mine}'").replace("mine", f"tenant_id = '{mine}'")
        scratch.run(f"SET search_path = bailiwick; {text}")
    assert await verified(filled) != {}


def write_digests_anew(database: TestDatabase, tenant: UUID) -> None:
    """Whatever somebody can do who has read our code, but not the master key."""
    columns = "id, seq, at, actor, actor_name, ip, action, target, detail::text, request_id, digest"
    rows = database.rows(f"SELECT {columns} FROM bailiwick.audit WHERE tenant_id = %s ORDER BY seq", tenant)  # noqa: S608
    names = [name.partition("::")[0] for name in columns.split(", ")]
    previous, seq = BEGINNING, 0
    for row in rows:
        link = _link(dict(zip(names, row, strict=True)))
        previous, seq = link_digest(TenantId(tenant), previous, link), link.seq
        database.run("UPDATE bailiwick.audit SET digest = %s WHERE id = %s", previous, link.id)
    forged = signed_head(bytes(32), TenantId(tenant), seq, previous)
    database.run(
        "UPDATE bailiwick.audit_heads SET seq = %s, digest = %s, signature = %s WHERE tenant_id = %s",
        seq, previous, forged.signature, tenant,
    )  # fmt: skip


async def test_a_log_that_was_put_back_with_its_heads_is_behind_its_witness(
    filled: Control, scratch: TestDatabase, tmp_path: Path
) -> None:
    """Nothing within the database tells it from one in which less has happened."""
    path = tmp_path / audit_witness.FILE
    tenant = (await filled.read("/tenants"))["data"][0]
    scratch.run(
        "CREATE TABLE bailiwick.old AS TABLE bailiwick.audit;"
        "CREATE TABLE bailiwick.heads AS TABLE bailiwick.audit_heads"
    )
    await filled.change(f"/tenants/{tenant['id']}", name="Another name")
    witness = Witness(filled.plane.witness._database, keep=audit_witness.keeper(path), now=filled.clock)
    await witness.look()
    scratch.run(
        "TRUNCATE bailiwick.audit, bailiwick.audit_heads;"
        "INSERT INTO bailiwick.audit SELECT * FROM bailiwick.old;"
        "INSERT INTO bailiwick.audit_heads SELECT * FROM bailiwick.heads"
    )
    assert await verified(filled) == {}
    found = await verified(filled, audit_witness.read(path))
    assert found[tenant["id"]] == ("entry 6 was witnessed and is missing",)


async def test_a_witness_keeps_each_end_once_and_is_for_its_account_alone(filled: Control, tmp_path: Path) -> None:
    path = tmp_path / audit_witness.FILE
    witness = Witness(filled.plane.witness._database, keep=audit_witness.keeper(path), now=filled.clock)
    await witness.look()
    first = path.read_bytes()
    await witness.look()
    assert path.read_bytes() == first
    assert path.stat().st_mode & 0o777 == 0o600
    tenant = (await filled.read("/tenants"))["data"][0]
    await filled.change(f"/tenants/{tenant['id']}", name="Another name")
    await witness.look()
    lines = path.read_bytes().removeprefix(first).splitlines()
    assert {json.loads(line)["tenant_id"] for line in lines} == {None, tenant["id"]}
    assert await verified(filled, audit_witness.read(path)) == {}


async def test_ten_acts_at_once_make_one_chain(filled: Control) -> None:
    tenant = (await filled.read("/tenants"))["data"][0]
    path = f"/tenants/{tenant['id']}/projects"
    made = await asyncio.gather(*(filled.ask("POST", path, {"name": f"p{number}"}) for number in range(10)))
    assert {answer.status_code for answer in made} == {201}
    assert await verified(filled) == {}
    listed = (await filled.read(f"/tenants/{tenant['id']}/audit"))["data"]
    assert [entry["seq"] for entry in listed] == list(range(15, 0, -1))


def test_a_witness_with_foreign_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "witness"
    for content in (
        b"x\n",
        b'{"at":"","tenant_id":"x","seq":1,"digest":""}\n',
        b'{"at":"","tenant_id":null,"seq":1,"digest":"zz"}\n',
    ):
        path.write_bytes(content)
        with pytest.raises(audit_witness.NoWitness):
            audit_witness.read(path)
    path.write_bytes(b'{"at":"","tenant_id":null,"seq":1,"digest":"00"}\n{"at":"","ten')
    assert audit_witness.read(path) == {None: {1: b"\0"}}
