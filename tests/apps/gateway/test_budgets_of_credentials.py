"""Budgets whoever asks and wherever: every kind of credential at every door at which something is spent.

The doors are those of the app's own table (`test_doors` holds that no route is beside it).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import httpx2
import pytest

from bailiwick.identity import signing_keys
from bailiwick.services.doors import DOORS, Door
from tests.apps.gateway.budgets import a_budget, spent, stands
from tests.apps.gateway.doors.cases import CASES, CLAUDE, MODEL, answer_every_door, with_anthropic
from tests.apps.gateway.people import enroll, organization, platform, tenant_of
from tests.apps.gateway.test_issuer_tokens import token, trust
from tests.apps.gateway.test_machines import machine
from tests.apps.gateway.test_minted_tokens import holder
from tests.apps.gateway.test_operator_minting import holder as minted_by_operator
from tests.apps.gateway.test_operator_minting import operator
from tests.apps.gateway.test_token_exchange import exchanged
from tests.serving import ASK, Caller, Site, error_of, until
from tests.upstream import Behaviour, Upstream
from tests.upstream.behaviour import Usage

# It counts, and generates nothing. Named here, so that no other becomes free by a word in the table.
FREE: Final = "/messages/count_tokens"
SPENDING: Final = [door for door in DOORS if door.path != FREE]
PRICE: Final = {"input_usd_per_million": "0.15", "output_usd_per_million": "0.60"}
AMPLE: Final = 10**12
SPENDER: Final = "spender"
Headers = Mapping[str, str]
Holder = tuple[Caller, Headers]


def an_issuers(caller: Caller) -> Caller:
    """Whoever holds a token of an issuer that the project trusts."""
    key, issuer = signing_keys.make(), f"https://{os.urandom(6).hex()}.example"
    trust(caller.site, caller, key, issuer=issuer, claims={"project": "pid"})
    return token(caller, key, iss=issuer, pid=caller.id, sid="s-1")


def of_an_exchange(caller: Caller) -> Holder:
    foreign = an_issuers(caller)
    until(lambda: foreign.ask("GET", "/v1/me").status_code == 200)
    return replace(caller, key=exchanged(caller, foreign.key)["access_token"]), {}


def of_the_platform(caller: Caller) -> Holder:
    issuer = platform(caller.site, signing_keys.make(), orgs="orgs")
    enroll(caller, issuer=issuer.issuer)
    return issuer.person(caller, orgs=[tenant_of(caller)], sid="s-1"), {"x-org-id": tenant_of(caller)}


# Who asks, and whose budgets they meet beside those of the tenant and of the project.
KINDS: Final[dict[str, tuple[Callable[[Caller], Holder], set[str]]]] = {
    "a key": (lambda caller: (caller, {}), {"key"}),
    "a key for a user": (
        lambda caller: (caller, {"x-end-user-id": "ada", "x-session-id": "s-1"}), {"key", "user", "session"},
    ),
    "a minted token": (lambda caller: (holder(caller), {}), {"key", "user", "session"}),
    "an operator's minted token": (
        lambda caller: (minted_by_operator(caller, operator(caller.site)["key"]), {}), {"user", "session"},
    ),
    "a machine's token": (lambda caller: (machine(caller), {}), {"key", "user"}),
    "an issuer's token": (lambda caller: (an_issuers(caller), {}), {"user", "session"}),
    "a token of the platform's issuer": (of_the_platform, {"user", "session"}),
    "an exchanged token": (of_an_exchange, {"key", "user", "session"}),
}  # fmt: skip
EACH: Final = pytest.mark.parametrize("kind", KINDS)


def priced(site: Site) -> Caller:
    """A project in a tenant of its own, with a provider for every door, and a price for every model."""
    caller = organization(site, provider={"prices": {MODEL: PRICE, SPENDER: PRICE}})
    return with_anthropic(caller, prices={CLAUDE: PRICE})


def let_in(kind: str, caller: Caller) -> Holder:
    """Whoever holds such a credential, once it is taken; the project's budgets were there before."""
    asker, headers = KINDS[kind][0](caller)
    until(lambda: asker.ask("GET", "/v1/me", headers=headers).is_success)
    return asker, headers


def asked(door: Door, asker: Caller, headers: Headers) -> httpx2.Response:
    """A door's call, for the model of whoever has that door."""
    model = MODEL if door.body is None or "messages" not in door.path else CLAUDE
    answer: httpx2.Response = CASES[door.path].ask(door, asker, model=model, headers=headers.items())
    return answer


@EACH
def test_whoever_asks_is_let_in_while_there_is_room_and_counted_at_every_door_in_the_budgets_that_are_theirs(
    site: Site, upstream: Upstream, kind: str
) -> None:
    answer_every_door(upstream, "")
    caller, meets = priced(site), {"tenant", "project", *KINDS[kind][1]}
    each = {"user", "session", "key"}
    made = {
        (scope, unit): a_budget(
            caller, AMPLE, scope=scope, unit=unit, subject="*" if scope in each else None,
            **({"project_id": None} if scope == "tenant" else {}),
        )
        for scope in ("tenant", "project", *each)
        for unit in ("usd", "tokens")
    }  # fmt: skip
    asker, headers = let_in(kind, caller)
    for door in SPENDING:
        answer = asked(door, asker, headers)
        assert answer.status_code == 200, (door.path, answer.text)
    nano, tokens = spent(caller)

    assert nano > 0
    assert tokens > nano / 600
    assert len(caller.rows) == len(upstream.requests) == len(SPENDING)
    for (scope, unit), budget in made.items():
        expected = (nano if unit == "usd" else tokens) if scope in meets else 0
        assert stands(caller, budget) == (expected, 0), (scope, unit)


@EACH
@pytest.mark.parametrize(("unit", "amount"), [("usd", 10**6), ("tokens", 10**4)])
def test_whoever_asks_is_stopped_at_every_door_by_a_budget_that_is_spent(
    site: Site, upstream: Upstream, kind: str, unit: str, amount: int
) -> None:
    upstream.on(SPENDER, Behaviour(usage=Usage(completion=10**4)))
    caller = priced(site)
    budget = a_budget(caller, amount, unit=unit)
    asker, headers = let_in(kind, caller)
    assert asker.chat(headers=headers, model=SPENDER, messages=ASK, max_tokens=1).status_code == 200
    before = stands(caller, budget)
    assert before[0] >= amount
    upstream.clear()
    answer_every_door(upstream, "")
    for door in SPENDING:
        answer = asked(door, asker, headers)
        assert error_of(answer) == (402, "budget_exceeded"), (door.path, answer.text)
        assert answer.headers["x-should-retry"] == "false"
        told: dict[str, Any] = answer.json()["error"]
        assert told["budget"]["used"] == ({"usd": "0.00600165"} if unit == "usd" else {"tokens": 10_011})
        assert told["type"] == ("billing_error" if "messages" in door.path else "insufficient_quota")

    assert upstream.requests == []
    assert len(caller.rows) == 1
    assert stands(caller, budget) == before
