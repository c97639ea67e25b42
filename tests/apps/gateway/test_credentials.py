"""Who gets in: no, two, malformed, unknown, wrong, revoked and expired credentials, at every address."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from bailiwick.identity import api_keys
from tests.apps.gateway.routes import ROUTES
from tests.serving import Caller, Site, error_of, until, uuid_of


@pytest.fixture(scope="module")
def module_caller(running_site: Site) -> Caller:
    return running_site.project()


@pytest.fixture
def caller(site: Site, module_caller: Caller) -> Caller:
    return module_caller


def forged(lookup_id: str | None = None) -> str:
    """A key that nobody issued, in perfect form; with somebody's look-up id, if one is given."""
    return api_keys.make(api_keys.PROJECT_KEY, os.urandom(48), lookup_id=lookup_id).text.decode()


def without_its_id(answer: httpx2.Response) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """All of an answer but the request's id."""
    headers = [(name, value) for name, value in answer.headers.raw if name.lower() != b"x-request-id"]
    return answer.status_code, headers, answer.content


def wrong_authorizations(caller: Caller) -> dict[str, bytes]:
    key = caller.key.encode()
    lookup_id = caller.key.split("_")[2]
    operator = caller.site.installation.keys["admin_key"]
    return {
        "unknown": b"Bearer " + forged().encode(),
        "a wrong secret": b"Bearer " + forged(lookup_id).encode(),
        "an operator's key": b"Bearer " + operator.encode(),
        "a project key that says it is an operator's": b"Bearer " + key.replace(b"bwk_", b"bwa_", 1),
        "nonsense": b"Bearer nonsense",
        "empty": b"",
        "no text": b"Bearer",
        "two spaces": b"Bearer  " + key,
        "a tab": b"Bearer\t" + key,
        "no scheme": key,
        "another scheme": b"Token " + key,
        "basic": b"Basic " + b64encode(b"user:" + key),
        "two in one": b"Bearer " + key + b", Bearer " + key,
        "a wrong checksum": b"Bearer " + key[:-1] + (b"0" if key[-1:] != b"0" else b"1"),
        "another case": b"Bearer " + key.swapcase(),
        "cut": b"Bearer " + key[:-1],
        "longer": b"Bearer " + key + b"0",
        "a quoted one": b'Bearer "' + key + b'"',
        "a kind that does not exist": b"Bearer " + key.replace(b"_live_", b"_test_"),
        "SQL": b"Bearer bwk_live_' OR '1'='1_" + key[-49:],
        "SQL in a comment": b"Bearer " + key + b"'--",
        "letters beyond ASCII": b"Bearer " + "bwk_live_éééééééééééé_".encode() + key[-49:],
        "digits beyond ASCII": b"Bearer " + key.replace(b"_live_", "_live_\u0663".encode()),
        "bytes that are no UTF-8": b"Bearer \xff\xfe" + key,
        "20 KB": b"Bearer " + key + b"A" * 20_000,
    }


def test_unknown_wrong_and_malformed_credentials_are_answered_alike_to_the_byte(caller: Caller) -> None:
    answers = {
        name: caller.site.ask("GET", "/v1/me", headers=[(b"authorization", value)])
        for name, value in wrong_authorizations(caller).items()
    }
    answers["by the other header"] = caller.site.ask("GET", "/v1/me", headers={"x-api-key": forged()})
    told = {name: without_its_id(answer) for name, answer in answers.items()}
    assert error_of(answers["unknown"]) == (401, "invalid_credentials")
    assert answers["unknown"].headers["www-authenticate"] == "Bearer"
    assert {name for name, answer in told.items() if answer != told["unknown"]} == set()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_address_answers_without_a_valid_credential(caller: Caller, method: str, path: str) -> None:
    missing = caller.site.ask(method, path)
    invalid = caller.site.ask(method, path, headers={"authorization": f"Bearer {forged()}"})
    assert error_of(missing) == (401, "missing_credentials")
    assert error_of(invalid) == (401, "invalid_credentials")
    another = ("POST", "/v1/messages") if path.startswith("/v1/messages") else ("GET", "/v1/me")
    elsewhere = caller.site.ask(*another, headers={"authorization": f"Bearer {forged()}"})
    assert without_its_id(invalid) == without_its_id(elsewhere)


def test_either_header_and_any_case_of_the_scheme_will_do(caller: Caller) -> None:
    for headers in (
        {"authorization": f"Bearer {caller.key}"},
        {"authorization": f"bEARER {caller.key}"},
        {"x-api-key": caller.key},
    ):
        answer = caller.site.ask("GET", "/v1/me", headers=headers)
        assert answer.json()["key_id"] == caller.key_id


@pytest.mark.parametrize("query", ["api_key={key}", "key={key}", "access_token={key}", "authorization=Bearer%20{key}"])
def test_a_key_in_the_query_string_is_not_looked_at(caller: Caller, query: str) -> None:
    answer = caller.site.ask("GET", f"/v1/me?{query.format(key=caller.key)}")
    assert error_of(answer) == (401, "missing_credentials")


def test_two_credentials_are_refused_even_when_they_are_the_same(caller: Caller) -> None:
    bearer, own = ("authorization", f"Bearer {caller.key}"), ("x-api-key", caller.key)
    for headers in ([bearer, bearer], [own, own], [bearer, own], [own, bearer], [("authorization", "Basic x"), own]):
        answer = caller.site.ask("GET", "/v1/me", headers=headers)
        assert error_of(answer) == (400, "ambiguous_credentials"), headers


def test_a_project_key_opens_nothing_of_the_control_plane(caller: Caller) -> None:
    for headers in ({"authorization": f"Bearer {caller.key}"}, {"x-api-key": caller.key}, {}):
        answer = caller.site.ask("GET", "/admin/v1/tenants", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == ("invalid_credentials" if "authorization" in headers else "missing_credentials")


def test_a_revoked_key_is_told_so_and_only_to_who_has_its_secret(site: Site, caller: Caller) -> None:
    ended = site.caller(caller.project)
    assert ended.ask("GET", "/v1/me").status_code == 200
    assert site.admin.request("POST", f"/keys/{ended.key_id}/revoke").status_code == 200
    until(lambda: ended.ask("GET", "/v1/me").status_code == 401, patience=1.0)
    assert error_of(ended.ask("GET", "/v1/me")) == (401, "revoked_credentials")
    guess = forged(ended.key.split("_")[2])
    answer = site.ask("GET", "/v1/me", headers={"authorization": f"Bearer {guess}"})
    assert error_of(answer) == (401, "invalid_credentials")


def test_a_key_expires_by_itself(site: Site, caller: Caller) -> None:
    moment = (datetime.now(UTC) + timedelta(seconds=0.7)).isoformat()
    brief = site.caller(caller.project, expires_at=moment)
    assert brief.ask("GET", "/v1/me").status_code == 200
    until(lambda: brief.ask("GET", "/v1/me").status_code == 401, patience=1.5)
    assert datetime.now(UTC) >= datetime.fromisoformat(moment)
    assert error_of(brief.ask("GET", "/v1/me")) == (401, "expired_credentials")
    guess = forged(brief.key.split("_")[2])
    answer = site.ask("GET", "/v1/me", headers={"authorization": f"Bearer {guess}"})
    assert error_of(answer) == (401, "invalid_credentials")


def test_a_removed_key_is_unknown(site: Site, caller: Caller) -> None:
    gone = site.caller(caller.project)
    assert gone.ask("GET", "/v1/me").status_code == 200
    assert site.admin.request("DELETE", f"/keys/{gone.key_id}").status_code == 204
    until(lambda: gone.ask("GET", "/v1/me").status_code == 401, patience=1.0)
    assert error_of(gone.ask("GET", "/v1/me")) == (401, "invalid_credentials")


def test_a_key_goes_with_its_project(site: Site) -> None:
    gone = site.project(provider={"base_url": None})
    assert gone.ask("GET", "/v1/me").status_code == 200
    assert site.admin.request("DELETE", f"/projects/{gone.id}").status_code == 204
    until(lambda: gone.ask("GET", "/v1/me").status_code == 401, patience=1.0)
    assert error_of(gone.ask("GET", "/v1/me")) == (401, "invalid_credentials")


@pytest.mark.parametrize("digest", [hashlib.sha256, hashlib.blake2s, lambda text: hashlib.sha256(b"" + text)])
def test_whoever_can_write_rows_still_cannot_make_a_key(site: Site, caller: Caller, digest: Any) -> None:
    """What is stored is an HMAC under a pepper that the database never sees."""
    text = forged()
    site.database.execute(
        "INSERT INTO bailiwick.api_keys"
        " (id, tenant_id, project_id, name, lookup_id, digest, scopes, act_as, created_by)"
        " SELECT gen_random_uuid(), tenant_id, project_id, 'planted', %s, %s, scopes, act_as, 'mole'"
        " FROM bailiwick.api_keys WHERE id = %s",
        (text.split("_")[2], digest(text.encode()).digest(), uuid_of("key", caller.key_id)),
    )
    answer = site.ask("GET", "/v1/me", headers={"authorization": f"Bearer {text}"})
    assert error_of(answer) == (401, "invalid_credentials")


@contextmanager
def without_look_up(site: Site) -> Iterator[None]:
    """Any query for a key fails meanwhile."""
    site.database.execute("ALTER FUNCTION bailiwick.look_up_api_key (text) RENAME TO look_up_nothing")
    try:
        yield
    finally:
        site.database.execute("ALTER FUNCTION bailiwick.look_up_nothing (text) RENAME TO look_up_api_key")


def test_what_is_not_formed_like_a_key_costs_no_query(site: Site, caller: Caller) -> None:
    well_formed = {"unknown", "a wrong secret"}
    with without_look_up(site):
        for name, value in wrong_authorizations(caller).items():
            if name not in well_formed:
                answer = site.ask("GET", "/v1/me", headers=[(b"authorization", value)])
                assert error_of(answer) == (401, "invalid_credentials"), name


def test_an_unknown_key_is_asked_for_once(site: Site) -> None:
    """A flood of one wrong key does not reach the database."""
    headers = {"authorization": f"Bearer {forged()}"}
    assert error_of(site.ask("GET", "/v1/me", headers=headers)) == (401, "invalid_credentials")
    with without_look_up(site):
        for _ in range(20):
            assert error_of(site.ask("GET", "/v1/me", headers=headers)) == (401, "invalid_credentials")


def test_an_error_that_nobody_expected_is_told_to_the_log_alone_and_no_secret_with_it(running_site: Site) -> None:
    log = len(running_site.installation.log)
    key = forged()
    with without_look_up(running_site):
        answer = running_site.ask("GET", "/v1/me", headers={"authorization": f"Bearer {key}"})
    assert error_of(answer) == (500, "internal_error")
    assert answer.json()["error"]["message"] == "An internal error occurred. Please report the request id."

    def told() -> list[str]:
        lines = running_site.installation.log[log:].splitlines()
        return [line for line in lines if answer.headers["x-request-id"] in line]

    until(lambda: len(told()) > 1)
    trouble, request = map(json.loads, told())
    assert trouble["error"] == "psycopg.errors.UndefinedFunction"
    assert request["code"] == "internal_error"
    for secret in (key, key.split("_")[2], "look_up_api_key", "HINT"):
        assert secret not in running_site.installation.log[log:]


@pytest.mark.parametrize("header", ["X-Org-ID", "X-Tenant-ID", "OpenAI-Organization"])
def test_a_key_stays_in_its_tenant(site: Site, caller: Caller, header: str) -> None:
    own, foreign = caller.project["tenant_id"], site.admin.tenant()["id"]
    assert caller.ask("GET", "/v1/me", headers={header: own}).status_code == 200
    refusals = [
        caller.ask("GET", "/v1/me", headers={header: target})
        for target in (foreign, "ten_" + "0" * 26, "ten_nonsense", foreign.upper().replace("TEN_", "ten_"))
    ]
    assert error_of(refusals[0]) == (403, "not_a_member")
    assert {str(without_its_id(refusal)) for refusal in refusals} == {str(without_its_id(refusals[0]))}


def test_openais_own_organizations_and_projects_mean_nothing_to_us(caller: Caller) -> None:
    headers = {"OpenAI-Organization": "org-123", "OpenAI-Project": "proj_123"}
    assert caller.ask("GET", "/v1/me", headers=headers).status_code == 200


def test_two_targets_are_refused(site: Site, caller: Caller) -> None:
    own, foreign = caller.project["tenant_id"], site.admin.tenant()["id"]
    for headers in (
        [("x-org-id", own), ("x-org-id", foreign)],
        [("x-org-id", own), ("x-tenant-id", foreign)],
        [("x-tenant-id", foreign), ("openai-organization", own)],
        [("x-project-id", caller.id), ("x-project-id", "prj_" + "0" * 26)],
        [("x-project-id", caller.id), ("openai-project", "prj_" + "0" * 26)],
    ):
        assert error_of(caller.ask("GET", "/v1/me", headers=headers)) == (400, "invalid_request"), headers
    agreeing = [("x-org-id", own), ("x-tenant-id", own), ("openai-organization", own), ("x-project-id", caller.id)]
    assert caller.ask("GET", "/v1/me", headers=agreeing).status_code == 200


def test_a_key_stays_in_its_project(site: Site, caller: Caller) -> None:
    sibling = site.admin.project(caller.project["tenant_id"])["id"]
    refusals = [
        caller.ask("GET", "/v1/me", headers={"x-project-id": target}) for target in (sibling, "prj_" + "0" * 26, "x")
    ]
    assert error_of(refusals[0]) == (403, "forbidden")
    assert {str(without_its_id(refusal)) for refusal in refusals} == {str(without_its_id(refusals[0]))}
