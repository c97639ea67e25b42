"""Bailiwick: the tenant boundary for AI applications.

`Client` and `AsyncClient` ask a running installation; they are loaded when they are first named, so that
`import bailiwick` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bailiwick.client import AsyncClient, Client

__all__ = ["AsyncClient", "Client"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from bailiwick import client  # noqa: PLC0415 - only for who uses it

    found: object = getattr(client, name)
    globals()[name] = found
    return found
