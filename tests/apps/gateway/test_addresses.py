"""The three forms of a project's address: `/v1`, `/p/{slug}/v1`, `{slug}.{base_domain}/v1`."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apps.gateway.doors.cases import answer_every_door, good, with_anthropic
from tests.apps.gateway.routes import ROUTES
from tests.serving import ASK, BASE_DOMAIN, MODEL, Caller, Site, error_of
from tests.upstream import Upstream


@pytest.fixture(scope="module")
def pair(running_site: Site) -> tuple[Caller, Caller]:
    """Two projects of two tenants."""
    first, second = (running_site.project(tenant_id=running_site.admin.tenant()["id"]) for _ in range(2))
    return with_anthropic(first), with_anthropic(second)


@pytest.fixture
def caller(site: Site, pair: tuple[Caller, Caller]) -> Caller:
    return pair[0]


@pytest.fixture
def foreign(site: Site, pair: tuple[Caller, Caller]) -> Caller:
    return pair[1]


def forms(slug: str) -> dict[str, tuple[str, str]]:
    """The path's beginning and the host of each form that names the project."""
    return {
        "path": (f"/p/{slug}", "gateway.test"),
        "host": ("", f"{slug}.{BASE_DOMAIN}"),
        "host and port": ("", f"{slug}.{BASE_DOMAIN}:8080"),
        "host in capitals": ("", f"{slug}.{BASE_DOMAIN}".upper()),
        "host with its last dot": ("", f"{slug}.{BASE_DOMAIN}."),
        "both": (f"/p/{slug}", f"{slug}.{BASE_DOMAIN}"),
    }


def ask(caller: Caller, form: tuple[str, str], method: str, path: str) -> Any:
    return caller.ask(method, form[0] + path, headers={"host": form[1]}, **good(method, path, MODEL))


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("form", forms(""))
def test_each_form_leads_to_its_own_project_and_lets_nobody_elses_key_in(
    caller: Caller, foreign: Caller, method: str, path: str, form: str
) -> None:
    own, other = forms(caller.project["slug"])[form], forms(foreign.project["slug"])[form]
    answer_every_door(caller.site.upstream, "")
    assert ask(caller, own, method, path).status_code == 200
    assert error_of(ask(caller, other, method, path)) == (401, "invalid_credentials")


def test_a_foreign_and_an_unknown_address_are_answered_alike(caller: Caller, foreign: Caller) -> None:
    slugs = [foreign.project["slug"], "no-such-project", "", caller.project["slug"].upper(), "%00", "é", "a.b"]
    answers = [ask(caller, (f"/p/{slug}", "gateway.test"), "GET", "/v1/me") for slug in slugs]
    assert {(answer.status_code, answer.content) for answer in answers} == {(401, answers[0].content)}


def test_an_address_that_says_two_things_is_none(caller: Caller, foreign: Caller, upstream: Upstream) -> None:
    slugs = caller.project["slug"], foreign.project["slug"]
    for one, other in (slugs, slugs[::-1]):
        form = (f"/p/{one}", f"{other}.{BASE_DOMAIN}")
        assert error_of(ask(caller, form, "POST", "/v1/chat/completions")) == (404, "not_found")
    assert upstream.requests == []


@pytest.mark.parametrize(
    "host",
    ["", "gateway.test", BASE_DOMAIN, f"x{BASE_DOMAIN}", f"{BASE_DOMAIN}.example", "[::1]:80", "a" * 300, "localhost"],
)
def test_any_other_host_names_no_project(caller: Caller, host: str) -> None:
    assert ask(caller, ("", host), "GET", "/v1/me").json()["project_id"] == caller.id


@pytest.mark.parametrize("label", ["{slug}.x", ".{slug}", "x.{slug}", "", "{slug}-", "p"])
def test_any_other_name_below_the_domain_is_no_project(caller: Caller, label: str) -> None:
    host = f"{label.format(slug=caller.project['slug'])}.{BASE_DOMAIN}"
    assert error_of(ask(caller, ("", host), "GET", "/v1/me")) == (401, "invalid_credentials")


def test_openais_client_needs_only_another_base_url(caller: Caller) -> None:
    with caller.sdk(base_url=f"{caller.site.installation.url}/p/{caller.project['slug']}/v1") as client:
        assert client.chat.completions.create(model=MODEL, messages=ASK).choices
        assert list(client.models.list())


def test_a_slug_that_is_changed_moves_the_address(site: Site) -> None:
    caller = site.project()
    old, new = caller.project["slug"], f"{caller.project['slug']}-moved"
    caller.change(slug=new)
    fresh = site.caller(caller.project)
    assert ask(fresh, forms(new)["path"], "GET", "/v1/me").json()["project_slug"] == new
    assert error_of(ask(fresh, forms(old)["path"], "GET", "/v1/me")) == (401, "invalid_credentials")
