"""Nothing that is secret or said between a user and a model is in the log, the metrics or the spans.

Marked keys, prompts, answers and names of users go through every door: well, refused, broken in the middle, and into an
error that nobody expected. Then everything that the installation has told anybody is searched for the marks.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import pytest

from bailiwick.domain import ids
from tests.apps.gateway.doors.cases import BY_PATH, CASES, Case, project
from tests.apps.gateway.doors.streams import MESSAGE_EVENTS, RESPONSE_EVENTS, TEXT_EVENTS, TRANSCRIPT_EVENTS
from tests.serving import Caller, Site, until, uuid_of
from tests.telemetry.collector import Collector
from tests.upstream import Behaviour, Ending

PROMPT: Final = "canary-of-a-prompt"
ANSWER: Final = "canary-of-an-answer"
PROVIDER_KEY: Final = "sk-canary-of-a-provider"
USER: Final = "canary-of-a-user"
SESSION: Final = "canary-of-a-session"
HEADER: Final = "canary-of-a-header"
# What of a request is a name that a provider must get as it is.
_NAMES: Final = ("role", "type", "voice")
_FRAMES: Final = {
    "/responses": RESPONSE_EVENTS,
    "/messages": MESSAGE_EVENTS,
    "/completions": TEXT_EVENTS,
    "/audio/transcriptions": TRANSCRIPT_EVENTS,
}


def marked(value: Any, mark: str, name: str = "") -> Any:
    """The same, with a mark in place of every text."""
    if isinstance(value, dict):
        return {name: marked(inner, mark, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [marked(inner, mark) for inner in value]
    if isinstance(value, bytes):
        return mark.encode() * 20
    return mark if isinstance(value, str) and name not in _NAMES else value


def told(site: Site, collector: Collector) -> bytes:
    """All that the installation has told anybody beside its callers."""
    metrics = site.ask("GET", "/metrics").content
    return b"\n".join([site.installation.log.encode(), metrics, *collector.bodies])


def marks(site: Site, caller: Caller) -> Iterator[bytes]:
    """What must be nowhere, also in the forms in which headers and bodies carry it."""
    secrets = [PROMPT, ANSWER, PROVIDER_KEY, USER, SESSION, HEADER, caller.key, site.installation.keys["admin_key"]]
    for secret in secrets:
        yield secret.encode()
        yield base64.b64encode(secret.encode()).rstrip(b"=")[:-1]
    yield caller.key.rpartition("_")[2].encode()
    yield site.upstream.base_url.encode()


def assert_untold(site: Site, collector: Collector, caller: Caller, request_id: str) -> None:
    """No mark is anywhere, once the spans of a request have come."""
    until(lambda: collector.of(request_id) is not None)
    seen = told(site, collector)
    assert request_id.encode() in seen
    for mark in marks(site, caller):
        place = seen.find(mark)
        assert place < 0, (mark, seen[max(place - 200, 0) : place + 200])


def behaviours(path: str, case: Case) -> list[Behaviour]:
    """The good answer; refusals that quote everything; garbage; and a stream that breaks off."""
    answer = case.answer + ANSWER.encode()
    if case.content_type == "application/json":
        answer = json.dumps(marked(json.loads(case.answer), ANSWER)).encode()
    quoting = json.dumps({"error": {"message": f"{ANSWER} {PROMPT} {PROVIDER_KEY}", "code": ANSWER, "type": ANSWER}})
    frames = tuple(frame.replace(b"Par", ANSWER.encode()) for frame in _FRAMES.get(path, ()))
    return [
        Behaviour(body=answer, headers=(("content-type", case.content_type), ("x-leak", HEADER))),
        Behaviour(body=case.answer, headers=(("content-type", case.content_type),)),
        *(Behaviour(status=status, body=quoting.encode()) for status in (400, 401, 500)),
        Behaviour(body=f"{ANSWER} is no answer".encode()),
        Behaviour(wire=f"HTTP/1.1 {ANSWER}\r\n\r\n".encode()),
        Behaviour(text=ANSWER, frames=frames or None, ending=Ending.RESET, after=2),
        Behaviour(text=ANSWER, frames=(*frames[:1], f"data: {ANSWER}\n\n".encode())),
    ]


def identified() -> list[tuple[str, str]]:
    return [
        ("x-end-user-id", USER),
        ("x-session-id", SESSION),
        ("cookie", HEADER),
        ("user-agent", HEADER),
        ("x-request-id", HEADER),
        ("tracestate", f"a={HEADER}"),
        ("baggage", f"a={HEADER}"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ]


@pytest.mark.parametrize("path", CASES)
def test_no_call_leaves_a_mark_however_it_ends(traced: Site, collector: Collector, path: str) -> None:
    door, case = BY_PATH[path], CASES[path]
    good = replace(case, fields=marked(dict(case.fields), PROMPT))
    caller = project(traced, door, provider={"api_key": PROVIDER_KEY})
    statuses = set()
    for streamed in (False, True) if door.body is None or door.body.streams else (False,):
        extra = b"true" if case.multipart else True
        asked = replace(good, fields={**good.fields, "stream": extra}) if streamed else good
        for behaviour in behaviours(path, case):
            traced.upstream.on(f"/v1{path}", behaviour)
            try:
                answer = asked.ask(door, caller, headers=identified())
            except Exception as error:  # noqa: BLE001 - a stream that breaks off
                statuses.add(type(error).__name__)
                continue
            statuses.add(answer.status_code)
    assert {200, 400, 500, 502} <= statuses
    went = b"".join(record.raw for record in traced.upstream.requests)
    assert PROMPT.encode() in went
    assert PROVIDER_KEY.encode() in went
    assert_untold(traced, collector, caller, answer.headers["x-request-id"])


def test_no_refusal_of_ours_leaves_a_mark(traced: Site, collector: Collector) -> None:
    caller = traced.project(provider={"api_key": PROVIDER_KEY}, limits={"user": {"requests": 1, "per": "1h"}})
    body = {"model": "agent", "messages": [{"role": "user", "content": PROMPT}]}
    path = "/v1/chat/completions"
    admin = f"Bearer {traced.installation.keys['admin_key']}"
    asked = [
        caller.ask("POST", path, json=body, headers=identified()),
        caller.ask("POST", path, json={**body, "model": "echo"}, headers=identified()),
        caller.ask("POST", path, json={**body, "model": "echo"}, headers=identified()),
        caller.ask("POST", path, json={PROMPT: PROMPT}, headers=identified()),
        caller.ask("POST", path, content=PROMPT.encode(), headers=identified()),
        caller.ask("POST", f"{path}?key={caller.key}&say={PROMPT}", json=body, headers=identified()),
        caller.ask("POST", path, json=body, headers=[*identified(), ("x-api-key", caller.key)]),
        caller.ask("GET", f"/v1/{PROMPT}/{caller.key}"),
        caller.ask("GET", f"/p/{PROMPT}/v1/me"),
        caller.ask("GET", f"/v1/usage?from={PROMPT}"),
        traced.ask("POST", path, json=body, headers={"authorization": admin}),
        traced.ask("POST", path, json=body, headers={"authorization": f"Bearer {caller.key[:-1]}"}),
        traced.ask("POST", f"/admin/v1/{PROMPT}", json=body, headers={"authorization": admin}),
        traced.ask(
            "POST", "/admin/v1/tenants", json={"name": "T", PROMPT: caller.key}, headers={"authorization": admin}
        ),
        traced.ask("GET", "/admin/v1/tenants", headers={"authorization": f"Bearer {caller.key}"}),
        caller.ask("POST", path, json=body, headers=identified()),
    ]
    assert {answer.status_code for answer in asked} >= {200, 400, 401, 404, 422, 429}
    assert_untold(traced, collector, caller, asked[-1].headers["x-request-id"])


def test_an_error_that_nobody_expected_leaves_no_mark(traced: Site, collector: Collector) -> None:
    """A provider's key that was damaged in the database: it cannot be unsealed, whoever calls."""
    caller = traced.project(provider={"api_key": PROVIDER_KEY})
    traced.database.execute(
        "UPDATE bailiwick.providers SET secret = %s WHERE project_id = %s",
        (PROVIDER_KEY.encode() * 3, uuid_of(ids.PROJECT, caller.id)),
    )
    body = {"model": "up/any", "messages": [{"role": "user", "content": PROMPT}]}
    answer = caller.ask("POST", "/v1/chat/completions", json=body, headers=identified())
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    (line,) = [line for line in traced.installation.log.splitlines() if "unexpected error" in line]
    assert json.loads(line)["request_id"] == answer.headers["x-request-id"]
    assert_untold(traced, collector, caller, answer.headers["x-request-id"])


def test_a_key_that_is_made_or_rotated_leaves_no_mark(traced: Site, collector: Collector) -> None:
    caller = traced.project()
    rotated = traced.admin.request("POST", f"/keys/{caller.key_id}/rotate", {"grace_seconds": 60}).json()["key"]
    answer = caller.chat(model="echo")
    assert_untold(traced, collector, replace(caller, key=rotated), answer.headers["x-request-id"])
