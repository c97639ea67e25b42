"""Calls of tools in OpenAI's Responses: items of the output, whole or in the events of their place.

Items that are shown are numbered anew, since clients take `output_index` for a place in a list; with a call go its
output and every event of its index, also from the response that the last event repeats.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import ClassVar, Final, final

from bailiwick.domain.json_body import Json
from bailiwick.domain.offered_tools import Offered
from bailiwick.domain.tool_names import MCP
from bailiwick.providers.answers.calls import Blocked, Object, not_offered

_NAMED: Final = frozenset({"custom_tool_call", "function_call"})
_SERVED: Final = frozenset({"mcp_approval_request", "mcp_call"})
_INDEX: Final = "output_index"
# By the type of an item: what a provider brings and has called, or whoever asked shall carry out.
_FAMILY_OF: Final = {
    "apply_patch_call": "apply_patch",
    "code_interpreter_call": "code_interpreter",
    "computer_call": "computer_use",
    "file_search_call": "file_search",
    "image_generation_call": "image_generation",
    "local_shell_call": "shell",
    "program": "programmatic_tool_calling",
    "shell_call": "shell",
    "tool_search_call": "tool_search",
    "web_search_call": "web_search",
}


@final
class ResponseCalls:
    """See `CallForm`."""

    marks: ClassVar[tuple[bytes, ...]] = (b"_call", b"mcp_", b"program")

    def __init__(self, offered: Offered) -> None:
        self._offered = offered
        # By index: where an item is shown, None for nowhere.
        self._places: dict[int, int | None] = {}
        self._gone: list[int] = []
        self._ids: set[str] = set()
        self.blocked: Final = Blocked()

    def whole(self, answer: Object) -> bool:
        """See `CallForm`."""
        before = self.blocked.count
        output = answer.get("output")
        if isinstance(output, list):
            kept: list[Json] = [item for item in output if isinstance(item, dict) and self._is_shown(item)]
            answer["output"] = kept
            return self.blocked.count > before or len(kept) < len(output)
        return False

    def event(self, event: Object) -> bool | None:
        """See `CallForm`."""
        if isinstance(response := event.get("response"), dict):
            count = self.blocked.count
            changed = self.whole(response)
            # They were counted when their own events came.
            if count:
                self.blocked.count = count
            return changed
        index = event.get(_INDEX)
        if not isinstance(index, int):
            return False
        if isinstance(item := event.get("item"), dict):
            self._see(index, item)
        place = self._places[index] if index in self._places else self._place(index)
        if place is None:
            return None
        event[_INDEX] = place
        return place != index

    def _see(self, index: int, item: Object) -> None:
        """An item, when it begins and once more when it is whole."""
        if index not in self._places:
            self._places[index] = self._place(index) if self._is_shown(item) else None
            if self._places[index] is None:
                insort(self._gone, index)
        elif self._places[index] is not None and not self._is_shown(item):
            raise not_offered(item.get("name"))

    def _place(self, index: int) -> int:
        return index - bisect_left(self._gone, index)

    def _is_shown(self, item: Object) -> bool:
        kind = item.get("type")
        if not isinstance(kind, str):
            return True
        own = [said for said in (item.get("call_id"), item.get("id")) if isinstance(said, str)]
        if kind.endswith("_output"):
            return not any(said in self._ids for said in own)
        if self._is_let(kind, item):
            return True
        self.blocked.add(item.get("name") or kind)
        self._ids.update(own)
        return False

    def _is_let(self, kind: str, item: Object) -> bool:
        offered = self._offered
        if kind in _NAMED:
            return offered.has_named(item.get("name"))
        if kind in _SERVED:
            return offered.has_served(item.get("server_label"), item.get("name"))
        if kind == "mcp_list_tools":
            return offered.has_server(item.get("server_label"))
        family = _FAMILY_OF.get(kind)
        if family is not None:
            return offered.has_family(family)
        return not (offered.strict and (kind.endswith("_call") or kind.startswith(MCP)))
