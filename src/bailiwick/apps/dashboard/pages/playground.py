"""A project's playground: a call as any of its users, its answer, and each decision on the way with its reason."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response

from bailiwick.apps.dashboard.advice import advice_for
from bailiwick.apps.dashboard.forms import Form
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.projects import framed
from bailiwick.apps.http.tool_headers import TOOLS_REMOVED
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.explanation import SettledCall, Step, explained, read_request_id
from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.ids import KeyId
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.minting import mint_request
from bailiwick.domain.permissions import Permission
from bailiwick.domain.roles import BUILT_IN, FOR_TOKENS
from bailiwick.providers.own_gateway import Answer
from bailiwick.services.playground import Trial, Tried

_NEEDS: Final = AdminPermission.TOKENS_MINT
_TEXTS: Final = ("key", "user_id", "model", "tier", "role", "message", "tools")
_EMPTY: Final[Document] = {**dict.fromkeys(_TEXTS, ""), "model": "echo", "message": "Hello!", "scopes": []}
_MOST_SHOWN: Final = 20_000
_MOST_TOOLS: Final = 50
_OK: Final = 200
_LEFT: Final = "x-ratelimit-remaining-requests"


async def show_playground(visit: Visit) -> Response:
    """The form for a call."""
    return visit.show("playground/page.html", **await _around(visit), given=_EMPTY)


async def try_out(visit: Visit) -> Response:
    """Make the call that the form says, and show what became of it."""
    sent = {**{name: visit.form.text(name) for name in _TEXTS}, "scopes": visit.form.chosen("scopes")}
    try:
        tried = await visit.plane.playground.carry_out(visit.actor, visit.at, _trial(visit.form))
    except Refused as refused:
        return visit.again("playground/page.html", refused, **await _around(visit), given=sent)
    shown = _shown(tried)
    values = {"given": sent, "tried": shown, "advice": advice_for(str(shown["code"]))}
    return visit.show("playground/page.html", **{**await _around(visit), **values})


async def _around(visit: Visit) -> Document:
    """What the form shows besides its fields."""
    frame = await framed(visit, "playground")
    there = await visit.plane.playground.choices(*visit.at)
    return {
        **frame.values,
        "keys": [(ids.shown(ids.KEY, key_id), name) for key_id, name in there.keys],
        "agents": there.agents,
        "tiers": [(name, name) for name in there.tiers],
        "roles": [(name, name) for name in (*BUILT_IN, *there.roles)],
        "scopes": [scope.value for scope in Permission if scope in FOR_TOKENS],
        "tried": None,
        "advice": None,
    }


def _trial(form: Form) -> Trial:
    """What a form asks for; raises `Refused`."""
    form.known(*_TEXTS, "scopes")
    findings = Findings()
    key = ids.parsed(ids.KEY, form.text("key"))
    if key is None:
        findings.add("key", "must be chosen")
    for name in ("user_id", "model", "message"):
        if not form.text(name).strip():
            findings.add(name, "is required")
    tools = tuple(form.lines("tools"))
    if len(tools) > _MOST_TOOLS:
        findings.add("tools", f"must be at most {_MOST_TOOLS}")
    findings.or_raise()
    if key is None:
        raise invalid("key", "must be chosen")
    asked = {name: form.text(name) or None for name in ("user_id", "tier", "role")}
    return Trial(
        key_id=KeyId(key),
        token=mint_request({**asked, "scopes": form.chosen("scopes") or None}),
        model=form.text("model").strip(),
        message=form.text("message"),
        tools=tools,
    )


def _shown(tried: Tried) -> Document:
    """What the page says of a call."""
    answer = tried.answer
    text, code = _read(answer)
    document = {} if tried.call is None else explained(tried.call)
    decisions: Any = document.get("decisions", [])
    removed = answer.headers.get(TOOLS_REMOVED.decode())
    if removed is not None:
        told = f"The call went on without: {removed}."
        decisions = [{**one, "reason": told} if one["step"] == Step.TOOLS else one for one in decisions]
    request_id = answer.headers.get("x-request-id", "")
    return {
        "status": answer.status,
        "code": code,
        "text": text[:_MOST_SHOWN],
        "cut": len(text) > _MOST_SHOWN,
        "decisions": decisions,
        "usage": document.get("usage") if isinstance(tried.call, SettledCall) else None,
        "request_id": request_id if read_request_id(request_id) else None,
        "me": tried.me,
        "left": answer.headers.get(_LEFT),
    }


def _read(answer: Answer) -> tuple[str, str | None]:
    """What an answer says to a reader, and the code of one that refuses."""
    if answer.body is None:
        return "The answer is longer than this page shows.", None
    try:
        document: Any = msgspec.json.decode(answer.body)
        if answer.status != _OK:
            return str(document["error"]["message"]), str(document["error"]["code"])
        message = document["choices"][0]["message"]
        called = [
            f"{one['function']['name']}({one['function']['arguments']})" for one in message.get("tool_calls") or ()
        ]
        said = [str(message.get("content") or ""), *(f"It calls {one}" for one in called)]
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
        return answer.body.decode(errors="replace"), None
    return "\n".join(filter(None, said)) or "The model said nothing.", None


_PATH: Final = "/projects/{project_id}/playground"

PAGES: Final = (
    Page(path=_PATH, handler=show_playground, needs=_NEEDS),
    Page(path=_PATH, handler=try_out, needs=_NEEDS, method="POST"),
)
