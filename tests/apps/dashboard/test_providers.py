"""Providers in the dashboard, at all three places: a key goes in and is on no page ever after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from tests.control import controlled
from tests.dashboard import Browser, browsing, done
from tests.database import TestDatabase
from tests.upstream import Upstream
from tests.upstream.behaviour import Behaviour

SECRET = "sk-a-canary-that-no-page-may-hold"


async def places(browser: Browser) -> list[str]:
    project = await browser.control.project()
    return ["", f"/tenants/{project['tenant_id']}", f"/projects/{project['id']}"]


@pytest.mark.parametrize("number", [0, 1, 2])
async def test_a_provider_is_made_changed_and_removed(browser: Browser, number: int) -> None:
    place = (await places(browser))[number]
    address = f"/dashboard{place}/providers"
    answer = await browser.send(
        f"{address}/new", name="mine", kind="openai", base_url="https://api.example.com/v1", api_key=SECRET,
        models="gpt-4o-mini\r\ngpt-4o", prices="gpt-4o-mini 0.15 0.60",
    )  # fmt: skip
    assert done(answer) == "created"
    (provider,) = [one for one in (await browser.control.read(f"{place}/providers"))["data"] if one["name"] == "mine"]
    assert provider["has_api_key"]
    assert provider["models"] == ["gpt-4o-mini", "gpt-4o"]
    assert provider["prices"] == {"gpt-4o-mini": {"input_usd_per_million": "0.15", "output_usd_per_million": "0.6"}}
    one = f"{address}/{provider['id']}"
    for page in (await browser.get(address), await browser.get(one)):
        assert page.status == 200
        assert SECRET not in page.page.html
    # Nothing changed, and the key is kept.
    assert done(await browser.send(one)) == "saved"
    assert await browser.control.read(f"{place}/providers/{provider['id']}") == provider
    # A key only goes where it was given for.
    moved = await browser.send(one, base_url="https://elsewhere.example.com/v1")
    assert (moved.status, "must be given again when base_url changes" in moved.text) == (422, True)
    moved = await browser.send(one, base_url="https://elsewhere.example.com/v1", api_key=SECRET + "2")
    assert done(moved) == "saved"
    assert done(await browser.send(one, forget_key="yes")) == "saved"
    assert not (await browser.control.read(f"{place}/providers/{provider['id']}"))["has_api_key"]
    assert done(await browser.send(one, action=f"{one}/remove")) == "removed"
    assert (await browser.get(one)).status == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": "Not A Name"}, "must be 1 to 63 of a-z"),
        ({"base_url": "http://127.0.0.1:9/v1"}, "is refused"),
        ({"base_url": "https://169.254.169.254/"}, "is refused"),
        ({"prices": "gpt-4o 1"}, "must be a model and two prices a line"),
        ({"prices": "gpt-4o one two"}, "must be a decimal"),
        ({"api_key": "two words"}, "must be 1 to 4096 visible ASCII characters"),
        ({"kind": "other"}, "must be one of"),
    ],
)
async def test_what_cannot_be_is_told_and_the_key_is_not_shown_again(
    browser: Browser, fields: dict[str, str], said: str
) -> None:
    address = f"/dashboard{(await places(browser))[2]}/providers"
    given = {"name": "mine", "kind": "openai", "api_key": SECRET, **fields}
    answer = await browser.send(f"{address}/new", **given)
    assert answer.status == 422
    assert said in answer.text
    assert given["api_key"] not in answer.page.html
    assert answer.page.form("").fields["name"] == [given["name"]]


async def test_the_platforms_providers_are_the_installations(browser: Browser) -> None:
    tenant = await browser.control.tenant()
    own = browser.as_("owner", tenant["id"])
    assert (await own.get("/dashboard/providers")).status == 403
    assert "/dashboard/providers" not in (await own.get("/dashboard")).page.links
    assert (await own.get(f"/dashboard/tenants/{tenant['id']}/providers")).status == 200


@pytest.fixture
async def near(database: TestDatabase) -> AsyncIterator[Browser]:
    """The dashboard of a control plane that may ask providers on this machine."""
    async with controlled(database, outbound_allow=(ip_network("127.0.0.0/8"),)) as control, browsing(control) as made:
        yield made


async def test_a_provider_is_tested_at_a_button_and_the_outcome_is_told_in_words(near: Browser) -> None:
    project = await near.control.project()
    with Upstream() as upstream:
        asked = {"name": "mine", "kind": "openai", "base_url": upstream.base_url, "api_key": SECRET}
        made = await near.control.make(f"/projects/{project['id']}/providers", **asked)
        one = f"/dashboard/projects/{project['id']}/providers/{made['id']}"
        answer = await near.send(one, action=f"{one}/test")
        assert answer.status == 200
        assert "It answers. It lists" in answer.text
        upstream.on("/v1/models", Behaviour(status=401, body=b'{"error": {"message": "Wrong key."}}'))
        answer = await near.send(one, action=f"{one}/test")
        assert "It does not answer as it should. Wrong key." in answer.text
        assert "Status 401" in answer.text
        assert "give it another below" in answer.text
        assert SECRET not in answer.page.html
        asked_before = len(upstream.requests)
        viewer, stranger = (
            near.as_("viewer", project["tenant_id"]), near.as_("owner", (await near.control.tenant())["id"])
        )  # fmt: skip
        assert f"{one}/test" not in [form.action for form in (await viewer.get(one)).page.forms]
        assert (await viewer.post(f"{one}/test", {"csrf": viewer.visitor.csrf})).status == 403
        assert (await stranger.post(f"{one}/test", {"csrf": stranger.visitor.csrf})).status == 404
        assert len(upstream.requests) == asked_before
