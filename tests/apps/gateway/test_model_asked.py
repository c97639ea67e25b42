"""What a caller named as the model, and what was served: the ledger, exports and explained calls say both."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.apps.gateway.budgets import a_budget
from tests.serving import MODEL, Caller, Site, until
from tests.upstream import Upstream, scripts

ALIASES = {"fast": [f"up/{MODEL}"], "steady": ["up/broken", MODEL], "broken": ["up/broken", f"up/{MODEL}"]}
PRICES = {"broken": {"input_usd_per_million": "1", "output_usd_per_million": "1"}}
NAMES = [MODEL, f"up/{MODEL}", "fast", "steady", "broken", "agent/support"]


def told(caller: Caller) -> list[tuple[str, str]]:
    """What was asked for and what was served, of each call, as an export tells it."""
    answer = caller.site.admin.request("GET", f"/projects/{caller.id}/usage/export")
    lines: list[dict[str, Any]] = [json.loads(line) for line in answer.text.splitlines()]
    return [(line["model_asked"], line["model"]) for line in lines]


@pytest.mark.parametrize("budgets", [False, True])
def test_both_are_told_of_aliases_fallbacks_agents_and_full_names(
    site: Site, upstream: Upstream, budgets: bool
) -> None:
    caller = site.project(aliases=ALIASES, provider={"prices": PRICES})
    site.admin.make(f"/projects/{caller.id}/agents", {"name": "support", "model": "fast"})
    if budgets:
        a_budget(caller, 10**12)
    upstream.on("broken", scripts.error(500))
    for name in NAMES:
        assert caller.chat(model=name).status_code == 200, name
    until(lambda: len(caller.rows) == len(NAMES))
    assert [(row["asked"], row["model"]) for row in caller.rows] == [
        (None, MODEL),
        *((name, MODEL) for name in NAMES[1:]),
    ]
    assert told(caller) == [(name, MODEL) for name in NAMES]


def test_an_explained_call_tells_both(site: Site) -> None:
    caller = site.project(aliases=ALIASES)
    answer = caller.chat(model="fast")
    until(lambda: caller.rows)
    document = site.admin.request("GET", f"/requests/{answer.headers['x-request-id']}").json()
    assert (document["usage"]["model_asked"], document["usage"]["model"]) == ("fast", MODEL)
    (reason,) = [decision["reason"] for decision in document["decisions"] if decision["step"] == "model"]
    assert reason == "'fast' leads to a model of this project, and the caller may use it."
