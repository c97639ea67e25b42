"""JSON Merge Patch (RFC 7396): what a PATCH means."""

from __future__ import annotations

from collections.abc import Mapping

Document = dict[str, object]


def merged(target: object, patch: Mapping[str, object]) -> Document:
    """Return `target` with `patch` merged into it: null removes, objects merge, all else replaces.

    Neither argument is changed. `{"a": 1, "b": {"c": 2}}` with `{"a": null, "b": {"d": 3}}` gives
    `{"b": {"c": 2, "d": 3}}`.
    """
    result: Document = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            result[name] = merged(result.get(name), value)
        else:
            result[name] = value
    return result
