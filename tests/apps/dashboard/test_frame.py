"""What holds of every page: who may see it, what its forms must prove, what may run on it, and that names are names."""

from __future__ import annotations

import re
from typing import Final

import pytest

from bailiwick.apps.dashboard.app import PAGES
from bailiwick.apps.dashboard.page import Page
from bailiwick.domain.administration import NEEDS, Reach
from tests.control import UNKNOWN
from tests.dashboard import HOST, Answered, Browser, Seen, done

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
NAMES: Final = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}",
    "</textarea></title><svg/onload=alert(1)>",
    "Ω ЖЩ 漢字 हिन्दी العربية עברית ไทย 👩‍👩‍👧 e\u0301 \u202eabc",
    "a" * 200,
)
FORMS: Final = [page for page in PAGES if page.method == "POST"]
VIEWS: Final = [page for page in PAGES if page.method == "GET"]
IDS: Final = {
    "{tenant_id}": UNKNOWN["ten"],
    "{project_id}": UNKNOWN["prj"],
    "{key_id}": UNKNOWN["key"],
    "{tier_id}": UNKNOWN["tir"],
    "{provider_id}": UNKNOWN["prv"],
    "{issuer_id}": UNKNOWN["iss"],
    "{member_id}": UNKNOWN["mem"],
    "{role_id}": UNKNOWN["rol"],
    "{server_id}": UNKNOWN["mcp"],
    "{agent_id}": UNKNOWN["agt"],
    "{operator_id}": UNKNOWN["prv"].replace("prv", "opr"),
    "{sign_in_provider_id}": UNKNOWN["prv"].replace("prv", "sip"),
    "{operator_key_id}": UNKNOWN["prv"].replace("prv", "opk"),
}


def address(path: str, **ids: str) -> str:
    """A page's address with ids filled in; those that are not given belong to nothing."""
    for name, value in {**IDS, **{f"{{{name}}}": value for name, value in ids.items()}}.items():
        path = path.replace(name, value)
    query = "?uid=somebody" if path.endswith("/users/one") else ""
    return "/dashboard" + re.sub(r"{\w+(:\w+)?}", "x", path) + query


def section(page: Page) -> str:
    """The first part of a page's address."""
    return page.path.partition("/")[2].partition("/")[0]


async def everything(browser: Browser) -> dict[str, dict[str, str]]:
    """The ids of something of each kind, by the first part of the addresses that they are for."""
    key = await browser.control.key()
    given = {"tenant_id": key["tenant_id"], "project_id": key["project_id"], "key_id": key["id"]}
    tier = await browser.control.make(f"/projects/{key['project_id']}/tiers", name="pro")
    around = {"tenants": f"/tenants/{key['tenant_id']}", "projects": f"/projects/{key['project_id']}", "providers": ""}
    asked = {"name": f"p{key['id'][-8:]}", "kind": "openai", "api_key": "sk-x"}
    made = {name: await browser.control.make(f"{place}/providers", **asked) for name, place in around.items()}
    issuing = {"issuer": "https://id.example", "audiences": ["a"], "algorithms": ["ES256"]}
    trusted = await browser.control.make(f"/projects/{key['project_id']}/issuers", **issuing)
    given["issuer_id"] = trusted["id"]
    member = await browser.control.make(f"/tenants/{key['tenant_id']}/members", subject="ann", role="member")
    tools = {"name": "docs", "url": "https://tools.example.com/mcp"}
    server = await browser.control.make(f"/projects/{key['project_id']}/mcp-servers", **tools)
    agent = await browser.control.make(f"/projects/{key['project_id']}/agents", name="support", model="echo")
    role = await browser.control.make(f"/tenants/{key['tenant_id']}/roles", name="analyst", permissions=[])
    given |= {"role_id": role["id"], "member_id": member["id"], "server_id": server["id"], "agent_id": agent["id"]}
    hook = {"name": "Hook", "url": "https://hooks.example.com", "events": ["usage.hour"]}
    told = await browser.control.make(f"/tenants/{key['tenant_id']}/webhooks", **hook)
    test = await browser.control.make(f"/tenants/{key['tenant_id']}/webhooks/{told['id']}/test")
    given |= {"webhook_id": told["id"], "delivery_id": test["id"]}
    person = await browser.control.make("/operators", name="P", email=f"{key['id']}@example.com")
    operator_key = await browser.control.make("/operator-keys", name="K")
    issuer = f"https://{key['id'][-8:]}.example.com"
    by = await browser.control.make("/sign-in/providers", name="I", issuer=issuer, client_id="c")
    given |= {
        "tier_id": tier["id"],
        "operator_id": person["id"],
        "operator_key_id": operator_key["id"],
        "sign_in_provider_id": by["id"],
    }
    trusted_by_all = await browser.control.make("/issuers", **{**issuing, "issuer": issuer, "user_prefix": issuer})
    found = {name: {**given, "provider_id": made.get(name, {"id": ""})["id"]} for name in map(section, PAGES)}
    found["issuers"]["issuer_id"] = trusted_by_all["id"]
    capped = {"scope": "project", "limit": {"usd": "5"}, "window": "month"}
    for name, subject in (("tenants", {"subject": "*"}), ("projects", {})):
        budget = await browser.control.make(f"{around[name]}/budgets", **capped, **subject)
        found[name]["budget_id"] = budget["id"]
    return found


async def ask(visitor: Browser, page: Page, asked: str) -> Answered:
    """Open a page, or send its form with nothing in it."""
    if page.method == "GET":
        return await visitor.get(asked)
    return await visitor.post(asked, {"csrf": visitor.visitor.csrf})


def assert_harmless(page: Seen) -> None:
    """Nothing inline that could run, and nothing from elsewhere."""
    for tag, given in page.tags:
        assert tag != "style"
        assert not [name for name in given if name.startswith("on") or name == "style"], (tag, given)
        assert tag != "script" or given["src"].startswith("/dashboard/static/")
    assert all(load.startswith("/dashboard/static/") for load in page.loads)
    assert not [link for link in page.links if link.startswith(("javascript:", "//"))]


async def test_every_page_of_a_project_says_what_may_run_on_it_and_keeps_to_it(browser: Browser) -> None:
    given = await everything(browser)
    seen = 0
    for page in VIEWS:
        answer = await browser.get(address(page.path, **given[section(page)]))
        # One's own account is that of a session, and nobody has one here.
        assert answer.status == 200 or (section(page) == "account" and answer.status == 401), (page.path, answer.text)
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        if page.path.endswith(".csv"):
            assert answer.headers["content-disposition"].startswith("attachment; ")
            assert answer.headers["content-type"] == "text/csv; charset=utf-8"
            continue
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert_harmless(answer.page)
        seen += 1
    assert seen > 10


async def test_whoever_is_not_signed_in_is_sent_to_sign_in(browser: Browser) -> None:
    told = {"origin": HOST, "sec-fetch-site": "same-origin"}
    for page in PAGES:
        answer = await browser.http.request(page.method, address(page.path), headers=told)
        assert answer.status_code == 303, page.path
        assert answer.headers["location"].startswith("/dashboard/sign-in")
        assert answer.headers["content-security-policy"] == POLICY


async def test_a_form_must_prove_that_it_is_the_visitors_own(browser: Browser) -> None:
    project = await browser.control.project()
    token, other = browser.visitor.csrf, browser.as_("owner").visitor.csrf
    for page in FORMS:
        asked = address(page.path, tenant_id=project["tenant_id"], project_id=project["id"])
        for csrf in (None, "", "x" * len(token), token[:-1], other):
            assert (await browser.post(asked, {"csrf": csrf})).status == 403, page.path
        for site in ("cross-site", "same-site", "none"):
            told = {"sec-fetch-site": site}
            assert (await browser.post(asked, {"csrf": token}, **told)).status == 403, page.path
        assert (await browser.get(asked)).status in {200, 401, 404, 405}  # never done by a link


async def test_an_older_browser_proves_it_by_its_origin(browser: Browser) -> None:
    project = await browser.control.project()
    asked, fields = f"/dashboard/projects/{project['id']}/origins", {"origin": "https://a.example"}
    body = f"csrf={browser.visitor.csrf}&origin=https://a.example"
    kind = {"content-type": "application/x-www-form-urlencoded", "cookie": f"test-session={browser.cookie}"}
    for origin, status in ((HOST, 303), ("http://evil.example", 403), ("null", 403), ("", 403)):
        answer = await browser.http.post(asked, content=body, headers={**kind, "origin": origin})
        assert answer.status_code == status, (origin, fields)
        body = body.replace("a.example", "b.example")


async def test_a_page_takes_the_permission_that_it_states(browser: Browser) -> None:
    project = await browser.control.project()
    for role in ("viewer", "admin", "owner"):
        visitor = browser.as_(role)
        for page in PAGES:
            answer = await ask(visitor, page, address(page.path, tenant_id=project["tenant_id"]))
            allowed = visitor.visitor.operator.role.includes(NEEDS[page.needs].role)
            assert (answer.status == 403) is not allowed, (role, page, answer.text)


def test_every_form_takes_a_permission_to_change_something() -> None:
    assert not [page.path for page in FORMS if not page.needs.endswith((":write", ":administer", ":mint"))]


async def test_a_tenants_operator_sees_nothing_of_another(browser: Browser) -> None:
    key, other = await browser.control.key(), await browser.control.tenant()
    given = {"tenant_id": key["tenant_id"], "project_id": key["project_id"], "key_id": key["id"]}
    visitor, tried = browser.as_("owner", other["id"]), 0
    for page in PAGES:
        if any(name in page.path for name in ("{tenant_id}", "{project_id}")):
            theirs = await ask(visitor, page, address(page.path, **given))
            nothing = await ask(visitor, page, address(page.path))
            # The request's id apart, what is another's is answered as what is not there.
            plain = [re.sub(r"req_[0-9a-f]{32}", "", answer.page.html) for answer in (theirs, nothing)]
            # What only the installation may do is refused wherever it is asked.
            status = 403 if NEEDS[page.needs].reach is Reach.INSTALLATION else 404
            assert (theirs.status, nothing.status) == (status, status), page.path
            assert plain[0] == plain[1]
            tried += 1
    assert tried > 10


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_is_shown_as_it_was_typed(browser: Browser, name: str) -> None:
    tenant = await browser.control.tenant(name)
    answer = await browser.as_("owner", tenant["id"]).send("/dashboard/projects/new", name=name)
    assert done(answer) == "created"
    project = answer.location.partition("?")[0]
    made = await browser.send(f"{project}/keys/new", name=name)
    assert name in made.page.text.replace("\n", " ") or name in made.text
    for path in ("/dashboard/projects", project, f"{project}/keys", f"{project}/settings", f"{project}/limits"):
        answer = await browser.as_("owner", name=name).get(path)
        assert answer.status == 200
        assert_harmless(answer.page)
        assert name in answer.page.text or name in answer.text or name in set(answer.page.values("value"))
    assert name in answer.page.title


async def test_a_viewer_sees_no_button_that_would_be_refused(browser: Browser) -> None:
    given = await everything(browser)
    project = f"/projects/{given['projects']['project_id']}"
    await browser.control.change(project, cors_origins=["https://a.example"], aliases={"a": ["b"]})
    viewer = browser.as_("viewer")
    for page in VIEWS:
        answer = await viewer.get(address(page.path, **given[section(page)]))
        if answer.status in {401, 403} or section(page) == "account":
            continue
        for form in answer.page.forms:
            if form.method == "post":
                assert not form.buttons or form.action == "/dashboard/sign-out", page.path
        assert not [link for link in answer.page.links if link.endswith("/new")], page.path


async def test_what_is_not_there_is_told_in_a_page(browser: Browser) -> None:
    answer = await browser.get("/dashboard/nothing")
    assert answer.status == 404
    assert answer.headers["content-security-policy"] == POLICY
    assert "There is nothing at this address." in answer.text
    assert (await browser.get("/dashboard/projects/prj_wrong")).status == 404
    answer = await browser.http.request("PUT", "/dashboard/projects")
    assert (answer.status_code, answer.headers["content-security-policy"]) == (405, POLICY)


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"name=%ff", "application/x-www-form-urlencoded", 400),
        (b"name=\xff", "application/x-www-form-urlencoded", 400),
        (b"name=%00", "application/x-www-form-urlencoded", 400),
        (b"&".join(b"a%d=1" % number for number in range(1_100)), "application/x-www-form-urlencoded", 400),
        (b"name=" + b"a" * 300_000, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_a_form_that_cannot_be_read_is_refused(browser: Browser, body: bytes, kind: str, status: int) -> None:
    headers = {"content-type": kind, "sec-fetch-site": "same-origin", "cookie": f"test-session={browser.cookie}"}
    answer = await browser.http.post("/dashboard/projects/new", content=body, headers=headers)
    assert answer.status_code == status


async def test_a_field_that_the_page_does_not_know_is_refused(browser: Browser) -> None:
    tenant = await browser.control.tenant()
    fields = {"csrf": browser.visitor.csrf, "tenant": tenant["id"], "name": "A"}
    assert (await browser.post("/dashboard/projects/new", {**fields, "created_by": "me"})).status == 400
    assert (await browser.post("/dashboard/projects/new", {**fields, "name": ["A", "B"]})).status == 400
    assert (await browser.post("/dashboard/projects/new", fields)).status == 303


async def test_files_have_addresses_by_what_they_hold_and_are_kept(browser: Browser) -> None:
    page = (await browser.get("/dashboard/projects")).page
    assert page.loads
    for load in page.loads:
        answer = await browser.http.get(load)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        again = await browser.http.get(load, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    for other in ("app.py", "../app.py", "%2e%2e/app.py", "dashboard.css", "vendor/NOTICE"):
        assert (await browser.http.get(f"/dashboard/static/{other}")).status_code == 404


async def test_the_theme_is_the_visitors(browser: Browser) -> None:
    for theme, said in (("dark", "dark"), ("light", "light"), ("<b>", None)):
        cookie = f"test-session={browser.cookie}; bailiwick-theme={theme}"
        page = Seen((await browser.http.get("/dashboard/projects", headers={"cookie": cookie})).text)
        (root,) = [given for tag, given in page.tags if tag == "html"]
        assert root.get("data-theme") == said


async def test_a_fault_of_ours_shows_nothing_but_that_it_was_ours(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        msg = "a secret of the inside"
        raise RuntimeError(msg)

    monkeypatch.setattr(type(browser.control.plane.directory), "projects", broken)
    transport = browser.http._transport
    monkeypatch.setattr(transport, "raise_app_exceptions", False)
    answer = await browser.get("/dashboard/projects")
    assert (answer.status, answer.headers["content-security-policy"]) == (500, POLICY)
    assert "a secret of the inside" not in answer.page.html
    assert answer.headers["x-request-id"] in answer.text
