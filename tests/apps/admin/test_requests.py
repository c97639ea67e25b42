"""Whatever can be wrong with a request: each with its status and code, and nothing of ours in the answer."""

from __future__ import annotations

import asyncio
import json
import re

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bailiwick.apps.admin.body import MAX_BODY
from tests.control import UNKNOWN, Control, controlled
from tests.database import TestDatabase

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b'{"name": "A"} x',
        b"{'name': 'A'}",
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": "A", "name": "B"}',
        b'{"name": "A", "limits": {"a": 1, "a": 2}}',
        b'\xff{"name": "A"}',
        b'{"name": "\xff"}',
        b'\xef\xbb\xbf{"name": "A"}',
        '{"name": "A"}'.encode("utf-16"),
        b'{"name": ' + b"1" * 5000 + b"}",
        b"[" * 20_000,
        b"[" * 40 + b"]" * 40,
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b" ",
    ],
)
async def test_a_body_that_is_no_json_is_400(control: Control, body: bytes) -> None:
    for method, path in (("POST", "/tenants"), ("PATCH", f"/tenants/{UNKNOWN['ten']}")):
        status, problem = await control.refused(method, path, content=body, headers=JSON)
        assert (status, problem["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "", None]
)
async def test_another_media_type_is_415(control: Control, content_type: str | None) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    status, problem = await control.refused("POST", "/tenants", content=b'{"name": "A"}', headers=headers)
    assert (status, problem["code"]) == (415, "invalid_request")


async def test_a_merge_patch_may_say_that_it_is_one(control: Control) -> None:
    tenant = await control.tenant()
    headers = {"content-type": "application/merge-patch+json; charset=utf-8"}
    path = f"/tenants/{tenant['id']}"
    assert (await control.ask("PATCH", path, content=b'{"name": "B"}', headers=headers)).status_code == 200
    assert (await control.ask("POST", "/tenants", content=b'{"name": "B"}', headers=headers)).status_code == 415


async def test_a_body_over_one_mebibyte_is_413(control: Control) -> None:
    padding = b" " * (MAX_BODY - len(b'{"name": "A"}'))
    assert (await control.ask("POST", "/tenants", content=b'{"name": "A"}' + padding, headers=JSON)).status_code == 201
    body = b'{"name": "A"}' + padding + b" "
    status, problem = await control.refused("POST", "/tenants", content=body, headers=JSON)
    assert (status, problem["code"]) == (413, "request_too_large")


@pytest.mark.parametrize("escaped", [r"\u0000", r"\ud800", r"\udfff", r"\ude00\ud83d"])
async def test_text_that_the_database_cannot_hold_is_422_wherever_it_stands(control: Control, escaped: str) -> None:
    project = await control.project()
    for path, template, field in (
        ("/tenants", '{"name": "a%sb"}', "name"),
        ("/tenants", '{"name": "A", "slug": "%s"}', "slug"),
        (f"/tenants/{project['tenant_id']}/projects", '{"name": "A", "aliases": {"x": ["%s"]}}', "aliases.x.0"),
        (f"/tenants/{project['tenant_id']}/projects", '{"name": "A", "aliases": {"%s": ["x"]}}', "aliases"),
        (f"/projects/{project['id']}/keys", '{"name": "A", "models": ["%s"]}', "models.0"),
        (f"/projects/{project['id']}/providers", '{"name": "a", "kind": "openai", "api_key": "%s"}', "api_key"),
    ):
        status, problem = await control.refused("POST", path, content=(template % escaped).encode(), headers=JSON)
        assert (status, [error["field"] for error in problem["errors"]]) == (422, [field])


async def test_a_pair_of_surrogates_is_a_character(control: Control) -> None:
    answer = await control.ask("POST", "/tenants", content=rb'{"name": "\ud83d\ude00"}', headers=JSON)
    assert answer.json()["name"] == "\U0001f600"


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        ({}, {"name": "is required"}),
        ({"name": "A", "nmae": "B"}, {"nmae": "unknown field"}),
        ({"name": "A", "id": "ten_x", "created_by": "me"}, {"id": "unknown field", "created_by": "unknown field"}),
        ({"name": ["A"]}, {"name": "must be a string"}),
        ({"name": True}, {"name": "must be a string"}),
        ({"name": "A", "status": "deleted"}, {"status": "must be one of 'active' or 'suspended'"}),
        ({"name": "A", "status": True}, {"status": "must be one of 'active' or 'suspended'"}),
        ({"name": "A", "slug": 5}, {"slug": "must be a string"}),
        ([], {"body": "must be an object"}),
        ("A", {"body": "must be an object"}),
        (5, {"body": "must be an object"}),
    ],
)
async def test_fields_that_cannot_be_are_told_by_their_path(
    control: Control, body: object, wrong: dict[str, str]
) -> None:
    assert await control.wrong_fields("POST", "/tenants", body) == wrong


@pytest.mark.parametrize("body", [[], "A", 5, True])
async def test_a_patch_must_be_an_object(control: Control, body: object) -> None:
    tenant = await control.tenant()
    wrong = await control.wrong_fields("PATCH", f"/tenants/{tenant['id']}", body)
    assert wrong == {"body": "must be an object"}


async def test_a_missing_body_is_refused(control: Control) -> None:
    tenant = await control.tenant()
    for method, path in (("POST", "/tenants"), ("PATCH", f"/tenants/{tenant['id']}")):
        assert await control.wrong_fields(method, path, None) == {"body": "is required"}


@pytest.mark.parametrize(
    "slug",
    [
        "",
        "A",
        "a b",
        "-a",
        "a-",
        "a_b",
        "ä",
        "a.b",
        "xn--a",
        "ab--c",
        "a" * 64,
        "admin",
        "v1",
        "echo",
        "www",
        "a\u0660",
    ],
)
async def test_slugs_that_cannot_be_are_refused(control: Control, slug: str) -> None:
    assert set(await control.wrong_fields("POST", "/tenants", {"name": "A", "slug": slug})) == {"slug"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.0", "limit"),
        ("limit=1_0", "limit"),
        ("limit=%2010", "limit"),
        ("limit=", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=%D9%A3", "limit"),
        ("after=x", "after"),
        ("after=", "after"),
        (f"after={UNKNOWN['prj']}", "after"),
        ("after=%00", "after"),
        ("limit=1&limit=2", "limit"),
        ("lmiit=1", "lmiit"),
        ("api_key=x", "api_key"),
    ],
)
async def test_parameters_that_cannot_be_are_refused(control: Control, query: str, field: str) -> None:
    assert set(await control.wrong_fields("GET", f"/tenants?{query}", None)) == {field}


async def test_parameters_where_none_are_taken_are_refused(control: Control) -> None:
    tenant = await control.tenant()
    assert set(await control.wrong_fields("GET", f"/tenants/{tenant['id']}?limit=1", None)) == {"limit"}
    assert set(await control.wrong_fields("POST", "/tenants?dry_run=true", {"name": "A"})) == {"dry_run"}


@pytest.mark.parametrize(
    "path",
    [
        "/tenants/ten_x",
        "/tenants/%00",
        "/tenants/" + UNKNOWN["prj"],
        "/tenants/" + UNKNOWN["ten"].upper(),
        "/tenants/" + UNKNOWN["ten"] + "0",
        "/tenants/'%20OR%201=1--",
        "/tenants/%ff",
        "/tenants/" + "x" * 10_000,
        "/projects/prj_x/keys",
        "/keys/" + UNKNOWN["ten"],
        "/providers/prv_x",
        "/nothing",
        "/tenants/",
        "/",
        "",
    ],
)
async def test_what_names_nothing_is_404_and_the_same_bytes(control: Control, path: str) -> None:
    unknown = await control.ask("GET", f"/tenants/{UNKNOWN['ten']}")
    answer = await control.ask("GET", path)
    assert (answer.status_code, answer.content) == (404, unknown.content)
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "There is nothing at this address.",
        "code": "not_found",
    }


async def test_a_method_that_an_address_does_not_take_is_405_and_says_which_it_takes(control: Control) -> None:
    for method, path, allowed in (
        ("PUT", "/tenants", "GET, POST"),
        ("OPTIONS", "/tenants", "GET, POST"),
        ("POST", f"/tenants/{UNKNOWN['ten']}", "DELETE, GET, PATCH"),
        ("GET", f"/keys/{UNKNOWN['key']}/rotate", "POST"),
        ("DELETE", "/providers", "GET, POST"),
    ):
        answer = await control.ask(method, path)
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert answer.headers["allow"] == allowed


async def test_every_answer_has_a_request_id_of_our_own(control: Control) -> None:
    headers = {"x-request-id": "req_mine"}
    answers = [
        await control.ask("GET", "/tenants", headers=headers),
        await control.ask("GET", "/nothing", headers=headers),
        await control.ask("PUT", "/tenants", headers=headers),
        await control.ask("POST", "/tenants", {}, headers=headers),
        await control.ask("GET", "/tenants", headers={**headers, "authorization": "Bearer x"}),
        await control.http.get("/admin/openapi.json", headers=headers),
    ]
    seen = {answer.headers["x-request-id"] for answer in answers}
    assert len(seen) == len(answers)
    assert all(re.fullmatch(r"req_[0-9a-f]{12}7[0-9a-f]{19}", request_id) for request_id in seen)


async def test_an_error_that_nobody_expected_is_a_bare_500(scratch: TestDatabase) -> None:
    async with controlled(scratch) as control:
        tenant = await control.tenant("secret-name")
        scratch.run("ALTER TABLE bailiwick.tenants DROP COLUMN status CASCADE")
        answer = await control.ask("GET", f"/tenants/{tenant['id']}")
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == {
            "type": "about:blank",
            "title": "Internal Server Error",
            "status": 500,
            "detail": "An internal error occurred. Please report the request id.",
            "code": "internal_error",
        }
        logged = [json.loads(line) for line in control.log.getvalue().splitlines()]
        (failure,) = [line for line in logged if line["event"] == "unexpected error"]
        assert failure["request_id"] == answer.headers["x-request-id"]
        assert "secret-name" not in control.log.getvalue()


async def test_an_act_that_cannot_be_audited_is_not_done(scratch: TestDatabase) -> None:
    async with controlled(scratch) as control:
        tenant = await control.tenant()
        scratch.run("REVOKE INSERT ON bailiwick.audit FROM bailiwick_control")
        assert (await control.ask("PATCH", f"/tenants/{tenant['id']}", {"name": "B"})).status_code == 500
        assert (await control.ask("POST", f"/tenants/{tenant['id']}/projects", {"name": "P"})).status_code == 500
        assert await control.read(f"/tenants/{tenant['id']}") == tenant
        assert (await control.read(f"/tenants/{tenant['id']}/projects"))["data"] == []


async def test_an_act_that_is_not_done_is_not_audited(control: Control, database: TestDatabase) -> None:
    tenant = await control.tenant(slug="there-already")
    before = database.rows("SELECT count(*) FROM bailiwick.audit")
    await control.refused("POST", "/tenants", {"name": "A", "slug": "there-already"})
    await control.refused("PATCH", f"/tenants/{tenant['id']}", {"default_project": UNKNOWN["prj"]})
    await control.refused("DELETE", f"/tenants/{UNKNOWN['ten']}")
    await control.refused("POST", f"/tenants/{UNKNOWN['ten']}/projects", {"name": "P"})
    assert database.rows("SELECT count(*) FROM bailiwick.audit") == before


async def test_without_a_database_it_is_503_and_well_again_after(scratch: TestDatabase) -> None:
    async with controlled(scratch) as control:
        tenant = await control.tenant()
        address = f"/tenants/{tenant['id']}"
        name = sql.Identifier(scratch.name)
        with psycopg.connect(make_conninfo(scratch.superuser_url, dbname="postgres"), autocommit=True) as superuser:
            superuser.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
            superuser.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (scratch.name,)
            )
            answer = await control.ask("GET", address)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            superuser.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
        async with asyncio.timeout(10):
            while (await control.ask("GET", address)).status_code != 200:
                continue
        assert '"trouble": "' in control.log.getvalue()
