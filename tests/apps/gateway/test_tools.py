"""Tools within the rules of tier, project and key: what is visible to a model is what it can call, at every door."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from typing import Any, Final

import anthropic
import openai
import pytest

from tests.domain.tool_bodies import CHAT, MESSAGES, RESPONSES, function
from tests.serving import ASK, MODEL, Caller, Site, error_of, until
from tests.upstream import Behaviour, Upstream
from tests.upstream.payloads import event

NAMES: Final = ("alpha", "beta", "gamma", "delta")
# What a place can say: nothing, some alone, all but some.
RULES: Final[tuple[dict[str, Any] | None, ...]] = (None, {"allow": ["alpha", "b*", "delta"]}, {"deny": ["BETA"]})
LET: Final = (frozenset(NAMES), frozenset(NAMES) - {"gamma"}, frozenset(NAMES) - {"beta"})
DOORS: Final = (CHAT, RESPONSES, MESSAGES)
EACH: Final = pytest.mark.parametrize("path", DOORS)
REMOVED: Final = "x-bailiwick-tools-removed"
BLOCKED: Final = "x-bailiwick-tool-calls-blocked"


def project(site: Site, path: str, **fields: Any) -> Caller:
    """A project whose provider has this door."""
    kind = "anthropic" if path == MESSAGES else "openai"
    return site.project(provider={"kind": kind}, **fields)


def ask(caller: Caller, path: str, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    content = {"input": "x"} if path == RESPONSES else {"messages": ASK, "max_tokens": 9}
    return caller.ask("POST", f"/v1{path}", headers=headers or {}, json={"model": MODEL, **content, **fields})


def calling(path: str, *names: str, stream: bool = False) -> Behaviour:
    """A model that calls these tools, whatever it was offered."""
    if path == CHAT:
        calls = [
            {"id": f"c_{name}", "type": "function", "function": {"name": name, "arguments": "{}"}} for name in names
        ]
        answer: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hm.", "tool_calls": calls},
             "finish_reason": "tool_calls"}]}  # fmt: skip
    elif path == RESPONSES:
        output = [{"type": "function_call", "id": f"i_{n}", "call_id": f"c_{n}", "name": n, "arguments": "{}"}
                  for n in names]  # fmt: skip
        answer = {"id": "r", "object": "response", "created_at": 1, "model": MODEL, "status": "completed",
                  "output": output, "parallel_tool_calls": True, "tools": [], "tool_choice": "auto"}  # fmt: skip
    else:
        content = [{"type": "tool_use", "id": f"c_{name}", "name": name, "input": {}} for name in names]
        answer = {"id": "m", "type": "message", "role": "assistant", "model": MODEL, "content": content,
                  "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
    return Behaviour(frames=tuple(frames(path, answer))) if stream else Behaviour(body=json.dumps(answer).encode())


def frames(path: str, answer: dict[str, Any]) -> Iterator[bytes]:
    """The same as a stream."""
    if path == CHAT:
        for place, call in enumerate(answer["choices"][0]["message"]["tool_calls"]):
            begun = {**call, "function": {**call["function"], "arguments": ""}}
            yield event(chunk({"tool_calls": [{"index": place, **begun}]}))
            yield event(chunk({"tool_calls": [{"index": place, "function": {"arguments": "{}"}}]}))
        yield event(chunk({}, "tool_calls"))
        yield b"data: [DONE]\n\n"
    elif path == RESPONSES:
        yield event({"type": "response.created", "sequence_number": 0, "response": {**answer, "output": []}})
        for place, item in enumerate(answer["output"]):
            at = {"output_index": place, "sequence_number": place + 1}
            yield event({"type": "response.output_item.added", "item": {**item, "arguments": ""}, **at})
            delta = {"type": "response.function_call_arguments.delta", "item_id": item["id"], "delta": "{}"}
            yield event({**delta, **at})
            yield event({"type": "response.output_item.done", "item": item, **at})
        yield event({"type": "response.completed", "sequence_number": 99, "response": answer})
    else:
        start = {**answer, "content": [], "stop_reason": None}
        yield named({"type": "message_start", "message": start})
        for place, block in enumerate(answer["content"]):
            yield named({"type": "content_block_start", "index": place, "content_block": block})
            delta = {"type": "input_json_delta", "partial_json": "{}"}
            yield named({"type": "content_block_delta", "index": place, "delta": delta})
            yield named({"type": "content_block_stop", "index": place})
        usage = {"output_tokens": 1}
        yield named({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage})
        yield named({"type": "message_stop"})


def chunk(delta: Any, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [choice]}


def named(said: dict[str, Any]) -> bytes:
    return b"event: %b\n" % said["type"].encode() + event(said)


@lru_cache
def sdks(url: str) -> tuple[anthropic.Anthropic, openai.OpenAI]:
    """The providers' own packages: to make one takes longer than a hundred calls."""
    return (
        anthropic.Anthropic(base_url=url, auth_token="", api_key=None, max_retries=0),
        openai.OpenAI(base_url=f"{url}/v1", api_key="-", max_retries=0),
    )


def called(caller: Caller, path: str, token: str, *, stream: bool) -> tuple[set[str], str | None]:
    """The tools that the provider's own package sees called, and why the answer ended."""
    tools: Any = [function(name, path) for name in NAMES]
    anthropics, openais = sdks(caller.site.installation.url)
    if path == MESSAGES:
        client = anthropics.with_options(auth_token=token)
        given: Any = {"model": MODEL, "max_tokens": 9, "messages": ASK, "tools": tools}
        if stream:
            with client.messages.stream(**given) as events:
                message = events.get_final_message()
        else:
            message = client.messages.create(**given)
        return {block.name for block in message.content if block.type == "tool_use"}, message.stop_reason
    sdk = openais.with_options(api_key=token)
    if path == RESPONSES:
        if stream:
            with sdk.responses.stream(model=MODEL, input="x", tools=tools) as seen:
                response: Any = seen.get_final_response()
        else:
            response = sdk.responses.create(model=MODEL, input="x", tools=tools)
        return {item.name for item in response.output if item.type == "function_call"}, None
    asked: Any = {"model": MODEL, "messages": ASK, "tools": tools}
    if stream:
        with sdk.chat.completions.stream(**asked) as chunks:
            completion: Any = chunks.get_final_completion()
    else:
        completion = sdk.chat.completions.create(**asked)
    (choice,) = completion.choices
    return {call.function.name for call in choice.message.tool_calls or ()}, choice.finish_reason


@pytest.mark.parametrize("number", range(len(RULES)))
def test_what_is_visible_is_what_can_be_called_and_both_are_what_every_place_lets(
    site: Site, upstream: Upstream, number: int
) -> None:
    """Tier by project by key by door by whole or streamed, one tier's worth at a time."""
    for place, key in product(range(len(RULES)), repeat=2):
        let = LET[number] & LET[place] & LET[key]
        for path in DOORS:
            upstream.clear()
            caller = project(site, path, key={"tools": RULES[key]}, tools=RULES[place])
            site.admin.make(f"/projects/{caller.id}/tiers", {"name": "t", "tools": RULES[number]})
            token = caller.ask("POST", "/v1/auth/mint", json={"user_id": "ann", "tier": "t"}).json()["token"]
            for stream in (False, True):
                upstream.on(f"/v1{path}", calling(path, *NAMES, stream=stream))
                seen, ended = called(caller, path, token, stream=stream)
                assert seen == let, (path, stream, number, place, key)
                assert ended in {None, "tool_calls", "tool_use"}
            for record in upstream.requests:
                tools = record.json["tools"]
                assert [tool.get("name") or tool["function"]["name"] for tool in tools] == sorted(let, key=NAMES.index)
                assert not any(name.encode() in record.body for name in set(NAMES) - let)


@EACH
def test_what_was_taken_out_is_told_in_headers(site: Site, upstream: Upstream, path: str) -> None:
    caller = project(site, path, tools={"allow": ["alpha"]}, cors_origins=["https://app.example"])
    upstream.on(f"/v1{path}", calling(path, "alpha", "gamma"))
    tools = [function(name, path) for name in ("alpha", "beta", "na\u00efve, x", "z" * 300)]
    answer = ask(caller, path, headers={"origin": "https://app.example"}, tools=tools)
    assert answer.headers[REMOVED] == f"beta, na%C3%AFve%2C%20x, {'z' * 64}"
    assert answer.headers[BLOCKED] == "gamma"
    assert {REMOVED, BLOCKED} <= set(answer.headers["access-control-expose-headers"].split(", "))
    upstream.on(f"/v1{path}", calling(path, "alpha", "gamma", stream=True))
    stream = ask(caller, path, tools=tools, stream=True)
    assert (stream.headers[REMOVED], stream.headers.get(BLOCKED)) == (answer.headers[REMOVED], None)
    assert b"gamma" not in stream.content
    many = ask(caller, path, tools=[function(f"t{number}", path) for number in range(100)])
    assert many.headers[REMOVED].count(",") == 32
    assert many.headers[REMOVED].endswith(", ...")


@EACH
def test_a_project_can_have_such_calls_refused(site: Site, upstream: Upstream, path: str) -> None:
    caller = project(site, path, tools={"allow": ["alpha"], "mode": "refuse"})
    upstream.on(f"/v1{path}", calling(path, "alpha"))
    refused = ask(caller, path, tools=[function("alpha", path), function("beta", path)])
    assert error_of(refused) == (403, "tool_not_allowed")
    assert "The project does not allow the tool 'beta'." in refused.text
    caller.assert_untouched()
    assert ask(caller, path, tools=[function("alpha", path)]).status_code == 200


@EACH
def test_a_choice_of_a_tool_that_was_taken_out_reaches_no_provider(site: Site, path: str) -> None:
    caller = project(site, path, tools={"allow": ["alpha"]})
    named_choice = {"type": "tool", "name": "beta"} if path == MESSAGES else {"type": "function", "name": "beta"}
    tools = [function("alpha", path), function("beta", path)]
    assert error_of(ask(caller, path, tools=tools, tool_choice=named_choice)) == (400, "invalid_request")
    caller.assert_untouched()


@EACH
def test_a_call_in_an_answer_is_blocked_without_rules_too_and_recorded(
    site: Site, upstream: Upstream, path: str
) -> None:
    caller = project(site, path)
    upstream.on(f"/v1{path}", calling(path, "delta"))
    answer = ask(caller, path, tools=[function("alpha", path)])
    assert answer.headers[BLOCKED] == "delta"
    assert b'"delta"' not in answer.content
    assert caller.row()["outcome"] == 0
    plain = ask(caller, path)
    assert b'"delta"' in plain.content  # Without tools in the request nothing is looked for.
    request_id = answer.headers["x-request-id"]

    def told() -> Any:
        found = site.admin.request("GET", f"/requests/{request_id}")
        return found.json() if found.status_code == 200 and found.json()["decisions"][-1]["step"] == "tools" else None

    until(told)
    explained = told()
    assert (explained["state"], explained["decisions"][-1]["step"]) == ("settled", "tools")
    assert explained["decisions"][-1]["code"] == "tool_not_allowed"
    assert "'delta'" in explained["decisions"][-1]["reason"]


def test_a_call_that_changes_its_name_ends_the_stream_with_an_error(site: Site, upstream: Upstream) -> None:
    caller = project(site, CHAT, tools={"allow": ["alpha"]})
    part = {"index": 0, "id": "c", "type": "function", "function": {"name": "alpha", "arguments": ""}}
    more = {"index": 0, "function": {"name": "beta", "arguments": "{}"}}
    lines = (event(chunk({"tool_calls": [part]})), event(chunk({"tool_calls": [more]})), b"data: [DONE]\n\n")
    upstream.on(MODEL, Behaviour(frames=lines))
    answer = ask(caller, CHAT, tools=[function("alpha")], stream=True)
    *_, last = answer.content.removesuffix(b"\n\n").split(b"\n\n")
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "tool_not_allowed"
    assert b"DONE" not in answer.content
    assert b'"beta"' not in answer.content


def test_an_answer_of_several_megabytes_is_looked_through_where_there_are_rules(site: Site, upstream: Upstream) -> None:
    body = calling(CHAT, "beta").body
    assert isinstance(body, bytes)
    padded = body.replace(b"Hm.", b"x" * (3 * 1024 * 1024))
    upstream.on(MODEL, Behaviour(body=padded))
    caller = project(site, CHAT, tools={"allow": ["alpha"]})
    answer = ask(caller, CHAT, tools=[function("alpha")])
    assert (answer.status_code, answer.headers[BLOCKED]) == (200, "beta")
    upstream.on(MODEL, Behaviour(body=body.replace(b"Hm.", b"x" * (17 * 1024 * 1024))))
    assert error_of(ask(caller, CHAT, tools=[function("alpha")])) == (502, "provider_error")
    assert ask(project(site, CHAT), CHAT, tools=[function("alpha")]).status_code == 200


@EACH
def test_a_tier_bounds_what_may_be_written(site: Site, upstream: Upstream, path: str) -> None:
    caller = project(site, path)
    site.admin.make(f"/projects/{caller.id}/tiers", {"name": "small", "max_output_tokens": 5})
    caller.change(default_tier="small")
    upstream.on(f"/v1{path}", calling(path, "alpha"))
    field = {CHAT: "max_tokens", RESPONSES: "max_output_tokens", MESSAGES: "max_tokens"}[path]
    until(lambda: ask(caller, path).status_code == 200 and upstream.requests[-1].json.get(field) == 5)
    ask(caller, path, **{field: 3})
    assert upstream.requests[-1].json[field] == 3
