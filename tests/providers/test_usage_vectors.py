"""What every provider reports of a call, as it writes it, and what that comes to: kinds of tokens and their cost.

`usage_vectors.json` has one entry for each form: an answer, or the events of a stream, the tokens that are to be read
of it (kinds that are not named are 0; null: it says nothing readable) and their cost at `PRICE`, in nano-dollars.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.pricing import Price, Rate
from bailiwick.domain.usage import MAX_TOKENS, TokenUsage
from bailiwick.services.doors import DOORS
from tests.apps.gateway.doors.cases import BY_PATH, CASES, project
from tests.serving import Site
from tests.upstream import Behaviour, Upstream
from tests.upstream.payloads import encoded, event

VECTORS: Final[list[dict[str, Any]]] = json.loads(Path(__file__).with_name("usage_vectors.json").read_bytes())
EACH = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
STREAMS = [vector for vector in VECTORS if "events" in vector]
# A rate of its own for each kind: nano-dollars a million tokens.
PRICE: Final = Price(
    input=Rate(base=1_000_000_000),
    output=Rate(base=10_000_000_000),
    cached=Rate(base=100_000_000),
    cache_write=Rate(base=1_250_000_000),
    cache_write_1h=Rate(base=2_000_000_000),
    input_audio=Rate(base=5_000_000_000),
    input_image=Rate(base=3_000_000_000),
    output_audio=Rate(base=50_000_000_000),
    output_image=Rate(base=20_000_000_000),
)
_ONE: Final = Rate(base=1_000_000)
FLAT: Final = Price(
    input=_ONE, output=_ONE, cached=_ONE, cache_write=_ONE, cache_write_1h=_ONE, input_audio=_ONE, input_image=_ONE,
    output_audio=_ONE, output_image=_ONE,
)  # fmt: skip


def read(path: str, documents: list[Any]) -> TokenUsage | None:
    """What the last of an answer's reports says."""
    reader = BY_PATH[path].answer.reader()
    found = None
    for document in documents:
        if document != "[DONE]":
            found = reader(encoded(document)).tokens() or found
    return found


def documents_of(vector: dict[str, Any]) -> list[Any]:
    return vector.get("events") or [vector["answer"]]


def frame(document: Any) -> bytes:
    return b"data: [DONE]\n\n" if document == "[DONE]" else event(document)


@EACH
def test_every_kind_of_token_is_read_and_charged_once(vector: dict[str, Any]) -> None:
    found = read(vector["path"], documents_of(vector))
    assert found == (None if vector["tokens"] is None else TokenUsage(**vector["tokens"]))
    if found is not None:
        assert PRICE.cost(found) == vector["cost_nano"]
        assert FLAT.cost(found) == found.input_tokens + found.output_tokens


@EACH
def test_what_is_reported_twice_counts_once(vector: dict[str, Any]) -> None:
    twice = [document for document in documents_of(vector) for _ in range(2)]
    assert read(vector["path"], twice) == read(vector["path"], documents_of(vector))


@EACH
def test_the_ledgers_row_says_what_was_reported(site: Site, upstream: Upstream, vector: dict[str, Any]) -> None:
    case, door = CASES[vector["path"]], BY_PATH[vector["path"]]
    caller = project(site, door)
    frames = tuple(map(frame, vector.get("events", ())))
    body = case.body()
    if frames:
        upstream.on(f"/v1{door.path}", Behaviour(frames=frames))
        stream = b"--" + case.request_type.rpartition("=")[2].encode()
        field = stream + b'\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n'
        body = field + body if case.multipart else body[:-1] + b', "stream": true}'
    else:
        upstream.on(f"/v1{door.path}", Behaviour(body=encoded(vector["answer"])))
    headers = {"content-type": case.request_type}
    assert caller.ask("POST", f"/v1{door.path}", content=body, headers=headers).status_code == 200
    row, tokens = caller.row(), vector["tokens"]
    assert row["usage_source"] == (0 if tokens else 1)
    if tokens:
        told = TokenUsage(**tokens)
        assert TokenUsage(**{kind: row[kind] or 0 for kind in TokenUsage._fields}) == told


# Small, so that parts are often more than their whole.
_counts = st.none() | st.integers(-5, 60) | st.integers(-(2**40), 2**40) | st.sampled_from([0.5, 1e308, -1e308])
_PARTS: Final = (
    "cached_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens", "image_tokens", "thinking_tokens",
    "ephemeral_1h_input_tokens",
)  # fmt: skip
_WHOLES: Final = (
    "prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "seconds",
    "cache_creation_input_tokens", "cache_read_input_tokens", "prompt_cache_hit_tokens",
)  # fmt: skip
_DETAILS: Final = (
    "prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details",
    "input_token_details", "cache_creation",
)  # fmt: skip
_details = st.none() | st.fixed_dictionaries({}, optional=dict.fromkeys(_PARTS, _counts))
_reports = st.fixed_dictionaries({}, optional={**dict.fromkeys(_WHOLES, _counts), **dict.fromkeys(_DETAILS, _details)})


@given(st.sampled_from(DOORS), st.lists(_reports, min_size=1, max_size=3))
def test_whatever_is_reported_is_never_charged_twice(door: Any, reports: list[Any]) -> None:
    for names in ({"usage": reports[-1]}, {"type": "message_start", "message": {"usage": reports[-1]}}):
        try:
            found = read(door.path, [{"usage": report} for report in reports[:-1]] + [names])
        except ValueError:  # an answer that is refused as none
            continue
        if found is not None:
            assert all(0 <= count <= MAX_TOKENS for count in found)
            assert FLAT.cost(found) == found.input_tokens + found.output_tokens
            assert min(
                found.input_tokens - found.cached_tokens - found.cache_write_tokens
                - found.input_audio_tokens - found.input_image_tokens,
                found.output_tokens - found.output_audio_tokens - found.output_image_tokens,
                found.cache_write_tokens - found.cache_write_1h_tokens,
                found.output_tokens - found.reasoning_tokens,
            ) >= 0  # fmt: skip
