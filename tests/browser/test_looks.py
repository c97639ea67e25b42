"""Every page of the dashboard, wide and narrow, light and dark: nothing that axe-core finds, nothing that is cut off.

The first day is lived once, wide and light (`test_first_day.py`). Here somebody who is signed in sees every page in
every look, and does in each what an operator does most.
"""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.browser.npm_packages import fetched
from tests.browser.signed_in import LOOKS, Look, come_in, leads_to, owner_link, window
from tests.installation import Installation

pytestmark = pytest.mark.slow

# What WCAG 2.2 AA asks for, and what else axe-core knows to be good.
AXE: Final = """async (only) => (
  await axe.run(document, { preload: false, resultTypes: ["violations"], ...only })).violations
  .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(" ")).join(", ")}`)"""


@pytest.fixture(scope="module")
def signed_in(browser: Browser, installation: Installation) -> StorageState:
    """The cookies of an owner."""
    with window(browser, LOOKS[0]) as context:
        come_in(context.new_page(), owner_link(installation), name="Ada", email="looks@example.com")
        return context.storage_state()


@pytest.fixture(scope="module")
def addresses(installation: Installation) -> list[str]:
    """A page of each kind, with something on it."""
    project = f"/dashboard/projects/{installation.keys['project_id']}"
    tenant = f"/dashboard/tenants/{installation.keys['tenant_id']}"
    installation.admin.make(f"{tenant.removeprefix('/dashboard')}/members", {"subject": "user-1", "role": "member"})
    tools = {"name": "docs", "url": "https://tools.example.com/mcp"}
    server = installation.admin.make(f"{project.removeprefix('/dashboard')}/mcp-servers", tools)["id"]
    made = {"name": "support", "model": "echo", "instructions": "Be brief."}
    agent = installation.admin.make(f"{project.removeprefix('/dashboard')}/agents", made)["id"]
    installation.admin.change(f"{project.removeprefix('/dashboard')}/agents/{agent}", {"instructions": "Be kind."})
    with installation.client(**{"X-End-User-Id": "user-1"}) as client:
        asked = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
        answered = client.post("/v1/chat/completions", json=asked).headers["x-request-id"]
    tabs = (
        "",
        "/usage",
        "/keys",
        "/keys/new",
        "/users",
        "/users/one?uid=user-1",
        "/limits",
        "/tiers",
        "/tiers/new",
        "/models",
        "/agents",
        "/playground",
        f"/agents/{agent}",
        f"/agents/{agent}/versions",
        "/mcp-servers",
        f"/mcp-servers/{server}",
        "/providers",
    )
    return [
        "/dashboard",
        *(
            project + tab
            for tab in (*tabs, "/providers/new", "/issuers", "/issuers/new?preset=supabase", "/origins", "/settings")
        ),
        "/dashboard/projects",
        "/dashboard/projects/new",
        "/dashboard/tenants",
        tenant,
        f"{tenant}/members",
        f"{tenant}/members/new",
        f"{tenant}/roles",
        f"{tenant}/roles/new",
        "/dashboard/providers",
        "/dashboard/requests",
        "/dashboard/requests?id=req_unknown",
        f"/dashboard/requests?id={answered}",
        "/dashboard/audit",
        "/dashboard/operators",
        "/dashboard/operators/new",
        "/dashboard/operator-keys",
        "/dashboard/sign-in-providers",
        "/dashboard/sign-in-providers/new",
        "/dashboard/account",
        "/dashboard/nothing",
    ]


def wrong_with(page: Page, look: Look) -> list[str]:
    """What is wrong with a page in a look; axe-core is on it already. A theme has colours and nothing else."""
    page.set_viewport_size(look.size)
    page.emulate_media(color_scheme="dark" if look.theme == "dark" else "light", reduced_motion="reduce")
    found: list[str] = page.evaluate(
        AXE, {} if look.theme == "light" else {"runOnly": ["color-contrast", "link-in-text-block"]}
    )
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append("wider than the window")
    return found


def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    browser: Browser, installation: Installation, addresses: list[str], signed_in: StorageState
) -> None:
    axe = (fetched() / "axe-core" / "axe.min.js").read_text()
    wrong: dict[str, object] = {}
    with window(browser, LOOKS[0], signed_in) as context:
        page = context.new_page()
        for address in addresses:
            page.goto(installation.url + address)
            page.evaluate(axe)  # as the browser's own tools would, whatever may run on the page
            for look in LOOKS:
                if found := wrong_with(page, look):
                    wrong[f"{address} {look}"] = found
    assert not wrong, wrong


@pytest.mark.parametrize("look", LOOKS[1:], ids=str)
def test_what_an_operator_does_most_is_done_in_every_look(
    browser: Browser, installation: Installation, signed_in: StorageState, look: Look
) -> None:
    with window(browser, look, signed_in) as context:
        page = context.new_page()
        page.goto(f"{installation.url}/dashboard")
        leads_to(page, "Projects")
        page.locator("main").get_by_role("rowheader").get_by_role("link").first.click()
        tabs = page.get_by_role("navigation", name="Project")
        tabs.get_by_role("link", name="Keys", exact=True).click()
        page.get_by_role("link", name="New key").click()
        page.get_by_label("Name").fill(f"{look.width} {look.theme}")
        page.get_by_role("button", name="Create key").click()
        page.get_by_role("button", name="Copy key").click()
        expect(page.locator("#live")).to_have_text("Copied")
        page.get_by_role("link", name="I have copied it").click()
        row = page.get_by_role("row").filter(has_text=f"{look.width} {look.theme}")
        row.get_by_role("button", name="Revoke").click()
        page.keyboard.press("Escape")
        expect(page.get_by_role("button", name="Revoke key")).to_have_count(0)
        row.get_by_role("button", name="Revoke").click()
        page.get_by_role("button", name="Revoke key").click()
        expect(page.get_by_text("The key was revoked.")).to_be_visible()
        tabs.get_by_role("link", name="Limits", exact=True).click()
        page.locator('[id="user.requests"]').fill("60")
        expect(page.get_by_text("Each user: 60 requests a minute, at most 60 at once.")).to_be_visible()
