"""Calls as a mixed crowd makes them: every door, whole and streamed, troubled providers, clients that leave."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any, Final, final

from tests.apps.gateway.doors.cases import CASES, form
from tests.apps.gateway.doors.streams import (
    IMAGE_EVENTS,
    MESSAGE_EVENTS,
    RESPONSE_EVENTS,
    TEXT_EVENTS,
    TRANSCRIPT_EVENTS,
)
from tests.faults.http import Answer, Client
from tests.faults.site import Site
from tests.upstream import Behaviour, scripts

_CHAT: Final = "/chat/completions"
_STREAMS: Final = {
    "/completions": TEXT_EVENTS,
    "/responses": RESPONSE_EVENTS,
    "/messages": MESSAGE_EVENTS,
    "/images/generations": IMAGE_EVENTS,
    "/audio/transcriptions": TRANSCRIPT_EVENTS,
}
_TROUBLE: Final = {
    "error": scripts.error(500, "No."),
    "limited": scripts.error(429, "Later.", retry_after=2),
    "garbage": scripts.garbage(),
    "reset": scripts.reset(2),
    "closed": scripts.close(1.5),
    "half": scripts.half_frame(),
    "no-usage": Behaviour(usage=None),
}
_TROUBLED: Final = 0.1
_LEAVE: Final = 0.15
_GAP: Final = 0.04


def _name(path: str, *, stream: bool) -> str:
    return f"{path[1:].replace('/', '-')}-{'stream' if stream else 'whole'}"


@final
class Mixture:
    """Calls of two projects: one leaves providers whose client has left, the other hears them out.

    `left` are the calls whose clients left, in the first and, `left_unheard`, in the second project; `troubled` those
    of troubled providers; `reported` what good providers say was used, input and output.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self.answers: Final[list[Answer]] = []
        self.left: Final[set[int]] = set()
        self.left_unheard: Final[set[int]] = set()
        self.troubled: Final[set[int]] = set()
        self.reported: Final = {(11, 7), *(case.counted for case in CASES.values())}
        admin, first = site.installation.admin, site.installation.keys["project_id"]
        patient = admin.project(name="Patient", on_disconnect="drain")["id"]
        admin.provider(patient, site.upstream.base_url)
        for project in (first, patient):
            admin.provider(project, site.upstream.base_url, name="claude", kind="anthropic")
        self._patient_key: Final[str] = admin.key(patient)["key"]
        self._script()

    async def one(self) -> None:
        """One call as some client makes it; returns when that client is done."""
        number = next(self._site.numbers)
        patient = random.random() < 0.5
        client = self._site.client(self._patient_key if patient else None)
        path, model, stream = self._choice(number)
        body, kind = _body(path, number, model, stream=stream)
        try:
            await client.post(number, f"/v1{path}", body, kind)
            if random.random() < _LEAVE:
                (self.left_unheard if patient else self.left).add(number)
                await self._leave(client)
            else:
                self.answers.append(await client.rest(number))
        finally:
            client.close()

    def _choice(self, number: int) -> tuple[str, str, bool]:
        if random.random() < _TROUBLED:
            self.troubled.add(number)
            return _CHAT, f"up/{random.choice(list(_TROUBLE))}", random.random() < 0.5
        path = random.choice([_CHAT, *CASES])
        stream = path == "/audio/transcriptions" or ((path == _CHAT or path in _STREAMS) and random.random() < 0.5)
        return path, f"{'claude' if 'messages' in path else 'up'}/{_name(path, stream=stream)}", stream

    @staticmethod
    async def _leave(client: Client) -> None:
        await asyncio.sleep(random.uniform(0, 0.4))
        if random.random() < 0.5:
            client.reset()

    def _script(self) -> None:
        upstream = self._site.upstream
        for name, behaviour in _TROUBLE.items():
            upstream.on(name, behaviour)
        upstream.on(_name(_CHAT, stream=True), Behaviour(chunks=5, gap=_GAP))
        for path, events in _STREAMS.items():
            name = f"/v1{path}" if CASES[path].multipart else _name(path, stream=True)
            upstream.on(name, Behaviour(frames=events, gap=_GAP))
        for path, case in CASES.items():
            if not case.multipart:
                upstream.on(
                    _name(path, stream=False),
                    Behaviour(
                        body=case.answer,
                        headers=(("content-type", case.content_type),),
                        delay=random.choice([0.0, 0.1]),
                    ),
                )


def _body(path: str, number: int, model: str, *, stream: bool) -> tuple[bytes, str]:
    """A request whose number stands in its content."""
    case, mark = CASES[path], f"call-{number}"
    if case.multipart:
        body = form(model=model.encode(), prompt=f'"{mark}"'.encode(), stream=b"true", **case.fields)
        return body, case.request_type
    fields: dict[str, Any] = {"model": model, **case.fields, **({"stream": True} if stream else {})}
    if "messages" in fields:
        fields["messages"] = [{"role": "user", "content": mark}]
    else:
        fields["prompt" if "prompt" in fields else "input"] = mark
    return json.dumps(fields).encode(), case.request_type
