"""The tools of a request within rules: what is taken out, what is refused, and what slips through nowhere."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.tool_names import read_tool
from bailiwick.domain.tool_policy import Effort
from bailiwick.domain.tool_requests import confined
from tests.domain.tool_bodies import CHAT, MESSAGES, RESPONSES, function, narrowed, policy, request, sent

EACH = pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
MCP = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp"}


@EACH
def test_without_rules_nothing_is_changed(path: str) -> None:
    tools = [function("a", path), {"type": "something_new", "x": 1}]
    result = narrowed(path, {"tools": tools})
    assert (sent(result)["tools"], result.removed) == (tools, ())


@EACH
def test_a_tool_that_is_not_let_is_taken_out_and_told(path: str) -> None:
    result = narrowed(path, {"tools": [function("a", path), function("b", path)]}, {"allow": ["a"]})
    assert (sent(result)["tools"], result.removed) == ([function("a", path)], ("b",))


@EACH
def test_what_is_left_is_what_every_place_lets(path: str) -> None:
    rules = [{"allow": ["a*", "b"]}, {"deny": ["ab"]}, {"allow": ["*"]}]
    result = narrowed(path, {"tools": [function(name, path) for name in ("a", "ab", "b", "c")]}, *rules)
    assert result.removed == ("ab", "c")
    assert sent(result)["tools"] == [function("a", path), function("b", path)]


@EACH
def test_where_no_tool_is_left_nothing_of_them_goes_on(path: str) -> None:
    choice = {"type": "auto"} if path == MESSAGES else "auto"
    body = {"tools": [function("b", path)], "tool_choice": choice, "parallel_tool_calls": True}
    left = sent(narrowed(path, body, {"allow": ["a"]}))
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & left.keys()


@EACH
def test_a_project_can_have_the_call_refused(path: str) -> None:
    with pytest.raises(Refused) as refused:
        narrowed(path, {"tools": [function("a", path), function("b", path)]}, {}, {"allow": ["a"]}, refuse=True)
    assert (refused.value.code, refused.value.message) == (
        Code.TOOL_NOT_ALLOWED,
        "Place 1 does not allow the tool 'b'.",
    )


def test_older_functions_are_tools_too() -> None:
    body = {"functions": [{"name": "a"}, {"name": "b"}], "function_call": "auto"}
    assert sent(narrowed(CHAT, body, {"allow": ["a"]}))["functions"] == [{"name": "a"}]
    left = sent(narrowed(CHAT, body, {"allow": ["c"]}))
    assert not {"functions", "function_call"} & left.keys()


CHOICES: list[tuple[str, Any]] = [
    (CHAT, {"type": "function", "function": {"name": "b"}}),
    (CHAT, {"type": "custom", "custom": {"name": "b"}}),
    (CHAT, "b"),
    (CHAT, {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [function("a"), function("b")]}}),
    (CHAT, {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [7]}}),
    (RESPONSES, {"type": "function", "name": "b"}),
    (RESPONSES, {"type": "custom", "name": "b"}),
    (RESPONSES, {"type": "web_search_preview"}),
    (RESPONSES, {"type": "mcp", "server_label": "docs"}),
    (RESPONSES, {"type": "shell"}),
    (RESPONSES, {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "b"}]}),
    (RESPONSES, {"type": "of_the_future"}),
    (MESSAGES, {"type": "tool", "name": "b"}),
]


@pytest.mark.parametrize(("path", "choice"), CHOICES)
def test_a_choice_of_a_tool_that_was_taken_out_is_refused_by_name(path: str, choice: Any) -> None:
    hosted = [{"type": "web_search_preview"}, MCP, {"type": "shell"}] if path == RESPONSES else []
    body = {"tools": [function("a", path), function("b", path), *hosted], "tool_choice": choice}
    with pytest.raises(Refused) as refused:
        narrowed(path, body, {"allow": ["a"]})
    assert (refused.value.code, refused.value.param) == (Code.INVALID_REQUEST, "tool_choice")
    assert "names the tool" in refused.value.message


@pytest.mark.parametrize(("path", "choice"), [
    (CHAT, {"type": "function", "function": {"name": "a"}}), (CHAT, "required"), (RESPONSES, {"type": "function",
    "name": "a"}), (MESSAGES, {"type": "tool", "name": "a"}), (MESSAGES, {"type": "any"}), (CHAT, "none"),
])  # fmt: skip
def test_a_choice_of_what_is_left_goes_on(path: str, choice: Any) -> None:
    body = {"tools": [function("a", path), function("b", path)], "tool_choice": choice}
    assert sent(narrowed(path, body, {"allow": ["a"]}))["tool_choice"] == choice


@pytest.mark.parametrize(("path", "choice"), [(CHAT, "required"), (RESPONSES, "required"), (MESSAGES, {"type": "any"})])
def test_a_choice_that_requires_a_tool_is_refused_if_none_is_left(path: str, choice: Any) -> None:
    with pytest.raises(Refused, match="none is left"):
        narrowed(path, {"tools": [function("b", path)], "tool_choice": choice}, {"allow": ["a"]})


def test_the_older_choice_of_a_function_counts_too() -> None:
    body = {"functions": [{"name": "a"}, {"name": "b"}], "function_call": {"name": "b"}}
    with pytest.raises(Refused, match="function_call names the tool 'b'"):
        narrowed(CHAT, body, {"allow": ["a"]})


HOSTED: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"web_search_options": {}}, "web_search"),
    (CHAT, {"search_parameters": {"mode": "on"}}, "web_search"),
    (CHAT, {"enable_search": True}, "web_search"),
    (CHAT, {"plugins": [{"id": "web"}]}, "plugins"),
    (RESPONSES, {"tools": [{"type": "web_search_preview_2025_03_11"}]}, "web_search"),
    (RESPONSES, {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "code_interpreter"),
    (RESPONSES, {"tools": [{"type": "computer_use_preview"}]}, "computer_use"),
    (RESPONSES, {"tools": [MCP]}, "mcp"),
    (RESPONSES, {"tools": [MCP]}, "mcp/docs"),
    (RESPONSES, {"tools": [{**MCP, "allowed_tools": ["read"]}]}, "docs/read"),
    (RESPONSES, {"tools": [{**MCP, "allowed_tools": {"tool_names": ["read"]}}]}, "read"),
    (RESPONSES, {"tools": [{"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}]}]},
     "crm/find"),
    (MESSAGES, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "web_search"),
    (MESSAGES, {"tools": [{"type": "bash_20250124", "name": "bash"}]}, "shell"),
    (MESSAGES, {"tools": [{"type": "bash_20250124", "name": "bash"}]}, "bash"),
    (MESSAGES, {"tools": [{"type": "code_execution_20290101", "name": "code_execution"}]}, "code_interpreter"),
    (MESSAGES, {"mcp_servers": [{"type": "url", "name": "docs", "url": "u"}]}, "mcp/docs"),
    (MESSAGES, {"tools": [{"type": "mcp_toolset", "mcp_server_name": "docs"}]}, "mcp/docs"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "name"), HOSTED)
def test_what_a_provider_brings_goes_by_its_family(path: str, body: dict[str, Any], name: str) -> None:
    (field,) = body
    result = narrowed(path, body, {"deny": [name]})
    assert field not in sent(result)
    assert len(result.removed) == 1


def test_a_servers_tools_are_narrowed_one_by_one() -> None:
    tool = {**MCP, "allowed_tools": ["read", "write", "drop"]}
    result = narrowed(RESPONSES, {"tools": [tool]}, {"deny": ["docs/write"]}, {"deny": ["dr*"]})
    assert sent(result)["tools"] == [{**MCP, "allowed_tools": ["read"]}]
    assert result.removed == ("mcp/docs/write", "mcp/docs/drop")
    configs = {"read": {"enabled": True}, "drop": {"enabled": True}, "off": {"enabled": False}}
    toolset = {"type": "mcp_toolset", "mcp_server_name": "docs", "default_config": {"enabled": False}}
    server = {"type": "url", "name": "docs", "url": "u"}
    body = {"tools": [{**toolset, "configs": configs}], "mcp_servers": [server]}
    left = sent(narrowed(MESSAGES, body, {"deny": ["drop"]}))
    assert (left["tools"], left["mcp_servers"]) == ([{**toolset, "configs": {"read": {"enabled": True}}}], [server])


def test_a_server_that_does_not_list_its_tools_may_have_one_that_is_denied() -> None:
    assert narrowed(RESPONSES, {"tools": [MCP]}, {"deny": ["drop"]}).removed == ("mcp/docs",)
    assert sent(narrowed(RESPONSES, {"tools": [MCP]}, {"allow": ["mcp/docs"]}))["tools"] == [MCP]


@pytest.mark.parametrize("allow", ["read", "docs/read"])
def test_a_server_of_anybodys_choice_is_not_let_by_the_name_of_a_tool(allow: str) -> None:
    result = narrowed(RESPONSES, {"tools": [{**MCP, "allowed_tools": ["read"]}]}, {"allow": [allow]})
    assert "tools" not in sent(result)


def test_a_connector_does_not_hide_behind_a_label() -> None:
    tool = {"type": "mcp", "server_label": "docs", "connector_id": "connector_gmail", "allowed_tools": ["send"]}
    assert narrowed(RESPONSES, {"tools": [tool]}, {"allow": ["mcp/docs"]}).removed
    assert not narrowed(RESPONSES, {"tools": [tool]}, {"allow": ["mcp/connector_gmail"]}).removed


DISGUISED: list[tuple[str, Any]] = [
    (CHAT, {"type": "function", "function": {"name": "a"}, "name": "b"}),
    (CHAT, {"type": "function", "function": {"name": "a"}, "Function": {"name": "b"}}),
    (CHAT, {"type": "function", "function": {"name": "a", "NAME": "b"}}),
    (CHAT, {"type": "function", "\u017fn": 1, "function": {"name": "a"}, "cu\u017ftom": {"name": "b"}}),
    (CHAT, {"type": "function", "function": {"name": ["a"]}}),
    (CHAT, {"type": "function", "function": {"name": 7}}),
    (CHAT, {"type": "function", "function": "a"}),
    (CHAT, {"type": "function", "function": {"name": "\u0430"}}),
    (CHAT, {"type": "function", "function": {"name": "a" * 10_000}}),
    (CHAT, {"type": "function", "function": {"name": ""}}),
    (CHAT, {"type": ["function"], "function": {"name": "a"}}),
    (CHAT, {"type": "builtin_function", "function": {"name": "a"}}),
    (CHAT, {"google_search": {}}),
    (RESPONSES, {"type": "something_new", "name": "a"}),
    (RESPONSES, {"type": "mcp", "server_label": 7}),
    (RESPONSES, {"type": "mcp", "server_label": "x", "allowed_tools": ["y/a"]}),
    (RESPONSES, {"type": "namespace", "name": "n", "tools": [{"type": "namespace", "name": "a", "tools": []}]}),
    (MESSAGES, {"type": "bash_20250124", "name": "a"}),
    (MESSAGES, {"type": "web_search_20250305_20250305_x", "name": "web_search"}),
]


@pytest.mark.parametrize(("path", "tool"), DISGUISED)
def test_what_cannot_be_told_is_not_let_as_soon_as_there_is_a_rule(path: str, tool: Any) -> None:
    assert "tools" not in sent(narrowed(path, {"tools": [tool]}, {"allow": ["*"], "deny": ["b"]}))
    assert sent(narrowed(path, {"tools": [tool]}))["tools"] == [tool]


ITEM = {"type": "additional_tools", "role": "developer"}
DEFINED = {"type": "tool_definition", "definition": function("b", MESSAGES)}
HIDDEN: list[tuple[str, dict[str, Any]]] = [
    (RESPONSES, {"input": [{**ITEM, "tools": [function("b", RESPONSES)]}]}),
    (RESPONSES, {"input": [{**ITEM, "tools": [{"type": "web_search"}]}]}),
    (RESPONSES, {"input": [{"type": "tool_search_output", "tools": [{"type": "namespace", "name": "a", "tools": [
        function("b", RESPONSES)]}]}]}),
    (RESPONSES, {"input": [{"type": "tool_search_output", "tools": [MCP]}]}),
    (MESSAGES, {"messages": [{"role": "system", "content": [{"type": "tool_addition", "tool": DEFINED}]}]}),
    (CHAT, {"extra_body": {"tools": [{"google_search": {}}]}}),
    (CHAT, {"compound_custom": {"tools": {"enabled_tools": ["web_search"]}}}),
    (CHAT, {"messages": [{"role": "system", "content": "x", "tools": [function("b")]}]}),
    (CHAT, {"extra": {"functions": [{"name": "b"}]}}),
    (RESPONSES, {"prompt": {"id": "pmpt_1"}}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body"), HIDDEN)
def test_a_tool_that_hides_elsewhere_is_refused(path: str, body: dict[str, Any]) -> None:
    with pytest.raises(Refused) as refused:
        narrowed(path, {"tools": [function("a", path)], **body}, {"allow": ["a"]})
    assert refused.value.code is Code.TOOL_NOT_ALLOWED


@EACH
def test_a_model_that_searches_by_its_name_asks_for_that_tool(path: str) -> None:
    with pytest.raises(Refused, match="does not allow the tool 'web_search'") as refused:
        narrowed(path, {"model": "m:online"}, {"deny": ["web_search"]})
    assert (refused.value.code, refused.value.param) == (Code.TOOL_NOT_ALLOWED, "model")
    searching = narrowed(path, {"model": "m:online"}, {"deny": ["x"]}).offered
    assert searching is not None
    assert searching.families == {"web_search"}
    assert sent(narrowed(path, {"model": "m:online"}))["model"] == "m"


def test_a_word_within_a_text_is_no_tool() -> None:
    texts = ['{"tools": [{"type": "web_search"}]}', "\u00e9 additional_tools"]
    body = {"messages": [{"role": "user", "content": text} for text in texts]}
    assert sent(narrowed(CHAT, body, {"allow": ["a"]}))["messages"] == body["messages"]
    used = [{"role": "assistant", "content": [{"type": "tool_use", "id": "i", "name": "a", "input": {"tools": [{}]}}]}]
    assert sent(narrowed(MESSAGES, {"messages": used}, {"allow": ["a"]}))["messages"] == used
    listed = [{"type": "mcp_list_tools", "id": "m", "server_label": "docs", "tools": [{"name": "b"}]}]
    assert sent(narrowed(RESPONSES, {"input": listed}, {"allow": ["a"]}))["input"] == listed


@pytest.mark.parametrize("key", ["t\\u006fols", "m\\u0063p_servers", "\\u0066unctions"])
def test_an_escaped_key_hides_nothing(key: str) -> None:
    entry = '{"name": "b"}' if "p_s" in key else '{"type": "function", "name": "b"}'
    body = f'{{"model": "m", "input": "x", "more": {{"{key}": [{entry}]}}}}'
    with pytest.raises(Refused, match="does not allow the tool"):
        narrowed(RESPONSES, body.encode(), {"allow": ["a"]})


def test_tools_within_the_content_that_are_let_can_be_chosen() -> None:
    items = [{**ITEM, "tools": [function("a", RESPONSES)]}]
    choice = {"type": "function", "name": "a"}
    left = sent(narrowed(RESPONSES, {"input": items, "tool_choice": choice}, {"allow": ["a"]}))
    assert (left["input"], left["tool_choice"]) == (items, choice)


def test_ten_thousand_tools_are_narrowed() -> None:
    tools = [function(f"t{number}") for number in range(10_000)]
    result = narrowed(CHAT, {"tools": tools}, {"allow": ["t9*"]})
    assert len(sent(result)["tools"]) == 1111


INVOLVED = [{"allow": [f"*{place}a?{number}*" for number in range(49)] + ["*"], "deny": [f"*{place}b?{number}*"
             for number in range(50)]} for place in range(5)]  # fmt: skip


def test_too_many_tools_for_many_rules_are_refused_before_they_hold_everybody_up() -> None:
    few = [function("a" * 60 + str(number)) for number in range(20)]
    assert len(sent(narrowed(CHAT, {"tools": few}, *INVOLVED))["tools"]) == 20
    many = [function("a" * 250 + str(number)) for number in range(1500)]
    begun = process_time()
    with pytest.raises(Refused, match="too many tools") as refused:
        narrowed(CHAT, {"tools": many}, *INVOLVED)
    assert refused.value.code is Code.INVALID_REQUEST
    # They would take half a minute.
    assert process_time() - begun < 3


@pytest.mark.parametrize("kind", ["server", "namespace"])
def test_a_long_name_that_many_tools_share_is_not_written_out_for_each(kind: str) -> None:
    names, long = [f"t{number}" for number in range(20_000)], "x" * 200_000
    server = {**MCP, "server_label": long, "allowed_tools": names}
    namespace = {"type": "namespace", "name": long, "tools": [{"type": "custom", "name": name} for name in names]}
    tools = [server if kind == "server" else namespace, function("a", RESPONSES)]
    begun = process_time()
    result = narrowed(RESPONSES, {"tools": tools}, {"allow": ["a", "t*", "mcp*"]})
    assert sent(result)["tools"] == [function("a", RESPONSES)]
    assert process_time() - begun < 3


def test_of_two_keys_in_a_tool_only_what_was_read_goes_on() -> None:
    body = (
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}],'
        b' "tools": [{"type": "function", "function": {"name": "b"}, "function": {"name": "a"}}]}'
    )
    assert sent(narrowed(CHAT, body, {"allow": ["a"]}))["tools"] == [{"type": "function", "function": {"name": "a"}}]
    assert b'"b"' not in narrowed(CHAT, body, {"allow": ["a"]}).request.upstream(
        model="m", user=None, shared_account=False
    )


def test_what_was_decided_of_a_name_is_remembered_within_bounds() -> None:
    rules = policy({"allow": ["t1*"]})
    for number in range(5000):
        rules.refusing(read_tool(function(f"t{number}")), Effort())
    assert len(rules._decided) <= 1024


@pytest.mark.parametrize(
    ("path", "body", "most", "expected"),
    [
        (CHAT, {}, None, {}),
        (CHAT, {}, 100, {"max_completion_tokens": 100}),
        (CHAT, {"max_tokens": 500}, 100, {"max_tokens": 100}),
        (CHAT, {"max_tokens": 50}, 100, {"max_tokens": 50}),
        (CHAT, {"max_completion_tokens": 500, "max_tokens": None}, 100, {"max_completion_tokens": 100}),
        (CHAT, {"max_output_tokens": 5}, 100, {"max_output_tokens": 5, "max_completion_tokens": 100}),
        (RESPONSES, {}, 100, {"max_output_tokens": 100}),
        (RESPONSES, {"max_output_tokens": 500}, 100, {"max_output_tokens": 100}),
        (MESSAGES, {"max_tokens": 500}, 100, {"max_tokens": 100}),
        (MESSAGES, {"max_tokens": None}, 100, {"max_tokens": 100}),
    ],
)
def test_no_more_may_be_written_than_a_tier_lets(
    path: str, body: dict[str, Any], most: int | None, expected: dict[str, int]
) -> None:
    result = confined(request(path, body), policy(), most)
    left = sent(result)
    assert {name: value for name, value in left.items() if name.startswith("max_") and value is not None} == expected
    assert most is None or result.request.tokens() >= min(expected.values())
