"""Budgets as a client meets them: what fits goes, what does not is told exactly why, and costs nothing."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from bailiwick.domain.money import usd
from bailiwick.services.doors import DOORS, Door
from tests.apps.gateway.budgets import a_budget, held, spent, stands
from tests.apps.gateway.doors.cases import CASES, project
from tests.patience import process_lag
from tests.serving import ASK, MODEL, Caller, Site, error_of, until
from tests.upstream import Behaviour, Upstream
from tests.upstream.behaviour import Usage

# Of gpt-4o-mini: 0.15 and 0.60 dollars per million tokens.
READ, WROTE = 150, 600
A_CALL = 11 * READ + 7 * WROTE
# Of `ASK`, as we count them.
WORDS = 15


def body(**fields: object) -> bytes:
    return json.dumps({"model": MODEL, "messages": ASK, **fields}).encode()


def asked_of_provider(upstream: Upstream) -> dict[str, Any]:
    """What the provider was asked last."""
    found: dict[str, Any] = json.loads(upstream.requests[-1].body)
    return found


def test_a_call_within_its_budgets_goes_and_is_counted_in_each_to_the_nano_dollar(site: Site) -> None:
    caller = site.project()
    money = a_budget(caller, 10**9)
    tokens = a_budget(caller, 100_000, unit="tokens", scope="user", subject="*")
    for user in ("a", "b", "a"):
        assert caller.chat(headers={"x-end-user-id": user}).status_code == 200

    assert stands(caller, money) == (3 * A_CALL, 0) == (spent(caller)[0], 0)
    assert stands(caller, tokens) == (54, 0) == (spent(caller)[1], 0)


def test_what_is_spent_stops_the_next_call_with_all_there_is_to_know(site: Site, upstream: Upstream) -> None:
    caller = site.project()
    budget = a_budget(caller, 100_000, scope="user", subject="*", period="day", on_exceed="reject")
    headers = {"x-end-user-id": "a"}
    upstream.on(MODEL, Behaviour(usage=Usage(prompt=11, completion=1000)))
    assert caller.chat(headers=headers, max_tokens=1).status_code == 200
    upstream.on(MODEL, Behaviour())
    before = len(upstream.requests)
    refused = caller.chat(headers=headers, max_tokens=1)

    assert error_of(refused) == (402, "budget_exceeded")
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers
    error = refused.json()["error"]
    assert error["type"] == "insufficient_quota"
    told = error["budget"]
    assert told["id"].startswith("bud_")
    assert told["frees_at"].endswith("T00:00:00Z")
    assert {name: told[name] for name in told.keys() - {"id", "frees_at"}} == {
        "scope": "user",
        "subject": "a",
        "limit": {"usd": "0.0001"},
        "used": {"usd": "0.00060165"},
        "in_flight": {"usd": "0.00"},
    }
    assert len(upstream.requests) == before
    assert caller.chat(headers={"x-end-user-id": "b"}, max_tokens=1).status_code == 200
    assert stands(caller, budget)[1] == 0


def test_a_budget_of_nothing_lets_nothing_through_but_what_is_free(site: Site, upstream: Upstream) -> None:
    caller = site.project()
    a_budget(caller, 0)

    assert error_of(caller.chat()) == (402, "budget_exceeded")
    assert error_of(caller.chat(max_tokens=1)) == (402, "budget_exceeded")
    assert caller.chat(model="echo").status_code == 200
    assert upstream.requests == []


def test_the_smallest_call_passes_where_it_fits_exactly(site: Site) -> None:
    caller = site.project()
    budget = a_budget(caller, WORDS * READ + WROTE)
    assert caller.chat(max_tokens=1).status_code == 200
    assert stands(caller, budget) == (A_CALL, 0)

    other = site.project()
    a_budget(other, WORDS * READ + WROTE - 1)
    refused = other.chat()
    assert error_of(refused) == (402, "budget_exceeded")
    assert f"needs at least {usd(WORDS * READ + WROTE)} USD" in refused.json()["error"]["message"]
    assert error_of(other.chat(max_tokens=2)) == (402, "budget_exceeded")


@pytest.mark.parametrize("unit", ["tokens", "usd"])
def test_as_many_small_calls_pass_as_there_is_room_for_and_not_one_more(
    site: Site, upstream: Upstream, unit: str
) -> None:
    caller = site.project()
    each = 11 + 7 if unit == "tokens" else A_CALL
    budget = a_budget(caller, 13 * each, unit=unit, on_exceed="cap")
    answers = [caller.chat() for _ in range(15)]

    assert [error_of(answer) for answer in answers] == [(200, "")] * 13 + [(402, "budget_exceeded")] * 2
    assert len(upstream.requests) == 13
    assert stands(caller, budget) == (13 * each, 0)


def test_words_are_counted_of_what_a_provider_is_asked_next_too(site: Site, upstream: Upstream) -> None:
    caller = site.project(aliases={"fast": ["gpt-4o", MODEL]})
    upstream.on("gpt-4o", Behaviour(status=503))
    a_budget(caller, WORDS + 1, unit="tokens", on_exceed="reject")
    assert caller.chat(model="fast", max_tokens=1).status_code == 200


def test_a_call_that_says_no_maximum_is_given_the_usual_one_and_cut_to_what_is_left(
    site: Site, upstream: Upstream
) -> None:
    caller = site.project()
    a_budget(caller, 4096 * WROTE + 10**6)
    assert caller.chat().status_code == 200
    assert asked_of_provider(upstream)["max_completion_tokens"] == 4096

    upstream.on(MODEL, Behaviour(usage=Usage(prompt=11, completion=4500)))
    assert caller.chat().status_code == 200
    upstream.on(MODEL, Behaviour())
    left = 4096 * WROTE + 10**6 - spent(caller)[0]
    assert caller.chat().status_code == 200
    assert asked_of_provider(upstream)["max_completion_tokens"] == (left - WORDS * READ) // WROTE


def test_a_call_that_says_a_maximum_is_not_cut(site: Site, upstream: Upstream) -> None:
    caller = site.project()
    a_budget(caller, 1000 * WROTE)

    assert error_of(caller.chat(max_tokens=1, max_completion_tokens=10_000)) == (402, "budget_exceeded")
    assert error_of(caller.chat(max_tokens=300, n=4)) == (402, "budget_exceeded")
    assert upstream.requests == []
    assert caller.chat(max_tokens=300).status_code == 200
    assert asked_of_provider(upstream)["max_tokens"] == 300


def test_a_budget_that_rejects_cuts_nothing(site: Site) -> None:
    caller = site.project()
    a_budget(caller, 1000 * WROTE, on_exceed="reject")

    assert error_of(caller.chat()) == (402, "budget_exceeded")


def test_tokens_are_counted_of_what_is_free_too(site: Site) -> None:
    caller = site.project()
    budget = a_budget(caller, 300, unit="tokens")
    assert caller.chat(model="echo").status_code == 200
    settled, held = stands(caller, budget)
    assert (settled, held) == (spent(caller)[1], 0)
    assert settled > 0


def test_a_model_without_a_price_is_refused_under_a_budget_of_money_and_not_under_one_of_tokens(
    site: Site, upstream: Upstream
) -> None:
    caller = site.project()
    a_budget(caller, 10**9, models=["unheard-*"])
    a_budget(caller, 10**6, unit="tokens")
    refused = caller.chat(model="unheard-of")

    assert error_of(refused) == (403, "model_unpriced")
    assert '"prices"' in refused.json()["error"]["message"]
    assert upstream.requests == []
    upstream.on("unknown-too", Behaviour())
    assert caller.chat(model="unknown-too").status_code == 200


def test_a_picture_counts_as_all_that_a_model_can_read(site: Site) -> None:
    picture = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}]}]
    caller = site.project()
    a_budget(caller, 127_999 * READ)
    assert error_of(caller.chat(messages=picture, max_tokens=1)) == (402, "budget_exceeded")
    assert caller.chat(max_tokens=1).status_code == 200

    roomy = site.project()
    a_budget(roomy, 128_000 * READ + WROTE)
    assert roomy.chat(messages=picture, max_tokens=1).status_code == 200


def test_a_budget_of_some_models_is_not_asked_for_others(site: Site) -> None:
    caller = site.project()
    budget = a_budget(caller, 0, models=["gpt-4o"])

    assert error_of(caller.chat(model="gpt-4o")) == (402, "budget_exceeded")
    assert caller.chat().status_code == 200
    assert stands(caller, budget) == (0, 0)


def test_a_refusal_by_a_budget_gives_back_what_the_limits_took(site: Site) -> None:
    caller = site.project(limits={"key": {"requests": 3, "per": "31d"}})
    a_budget(caller, 0, models=["gpt-4o"])
    for _ in range(5):
        assert error_of(caller.chat(model="gpt-4o")) == (402, "budget_exceeded")
    assert [caller.chat().status_code for _ in range(4)] == [200, 200, 200, 429]


# Who is asked next.


def two_targets(site: Site, upstream: Upstream, second: str) -> Caller:
    """A project whose first choice fails, and who is asked then."""
    upstream.on("first", Behaviour(status=500))
    upstream.on(second, Behaviour())
    price = {"input_usd_per_million": "0.15", "output_usd_per_million": "0.60"}
    return site.project(
        aliases={"mine": ["up/first", f"up/{second}"]}, provider={"name": "up", "prices": {"first": price}}
    )


def test_who_is_asked_next_is_within_the_budget_too(site: Site, upstream: Upstream) -> None:
    caller = two_targets(site, upstream, "gpt-4o")
    dear = a_budget(caller, 10**9)
    first, second = a_budget(caller, 10**9, models=["first"]), a_budget(caller, 10**9, models=["gpt-4o"])
    assert caller.chat(model="mine").status_code == 200

    cost = 11 * 2500 + 7 * 10_000
    assert caller.row()["model"] == "gpt-4o"
    assert [stands(caller, budget) for budget in (dear, first, second)] == [(cost, 0), (0, 0), (cost, 0)]


@pytest.mark.parametrize("budget", [{"amount": 5000 * WROTE}, {"amount": 0, "models": ["gpt-4o"]}])
def test_who_is_dearer_than_there_is_room_for_is_not_asked(
    site: Site, upstream: Upstream, budget: dict[str, Any]
) -> None:
    caller = two_targets(site, upstream, "gpt-4o")
    made = a_budget(caller, **budget)
    answer = caller.chat(model="mine")

    assert error_of(answer) == (500, "provider_error")
    assert {json.loads(record.body)["model"] for record in upstream.requests} == {"first"}
    assert stands(caller, made) == (0, 0)


def test_who_has_no_price_is_not_asked_under_a_budget_of_money(site: Site, upstream: Upstream) -> None:
    caller = two_targets(site, upstream, "unheard-of")
    a_budget(caller, 10**9)

    assert error_of(caller.chat(model="mine")) == (500, "provider_error")


# Who goes away.


def test_what_a_client_that_goes_away_has_used_is_settled_and_the_rest_given_back(
    site: Site, upstream: Upstream
) -> None:
    caller = site.project()
    budget = a_budget(caller, 10**9)
    upstream.on(MODEL, Behaviour(gap=0.2))
    with caller.sdk() as client:
        stream = client.chat.completions.create(model=MODEL, messages=ASK, stream=True)  # type: ignore[arg-type]
        next(iter(stream))
        stream.close()
    row = caller.row()

    assert row["outcome"] == 3
    assert stands(caller, budget) == (row["cost_nano"], 0)
    assert row["cost_nano"] > 0


# Waiting.


def in_background(call: Any) -> threading.Thread:
    thread = threading.Thread(target=call)
    thread.start()
    return thread


LIMITS = {"key": {"requests": 5, "per": "31d"}}


def left(caller: Caller) -> int:
    """How many calls the key may still make: those that wait for room have taken theirs."""
    (limit,) = caller.ask("GET", "/v1/me").json()["limits"]
    return int(limit["remaining"])


def test_a_call_waits_for_the_room_that_calls_in_flight_hold_and_gets_it(site: Site, upstream: Upstream) -> None:
    caller = site.project(limits=LIMITS)
    budget = a_budget(caller, 150 * READ + 100 * WROTE, max_wait_ms=60_000)
    assert caller.chat(max_tokens=1).status_code == 200
    answers: list[Any] = []
    with held(caller, budget, 100 * WROTE):
        waiting = in_background(lambda: answers.append(caller.chat(max_tokens=50)))
        until(lambda: left(caller) == 3)
        assert len(upstream.requests) == 1
    waiting.join()

    assert answers[0].status_code == 200
    assert stands(caller, budget) == (2 * A_CALL, 0)


def test_a_call_gets_the_room_of_another_one_when_that_ends(site: Site, upstream: Upstream) -> None:
    caller = site.project()
    budget = a_budget(caller, 150 * READ + 100 * WROTE)
    upstream.on(MODEL, Behaviour(delay=0.5))
    with process_lag() as lag:
        first = in_background(lambda: caller.chat(max_tokens=100))
        until(lambda: caller.site.open_calls(caller.id))
        assert caller.chat(max_tokens=50).status_code == 200
        first.join()

    one, other = upstream.requests
    assert 0.49 < other.received_at - one.received_at < 1.9 + lag.seconds
    assert stands(caller, budget) == (2 * A_CALL, 0)


def test_a_call_that_waits_for_too_long_is_told_to_come_back(site: Site) -> None:
    caller = site.project(limits={"key": {"requests": 3, "per": "31d"}})
    budget = a_budget(caller, 150 * READ + 100 * WROTE, max_wait_ms=200)
    assert caller.chat(max_tokens=1).status_code == 200
    with held(caller, budget, 100 * WROTE):
        refused = caller.chat(max_tokens=50)

    assert error_of(refused) == (429, "budget_busy")
    assert refused.headers["retry-after"] == "1"
    told = refused.json()["error"]["budget"]
    assert told["used"] == {"usd": "0.00000585"}
    assert told["in_flight"] == {"usd": "0.00006"}
    assert [caller.chat(max_tokens=1).status_code for _ in range(3)] == [200, 200, 429]


def test_whoever_waits_is_asked_for_anew_when_their_turn_comes(site: Site, upstream: Upstream) -> None:
    caller = site.project(limits=LIMITS)
    budget = a_budget(caller, 150 * READ + 100 * WROTE, max_wait_ms=60_000)
    other = site.caller(caller.project)
    assert caller.chat(max_tokens=1).status_code == 200
    answers: list[Any] = []
    with held(caller, budget, 100 * WROTE):
        waiting = in_background(lambda: answers.append(other.chat(max_tokens=50)))
        until(lambda: left(other) == 4)
        assert site.admin.request("POST", f"/keys/{other.key_id}/revoke", {}).is_success
        until(lambda: other.ask("GET", "/v1/me").status_code == 401)
    waiting.join()

    assert error_of(answers[0]) == (401, "revoked_credentials")
    assert len(upstream.requests) == 1


# Every door.


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
def test_an_exhausted_budget_is_exhausted_at_every_door_where_something_is_generated(
    site: Site, upstream: Upstream, door: Door
) -> None:
    case = CASES[door.path]
    upstream.on(f"/v1{door.path}", case.behaviour)
    caller = project(site, door)
    a_budget(caller, 0, unit="tokens")
    answer = case.ask(door, caller)

    if door.billed:
        assert error_of(answer) == (402, "budget_exceeded")
        assert upstream.requests == []
    else:
        assert answer.status_code == 200


@pytest.mark.parametrize("door", [door for door in DOORS if door.billed], ids=lambda door: door.path)
def test_at_every_door_what_was_used_is_what_is_settled_and_was_within_the_ceiling(
    site: Site, upstream: Upstream, door: Door
) -> None:
    case = CASES[door.path]
    upstream.on(f"/v1{door.path}", case.behaviour)
    caller = project(site, door)
    budget = a_budget(caller, 100_000, unit="tokens")
    answer = case.ask(door, caller)

    assert answer.status_code == 200
    assert stands(caller, budget) == (sum(case.counted), 0) == (spent(caller)[1], 0)
