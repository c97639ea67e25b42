"""`Idempotency-Key` on POST: what was done once is answered again, and not done again.

Refusals are not kept: nothing was done, so the same request may be tried again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from fastapi import Request
from starlette.responses import Response

from bailiwick.apps.admin.body import ReadRequest
from bailiwick.bootstrap.control import ControlPlane
from bailiwick.domain.audit import Actor
from bailiwick.domain.fields import invalid
from bailiwick.domain.repeats import Answer, Once, read_key

HEADER: Final = "idempotency-key"
_REPLAYED: Final = "idempotent-replayed"

Handle = Callable[[Request], Awaitable[Response]]


async def once(request: ReadRequest, handle: Handle, secrets: frozenset[str]) -> Response:
    """Answer a request by `handle`, unless its key was used before; raises `Refused`.

    `secrets` are the fields of the answer that are not shown a second time.
    """
    key = read_key(request.headers.getlist(HEADER))
    if key is None:
        return await handle(request)
    if request.method != "POST":
        raise invalid("Idempotency-Key", "is taken on POST alone")
    plane: ControlPlane = request.app.state.plane
    actor: Actor = request.state.actor
    asked = await _asked(request, actor, key)
    answer = await plane.repeats.begin(actor.authority, asked)
    if answer is not None:
        return _again(answer)
    try:
        request.state.actor = replace(actor, once=asked)
        response = await handle(request)
        if response.status_code < 300:  # noqa: PLR2004 - what was done
            await plane.repeats.keep(actor.authority, asked, _kept(response, secrets))
        return response
    finally:
        plane.repeats.end(asked)


async def _asked(request: ReadRequest, actor: Actor, key: str) -> Once:
    said = json.dumps(await request.json(), sort_keys=True, default=str)
    return Once(
        operator=actor.name,
        route=f"{request.method} {request.url.path}",
        key=key,
        digest=hashlib.sha256(said.encode()).digest(),
        request_id=request.state.request_id,
    )


def _kept(response: Response, secrets: frozenset[str]) -> Answer:
    document = json.loads(bytes(response.body))
    for name in secrets:
        document[name] = None
    return Answer(
        status=response.status_code,
        location=response.headers.get("location"),
        etag=response.headers.get("etag"),
        body=json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(),
    )


def _again(answer: Answer) -> Response:
    headers = {_REPLAYED: "true"}
    if answer.location is not None:
        headers["Location"] = answer.location
    if answer.etag is not None:
        headers["ETag"] = answer.etag
    return Response(answer.body, answer.status, headers=headers, media_type="application/json")
