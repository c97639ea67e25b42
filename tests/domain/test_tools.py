"""Which tools rules let pass, and that no spelling of a name gets past them."""

from __future__ import annotations

from typing import Any

import pytest

from bailiwick.domain.confinement import THE_KEY, Confinement
from bailiwick.domain.errors import Code
from bailiwick.domain.fields import Invalid
from bailiwick.domain.globs import MOST_INVOLVED
from bailiwick.domain.policy import authorize_tool
from bailiwick.domain.tool_policy import Effort, tool_policy
from bailiwick.domain.tools import MAX_RULES, ToolRules, tool_rules


def rules(**document: Any) -> ToolRules:
    """Rules as an operator writes them."""
    read = tool_rules("tools", document)
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("document", "names", "let"),
    [
        ({}, ("search",), True),
        ({"allow": []}, ("search",), False),
        ({"allow": ["search"]}, ("search",), True),
        ({"allow": ["search"]}, ("search_docs",), False),
        ({"allow": ["search*"]}, ("search_docs",), True),
        ({"allow": ["search"]}, ("Search",), False),
        ({"allow": ["docs/*"]}, ("search", "docs/search"), True),
        ({"deny": ["delete_*"]}, ("search",), True),
        ({"deny": ["delete_*"]}, ("delete_all",), False),
        ({"deny": ["docs/*"]}, ("search", "docs/search"), False),
        ({"allow": ["*"], "deny": ["*"]}, ("search",), False),
        ({"allow": ["delete_all"], "deny": ["delete_*"]}, ("delete_all",), False),
    ],
)
def test_a_tool_is_let_if_it_is_allowed_and_not_denied(
    document: dict[str, Any], names: tuple[str, ...], *, let: bool
) -> None:
    assert rules(**document).let(names) is let


@pytest.mark.parametrize(
    "name",
    [
        "Delete_all",
        "DELETE_ALL",
        "d\u0435lete_all",
        "delete\u200b_all",
        " delete_all",
        "delete_all\n",
        "\uff44elete_all",
        "d" * 10_000,
        "",
    ],
)
def test_no_spelling_gets_past_a_denial(name: str) -> None:
    assert not rules(deny=["delete_*"]).let((name,))


def test_what_has_no_name_is_not_let() -> None:
    assert not rules(deny=["x"]).let(())


def test_a_denial_is_meant_whatever_its_case() -> None:
    assert not rules(deny=["DELETE_*"]).let(("delete_all",))


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"allow": "search"}, "tools.allow"),
        ({"allow": [1]}, "tools.allow.0"),
        ({"deny": ["a b"]}, "tools.deny.0"),
        ({"deny": ["x" * 256]}, "tools.deny.0"),
        ({"deny": [""]}, "tools.deny.0"),
        ({"deny": ["x"] * (MAX_RULES + 1)}, "tools.deny"),
        ({"deny": [f"a*{number}" for number in range(MOST_INVOLVED + 1)]}, "tools.deny"),
        ({"block": []}, "tools.block"),
    ],
)
def test_rules_that_cannot_be_are_refused_by_their_field(document: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        tool_rules("tools", document)
    assert [error.field for error in caught.value.errors] == [field]


def test_rules_are_shown_as_they_were_written() -> None:
    assert rules(allow=["a", "b*"], deny=["c"]).document() == {"allow": ["a", "b*"], "deny": ["c"]}
    assert rules(deny=[]).document() == {"deny": []}


def test_every_confinement_must_let_a_tool_and_the_refusal_says_which_does_not() -> None:
    confinements = (
        Confinement(source=THE_KEY, tools=rules(allow=["search", "read"])),
        Confinement(source="the tier 'free'", tools=rules(allow=["search", "write"])),
    )
    both = [tool_policy((one,)) for one in confinements]
    for policies in (both, [tool_policy(confinements)]):
        assert authorize_tool(("search",), *policies, effort=Effort()).allowed
    refused = authorize_tool(("read",), *both, effort=Effort())
    assert (refused.code, refused.reason) == (Code.TOOL_NOT_ALLOWED, "The tier 'free' does not allow this tool.")
