"""An issuer as the fields of a form: what stands in them, and what is made of them.

A claim is written as its path, or as a list in JSON where its parts hold dots. What is required stands one claim a
line: `org_id` alone for any value, `role = admin, owner` for one of these; a value that could be read as another is
written in JSON (`"true"`, `[1, "1"]`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from bailiwick.apps.admin.body import read_json
from bailiwick.apps.dashboard.forms import Form
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.issuers import TARGETS
from bailiwick.domain.merge_patch import Document

PARTS: Final = ("claim", "default", "one_of")
_LINES: Final = ("audiences", "authorized_parties")
_TEXTS: Final = ("issuer", "jwks_url", "jwks", "max_lifetime", "user_prefix", "required")
FIELDS: Final = (*_TEXTS, *_LINES, "algorithms", *(f"{part}.{target}" for target in TARGETS for part in PARTS))


def shown(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the body of an issuer."""
    jwks, required = asked.get("jwks"), asked.get("required") or {}
    fields: dict[str, Any] = {
        "issuer": asked.get("issuer", ""),
        "jwks_url": asked.get("jwks_url") or "",
        "jwks": "" if jwks is None else json.dumps(jwks, indent=1),
        "max_lifetime": str(asked.get("max_lifetime") or ""),
        "user_prefix": asked.get("user_prefix") or "",
        "required": "\n".join(_requirement(name, values) for name, values in required.items()),
        "algorithms": asked.get("algorithms", []),
    }
    fields |= {name: "\n".join(asked.get(name) or []) for name in _LINES}
    for target in TARGETS:
        source = (asked.get("claims") or {}).get(target, "")
        parts = source if isinstance(source, Mapping) else {"claim": source}
        claim = parts.get("claim", "")
        fields[f"claim.{target}"] = claim if isinstance(claim, str) else json.dumps(claim)
        fields[f"default.{target}"] = parts.get("default") or ""
        fields[f"one_of.{target}"] = ", ".join(parts.get("one_of") or ())
    return fields


def sent(form: Form) -> dict[str, Any]:
    """The fields as they were sent, to be shown again."""
    return {name: form.text(name) for name in FIELDS if name != "algorithms"} | {
        "algorithms": form.chosen("algorithms")
    }


def body(form: Form) -> Document:
    """What a form asks for, as the API's body; raises `Refused`."""
    form.known(*FIELDS)
    asked: Document = {
        "issuer": form.text("issuer").strip(),
        "jwks_url": form.optional("jwks_url"),
        "jwks": _json("jwks", form.text("jwks")) if form.optional("jwks") else None,
        "algorithms": form.chosen("algorithms"),
        "max_lifetime": _seconds(form.optional("max_lifetime")),
        "user_prefix": form.optional("user_prefix"),
        "claims": {target: source for target in TARGETS if (source := _source(form, target)) is not None},
        "required": dict(_required(line) for line in form.lines("required")),
    }
    return asked | {name: form.lines(name) for name in _LINES}


def _seconds(text: str | None) -> int | None:
    if text is not None and not (text.isascii() and text.isdecimal() and len(text) < 10):  # noqa: PLR2004 - 30 years
        raise invalid("max_lifetime", "must be a number of seconds")
    return None if text is None else int(text)


def _source(form: Form, target: str) -> object:
    claim, default, one_of = (form.optional(f"{part}.{target}") for part in PARTS)
    if claim is None:
        if default or one_of:
            raise invalid(f"claims.{target}", "needs the claim that it is read from")
        return None
    path = _json(f"claims.{target}", claim) if claim.startswith("[") else claim
    if not default and not one_of:
        return path
    values = [value.strip() for value in (one_of or "").split(",") if value.strip()]
    return {"claim": path, **({"default": default} if default else {}), **({"one_of": values} if values else {})}


def _required(line: str) -> tuple[str, object]:
    # A name may be a URL with a query, and a value hold whatever it likes.
    name, sign, text = line.partition(" = ")
    if not sign:
        return line, None
    if text.strip().startswith("["):
        return name.strip(), _json("required", text)
    return name.strip(), [_value(value.strip()) for value in text.split(",")]


def _value(text: str) -> object:
    """A value as it is meant: true, false, a whole number, a text in quotes, or else a text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, (bool, int, str)) else text


def _requirement(name: str, values: Any) -> str:
    if values is None:
        return name
    listed = values if isinstance(values, list) else [values]
    plain = ", ".join(value if isinstance(value, str) else json.dumps(value) for value in listed)
    # One line, and read as what it was written of.
    holds = not plain.startswith("[") and len(plain.splitlines()) == 1 and _required(f"x = {plain}")[1] == listed
    return f"{name} = {plain if holds else json.dumps(listed)}"


def _json(field: str, text: str) -> object:
    try:
        return read_json(text.encode("utf-8", "surrogatepass"))
    except Refused:
        raise invalid(field, "must be JSON") from None
