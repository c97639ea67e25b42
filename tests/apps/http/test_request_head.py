"""The headers of a request: read once, and refused when two readers could read two things."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.apps.http.request_head import RequestHead, announced_length, bound_head, read_head
from bailiwick.domain.errors import Code, Refused

Headers = list[tuple[bytes, bytes]]
BEARER = (b"authorization", b"Bearer secret")
TENANT_ID, PROJECT_ID = b"ten_01hf7qxkw0000000000000000a", b"prj_01hf7qxkw0000000000000000a"


def refused(*headers: tuple[bytes, bytes]) -> Refused:
    with pytest.raises(Refused) as caught:
        read_head(headers)
    assert caught.value.status == 400
    assert b"secret" not in caught.value.message.encode()
    return caught.value


def test_no_headers_say_nothing() -> None:
    assert read_head([]) == RequestHead()


@pytest.mark.parametrize(
    ("value", "credential"),
    [
        (b"Bearer secret", "secret"),
        (b"bearer secret", "secret"),
        (b"BEARER secret", "secret"),
        # All of these are credentials that cannot be valid.
        (b"Basic secret", ""),
        (b"secret", ""),
        (b"Bearer", ""),
        (b"Bearer ", ""),
        (b"", ""),
        (b"Bearer  secret", " secret"),
        (b"Bearer secret ", "secret"),
        (b"\tBearer secret \t", "secret"),
        (b"Bearer a b", "a b"),
        (b"Bearer \xff\xfe", "\xff\xfe"),
        (b"Bearer\tsecret", ""),
    ],
)
def test_the_authorization_header_holds_the_credential(value: bytes, credential: str) -> None:
    assert read_head([(b"authorization", value)]).credential == credential


def test_the_api_key_header_holds_it_as_it_is() -> None:
    assert read_head([(b"x-api-key", b"secret")]).credential == "secret"
    assert read_head([(b"x-api-key", b"")]).credential == ""


@pytest.mark.parametrize(
    "headers",
    [
        [BEARER, BEARER],
        [BEARER, (b"authorization", b"Bearer other secret")],
        [BEARER, (b"authorization", b"")],
        [(b"authorization", b""), BEARER],
        [(b"x-api-key", b"secret"), (b"x-api-key", b"secret")],
        [BEARER, (b"x-api-key", b"secret")],
        [(b"x-api-key", b""), BEARER],
        [(b"authorization", b"Basic secret"), (b"x-api-key", b"secret")],
    ],
)
def test_two_credentials_are_ambiguous_even_if_they_agree(headers: Headers) -> None:
    assert refused(*headers).code is Code.AMBIGUOUS_CREDENTIALS


@pytest.mark.parametrize("name", [b"x-end-user-id", b"x-session-id", b"x-org-id", b"x-tenant-id", b"x-project-id"])
@pytest.mark.parametrize("second", [b"a", b"b"])
def test_an_identity_that_is_sent_twice_is_refused_even_if_both_agree(name: bytes, second: bytes) -> None:
    assert refused((name, b"a"), (name, second)).code is Code.INVALID_REQUEST


@pytest.mark.parametrize("name", [b"openai-organization", b"openai-project"])
def test_an_id_of_ours_in_a_header_of_openais_is_an_identity_too(name: bytes) -> None:
    ours = TENANT_ID if name == b"openai-organization" else PROJECT_ID
    head = read_head([(name, ours)])
    assert ours.decode() in (head.organization, head.project)
    assert refused((name, ours), (name, ours)).code is Code.INVALID_REQUEST


@pytest.mark.parametrize("name", [b"openai-organization", b"openai-project"])
@pytest.mark.parametrize("value", [b"org-abc", b"proj_abc", b"", b"TEN_x", b"\x00"])
def test_anything_else_in_a_header_of_openais_is_not_looked_at(name: bytes, value: bytes) -> None:
    assert read_head([(name, value), (name, value)]) == RequestHead()


def test_headers_that_name_the_same_organization_or_project_agree() -> None:
    head = read_head([
        (b"x-org-id", TENANT_ID), (b"x-tenant-id", TENANT_ID), (b"openai-organization", TENANT_ID),
        (b"x-project-id", PROJECT_ID), (b"openai-project", PROJECT_ID),
    ])  # fmt: skip
    assert (head.organization, head.project) == (TENANT_ID.decode(), PROJECT_ID.decode())


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-org-id", TENANT_ID), (b"x-tenant-id", b"ten_other")],
        [(b"x-org-id", b"a"), (b"openai-organization", TENANT_ID)],
        [(b"x-project-id", PROJECT_ID), (b"openai-project", b"prj_other")],
    ],
)
def test_headers_that_name_two_are_refused(headers: Headers) -> None:
    assert refused(*headers).code is Code.INVALID_REQUEST


@pytest.mark.parametrize("name", [b"x-end-user-id", b"x-session-id", b"x-org-id", b"x-project-id"])
@pytest.mark.parametrize("value", [b"", b"a\x00", b"a\x7f", b"\xff", "\x85".encode(), b"a" * 256])
def test_an_identity_that_is_no_identifier_is_refused_and_named(name: bytes, value: bytes) -> None:
    assert (refused((name, value)).param or "").lower().encode() == name


def test_end_user_and_session_are_taken_byte_for_byte() -> None:
    head = read_head([(b"x-end-user-id", "Ünï Ço%_\\".encode()), (b"x-session-id", b"a" * 255)])
    assert (head.uid, head.sid) == ("Ünï Ço%_\\", "a" * 255)


@pytest.mark.parametrize("sent", [b"alice ", b"alice\t", b" \talice\t ", b"alice"])
def test_blanks_around_a_value_are_no_part_of_it(sent: bytes) -> None:
    names = [b"x-end-user-id", b"x-session-id", b"x-org-id", b"x-project-id", b"x-api-key", b"host"]
    head = read_head([(name, sent) for name in names])
    assert {head.uid, head.sid, head.organization, head.project, head.credential, head.host.decode()} == {"alice"}
    assert announced_length([(b"content-length", sent.replace(b"alice", b"17"))]) == 17


@pytest.mark.parametrize("value", [b" ", b"\t", b" \t "])
def test_an_identity_of_blanks_is_an_empty_one(value: bytes) -> None:
    assert refused((b"x-end-user-id", value)).param == "X-End-User-Id"


@pytest.mark.parametrize("uid", ["a b", "a\u00a0", "\u3000a", "a\u200b"])
def test_other_blanks_are_part_of_an_identity(uid: str) -> None:
    assert read_head([(b"x-end-user-id", uid.encode())]).uid == uid


def test_a_host_that_is_sent_twice_is_refused() -> None:
    assert read_head([(b"host", b"app.example.com")]).host == b"app.example.com"
    assert refused((b"host", b"a"), (b"host", b"a")).code is Code.INVALID_REQUEST


@pytest.mark.parametrize(
    ("value", "length"), [(b"0", 0), (b"17", 17), (b"", None), (b"-1", None), (b"1e3", None), (b"+1", None)]
)
def test_the_announced_length_is_a_whole_number(value: bytes, length: int | None) -> None:
    assert announced_length([(b"content-length", value)]) == length


def test_an_announced_length_of_thousands_of_digits_is_more_than_anything() -> None:
    length = announced_length([(b"content-length", b"9" * 5000)])
    assert length is not None
    assert length > 1 << 40


def test_other_headers_are_not_looked_at() -> None:
    others = [(b"x-request-id", b"mine"), (b"cookie", b"authorization=Bearer secret"), (b"x-forwarded-for", b"\xff")]
    assert read_head([*others, *others]) == RequestHead()


NAMES = st.sampled_from([
    b"authorization", b"x-api-key", b"x-end-user-id", b"x-session-id", b"content-length", b"host", b"x-org-id",
    b"x-tenant-id", b"openai-organization", b"x-project-id", b"openai-project", b"accept",
])  # fmt: skip


@given(st.lists(st.tuples(NAMES, st.binary(max_size=20) | st.sampled_from([TENANT_ID, PROJECT_ID, b"a"])), max_size=6))
def test_any_headers_are_read_or_refused(headers: Headers) -> None:
    try:
        head = read_head(headers)
    except Refused as refusal:
        # Whatever is repeated, contradictory or malformed; never anything else.
        assert refusal.code in (Code.INVALID_REQUEST, Code.AMBIGUOUS_CREDENTIALS)  # noqa: PT017 - it need not be raised
        return
    names = [name for name, _ in headers]
    assert names.count(b"authorization") + names.count(b"x-api-key") == (head.credential is not None)
    assert names.count(b"x-end-user-id") == (head.uid is not None)


@pytest.mark.parametrize(("size", "refusal"), [(99, False), (100, False), (101, True)])
def test_headers_may_have_a_size(size: int, refusal: bool) -> None:
    headers = [(b"a" * 10, b"b" * (size - 20)), (b"c" * 10, b"")]
    if refusal:
        with pytest.raises(Refused) as caught:
            bound_head(headers, 100)
        assert (caught.value.code, caught.value.status) == (Code.REQUEST_TOO_LARGE, 431)
    else:
        bound_head(headers, 100)
