"""Other models than the one that a body asks for: routers' lists of fallbacks, tools that are models themselves.

A key's `models` and our price speak of one model, `model`. So what names another beside it must be seen.

Worked examples: `{"model": "a", "models": ["b"]}` names others in `models`, and so does
`{"tools": [{"type": "image_generation", "model": "b"}]}` in `tools`; a tool's schema with a property `model` does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from bailiwick.domain.json_search import ESCAPED_LETTER, condensed, looked_through, members

_MODEL: Final = "model"
_NAME: Final = re.compile(r"(?:[a-z_]*_)?models?|(?:[a-z_]*_)?fallbacks?|model_list", re.ASCII)
_KEYS: Final = re.compile(rf'"(?:{_NAME.pattern})"\s*+:', re.ASCII)
# At the top level: what a router keeps under a name, and how it goes through a list.
_ROUTERS: Final = frozenset({"preset", "route"})
# In a conversation, these tell which models have answered.
_PAST: Final = frozenset({"from", "svg_usage"})


def other_models(body: bytes, fields: Mapping[str, msgspec.Raw]) -> str | None:
    """The field of a body that names other models than `model`, None for none; raises `Refused` (400)."""
    if not _may_name_others(body, fields):
        return None
    for name, raw in fields.items():
        text = str(raw, "latin-1")
        if name != _MODEL and (_NAME.fullmatch(name) or name in _ROUTERS):
            if text not in {"null", "[]"}:
                return name
        elif text[0] in "{[":
            text = condensed(name, text)
            if (_KEYS.search(text) or ESCAPED_LETTER.search(text)) and _named_within(name, text):
                return name
    return None


def _may_name_others(body: bytes, fields: Mapping[str, msgspec.Raw]) -> bool:
    # Asked of every body; written out, it takes half of the time that a loop takes. Where the key `model` is the only
    # place that has these letters, three questions are answered at once.
    named = _MODEL in fields
    return (
        (body.count(b"odel") > named and (body.count(b'model"') > named or b'odels"' in body or b"odel_list" in body))
        or b"allback" in body
        or not _ROUTERS.isdisjoint(fields)
        or (b"\\" in body and b"\\u00" in body)
    )


def _named_within(name: str, text: str) -> bool:
    found = members(name, looked_through(name, text))
    return any(inner and place not in _PAST and _NAME.fullmatch(key) for place, key, inner in found)
