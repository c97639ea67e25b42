"""The addresses of tool servers, and of what describes them (RFC 9728 §3.1): which there are, and what they name."""

from __future__ import annotations

import re
from typing import Final

DOOR: Final = "/mcp/{server}"
DESCRIPTION: Final = "/.well-known/oauth-protected-resource/p/{slug}/mcp/{server}"
_WELL_KNOWN: Final = "/.well-known/oauth-protected-resource"
_NAME: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOOR: Final = re.compile(rf"/mcp/({_NAME})")
_DESCRIBED: Final = re.compile(rf"{re.escape(_WELL_KNOWN)}(/p/{_NAME}/mcp/{_NAME})")
_SLUG: Final = re.compile(_NAME)


def form_of(path: str) -> str:
    """The form of an address by which there are handlers: with names where it has a name, else as it is."""
    if _DOOR.fullmatch(path) is not None:
        return DOOR
    return path if _DESCRIBED.fullmatch(path) is None else DESCRIPTION


def server_of(path: str) -> str | None:
    """The server that an address names, below its project."""
    match = _DOOR.fullmatch(path)
    return None if match is None else match[1]


def described(path: str) -> str:
    """The path of what a description is about; none if it is about the installation."""
    match = _DESCRIBED.fullmatch(path)
    return "" if match is None else match[1]


def described_at(public_url: str, slug: str | None, path: str) -> str | None:
    """Where the tool server at this address of a project is described; None for what can be no such address."""
    if slug is None or _SLUG.fullmatch(slug) is None or server_of(path) is None:
        return None
    return f"{public_url.rstrip('/')}{_WELL_KNOWN}/p/{slug}{path}"
