"""The audit log in the dashboard: who did what, filtered; a tenant's operators see that tenant's alone."""

from __future__ import annotations

from tests.dashboard import Browser, done


async def test_what_was_done_is_listed_with_what_it_was_before_and_after(browser: Browser) -> None:
    tenant = await browser.control.tenant("Acme")
    admin = browser.as_("admin", tenant["id"], name="<b>Grace</b>")
    made = await admin.send("/dashboard/projects/new", name="Bot")
    project = made.location.partition("?")[0]
    assert done(await admin.send(f"{project}/settings", name="Robot")) == "saved"
    answer = await admin.get("/dashboard/audit")
    assert (
        answer.text.index("project.change") < answer.text.index("project.create") < answer.text.index("tenant.create")
    )
    assert "<b>Grace</b>" in answer.page.text
    assert '"name": "Robot"' in answer.text
    assert '"name": "Bot"' in answer.text
    assert admin.visitor.operator.shown_id in answer.text


async def test_entries_are_filtered_by_what_who_of_what_and_when(browser: Browser) -> None:
    tenant = await browser.control.tenant()
    admin, other = browser.as_("admin", tenant["id"]), browser.as_("owner", tenant["id"])
    first = (await admin.send("/dashboard/projects/new", name="One")).location.partition("?")[0]
    second = (await other.send("/dashboard/projects/new", name="Two")).location.partition("?")[0]
    one, two = first.rpartition("/")[2], second.rpartition("/")[2]
    me = admin.visitor.operator.shown_id
    for query, seen in (
        (f"actor={me}", {one}),
        (f"target={two}", {two}),
        ("action=project", {one, two}),
        ("action=project.create", {one, two}),
        ("action=key", set()),
        ("from=2026-11-21&to=2026-11-21", {one, two}),
        ("from=2026-11-22", set()),
        ("to=2026-11-20", set()),
    ):
        text = (await admin.get(f"/dashboard/audit?{query}")).text
        assert {project for project in (one, two) if project in text} == seen, query
    wrong = await admin.get("/dashboard/audit?from=yesterday")
    assert (wrong.status, "must be a moment" in wrong.text) == (422, True)


async def test_a_tenants_operator_reads_its_own_log_alone(browser: Browser) -> None:
    own, other = await browser.control.tenant("Own"), await browser.control.tenant("Other")
    viewer = browser.as_("viewer", own["id"])
    text = (await viewer.get("/dashboard/audit")).text
    assert own["id"] in text
    assert other["id"] not in text
    assert (await viewer.get(f"/dashboard/audit?tenant={other['id']}")).status == 404
    chosen = await browser.get(f"/dashboard/audit?tenant={other['id']}")
    assert other["id"] in chosen.text


async def test_a_long_log_is_paged_and_keeps_its_filters(browser: Browser) -> None:
    tenant = await browser.control.tenant()
    for number in range(55):
        await browser.control.change(f"/tenants/{tenant['id']}", name=f"Name {number:02}")
    viewer = browser.as_("viewer", tenant["id"])
    first = await viewer.get("/dashboard/audit?action=tenant.change")
    (following,) = [link for link in first.page.links if "after=" in link]
    assert "action=tenant.change" in following
    second = await viewer.get("/dashboard/audit" + following)
    assert '"name": "Name 54"' in first.text
    assert '"name": "Name 54"' not in second.text
    assert '"name": "Name 00"' in second.text
