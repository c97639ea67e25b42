"""Another tenant's ids, at every address of the control plane: the same answer as an unknown id, and nothing happens.

Once as everything is, and once with the policies switched off, so that our own queries alone must keep tenants apart.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import pytest
from psycopg import sql

from bailiwick.domain import ids
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.usage_report import usage_query
from bailiwick.storage import keys, roles
from bailiwick.storage.scope import Database, open_pool
from bailiwick.storage.sql import Sql
from bailiwick.storage.usage import UsageRows
from tests.control import UNKNOWN, Control, controlled
from tests.database import TestDatabase, TestServer
from tests.holdings import Holding, addresses, body_for, filled, holding
from tests.isolation.catalogue import tenant_tables
from tests.ledger import Call, settle

CANARY: Final = "canary-of-the-other"


@pytest.fixture(params=[True, False], ids=["with the policies", "by the code alone"])
def kept_apart(request: pytest.FixtureRequest, server: TestServer) -> TestDatabase:
    """A database as it is, and one whose policies are switched off."""
    database = server.create()
    if not request.param:
        with database.connect() as superuser:
            for table in tenant_tables(superuser):
                switch = sql.SQL("ALTER TABLE bailiwick.{} DISABLE ROW LEVEL SECURITY")
                superuser.execute(switch.format(sql.Identifier(table)))
    return database


@pytest.fixture
async def plane(kept_apart: TestDatabase) -> AsyncIterator[Control]:
    async with controlled(kept_apart) as control:
        yield control


def misplaced(path: str, own: Holding, foreign: Holding) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Fillings of a path that join what does not belong together, each with the like of it of unknown ids."""
    names = re.findall(r"\{(\w+)\}", path)
    if len(names) == 1 or "uid" in names:  # Whatever an end user is called, any project may have one of that name.
        return []
    values: list[tuple[dict[str, str], dict[str, str]]] = []
    for child in names[1:]:
        unknown = UNKNOWN[own.ids[child].partition("_")[0]]
        for outer, inner in ((own, foreign), (foreign, own)):
            around = {name: outer.ids[name] for name in names}
            values.append(({**around, child: inner.at(path)[child]}, {**around, child: unknown}))
    return values


async def state(control: Control, tenants: tuple[Holding, ...]) -> list[Any]:
    """All that can be read of some tenants."""
    seen = []
    for tenant in tenants:
        for method, path in await addresses(control):
            # The log tells of what others tried; it has its own tests.
            if method == "get" and "/providers/{" not in path and "/audit" not in path:
                seen.append((path, (await control.ask("GET", filled(path, tenant.at(path)))).text))
        seen.append(("provider", await control.read(f"/tenants/{tenant.ids['tenant_id']}/providers")))
    return [entry for entry in seen if not entry[0].endswith(("/usage", "/refusals", "/users", "/users/{uid}"))]


async def test_what_is_anothers_is_as_what_is_unknown_at_every_address(plane: Control) -> None:
    own, foreign = await holding(plane, "own"), await holding(plane, CANARY)
    before = await state(plane, (own, foreign))
    tried = 0
    for method, path in await addresses(plane):
        for values, unknown in misplaced(path, own, foreign):
            body = body_for(method, path)
            answers = [await plane.ask(method.upper(), filled(path, ids_), body) for ids_ in (values, unknown)]
            assert [answer.status_code for answer in answers] == [404, 404], (method, path, values)
            assert answers[0].content == answers[1].content
            headers = [{**answer.headers, "x-request-id": ""} for answer in answers]
            assert headers[0] == headers[1]
            tried += 1
    assert tried >= 26
    assert await state(plane, (own, foreign)) == before


async def test_a_provider_is_found_in_its_own_place_alone(plane: Control) -> None:
    own, foreign = await holding(plane, "own"), await holding(plane, CANARY)
    for provider in (one["provider_id"] for each in (own, foreign) for one in (each.ids, each.of_tenant)):
        for method in ("GET", "PATCH", "DELETE"):
            body = {"name": "intruder"} if method == "PATCH" else None
            assert (await plane.ask(method, f"/providers/{provider}", body)).status_code == 404
    path = f"/projects/{own.ids['project_id']}/providers/{own.of_tenant['provider_id']}"
    assert (await plane.ask("DELETE", path)).status_code == 404


async def test_no_answer_about_one_tenant_holds_a_byte_of_another(plane: Control) -> None:
    own, foreign = await holding(plane, "own"), await holding(plane, CANARY)
    secrets = [CANARY, *foreign.ids.values(), *foreign.of_tenant.values()]
    looked = 0
    for method, path in await addresses(plane):
        if path.startswith(("/admin/v1/providers/{provider_id}", "/admin/v1/issuers/{issuer_id}")):
            continue
        values = own.at(path)
        if method != "delete":
            answer = await plane.ask(method.upper(), filled(path, values), body_for(method, path))
            assert answer.status_code < 300 or (answer.status_code, method) == (409, "post"), (path, answer.text)
            assert not [secret for secret in secrets if secret in answer.text], (method, path)
            looked += 1
    assert looked >= 20
    for path in ("/tenants/{tenant_id}/projects", "/projects/{project_id}/keys", "/projects/{project_id}/providers"):
        page = await plane.read(filled(path, own.ids) + "?limit=200")
        assert not [secret for secret in secrets if secret in str(page)]


@pytest.mark.parametrize(("kept_apart", "status"), [(True, 404), (False, 200)], indirect=["kept_apart"])
async def test_either_lock_holds_without_the_other(
    plane: Control, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, foreign = await holding(plane, "own"), await holding(plane, CANARY)
    path = f"/projects/{own.ids['project_id']}/keys/{foreign.ids['key_id']}"
    assert (await plane.ask("GET", path)).status_code == 404
    forgetful = keys._SQL["find_key"].partition(b"WHERE")[0] + b"WHERE id = %(key)s"
    monkeypatch.setitem(keys._SQL, "find_key", Sql(forgetful))
    assert (await plane.ask("GET", path)).status_code == status


async def test_no_change_of_one_tenant_touches_another(plane: Control) -> None:
    own, foreign = await holding(plane, "own"), await holding(plane, CANARY)
    before = await state(plane, (foreign,))
    for method, path in sorted(await addresses(plane), key=lambda address: address[0] == "delete"):
        values = own.at(path)
        await plane.ask(method.upper(), filled(path, values), body_for(method, path))
    assert await state(plane, (foreign,)) == before


async def test_usage_of_a_project_is_not_read_within_another_tenant(plane: Control, kept_apart: TestDatabase) -> None:
    own, foreign = await holding(plane, "own"), await holding(plane, CANARY)
    own_tenant = TenantId(_parsed(own, "tenant_id", ids.TENANT))
    foreign_tenant = TenantId(_parsed(foreign, "tenant_id", ids.TENANT))
    foreign_project = ProjectId(_parsed(foreign, "project_id", ids.PROJECT))
    settle(kept_apart, foreign_tenant, foreign_project, [Call(opened_at=datetime(2026, 11, 2, tzinfo=UTC), uid=CANARY)])
    query = usage_query({"group_by": "user"}, plane.clock())
    with pytest.raises(Refused):
        await plane.plane.usage.report(own_tenant, foreign_project, query)
    for role in (roles.CONTROL, roles.APP):
        pool = open_pool(kept_apart.url(role), name="test", size=1)
        async with pool:
            async with Database(pool).surveying(own_tenant) as scope:
                rows = UsageRows(scope, own_tenant, foreign_project)
                assert not await rows.exist()
                report = await rows.report(query)
            assert (report.groups, report.total.requests) == ((), 0)
            async with Database(pool).surveying(foreign_tenant) as scope:
                rows = UsageRows(scope, foreign_tenant, foreign_project)
                assert await rows.exist()
                report = await rows.report(query)
            assert report.total.requests == 1


def _parsed(tenant: Holding, name: str, prefix: str) -> UUID:
    found = ids.parsed(prefix, tenant.ids[name])
    assert found is not None
    return found
