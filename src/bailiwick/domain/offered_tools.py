"""Which tools a provider was offered, and so which calls its answer may hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain.tool_names import Tool

# Of what providers bring, these are carried out by whoever asked.
_CARRIED_OUT_BY_CLIENTS: Final = frozenset({"apply_patch", "browser", "computer_use", "memory", "shell", "text_editor"})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What went to a provider. `named` are functions and custom tools, `families` what providers bring themselves.

    `servers` are tool servers by label, each with the tools that it may use, None for all of them. `strict` says that
    there are rules: then nothing that was not offered may be called. Without, what a provider carries out by itself is
    between it and whose account it is.
    """

    named: frozenset[str]
    families: frozenset[str]
    servers: Mapping[str, frozenset[str] | None]
    strict: bool

    def has(self, tool: Tool) -> bool:
        """Whether a tool that a choice names was offered."""
        if tool.server is not None:
            if tool.listed is None:
                return tool.server in self.servers
            return all(self.has_served(tool.server, name) for name in tool.listed)
        if tool.name is not None:
            return tool.name in self.named
        return tool.family is not None and tool.family in self.families

    def has_named(self, name: object) -> bool:
        """Whether a function or a custom tool may be called."""
        return isinstance(name, str) and name in self.named

    def has_family(self, family: str) -> bool:
        """Whether what providers bring may be called."""
        return family in self.families or not (self.strict or family in _CARRIED_OUT_BY_CLIENTS)

    def has_server(self, label: object) -> bool:
        """Whether a tool server may be asked."""
        return not self.strict or (isinstance(label, str) and label in self.servers)

    def has_served(self, label: object, name: object) -> bool:
        """Whether a tool of a tool server may be called."""
        if not self.strict:
            return True
        if not isinstance(label, str) or not isinstance(name, str) or label not in self.servers:
            return False
        listed = self.servers[label]
        return listed is None or name in listed


def offered(tools: Iterable[Tool], *, strict: bool) -> Offered:
    """What a request with these tools offers."""
    named: set[str] = set()
    families: set[str] = set()
    servers: dict[str, frozenset[str] | None] = {}
    for tool in tools:
        if tool.name is not None:
            named.add(tool.name)
        if tool.family is not None:
            families.add(tool.family)
        if tool.server is not None:
            listed = None if tool.listed is None else frozenset(tool.listed)
            before = servers.get(tool.server, frozenset())
            servers[tool.server] = None if listed is None or before is None else listed | before
    return Offered(named=frozenset(named), families=frozenset(families), servers=servers, strict=strict)
