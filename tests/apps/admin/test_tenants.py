"""`/admin/v1/tenants`: a tenant's life."""

from __future__ import annotations

from tests.control import UNKNOWN, Audit, Control


async def test_a_tenant_is_made_read_changed_and_removed(control: Control, audit: Audit) -> None:
    made = await control.ask("POST", "/tenants", {"name": "Acme Corp."})
    assert made.status_code == 201
    tenant = made.json()
    assert made.headers["location"] == f"/admin/v1/tenants/{tenant['id']}"
    assert tenant == {
        "id": tenant["id"],
        "name": "Acme Corp.",
        "slug": "acme-corp",
        "status": "active",
        "default_project": None,
        "created_at": "2026-11-21T12:00:00Z",
        "created_by": control.operator_id,
    }
    address = f"/tenants/{tenant['id']}"
    assert await control.read(address) == tenant

    changed = await control.change(address, status="suspended", name="Acme")
    assert changed == {**tenant, "status": "suspended", "name": "Acme"}
    assert await control.read(address) == changed

    removed = await control.ask("DELETE", address)
    assert (removed.status_code, removed.content) == (204, b"")
    assert (await control.ask("GET", address)).status_code == 404
    assert [(entry.action, entry.actor) for entry in audit(tenant["id"])] == [
        ("tenant.create", control.operator_id),
        ("tenant.change", control.operator_id),
        ("tenant.remove", control.operator_id),
    ]
    assert audit(tenant["id"])[1].detail == {
        "before": {"name": "Acme Corp.", "status": "active"},
        "after": {"name": "Acme", "status": "suspended"},
    }


async def test_an_audit_entry_names_the_request(control: Control, audit: Audit) -> None:
    answer = await control.ask("POST", "/tenants", {"name": "Acme"})
    (entry,) = audit(answer.json()["id"])
    assert entry.request_id == answer.headers["x-request-id"]


async def test_tenants_are_listed_in_pages(control: Control) -> None:
    made = [(await control.tenant(f"Listed {number}"))["id"] for number in range(5)]
    seen: list[str] = []
    path = "/tenants?limit=2"
    while True:
        page = await control.read(path)
        seen += [tenant["id"] for tenant in page["data"]]
        assert page["has_more"] == (page["next"] is not None)
        if not page["has_more"]:
            break
        assert len(page["data"]) == 2
        path = f"/tenants?limit=2&after={page['next']}"
    assert [tenant for tenant in seen if tenant in made] == made
    assert len(seen) == len(set(seen))


async def test_looking_across_tenants_is_audited(control: Control, audit: Audit) -> None:
    await control.read("/tenants?limit=7")
    (entry,) = [entry for entry in audit("installation") if entry.actor == control.operator_id]
    assert (entry.action, entry.tenant_id, entry.detail["limit"]) == ("tenant.list", None, 7)


async def test_made_slugs_never_collide(control: Control) -> None:
    slugs = {(await control.tenant("Same Name"))["slug"] for _ in range(5)}
    assert "same-name" in slugs
    assert len(slugs) == 5


async def test_a_reserved_or_unspeakable_name_makes_a_slug_with_a_suffix(control: Control) -> None:
    assert (await control.tenant("Admin"))["slug"].startswith("admin-")
    assert (await control.tenant("東京"))["slug"].startswith("tenant")


async def test_a_slug_that_is_taken_is_a_conflict(control: Control) -> None:
    await control.tenant(slug="taken")
    other = await control.tenant(slug="other")
    status, problem = await control.refused("POST", "/tenants", {"name": "A", "slug": "taken"})
    assert (status, problem["code"]) == (409, "conflict")
    assert problem["errors"] == [{"field": "slug", "message": "The slug is taken."}]
    status, problem = await control.refused("PATCH", f"/tenants/{other['id']}", {"slug": "taken"})
    assert (status, problem["code"]) == (409, "conflict")
    assert (await control.read(f"/tenants/{other['id']}"))["slug"] == "other"


async def test_null_resets_a_field_to_its_default(control: Control) -> None:
    tenant = await control.tenant("Reset Me", slug="chosen", status="suspended")
    changed = await control.change(f"/tenants/{tenant['id']}", slug=None, status=None)
    assert changed["status"] == "active"
    assert changed["slug"].startswith("reset-me-")
    assert await control.wrong_fields("PATCH", f"/tenants/{tenant['id']}", {"name": None}) == {"name": "is required"}


async def test_the_default_project_is_the_first_unless_another_is_chosen(control: Control) -> None:
    tenant = f"/tenants/{(await control.tenant())['id']}"
    first = await control.make(f"{tenant}/projects", name="First")
    second = await control.make(f"{tenant}/projects", name="Second")
    assert (await control.read(tenant))["default_project"] == first["id"]
    assert (await control.change(tenant, default_project=second["id"]))["default_project"] == second["id"]
    await control.ask("DELETE", f"/projects/{second['id']}")
    assert (await control.read(tenant))["default_project"] == first["id"]


async def test_a_default_project_must_be_the_tenants_own(control: Control) -> None:
    tenant = f"/tenants/{(await control.tenant())['id']}"
    foreign = await control.project()
    expected = {"default_project": "must be a project of this tenant"}
    for project in (foreign["id"], UNKNOWN["prj"], "prj_x", UNKNOWN["ten"]):
        assert await control.wrong_fields("PATCH", tenant, {"default_project": project}) == expected
    assert await control.wrong_fields("POST", "/tenants", {"name": "A", "default_project": foreign["id"]}) == expected


async def test_removing_a_tenant_removes_what_is_its_own_and_nobody_elses(control: Control) -> None:
    kept, gone = await control.key(), await control.key()
    assert (await control.ask("DELETE", f"/tenants/{gone['tenant_id']}")).status_code == 204
    for path in (f"/tenants/{gone['tenant_id']}", f"/projects/{gone['project_id']}", f"/keys/{gone['id']}"):
        assert (await control.ask("GET", path)).status_code == 404
    for path in (f"/tenants/{kept['tenant_id']}", f"/projects/{kept['project_id']}", f"/keys/{kept['id']}"):
        assert (await control.ask("GET", path)).status_code == 200
