"""Every type of tool that the providers' own packages know has a name, and a family."""

from __future__ import annotations

from typing import Any, Required, get_args, get_origin, get_type_hints

import pytest
from anthropic.types import ToolUnionParam
from anthropic.types.beta import BetaToolUnionParam
from openai.types.responses import ToolParam

from bailiwick.domain.tool_names import read_tool

# What needs more than a type to be told.
OTHERS = {"function", "custom", "mcp", "mcp_toolset", "namespace"}


def literals(said: Any) -> tuple[str, ...]:
    """The texts that an annotation allows."""
    while get_origin(said) is Required or type(None) in get_args(said):
        said = next(part for part in get_args(said) if part is not type(None))
    return get_args(said)


def known() -> list[tuple[str, str | None]]:
    """The types of tools that the packages know, each with the name that goes with it."""
    found: dict[str, str | None] = {}
    for union in (ToolUnionParam, BetaToolUnionParam, ToolParam):
        for one in get_args(union):
            hints = get_type_hints(one)
            names = literals(hints["name"]) if "name" in hints else ()
            for kind in literals(hints["type"]) if "type" in hints else ():
                found[kind] = names[0] if names else None
    return [(kind, name) for kind, name in sorted(found.items()) if kind not in OTHERS]


@pytest.mark.parametrize(("kind", "name"), known())
def test_every_type_that_a_package_knows_is_told(kind: str, name: str | None) -> None:
    tool = read_tool({"type": kind} if name is None else {"type": kind, "name": name})
    assert tool.family is not None
    assert tool.names[0] == kind


def test_there_are_such_types() -> None:
    kinds = {kind for kind, _ in known()}
    assert {"web_search_20250305", "bash_20250124", "computer_20250124", "browser_toolset_20260801"} <= kinds
    assert {"web_search", "code_interpreter", "local_shell", "computer_use_preview", "shell"} <= kinds
