"""The playground: a call as any user takes the way of every call, and the page tells each decision on it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

import httpx2
import pytest

from tests.dashboard import Answered, Browser, Seen
from tests.people import PASSWORD, password_hash
from tests.serving import MODEL, Caller, Site, until, uuid_of
from tests.upstream import Behaviour, scripts

SAME_SITE: Final = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}


class Operator:
    """An owner of the installation, at the real dashboard."""

    def __init__(self, site: Site) -> None:
        email = f"{uuid4().hex}@example.com"
        with site.installation.sql() as sql:
            person = sql.execute(
                b"INSERT INTO bailiwick.operators (id, email, name, role, status, created_at, created_by)"
                b" VALUES (gen_random_uuid(), %s, 'Ada', 'owner', 'active', now(), 'test') RETURNING id",
                (email,),
            ).fetchone()
            assert person is not None
            sql.execute(
                b"INSERT INTO bailiwick.operator_secrets (operator_id, password_hash) VALUES (%s, %s)",
                (person[0], password_hash()),
            )
        self.http: Final = httpx2.Client(base_url=site.installation.url, verify=False, timeout=30, headers=SAME_SITE)
        answer = self.http.post("/dashboard/sign-in", content=urlencode({"email": email, "password": PASSWORD}))
        assert answer.status_code == 303, answer.text

    def page(self, caller: Caller) -> Seen:
        """The form."""
        return Seen(self.http.get(address(caller)).text)

    def send(self, caller: Caller, **fields: object) -> Answered:
        """Fill in the form and send it."""
        given = {**self.page(caller).form("").fields, "user_id": "ann", "model": MODEL, **fields}
        answer = self.http.post(address(caller), content=urlencode(given, doseq=True))
        return Answered(status=answer.status_code, headers=answer.headers, page=Seen(answer.text))


def address(caller: Caller) -> str:
    return f"/dashboard/projects/{caller.id}/playground"


@pytest.fixture(scope="module")
def operator(running_site: Site) -> Iterator[Operator]:
    made = Operator(running_site)
    yield made
    made.http.close()


def test_a_call_as_a_user_takes_the_way_of_every_call(site: Site, operator: Operator) -> None:
    caller = site.project()
    site.admin.make(f"/projects/{caller.id}/tiers", {"name": "pro", "max_output_tokens": 77})
    until(lambda: site.caller(caller.project, tier="pro").ask("GET", "/v1/me").json()["tier"] == "pro")
    shown = operator.send(caller, user_id="zoë & co", tier="pro", message="What <b>is</b> it?")
    assert shown.status == 200, shown.text
    assert "Answer 200" in shown.text
    assert "refused" not in shown.text
    assert "Every limit that applies on the tier 'pro' had room." in shown.text
    assert "77 tokens by the tier 'pro'" in shown.text
    row = caller.row()
    assert (row["uid"], row["tier"], row["key_id"]) == ("zoë & co", "pro", uuid_of("key", caller.key_id))
    (sent,) = site.upstream.requests
    assert sent.json["messages"] == [{"role": "user", "content": "What <b>is</b> it?"}]


def test_that_a_token_was_minted_is_in_the_audit_log_and_the_token_nowhere(site: Site, operator: Operator) -> None:
    caller = site.project()
    shown = operator.send(caller)
    entries = site.admin.request(
        "GET", f"/tenants/{caller.project['tenant_id']}/audit?action=token.mint&target={caller.id}"
    )
    (entry,) = entries.json()["data"]
    assert (entry["detail"]["user_id"], entry["detail"]["key_id"]) == ("ann", caller.key_id)
    assert entry["actor"].startswith("opr_")
    for told in (shown.page.html, entries.text, site.installation.log):
        assert "eyJ" not in told


def test_a_refusal_is_told_where_it_was_and_nothing_was_sent(site: Site, operator: Operator) -> None:
    caller = site.project()
    shown = operator.send(caller, role="viewer")
    assert (shown.status, site.upstream.requests) == (200, [])
    assert "The call was refused 403 forbidden" in shown.text
    assert "Permission : refused The role 'viewer' lacks the scope chat:create." in shown.text
    assert "Limits : not reached" in shown.text
    assert caller.rows == []


def test_limits_hold_for_the_playground_too(site: Site, operator: Operator) -> None:
    caller = site.project(limits={"user": {"requests": 1, "per": "1h", "burst": 1}})
    assert "0 requests left" in operator.send(caller).text
    shown = operator.send(caller)
    assert "The call was refused 429 rate_limited" in shown.text
    assert "Limits : refused" in shown.text
    assert "Answer 200" in operator.send(caller, user_id="bob").text


def test_tools_that_are_not_let_are_told(site: Site, operator: Operator) -> None:
    caller = site.project(tools={"deny": ["delete_*"]})
    shown = operator.send(caller, tools="search\ndelete_all")
    assert "The call went on without: delete_all." in shown.text
    assert [tool["function"]["name"] for tool in site.upstream.requests[-1].json["tools"]] == ["search"]


def test_what_a_provider_says_wrong_is_readable(site: Site, operator: Operator) -> None:
    caller = site.project()
    site.upstream.on(MODEL, scripts.error(400))
    shown = operator.send(caller)
    assert "The call was refused 400" in shown.text
    assert "Provider : failed" in shown.text


def test_a_long_answer_is_cut_and_nothing_in_it_is_markup(site: Site, operator: Operator) -> None:
    caller = site.project()
    site.upstream.on(MODEL, Behaviour(text="<script>x</script>" * 5000))
    shown = operator.send(caller)
    assert "Only the beginning is shown." in shown.text
    assert "<script>x" not in shown.page.html
    assert len(shown.page.html) < 150_000


def test_the_key_is_bound_to_addresses_as_the_operators_browser_has_them(site: Site, operator: Operator) -> None:
    near = site.project(key={"ip_allow": ["127.0.0.0/8"]})
    assert "Answer 200" in operator.send(near).text
    far = site.project(key={"ip_allow": ["192.0.2.0/24"]})
    assert "The call was refused 403" in operator.send(far).text


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"key": "key_nothing"}, "must be chosen"),
        ({"user_id": "  "}, "is required"),
        ({"message": ""}, "is required"),
        ({"user_id": "a\tb"}, "user_id"),
        ({"scopes": ["tokens:mint"]}, "A token cannot hold tokens:mint."),
        ({"tools": "\n".join(map(str, range(51)))}, "must be at most 50"),
    ],
)
def test_what_cannot_be_called_is_told_beside_the_form(
    site: Site, operator: Operator, wrong: dict[str, Any], told: str
) -> None:
    shown = operator.send(site.project(), **wrong)
    assert shown.status in {400, 422}
    assert told in shown.text
    assert "The call was not made." in shown.text
    assert site.upstream.requests == []


def test_a_key_gives_no_more_than_it_holds_and_only_in_its_own_project(site: Site, operator: Operator) -> None:
    caller = site.project(key={"scopes": ["chat:create", "tokens:mint", "users:act_as"], "tier": "free"})
    assert "This key does not hold models:list." in operator.send(caller, scopes=["models:list"]).text
    assert "of the tier 'free' only" in operator.send(caller, tier="gold").text
    cannot = site.caller(caller.project, scopes=["chat:create", "users:act_as"])
    for key_id in (cannot.key_id, site.project().key_id):
        shown = operator.send(caller, key=key_id)
        assert (shown.status, "The call was not made." in shown.text) == (422, True)
    ended = site.caller(caller.project)
    site.admin.request("POST", f"/keys/{ended.key_id}/revoke", {})
    assert operator.send(caller, key=ended.key_id).status == 422


def test_only_this_account_can_reach_the_gateways_own_socket(site: Site) -> None:
    socket = Path(site.installation.folder) / "run" / "gateway.sock"
    assert stat.S_IMODE(socket.stat().st_mode) == 0o600


def test_nobody_else_is_believed_for_whom_they_ask(site: Site) -> None:
    caller = site.project(key={"ip_allow": ["127.0.0.0/8"]})
    for said in ("ourselves,", "192.0.2.1, ourselves,", "127.0.0.1"):
        answer = caller.chat(headers={"x-forwarded-for": said})
        assert answer.status_code == 403, said


async def test_without_a_key_it_says_how_to_make_one(browser: Browser) -> None:
    project = await browser.control.project()
    shown = await browser.get(f"/dashboard/projects/{project['id']}/playground")
    assert "No key to call with yet" in shown.text
    assert f"/dashboard/projects/{project['id']}/keys/new" in shown.page.links


async def test_viewers_neither_see_it_nor_use_it(browser: Browser) -> None:
    key = await browser.control.key()
    viewer = browser.as_("viewer", key["tenant_id"])
    project = f"/dashboard/projects/{key['project_id']}"
    assert f"{project}/playground" in (await browser.get(project)).page.links
    assert f"{project}/playground" not in (await viewer.get(project)).page.links
    assert (await viewer.get(f"{project}/playground")).status == 403
    form = (await browser.get(f"{project}/playground")).page.form("")
    assert (await viewer.post(f"{project}/playground", form.fields)).status == 403


async def test_a_form_of_another_page_makes_no_call(browser: Browser) -> None:
    key = await browser.control.key()
    fields = (await browser.get(path := f"/dashboard/projects/{key['project_id']}/playground")).page.form("").fields
    assert (await browser.post(path, {**fields, "user_id": "ann", "csrf": "x"})).status == 403


async def test_choices_are_the_projects_own_and_only_those_that_can_be_used(browser: Browser) -> None:
    key = await browser.control.key()
    project = f"/projects/{key['project_id']}"
    await browser.control.make(f"{project}/keys", name="No minting", scopes=["chat:create"])
    await browser.control.make(f"{project}/agents", name="support", model="echo")
    await browser.control.make(f"{project}/agents", name="resting", model="echo", enabled=False)
    await browser.control.make(f"{project}/tiers", name="gold")
    other = await browser.control.key()
    await browser.control.make(f"/projects/{other['project_id']}/tiers", name="strange")
    page = (await browser.get(f"/dashboard{project}/playground")).page
    assert key["id"] in page.values("value")
    options = set(page.values("value"))
    assert {"agent/support", "gold", "viewer"} <= options
    assert not {"agent/resting", "strange", other["id"]} & options
    assert "No minting" not in page.text
