"""Trusted issuers in the dashboard: from presets, as the API has them; and a pasted token, judged in plain words."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.apps.dashboard import issuer_form
from bailiwick.apps.dashboard.forms import Form
from bailiwick.apps.dashboard.issuer_presets import PRESETS, Preset
from bailiwick.domain.issuers import issuer_spec
from bailiwick.identity import signing_keys
from tests.dashboard import Browser, done

CANARY: Final = "a-token-that-no-page-may-hold"
EMPTY: Final = {"authorized_parties": [], "audiences": [], "jwks": None, "jwks_url": None, "user_prefix": None}


async def place(browser: Browser) -> tuple[str, str]:
    """The page of a project's issuers, and their address in the API."""
    project = await browser.control.project()
    return f"/dashboard/projects/{project['id']}/issuers", f"/projects/{project['id']}/issuers"


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
async def test_a_preset_fills_the_form_in_and_is_saved_as_it_says(browser: Browser, preset: Preset) -> None:
    page, api = await place(browser)
    assert f"?preset={preset.name}" in (await browser.get(f"{page}/new")).page.links
    assert preset.hint in (await browser.get(f"{page}/new?preset={preset.name}")).text
    assert done(await browser.send(f"{page}/new?preset={preset.name}", action=f"{page}/new")) == "created"
    (issuer,) = (await browser.control.read(api))["data"]
    expected = {"max_lifetime": 86_400, "required": {}, **EMPTY, **preset.asked}
    assert {name: issuer[name] for name in expected} == expected
    # Nothing changed, and all of it is kept.
    assert done(await browser.send(f"{page}/{issuer['id']}")) == "saved"
    assert await browser.control.read(f"{api}/{issuer['id']}") == issuer


async def test_an_issuer_is_made_changed_and_removed(browser: Browser) -> None:
    page, api = await place(browser)
    fields = {
        "issuer": "https://login.example", "audiences": "a\r\nb", "algorithms": "ES256", "claim.tier": "app.plan",
        "default.tier": "free", "claim.role": '["a.b", "c"]', "one_of.role": "admin, user",
        "required": "org\r\nx = 1, y",
    }  # fmt: skip
    assert done(await browser.send(f"{page}/new", action=f"{page}/new", **fields)) == "created"
    (issuer,) = (await browser.control.read(api))["data"]
    assert issuer["audiences"] == ["a", "b"]
    assert issuer["claims"] == {
        "tier": {"claim": "app.plan", "default": "free"},
        "role": {"claim": ["a.b", "c"], "one_of": ["admin", "user"]},
    }
    assert issuer["required"] == {"org": None, "x": [1, "y"]}
    one = f"{page}/{issuer['id']}"
    assert done(await browser.send(one, max_lifetime="600", **{"claim.tier": "", "default.tier": ""})) == "saved"
    changed = await browser.control.read(f"{api}/{issuer['id']}")
    assert (changed["max_lifetime"], set(changed["claims"])) == (600, {"role"})
    assert done(await browser.send(one, action=f"{one}/remove")) == "removed"
    assert (await browser.get(one)).status == 404


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"issuer": "http://127.0.0.1:8080/"}, "is refused: the address is not public"),
        ({"jwks_url": "https://169.254.169.254/"}, "is refused: the address is not public"),
        ({"jwks": "{"}, "must be JSON"),
        ({"jwks": '{"keys": ["\\u0000"]}'}, "must be JSON"),
        ({"jwks": "[" * 5_000}, "must be JSON"),
        ({"jwks": "[]"}, "jwks"),
        ({"audiences": ""}, "must not be empty"),
        ({"max_lifetime": "soon"}, "must be a number of seconds"),
        ({"max_lifetime": "1"}, "must be 60 to"),
        ({"default.tier": "free"}, "needs the claim"),
        ({"claim.role": "["}, "must be JSON"),
        ({"required": "x = [1, {}]"}, "must be null for any value"),
        ({"required": "x = []"}, "must be null for any value"),
    ],
)
async def test_what_cannot_be_is_told_and_the_form_is_as_it_was_sent(
    browser: Browser, fields: dict[str, str], said: str
) -> None:
    page, api = await place(browser)
    sent = {"issuer": "https://x.example", "audiences": "a", "algorithms": "ES256", **fields}
    answer = await browser.send(f"{page}/new", action=f"{page}/new", **sent)
    assert (answer.status, said in answer.page.html) == (422, True), answer.text
    form = answer.page.form(f"{page}/new").fields
    assert {name: form[name] for name in sent} == {name: [value] for name, value in sent.items()}
    assert (await browser.control.read(api))["data"] == []


NAMES = st.text('abc._:/ =,é"[]1', min_size=1, max_size=8).map(str.strip).filter(bool)
VALUES = st.one_of(NAMES, st.integers(-5, 5), st.booleans(), st.sampled_from(["true", "1", '"a"', "a, b", "null", " "]))


@given(
    required=st.dictionaries(
        st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,3})?|https://a\.b/c\?d=e", fullmatch=True),
        st.none() | st.lists(VALUES, min_size=1, max_size=3),
        max_size=3,
    ),
    one_of=st.lists(st.from_regex(r"[a-z:]{1,4}", fullmatch=True), max_size=3, unique=True),
    path=st.sampled_from(["plan", "a.b.c", "https://a.example/b", ["a.b", "c"]]),
)
def test_what_a_form_shows_is_what_it_sends(required: dict[str, Any], one_of: list[str], path: object) -> None:
    source = {"claim": path, "one_of": one_of} if one_of else path
    spec = issuer_spec(
        issuer="https://x.example", audiences=["a"], algorithms=["ES256"], required=required, claims={"role": source}
    )
    fields = issuer_form.shown(spec.written())
    form = Form({name: value if isinstance(value, list) else [value] for name, value in fields.items()})
    body = {name: value for name, value in issuer_form.body(form).items() if value is not None}
    assert issuer_spec(**body) == spec  # type: ignore[arg-type]


async def test_a_token_is_judged_in_plain_words_and_is_on_no_page(browser: Browser) -> None:
    page, api = await place(browser)
    key = signing_keys.make()
    await browser.control.make(
        api, issuer="https://login.example", jwks={"keys": [key.public_jwk()]}, audiences=["acme"],
        algorithms=["ES256"], claims={"tier": "plan"},
    )  # fmt: skip
    now = int(browser.control.clock().timestamp())
    claims = {"iss": "https://login.example", "aud": "acme", "sub": "ada", "iat": now, "exp": now + 600, "plan": "pro"}
    good = await browser.send(page, action=f"{page}/test", token=f" Bearer {key.sign(claims, typ='JWT')}\n")
    assert good.status == 200
    assert "This token is accepted. It speaks for the user ada , with the tier pro ." in good.text
    assert "It was signed with a key of the issuer." in good.text
    bad = key.sign({**claims, "aud": "other", "nonce": "n"}, typ="JWT")
    answer = await browser.send(page, action=f"{page}/test", token=bad)
    assert "This token is refused. 2 things to mend" in answer.text
    assert "nonce is what ID tokens have; send the access token" in answer.text
    assert "aud is none of the issuer's audiences" in answer.text
    assert bad not in answer.page.html
    assert CANARY not in (await browser.send(page, action=f"{page}/test", token=CANARY)).page.html


async def test_a_viewer_sees_issuers_and_changes_none(browser: Browser) -> None:
    page, api = await place(browser)
    made = await browser.control.make(api, issuer="https://l.example", audiences=["a"], algorithms=["ES256"])
    viewer = browser.as_("viewer")
    assert "https://l.example" in (await viewer.get(page)).text
    for address in (page, f"{page}/{made['id']}"):
        seen = await viewer.get(address)
        assert seen.status == 200
        assert f"{page}/new" not in seen.page.links
        assert not [form for form in seen.page.forms if form.action.endswith(("/test", "/remove"))]
        assert not {"Save", "Judge"} & {button for form in seen.page.forms for button in form.buttons}
    for address in (f"{page}/test", f"{page}/new", f"{page}/{made['id']}", f"{page}/{made['id']}/remove"):
        assert (await viewer.post(address, {"csrf": viewer.visitor.csrf})).status == 403


async def test_the_platforms_issuers_have_pages_for_the_installations_operators(browser: Browser) -> None:
    page = "/dashboard/issuers"
    fields = {"issuer": "https://platform.example", "audiences": "a", "algorithms": "ES256"}
    assert page in (await browser.get("/dashboard")).page.links
    assert done(await browser.send(f"{page}/new", action=f"{page}/new", **fields)) == "created"
    (issuer,) = [one for one in (await browser.control.read("/issuers"))["data"] if one["issuer"] == fields["issuer"]]
    one = f"{page}/{issuer['id']}"
    assert done(await browser.send(one, max_lifetime="600")) == "saved"
    assert (await browser.control.read(f"/issuers/{issuer['id']}"))["max_lifetime"] == 600
    assert done(await browser.send(one, action=f"{one}/remove")) == "removed"
    assert (await browser.get(one)).status == 404
