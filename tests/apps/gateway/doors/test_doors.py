"""At every door: the provider's answer byte for byte, one settled row, and the same care about what goes on."""

from __future__ import annotations

import json

import pytest

from bailiwick.apps.gateway.routes import DataPlane
from bailiwick.services.doors import DOORS
from tests.apps.gateway.doors.cases import BY_PATH, CASES, MODEL, form, project
from tests.serving import Site
from tests.upstream import Behaviour, Upstream

EACH = pytest.mark.parametrize("path", CASES)


def test_there_is_a_case_for_every_address_that_takes_a_call() -> None:
    routes = DataPlane(None, None, None, None, None, None, now=None).routes()  # type: ignore[arg-type]  # its table needs none of them
    posts = {path for path, methods in routes.items() if "POST" in methods}
    # Minting asks no model.
    doors = posts - {"/v1/auth/mint"}
    assert doors == {f"/v1{door.path}" for door in DOORS} == {f"/v1{path}" for path in CASES}


@EACH
def test_the_answer_is_the_providers_and_the_row_says_what_it_used(site: Site, upstream: Upstream, path: str) -> None:
    door, case = BY_PATH[path], CASES[path]
    caller = project(site, door)
    upstream.on(f"/v1{path}", case.behaviour)
    answer = case.ask(door, caller)
    assert answer.status_code == 200, answer.text
    assert answer.content == case.answer
    assert answer.headers["content-type"] == case.content_type
    row = caller.row()
    assert (row["outcome"], row["usage_source"], row["status"]) == (0, case.source, 200)
    assert (row["input_tokens"], row["output_tokens"]) == case.counted


@EACH
def test_an_alias_becomes_the_models_own_name_at_the_provider(site: Site, upstream: Upstream, path: str) -> None:
    door, case = BY_PATH[path], CASES[path]
    caller = project(site, door, aliases={"fast": [f"up/{MODEL}"]})
    upstream.on(f"/v1{path}", case.behaviour)
    assert case.ask(door, caller, model="fast").status_code == 200
    (seen,) = upstream.requests
    assert seen.path == f"/v1{path}"
    if case.multipart:
        assert seen.body == case.body(MODEL)
    else:
        assert json.loads(seen.body)["model"] == MODEL


@EACH
def test_an_end_user_goes_on_under_a_pseudonym_and_never_by_name(site: Site, upstream: Upstream, path: str) -> None:
    door, case = BY_PATH[path], CASES[path]
    caller = project(site, door)
    upstream.on(f"/v1{path}", case.behaviour)
    assert case.ask(door, caller, headers=[("x-end-user-id", "alice-the-canary")]).status_code == 200
    (seen,) = upstream.requests
    assert b"alice-the-canary" not in seen.body
    assert caller.row()["uid"] == "alice-the-canary"
    for name in () if door.body is None else door.body.users:
        outer, _, inner = name.partition(".")
        told = json.loads(seen.body)[outer]
        assert len(told[inner] if inner else told) > 20


@EACH
def test_no_door_lets_a_client_name_an_end_user(site: Site, upstream: Upstream, path: str) -> None:
    door, case = BY_PATH[path], CASES[path]
    caller = project(site, door)
    upstream.on(f"/v1{path}", case.behaviour)
    named: dict[str, object] = {"user": "mallory", "safety_identifier": "mallory"}
    if "messages" in path:
        named["metadata"] = {"user_id": "mallory", "x": "y"}
    if case.multipart:
        body = form(model=MODEL.encode(), user=b"mallory", safety_identifier=b"mallory", **case.fields)
    else:
        body = json.dumps({**json.loads(case.body()), **named}).encode()
    for who in ({}, {"x-end-user-id": "alice"}):
        told = {"content-type": case.request_type, **who}
        assert caller.ask("POST", f"/v1{path}", content=body, headers=told).status_code == 200
    assert [b"mallory" in seen.body for seen in upstream.requests] == [False, False]


@pytest.mark.parametrize(("path", "name"), [("/responses", "background"), ("/chat/completions", "deferred")])
def test_an_answer_comes_at_once_and_not_behind_the_ledger(
    site: Site, upstream: Upstream, path: str, name: str
) -> None:
    door, case = BY_PATH[path], CASES[path]
    caller = project(site, door)
    upstream.on(f"/v1{path}", case.behaviour)
    for value in (True, "yes", None):
        body = json.dumps({**json.loads(case.body()), name: value}).encode()
        answer = caller.ask("POST", f"/v1{path}", content=body, headers={"content-type": case.request_type})
        assert answer.status_code == 200
        assert upstream.requests.pop().json[name] is False
    assert case.ask(door, caller).status_code == 200
    assert name not in upstream.requests.pop().json


@pytest.mark.parametrize("path", [path for path in CASES if path != "/chat/completions"])
def test_a_provider_of_another_kind_is_not_asked(site: Site, path: str) -> None:
    door, case = BY_PATH[path], CASES[path]
    other = "openai" if "messages" in path else "anthropic"
    caller = site.project(provider={"kind": other})
    answer = case.ask(door, caller)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    caller.assert_untouched()


@EACH
@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_refusal_of_the_provider_is_told_and_costs_nothing(
    site: Site, upstream: Upstream, path: str, status: int
) -> None:
    door, case = BY_PATH[path], CASES[path]
    caller = project(site, door)
    said = b'{"error":{"message":"No.","type":"t","code":"c"}}'
    upstream.on(f"/v1{path}", Behaviour(status=status, body=said))
    answer = case.ask(door, caller)
    assert answer.status_code == (502 if status == 401 else status)
    assert answer.json()["error"]["code"] == "provider_error"
    row = caller.row()
    assert (row["outcome"], row["usage_source"], row["output_tokens"]) == (1, 2, 0)


@EACH
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"model":"a-model"}', b"\xff", b'{"model":7}'])
def test_a_body_that_is_none_is_refused(site: Site, path: str, body: bytes) -> None:
    door, case = BY_PATH[path], CASES[path]
    if path == "/responses" and body == b'{"model":"a-model"}':
        return  # A prompt kept at the provider may stand for the input.
    caller = project(site, door)
    answer = caller.ask("POST", f"/v1{path}", content=body, headers={"content-type": case.request_type})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")
    caller.assert_untouched()


@EACH
def test_an_answer_that_is_none_is_an_error(site: Site, upstream: Upstream, path: str) -> None:
    door, case = BY_PATH[path], CASES[path]
    caller = project(site, door)
    upstream.on(f"/v1{path}", Behaviour(body=b"{}"))
    answer = case.ask(door, caller)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "provider_error")
    assert caller.row()["outcome"] == 1
