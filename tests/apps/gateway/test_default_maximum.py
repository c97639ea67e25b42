"""How long an answer may be under a budget where its call does not say: what the project says of it."""

from __future__ import annotations

import json

from tests.apps.gateway.budgets import a_budget
from tests.apps.gateway.test_minted_tokens import holder as user_of
from tests.apps.gateway.test_operator_minting import holder as user_of_operator
from tests.apps.gateway.test_operator_minting import operator
from tests.serving import Caller, Site, until

PLENTY = 10**12


def asked(caller: Caller, **fields: object) -> int | None:
    """The maximum that the provider was asked for."""
    assert caller.chat(**fields).status_code == 200
    sent = json.loads(caller.site.upstream.requests[-1].body)
    found: int | None = sent.get("max_completion_tokens", sent.get("max_tokens"))
    return found


def test_a_call_that_does_not_say_is_bounded_by_what_its_project_says_whoever_asks(site: Site) -> None:
    caller = site.project(default_max_output_tokens=77)
    a_budget(caller, PLENTY)
    for who in (caller, user_of(caller), user_of_operator(caller, operator(site)["key"])):
        assert asked(who) == 77


def test_what_a_call_says_and_what_is_less_by_its_tier_stand(site: Site) -> None:
    caller = site.project(default_max_output_tokens=77)
    a_budget(caller, PLENTY)
    site.admin.make(f"/projects/{caller.id}/tiers", {"name": "small", "max_output_tokens": 50})
    site.admin.make(f"/projects/{caller.id}/tiers", {"name": "large", "max_output_tokens": 500})
    assert asked(caller, max_tokens=200) == 200
    assert asked(user_of(caller, tier="small")) == 50
    assert asked(user_of(caller, tier="large")) == 77


def test_without_a_budget_no_maximum_is_asked_for(site: Site) -> None:
    assert asked(site.project(default_max_output_tokens=77)) is None


def test_it_holds_by_itself_once_changed_and_is_the_usual_one_once_reset(site: Site) -> None:
    caller = site.project()
    a_budget(caller, PLENTY)
    assert asked(caller) == 4096
    for said, most in ((5000, 5000), (1, 1), (None, 4096)):
        caller.change(default_max_output_tokens=said)
        until(lambda most=most: asked(caller) == most)
