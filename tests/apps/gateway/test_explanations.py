"""`/admin/v1/requests/{id}`: why a call went as it went, for the operators of its tenant, and nobody else."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from tests.serving import MODEL, PROMPT_CANARY, Caller, Site, error_of, until
from tests.upstream import Upstream, scripts

STEPS = ["credential", "tenant", "project", "organization", "end_user", "permission", "request", "agent",
         "model", "tools", "limits", "budgets", "ledger", "provider"]  # fmt: skip
ONE = {"requests": 1, "per": "31d"}
USER = {"x-end-user-id": "ann", "x-session-id": "s1"}


def explained(site: Site, answer: httpx2.Response) -> dict[str, Any]:
    """What the control plane says of a request, once its notes are written."""
    path = f"/admin/v1/requests/{answer.headers['x-request-id']}"
    headers = {"authorization": f"Bearer {site.installation.keys['admin_key']}"}
    until(lambda: site.http.get(path, headers=headers).status_code == 200, patience=3.0)
    found: dict[str, Any] = site.http.get(path, headers=headers).json()
    assert found["request_id"] == answer.headers["x-request-id"]
    return found


def refused_at(document: dict[str, Any]) -> str:
    """The step that refused; everything before was passed, nothing after was reached."""
    decisions = document["decisions"]
    assert [decision["step"] for decision in decisions] == STEPS
    (place,) = [number for number, decision in enumerate(decisions) if decision["outcome"] == "refused"]
    for number, decision in enumerate(decisions):
        before = "passed" if decision["step"] != "ledger" or number > place else "not_reached"
        assert decision["outcome"] == ("refused" if number == place else before if number < place else "not_reached")
        assert (decision["reason"] is None) == (decision["outcome"] == "not_reached")
    assert decisions[place]["code"] == document["code"]
    return STEPS[place]


def limited(site: Site) -> tuple[Caller, httpx2.Response]:
    caller = site.project(limits={"user": ONE})
    caller.chat(headers=USER)
    return caller, caller.chat(headers=USER)


def without_scope(site: Site) -> tuple[Caller, httpx2.Response]:
    caller = site.project(key={"scopes": ["models:list", "users:act_as"]})
    return caller, caller.chat(headers=USER)


def blocked(site: Site) -> tuple[Caller, httpx2.Response]:
    caller = site.project()
    site.admin.change(f"/projects/{caller.id}/users/ann", {"blocked": True})
    return caller, caller.chat(headers=USER)


def revoked(site: Site) -> tuple[Caller, httpx2.Response]:
    caller = site.project()
    site.admin.request("POST", f"/keys/{caller.key_id}/revoke")
    until(lambda: error_of(caller.chat())[1] == "revoked_credentials", patience=2.0)
    return caller, caller.chat(headers=USER)


def elsewhere(site: Site) -> tuple[Caller, httpx2.Response]:
    caller, other = site.project(), site.project()
    return caller, caller.chat(headers={**USER, "x-project-id": other.id})


def unknown_model(site: Site) -> tuple[Caller, httpx2.Response]:
    caller = site.project(provider={"models": [MODEL]})
    return caller, caller.chat(headers=USER, model="up/absent")


def bad_body(site: Site) -> tuple[Caller, httpx2.Response]:
    caller = site.project()
    return caller, caller.chat(headers=USER, messages=[], metadata={"canary": PROMPT_CANARY})


REFUSALS = {
    "limits": limited, "permission": without_scope, "end_user": blocked, "credential": revoked,
    "organization": elsewhere, "model": unknown_model, "request": bad_body,
}  # fmt: skip


@pytest.mark.parametrize("step", REFUSALS)
def test_a_refused_call_tells_which_decision_refused_it_and_why(site: Site, step: str) -> None:
    caller, answer = REFUSALS[step](site)
    document = explained(site, answer)
    assert refused_at(document) == step
    told = answer.json()["error"]
    assert (document["state"], document["status"], document["code"]) == ("refused", answer.status_code, told["code"])
    assert (document["project_id"], document["key_id"]) == (caller.id, caller.key_id)
    assert document["address"] == "/v1/chat/completions"
    if step != "credential":
        assert (document["user_id"], document["session_id"]) == ("ann", "s1")
    refusing = next(decision for decision in document["decisions"] if decision["outcome"] == "refused")
    assert refusing["reason"] == told["message"]
    assert PROMPT_CANARY not in str(document)
    assert caller.key not in str(document)


def test_a_settled_call_tells_what_it_came_to(site: Site) -> None:
    caller = site.project()
    answer = caller.chat(headers=USER)
    document = explained(site, answer)
    assert [decision["step"] for decision in document["decisions"]] == STEPS
    assert {decision["outcome"] for decision in document["decisions"]} == {"passed"}
    (row,) = caller.rows
    assert (document["state"], document["user_id"], document["code"]) == ("settled", "ann", None)
    assert document["usage"]["input_tokens"] == row["input_tokens"]
    assert (document["usage"]["outcome"], document["usage"]["model"]) == ("completed", MODEL)
    price = document["usage"]["price"]
    assert (price["version"], price["source"].split()[0]) == (f"{row['price']:016x}", "genai-prices")
    assert price["rates"]["output"] == {"usd_per_million": "0.60"}


def test_a_call_whose_provider_failed_tells_that_it_was_the_provider(site: Site, upstream: Upstream) -> None:
    upstream.on(MODEL, scripts.error(400))
    document = explained(site, site.project().chat())
    assert document["state"] == "settled"
    assert document["decisions"][-1]["outcome"] == "failed"
    assert "400" in document["decisions"][-1]["reason"]


def test_only_the_operators_of_its_tenant_are_told(site: Site) -> None:
    _, answer = unknown_model(site)
    explained(site, answer)
    stranger = site.admin.tenant()
    key = site.admin.request(
        "POST", "/operator-keys", {"name": "x", "role": "owner", "tenant_id": stranger["id"]}
    ).json()["key"]
    asking = {"authorization": f"Bearer {key}"}
    path = f"/admin/v1/requests/{answer.headers['x-request-id']}"
    foreign = site.http.get(path, headers=asking)
    unknown = site.http.get(f"/admin/v1/requests/req_{'0' * 12}7{'0' * 3}8{'0' * 15}", headers=asking)
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.content == unknown.content
    for form in ("req_", "req_" + "0" * 31, "REQ_" + "0" * 32, "0" * 32, "req_" + "g" * 32):
        assert site.http.get(f"/admin/v1/requests/{form}", headers=asking).status_code == 404


def test_of_an_unknown_key_nothing_is_kept(site: Site) -> None:
    before = site.database.execute("SELECT count(*) AS n FROM bailiwick.refused_calls").fetchone()
    for _ in range(3):
        assert site.ask("GET", "/v1/models", headers={"authorization": "Bearer nothing"}).status_code == 401
    assert site.database.execute("SELECT count(*) AS n FROM bailiwick.refused_calls").fetchone() == before
