"""Who may do what: every address of the control plane, asked by everybody.

What is expected is said here once more, by the look of an address, not taken from what the routes say of themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import pytest

from bailiwick.apps.admin.app import create_app
from bailiwick.apps.admin.needs import needs, stated
from bailiwick.apps.admin.routes import tenants
from bailiwick.domain.administration import AdminPermission
from tests.control import UNKNOWN, Control, add_operator
from tests.database import TestDatabase
from tests.holdings import Holding, body_for, every_address, filled, holding

_ANY: Final[Any] = None
VIEWER, ADMIN, OWNER = range(3)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """Somebody who asks about the tenant A."""

    role: int
    tenant: str | None


ASKERS: Final = {
    "viewer of the installation": Asker(role=VIEWER, tenant=None),
    "admin of the installation": Asker(role=ADMIN, tenant=None),
    "owner of the installation": Asker(role=OWNER, tenant=None),
    "viewer of A": Asker(role=VIEWER, tenant="A"),
    "admin of A": Asker(role=ADMIN, tenant="A"),
    "owner of A": Asker(role=OWNER, tenant="A"),
    "admin of B": Asker(role=ADMIN, tenant="B"),
    "owner of B": Asker(role=OWNER, tenant="B"),
}


def least_role(method: str, path: str) -> int:
    """The least role that an address is for."""
    if method == "get":
        return VIEWER
    if path.startswith("/admin/v1/sessions"):
        return VIEWER
    return OWNER if path.startswith(("/admin/v1/operators", "/admin/v1/sign-in")) else ADMIN


def of_the_installation(method: str, path: str) -> bool:
    """Whether an address is for the installation's operators alone."""
    return path.startswith(("/admin/v1/providers", "/admin/v1/issuers", "/admin/v1/audit", "/admin/v1/sign")) or (
        method in ("post", "delete") and path in ("/admin/v1/tenants", "/admin/v1/tenants/{tenant_id}")
    )


def expected(asker: Asker, method: str, path: str) -> int | None:
    """The status of the refusal, None if it must be let through."""
    if asker.role < least_role(method, path):
        return 403
    if asker.tenant is not None and of_the_installation(method, path):
        return 403
    if asker.tenant == "B" and "{" in path:
        return 404
    return None


def unknown_ids(own: Holding) -> dict[str, str]:
    return {name: UNKNOWN.get(value.partition("_")[0], value) for name, value in own.ids.items()}


@pytest.mark.parametrize("name", list(ASKERS))
async def test_everybody_may_do_what_is_theirs_and_nothing_else(
    control: Control, database: TestDatabase, name: str
) -> None:
    asker = ASKERS[name]
    a, b = await holding(control, "a"), await holding(control, "b")
    tenant = {None: None, "A": a.ids["tenant_id"], "B": b.ids["tenant_id"]}[asker.tenant]
    role = ("viewer", "admin", "owner")[asker.role]
    asking = control.asked_by(add_operator(database, role=role, tenant=tenant))
    tried = {None: 0, 403: 0, 404: 0}
    # What removes comes last, and what removes the most last of all.
    for method, path in sorted(await every_address(control), key=lambda at: (at[0] == "delete", -len(at[1]))):
        body = body_for(method, path)
        values = a.at(path)
        status = expected(asker, method, path)
        tried[status] += 1
        answer = await asking.ask(method.upper(), filled(path, values), body)
        if status is not None:
            assert answer.status_code == status, (method, path, answer.text)
            # What is there is refused as what is not: the same bytes, for whoever may not.
            like = await asking.ask(method.upper(), filled(path, unknown_ids(a)), body)
            assert (like.status_code, like.content) == (status, answer.content), (method, path)
        elif method == "delete":
            assert answer.status_code in (204, 404), (method, path, answer.text)
        else:
            assert answer.status_code not in (401, 403), (method, path, answer.text)
            known = not path.startswith(("/admin/v1/providers/{provider_id}", "/admin/v1/issuers/{issuer_id}"))
            assert (answer.status_code == 404) is not known, (method, path, answer.text)
    assert tried[None] > 0
    assert (tried[403] > 0) == (asker.tenant is not None or asker.role < OWNER)
    assert (tried[404] > 0) == (asker.tenant == "B")


async def test_nobody_is_401_everywhere(control: Control) -> None:
    a = await holding(control, "a")
    nobody = control.asked_by(None)
    contents = set()
    for method, path in await every_address(control):
        answer = await nobody.ask(method.upper(), filled(path, a.ids), body_for(method, path))
        assert answer.status_code == 401, (method, path)
        contents.add(answer.content)
    assert len(contents) == 1


async def test_a_refusal_comes_before_the_body_is_read(control: Control, database: TestDatabase) -> None:
    a, b = await holding(control, "a"), await holding(control, "b")
    path = f"/projects/{a.ids['project_id']}/keys"
    broken: dict[str, Any] = {"content": b"{", "headers": {"content-type": "application/json"}}
    viewer = control.asked_by(add_operator(database, role="viewer"))
    assert (await viewer.ask("POST", path, **broken)).status_code == 403
    stranger = control.asked_by(add_operator(database, tenant=b.ids["tenant_id"]))
    assert (await stranger.ask("POST", path, **broken)).status_code == 404
    assert (await control.ask("POST", path, **broken)).status_code == 400


async def test_a_tenants_operator_sees_its_own_tenant_in_the_list(control: Control, database: TestDatabase) -> None:
    a, _ = await holding(control, "a"), await holding(control, "b")
    own = control.asked_by(add_operator(database, role="viewer", tenant=a.ids["tenant_id"]))
    page = await own.read("/tenants")
    assert [tenant["id"] for tenant in page["data"]] == [a.ids["tenant_id"]]
    assert (page["has_more"], page["next"]) == (False, None)
    assert (await own.read(f"/tenants?after={a.ids['tenant_id']}"))["data"] == []


async def test_a_tenants_operator_changes_its_tenant_but_not_whether_it_is_served(
    control: Control, database: TestDatabase
) -> None:
    a = await holding(control, "a")
    path = f"/tenants/{a.ids['tenant_id']}"
    before = await control.read(path)
    own = control.asked_by(add_operator(database, tenant=a.ids["tenant_id"]))
    for patch in ({"status": "suspended"}, {"slug": "another"}, {"slug": None}):
        status, problem = await own.refused("PATCH", path, patch)
        assert (status, problem["code"]) == (403, "forbidden")
    assert await control.read(path) == before
    assert (await own.change(path, name="Renamed", status="active"))["name"] == "Renamed"
    await control.change(path, status="suspended")
    assert (await own.refused("PATCH", path, {"status": "active"}))[0] == 403


async def test_an_operators_reach_ends_with_its_tenant(control: Control, database: TestDatabase) -> None:
    a = await holding(control, "a")
    own = control.asked_by(add_operator(database, tenant=a.ids["tenant_id"]))
    await own.read("/tenants")
    assert (await control.ask("DELETE", f"/tenants/{a.ids['tenant_id']}")).status_code == 204
    assert (await own.ask("GET", "/tenants")).status_code == 401


def test_a_route_that_states_no_permission_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="does not state its permission"):
        tenants.router.get("/admin/v1/forgotten")(test_a_route_that_states_no_permission_cannot_be_made)


def test_a_route_that_would_ask_nobody_stops_the_start() -> None:
    stray = tenants.router.routes[0].__class__.__mro__[1]("/admin/v1/stray", lambda: None)
    tenants.router.routes.append(stray)
    try:
        with pytest.raises(TypeError, match="ask nobody"):
            create_app(_ANY, new_id=_ANY, monotonic=_ANY, log=_ANY)
    finally:
        tenants.router.routes.remove(stray)


@pytest.mark.parametrize("permission", AdminPermission)
def test_what_a_route_states_is_what_it_asks_for(permission: AdminPermission) -> None:
    for confined in (True, False):
        read = stated(needs(permission, confined=confined), "/")
        assert (read.permission, read.confined) == (permission, confined)
