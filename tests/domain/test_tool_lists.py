"""A list of tools is read once for as long as the same caller sends the same: the same comes of it, within bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bailiwick.domain import tool_lists
from bailiwick.domain.errors import Refused
from bailiwick.domain.json_body import Raw
from bailiwick.domain.tool_lists import read_list
from bailiwick.domain.tool_policy import ToolPolicy
from bailiwick.domain.tool_requests import confined
from tests.domain.tool_bodies import CHAT, MESSAGES, RESPONSES, function, policy, request, sent

EACH = pytest.mark.parametrize("path", [CHAT, RESPONSES, MESSAGES])
SERVER = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp", "allowed_tools": ["a", "b"]}


def raw(*tools: object) -> Raw:
    return Raw(json.dumps(tools).encode())


def held(rules: ToolPolicy, tools: Raw) -> bool:
    return (rules, bytes(tools)) in tool_lists._remembered._lists


@EACH
@pytest.mark.parametrize("rules", [[], [{"allow": ["a", "mcp*"]}], [{"deny": ["b"]}], [{"allow": ["z"]}]], ids=str)
def test_the_same_comes_of_a_list_the_second_time(path: str, rules: list[dict[str, Any]]) -> None:
    namespace = {"type": "namespace", "name": "crm", "tools": [function("b", path)]}
    tools = [function("a", path), function("b", path), {"type": "something_new"}, SERVER, namespace]
    same = policy(*rules)
    first, second = (confined(request(path, {"tools": tools}), same, None) for _ in range(2))
    assert sent(first) == sent(second) == sent(confined(request(path, {"tools": tools}), policy(*rules), None))
    assert (first.removed, first.offered) == (second.removed, second.offered)


@EACH
def test_what_else_a_request_asks_for_changes_nothing_of_what_is_remembered(path: str) -> None:
    rules = policy({"allow": ["a", "web_search"]})
    body: dict[str, Any] = {"tools": [function("a", path), function("b", path)]}
    plain = confined(request(path, body), rules, None)
    more = {"functions": [{"name": "a"}, {"name": "c"}], "enable_search": True, "plugins": [{"id": "x"}]}
    mixed = confined(request(path, {**body, **more}), rules, 7)
    assert mixed.removed == ("b", "c", "plugins")
    assert mixed.offered is not None
    assert mixed.offered.families == {"web_search"}
    again = confined(request(path, body), rules, None)
    assert (again.removed, again.offered, sent(again)) == (plain.removed, plain.offered, sent(plain))


def test_what_one_caller_sent_is_not_known_of_another() -> None:
    mine, theirs = policy({"allow": ["a"]}), policy({"allow": ["a"]})
    tools = raw(function("a"), function("mine_alone"))
    read = read_list(mine, tools)
    assert read_list(mine, tools) is read
    assert not held(theirs, tools)
    assert read_list(theirs, tools) is not read


def test_a_list_that_is_refused_is_refused_each_time() -> None:
    rules = policy({"allow": ["a"]}, refuse=True)
    for _ in range(2):
        with pytest.raises(Refused, match="does not allow the tool 'b'"):
            read_list(rules, raw(function("b")))


def test_what_a_list_refers_to_at_the_provider_is_found_each_time() -> None:
    tools = [{"type": "file_search", "vector_store_ids": ["vs_1"]}, function("a", RESPONSES)]
    rules, free = policy({"allow": ["file_search", "a"]}), policy()
    for same in (rules, rules, free, free):
        with pytest.raises(Refused, match="kept at the provider"):
            sent(confined(request(RESPONSES, {"tools": tools}), same, None), shared_account=True)
    narrow = policy({"deny": ["file_search"]})
    left = sent(confined(request(RESPONSES, {"tools": tools}), narrow, None), shared_account=True)
    assert left["tools"] == [function("a", RESPONSES)]


def test_what_is_remembered_of_all_callers_is_bounded() -> None:
    rules = policy()
    first = raw(function("first"))
    read_list(rules, first)
    assert held(rules, first)
    long = "x" * (tool_lists._LONGEST // 2)
    for number in range(2 * tool_lists._REMEMBERED // tool_lists._LONGEST):
        read_list(rules, raw(function(f"t{number}"), long))
    assert tool_lists._remembered._weight <= tool_lists._REMEMBERED
    assert not held(rules, first)
    many = raw(*({"type": "x"} for _ in range(10_000)))
    read_list(rules, many)
    assert sum(tool_lists._weight(*kept) for kept in kept_lists()) == tool_lists._remembered._weight
    assert tool_lists._weight(bytes(many), read_list(rules, many)) > 10_000 * tool_lists._A_TOOL


def kept_lists() -> list[tuple[bytes, tool_lists.ToolList]]:
    return [(key[1], found) for key, found in tool_lists._remembered._lists.items()]


def test_a_list_of_great_length_is_not_remembered() -> None:
    rules = policy()
    long = raw("x" * tool_lists._LONGEST)
    read_list(rules, long)
    assert not held(rules, long)
