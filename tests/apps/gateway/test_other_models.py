"""A body that names other models beside its own: neither a key's list nor a price is got round by it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.serving import MODEL, PROVIDER_SECRET, Site, error_of
from tests.upstream import Upstream

OTHERS: list[dict[str, Any]] = [
    {"models": ["o1-pro"]},
    {"tools": [{"type": "image_generation", "model": "gpt-image-1"}]},
]


@pytest.mark.parametrize("others", OTHERS, ids=["a list", "a tool"])
def test_a_key_that_is_confined_may_not_name_others(site: Site, upstream: Upstream, others: dict[str, Any]) -> None:
    caller = site.project(key={"models": [MODEL]})
    assert caller.chat().status_code == 200
    assert error_of(caller.chat(**others)) == (403, "model_not_allowed")
    assert len(upstream.requests) == len(caller.rows) == 1


@pytest.mark.parametrize("others", OTHERS, ids=["a list", "a tool"])
def test_a_platforms_account_is_asked_for_one_model(site: Site, upstream: Upstream, others: dict[str, Any]) -> None:
    provider = site.admin.make(
        "/providers",
        {"name": "platform", "kind": "openai", "base_url": upstream.base_url, "api_key": PROVIDER_SECRET,
         "models": ["shared-model"]},
    )  # fmt: skip
    caller = site.project(provider={"base_url": None})
    assert error_of(caller.chat(model="shared-model", **others)) == (403, "model_not_allowed")
    caller.assert_untouched()
    assert site.admin.request("DELETE", f"/providers/{provider['id']}").status_code == 204


@pytest.mark.parametrize("others", OTHERS, ids=["a list", "a tool"])
def test_an_account_of_ones_own_may_be_asked_for_others_at_a_cost_that_is_not_known(
    site: Site, upstream: Upstream, others: dict[str, Any]
) -> None:
    caller = site.project()
    caller.chat()
    assert caller.row()["cost_nano"] is not None
    another = site.project()
    assert another.chat(**others).status_code == 200
    assert upstream.requests[-1].json.items() >= others.items()
    assert another.row()["cost_nano"] is None
