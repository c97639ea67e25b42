"""What a tool server gives a client to bring back is good for that user alone: states of calls, places in streams.

Sessions have a file of their own.
"""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.apps.gateway.tools.cases import ask, call, door, error_of, headers, message, scripted
from tests.apps.gateway.tools.test_attacks import EVENTS, JSON, result
from tests.apps.gateway.tools.test_sessions import ADA, BOB, INNER
from tests.serving import Caller, Site
from tests.upstream import Behaviour, Upstream

STATE = "the-server-knows-whose-this-is"
BOTH = pytest.mark.parametrize("stateless", [True, False])


def wants_more(upstream: Upstream) -> None:
    question = {"method": "elicitation/create", "params": {"message": "Sure?"}}
    upstream.on("/mcp", result(resultType="input_required", inputRequests={"a": question}, requestState=STATE))


def begun(caller: Caller, who: dict[str, str], **options: Any) -> str:
    answer = call(caller, "search", more=who, **options)
    assert answer.status_code == 200, answer.text
    assert STATE not in answer.text
    assert answer.json()["result"]["inputRequests"]["a"]["params"] == {"message": "Sure?"}
    return str(answer.json()["result"]["requestState"])


def again(caller: Caller, state: object, who: dict[str, str], **options: Any) -> httpx2.Response:
    return ask(caller, "tools/call", name="search", arguments={"q": [1]}, requestState=state, more=who, **options)


@BOTH
def test_the_state_of_a_call_comes_back_to_its_server_as_it_was(
    site: Site, upstream: Upstream, *, stateless: bool
) -> None:
    wants_more(upstream)
    caller = scripted(site)
    for who in (ADA, {}):
        state = begun(caller, who, stateless=stateless)
        upstream.clear()
        wants_more(upstream)
        assert again(caller, state, who, stateless=stateless).status_code == 200
        said = message("tools/call", name="search", arguments={"q": [1]}, requestState=STATE, stateless=stateless)
        assert upstream.requests[-1].json == said
    assert again(caller, None, ADA, stateless=stateless).status_code == 200
    assert upstream.requests[-1].json["params"]["requestState"] is None


@BOTH
def test_anybody_elses_state_of_a_call_reaches_no_server(site: Site, upstream: Upstream, *, stateless: bool) -> None:
    wants_more(upstream)
    caller, stranger = scripted(site), scripted(site)
    other_key = site.caller(caller.project)
    site.admin.mcp_server(caller.id, site.upstream.base_url.removesuffix("/v1") + "/mcp", name="second")
    adas, nobodys = (begun(caller, who, stateless=stateless) for who in (ADA, {}))
    heard = len(upstream.requests)
    asked = [
        again(caller, adas, BOB, stateless=stateless),
        again(caller, adas, {}, stateless=stateless),
        again(other_key, nobodys, {}, stateless=stateless),
        again(stranger, adas, ADA, stateless=stateless),
        again(caller, adas, ADA, at="second", stateless=stateless),
        again(caller, STATE, ADA, stateless=stateless),
        again(caller, adas[:-2] + "AA", ADA, stateless=stateless),
        again(caller, "x" * 10_000, ADA, stateless=stateless),
        again(caller, {"a": adas}, ADA, stateless=stateless),
    ]
    assert {error_of(answer)[::2] for answer in asked} == {(400, "invalid_request")}
    assert len(upstream.requests) == heard
    twice = json.dumps(message("tools/call", name="search", requestState=adas, stateless=stateless))
    for odd in (twice.replace('"requestState"', f'"requestState": "{adas}", "requestState"'),
                twice.replace('"requestState"', '"RequestState"')):  # fmt: skip
        given = {**headers("tools/call", name="search", stateless=stateless), **ADA}
        assert caller.ask("POST", door(caller), headers=given, content=odd).status_code == 400
    assert len(upstream.requests) == heard


def test_a_state_may_be_long_and_one_that_is_no_text_is_the_servers_mistake(site: Site, upstream: Upstream) -> None:
    caller = scripted(site)
    upstream.on("/mcp", result(requestState=STATE * 20_000))
    state = call(caller, "search", more=ADA).json()["result"]["requestState"]
    assert again(caller, state, ADA).status_code == 200
    assert upstream.requests[-1].json["params"]["requestState"] == STATE * 20_000
    upstream.on("/mcp", result(requestState=None))
    assert call(caller, "search").json()["result"] == {"requestState": None}
    upstream.on("/mcp", result(requestState={"user": "ada"}))
    assert error_of(call(caller, "search"))[::2] == (502, "provider_error")


def streaming(upstream: Upstream, *frames: bytes) -> None:
    upstream.on("/mcp", Behaviour(frames=frames, headers=(*EVENTS, ("mcp-session-id", INNER))))


def session(caller: Caller, who: dict[str, str]) -> str:
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "result": {"protocolVersion": "2025-11-25"}}).encode()
    caller.site.upstream.on("/mcp", Behaviour(body=body, headers=(*JSON, ("mcp-session-id", INNER))))
    return ask(caller, "initialize", stateless=False, more=who).headers["mcp-session-id"]


def resumed(caller: Caller, within: str, event: str, who: dict[str, str]) -> httpx2.Response:
    given = {**headers("x", stateless=False), **who, "mcp-session-id": within, "last-event-id": event}
    return caller.ask("GET", door(caller), headers=given)


def ids_in(answer: httpx2.Response) -> list[str]:
    return [line[4:] for line in answer.text.split("\n") if line.startswith("id: ")]


def test_a_stream_is_resumed_by_whose_it_is_and_by_nobody_else(site: Site, upstream: Upstream) -> None:
    caller = scripted(site)
    adas, bobs = session(caller, ADA), session(caller, BOB)
    done = b'data: {"jsonrpc":"2.0","id":7,"result":{}}\n\n'
    streaming(upstream, b"id: e-1\ndata: \n\n", b": id: none\nid: e\nid:e-2\r\nretry: 5\n" + done)
    answer = ask(caller, "ping", stateless=False, more={**ADA, "mcp-session-id": adas, "last-event-id": "e-0"})
    assert "e-1" not in answer.text
    first, second = ids_in(answer)
    assert answer.text.startswith(f"id: {first}\ndata: \n\n: id: none\nretry: 5\nid: {second}\ndata: {{")
    # What resumes nothing is not asked to.
    assert "last-event-id" not in dict(upstream.requests[-1].headers)
    for seen, own in zip(ids_in(answer), ("e-1", "e-2"), strict=True):
        assert resumed(caller, adas, seen, ADA).status_code == 200
        assert dict(upstream.requests[-1].headers)["last-event-id"] == own
        heard = len(upstream.requests)
        for refused in (
            resumed(caller, bobs, seen, BOB),
            resumed(caller, adas, own, ADA),
            resumed(caller, adas, adas, ADA),
            resumed(caller, adas, seen[:-2] + "AA", ADA),
        ):
            assert error_of(refused)[::2] == (400, "invalid_request")
        assert len(upstream.requests) == heard


def test_an_event_that_could_not_be_brought_back_has_no_name(site: Site, upstream: Upstream) -> None:
    caller = scripted(site)
    adas = session(caller, ADA)
    odd = (b"", b" ", b"\xff", "\u00e9".encode(), b"a\x00b", b"x" * 1025)
    streaming(upstream, *(b"id: %b\ndata: \n\n" % own for own in odd))
    within = {**headers("x", stateless=False), **ADA, "mcp-session-id": adas}
    assert caller.ask("GET", door(caller), headers=within).content == b"id\ndata: \n\n" * len(odd)


def test_a_mark_before_a_stream_hides_nothing(site: Site, upstream: Upstream) -> None:
    caller = scripted(site, server={"tools": {"allow": ["search"]}})
    listed = json.dumps({"jsonrpc": "2.0", "id": 7, "result": {"tools": [{"name": "search"}, {"name": "delete"}]}})
    streaming(upstream, b"\xef\xbb\xbfdata: " + listed.encode() + b"\n\n")
    answer = ask(caller, "tools/list")
    assert b"search" in answer.content
    assert b"delete" not in answer.content
