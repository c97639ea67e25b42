"""What a tool server sends, made fit for the user who asked: lists without what they may not use.

Every message is written anew at the levels that are looked at, so that no two readers of it see two lists. It does not
matter which request a list answers: a server that puts one where none belongs shows no more of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from bailiwick.domain.mcp import Kind

Raw = msgspec.Raw
Visible = Callable[[Kind, str], bool]
Outside = Callable[[str], str]

# The lists of a result: what they hold, and by which member each thing goes.
_LISTS: Final = {
    "tools": (Kind.TOOL, "name"),
    "prompts": (Kind.PROMPT, "name"),
    "resources": (Kind.RESOURCE, "uri"),
    "resourceTemplates": (Kind.RESOURCE, "uriTemplate"),
}
_CACHE_SCOPE: Final = "cacheScope"
_NOTHING: Final = Raw(b"null")
_PRIVATE: Final = Raw(b'"private"')
_UPDATED: Final = "notifications/resources/updated"
_TASKS: Final = "tasks"
_STATE: Final = "requestState"
_objects = msgspec.json.Decoder(dict[str, Raw]).decode
_lists = msgspec.json.Decoder(list[Raw]).decode
_texts = msgspec.json.Decoder(str).decode


class Garbled(ValueError):
    """No JSON-RPC message."""


class Fitted(NamedTuple):
    """A message as its reader may see it; `answers` is the id, as JSON, of the request that it answers."""

    body: bytes
    answers: bytes | None


def fitted(message: bytes, visible: Visible, outside: Outside) -> Fitted | None:
    """The message as the user may see it, None if not at all; raises `Garbled`.

    `outside` is what the user gets for the state of a call, which they bring back.
    """
    try:
        fields = _objects(message)
        method = fields.get("method")
        if method is not None:
            hidden = _hidden(_texts(method), fields.get("params"), visible)
            return None if hidden else Fitted(msgspec.json.encode(fields), None)
        if not ("result" in fields or "error" in fields):
            raise Garbled
        result = fields.get("result")
        if result is not None:
            fields["result"] = _result(result, visible, outside)
        return Fitted(msgspec.json.encode(fields), bytes(fields.get("id", b"null")))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise Garbled from None


def _result(result: Raw, visible: Visible, outside: Outside) -> Raw:
    members = _objects(result)
    for name, (kind, member) in _LISTS.items():
        listed = members.get(name)
        if listed is not None:
            kept = [item for item in _lists(listed) if _shown(item, kind, member, visible)]
            members[name] = Raw(msgspec.json.encode(kept))
            members[_CACHE_SCOPE] = _PRIVATE
    if _CACHE_SCOPE in members:
        members[_CACHE_SCOPE] = _PRIVATE
    if (state := members.get(_STATE)) is not None and bytes(state) != b"null":
        members[_STATE] = Raw(msgspec.json.encode(outside(_texts(state))))
    if "capabilities" in members:
        capabilities = _objects(members["capabilities"])
        if capabilities.pop(_TASKS, None) is not None:
            members["capabilities"] = Raw(msgspec.json.encode(capabilities))
    return Raw(msgspec.json.encode(members))


def _shown(item: Raw, kind: Kind, member: str, visible: Visible) -> bool:
    try:
        return visible(kind, _texts(_objects(item).get(member, _NOTHING)))
    except msgspec.MsgspecError:  # What has no name can be called by nobody.
        return False


def _hidden(method: str, params: Raw | None, visible: Visible) -> bool:
    """Whether a notification tells of a resource that the user may not use."""
    if method != _UPDATED or params is None:
        return False
    uri = _objects(params).get("uri")
    return uri is not None and not visible(Kind.RESOURCE, _texts(uri))
