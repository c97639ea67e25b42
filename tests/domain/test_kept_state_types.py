"""What the providers' own packages can say, held against what is refused on an account that tenants share.

A new version of a package that brings a new way to name something kept fails here until it is judged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final, NamedTuple, get_args, get_origin

import pytest
from anthropic.types import beta, message_count_tokens_params, message_create_params
from anthropic.types.beta import message_create_params as beta_message_create_params
from openai.types import completion_create_params, embedding_create_params, image_generate_params
from openai.types import moderation_create_params as moderation
from openai.types.audio import speech_create_params
from openai.types.chat import completion_create_params as chat
from openai.types.responses import ResponseInputItemParam, response_create_params
from typing_extensions import get_type_hints, is_typeddict

from bailiwick.domain.kept_state import kept_reference

REQUESTS: Final[tuple[Any, ...]] = (
    chat.CompletionCreateParamsNonStreaming,
    completion_create_params.CompletionCreateParamsNonStreaming,
    embedding_create_params.EmbeddingCreateParams,
    response_create_params.ResponseCreateParamsNonStreaming,
    moderation.ModerationCreateParams,
    image_generate_params.ImageGenerateParamsNonStreaming,
    speech_create_params.SpeechCreateParams,
    message_create_params.MessageCreateParamsNonStreaming,
    message_count_tokens_params.MessageCountTokensParams,
    beta_message_create_params.MessageCreateParamsNonStreaming,
    beta.message_count_tokens_params.MessageCountTokensParams,
)
IDENTIFIES: Final = re.compile(r"(?:.*_)?ids?|.*Ids?|.*_uri|container|conversation|thread")
# What these name stands in the same request, is public, or is said by a header, which does not pass.
HARMLESS: Final = {
    "approval_request_id": "an item of the same input",
    "call_id": "an item of the same input",
    "caller_id": "an item of the same input",
    "connector_id": "a service that all accounts know",
    "download_id": "the client's own browser",
    "tab_id": "the client's own browser",
    "tool_call_id": "a message of the same conversation",
    "tool_id": "a message of the same conversation",
    "tool_use_id": "a message of the same conversation",
    "user_id": "the end user, whom we set",
    "workspace_id": "a header",
}
# Typed as any JSON, and yet of names that the provider gives, not the application.
NOT_FREE: Final = {"annotations", "content", "filters", "properties", "tools", "trigger"}


class Found(NamedTuple):
    """A field of a request: of which type's objects, under which key these stand, and what it may be."""

    owner: Any
    place: str
    name: str
    hint: Any


def fields_of(hint: Any, place: str, seen: set[tuple[Any, str]]) -> Iterator[Found]:
    if is_typeddict(hint):
        if (hint, place) in seen:
            return
        seen.add((hint, place))
        for name, inner in get_type_hints(hint).items():
            yield Found(hint, place, name, inner)
            yield from fields_of(inner, name, seen)
    for inner in get_args(hint):
        yield from fields_of(inner, place, seen)


@cache
def every_field() -> tuple[Found, ...]:
    seen: set[tuple[Any, str]] = set()
    return tuple(found for request in REQUESTS for found in fields_of(request, "", seen))


def types_of(owner: Any) -> list[str | None]:
    """The values that the field `type` of an object may have; None for no such field."""
    hints = get_type_hints(owner)
    return [value for value in literals(hints["type"]) if value] if "type" in hints else [None]


def literals(hint: Any) -> Iterator[Any]:
    for inner in get_args(hint):
        if isinstance(inner, str):
            yield inner
        else:
            yield from literals(inner)


def is_any_json(hint: Any) -> bool:
    if hint is object or (get_origin(hint) is dict and get_args(hint)[1] is object):
        return True
    return get_origin(hint) is not dict and any(map(is_any_json, get_args(hint)))


NAMES = sorted({found.name for found in every_field() if IDENTIFIES.fullmatch(found.name)} - {"id"})
ANY_JSON = sorted(
    {
        (found.place, kind or "", found.name)
        for found in every_field()
        if is_any_json(found.hint) and found.name not in NOT_FREE
        for kind in types_of(found.owner)
    }
)
ITEMS = {kind: item for item in get_args(ResponseInputItemParam) for kind in types_of(item)}
WITH_ID = sorted(kind for kind, item in ITEMS.items() if kind and "id" in get_type_hints(item))


def test_the_packages_were_looked_through() -> None:
    assert {"file_id", "container_id", "skill_id", "tool_use_id"} <= set(NAMES)
    assert {("function", "", "parameters"), ("content", "tool_use", "input")} <= set(ANY_JSON)
    assert {"message", "reasoning", "image_generation_call", "item_reference"} <= set(WITH_ID)


@pytest.mark.parametrize("name", NAMES)
def test_a_field_that_names_something_is_refused_or_known_to_be_harmless(name: str) -> None:
    for value in ("x_1", ["x_1"]):
        found = kept_reference("input", json.dumps([{"type": "message", "content": [{name: value}]}]))
        assert found == (None if name in HARMLESS else name)


def test_what_is_listed_as_harmless_exists() -> None:
    assert set(NAMES) >= set(HARMLESS)


@pytest.mark.parametrize(("place", "kind", "name"), ANY_JSON)
def test_json_of_the_applications_own_may_have_any_names(place: str, kind: str, name: str) -> None:
    owner: dict[str, Any] = {"type": kind} if kind else {}
    owner[name] = {"file_id": "x", "container": {"id": "y"}, "properties": {"conversation": {}}}
    assert kept_reference("x", json.dumps({place: [owner]})) is None


@pytest.mark.parametrize("kind", WITH_ID)
def test_an_item_that_is_there_by_its_id_alone_is_refused(kind: str) -> None:
    for more in ({}, {"status": "completed", "role": "assistant"}):
        assert kept_reference("input", json.dumps([{"type": kind, "id": "x_1", **more}])) == "item_reference"
        assert kept_reference("input", json.dumps([{"id": "x_1", **more}, {"type": kind}])) == "item_reference"


# These say nothing of their own: clients write them, and have no id to give.
@pytest.mark.parametrize("kind", sorted({*WITH_ID} - {"item_reference", "compaction_trigger", "configuration_update"}))
def test_an_item_that_is_whole_may_have_its_id(kind: str) -> None:
    hints = get_type_hints(ITEMS[kind])
    whole = {name: "x" for name in hints if name not in {"type", "results", "container_id", "caller", "environment"}}
    assert kept_reference("input", json.dumps([{"type": kind, **whole}])) is None
