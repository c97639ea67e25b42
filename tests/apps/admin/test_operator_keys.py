"""Who may use the control plane: every credential that is not an operator's active key is refused, and how."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import httpx2
import pytest

from bailiwick.identity import api_keys
from tests.control import Control, add_operator
from tests.database import TestDatabase

PAST = datetime(2026, 11, 1, tzinfo=UTC)
FUTURE = datetime(2027, 11, 1, tzinfo=UTC)


async def asked(control: Control, *authorization: str) -> httpx2.Response:
    request = control.http.build_request("GET", "/admin/v1/tenants")
    del request.headers["authorization"]
    raw = [*request.headers.multi_items(), *(("authorization", value) for value in authorization)]
    return await control.http.send(httpx2.Request("GET", request.url, headers=raw))


def made(kind: str) -> str:
    return api_keys.make(kind, os.urandom(48)).text.decode()


async def test_no_credential_is_401(control: Control) -> None:
    answer = await asked(control)
    assert (answer.status_code, answer.json()["code"]) == (401, "missing_credentials")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_unknown_wrong_and_malformed_are_the_same_bytes(control: Control, database: TestDatabase) -> None:
    _, text = add_operator(database)
    key = api_keys.parse(text)
    assert key is not None
    wrong_secret = api_keys.make(api_keys.OPERATOR_KEY, os.urandom(48), lookup_id=key.lookup_id).text.decode()
    project_key = await control.key()
    answers = [
        await asked(control, value)
        for value in (
            f"Bearer {made(api_keys.OPERATOR_KEY)}",
            f"Bearer {wrong_secret}",
            f"Bearer {text[:-1]}{'0' if text[-1] != '0' else '1'}",
            f"Bearer {project_key['key']}",
            f"Bearer {made(api_keys.PROJECT_KEY)}",
            "Bearer x",
            "Bearer",
            "Bearer ",
            f"Basic {text}",
            text,
            f"Bearer {text} {text}",
            f"Bearer {text},",
            "Bearer ' OR 1=1 --",
        )
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["code"] == "invalid_credentials"
    assert {answer.headers["www-authenticate"] for answer in answers} == {"Bearer"}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer "])
async def test_an_active_key_is_let_in(control: Control, database: TestDatabase, scheme: str) -> None:
    _, text = add_operator(database, expires_at=FUTURE)
    assert (await asked(control, f"{scheme} {text}")).status_code == 200


async def test_only_who_has_the_secret_learns_that_a_key_has_ended(control: Control, database: TestDatabase) -> None:
    for expires_at, revoked_at, code in ((PAST, None, "expired_credentials"), (None, PAST, "revoked_credentials")):
        _, text = add_operator(database, expires_at=expires_at, revoked_at=revoked_at)
        answer = await asked(control, f"Bearer {text}")
        assert (answer.status_code, answer.json()["code"]) == (401, code)
        key = api_keys.parse(text)
        assert key is not None
        guess = api_keys.make(api_keys.OPERATOR_KEY, os.urandom(48), lookup_id=key.lookup_id).text.decode()
        assert (await asked(control, f"Bearer {guess}")).json()["code"] == "invalid_credentials"


async def test_a_key_that_has_expired_is_refused_from_that_moment(control: Control, database: TestDatabase) -> None:
    _, text = add_operator(database, expires_at=datetime(2026, 11, 21, 12, 0, 10, tzinfo=UTC))
    control.clock.advance(seconds=9.999)
    assert (await asked(control, f"Bearer {text}")).status_code == 200
    control.clock.advance(seconds=0.001)
    assert (await asked(control, f"Bearer {text}")).status_code == 401


async def test_two_authorization_headers_are_ambiguous(control: Control, database: TestDatabase) -> None:
    _, text = add_operator(database)
    answer = await asked(control, f"Bearer {text}", f"Bearer {text}")
    assert (answer.status_code, answer.json()["code"]) == (400, "ambiguous_credentials")


async def test_a_row_with_a_plain_hash_of_a_key_lets_nobody_in(control: Control, database: TestDatabase) -> None:
    _, text = add_operator(database)
    key = api_keys.parse(text)
    assert key is not None
    database.run("UPDATE bailiwick.operator_keys SET digest = sha256(%s) WHERE lookup_id = %s", key.text, key.lookup_id)
    assert (await asked(control, f"Bearer {text}")).status_code == 401


async def test_a_credential_is_asked_for_before_anything_else_is_looked_at(control: Control) -> None:
    for method, path in (
        ("POST", "/tenants"),
        ("GET", "/tenants?limit=x"),
        ("PATCH", "/tenants/ten_x"),
        ("GET", "/projects/prj_x/usage"),
    ):
        headers = {"authorization": "Bearer x", "content-type": "text/plain"}
        status, problem = await control.refused(method, path, content=b"{" * 10, headers=headers)
        assert (status, problem["code"]) == (401, "invalid_credentials")


async def test_a_key_in_the_address_is_not_looked_at(control: Control, database: TestDatabase) -> None:
    _, text = add_operator(database)
    request = control.http.build_request("GET", f"/admin/v1/tenants?key={text}")
    del request.headers["authorization"]
    answer = await control.http.send(request)
    assert (answer.status_code, answer.json()["code"]) == (401, "missing_credentials")
    assert text not in control.log.getvalue()
