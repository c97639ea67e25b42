"""Sessions of tool servers: each its owner's, under a name that is good for nobody else."""

from __future__ import annotations

import json

import httpx2
import pytest

from tests.apps.gateway.tools.cases import ask, door, error_of, headers, message, scripted
from tests.serving import Caller, Site
from tests.upstream import Behaviour, Upstream

INNER = "inner-session-of-the-server"
ADA, BOB = {"x-end-user-id": "ada"}, {"x-end-user-id": "bob"}
EVENTS = (("content-type", "text/event-stream"),)


@pytest.fixture(autouse=True)
def server(upstream: Upstream) -> None:
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 7, "result": {"protocolVersion": "2025-11-25", "capabilities": {"tasks": {}}}}
    ).encode()
    told = (("content-type", "application/json"), ("mcp-session-id", INNER))
    upstream.on("/mcp", Behaviour(body=body, headers=told))


def begin(caller: Caller, who: dict[str, str]) -> str:
    answer = ask(caller, "initialize", stateless=False, protocolVersion="2025-11-25", more=who)
    assert answer.status_code == 200, answer.text
    assert "tasks" not in answer.json()["result"]["capabilities"]
    session = answer.headers["mcp-session-id"]
    assert INNER not in session
    return session


def within(caller: Caller, session: str, who: dict[str, str], method: str = "POST") -> httpx2.Response:
    given = {**headers("ping", stateless=False), **who, "mcp-session-id": session}
    body = {"json": message("ping", stateless=False)} if method == "POST" else {}
    return caller.ask(method, door(caller), headers=given, **body)


def test_the_owner_goes_on_and_the_server_knows_its_own_name(site: Site, upstream: Upstream) -> None:
    caller = scripted(site)
    session = begin(caller, ADA)
    answer = within(caller, session, ADA)
    assert answer.status_code == 200
    assert answer.headers["mcp-session-id"] == session
    assert dict(upstream.requests[-1].headers)["mcp-session-id"] == INNER


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_anybody_elses_session_is_one_that_does_not_exist(site: Site, upstream: Upstream, method: str) -> None:
    caller = scripted(site)
    session = begin(caller, ADA)
    other_key = site.caller(caller.project)
    stranger = scripted(site)
    site.admin.mcp_server(caller.id, site.upstream.base_url.removesuffix("/v1") + "/mcp", name="second")
    seen = len(upstream.requests)
    asked = [
        within(caller, session, BOB, method),
        within(caller, session, {}, method),
        within(other_key, session, {}, method),
        within(stranger, session, ADA, method),
        within(caller, INNER, ADA, method),
        within(caller, session[:-2] + "AA", ADA, method),
        within(caller, "x" * 5000, ADA, method),
    ]
    assert {(answer.status_code, answer.json()["error"]["message"]) for answer in asked} == {(404, "Session not found")}
    assert len({answer.content for answer in asked}) == 1
    elsewhere = caller.ask(
        method, door(caller, "second"), headers={**headers("ping", stateless=False), **ADA, "mcp-session-id": session},
        **({"json": message("ping", stateless=False)} if method == "POST" else {}),
    )  # fmt: skip
    assert elsewhere.content == asked[0].content
    assert len(upstream.requests) == seen


def test_any_credential_of_the_same_user_may_go_on(site: Site) -> None:
    caller = scripted(site)
    session = begin(caller, ADA)
    assert within(site.caller(caller.project), session, ADA).status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_outside_a_session_only_messages_are_taken(site: Site, upstream: Upstream, method: str) -> None:
    caller = scripted(site)
    given = headers("ping", stateless=False)
    answer = caller.ask(method, door(caller), headers=given)
    assert error_of(answer)[::2] == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"
    stateless = {"mcp-protocol-version": "2026-07-28", "mcp-session-id": begin(caller, ADA), **ADA}
    assert caller.ask(method, door(caller), headers=stateless).status_code == 405
    assert [record.method for record in upstream.requests] == ["POST"]


def test_the_end_of_a_session_and_its_stream_pass_on(site: Site, upstream: Upstream) -> None:
    caller = scripted(site, server={"tools": {"allow": ["search"]}})
    session = begin(caller, ADA)
    listed = {"jsonrpc": "2.0", "id": 3, "result": {"tools": [{"name": "search"}, {"name": "delete"}]}}
    frame = b"id: 9\ndata: " + json.dumps(listed).encode() + b"\n\n"
    upstream.on("/mcp", Behaviour(frames=(frame,), headers=EVENTS))
    streamed = within(caller, session, ADA, "GET")
    assert "id: " in streamed.text.partition("data: ")[0]
    assert "search" in streamed.text
    assert "delete" not in streamed.text
    assert upstream.requests[-1].method == "GET"
    upstream.on("/mcp", Behaviour(status=200, body=b""))
    assert within(caller, session, ADA, "DELETE").status_code == 204
    assert upstream.requests[-1].method == "DELETE"


def test_a_notification_outside_a_session_reaches_nobody(site: Site, upstream: Upstream) -> None:
    caller = scripted(site)
    note = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    for body in (note, {"jsonrpc": "2.0", "id": 7, "result": {}}):
        answer = caller.ask("POST", door(caller), headers=headers("x", stateless=False), json=body)
        assert (answer.status_code, answer.content) == (202, b"")
    assert upstream.requests == []
    session = begin(caller, ADA)
    upstream.on("/mcp", Behaviour(status=202, body=b""))
    given = {**headers("x", stateless=False), **ADA, "mcp-session-id": session}
    assert caller.ask("POST", door(caller), headers=given, json=note).status_code == 202
    assert json.loads(upstream.requests[-1].body) == note
