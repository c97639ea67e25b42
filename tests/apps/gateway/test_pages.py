"""Calls from pages of the web: only a listed origin may ask, and it can read whatever is answered, errors included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
import pytest

from bailiwick.apps.http.cors import EXPOSED, MAX_AGE_SECONDS
from bailiwick.services.doors import DOORS, Door
from tests.apps.gateway.doors import cases
from tests.apps.gateway.routes import ROUTES
from tests.serving import BASE_DOMAIN, Caller, Site, error_of, until
from tests.upstream import Behaviour, Upstream
from tests.upstream.behaviour import Ending

APP, EVIL = "https://app.example.com", "https://evil.example"
CHAT = "/v1/chat/completions"
# As a browser asks before OpenAI's client does.
ASKED = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-lang,x-stainless-retry-count",
}


@pytest.fixture(scope="module")
def module_caller(running_site: Site) -> Caller:
    return running_site.project(cors_origins=[APP, "http://localhost:3000"])


@pytest.fixture
def caller(site: Site, module_caller: Caller) -> Caller:
    return module_caller


def at(caller: Caller, path: str = CHAT) -> str:
    """The address that names the project."""
    return f"/p/{caller.project['slug']}{path}"


def from_page(origin: str = APP, **headers: str) -> dict[str, str]:
    return {"origin": origin, **headers}


def preflight(site: Site, path: str, origin: str = APP, headers: Mapping[str, str] = ASKED) -> httpx2.Response:
    return site.ask("OPTIONS", path, headers={"origin": origin, **headers})


def assert_readable(answer: httpx2.Response, origin: str = APP) -> None:
    """By a page of this origin, and by no other; and every header of ours with it."""
    assert answer.headers.get_list("access-control-allow-origin") == [origin], answer.text
    assert answer.headers.get_list("vary") == ["Origin"]
    assert "access-control-allow-credentials" not in answer.headers
    exposed = set(answer.headers["access-control-expose-headers"].split(", "))
    ours = {name for name in answer.headers if name.startswith(("x-rate", "rate", "retry", "x-request", "x-should"))}
    assert ours <= exposed


def assert_unreadable(answer: httpx2.Response) -> None:
    assert not [name for name in answer.headers if name.startswith("access-control")]


# A listed origin ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_listed_page_can_ask_and_read_every_address(caller: Caller, method: str, path: str) -> None:
    asked = preflight(caller.site, at(caller, path), headers={**ASKED, "access-control-request-method": method})
    assert asked.status_code == 204
    assert asked.content == b""
    assert asked.headers["access-control-allow-methods"] == method
    assert asked.headers["access-control-allow-headers"] == ASKED["access-control-request-headers"]
    assert asked.headers["access-control-max-age"] == str(MAX_AGE_SECONDS)
    assert_readable(asked)
    answer = caller.ask(method, at(caller, path), headers=from_page(), json={} if method == "POST" else None)
    assert answer.status_code in {200, 400, 404}
    assert_readable(answer)


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
def test_answers_and_failures_of_every_door_are_readable(site: Site, upstream: Upstream, door: Door) -> None:
    case = cases.CASES[door.path]
    caller = cases.project(site, door, cors_origins=[APP], limits={"key": {"requests": 2, "per": "1h"}})
    for behaviour, status in ((case.behaviour, 200), (Behaviour(status=500, body=b"{}"), 500), (case.behaviour, 429)):
        upstream.on(f"/v1{door.path}", behaviour)
        answer = caller.ask(
            "POST",
            at(caller, f"/v1{door.path}"),
            content=case.body(),
            headers=from_page(**{"content-type": case.request_type}),
        )
        assert answer.status_code == status
        assert_readable(answer)
        assert "x-ratelimit-remaining-requests" in answer.headers


def test_a_stream_is_readable_and_so_is_one_that_breaks(site: Site, caller: Caller, upstream: Upstream) -> None:
    for behaviour, last in ((Behaviour(), "[DONE]"), (Behaviour(ending=Ending.RESET, after=2), "provider_error")):
        upstream.on(CHAT, behaviour)
        answer = caller.chat(path=at(caller), headers=from_page(), stream=True)
        assert answer.status_code == 200
        assert_readable(answer)
        assert last in answer.text.rsplit("data: ", 1)[1]


def test_the_project_can_be_named_by_the_host(caller: Caller) -> None:
    host = {"host": f"{caller.project['slug']}.{BASE_DOMAIN}"}
    assert_readable(preflight(caller.site, CHAT, headers={**ASKED, **host}))
    assert_readable(caller.chat(headers=from_page(**host)))
    assert error_of(preflight(caller.site, CHAT, EVIL, {**ASKED, **host})) == (403, "origin_not_allowed")
    assert error_of(caller.chat(headers=from_page(EVIL, **host))) == (403, "origin_not_allowed")


def test_each_of_several_origins_is_told_only_of_itself(caller: Caller) -> None:
    for origin in (APP, "http://localhost:3000"):
        assert_readable(caller.ask("GET", at(caller, "/v1/me"), headers=from_page(origin)), origin)


REFUSALS: dict[str, tuple[dict[str, Any], int]] = {
    "no credential": ({"headers": {}}, 401),
    "an unknown key": ({"headers": {"authorization": "Bearer bwk_live_nothing"}}, 401),
    "two credentials": ({"headers": {"authorization": "Bearer x", "x-api-key": "y"}}, 400),
    "a coded body": ({"headers": {"content-encoding": "gzip"}}, 400),
    "a large head": ({"headers": {"x-large": "x" * 70_000}}, 431),
    "no such address": ({"path": "/v1/nothing"}, 404),
    "no such method": ({"method": "DELETE"}, 405),
    "no body": ({"content": b""}, 400),
    "a body of nonsense": ({"content": b"["}, 400),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusals_before_the_origin_is_asked_for_and_after_are_readable(caller: Caller, refusal: str) -> None:
    asked, status = REFUSALS[refusal]
    options = {"method": "POST", "path": CHAT, "headers": caller.bearer, **asked}
    method, path = options.pop("method"), at(caller, options.pop("path"))
    answer = caller.site.ask(method, path, **{**options, "headers": {**options["headers"], **from_page()}})
    assert answer.status_code == status
    assert_readable(answer)


def test_a_suspended_project_tells_its_pages_so(site: Site) -> None:
    caller = site.project(cors_origins=[APP], status="suspended")
    assert preflight(site, at(caller)).status_code == 204
    answer = caller.chat(path=at(caller), headers=from_page())
    assert error_of(answer) == (403, "project_suspended")
    assert_readable(answer)


# Any other origin -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [EVIL, "null", "*", "", "https://app.example.com/", "https://app.example.com:443", "http://app.example.com",
     "https://App.example.com", "https://app.example.com.evil.example", "https://evil-app.example.com",
     "app.example.com", "https://app.example.com, https://evil.example", "https://app.example.com https://evil.example"],
)  # fmt: skip
@pytest.mark.parametrize("form", ["address", "bare"])
def test_an_origin_that_is_not_listed_is_refused_and_reaches_no_provider(site: Site, origin: str, form: str) -> None:
    caller = site.project(cors_origins=[APP])
    path = at(caller) if form == "address" else CHAT
    for answer in (caller.chat(path=path, headers=from_page(origin)), preflight(site, path, origin)):
        assert error_of(answer) == (403, "origin_not_allowed")
        assert_unreadable(answer)
        assert answer.headers["vary"] == "Origin"
    caller.assert_untouched()


def test_a_project_lists_no_origin_by_default(site: Site) -> None:
    caller = site.project()
    assert error_of(caller.chat(path=at(caller), headers=from_page())) == (403, "origin_not_allowed")
    assert error_of(preflight(site, at(caller))) == (403, "origin_not_allowed")
    assert caller.chat(path=at(caller)).status_code == 200


def test_a_page_cannot_tell_a_project_that_does_not_list_it_from_none(site: Site, caller: Caller) -> None:
    """Whoever has no origin of theirs learns not even which slugs are taken."""
    slugs = [
        caller.project["slug"],
        site.project().project["slug"],
        site.project(tenant_id=site.admin.tenant()["id"], cors_origins=[APP]).project["slug"],
        site.project(cors_origins=[APP], status="suspended").project["slug"],
        "no-such-project", "", "Capitals", "%00", "é", "a.b", "a" * 300,
    ]  # fmt: skip
    for ask in (
        lambda slug: preflight(site, f"/p/{slug}{CHAT}", EVIL),
        lambda slug: caller.chat(path=f"/p/{slug}{CHAT}", headers=from_page(EVIL)),
        lambda slug: site.ask("GET", f"/p/{slug}/v1/me", headers=from_page(EVIL)),
    ):
        answers = [ask(slug) for slug in slugs]
        told = {
            (
                answer.status_code,
                answer.content,
                str([pair for pair in answer.headers.items() if "req_" not in pair[1]]),
            )
            for answer in answers
        }
        assert len(told) == 1
        assert error_of(answers[0]) == (403, "origin_not_allowed")


def test_several_origins_are_none(caller: Caller) -> None:
    answer = caller.ask("GET", at(caller, "/v1/me"), headers=[("origin", APP), ("origin", APP)])
    assert error_of(answer) == (400, "invalid_request")
    assert_unreadable(answer)


def test_anthropics_clients_are_refused_in_their_form(caller: Caller) -> None:
    answer = caller.ask("POST", at(caller, "/v1/messages"), headers=from_page(EVIL), json={})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "origin_not_allowed"
    assert answer.json()["type"] == "error"


def test_who_is_no_page_is_not_asked_for_an_origin(caller: Caller) -> None:
    for path in (CHAT, at(caller)):
        answer = caller.chat(path=path)
        assert answer.status_code == 200
        assert_unreadable(answer)
        assert "vary" not in answer.headers


# Without an address that names the project ----------------------------------------------------------------------------


def test_without_the_project_in_the_address_no_preflight_passes(caller: Caller) -> None:
    answer = preflight(caller.site, CHAT)
    assert error_of(answer) == (403, "origin_not_allowed")
    assert_unreadable(answer)


def test_without_the_project_in_the_address_the_keys_project_decides(caller: Caller) -> None:
    answer = caller.chat(headers=from_page())
    assert answer.status_code == 200
    assert_readable(answer)
    unknown = caller.site.ask("GET", "/v1/me", headers=from_page(authorization="Bearer bwk_live_nothing"))
    assert error_of(unknown) == (401, "invalid_credentials")
    assert_unreadable(unknown)


# Preflights -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/nothing", "/", "/v1/chat/completions/x"])
def test_a_preflight_says_nothing_of_the_address_so_that_the_page_can_read_that_it_does_not_exist(
    caller: Caller, path: str
) -> None:
    assert preflight(caller.site, at(caller, path)).status_code == 204
    answer = caller.ask("POST", at(caller, path), headers=from_page())
    assert error_of(answer) == (404, "not_found")
    assert_readable(answer)


def test_what_asks_for_no_method_is_no_preflight(caller: Caller) -> None:
    answer = preflight(caller.site, at(caller), headers={})
    assert error_of(answer) == (405, "method_not_allowed")
    assert_readable(answer)
    assert error_of(caller.site.ask("OPTIONS", at(caller), headers=ASKED)) == (405, "method_not_allowed")


@pytest.mark.parametrize("asked", ["x y", "x;y", '"x"', "x,,y", ",", "x:", "<x>"])
def test_only_names_are_echoed(caller: Caller, asked: str) -> None:
    headers = {"access-control-request-method": "POST", "access-control-request-headers": asked}
    answer = preflight(caller.site, at(caller), headers=headers)
    assert answer.status_code == 204
    assert "access-control-allow-headers" not in answer.headers
    assert answer.headers["access-control-allow-methods"] == "POST"


def test_names_on_several_lines_are_all_echoed(caller: Caller) -> None:
    lines = [("origin", APP), ("access-control-request-method", "POST"),
             ("access-control-request-headers", "a,b"), ("access-control-request-headers", "c")]  # fmt: skip
    answer = caller.site.ask("OPTIONS", at(caller), headers=lines)
    assert answer.headers["access-control-allow-headers"] == "a,b, c"


# Elsewhere, and later -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/admin/v1/tenants", "/admin/openapi.json", "/dashboard", "/healthz", "/readyz"])
def test_no_page_is_let_into_the_control_plane_or_told_of_health(caller: Caller, path: str) -> None:
    authorization = f"Bearer {caller.site.installation.keys['admin_key']}"
    for host in ("gateway.test", f"{caller.project['slug']}.{BASE_DOMAIN}"):
        headers = from_page(authorization=authorization, host=host)
        for answer in (
            caller.site.ask("GET", path, headers=headers),
            caller.site.ask("OPTIONS", path, headers={**headers, **ASKED}),
        ):
            assert_unreadable(answer)


def test_a_list_that_is_changed_holds_within_a_second(site: Site) -> None:
    caller = site.project(cors_origins=[APP])
    assert preflight(site, at(caller)).status_code == 204
    assert preflight(site, at(caller), EVIL).status_code == 403
    caller.change(cors_origins=[EVIL])
    until(lambda: preflight(site, at(caller)).status_code == 403, patience=1.0)
    assert preflight(site, at(caller), EVIL).status_code == 204
    assert error_of(caller.chat(path=at(caller), headers=from_page())) == (403, "origin_not_allowed")
    assert_readable(caller.chat(path=at(caller), headers=from_page(EVIL)), EVIL)


def test_every_header_that_limits_make_can_be_read(site: Site) -> None:
    caller = site.project(
        cors_origins=[APP], limits={"key": {"requests": 1, "per": "1h"}, "user": {"tokens": 100_000, "per": "1h"}}
    )
    headers = from_page(**{"x-end-user-id": "u"})
    answers = [caller.chat(path=at(caller), headers=headers, max_tokens=most) for most in (10, 10, 10_000_000)]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert "x-ratelimit-remaining-tokens" in answers[0].headers
    assert "retry-after" in answers[1].headers
    assert answers[2].headers["x-should-retry"] == "false"
    plain = {"content-type", "content-length", "vary"}
    for answer in answers:
        assert_readable(answer)
        own = {name for name in answer.headers if not name.startswith("access-control")} - plain
        assert own <= {name.decode() for name in EXPOSED}
