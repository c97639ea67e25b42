"""Projects in the dashboard: made, called, limited, changed, removed; what is wrong is told beside its field."""

from __future__ import annotations

import pytest

from tests.control import Audit
from tests.dashboard import PUBLIC_URL, Browser, done


async def made(browser: Browser, **fields: object) -> tuple[str, str]:
    """A project's id and the address of its page."""
    project = await browser.control.project(**fields)
    return str(project["id"]), f"/dashboard/projects/{project['id']}"


async def test_a_project_is_made_and_its_page_has_its_address_and_ready_made_calls(
    browser: Browser, audit: Audit
) -> None:
    tenant = await browser.control.tenant("Acme")
    answer = await browser.send("/dashboard/projects/new", tenant=tenant["id"], name="Support bot", slug="support-bot")
    assert done(answer) == "created"
    page = await browser.get(answer.location)
    assert "Support bot" in page.text
    assert "Created." in page.text
    assert f"curl {PUBLIC_URL}/p/support-bot/v1/chat/completions" in page.text
    assert f'baseURL: "{PUBLIC_URL}/p/support-bot/v1"' in page.text
    project_id = answer.location.partition("?")[0].rpartition("/")[2]
    (entry,) = audit(project_id)
    assert (entry.action, entry.actor) == ("project.create", browser.visitor.operator.shown_id)


async def test_a_tenants_operator_makes_projects_of_that_tenant_alone(browser: Browser) -> None:
    own, other = await browser.control.tenant("Own"), await browser.control.tenant("Other")
    admin = browser.as_("admin", own["id"])
    assert "tenant" not in (await admin.get("/dashboard/projects/new")).page.form("").fields
    answer = await admin.send("/dashboard/projects/new", name="Mine", tenant=other["id"])
    made_id = answer.location.partition("?")[0].rpartition("/")[2]
    assert (await browser.control.read(f"/projects/{made_id}"))["tenant_id"] == own["id"]


async def test_what_is_wrong_is_told_and_what_was_typed_is_kept(browser: Browser) -> None:
    tenant = await browser.control.tenant()
    answer = await browser.send("/dashboard/projects/new", tenant=tenant["id"], name=" ", slug="Not A Slug")
    assert answer.status == 422
    form = answer.page.form("")
    assert form.fields["slug"] == ["Not A Slug"]
    assert form.fields["tenant"] == [tenant["id"]]
    assert "must be 1 to 63 of a-z" in answer.text
    wrong = [given for tag, given in answer.page.tags if given.get("aria-invalid") == "true"]
    assert {given["name"] for given in wrong} == {"name", "slug"}
    for given in wrong:
        assert given["aria-describedby"].split()[0] in set(answer.page.values("id"))


async def test_a_slug_that_is_taken_is_told(browser: Browser) -> None:
    project = await browser.control.project()
    answer = await browser.send(
        "/dashboard/projects/new", tenant=project["tenant_id"], name="Again", slug=project["slug"]
    )
    assert answer.status == 409
    assert answer.page.form("").fields["name"] == ["Again"]


async def test_the_list_shows_every_tenants_projects_to_the_installation_and_its_own_to_a_tenant(
    browser: Browser,
) -> None:
    first, second = await browser.control.project("Alpha"), await browser.control.project("Beta")
    everything = (await browser.get("/dashboard/projects")).text
    assert "Alpha" in everything
    assert "Beta" in everything
    own = (await browser.as_("viewer", first["tenant_id"]).get("/dashboard/projects")).text
    assert "Alpha" in own
    assert "Beta" not in own
    assert second["slug"] not in own


async def test_a_long_list_is_paged(browser: Browser) -> None:
    tenant = await browser.control.tenant()
    for number in range(52):
        await browser.control.make(f"/tenants/{tenant['id']}/projects", name=f"Number {number:02}")
    viewer = browser.as_("viewer", tenant["id"])
    first = await viewer.get("/dashboard/projects")
    assert "Number 49" in first.text
    assert "Number 50" not in first.text
    (following,) = [link for link in first.page.links if "after=" in link]
    second = await viewer.get("/dashboard/projects" + following)
    assert "Number 49" not in second.text
    assert "Number 51" in second.text
    assert not [link for link in second.page.links if "after=" in link]


async def test_the_first_call_is_waited_for(browser: Browser) -> None:
    _, address = await made(browser)
    page = await browser.get(address)
    assert "Waiting for the first call" in page.text
    assert f"{address}/first-call" in set(page.page.values("hx-get"))
    piece = await browser.get(f"{address}/first-call")
    assert "Waiting for the first call" in piece.text


async def test_origins_are_added_and_taken_away(browser: Browser) -> None:
    project_id, address = await made(browser)
    assert "No origins yet" in (await browser.get(f"{address}/origins")).text
    assert done(await browser.send(f"{address}/origins", origin="https://app.example.com")) == "saved"
    assert done(await browser.send(f"{address}/origins", origin="http://localhost:3000")) == "saved"
    refused = await browser.send(f"{address}/origins", origin="https://*.example.com")
    assert refused.status == 422
    assert "there are no wildcards" in refused.text
    page = (await browser.get(f"{address}/origins")).page
    first = next(form for form in page.forms if form.action == f"{address}/origins/remove")
    assert done(await browser.post(first.action, first.fields)) == "saved"
    assert (await browser.control.read(f"/projects/{project_id}"))["cors_origins"] == ["http://localhost:3000"]


async def test_aliases_are_set_replaced_and_taken_away(browser: Browser) -> None:
    project_id, address = await made(browser)
    models = "openai/gpt-4o-mini\r\nanthropic/claude-haiku-4-5"
    assert done(await browser.send(f"{address}/models", alias="fast", models=models)) == "saved"
    assert done(await browser.send(f"{address}/models", alias="slow", models="openai/o3")) == "saved"
    assert (await browser.control.read(f"/projects/{project_id}"))["aliases"] == {
        "fast": ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"],
        "slow": ["openai/o3"],
    }
    refused = await browser.send(f"{address}/models", alias="echo", models="openai/o3")
    assert (refused.status, "is a reserved name" in refused.text) == (422, True)
    page = (await browser.get(f"{address}/models")).page
    first = next(form for form in page.forms if form.action == f"{address}/models/remove")
    assert done(await browser.post(first.action, first.fields)) == "saved"
    assert set((await browser.control.read(f"/projects/{project_id}"))["aliases"]) == {"slow"}


async def test_settings_are_changed_and_a_project_is_suspended_and_resumed(browser: Browser) -> None:
    project_id, address = await made(browser)
    answer = await browser.send(
        f"{address}/settings", name="Renamed", require_end_user="yes", on_disconnect="drain",
        default_max_output_tokens="500",
    )  # fmt: skip
    assert done(answer) == "saved"
    project = await browser.control.read(f"/projects/{project_id}")
    assert (project["name"], project["require_end_user"], project["on_disconnect"]) == ("Renamed", True, "drain")
    assert project["default_max_output_tokens"] == 500
    kept = (await browser.get(f"{address}/settings")).page.form("").fields
    assert kept["default_max_output_tokens"] == ["500"]
    refused = await browser.send(f"{address}/settings", default_max_output_tokens="many")
    assert (refused.status, refused.page.form("").fields["default_max_output_tokens"]) == (422, ["many"])
    assert done(await browser.send(f"{address}/settings", default_max_output_tokens="")) == "saved"
    assert (await browser.control.read(f"/projects/{project_id}"))["default_max_output_tokens"] is None
    form = (await browser.get(f"{address}/settings")).page.form(f"{address}/settings/status")
    assert done(await browser.post(form.action, form.fields)) == "suspended"
    assert "This project is suspended" in (await browser.get(address)).text
    form = (await browser.get(f"{address}/settings")).page.form(f"{address}/settings/status")
    assert done(await browser.post(form.action, form.fields)) == "resumed"
    assert (await browser.control.read(f"/projects/{project_id}"))["status"] == "active"


async def test_a_project_is_removed_only_when_its_address_is_typed(browser: Browser) -> None:
    project_id, address = await made(browser)
    removing = f"{address}/settings/remove"
    assert (await browser.send(f"{address}/settings", action=removing, confirm="something")).status == 422
    slug = (await browser.control.read(f"/projects/{project_id}"))["slug"]
    assert done(await browser.send(f"{address}/settings", action=removing, confirm=slug)) == "removed"
    assert (await browser.get(address)).status == 404


@pytest.mark.parametrize(
    ("fields", "document", "words"),
    [
        (
            {"user__requests": "60"},
            {"user": {"requests": 60, "per": "1m", "overflow": "reject"}},
            "Each user: 60 requests a minute, at most 60 at once.",
        ),
        (
            {"user__tokens": "100000", "user__per": "1h", "project__requests": "1", "project__per": "1s"},
            {
                "user": {"tokens": 100000, "per": "1h", "overflow": "reject"},
                "project": {"requests": 1, "per": "1s", "overflow": "reject"},
            },
            "The whole project: 1 request a second, at most 1 at once.",
        ),
        (
            {"key__requests": "600", "key__burst": "20", "key__per": "5m", "key__overflow": "queue"},
            {"key": {"requests": 600, "per": "5m", "burst": 20, "overflow": "queue"}},
            "600 requests every 5 minutes, at most 20 at once, beyond that a call waits up to 5 seconds for its turn.",
        ),
    ],
)
async def test_limits_are_set_and_told_in_plain_words(
    browser: Browser, fields: dict[str, str], document: dict[str, object], words: str
) -> None:
    project_id, address = await made(browser)
    form = (await browser.get(f"{address}/limits")).page.form("")
    given = {**form.fields, **{name.replace("__", "."): value for name, value in fields.items()}}
    assert words in (await browser.post(f"{address}/limits/preview", given)).text
    assert done(await browser.post(f"{address}/limits", given)) == "saved"
    assert (await browser.control.read(f"/projects/{project_id}"))["limits"] == document
    page = await browser.get(f"{address}/limits")
    assert words in page.text
    # What is shown is what would be sent again.
    assert done(await browser.post(f"{address}/limits", page.page.form("").fields)) == "saved"
    assert (await browser.control.read(f"/projects/{project_id}"))["limits"] == document


async def test_limits_that_cannot_be_are_told_while_typing_and_when_sent(browser: Browser) -> None:
    _, address = await made(browser, limits={"user": {"requests": 5, "per": "1m"}})
    form = (await browser.get(f"{address}/limits")).page.form("")
    given = {**form.fields, "user.requests": "many", "key.burst": "3"}
    assert "user.requests must be a whole number" in (await browser.post(f"{address}/limits/preview", given)).text
    answer = await browser.post(f"{address}/limits", given)
    assert answer.status == 422
    assert answer.page.form("").fields["user.requests"] == ["many"]
    assert answer.page.form("").fields["key.burst"] == ["3"]


async def test_a_limit_that_is_emptied_is_gone(browser: Browser) -> None:
    project_id, address = await made(
        browser, limits={"user": {"requests": 5, "per": "1m"}, "ip": {"tokens": 9, "per": "1h"}}
    )
    assert done(await browser.send(f"{address}/limits", user__requests="")) == "saved"
    limits = (await browser.control.read(f"/projects/{project_id}"))["limits"]
    assert limits == {"ip": {"tokens": 9, "per": "1h", "overflow": "reject"}}


async def test_what_somebody_else_changed_meanwhile_is_not_overwritten(browser: Browser) -> None:
    project_id, address = await made(browser)
    limits = (await browser.get(f"{address}/limits")).page.form("")
    settings = (await browser.get(f"{address}/settings")).page.form("")
    await browser.control.change(f"/projects/{project_id}", limits={"ip": {"requests": 7, "per": "1h"}})
    for form, page in ((limits, "limits"), (settings, "settings")):
        answer = await browser.post(f"{address}/{page}", form.fields)
        assert (answer.status, "Somebody else changed this" in answer.text) == (412, True)
    assert (await browser.control.read(f"/projects/{project_id}"))["limits"] == {"ip": {"requests": 7, "per": "1h"}}
    assert done(await browser.send(f"{address}/limits")) == "saved"
