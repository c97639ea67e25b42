"""Whatever a client sends at any door: refused with the contract's status and code before anything is touched, or
passed on as it came. Chat's own particulars are in `test_bodies`.
"""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from select import select
from typing import Any

import pytest

from bailiwick.services.doors import DOORS, Door
from tests.apps.gateway.doors.cases import BOUNDARY, BY_PATH, CASES, project
from tests.apps.gateway.wire import Answer, exchange, request
from tests.serving import Caller, Site
from tests.upstream import Upstream

KB, MB = 1024, 1024 * 1024
ONCE = {"project": {"requests": 1, "per": "31d"}}
# Whatever it is, it is decided in the time of a few passes over it.
PATIENCE = 3.0
EVERY = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
JSON_DOORS = [door for door in DOORS if door.body is not None]
FORM = BY_PATH["/audio/transcriptions"]


@pytest.fixture(scope="module")
def callers(running_site: Site) -> dict[str, Caller]:
    """For each door one, whose single place nothing here may take."""
    return {door.path: project(running_site, door, limits=ONCE) for door in DOORS}


def assert_refused(site: Site, caller: Caller, answer: Any, began: float, *, code: str = "invalid_request") -> None:
    assert error_of_any(answer) == ({"request_too_large": 413}.get(code, 400), code)
    assert time.monotonic() - began < PATIENCE
    caller.assert_untouched()
    assert site.upstream.requests == []


def error_of_any(answer: Any) -> tuple[int, str]:
    """In OpenAI's form and in Anthropic's."""
    document = answer.json()
    assert set(document) in ({"error"}, {"type", "error"})
    return answer.status_code, document["error"]["code"]


# JSON ----------------------------------------------------------------------------------------------------------------

FIELDS: Mapping[str, bytes] = {
    "a field twice": b'"x":1,"x":1',
    "the model twice": b'"model":"a-model"',
    "the model twice, spelled otherwise": b'"m\\u006fdel":"another"',
    "the model in another case": b'"Model":"another"',
    "NUL": b'"x":"\0"',
    "a lone surrogate": b'"x":"\\ud800"',
    "bytes that are no text": b'"x":"\xff"',
    "nesting without measure": b'"x":' + b"[" * 100_000 + b"]" * 100_000,
    "nesting without an end": b'"x":' + b'{"a":' * 200_000,
    "stream as a string": b'"stream":"true"',
    "stream as a number": b'"stream":1',
    "a negative maximum": b'"max_tokens":-1',
    "an absurd maximum": b'"max_tokens":2147483648',
    "a maximum without measure": b'"max_completion_tokens":1e400',
    "a maximum of many digits": b'"max_output_tokens":' + b"9" * 5000,
    "both maxima, one of them negative": b'"max_tokens":5,"max_completion_tokens":-5',
    "n of a thousand million": b'"n":1000000000',
    "n of none": b'"n":0',
    "n as a fraction": b'"n":1.5',
    "best_of without measure": b'"best_of":1000000000',
    "tools as an object": b'"tools":{}',
    "tools of ten thousand large ones": b'"tools":[' + b",".join([b'{"name":"%b"}' % (b"t" * 250)] * 10_000) + b"]",
    "a user that is no text": b'"user":{"a":1}',
    "metadata that is a list": b'"metadata":[]',
    "strings without number": b'"x":[' + b'"",' * 250_000 + b'""]',
    "fields without number": b",".join(b'"x%d":1' % place for place in range(1001)),
}


@pytest.mark.parametrize("kind", FIELDS)
@pytest.mark.parametrize("door", JSON_DOORS, ids=lambda door: door.path)
def test_a_field_that_is_wrong_is_refused(site: Site, callers: dict[str, Caller], door: Door, kind: str) -> None:
    caller, case, began = callers[door.path], CASES[door.path], time.monotonic()
    body = case.body()[:-1] + b"," + FIELDS[kind] + b"}"
    answer = caller.ask("POST", f"/v1{door.path}", content=body, headers={"content-type": "application/json"})
    assert_refused(site, caller, answer, began)


@pytest.mark.parametrize("door", JSON_DOORS, ids=lambda door: door.path)
def test_what_the_door_is_about_must_stand_once(site: Site, callers: dict[str, Caller], door: Door) -> None:
    caller, case = callers[door.path], CASES[door.path]
    assert door.body is not None
    again = json.dumps({door.body.content: case.fields[door.body.content]}).encode()
    bodies = [case.body()[:-1] + b"," + again[1:], again[:-1] + b"," + case.body()[1:]]
    if not door.body.optional:
        bodies.append(json.dumps({"model": "a-model", door.body.content: None}).encode())
    if door.body.conversation:
        bodies.extend(
            json.dumps({"model": "a-model", door.body.content: content}).encode() for content in ([], {}, "hi", 7)
        )
    for body in bodies:
        began = time.monotonic()
        answer = caller.ask("POST", f"/v1{door.path}", content=body, headers={"content-type": "application/json"})
        assert_refused(site, caller, answer, began)


@pytest.mark.parametrize("door", JSON_DOORS, ids=lambda door: door.path)
def test_what_is_unusual_and_right_passes_on(site: Site, upstream: Upstream, door: Door) -> None:
    case, caller = CASES[door.path], project(site, door)
    upstream.on(f"/v1{door.path}", case.behaviour)
    tools = [{"type": "function", "name": f"t{place}", "description": "d" * 100} for place in range(10_000)]
    unusual = {
        "max_tokens": 5, "max_completion_tokens": 2**31 - 1, "max_output_tokens": 0, "n": 128, "best_of": 128,
        "tools": tools, "tool_choice": {"type": "none"}, "x": {"model": "inner", "deep": [[[[[]]]]]},
    }  # fmt: skip
    body = json.dumps({"model": "a-model", **case.fields, **unusual}).encode()
    answer = caller.ask("POST", f"/v1{door.path}", content=body, headers={"content-type": "text/plain"})
    assert answer.status_code == 200, answer.text
    assert upstream.requests[0].header("content-type") == "application/json"
    seen = upstream.requests[0].json
    assert {name: seen[name] for name in unusual} == unusual


PRIVATE = "http://127.0.0.1:{port}/canary.png"
PICTURES = {
    "/chat/completions": {"type": "image_url", "image_url": {"url": PRIVATE}},
    "/responses": {"type": "input_image", "image_url": PRIVATE},
    "/messages": {"type": "image", "source": {"type": "url", "url": PRIVATE}},
    "/moderations": {"type": "image_url", "image_url": {"url": PRIVATE}},
}


@pytest.mark.parametrize("path", PICTURES)
def test_a_picture_at_a_private_address_is_passed_on_and_never_fetched(
    site: Site, upstream: Upstream, path: str
) -> None:
    door, case = BY_PATH[path], CASES[path]
    caller = project(site, door)
    upstream.on(f"/v1{path}", case.behaviour)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        part = json.dumps(PICTURES[path]).replace("{port}", str(listener.getsockname()[1]))
        content = f"[{part}]" if path == "/moderations" else f'[{{"role": "user", "content": [{part}]}}]'
        assert door.body is not None
        more = {name: value for name, value in case.fields.items() if name != door.body.content}
        body = json.dumps({"model": "a-model", **more})[:-1] + f', "{door.body.content}": {content}}}'
        answer = caller.ask("POST", f"/v1{path}", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 200
        assert content.encode() in upstream.requests[0].body
        assert select([listener], [], [], 0.05)[0] == []


# Forms ---------------------------------------------------------------------------------------------------------------


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


FILE = part("file", b"\x00\xff" * 50, '; filename="a.mp3"')
MODEL = part("model", b"a-model")
BEGUN = FILE + MODEL + f"--{BOUNDARY}\r\n".encode()
END = f"--{BOUNDARY}--\r\n".encode()
FORMS: Mapping[str, bytes | Callable[[], bytes]] = {
    "nothing": b"",
    "a million parts": lambda: FILE + MODEL + part("a", b"") * (20 * MB // len(part("a", b""))) + END,
    "a hundred thousand fields": lambda: (
        FILE + MODEL + b"".join(part(f"f{place}", b"x") for place in range(100_000)) + END
    ),
    "a part's header without an end": lambda: BEGUN + b"X-A: " + b"a" * 20 * MB,
    "a header's name without an end": lambda: BEGUN + b"a" * 20 * MB,
    "headers without number": lambda: BEGUN + b"X-A: b\r\n" * (2 * MB),
    "no end": FILE + MODEL,
    "no end of the file": lambda: MODEL + part("file", b"\x00" * 10 * MB, '; filename="a.mp3"'),
    "half of the last boundary": (FILE + MODEL + END)[:-6],
    "another boundary than announced": (FILE + MODEL + END).replace(BOUNDARY.encode(), b"another"),
    "something before the first part": lambda: b"x" * 20 * MB + b"\r\n" + FILE + MODEL + END,
    "something behind the last part": lambda: FILE + MODEL + END + b"x" * 20 * MB,
    "parts behind the last part": FILE + MODEL + END + MODEL * 1000 + END,
    "the file twice": FILE + FILE + MODEL + END,
    "the file as a field": part("file", b"abc") + MODEL + END,
    "the file missing": MODEL + END,
    "the model twice": FILE + MODEL + MODEL + END,
    "the model in another case": FILE + MODEL + part("Model", b"another") + END,
    "the model as a file": FILE + part("model", b"a-model", '; filename="m"') + END,
    "the model missing": FILE + END,
    "an empty model": FILE + part("model", b"") + END,
    "a model without measure": lambda: FILE + part("model", b"m" * 20 * MB) + END,
    "a model that is no text": FILE + part("model", b"\xff") + END,
    "a model with NUL": FILE + part("model", b"a\0b") + END,
    "stream as a word": FILE + MODEL + part("stream", b"maybe") + END,
    "stream twice": FILE + MODEL + part("stream", b"true") + part("stream", b"false") + END,
    "a part without a name": BEGUN + b"\r\nx\r\n" + END,
    "a part with two names": BEGUN + b'Content-Disposition: form-data; name="a"\r\n' * 2 + b"\r\nx\r\n" + END,
    "a part of another kind": BEGUN + b'Content-Disposition: attachment; name="a"\r\n\r\nx\r\n' + END,
    "JSON": b'{"model":"a-model","file":"x"}',
}


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_that_is_wrong_is_refused(site: Site, callers: dict[str, Caller], kind: str) -> None:
    caller, case, began = callers[FORM.path], CASES[FORM.path], time.monotonic()
    headers, form = {"content-type": case.request_type}, FORMS[kind]
    content = form if isinstance(form, bytes) else form()  # the large ones are made when they are asked for
    answer = caller.ask("POST", f"/v1{FORM.path}", content=content, headers=headers)
    assert_refused(site, caller, answer, began)


@pytest.mark.parametrize(
    "kind",
    ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=x",
     "multipart/form-data; boundary=" + "b" * 20_000, "text/plain"],
)  # fmt: skip
def test_a_form_of_another_type_is_refused(site: Site, callers: dict[str, Caller], kind: str) -> None:
    caller, began = callers[FORM.path], time.monotonic()
    answer = caller.ask("POST", f"/v1{FORM.path}", content=FILE + MODEL + END, headers={"content-type": kind})
    assert_refused(site, caller, answer, began)


def test_a_form_with_what_only_looks_like_boundaries_passes_on(site: Site, upstream: Upstream) -> None:
    caller, case = project(site, FORM), CASES[FORM.path]
    upstream.on(f"/v1{FORM.path}", case.behaviour)
    sound = (f"\r\n--{BOUNDARY[:-1]}\r\r\n--" * 1000).encode()
    several = part("timestamp_granularities[]", b"word") + part("timestamp_granularities[]", b"segment")
    body = MODEL + several + part("file", sound, '; filename="--x.mp3"') + END
    answer = caller.ask("POST", f"/v1{FORM.path}", content=body, headers={"content-type": case.request_type})
    assert answer.status_code == 200
    assert upstream.requests[0].body == body


# Any body, at every door ---------------------------------------------------------------------------------------------


def raw(
    caller: Caller, door: Door, headers: list[tuple[bytes, bytes]], pieces: Iterator[bytes] | None = None
) -> Answer:
    key = (b"authorization", b"Bearer " + caller.key.encode())
    kind = (b"content-type", CASES[door.path].request_type.encode())
    head = request(f"/v1{door.path}", [key, kind, *headers], method="POST")
    return exchange(caller.site.installation.port, [head, *(pieces or ())])


@EVERY
def test_a_body_of_100_mb_is_refused_when_it_is_announced(callers: dict[str, Caller], site: Site, door: Door) -> None:
    answer = raw(callers[door.path], door, [(b"content-length", b"%d" % (100 * MB))])
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (413, "request_too_large")
    callers[door.path].assert_untouched()


@EVERY
def test_a_body_of_100_mb_is_cut_short_when_it_is_not(callers: dict[str, Caller], site: Site, door: Door) -> None:
    def pieces() -> Iterator[bytes]:
        piece = b"%x\r\n%b\r\n" % (MB, b" " * MB)
        for _ in range(100):
            yield piece

    answer = raw(callers[door.path], door, [(b"transfer-encoding", b"chunked")], pieces())
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (413, "request_too_large")
    assert answer.sent < 50 * MB
    callers[door.path].assert_untouched()


@EVERY
def test_a_head_of_200_kb_is_refused(callers: dict[str, Caller], site: Site, door: Door) -> None:
    answer = raw(callers[door.path], door, [(b"x-a", b"a" * 200 * KB)])
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (431, "request_too_large")
    callers[door.path].assert_untouched()


@EVERY
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
def test_what_is_packed_is_not_unpacked(callers: dict[str, Caller], site: Site, door: Door, encoding: str) -> None:
    caller, case, began = callers[door.path], CASES[door.path], time.monotonic()
    bomb = gzip.compress(case.body() + b" " * 4 * MB)
    headers = {"content-type": case.request_type, "content-encoding": encoding}
    answer = caller.ask("POST", f"/v1{door.path}", content=bomb, headers=headers)
    assert_refused(site, caller, answer, began)


@EVERY
def test_bytes_that_are_packed_and_do_not_say_so_are_no_body(
    callers: dict[str, Caller], site: Site, door: Door
) -> None:
    caller, case, began = callers[door.path], CASES[door.path], time.monotonic()
    headers = {"content-type": case.request_type}
    answer = caller.ask("POST", f"/v1{door.path}", content=gzip.compress(case.body()), headers=headers)
    assert_refused(site, caller, answer, began)


@EVERY
def test_an_empty_body_is_refused(callers: dict[str, Caller], site: Site, door: Door) -> None:
    caller, began = callers[door.path], time.monotonic()
    answer = caller.ask("POST", f"/v1{door.path}", headers={"content-type": CASES[door.path].request_type})
    assert_refused(site, caller, answer, began)


@EVERY
def test_after_all_that_the_doors_one_place_is_still_free(callers: dict[str, Caller], site: Site, door: Door) -> None:
    site.upstream.on(f"/v1{door.path}", CASES[door.path].behaviour)
    assert CASES[door.path].ask(door, callers[door.path]).status_code == 200
    assert len(callers[door.path].rows) == 1
