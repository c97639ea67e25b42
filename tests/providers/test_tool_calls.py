"""Calls of tools in answers: those that were not offered are taken out, and what is left can be used."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from bailiwick.domain.errors import Code, ProviderFailed
from bailiwick.domain.offered_tools import Offered
from bailiwick.providers.answers.calls import CallGuard
from bailiwick.providers.answers.completions import COMPLETIONS
from bailiwick.providers.answers.form import AnswerForm
from bailiwick.providers.answers.messages import MESSAGES
from bailiwick.providers.answers.responses import RESPONSES
from bailiwick.providers.sse import data_of
from tests.domain import tool_bodies as bodies

PATHS: Final = {COMPLETIONS: bodies.CHAT, RESPONSES: bodies.RESPONSES, MESSAGES: bodies.MESSAGES}


def guard(form: AnswerForm, *tools: Any, rules: bool = True) -> CallGuard:
    """What stands between an answer and a client who offered these tools."""
    path = next(PATHS[known] for known in PATHS if known is form)
    given = [bodies.function(tool, path) if isinstance(tool, str) else tool for tool in tools]
    documents = [{"allow": ["*"]}] if rules else []
    offered = bodies.narrowed(path, {"tools": given}, *documents).offered
    found = form.guard(offered)
    assert found is not None
    return found


def written(*events: Any, named: bool = False) -> list[bytes]:
    """Events as a provider writes them."""
    name = (lambda said: b"event: %b\n" % said["type"].encode()) if named else (lambda _: b"")
    return [name(said) + b"data: " + json.dumps(said).encode() + b"\n\n" for said in events]


def shown(guard: CallGuard, events: list[bytes]) -> list[Any]:
    """What a client sees of a stream."""
    passed = [guard.event(event, data_of(event) or b"") for event in events]
    return [json.loads(data_of(event) or b"") for event in passed if event]


def delta(part: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "c", "choices": [{"index": 0, "delta": part, "finish_reason": finish}], **more}


def part(index: int, name: str | None = None, arguments: str = "") -> dict[str, Any]:
    begun = {} if name is None else {"id": f"call_{index}", "type": "function"}
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"index": index, **begun, "function": function}


def chat(*calls: dict[str, Any], finish: str = "tool_calls", **more: Any) -> bytes:
    message = {"role": "assistant", "content": None, "tool_calls": list(calls), **more}
    return json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": finish}]}).encode()


def called(name: str, kind: str = "function") -> dict[str, Any]:
    return {"id": f"call_{name}", "type": kind, kind: {"name": name, "arguments": "{}"}}


# Chat completions ----------------------------------------------------------------------------------------------------


def test_an_answer_with_offered_calls_alone_is_the_same_bytes() -> None:
    body = chat(called("a"), called("b", "custom"))
    assert guard(COMPLETIONS, "a", "b").whole(body) is body


@pytest.mark.parametrize("call", [called("b"), called("b", "custom"), {"id": "x", "name": "b"}, {"id": "x"},
                                  {"function": {"name": "a"}, "custom": {"name": "b"}}])  # fmt: skip
def test_a_call_that_was_not_offered_is_taken_out(call: dict[str, Any]) -> None:
    found = guard(COMPLETIONS, "a")
    choice = json.loads(found.whole(chat(called("a"), call)))["choices"][0]
    assert choice["message"]["tool_calls"] == [called("a")]
    assert choice["finish_reason"] == "tool_calls"
    assert found.blocked.count == 1


@pytest.mark.parametrize("rules", [True, False])
def test_where_no_call_is_left_the_answer_has_come_to_its_end(*, rules: bool) -> None:
    found = guard(COMPLETIONS, "a", rules=rules)
    choice = json.loads(found.whole(chat(called("b"), content="Paris.")))["choices"][0]
    assert choice == {"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}
    assert found.blocked.names == ["b"]


def test_the_older_form_of_a_call_is_looked_at_too() -> None:
    found = guard(COMPLETIONS, "a")
    old = {"function_call": {"name": "b", "arguments": "{}"}}
    body = json.dumps({"choices": [{"message": old, "finish_reason": "function_call"}]}).encode()
    assert json.loads(found.whole(body))["choices"][0] == {"message": {}, "finish_reason": "stop"}
    events = written(
        delta({"function_call": {"name": "b", "arguments": ""}}), delta({"function_call": {"arguments": "{}"}}),
        delta({}, "function_call"),
    )  # fmt: skip
    assert shown(guard(COMPLETIONS, "a"), events) == [delta({}, "stop")]


def test_of_a_stream_the_same_events_pass_if_every_call_was_offered() -> None:
    events = written(delta({"tool_calls": [part(0, "a")]}), delta({"tool_calls": [part(0, None, "{}")]}))
    found = guard(COMPLETIONS, "a")
    assert [found.event(event, data_of(event) or b"") for event in events] == events


def test_of_a_stream_a_call_is_taken_out_with_all_its_parts_and_later_ones_are_numbered_anew() -> None:
    events = written(
        delta({"role": "assistant", "content": ""}),
        delta({"tool_calls": [part(0, "b")]}),
        delta({"tool_calls": [part(0, None, '{"x":')]}),
        delta({"content": "Hm."}),
        delta({"tool_calls": [part(1, "a"), part(2, "b"), part(3, "a")]}),
        delta({"tool_calls": [part(0, None, "1}"), part(3, None, "{}")]}),
        delta({}, "tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 1}},
    )
    found = guard(COMPLETIONS, "a")
    assert shown(found, events) == [
        delta({"role": "assistant", "content": ""}),
        delta({"content": "Hm."}),
        delta({"tool_calls": [{**part(1, "a"), "index": 0}, {**part(3, "a"), "index": 1}]}),
        delta({"tool_calls": [{**part(3, None, "{}"), "index": 1}]}),
        delta({}, "tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 1}},
    ]
    assert (found.blocked.names, found.blocked.count) == (["b"], 2)


def test_of_a_stream_with_several_choices_each_is_judged_by_itself() -> None:
    def both(first: Any, second: Any, finish: str | None = None) -> dict[str, Any]:
        return {"choices": [{"index": n, "delta": d, "finish_reason": finish} for n, d in enumerate((first, second))]}

    events = written(both({"tool_calls": [part(0, "a")]}, {"tool_calls": [part(0, "b")]}), both({}, {}, "tool_calls"))
    first, last = shown(guard(COMPLETIONS, "a"), events)
    assert [choice["delta"] for choice in first["choices"]] == [{"tool_calls": [part(0, "a")]}, {}]
    assert [choice["finish_reason"] for choice in last["choices"]] == ["tool_calls", "stop"]


def test_a_name_that_comes_later_decides_on_what_came_before_it() -> None:
    begun = {"index": 0, "id": "call_0", "type": "function", "function": {"arguments": ""}}
    for name, expected in (("a", [begun, part(0, "a")]), ("b", [])):
        events = written(delta({"tool_calls": [begun]}), delta({"tool_calls": [part(0, name)]}))
        calls = [call for event in shown(guard(COMPLETIONS, "a"), events)
                 for call in event["choices"][0]["delta"].get("tool_calls", [])]  # fmt: skip
        assert calls == expected


def test_a_call_that_changes_its_name_ends_the_stream() -> None:
    found = guard(COMPLETIONS, "a")
    events = written(delta({"tool_calls": [part(0, "a")]}), delta({"tool_calls": [part(0, "b")]}))
    with pytest.raises(ProviderFailed) as failed:
        shown(found, events)
    assert (failed.value.code, found.blocked.names) == (Code.TOOL_NOT_ALLOWED, ["b"])


def test_calls_without_an_index_are_told_by_their_order() -> None:
    bare = [{key: value for key, value in one.items() if key != "index"}
            for one in (part(0, "b"), part(0, None, "{}"), part(0, "a"), part(0, None, "{}"))]  # fmt: skip
    events = written(*(delta({"tool_calls": [one]}) for one in bare))
    assert [event["choices"][0]["delta"]["tool_calls"] for event in shown(guard(COMPLETIONS, "a"), events)] == [
        [bare[2]],
        [bare[3]],
    ]


def test_letters_that_are_escaped_hide_no_call() -> None:
    body = chat(called("b")).replace(b"tool_calls", rb"tool\u005fcalls")
    assert "tool_calls" not in json.loads(guard(COMPLETIONS, "a").whole(body))["choices"][0]["message"]


# Responses -----------------------------------------------------------------------------------------------------------


def item(kind: str, number: int, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "id": f"it_{number}", "call_id": f"call_{number}", **fields}


MESSAGE: Final = {"type": "message", "id": "msg", "content": [{"type": "output_text", "text": "the tool_call"}]}
CALLS: Final = [
    item("function_call", 1, name="b"),
    item("custom_tool_call", 1, name="b"),
    item("mcp_call", 1, name="b", server_label="docs"),
    item("mcp_call", 1, name="read", server_label="other"),
    item("mcp_approval_request", 1, name="b", server_label="docs"),
    item("mcp_list_tools", 1, server_label="other"),
    item("web_search_call", 1),
    item("computer_call", 1),
    item("local_shell_call", 1),
    item("program", 1),
    item("of_the_future_call", 1),
]
DOCS: Final = {"type": "mcp", "server_label": "docs", "server_url": "u", "allowed_tools": ["read"]}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call['type']} {call.get('name', '')}")
def test_of_a_response_what_was_not_offered_is_taken_out_in_every_event(call: dict[str, Any]) -> None:
    own = item("function_call", 2, name="a")
    output = [MESSAGE, call, item("function_call_output", 1), own]
    body = json.dumps({"object": "response", "output": output}).encode()
    found = guard(RESPONSES, "a", DOCS)
    assert json.loads(found.whole(body))["output"] == [MESSAGE, own]
    assert found.blocked.count == 1
    events = written(
        {"type": "response.created", "response": {"output": [], "tools": [DOCS]}},
        {"type": "response.output_item.added", "output_index": 0, "item": MESSAGE},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "x"},
        {"type": "response.output_item.added", "output_index": 1, "item": call},
        {"type": f"response.{call['type']}.in_progress", "output_index": 1, "item_id": "it_1"},
        {"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{}"},
        {"type": "response.output_item.done", "output_index": 1, "item": call},
        {"type": "response.output_item.added", "output_index": 2, "item": own},
        {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": "{}"},
        {"type": "response.completed", "response": {"output": [MESSAGE, call, own], "usage": {}}},
        named=True,
    )
    found = guard(RESPONSES, "a", DOCS)
    seen = shown(found, events)
    assert [(event["type"], event.get("output_index")) for event in seen] == [
        ("response.created", None),
        ("response.output_item.added", 0),
        ("response.output_text.delta", 0),
        ("response.output_item.added", 1),
        ("response.function_call_arguments.delta", 1),
        ("response.completed", None),
    ]
    assert seen[-1]["response"]["output"] == [MESSAGE, own]
    assert found.blocked.count == 1


def test_of_a_response_what_was_offered_passes_as_it_came() -> None:
    output = [item("function_call", 1, name="a"), item("mcp_call", 2, name="read", server_label="docs"),
              item("mcp_list_tools", 3, server_label="docs"), item("web_search_call", 4)]  # fmt: skip
    body = json.dumps({"object": "response", "output": output}).encode()
    assert guard(RESPONSES, "a", DOCS, {"type": "web_search"}).whole(body) is body


def test_without_rules_what_a_provider_carries_out_is_between_it_and_whose_account_it_is() -> None:
    output = [item("web_search_call", 1), item("mcp_call", 2, name="x", server_label="y"), item("odd_call", 3)]
    body = json.dumps({"object": "response", "output": output}).encode()
    assert guard(RESPONSES, "a", rules=False).whole(body) is body
    mine = json.dumps({"object": "response", "output": [item("computer_call", 1)]}).encode()
    assert json.loads(guard(RESPONSES, "a", rules=False).whole(mine))["output"] == []


def test_an_item_that_ends_as_another_call_than_it_began_ends_the_stream() -> None:
    events = written(
        {"type": "response.output_item.added", "output_index": 0, "item": item("function_call", 1, name="a")},
        {"type": "response.output_item.done", "output_index": 0, "item": item("function_call", 1, name="b")},
    )
    with pytest.raises(ProviderFailed) as failed:
        shown(guard(RESPONSES, "a"), events)
    assert failed.value.code is Code.TOOL_NOT_ALLOWED


# Messages ------------------------------------------------------------------------------------------------------------

BLOCKS: Final = [
    {"type": "tool_use", "id": "tu_1", "name": "b", "input": {}},
    {"type": "tool_use", "id": "tu_1", "name": "left_click", "toolset_name": "browser", "input": {}},
    {"type": "server_tool_use", "id": "tu_1", "name": "web_search", "input": {}},
    {"type": "server_tool_use", "id": "tu_1", "name": "bash_code_execution", "input": {}},
    {"type": "mcp_tool_use", "id": "tu_1", "name": "read", "server_name": "docs", "input": {}},
    {"type": "of_the_future_tool_use", "id": "tu_1"},
]
RESULT: Final = {"type": "web_search_tool_result", "tool_use_id": "tu_1", "content": []}
TEXT: Final = {"type": "text", "text": "Paris."}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block['type']} {block.get('name', '')}")
def test_of_a_message_what_was_not_offered_is_taken_out_with_its_result(block: dict[str, Any]) -> None:
    own = {"type": "tool_use", "id": "tu_2", "name": "a", "input": {}}
    body = json.dumps({"type": "message", "content": [block, RESULT, TEXT, own], "stop_reason": "tool_use"}).encode()
    assert json.loads(guard(MESSAGES, "a").whole(body)) == {
        "type": "message", "content": [TEXT, own], "stop_reason": "tool_use",
    }  # fmt: skip
    events = written(
        {"type": "message_start", "message": {"type": "message", "content": []}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": RESULT},
        {"type": "content_block_stop", "index": 1},
        {"type": "content_block_start", "index": 2, "content_block": TEXT},
        {"type": "content_block_stop", "index": 2},
        {"type": "ping"},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {}},
        {"type": "message_stop"},
        named=True,
    )
    found = guard(MESSAGES, "a")
    seen = shown(found, events)
    assert [(event["type"], event.get("index")) for event in seen] == [
        ("message_start", None), ("content_block_start", 0), ("content_block_stop", 0), ("ping", None),
        ("message_delta", None), ("message_stop", None),
    ]  # fmt: skip
    assert (seen[1]["content_block"], seen[4]["delta"]) == (TEXT, {"stop_reason": "end_turn"})
    assert found.blocked.count == 1


def test_a_text_that_came_before_a_call_stays_where_it_is() -> None:
    own = {"type": "tool_use", "id": "tu_2", "name": "a", "input": {}}
    events = written(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_start", "index": 1, "content_block": BLOCKS[0]},
        {"type": "content_block_start", "index": 2, "content_block": own},
        {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
    )
    seen = shown(guard(MESSAGES, "a"), events)
    assert [event.get("index") for event in seen] == [0, 1, 1, None]
    assert seen[-1]["delta"] == {"stop_reason": "tool_use"}


def test_what_is_named_by_its_type_is_called_by_its_name() -> None:
    tools = [{"type": "bash_20250124", "name": "bash"}, {"type": "code_execution_20250825", "name": "code_execution"}]
    content = [{"type": "tool_use", "id": "1", "name": "bash", "input": {}}, BLOCKS[3]]
    body = json.dumps({"type": "message", "content": content, "stop_reason": "tool_use"}).encode()
    assert guard(MESSAGES, *tools).whole(body) is body


# All of them ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [COMPLETIONS, RESPONSES, MESSAGES])
def test_what_holds_no_call_is_not_decoded(form: AnswerForm) -> None:
    assert guard(form, "a").whole(b"no JSON at all") == b"no JSON at all"


@pytest.mark.parametrize("form", [COMPLETIONS, RESPONSES, MESSAGES])
def test_what_is_too_intricate_is_refused_where_there_are_rules_and_passes_elsewhere(form: AnswerForm) -> None:
    body = b'{"tool_calls mcp_": [' + b",".join([b"{}"] * 300_000) + b"]}"
    with pytest.raises(ProviderFailed, match="too intricate"):
        guard(form, "a").whole(body)
    assert guard(form, "a", rules=False).whole(body) is body


def test_nothing_stands_between_where_nothing_is_known_of_the_tools() -> None:
    for body in ({}, {"tools": [{"type": "something_new"}]}, {"tools": [bodies.function("a", bodies.RESPONSES)],
                 "prompt": {"id": "p"}}, {"tools": [bodies.function("a", bodies.RESPONSES)],
                 "input": [{"type": "additional_tools", "tools": []}]}):  # fmt: skip
        offered: Offered | None = bodies.narrowed(bodies.RESPONSES, body).offered
        assert RESPONSES.guard(offered) is None
