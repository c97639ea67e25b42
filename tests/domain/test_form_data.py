"""Forms: what two parsers could read as two requests is refused; what goes on is written anew from what was read."""

from __future__ import annotations

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.form_data import read_form

KIND = b"multipart/form-data; boundary=B"
NAMED = 'Content-Disposition: form-data; name="%s"'
FILE = (NAMED % "file" + '; filename="a.mp3"\r\nContent-Type: audio/mpeg', b"\x00\xff\r\n")
MODEL = (NAMED % "model", b"whisper-1")
CANONICAL = (
    b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
    b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\nContent-Type: audio/mpeg\r\n\r\n'
    b"\x00\xff\r\n\r\n--B--\r\n"
)


def form(*parts: tuple[str, bytes]) -> bytes:
    return b"".join(b"--B\r\n%b\r\n\r\n%b\r\n" % (head.encode(), value) for head, value in parts) + b"--B--\r\n"


def written(body: bytes, kind: bytes = KIND, *, model: str | None = None) -> bytes:
    request = read_form(body, kind)
    return request.upstream(model=model or request.model, user="u_1", shared_account=True)


AMBIGUOUS = {
    "a second name, extended": "name=\"zzz\"; name*=utf-8''model",
    "an extended name alone": "name*=utf-8''model",
    "a name twice": 'name="zzz"; name="model"',
    "a name twice, the other way round": 'name="model"; name="zzz"',
    "a name in two cases": 'name="zzz"; NAME="model"',
    "a file's name twice": 'name="zzz"; filename="a"; filename="b"',
    "an escape in a name": r'name="mod\el"',
    "a quote in a name": r'name="a\"; name=\"model"',
    "a space in a name": 'name=" model"',
    "a name of other letters": 'name="mödel"',
    "a name that says the encoding of all": 'name="_charset_"',
    "no name": "",
    "an empty name": 'name=""',
    "another parameter": 'name="zzz"; charset=utf-7',
    "a name in pieces": 'name*0="mo"; name*1="del"',
    "no end of a quote": 'name="model',
    "a comma": 'name="zzz", form-data; name="model"',
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_a_part_whose_name_can_be_read_in_two_ways_is_refused(kind: str) -> None:
    body = form((f"Content-Disposition: form-data; {AMBIGUOUS[kind]}", b"gpt-4o"), MODEL, FILE)
    with pytest.raises(Refused) as caught:
        read_form(body, KIND)
    assert caught.value.code is Code.INVALID_REQUEST


WRONG = {
    "two dispositions": form((NAMED % "zzz" + "\r\n" + NAMED % "model", b"gpt-4o"), MODEL, FILE),
    "an encoding of the value": form((MODEL[0] + "\r\nContent-Transfer-Encoding: base64", b"Z3B0LTRv"), FILE),
    "two types": form(MODEL, (FILE[0] + "\r\nContent-Type: text/plain", b"x")),
    "a form within": form(MODEL, (FILE[0].replace("audio/mpeg", "Multipart/mixed; boundary=C"), b"x")),
    "a list of models": form((NAMED % "model[]", b"gpt-4o"), MODEL, FILE),
    "a field of the model": form((NAMED % "Model.name", b"gpt-4o"), MODEL, FILE),
    "a second form behind the end": form(MODEL, FILE) + form(MODEL, FILE),
    "a boundary with other ends of lines": form(MODEL, FILE, (NAMED % "prompt", b"\n--B\n" + MODEL[0].encode())),
    "a boundary that goes on": form(MODEL, FILE, (NAMED % "prompt", b"x\r\n--BC\r\n\r\ngpt-4o")),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_form_that_can_be_read_in_two_ways_is_refused(kind: str) -> None:
    with pytest.raises(Refused):
        read_form(WRONG[kind], KIND)


@pytest.mark.parametrize(
    "kind",
    [
        b"multipart/form-data; boundary=X; boundary=B", b"multipart/form-data; boundary=B; boundary=X",
        b"multipart/form-data; boundary=B; boundary*=utf-8''X", b"multipart/form-data; boundary*=B",
        b"multipart/form-data; boundary=B, multipart/form-data; boundary=X", b"multipart/form-data boundary=B",
        b'multipart/form-data; boundary="B', b"multipart/form-data; BOUNDARY=X; boundary=B",
    ],
)  # fmt: skip
def test_a_boundary_that_can_be_read_in_two_ways_is_refused(kind: bytes) -> None:
    with pytest.raises(Refused):
        read_form(form(MODEL, FILE), kind)


SPELLINGS = {
    "browsers, the openai packages, Go": FILE[0],
    ".NET": FILE[0].replace('"', "").replace("a.mp3", "a.mp3; filename*=utf-8''a.mp3"),
    "aiohttp": 'content-type: audio/mpeg\r\nCONTENT-DISPOSITION: Form-Data; name="file"; filename="a.mp3"',
    "Apache's": FILE[0] + "\r\nContent-Transfer-Encoding: binary",
    "OkHttp of old": FILE[0] + "\r\nContent-Length: 4",
    "without spaces": 'Content-Disposition:form-data;name="file";filename="a.mp3"\r\nContent-Type:audio/mpeg',
    "headers that mean nothing": FILE[0] + "\r\nX-Model: gpt-4o\r\nContent-ID: <1>",
}  # fmt: skip


@pytest.mark.parametrize("client", SPELLINGS)
def test_however_a_client_spells_a_form_it_goes_on_in_one_way(client: str) -> None:
    body = form(MODEL, (SPELLINGS[client], FILE[1]))
    assert written(body) == written(body, b'Multipart/Form-Data; charset=utf-8; boundary="B"') == CANONICAL


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ('filename="é \U0001f98a.mp3"', "é \U0001f98a.mp3"), ("filename*=UTF-8''%c3%A9%22.mp3", "é_.mp3"),
        ('filename="C:\\dir\\a\\".mp3"', "C:_dir_a__.mp3"), ('filename=""', ""), ('filename="a%22b.mp3"', "a%22b.mp3"),
        ('filename="a.mp3"; filename*=utf-8\'\'b.mp3', "a.mp3"), (f'filename="{"a" * 300}.mp3"', "a" * 251 + ".mp3"),
    ],
)  # fmt: skip
def test_a_files_name_goes_on_as_one_that_all_read_alike(told: str, name: str) -> None:
    body = form(MODEL, (f'Content-Disposition: form-data; name="file"; {told}', b"x"))
    assert f'; name="file"; filename="{name}"\r\n\r\nx\r\n'.encode() in written(body)


def test_a_client_names_no_end_user_and_no_type_of_what_we_read() -> None:
    named = [(NAMED % name, b"mallory") for name in ("user", "safety_identifier")]
    body = form(named[0], (MODEL[0] + "\r\nContent-Type: text/plain; charset=utf-16", MODEL[1]), named[1], FILE)
    assert written(body) == CANONICAL


@given(st.lists(st.tuples(st.sampled_from(["a", "b[]", "prompt"]), st.binary(max_size=9)), max_size=3), st.text())
def test_all_fields_go_on_byte_for_byte(fields: list[tuple[str, bytes]], filename: str) -> None:
    files = {"file": (filename or "a", b"\x00\r\n-", "audio/mpeg")}
    sent = [(name, (None, value)) for name, value in [("model", b"fast"), *fields]]
    request = httpx2.Request("POST", "http://a", files=[*files.items(), *sent])
    body, kind = request.read(), request.headers["content-type"].encode()
    assert read_form(body, kind).model == "fast"
    anew = read_form(body, kind).upstream(model="slow", user=None, shared_account=False)
    assert anew.partition(b'name="model"')[2] == body.replace(b"fast", b"slow", 1).partition(b'name="model"')[2]
    assert anew.count(b"\r\n--") == body.count(b"\r\n--")
