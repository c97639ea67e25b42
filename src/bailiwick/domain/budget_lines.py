"""A budget as one line, where people write many: on the command line, in a form.

    5.00 usd month
    $5 day timezone=Europe/Berlin on_exceed=reject models=gpt-*,o3
    200000 tokens 24h

Amount, unit, window, then what else is said. Nothing is checked here but the form: the document that a line stands for
is read like any other (`domain/budgets.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_MORE: Final = ("timezone", "on_exceed", "max_wait", "on_lost", "models")
_USUAL: Final = {"timezone": "UTC", "on_exceed": "cap", "max_wait": "2s", "on_lost": "estimate"}
_HEAD: Final = 3
# Of more digits, a number is beyond every bound.
_DIGITS: Final = 20


def read_budget_line(text: str) -> dict[str, object]:
    """Read a line as the document that it stands for; ValueError, fit to be shown."""
    words = text.split()
    if words and words[0].startswith("$"):
        words[:1] = [words[0][1:], "usd"]
    if len(words) < _HEAD or words[1] not in ("usd", "tokens"):
        message = 'must be an amount, "usd" or "tokens", and a window, such as "5.00 usd month" or "200000 tokens 24h"'
        raise ValueError(message)
    amount, unit, window, *more = words
    return {"limit": {unit: amount if unit == "usd" else _number(amount)}, "window": window, **_rest(more)}


def budget_line(document: Mapping[str, object]) -> str:
    """The line that stands for a document with every default, which it does not repeat."""
    limit = document["limit"]
    if not isinstance(limit, Mapping):
        raise TypeError(limit)
    ((unit, amount),) = limit.items()
    words = [str(amount), str(unit), str(document["window"])]
    for name in _MORE:
        said = document.get(name)
        if said is not None and said != _USUAL.get(name):
            words.append(f"{name}={','.join(map(str, said)) if isinstance(said, list) else said}")
    return " ".join(words)


def _rest(words: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in _MORE or name in found:
            message = f"must have after its window only {', '.join(f'{name}=…' for name in _MORE)}, each once"
            raise ValueError(message)
        found[name] = value.split(",") if name == "models" else value
    return found


def _number(text: str) -> int | str:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else text
