"""A list of globs means what each of them means."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.globs import Globs

TEXT = st.text(alphabet="ab*?[]!-/.", max_size=6)


@given(patterns=st.lists(TEXT, max_size=5), names=st.lists(TEXT, max_size=3))
def test_a_list_matches_what_any_of_its_globs_matches(patterns: list[str], names: list[str]) -> None:
    expected = any(fnmatchcase(name, pattern) for name in names for pattern in patterns)
    assert Globs(tuple(patterns)).match(tuple(names)) is expected


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("gpt-4o", "gpt-4o", True),
        ("gpt-4o", "gpt-4o-mini", False),
        ("gpt-4o*", "gpt-4o-mini", True),
        ("*mini", "gpt-4o-mini", True),
        ("*mini", "gpt-4o-mini-2", False),
        ("*4o*", "gpt-4o-mini", True),
        ("*-*ni", "gpt-4o-mini", True),
        ("*[4]o", "gpt-4o", True),
        ("gpt-?o", "gpt-4o", True),
        ("GPT-4o", "gpt-4o", False),
        ("*", "", True),
        ("a*", "b\na", False),
    ],
)
def test_a_glob_matches_a_whole_name_by_case(pattern: str, name: str, *, matches: bool) -> None:
    assert Globs((pattern,)).match((name,)) is matches


def test_nothing_matches_no_globs() -> None:
    assert not Globs(()).match(("a",))


def test_only_what_is_more_than_a_name_a_beginning_or_an_end_is_involved() -> None:
    patterns = ("a", "a*", "*a", "*", "**", "*a*", "a*b", "a?", "[ab]", "*[a]")
    assert [Globs((pattern,)).involved for pattern in patterns] == [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
    assert Globs(patterns).involved == 6
