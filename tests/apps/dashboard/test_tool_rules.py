"""Rules of tools in the dashboard: of a project, a tier and a key, in plain words; and what a tier changes."""

from __future__ import annotations

from typing import Any, Final

import pytest

from bailiwick.apps.dashboard import words
from tests.dashboard import Browser, done

RULES: Final = {"tools.allow": "search_*\r\nread", "tools.deny": "*_delete"}
SAID: Final = "only those that match search_* or read, but none that matches *_delete"


async def place(browser: Browser) -> tuple[dict[str, Any], str]:
    """A project, and its page."""
    project = await browser.control.project()
    return project, f"/dashboard/projects/{project['id']}"


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (None, "any"),
        ({"deny": []}, "any"),
        ({"allow": [], "deny": ["a"]}, "none"),
        ({"allow": ["a"], "deny": []}, "only those that match a"),
        (
            {"allow": ["a", "b", "c"], "deny": ["d", "e"]},
            "only those that match a, b or c, but none that matches d or e",
        ),
        ({"deny": ["d"]}, "any, but none that matches d"),
    ],
)
def test_rules_are_told_in_plain_words(rules: dict[str, list[str]] | None, said: str) -> None:
    assert words.tools(rules) == said


async def test_a_projects_rules_are_set_and_taken_away_in_its_settings(browser: Browser) -> None:
    project, page = await place(browser)
    api = f"/projects/{project['id']}"
    refuse = {**RULES, "tools.mode": "refuse"}
    assert done(await browser.send(f"{page}/settings", **refuse)) == "saved"
    expected = {"allow": ["search_*", "read"], "deny": ["*_delete"], "mode": "refuse"}
    assert (await browser.control.read(api))["tools"] == expected
    assert f"In plain words: {SAID}." in (await browser.get(f"{page}/settings")).text
    assert done(await browser.send(f"{page}/settings")) == "saved"
    assert (await browser.control.read(api))["tools"] == expected
    wrong = await browser.send(f"{page}/settings", **{"tools.allow": "two words"})
    assert (wrong.status, wrong.page.form("").fields["tools.allow"]) == (422, ["two words"])
    assert done(await browser.send(f"{page}/settings", **dict.fromkeys(RULES, ""))) == "saved"
    assert (await browser.control.read(api))["tools"] is None


async def test_a_keys_rules_and_agents_are_set_by_its_form_and_each_taken_away(browser: Browser) -> None:
    project, page = await place(browser)
    await browser.send(f"{page}/keys/new", name="Tied", agents="support\r\nsales-*", **RULES)
    (key,) = (await browser.control.read(f"/projects/{project['id']}/keys"))["data"]
    assert key["agents"] == ["support", "sales-*"]
    assert key["tools"] == {"allow": ["search_*", "read"], "deny": ["*_delete"]}
    one = f"{page}/keys/{key['id']}"
    assert done(await browser.send(one)) == "saved"
    assert await browser.control.read(f"/keys/{key['id']}") == key
    assert done(await browser.send(one, **{"tools.allow": ""})) == "saved"
    assert (await browser.control.read(f"/keys/{key['id']}"))["tools"] == {"deny": ["*_delete"]}
    assert done(await browser.send(one, **{"tools.deny": "", "agents": ""})) == "saved"
    freed = await browser.control.read(f"/keys/{key['id']}")
    assert (freed["tools"], freed["agents"]) == (None, None)


async def test_a_tier_tells_what_it_changes_of_what_holds_without_one(browser: Browser) -> None:
    project, page = await place(browser)
    api = f"/projects/{project['id']}"
    await browser.control.change(api, limits={"user": {"requests": 60, "per": "1m"}, "key": {"tokens": 9, "per": "1h"}})
    terms = {"models": "gpt-4o*", "agents": "support", "max_output_tokens": "800", **RULES}
    fast = {"user.requests": "600", "user.per": "1m"}
    assert done(await browser.send(f"{page}/tiers/new", name="pro", **terms, **fast)) == "created"
    (pro,) = (await browser.control.read(f"{api}/tiers"))["data"]
    assert (pro["agents"], pro["max_output_tokens"]) == (["support"], 800)
    assert pro["tools"] == {"allow": ["search_*", "read"], "deny": ["*_delete"]}
    assert done(await browser.send(f"{page}/tiers/{pro['id']}")) == "saved"
    assert await browser.control.read(f"{api}/tiers/{pro['id']}") == pro
    listed = (await browser.get(f"{page}/tiers")).text
    sixty = "60 requests a minute, at most 60 at once"
    assert f"Each user: 600 requests a minute, at most 600 at once instead of {sixty}" in listed
    assert "Models: gpt-4o* instead of any" in listed
    assert f"Tools: {SAID} instead of any" in listed
    assert "Each answer: at most 800 tokens instead of unlimited" in listed
    assert "Each key" not in listed
    await browser.control.make(f"{api}/tiers", name="free", limits={"user": {"requests": 5, "per": "1m"}}, models=["m"])
    await browser.control.change(api, default_tier="free")
    listed = (await browser.get(f"{page}/tiers")).text
    assert "Models: gpt-4o* instead of m" in listed
    assert f"Each user: 5 requests a minute, at most 5 at once instead of {sixty}" in listed
    assert "at most 600 at once instead of 5 requests a minute" in listed


async def test_a_tier_whose_longest_answer_is_no_number_is_told(browser: Browser) -> None:
    _, page = await place(browser)
    for wrong in ("many", "0", "9" * 400):
        answer = await browser.send(f"{page}/tiers/new", name="pro", max_output_tokens=wrong)
        assert (answer.status, answer.page.form("").fields["max_output_tokens"]) == (422, [wrong])


async def test_rules_are_previewed_while_they_are_typed(browser: Browser) -> None:
    _, page = await place(browser)
    form = (await browser.get(f"{page}/keys/new")).page.form("")
    typed = {**form.fields, "tools.allow": ["search_*\nread"], "tools.deny": ["*_delete"]}
    assert (await browser.post(f"{page}/tools/preview", typed)).text == f"In plain words: {SAID}."
    assert "must be 1 to 255" in (await browser.post(f"{page}/tools/preview", {**typed, "tools.deny": ["a b"]})).text
    assert "must be empty" in (await browser.post(f"{page}/tools/preview", {**typed, "tools.none": ["yes"]})).text
