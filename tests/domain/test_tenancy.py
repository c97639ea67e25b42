"""Slugs: what may be chosen, and what is made."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.fields import Invalid
from bailiwick.domain.tenancy import RESERVED_SLUGS, made_slug, read_slug, suffixed_slug


@given(st.text(max_size=80))
def test_a_made_slug_is_one_that_could_have_been_chosen(name: str) -> None:
    made = made_slug(name, "tenant")
    if made is not None:
        assert read_slug(made) == made
    suffixed = suffixed_slug(name, "tenant", "0123abcd")
    assert read_slug(suffixed) == suffixed
    assert suffixed.endswith("-0123abcd")


@given(st.text(max_size=80))
def test_a_chosen_slug_is_a_dns_label(text: str) -> None:
    try:
        slug = read_slug(text)
    except Invalid:
        return
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", slug)


@pytest.mark.parametrize("slug", sorted(RESERVED_SLUGS))
def test_reserved_slugs_are_neither_chosen_nor_made(slug: str) -> None:
    with pytest.raises(Invalid):
        read_slug(slug)
    assert made_slug(slug.title(), "tenant") is None


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Acme Corp.", "acme-corp"),
        ("  Zoë's Café  ", "zoe-s-cafe"),
        ("A--B__C", "a-b-c"),
        ("123", "123"),
        ("東京", "tenant"),
        ("x" * 60, "x" * 40),
        ("a" * 39 + " b", "a" * 39),
    ],
)
def test_slugs_are_made_of_what_a_name_has_of_ascii(name: str, slug: str) -> None:
    assert made_slug(name, "tenant") == slug
