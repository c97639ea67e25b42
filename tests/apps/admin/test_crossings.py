"""Operators who turn to what is another tenant's: refused as ever, and told in their own tenant's audit log."""

from __future__ import annotations

from typing import Any

import pytest

from bailiwick.domain import ids
from bailiwick.domain.errors import Refused, Unavailable
from bailiwick.domain.ids import OperatorKeyId, TenantId
from bailiwick.domain.operators import Operator, OperatorKind, OperatorRole
from bailiwick.services.confinement import Confinement
from bailiwick.services.crossings import tell
from bailiwick.storage import roles
from bailiwick.storage.scope import Database, open_pool
from tests.control import UNKNOWN, Control, add_operator
from tests.dashboard import Browser, browser
from tests.database import TestDatabase

__all__ = ["browser"]
Told = list[tuple[str, str, str, int]]


async def told(control: Control, database: TestDatabase, tenant: dict[str, Any]) -> Told:
    """Who turned where they may not, by a tenant's audit log: actor, target, code, and how often."""
    await control.plane.confinement.flush()
    control.clock.advance(minutes=3)
    async with open_pool(database.url(roles.CONTROL), name="test", size=1) as pool:
        await tell(Database(pool), control.plane.acts)
    found = (await control.read(f"/tenants/{tenant['id']}/audit?action=crossing.refused"))["data"]
    return [(entry["actor"], entry["target"], entry["detail"]["code"], entry["detail"]["times"]) for entry in found]


async def test_a_tenants_operator_who_asks_for_anothers_is_told_of_in_their_own_log(
    control: Control, database: TestDatabase
) -> None:
    own, key = await control.tenant(), await control.key()
    operator = add_operator(database, tenant=own["id"])
    asking = control.asked_by(operator)
    project, tenant = key["project_id"], key["tenant_id"]
    tries = (
        ("GET", f"/tenants/{tenant}", None),
        ("GET", f"/projects/{project}/usage", None),
        ("POST", f"/keys/{key['id']}/revoke", {}),
        ("PATCH", f"/projects/{project}", {"name": "Mine"}),
        ("POST", "/auth/mint", {"project_id": project, "user_id": "ann"}),
    )
    for method, path, body in tries:
        assert (await asking.refused(method, path, body))[0] == 404
    found = await told(control, database, own)
    assert {one[:3] for one in found} == {(operator[0], own["id"], "not_found")}
    assert sum(one[3] for one in found) == len(tries)
    assert await told(control, database, {"id": tenant}) == []


async def test_what_is_not_there_is_counted_as_what_is_anothers(control: Control, database: TestDatabase) -> None:
    own = await control.tenant()
    operator = add_operator(database, tenant=own["id"])
    assert (await control.asked_by(operator).refused("GET", f"/tenants/{UNKNOWN['ten']}"))[0] == 404
    assert await told(control, database, own) == [(operator[0], own["id"], "not_found", 1)]


async def test_what_is_refused_for_another_reason_is_no_crossing(control: Control, database: TestDatabase) -> None:
    own = await control.tenant()
    viewer = control.asked_by(add_operator(database, tenant=own["id"], role="viewer"))
    assert (await viewer.refused("PATCH", f"/tenants/{own['id']}", {"name": "Other"}))[0] == 403
    assert (await viewer.refused("GET", "/providers"))[0] == 403
    assert (await viewer.ask("GET", f"/tenants/{own['id']}")).status_code == 200
    assert await told(control, database, own) == []


async def test_in_the_dashboard_too(browser: Browser, database: TestDatabase) -> None:
    control = browser.control
    own, key = await control.tenant(), await control.key()
    visitor = browser.as_("admin", own["id"])
    project, tenant = key["project_id"], key["tenant_id"]
    pages = (f"/projects/{project}/usage", f"/tenants/{tenant}", f"?tenant={tenant}", f"/requests?tenant={tenant}")
    for page in pages:
        assert (await visitor.get(f"/dashboard{page}")).status == 404
    found = await told(control, database, own)
    assert {one[:3] for one in found} == {(visitor.visitor.operator.shown_id, own["id"], "not_found")}
    assert sum(one[3] for one in found) == len(pages)


async def test_what_a_database_that_is_away_did_not_take_is_written_later(
    control: Control, database: TestDatabase
) -> None:
    own = await control.tenant()
    name, _ = add_operator(database, tenant=own["id"])
    operator_id, tenant_id = ids.parsed(ids.OPERATOR_KEY, name), ids.parsed(ids.TENANT, own["id"])
    assert operator_id is not None
    assert tenant_id is not None
    operator = Operator(
        id=OperatorKeyId(operator_id),
        kind=OperatorKind.KEY,
        name="Key",
        role=OperatorRole.OWNER,
        tenant_id=TenantId(tenant_id),
    )
    pool = open_pool(database.url(roles.CONTROL), name="test", size=1)
    confinement = Confinement(Database(pool), control.plane.acts.new_id(), now=control.clock)
    with pytest.raises(Refused):
        confinement.keep(operator, TenantId(control.plane.acts.new_id()))
    with pytest.raises(Unavailable):
        await confinement.flush()  # The pool is not open yet.
    async with pool:
        await confinement.flush()
        await confinement.flush()
    assert await told(control, database, own) == [(name, own["id"], "not_found", 1)]
