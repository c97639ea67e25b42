"""A chat completion's body: what is refused, what is written anew, and what passes on byte for byte."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.requests import JsonForm, read_request
from tests.domain.chat_bodies import read_chat, write_upstream

MESSAGES = '[{"role":"user","content":"hi"}]'
# What is decoded and encoded anew, and so may change its spelling (never its value).
WRITTEN_ANEW = {
    "max_completion_tokens", "max_tokens", "metadata", "model", "n", "safety_identifier", "store", "stream",
    "stream_options", "tool_choice", "tools", "user",
}  # fmt: skip
SPACES = st.sampled_from(["", " ", "\n", "\t\r\n", "   "])


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


def written(
    text: bytes | str, *, model: str = "served", user: str | None = None, shared_account: bool = False
) -> dict[str, Any]:
    """Read a client's body and decode what would go to the provider."""
    request = read_chat(text if isinstance(text, bytes) else text.encode())
    result: dict[str, Any] = json.loads(write_upstream(request, model=model, user=user, shared_account=shared_account))
    return result


def refused(text: bytes | str, *, shared_account: bool = False) -> Refused:
    with pytest.raises(Refused) as caught:
        written(text, shared_account=shared_account)
    assert caught.value.code is Code.INVALID_REQUEST
    assert caught.value.status == 400
    return caught.value


def raw_field(text: bytes, name: str) -> bytes:
    return bytes(msgspec.json.decode(text, type=dict[str, msgspec.Raw])[name])


# What a body must be.


@pytest.mark.parametrize(
    "text",
    [
        b"", b" ", b"null", b"[]", b'"x"', b"1", b"{", b"}", b'{"model"', b'{"model":"m","messages":[1]',
        b'{"model":"m","messages":[1]}x', b'{"model":"m","messages":[1],}', b'{"model":"m" "messages":[1]}',
        b"{'model':'m','messages':[1]}", b'{"model":"m","messages":[1]}{}', b'{model:"m","messages":[1]}',
        b'\xef\xbb\xbf{"model":"m","messages":[1]}', b'{"model":"m","messages":[1],"x":NaN}',
        b'{"model":"m","messages":[1],"x":01}', b'{"model":"m","messages":[1],"x":"\n"}',
        b'{"model":"m","messages":[1],"x":"\x00"}', '{"model":"m","messages":[1]}'.encode("utf-16"),
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    assert "JSON object" in refused(text).message


@pytest.mark.parametrize("place", ['{"model":"m","messages":["%s"]}', '{"model":"m","messages":[1],"%s":1}'])
@pytest.mark.parametrize("wrong", [b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80"])
def test_bytes_that_are_not_utf8_are_refused_wherever_they_stand(place: str, wrong: bytes) -> None:
    refused(place.encode().replace(b"%s", wrong))


@pytest.mark.parametrize("half", [r"\ud800", r"\udfff", r"\ud800A", r"\ud800\ud800", r"\ud83d"])
@pytest.mark.parametrize("place", ['"model":"m","messages":["%s"]', '"model":"m","messages":[1],"%s":1'])
def test_a_lone_surrogate_is_refused_wherever_it_stands(place: str, half: str) -> None:
    refused("{" + place.replace("%s", half) + "}")


@pytest.mark.parametrize("where", ['"messages":%s', '"messages":[1],"x":%s', '"messages":[1],"metadata":{"a":%s}'])
@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_a_body_nested_too_deeply_is_refused(where: str, depth: int) -> None:
    refused('{"model":"m",' + where.replace("%s", "[" * depth + "]" * depth) + "}")


@pytest.mark.parametrize("depth", range(980, 1000))
def test_a_body_nested_to_the_very_limit_is_refused_or_passed_on(depth: int) -> None:
    text = b'{"model":"m","messages":[1],"metadata":{"a":' + b"[" * depth + b"]" * depth + b"}}"
    with suppress(Refused):
        write_upstream(read_chat(text), model="m", user=None, shared_account=True)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ('"messages":[1]', "model"),
        ('"model":"m"', "messages"),
        ('"model":null,"messages":[1]', "model"),
        ('"model":1,"messages":[1]', "model"),
        ('"model":"","messages":[1]', "model"),
        (f'"model":"{"m" * 256}","messages":[1]', "model"),
        ('"model":"a\\nb","messages":[1]', "model"),
        ('"model":"a\\u0000","messages":[1]', "model"),
        ('"model":"a\\u202eb","messages":[1]', "model"),
        ('"model":"m","messages":[]', "messages"),
        ('"model":"m","messages":[ \\n ]'.replace("\\n", "\n"), "messages"),
        ('"model":"m","messages":{}', "messages"),
        ('"model":"m","messages":"[1]"', "messages"),
        ('"model":"m","messages":null', "messages"),
        ('"model":"m","messages":[1],"stream":"true"', "stream"),
        ('"model":"m","messages":[1],"stream":1', "stream"),
        ('"model":"m","messages":[1],"stream_options":[]', "stream_options"),
        ('"model":"m","messages":[1],"stream_options":{"include_usage":"yes"}', "stream_options"),
        ('"model":"m","messages":[1],"user":7', "user"),
        ('"model":"m","messages":[1],"safety_identifier":{}', "safety_identifier"),
        ('"model":"m","messages":[1],"store":"no"', "store"),
        ('"model":"m","messages":[1],"max_tokens":-1', "max_tokens"),
        ('"model":"m","messages":[1],"max_tokens":1.5', "max_tokens"),
        ('"model":"m","messages":[1],"max_tokens":"5"', "max_tokens"),
        ('"model":"m","messages":[1],"max_tokens":2147483648', "max_tokens"),
        ('"model":"m","messages":[1],"max_tokens":1e400', "max_tokens"),
        (f'"model":"m","messages":[1],"max_tokens":{"9" * 5000}', "max_tokens"),
        ('"model":"m","messages":[1],"max_completion_tokens":-1', "max_completion_tokens"),
        ('"model":"m","messages":[1],"n":0', "n"),
        ('"model":"m","messages":[1],"n":129', "n"),
        ('"model":"m","messages":[1],"tools":{}', "tools"),
        ('"model":"m","messages":[1],"tools":["x"]', "tools"),
        ('"model":"m","messages":[1],"tool_choice":1', "tool_choice"),
        ('"model":"m","messages":[1],"metadata":[]', "metadata"),
        ('"model":"m","messages":[1],"metadata":{"a":1e400}', "metadata"),
    ],
)
def test_a_field_that_is_missing_or_wrong_is_named(fields: str, param: str) -> None:
    refusal = refused("{" + fields + "}")
    assert refusal.param == param
    assert refusal.message.startswith(param)


@pytest.mark.parametrize(
    "name", ["stream", "stream_options", "user", "store", "max_tokens", "max_completion_tokens", "n", "tools",
             "tool_choice", "metadata", "safety_identifier"],
)  # fmt: skip
def test_null_stands_for_a_field_that_was_not_sent(name: str) -> None:
    assert read_chat(body(**{name: None})).stream is False


def test_what_the_call_is_about_is_read() -> None:
    text = body(model="openai/gpt-4o", stream=True, stream_options={"include_usage": True})
    request = read_chat(text)
    assert (request.model, request.stream, request.usage_wanted, request.size) == (
        "openai/gpt-4o", True, True, len(text),
    )  # fmt: skip


def test_usage_is_wanted_only_when_it_is_asked_for() -> None:
    assert not read_chat(body(stream=True)).usage_wanted
    assert not read_chat(body(stream=True, stream_options={})).usage_wanted
    assert not read_chat(body(stream=True, stream_options={"include_usage": False})).usage_wanted


# Keys that stand twice.


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        ('{"model":"m","messages":[1],"model":"m"}', "model"),
        ('{"model":"m","model":"n","messages":[1]}', "model"),
        ('{"model":"m","model":"m","messages":[1]}', "model"),
        ('{"messages":[1],"model":"m","messages":[1]}', "messages"),
        ('{"messages":[1],"model":"m","messages":[2]}', "messages"),
        ('{ "model" : "m" , "messages" : [1] , "model" : "m" }', "model"),
        ('{"a":1,"model":"m","messages":[1],"a":12}', "a"),
        ('{"a":12,"model":"m","messages":[1],"a":1}', "a"),
        ('{"a":"}","model":"m","messages":[1],"a":"}"}', "a"),
        ('{"":1,"model":"m","messages":[1],"":1}', ""),
        ('{"model":"m","messages":[1],"é":1,"\\u00e9":1}', "é"),
        ('{"model":"m","messages":[1],"m\\u006fdel":"n"}', "model"),
        ('{"m\\u006fdel":"m","messages":[1],"\\u006dodel":"n"}', "model"),
        ('{"model":"m","messages":[1],"a\\/b":1,"a/b":2}', "a/b"),
        ('{"model":"m","messages":[1],"\\ud83d\\ude00":1,"😀":1}', "😀"),
        ('{"model":"m","messages":[1],"a\\"b":1,"a\\u0022b":1}', 'a"b'),
        ('{"model":"m","messages":[1],"\\\\":1,"\\u005c":1}', "\\"),
    ],
)
def test_a_key_that_stands_twice_is_refused_in_any_spelling(text: str, twice: str) -> None:
    assert repr(twice) in refused(text).message


def test_keys_that_only_look_alike_are_two() -> None:
    assert written('{"model":"m","messages":[1],"mode":2,"model ":3,"e\u0301":4,"é":5,"É":6}') == {
        "model": "served", "messages": [1], "stream": False, "mode": 2, "model ": 3, "e\u0301": 4, "é": 5, "É": 6,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["Model", "MODEL", "Stream", "\u017ftream", "Tools", "Metadata", "N", "\\u0055ser"])
def test_a_key_that_a_careless_parser_would_take_for_one_of_ours_is_refused(name: str) -> None:
    assert "must be written" in refused(f'{{"model":"m","messages":[1],"{name}":1}}').message


def test_a_key_may_stand_twice_below_the_top_level() -> None:
    messages = '[{"role":"user","role":"user","content":"hi"}]'
    request = read_chat(f'{{"model":"m","messages":{messages}}}'.encode())
    text = write_upstream(request, model="m", user=None, shared_account=False)
    assert raw_field(text, "messages") == messages.encode()


@pytest.mark.parametrize("key", ["a" * 2_000_000, "\\n" * 1_000_000, "é" * 1_000_000])
def test_a_key_of_megabytes_costs_no_more_than_its_size(key: str) -> None:
    assert len(written(f'{{"model":"m", "messages":[1], "{key}":1}}')) == 4


keys = st.one_of(
    st.sampled_from(["model", "messages", "temperature", "a", "b", "", "é", "a b", 'q"', "\\", "😀", "\x1f", "\x7f"]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
).filter(lambda name: name in WRITTEN_ANEW | {"messages"} or name.casefold() not in WRITTEN_ANEW | {"messages"})
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)  # fmt: skip


@st.composite
def spelled(draw: st.DrawFn, text: str) -> str:
    """A string as JSON, each character in any of its spellings."""
    written_as = []
    for letter in text:
        plain = json.dumps(letter, ensure_ascii=False)[1:-1]
        escaped = "".join(f"\\u{unit:04x}" for unit in _units(letter))
        written_as.append(draw(st.sampled_from([plain, plain, escaped, escaped.upper().replace("\\U", "\\u")])))
    return '"' + "".join(written_as) + '"'


def _units(letter: str) -> list[int]:
    encoded = letter.encode("utf-16-be")
    return [int.from_bytes(encoded[place : place + 2], "big") for place in range(0, len(encoded), 2)]


@st.composite
def objects(draw: st.DrawFn, *, twice: bool) -> tuple[bytes, dict[str, bytes]]:
    """A body in any order and spacing, and its values' bytes by key; with `twice` some key stands twice."""
    fields: dict[str, Any] = draw(st.dictionaries(keys, values, max_size=6))
    fields = {**fields, "model": "m", "messages": [draw(values)]}
    for name in WRITTEN_ANEW - {"model"}:
        fields.pop(name, None)
    names = draw(st.permutations(list(fields)))
    if twice:
        names.insert(draw(st.integers(0, len(names))), draw(st.sampled_from(names)))
    encoded = {name: json.dumps(fields[name], ensure_ascii=draw(st.booleans())) for name in fields}
    parts = []
    for name in names:
        value = encoded[name]
        if twice and names.count(name) > 1 and draw(st.booleans()):
            value = '"other"' if name == "model" else "[0]"
        before, between, after, end = (draw(SPACES) for _ in range(4))
        parts.append(f"{before}{draw(spelled(name))}{between}:{after}{value}{end}")
    text = draw(SPACES) + "{" + ",".join(parts) + "}" + draw(SPACES)
    return text.encode(), {name: value.encode() for name, value in encoded.items()}


@given(objects(twice=False))
def test_what_we_do_not_set_passes_on_byte_for_byte(case: tuple[bytes, dict[str, bytes]]) -> None:
    text, encoded = case
    result = write_upstream(read_chat(text), model="served", user=None, shared_account=False)
    passed = msgspec.json.decode(result, type=dict[str, msgspec.Raw])
    assert {name: bytes(raw) for name, raw in passed.items()} == {
        **encoded, "model": b'"served"', "stream": b"false",
    }  # fmt: skip


@given(objects(twice=True))
@example((b'{"model":"m","messages":[1],"a":1,"b":2,"a":1}', {}))
@example((b'{"a":1,"model":"m","messages":[1],"\\u0061":1}', {}))
def test_any_key_that_stands_twice_is_refused(case: tuple[bytes, dict[str, bytes]]) -> None:
    assert "more than once" in refused(case[0]).message


# What goes to the provider.


def test_the_model_is_the_one_that_the_provider_knows() -> None:
    assert written(body(model="my-alias"), model="gpt-4o")["model"] == "gpt-4o"


def test_the_end_user_is_told_by_pseudonym_in_both_fields_whatever_the_client_said() -> None:
    result = written(body(user="alice", safety_identifier="bob"), user="u_1")
    assert (result["user"], result["safety_identifier"]) == ("u_1", "u_1")
    result = written(body(), user="u_1")
    assert (result["user"], result["safety_identifier"]) == ("u_1", "u_1")


def test_without_an_end_user_the_client_names_none() -> None:
    result = written(body(user="alice", safety_identifier="bob"))
    assert "user" not in result
    assert "safety_identifier" not in result


def test_usage_is_always_asked_of_a_stream() -> None:
    assert written(body(stream=True))["stream_options"] == {"include_usage": True}
    assert written(body(stream=True, stream_options=None))["stream_options"] == {"include_usage": True}
    result = written(body(stream=True, stream_options={"include_usage": False, "include_obfuscation": False}))
    assert result["stream_options"] == {"include_usage": True, "include_obfuscation": False}


@pytest.mark.parametrize("stream", [False, None])
def test_options_of_a_stream_go_on_with_a_stream_only(stream: bool | None) -> None:
    result = written(body(stream=stream, stream_options={"include_usage": True}))
    assert "stream_options" not in result
    assert result["stream"] is False


@pytest.mark.parametrize(
    ("name", "sent", "goes_on"),
    [
        ("metadata", ' {"a" : 1, "a":2 }', b'{"a":2}'),
        ("tools", '[ {"type":"x","type":"function"} ]', b'[{"type":"function"}]'),
        ("tool_choice", '{"type":"x","type":"function"}', b'{"type":"function"}'),
        ("tool_choice", '"\\u0061uto"', b'"auto"'),
        ("max_tokens", "1e2", None),
        ("max_tokens", "0", b"0"),
        ("max_tokens", "100", b"100"),
        ("max_completion_tokens", "7", b"7"),
        ("n", "2", b"2"),
        ("metadata", f'{{"a":{10**40}}}', f'{{"a":{10**40}}}'.encode()),
    ],
)
def test_what_is_checked_is_written_anew(name: str, sent: str, goes_on: bytes | None) -> None:
    text = f'{{"model":"m","messages":[1],"{name}":{sent}}}'
    if goes_on is None:
        assert refused(text).param == name
    else:
        request = read_chat(text.encode())
        result = write_upstream(request, model="m", user=None, shared_account=False)
        assert raw_field(result, name) == goes_on


def test_unknown_fields_pass_on() -> None:
    assert written(body(temperature=0.25, seed=1, vendor_field={"x": [1]}))["vendor_field"] == {"x": [1]}


@pytest.mark.parametrize("text", [b"{}", b'{"input":"hi","model":null}'])
def test_a_model_that_only_the_provider_knows_is_left_out_and_never_asked_of_a_shared_account(text: bytes) -> None:
    request = read_request(text, JsonForm(content="input", optional=True, unnamed=True))
    assert request.model == "unnamed"
    assert b"model" not in request.upstream(model="unnamed", user=None, shared_account=False)
    with pytest.raises(Refused) as caught:
        request.upstream(model="unnamed", user=None, shared_account=True)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, "model")
