"""Names of models, and patterns of them, as operators write them: 1 to 255 visible characters of ASCII.

A pattern is a glob (`gpt-4o*`), matched by case against every name of the model that a call would reach.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from bailiwick.domain.fields import invalid
from bailiwick.domain.globs import MOST_INVOLVED, involved

MAX_MODELS: Final = 1000
_NAME: Final = re.compile(r"[!-~]{1,255}")


def read_model(field: str, text: str) -> str:
    """Take one name or pattern; raises `Invalid`."""
    if _NAME.fullmatch(text) is None:
        raise invalid(field, "must be 1 to 255 visible ASCII characters, without spaces")
    return text


def read_models(field: str, texts: Sequence[str] | None) -> tuple[str, ...] | None:
    """Take a list of names or patterns, each once, or no list; raises `Invalid`."""
    if texts is None:
        return None
    if len(texts) > MAX_MODELS:
        raise invalid(field, f"must be at most {MAX_MODELS}")
    names = tuple(read_model(f"{field}.{place}", text) for place, text in enumerate(texts))
    if len(set(names)) < len(names):
        raise invalid(field, "must not name anything twice")
    if involved(names) > MOST_INVOLVED:
        raise invalid(field, f"must have at most {MOST_INVOLVED} with a wildcard elsewhere than at one end")
    return names
