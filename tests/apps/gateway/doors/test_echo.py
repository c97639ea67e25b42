"""The built-in `echo` through the unchanged packages, at every door that it has, in a project without any provider."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from bailiwick.domain.models import ProviderKind
from bailiwick.services.doors import DOORS
from tests.apps.gateway.doors.cases import CASES
from tests.serving import Caller, Site

TOLD = "This is Bailiwick's built-in echo, not a model. You said: Hello there"
ASK: Any = [{"role": "user", "content": "Hello there"}]


@pytest.fixture
def caller(site: Site) -> Caller:
    return site.project(provider={"base_url": None})


def claude(caller: Caller) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=caller.site.installation.url, api_key=caller.key, max_retries=0)


def assert_counted(caller: Caller, *, wrote: int = 18, read: int = 3) -> None:
    row = caller.row()
    assert (row["outcome"], row["usage_source"], row["cost_nano"], row["model"]) == (0, 0, 0, "echo")
    assert (row["input_tokens"], row["output_tokens"]) == (read, wrote)


@pytest.mark.parametrize("most", [None, 4, 0])
def test_a_text_completion(caller: Caller, most: int | None) -> None:
    with caller.sdk() as client:
        answer = client.completions.create(model="echo", prompt="Hello there", max_tokens=most)
    kept = TOLD if most is None else TOLD[: 4 * most]
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == (kept, "length" if kept != TOLD else "stop")
    assert_counted(caller, wrote=18 if most is None else most)


def test_a_stream_of_text(caller: Caller) -> None:
    with caller.sdk() as client:
        frames = list(client.completions.create(model="echo", prompt="Hello there", stream=True))
    assert "".join(frame.choices[0].text for frame in frames) == TOLD
    assert_counted(caller)


IN_PARTS: Any = [{"role": "user", "content": [{"type": "input_text", "text": "Hello there"}]}]


@pytest.mark.parametrize("given", ["Hello there", ASK, IN_PARTS])
def test_a_response(caller: Caller, given: Any) -> None:
    with caller.sdk() as client:
        answer = client.responses.create(model="echo", input=given)
    assert (answer.output_text, answer.status) == (TOLD, "completed")
    assert_counted(caller)


@pytest.mark.parametrize("most", [None, 5])
def test_a_stream_of_a_response(caller: Caller, most: int | None) -> None:
    with caller.sdk() as client, client.responses.stream(
        model="echo", input="Hello there", **({} if most is None else {"max_output_tokens": most})
    ) as stream:  # fmt: skip
        events = list(stream)
        numbers = [event.sequence_number for event in events]
        texts = [event.delta for event in events if event.type == "response.output_text.delta"]
        ended = events[-1]
    assert numbers == list(range(len(events)))
    assert "".join(texts) == (TOLD if most is None else TOLD[:20])
    assert ended.type == ("response.completed" if most is None else "response.incomplete")
    assert ended.response.output_text == "".join(texts)
    assert_counted(caller, wrote=most or 18)


def test_a_message(caller: Caller) -> None:
    with claude(caller) as client:
        answer = client.messages.create(model="echo", messages=ASK, max_tokens=100, system="Be brief.")
        assert client.messages.count_tokens(model="echo", messages=ASK).input_tokens == 3
    block: Any = answer.content[0]
    assert (block.text, answer.stop_reason) == (TOLD, "end_turn")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (3, 18)
    assert [row["output_tokens"] for row in caller.rows] == [18, 0]


@pytest.mark.parametrize("most", [100, 5])
def test_a_stream_of_a_message(caller: Caller, most: int) -> None:
    with claude(caller) as client, client.messages.stream(model="echo", messages=ASK, max_tokens=most) as stream:
        assert "".join(stream.text_stream) == TOLD[: 4 * most]
        assert stream.get_final_message().stop_reason == ("end_turn" if most == 100 else "max_tokens")
    assert_counted(caller, wrote=min(most, 18))


def test_embeddings(caller: Caller) -> None:
    with caller.sdk() as client:
        answer = client.embeddings.create(model="echo", input=["Hello there", "Hello", "Hello there"], dimensions=8)
        plain = client.embeddings.create(model="echo", input="Hello there", dimensions=8, encoding_format="float")
        tokens = client.embeddings.create(model="echo", input=[1, 2, 3])
    first, second, third = (item.embedding for item in answer.data)
    assert first == third != second
    assert first == pytest.approx(plain.data[0].embedding)
    assert sum(number * number for number in first) == pytest.approx(1)
    assert (len(tokens.data), len(tokens.data[0].embedding), tokens.usage.total_tokens) == (1, 16, 3)
    assert [row["input_tokens"] for row in caller.rows] == [8, 3, 3]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/completions", {"prompt": [1, 2]}), ("/responses", {"input": 7}), ("/messages", {"messages": [1]}),
        ("/embeddings", {"input": [{"a": 1}]}), ("/embeddings", {"input": []}),
        ("/embeddings", {"input": "x", "dimensions": 65_537}), ("/embeddings", {"input": ["x"] * 5000}),
    ],
)  # fmt: skip
def test_what_echo_cannot_read_is_the_callers_error(caller: Caller, path: str, fields: dict[str, Any]) -> None:
    answer = caller.ask("POST", f"/v1{path}", json={"model": "echo", **fields})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "provider_error")
    assert caller.row()["usage_source"] == 2


@pytest.mark.parametrize("path", [door.path for door in DOORS if ProviderKind.ECHO not in door.kinds])
def test_a_door_without_echo_says_so(caller: Caller, path: str) -> None:
    case = CASES[path]
    headers = {"content-type": case.request_type}
    answer = caller.ask("POST", f"/v1{path}", content=case.body("echo"), headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    caller.assert_untouched()
