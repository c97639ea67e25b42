"""A provider that keeps failing is left alone, and heals by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from bailiwick.domain.circuit import FAILURES
from tests.serving import MODEL, Caller, Site, error_of, until
from tests.upstream import Behaviour, Upstream, scripts


@pytest.fixture
def other() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


def fail(caller: Caller, upstream: Upstream, behaviour: Behaviour, times: int = FAILURES) -> None:
    upstream.on(MODEL, behaviour)
    for _ in range(times):
        assert caller.chat().status_code >= 500


@pytest.mark.parametrize("behaviour", [scripts.error(500), scripts.reset(), scripts.not_http()])
def test_who_keeps_failing_is_left_alone(caller: Caller, upstream: Upstream, behaviour: Behaviour) -> None:
    fail(caller, upstream, behaviour)
    answer = caller.chat()
    assert error_of(answer) == (502, "provider_error")
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert len(upstream.requests) == len(caller.rows) == FAILURES


@pytest.mark.parametrize(
    ("behaviour", "stream"),
    [
        (scripts.garbage(), False),
        (scripts.half_body(), False),
        (scripts.close(0), True),
        (scripts.close(2), True),
        (scripts.half_frame(), True),
    ],
)
def test_who_breaks_off_every_answer_is_left_alone(
    caller: Caller, upstream: Upstream, behaviour: Behaviour, stream: bool
) -> None:
    upstream.on(MODEL, behaviour)
    for _ in range(FAILURES):
        caller.chat(stream=stream)
    assert error_of(caller.chat(stream=stream)) == (502, "provider_error")
    assert len(upstream.requests) == FAILURES


@pytest.mark.parametrize(("behaviour", "stream"), [(scripts.error_in_200(), False), (scripts.error_in_stream(), True)])
def test_an_error_that_stands_in_an_answer_is_no_failure(
    caller: Caller, upstream: Upstream, behaviour: Behaviour, stream: bool
) -> None:
    upstream.on(MODEL, behaviour)
    for _ in range(FAILURES + 1):
        caller.chat(stream=stream)
    assert len(upstream.requests) == FAILURES + 1


def test_who_is_left_alone_costs_no_limit(site: Site, upstream: Upstream) -> None:
    caller = site.project(limits={"project": {"requests": FAILURES + 1, "per": "1h"}})
    fail(caller, upstream, scripts.error(500))
    for _ in range(3):
        assert error_of(caller.chat()) == (502, "provider_error")
    assert caller.chat(model="echo").status_code == 200
    assert error_of(caller.chat(model="echo")) == (429, "rate_limited")


def test_it_is_tried_again_after_a_pause_and_heals(site: Site, upstream: Upstream) -> None:
    caller = site.project(tenant_id=site.admin.tenant()["id"])
    fail(caller, upstream, scripts.error(500))
    upstream.on(MODEL, Behaviour())
    until(lambda: caller.chat().status_code == 200, patience=8)
    assert [caller.chat().status_code for _ in range(3)] == [200] * 3
    tenant = caller.project["tenant_id"]
    lines = map(json.loads, site.installation.log.splitlines())
    told = [line["event"] for line in lines if line.get("tenant") == tenant]
    assert [event for event in told if event != "request"] == [
        "a provider keeps failing and is left alone",
        "a provider answers again",
    ]


def test_fallbacks_are_asked_meanwhile(site: Site, upstream: Upstream, other: Upstream) -> None:
    caller = site.project(aliases={"fast": [f"up/{MODEL}", "spare/second"]})
    site.admin.provider(caller.id, name="spare", base_url=other.base_url)
    fail(caller, upstream, scripts.error(500))
    assert caller.chat(model="fast").status_code == 200
    assert len(upstream.requests) == FAILURES
    assert (caller.rows[-1]["provider"], caller.rows[-1]["model"]) == ("spare", "second")


def test_only_failures_in_a_row_count(caller: Caller, upstream: Upstream) -> None:
    fail(caller, upstream, scripts.error(500), FAILURES - 1)
    upstream.on(MODEL, Behaviour())
    assert caller.chat().status_code == 200
    fail(caller, upstream, scripts.error(500), FAILURES - 1)
    upstream.on(MODEL, Behaviour())
    assert caller.chat().status_code == 200


@pytest.mark.parametrize("status", [400, 401, 404, 429])
def test_a_refusal_is_no_failure(caller: Caller, upstream: Upstream, status: int) -> None:
    upstream.on(MODEL, scripts.error(status))
    for _ in range(FAILURES + 1):
        caller.chat()
    assert len(upstream.requests) == FAILURES + 1


def test_another_model_and_another_tenant_are_not_concerned(site: Site, upstream: Upstream) -> None:
    fields = {"name": "shared", "kind": "openai", "base_url": upstream.base_url, "models": ["shared-a", "shared-b"]}
    provider = site.admin.make("/providers", fields)
    try:
        one, two = (
            site.project(tenant_id=tenant, provider={"base_url": None}) for tenant in (None, site.admin.tenant()["id"])
        )
        upstream.on("shared-a", scripts.error(500))
        for _ in range(FAILURES):
            one.chat(model="shared-a")
        upstream.on("shared-a", Behaviour())
        assert error_of(one.chat(model="shared-a")) == (502, "provider_error")
        assert one.chat(model="shared-b").status_code == 200
        assert two.chat(model="shared-a").status_code == 200
    finally:
        site.admin.request("DELETE", f"/providers/{provider['id']}")
