"""Bodies that clients send: broken, of the wrong types, too large, too deep, doubled; refused before anything else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.apps.gateway.wire import exchange, request
from tests.serving import ASK, MODEL, PROMPT_CANARY, Caller, Site, error_of
from tests.upstream import Upstream

MB = 1024 * 1024
ASKED = json.dumps(ASK).encode()
GOOD = b'{"model":"gpt-4o-mini","messages":' + ASKED + b"}"


@pytest.fixture(scope="module")
def module_caller(running_site: Site) -> Caller:
    return running_site.project(limits={"project": {"requests": 1, "per": "31d"}})


@pytest.fixture
def caller(site: Site, module_caller: Caller) -> Iterator[Caller]:
    """Whatever it sends here is refused before a limit, the ledger or the provider hear of it."""
    yield module_caller
    module_caller.assert_untouched()


def with_field(field: bytes) -> bytes:
    return GOOD[:-1] + b"," + field + b"}"


BROKEN = {
    "nothing": b"",
    "white space": b" \n\t",
    "no JSON": b"hello",
    "half of it": GOOD[: len(GOOD) // 2],
    "all but the last byte": GOOD[:-1],
    "one byte more": GOOD + b"}",
    "two documents": GOOD + GOOD,
    "an array": b"[" + GOOD + b"]",
    "a string": json.dumps(GOOD.decode()).encode(),
    "null": b"null",
    "a number": b"1",
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "bytes that are no UTF-8": with_field(b'"x":"\xff"'),
    "a surrogate in UTF-8": with_field(b'"x":"\xed\xa0\x80"'),
    "an overlong NUL": with_field(b'"x":"\xc0\x80"'),
    "half a surrogate pair": with_field(b'"x":"\\ud800"'),
    "half a surrogate pair in a key": with_field(b'"\\udc00":1'),
    "half a surrogate pair in metadata": with_field(b'"metadata":{"a":"\\ud800"}'),
    "a control character": with_field(b'"x":"\n"'),
    "NUL": with_field(b'"x":"\0"'),
    "single quotes": GOOD.replace(b'"', b"'"),
    "a trailing comma": GOOD[:-1] + b",}",
    "a comment": GOOD[:-1] + b"/* */}",
    "NaN": with_field(b'"temperature":NaN'),
    "Infinity": with_field(b'"temperature":-Infinity'),
    "a number with a leading zero": with_field(b'"x":01'),
    "a form": b"model=gpt-4o-mini&messages=hi",
    "deep arrays": with_field(b'"x":' + b"[" * 100_000 + b"]" * 100_000),
    "deep arrays without an end": with_field(b'"x":' + b"[" * 1_000_000),
    "deep objects": with_field(b'"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000),
    "deep messages": b'{"model":"gpt-4o-mini","messages":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "deep metadata": with_field(b'"metadata":{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "deep tools": with_field(b'"tools":[{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}]"),
    "a number without measure": with_field(b'"metadata":{"a":' + b"1" * 100_000 + b"}"),
    "an exponent without measure": with_field(b'"metadata":{"a":1e999999}'),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_body_is_refused(caller: Caller, kind: str) -> None:
    before = time.monotonic()
    answer = caller.send(BROKEN[kind])
    assert error_of(answer) == (400, "invalid_request")
    assert len(answer.content) < 1000
    assert time.monotonic() - before < 2


REPEATED = {
    "the model": with_field(b'"model":"gpt-4o"'),
    "the same model": with_field(b'"model":"gpt-4o-mini"'),
    "the model, escaped": with_field(b'"mod\\u0065l":"gpt-4o"'),
    "the model, first": b'{"model":"gpt-4o",' + GOOD[1:],
    "messages": with_field(b'"messages":[]'),
    "stream": with_field(b'"stream":false,"stream":true'),
    "tools": with_field(b'"tools":[],"tools":[{"type":"function"}]'),
    "the user": with_field(b'"user":"a","user":"b"'),
    "a field that we do not know": with_field(b'"x":1,"x":1'),
    "an empty name": with_field(b'"":1,"":2'),
    "a name beyond ASCII": with_field('"ä":1,"\\u00e4":1'.encode()),
    "with spaces between": b' {\n "model" : "a" ,\t"messages":' + ASKED + b', "model":"gpt-4o-mini" } ',
}


@pytest.mark.parametrize("kind", REPEATED)
def test_a_field_that_stands_twice_is_refused(caller: Caller, kind: str) -> None:
    answer = caller.send(REPEATED[kind])
    assert error_of(answer) == (400, "invalid_request")
    assert "more than once" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "field",
    ["Model", "MODEL", "Messages", "STREAM", "\u017ftream", "Max_Tokens", "To\u212aens", "Tools", "User", "Store"],
)
def test_a_field_in_another_case_is_refused(caller: Caller, field: str) -> None:
    """Some providers read names without regard to case: `Model` would be another model than the one that was judged."""
    if field == "To\u212aens":
        field = "max_to\u212aens"
    answer = caller.send(with_field(json.dumps(field, ensure_ascii=False).encode() + b':"gpt-4o"'))
    assert error_of(answer) == (400, "invalid_request")


WRONG: dict[str, list[Any]] = {
    "model": [None, 1, [], {}, "", True, "x" * 256, "a\0b", "a\nb", "\u200b", "gpt-4o\u2028"],
    "messages": [None, [], {}, "hello", 1],
    "stream": ["true", 1, [], {}],
    "stream_options": ["x", 1, [], {"include_usage": "yes"}, {"include_usage": 1}],
    "user": [1, [], {}, True],
    "safety_identifier": [1, [], {}],
    "store": ["true", 1, []],
    "max_tokens": [-1, 1.5, "1", True, 2**31, 10**30, []],
    "max_completion_tokens": [-1, 1.5, "1", True, 2**31, []],
    "n": [0, -1, 129, 1.5, "1", True, 10**30],
    "tools": ["x", {}, [1], ["x"], [None], [[]]],
    "tool_choice": [1, [], True],
    "metadata": ["x", 1, []],
}


@pytest.mark.parametrize("field", WRONG)
def test_a_wrong_type_is_refused_naming_the_field(caller: Caller, field: str) -> None:
    for value in WRONG[field]:
        answer = caller.chat(**{field: value})
        assert error_of(answer) == (400, "invalid_request"), value
        assert answer.json()["error"]["param"] == field, value


@pytest.mark.parametrize("field", ["model", "messages"])
def test_a_missing_field_is_named(caller: Caller, field: str) -> None:
    body = {"model": MODEL, "messages": ASK}
    del body[field]
    answer = caller.ask("POST", "/v1/chat/completions", json=body)
    assert error_of(answer) == (400, "invalid_request")
    assert answer.json()["error"]["param"] == field


def test_a_refusal_does_not_repeat_the_prompt(caller: Caller) -> None:
    for body in (
        {"model": MODEL, "messages": PROMPT_CANARY},
        {"model": MODEL, "messages": [{"role": "user", "content": PROMPT_CANARY}], "n": PROMPT_CANARY},
    ):
        assert PROMPT_CANARY not in caller.ask("POST", "/v1/chat/completions", json=body).text


def test_a_body_that_is_announced_as_too_large_is_not_waited_for(caller: Caller) -> None:
    key = (b"authorization", b"Bearer " + caller.key.encode())
    head = request("/v1/chat/completions", [key, (b"content-length", b"%d" % (100 * MB))], method="POST")
    answer = exchange(caller.site.installation.port, head)
    assert (answer.status, answer.sent) == (413, len(head))
    assert b'"code":"request_too_large"' in answer.body


def test_a_body_that_grows_too_large_is_cut_short(caller: Caller) -> None:
    key = (b"authorization", b"Bearer " + caller.key.encode())

    def pieces() -> Iterator[bytes]:
        yield request("/v1/chat/completions", [key, (b"transfer-encoding", b"chunked")], method="POST")
        piece = b" " * MB
        for _ in range(100):
            yield b"%x\r\n%b\r\n" % (len(piece), piece)

    answer = exchange(caller.site.installation.port, pieces())
    assert answer.status == 413
    assert b'"code":"request_too_large"' in answer.body
    assert answer.sent < 50 * MB


def test_nobody_unknown_gets_to_send_a_large_body(site: Site, upstream: Upstream) -> None:
    head = request("/v1/chat/completions", [(b"content-length", b"%d" % (100 * MB))], method="POST")
    answer = exchange(site.installation.port, [head, *([b" " * MB] * 100)])
    assert answer.status == 401
    assert answer.sent < 50 * MB


def test_a_large_body_below_the_limit_passes(site: Site, upstream: Upstream) -> None:
    caller = site.project()
    text = "x" * (8 * MB)
    assert caller.chat(messages=[{"role": "user", "content": text}]).status_code == 200
    assert upstream.requests[0].json["messages"][0]["content"] == text


def test_an_unusual_body_that_is_right_passes(site: Site, upstream: Upstream) -> None:
    caller = site.project()
    for body in (
        b" \n{ \t" + GOOD[1:] + b"\r\n ",
        GOOD.replace(b'"model"', b'"mod\\u0065l"'),
        with_field(b'"stream":null,"max_tokens":null,"tools":null,"metadata":null,"user":null'),
        with_field(b'"metadata":{"big":18446744073709551617}'),
        with_field(b'"unknown":{"model":"inner","model":"twice"}'),
    ):
        assert caller.send(body).status_code == 200, body
    assert len(upstream.requests) == 5
    assert {record.json["model"] for record in upstream.requests} == {MODEL}
