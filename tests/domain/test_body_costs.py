"""What bodies cost that were made to cost much: memory of the order of their size, or a refusal."""

from __future__ import annotations

import json
import tracemalloc
from functools import partial
from typing import Any, Final

import pytest

from bailiwick.domain.errors import Refused
from tests.domain.chat_bodies import read_chat, write_upstream
from tests.domain.test_requests import body, refused, written

SIZE: Final = 8 * 1024 * 1024
# A Python object takes up to thirty times the bytes that spell it.
MOST: Final = 4
MESSAGES: Final = '{"model":"m","messages":['
BESIDES: Final = '{"model":"m","messages":[1],'
# Has to be looked at: it may refer to something kept at the provider.
HINT: Final = '{"audio":{}},'


def filled(begin: str, unit: str, end: str, *, between: str = ",") -> bytes:
    """A body of eight megabytes, made of as many units as fit."""
    count = (SIZE - len(begin) - len(end)) // len((unit + between).encode())
    return (begin + between.join([unit] * count) + end).encode()


def numbered(begin: str, end: str) -> bytes:
    """A body with as many names as fit."""
    return (begin + ",".join(f'"{number:07}":1' for number in range(SIZE // 12)) + end).encode()


# Made when they are asked for: a test session that only collects this module makes none.
COSTLY = {
    "objects in messages": partial(filled, MESSAGES + HINT, '{"a":1}', "]}"),
    "empty objects in messages": partial(filled, MESSAGES + HINT, "{}", "]}"),
    "empty arrays in messages": partial(filled, MESSAGES + HINT, "[]", "]}"),
    "numbers in messages": partial(filled, MESSAGES + HINT, "1", "]}"),
    "strings in messages": partial(filled, MESSAGES + HINT, '"ab"', "]}"),
    "empty strings in messages": partial(filled, MESSAGES + HINT, '""', "]}"),
    "strings of backslashes in messages": partial(filled, MESSAGES + HINT, '"\\\\"', "]}"),
    "references in messages": partial(filled, MESSAGES, '{"audio":{}}', "]}"),
    "escapes in messages": partial(filled, MESSAGES + '"', '\\u0061\\"', '"]}', between=""),
    "one long text": partial(filled, MESSAGES + HINT + '"', "x", '"]}', between=""),
    "one long text with an emoji": partial(filled, MESSAGES + HINT + '"😀', "x", '"]}', between=""),
    "many texts with an emoji": partial(filled, MESSAGES + HINT + '"😀",', f'"{"x" * 110}"', "]}"),
    "one long number": partial(filled, MESSAGES + HINT, "1", "]}", between=""),
    "spaces in messages": partial(filled, MESSAGES, " ", "1]}", between=""),
    "nothing but spaces in messages": partial(filled, MESSAGES, " ", "]}", between=""),
    "another field's objects": partial(filled, BESIDES + '"x":[' + HINT, "{}", "]}"),
    "tools": partial(filled, BESIDES + '"tools":[', "{}", "]}"),
    "values of a tool": partial(filled, BESIDES + '"tools":[{"a":[', "[]", "]}]}"),
    "values of a tool choice": partial(filled, BESIDES + '"tool_choice":{"a":[', "[]", "]}}"),
    "values of stream options": partial(filled, BESIDES + '"stream":true,"stream_options":{"a":[', "[]", "]}}"),
    "values of metadata": partial(filled, BESIDES + '"metadata":{"a":[', "[]", "]}}"),
    "keys of metadata": partial(numbered, BESIDES + '"metadata":{', "}}"),
    "fields": partial(numbered, BESIDES, "}"),
    "a field again and again": partial(filled, BESIDES, '"a":1', "}"),
    "a user": partial(filled, BESIDES + '"user":"', "x", '"}', between=""),
    "spaces": partial(filled, BESIDES, " ", '"x":1}', between=""),
    "an open depth": partial(filled, MESSAGES, "[", "", between=""),
    "quotes": partial(filled, MESSAGES, '"', "", between=""),
}


@pytest.mark.parametrize("kind", COSTLY)
def test_no_body_takes_much_more_memory_than_its_size(kind: str) -> None:
    text = COSTLY[kind]()
    tracemalloc.start()
    try:
        write_upstream(read_chat(text), model="m", user="u", shared_account=True)
    except Refused as refusal:
        assert refusal.status == 400  # noqa: PT017 - some are refused and some pass; what both cost is the point
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < MOST * len(text)


@pytest.mark.parametrize("before", range(65_530, 65_540))
def test_a_large_body_is_utf8_to_its_end(before: int) -> None:
    text = b'{"model":"m","messages":["' + b"x" * (before - 26) + "😀".encode() + b'"]}'
    assert len(written(text)["messages"][0]) == before - 25
    refused(text.replace(b"\x98", b"x"))
    refused(text[:-4] + b'"]}')


def conversation(messages: int) -> list[dict[str, Any]]:
    """As a client keeps and sends it: with the fields that an answer had, and text that is JSON itself."""
    told = json.dumps({"rows": [{"file_id": None, "path": "a\\b", "say": '"audio":{"id":'}] * 4})
    asked = {"role": "user", "content": [{"type": "text", "text": "Go on, please. [1, 2, {3}]"}]}
    called = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": told}}
    answer = {"role": "assistant", "content": None, "audio": None, "refusal": None, "tool_calls": [called]}
    result = {"role": "tool", "tool_call_id": "call_1", "content": told}
    return [asked, answer, result] * (messages // 3)


@pytest.mark.parametrize("messages", [30, 9_000])
def test_a_long_conversation_passes(messages: int) -> None:
    said = conversation(messages)
    assert written(body(messages=said), shared_account=True)["messages"] == said


def test_a_picture_passes() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo=" * 2_000_000}}
    said = [{"role": "user", "content": [picture]}, {"role": "assistant", "audio": {"transcript": "{[," * 300_000}}]
    assert written(body(messages=said), shared_account=True)["messages"] == said


@pytest.mark.parametrize(("tools", "size"), [(10_000, 20), (128, 14_000)])
def test_many_tools_pass(tools: int, size: int) -> None:
    sent = [
        {"type": "function", "function": {"name": f"f{number}", "description": "x" * size, "parameters": {}}}
        for number in range(tools)
    ]
    assert written(body(tools=sent), shared_account=True)["tools"] == sent


def test_what_is_no_message_is_two_megabytes_at_most() -> None:
    room = 2 * 1024 * 1024 - len(body(messages=[], x="")) + len("[]")
    written(body(messages=["m" * 3_000_000], x="x" * room))
    message = refused(body(messages=["m" * 3_000_000], x="x" * (room + 1))).message
    assert "2097152 bytes besides its messages" in message


def test_keys_and_strings_are_two_hundred_thousand_at_most() -> None:
    own = 4  # two keys, the model, and a text that is full of quotes which end no string
    said = ['\\"' * 500_000, *["a"] * (200_000 - own)]
    text = '","'.join(said)
    written(f'{{"model":"m","messages":["{text}"]}}')
    assert "200000 keys and strings" in refused(body(messages=["a"] * 200_000)).message


def test_what_may_refer_to_something_kept_has_two_hundred_thousand_values_at_most() -> None:
    plain = [{"audio": {}}, "{[,\\" * 100_000]
    written(body(messages=[*plain, *[1] * 190_000]), shared_account=True)
    refusal = refused(body(messages=[*plain, *[1] * 210_000]), shared_account=True)
    assert refusal.param == "messages"
    assert "200000 values" in refusal.message
    written(body(messages=[*plain, *[1] * 210_000]))


@pytest.mark.parametrize("name", ["tools", "metadata", "tool_choice", "stream_options"])
@pytest.mark.parametrize("unit", ["[]", "{}", "1"])
def test_what_is_decoded_whole_has_two_hundred_thousand_values_at_most(name: str, unit: str) -> None:
    values = '{"a":[' + ",".join([unit] * 210_000) + "]}"
    message = refused(f'{BESIDES}"{name}":{f"[{values}]" if name == "tools" else values}}}').message
    assert "200000 values" in message


def test_a_text_full_of_what_stands_between_values_is_no_value() -> None:
    tool = {"type": "function", "function": {"name": "f", "description": '[{,"\\' * 250_000}}
    assert written(body(tools=[tool]), shared_account=True)["tools"] == [tool]
    said = [{"role": "user", "content": 'a,b;"c"\n[{' * 1_000_000}]
    assert written(body(messages=said), shared_account=True)["messages"] == said


@pytest.mark.parametrize("unit", ["\\\\", '\\"', "\\n"])
def test_what_may_refer_to_something_kept_has_four_million_backslashes_at_most(unit: str) -> None:
    most = 4_000_000 // unit.count("\\")
    written(MESSAGES + '"' + unit * most + '"]}', shared_account=True)
    refusal = refused(MESSAGES + '"' + unit * (most + 1) + '"]}', shared_account=True)
    assert refusal.param == "messages"
    assert "4000000 backslashes" in refusal.message
