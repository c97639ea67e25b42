"""What somebody might try at a tool server's address, and servers that lie, stall, die and repeat our credential."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from bailiwick.domain import ids
from tests.apps.gateway.tools.cases import (
    CREDENTIAL,
    ask,
    behind,
    call,
    door,
    error_of,
    headers,
    message,
    scripted,
)
from tests.serving import Caller, Site, until, uuid_of
from tests.upstream import Behaviour, Ending, Upstream

JSON = (("content-type", "application/json"),)
EVENTS = (("content-type", "text/event-stream"),)
RULES = {"allow": ["search", "tools/search"], "deny": ["search_all"]}


def result(**members: object) -> Behaviour:
    return Behaviour(body=json.dumps({"jsonrpc": "2.0", "id": 7, "result": members}).encode(), headers=JSON)


def tools(*named: object) -> list[dict[str, object]]:
    return [{"name": name, "inputSchema": {"type": "object"}} for name in named]


def untouched(caller: Caller) -> None:
    assert caller.site.upstream.requests == []
    assert caller.rows == []
    assert caller.site.open_calls(caller.id) == 0


def test_nobody_without_a_credential_learns_more_than_where_to_get_one(site: Site) -> None:
    caller = scripted(site)
    base = site.installation.keys["base_url"]
    for name in ("tools", "nothing-of-this-name"):
        answer = site.ask("POST", door(caller, name), json=message("ping"))
        described = f"{base}/.well-known/oauth-protected-resource{door(caller, name)}"
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == f'Bearer resource_metadata="{described}"'
        document = site.ask("GET", f"/.well-known/oauth-protected-resource{door(caller, name)}").json()
        assert document["resource"] == base + door(caller, name)
        assert (document["authorization_servers"], document["scopes_supported"]) == ([base], ["tools:call"])
    wrong = site.ask("POST", door(caller), headers={"authorization": "Bearer x"}, json=message("ping"))
    assert 'error="invalid_token", resource_metadata=' in wrong.headers["www-authenticate"]
    untouched(caller)


def test_a_key_without_the_scope_is_told_which_it_needs(site: Site) -> None:
    caller = scripted(site, key={"scopes": ["chat:create"]})
    answer = call(caller, "search")
    assert error_of(answer)[::2] == (403, "forbidden")
    assert 'error="insufficient_scope", scope="tools:call"' in answer.headers["www-authenticate"]
    untouched(caller)


def test_another_projects_server_is_one_that_does_not_exist(site: Site) -> None:
    other, caller = scripted(site, server={"name": "theirs"}), scripted(site)
    switched = scripted(site, server={"enabled": False})
    asked = [call(caller, "search", at=name) for name in ("theirs", "no-such-server")]
    site.upstream.on("/mcp", result())
    assert ask(caller, "server/discover").status_code == 200
    asked.append(call(switched, "search"))
    bodies = {(answer.status_code, answer.content) for answer in asked}
    assert len(bodies) == 1
    assert error_of(asked[0])[::2] == (404, "not_found")
    answer = site.ask("POST", door(other, "theirs"), headers=caller.bearer, json=message("ping"))
    assert error_of(answer)[::2] == (401, "invalid_credentials")


def test_there_is_no_tool_server_without_a_project_in_the_address(site: Site) -> None:
    caller = scripted(site)
    assert caller.ask("POST", "/mcp/tools", json=message("ping")).status_code == 404
    for odd in ("Tools", "to%2fols", "tools/", "..", "a" * 64, 'a"b'):
        assert caller.ask("POST", f"/p/{caller.project['slug']}/mcp/{odd}", json=message("ping")).status_code == 404
    untouched(caller)


@pytest.mark.parametrize(
    "name",
    ["delete", "Search", "SEARCH", "search ", "\u0455earch", "search_all", "SEARCH_ALL", "x" * 10_000, "\uff53earch",
     "other/search", "tools/../search", "prompt:x", "resource:x", "search\u0000", "sea\u200brch"],
)  # fmt: skip
def test_what_the_rules_do_not_let_reaches_no_server(site: Site, upstream: Upstream, name: str) -> None:
    caller = scripted(site, server={"tools": RULES})
    body = message("tools/call", name=name, arguments={})
    encoded = headers("tools/call")
    encoded["mcp-name"] = f"=?base64?{base64.b64encode(name.encode()).decode()}?="
    answer = caller.ask("POST", door(caller), headers=encoded, json=body)
    assert answer.status_code in {400, 403}, answer.text
    assert answer.json()["error"]["code"] in {-32602, -32020}
    untouched(caller)


def test_rules_of_key_project_and_server_all_hold(site: Site, upstream: Upstream) -> None:
    upstream.on("/mcp", result(tools=tools("a", "b", "c", "d")))
    caller = scripted(site, server={"tools": {"deny": ["a"]}})
    for query, rules in (
        ("UPDATE bailiwick.projects SET tools = %s WHERE id = %s", {"deny": ["tools/b"]}),
        ("UPDATE bailiwick.api_keys SET tools = %s WHERE project_id = %s", {"allow": ["?"], "deny": ["c"]}),
    ):
        site.database.execute(query, (Jsonb(rules), uuid_of(ids.PROJECT, caller.id)))
    until(lambda: error_of(call(caller, "c"))[2] == "tool_not_allowed")
    listed = ask(caller, "tools/list").json()["result"]
    assert [tool["name"] for tool in listed["tools"]] == ["d"]
    for name in "abc":
        assert error_of(call(caller, name))[::2] == (403, "tool_not_allowed")
    assert call(caller, "d").status_code == 200


def test_a_server_that_lies_about_its_list_gains_nothing(site: Site, upstream: Upstream) -> None:
    caller = scripted(site, server={"tools": RULES})
    lies: list[Any] = [
        {"tools": [*tools("search", "delete", "SEARCH", None, 3, ["search"], "x" * 10_000), {"title": "search"}]},
        {"content": [], "tools": tools("search", "delete")},
        {"tools": tools("search", "other/search", "prompt:x"), "cacheScope": "public", "ttlMs": 9},
    ]
    for lie in lies:
        upstream.on("/mcp", result(**lie))
        for method in ("tools/list", "server/discover", "prompts/list"):
            said = ask(caller, method).json()["result"]
            assert [tool["name"] for tool in said["tools"]] == ["search"]
            assert said["cacheScope"] == "private"
    twice = b'{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"delete"}]},"result":{"tools":[{"name":"search"}]}}'
    upstream.on("/mcp", Behaviour(body=twice, headers=JSON))
    assert b"delete" not in ask(caller, "tools/list").content
    upstream.on("/mcp", result(tools=tools("delete")))
    ask(caller, "tools/list")
    assert error_of(call(caller, "delete"))[::2] == (403, "tool_not_allowed")


def test_a_list_in_a_stream_is_fitted_too_and_the_rest_of_it_passes(site: Site, upstream: Upstream) -> None:
    caller = scripted(site, server={"tools": RULES})
    listed = json.dumps({"jsonrpc": "2.0", "id": 7, "result": {"tools": tools("search", "delete")}}, indent=1)
    lines = "".join(f"data: {line}\r\n" for line in listed.split("\n"))
    note = 'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}'
    told = 'data: {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///hidden"}}'
    frames = (": ping\n\n", f"id: 1\n{note}\n\n", f"{told}\n\n", f"event: message\r\nid: 2\r\n{lines}\r\n")
    upstream.on("/mcp", Behaviour(frames=tuple(frame.encode() for frame in frames), headers=EVENTS))
    answer = ask(caller, "tools/list")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = answer.text.split("\n\n")
    assert events[0] == ": ping"
    assert re.match(r"id: \S{9,}\ndata: ", events[1])
    assert "hidden" not in answer.text
    assert "delete" not in answer.text
    assert re.match(r"event: message\nid: \S{9,}\ndata: ", events[2])
    assert '"search"' in events[2]
    assert caller.row()["outcome"] == 0


@pytest.mark.parametrize(
    ("header", "value"),
    [("mcp-method", "tools/list"), ("mcp-name", "delete"), ("mcp-name", "=?base64?ZGVsZXRl?="),
     ("mcp-protocol-version", "2025-11-25"), ("mcp-method", None), ("mcp-name", None), ("mcp-protocol-version", None),
     ("mcp-name", "=?base64?!!?=")],
)  # fmt: skip
def test_headers_that_say_something_else_than_the_message_are_refused(
    site: Site, header: str, value: str | None
) -> None:
    caller = scripted(site)
    said = {**headers("tools/call", name="search"), header: value}
    given = {name: text for name, text in said.items() if text is not None}
    answer = caller.ask("POST", door(caller), headers=given, json=message("tools/call", name="search", arguments={}))
    assert error_of(answer)[:2] == (400, -32020)
    untouched(caller)


def test_a_header_that_comes_twice_is_refused(site: Site) -> None:
    caller = scripted(site)
    for name in ("mcp-name", "mcp-method", "mcp-session-id", "mcp-param-region"):
        given = [*headers("tools/call", name="search").items(), (name, "search"), (name, "delete")]
        answer = caller.ask("POST", door(caller), headers=given, json=message("tools/call", name="search"))
        assert error_of(answer)[:2] == (400, -32020)
    untouched(caller)


@pytest.mark.parametrize(
    ("body", "number"),
    [
        (b"[]", -32600),
        (b' [{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
        (b"", -32700),
        (b"nonsense", -32700),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":1}', -32600),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600),
        (b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"delete"}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}', -32700),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","name":"delete"}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","n\\u0061me":"delete"}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","Name":"delete"}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["search"]}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","task":{}}}', -32602),
        (b'{"jsonrpc":"2.0","id":1,"method":"tools/run","params":{"name":"delete"}}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"tasks/list"}', -32601),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":' + b"[" * 50_000 + b"]" * 50_000 + b"}", -32700),
        (b'{"jsonrpc":"2.0","id":"' + b"x" * 2000 + b'","method":"ping"}', -32600),
    ],
)  # fmt: skip
def test_what_is_no_single_message_is_refused(site: Site, body: bytes, number: int) -> None:
    caller = scripted(site)
    answer = caller.ask("POST", door(caller), headers=headers("x", stateless=False), content=body)
    assert answer.status_code in {400, 404}, answer.text
    assert answer.json()["error"]["code"] == number
    untouched(caller)


@pytest.mark.parametrize(
    "said",
    [{"taskIds": ["t-1"]}, {"ResourceSubscriptions": ["file:///a"]}, {"resourceSubscriptions": ["hidden"]},
     {"resourceSubscriptions": "hidden"}, {"resourceSubscriptions": [""]}, ["hidden"]],
)  # fmt: skip
def test_nothing_is_listened_for_that_is_hidden_or_that_nobody_knows(site: Site, said: Any) -> None:
    caller = scripted(site, server={"tools": {"deny": ["tools/resource:hidden"]}})
    assert ask(caller, "subscriptions/listen", notifications=said).status_code in {400, 403}
    untouched(caller)


def test_a_second_spelling_of_the_revision_is_refused(site: Site) -> None:
    caller = scripted(site)
    for spelled in ("io.modelcontextprotocol/protocolversion", "IO.modelcontextprotocol/protocolVersion"):
        body = message("tools/list")
        body["params"]["_meta"][spelled] = "2025-11-25"
        answer = caller.ask("POST", door(caller), headers=headers("tools/list"), json=body)
        assert error_of(answer)[:2] == (400, -32602)
    untouched(caller)


def test_a_header_that_no_message_is_held_against_goes_no_further(site: Site, upstream: Upstream) -> None:
    upstream.on("/mcp", result(completion={"values": []}))
    caller = scripted(site)
    ref = {"type": "ref/prompt", "name": "greeting"}
    answer = ask(caller, "completion/complete", ref=ref, argument={}, more={"mcp-name": "another"})
    assert answer.status_code == 200
    assert "mcp-name" not in dict(upstream.requests[-1].headers)


def test_deep_arguments_pass_or_are_refused_and_break_nothing(site: Site, upstream: Upstream) -> None:
    upstream.on("/mcp", result(content=[]))
    caller = scripted(site)
    deep = b"[" * 50_000 + b"]" * 50_000
    body = json.dumps(message("tools/call", name="search", arguments="@")).encode().replace(b'"@"', deep)
    answer = caller.ask("POST", door(caller), headers=headers("tools/call", name="search"), content=body)
    assert answer.status_code in {200, 400}


def test_a_list_that_is_too_long_for_many_rules_is_the_servers_mistake(site: Site, upstream: Upstream) -> None:
    rules = {"allow": ["x"], "deny": [f"*a?{number}*" for number in range(50)]}
    upstream.on("/mcp", result(tools=tools(*("a" * 200 + str(number) for number in range(1000)))))
    answer = ask(scripted(site, server={"tools": rules}), "tools/list")
    assert error_of(answer)[::2] == (502, "provider_error")
    assert "too long for as many rules" in answer.json()["error"]["message"]


def test_a_message_that_names_too_much_for_many_rules_is_refused(site: Site) -> None:
    caller = scripted(site, server={"tools": {"deny": [f"*a?{number}*" for number in range(50)]}})
    listened = {"resourceSubscriptions": ["file:///" + "b" * 200 + str(number) for number in range(1000)]}
    answer = ask(caller, "subscriptions/listen", notifications=listened)
    assert error_of(answer)[:2] == (400, -32602)
    untouched(caller)


def test_a_message_beyond_four_mebibytes_is_refused(site: Site) -> None:
    caller = scripted(site)
    body = b" " * (4 * 1024 * 1024 + 1)
    answer = caller.ask("POST", door(caller), headers=headers("tools/call", name="search"), content=body)
    assert error_of(answer)[::2] == (413, "request_too_large")
    untouched(caller)


def test_a_revision_that_nobody_speaks_is_told_which_are(site: Site) -> None:
    caller = scripted(site)
    body = json.dumps(message("tools/list")).replace("2026-07-28", "2099-01-01")
    given = {**headers("tools/list"), "mcp-protocol-version": "2099-01-01"}
    answer = caller.ask("POST", door(caller), headers=given, content=body)
    assert answer.status_code == 400
    assert answer.json()["id"] == 7
    error = answer.json()["error"]
    assert (error["code"], error["data"]) == (-32022, {"supported": ["2026-07-28"], "requested": "2099-01-01"})
    untouched(caller)


@pytest.mark.parametrize("method", ["initialize", "ping", "logging/setLevel", "resources/subscribe"])
def test_what_the_stateless_revision_has_no_more_is_no_method_there(site: Site, method: str) -> None:
    caller = scripted(site)
    answer = ask(caller, method, uri="file:///a")
    assert error_of(answer)[:2] == (404, -32601)
    untouched(caller)


@pytest.mark.parametrize(
    "behaviour",
    [
        Behaviour(body=b"nonsense", headers=JSON),
        Behaviour(body=b"<html>", headers=(("content-type", "text/html"),)),
        Behaviour(body=b'{"jsonrpc":"2.0","id":7}', headers=JSON),
        Behaviour(body=b'{"jsonrpc":"2.0","id":7,"result":' + b"[" * 100_000, headers=JSON),
        Behaviour(body=b'{"jsonrpc":"2.0","id":7,"result":{"tools":{"a":1}}}', headers=JSON),
        Behaviour(frames=(b"data: nonsense\n\n",), headers=EVENTS),
        Behaviour(frames=(), headers=EVENTS),
        Behaviour(status=302, headers=(("location", "http://169.254.169.254/"),), body=b""),
        Behaviour(status=401, body=b'{"error":"our credential is bad"}', headers=JSON),
        Behaviour(status=403, body=b"{}", headers=JSON),
        Behaviour(body=b" " * (17 * 1024 * 1024), headers=JSON),
        Behaviour(ending=Ending.CLOSE),
        Behaviour(ending=Ending.RESET),
    ],
    ids=lambda behaviour: str(behaviour)[:100],
)  # fmt: skip
def test_a_server_that_answers_badly_is_our_502(site: Site, upstream: Upstream, behaviour: Behaviour) -> None:
    upstream.on("/mcp", behaviour)
    caller = scripted(site)
    answer = call(caller, "search")
    assert error_of(answer)[::2] == (502, "provider_error"), answer.text
    assert answer.json()["id"] == 7
    assert "127.0.0.1" not in answer.text
    assert caller.row()["outcome"] == 1


def test_a_server_that_stalls_is_a_504(site: Site, upstream: Upstream) -> None:
    upstream.on("/mcp", Behaviour(delay=30))
    caller = scripted(site)
    assert error_of(call(caller, "search"))[::2] == (504, "provider_timeout")
    assert caller.row()["outcome"] == 2


def test_a_stream_that_dies_ends_with_an_answer_that_says_so(site: Site, upstream: Upstream) -> None:
    note = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}\n\n'
    upstream.on("/mcp", Behaviour(frames=(note, note), ending=Ending.RESET, after=1, headers=EVENTS))
    caller = scripted(site)
    answer = call(caller, "search")
    last = json.loads(answer.text.rstrip().rpartition("data: ")[2])
    assert (last["id"], last["error"]["code"]) == (7, -32603)
    assert caller.row()["outcome"] == 1


def test_what_a_server_refuses_passes_on_without_its_credential(site: Site, upstream: Upstream) -> None:
    error = {"code": -32602, "message": f"no {CREDENTIAL} at 10.1.2.3", "data": {"a": CREDENTIAL}}
    body = json.dumps({"jsonrpc": "2.0", "id": 7, "error": error}).encode()
    upstream.on("/mcp", Behaviour(status=400, body=body, headers=JSON))
    caller = scripted(site)
    answer = call(caller, "search")
    assert error_of(answer)[:2] == (400, -32602)
    assert "canary" not in answer.text
    assert "10.1.2.3" not in answer.text
    upstream.on("/mcp", result(content=[{"type": "text", "text": f"you are {CREDENTIAL}"}]))
    answer = call(caller, "search")
    assert answer.status_code == 200
    assert "canary" not in answer.text


def test_a_suspended_project_a_blocked_user_and_a_revoked_key_reach_no_server(site: Site) -> None:
    caller = scripted(site)
    site.admin.change(f"/projects/{caller.id}/users/mallory", {"blocked": True})
    until(lambda: error_of(call(caller, "search", more={"x-end-user-id": "mallory"}))[2] == "user_blocked")
    site.upstream.clear()
    assert error_of(call(caller, "search", more={"x-end-user-id": "mallory"}))[::2] == (403, "user_blocked")
    caller.change(status="suspended")
    until(lambda: error_of(call(caller, "search"))[2] == "project_suspended")
    site.upstream.clear()
    assert error_of(call(caller, "search"))[::2] == (403, "project_suspended")
    assert site.upstream.requests == []


def test_limits_count_calls_to_tools_with_all_others(site: Site, upstream: Upstream) -> None:
    upstream.on("/mcp", result(content=[]))
    caller = scripted(site, limits={"user": {"requests": 2, "per": "1h"}})
    for _ in range(2):
        assert call(caller, "search", more={"x-end-user-id": "ada"}).status_code == 200
    answer = call(caller, "search", more={"x-end-user-id": "ada"})
    assert error_of(answer)[::2] == (429, "rate_limited")
    assert "retry-after" in answer.headers
    assert call(caller, "search", more={"x-end-user-id": "bob"}).status_code == 200
    assert len(upstream.requests) == 3


def test_a_server_whose_name_leads_inside_is_not_reached(site: Site) -> None:
    caller = behind(site, "https://localtest.me.invalid/mcp")
    assert error_of(call(caller, "search"))[::2] == (502, "provider_error")
