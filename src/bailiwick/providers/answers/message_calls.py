"""Calls of tools in Anthropic's messages: content blocks, whole or in the events of their index.

Blocks that are shown are numbered anew, since clients take an index for a place in a list; with a call go its result
and every event of its index. `stop_reason` is `end_turn` where no call is left.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import ClassVar, Final, final

from bailiwick.domain.json_body import Json
from bailiwick.domain.offered_tools import Offered
from bailiwick.domain.tool_names import HOSTED
from bailiwick.providers.answers.calls import Blocked, Object, not_offered

_STOP: Final = "stop_reason"
_USE: Final = "tool_use"
_FAMILY_OF: Final = {name: hosted.family for hosted in HOSTED.values() for name in hosted.names}


@final
class MessageCalls:
    """See `CallForm`."""

    marks: ClassVar[tuple[bytes, ...]] = (b"tool",)

    def __init__(self, offered: Offered) -> None:
        self._offered = offered
        # By index: where a block is shown, None for nowhere.
        self._places: dict[int, int | None] = {}
        self._shown = 0
        self._gone: list[int] = []
        self._ids: set[str] = set()
        self.blocked: Final = Blocked()

    def whole(self, answer: Object) -> bool:
        """See `CallForm`."""
        before = self.blocked.count
        content = answer.get("content")
        if isinstance(content, list):
            answer["content"] = [block for block in content if isinstance(block, dict) and self._is_shown(block)]
        return self._stop(answer) or self.blocked.count > before

    def event(self, event: Object) -> bool | None:
        """See `CallForm`."""
        kind, index = event.get("type"), event.get("index")
        if kind == "message_start" and isinstance(message := event.get("message"), dict):
            return self.whole(message)
        if kind == "content_block_start":
            if not isinstance(index, int) or not isinstance(block := event.get("content_block"), dict):
                raise not_offered(None)
            if index in self._places:
                raise not_offered(block.get("name"))
            self._places[index] = self._place(index) if self._is_shown(block) else None
            if self._places[index] is None:
                insort(self._gone, index)
        if kind == "message_delta" and isinstance(delta := event.get("delta"), dict):
            return self._stop(delta)
        if not isinstance(index, int):
            return False
        # Blocks of which nothing had to be read stand where they came.
        place = self._places[index] if index in self._places else self._place(index)
        if place is None:
            return None
        event["index"] = place
        return place != index

    def _place(self, index: int) -> int:
        return index - bisect_left(self._gone, index)

    def _stop(self, said: Object) -> bool:
        if self.blocked.count and not self._shown and said.get(_STOP) == _USE:
            said[_STOP] = "end_turn"
            return True
        return False

    def _is_shown(self, block: Object) -> bool:
        kind = block.get("type")
        if not isinstance(kind, str):
            return True
        if kind.endswith("_result"):
            return block.get("tool_use_id") not in self._ids
        if self._is_let(kind, block):
            self._shown += kind == _USE
            return True
        self.blocked.add(block.get("name"))
        if isinstance(own := block.get("id"), str):
            self._ids.add(own)
        return False

    def _is_let(self, kind: str, block: Object) -> bool:
        offered, name = self._offered, block.get("name")
        if kind == _USE:
            toolset = block.get("toolset_name")
            return offered.has_named(name) if toolset is None else self._has_family(toolset)
        if kind == "server_tool_use":
            return self._has_family(name)
        if kind == "mcp_tool_use":
            return offered.has_served(block.get("server_name"), name)
        if kind == "mcp_tool_listing":
            return offered.has_server(block.get("mcp_server_name"))
        return not (offered.strict and kind.endswith(_USE))

    def _has_family(self, name: Json) -> bool:
        family = _FAMILY_OF.get(name) if isinstance(name, str) else None
        return not self._offered.strict if family is None else self._offered.has_family(family)
