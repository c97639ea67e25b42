"""Rules of tools as fields of a form: what may be used, what may not; of a server, a project, a tier, a key."""

from __future__ import annotations

from typing import Final

from bailiwick.apps.dashboard.forms import Form
from bailiwick.domain.fields import invalid
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.tools import ToolRules

TOOL_FIELDS: Final = ("tools.allow", "tools.deny", "tools.none")


def tool_rules_given(form: Form) -> Document | None:
    """The API's object, None if the form says nothing of tools; raises `Invalid` for a contradiction."""
    allow, deny, none = form.lines("tools.allow"), form.lines("tools.deny"), form.checked("tools.none")
    if none and allow:
        raise invalid("tools.allow", "must be empty where no tool is allowed at all")
    allowed: Document = {"allow": allow} if allow or none else {}
    return {**allowed, "deny": deny} if allowed or deny else None


def tool_rules_shown(rules: ToolRules | None) -> dict[str, str]:
    """The form that says these rules."""
    said = {} if rules is None else rules.document()
    allow, deny = said.get("allow"), said.get("deny", [])
    return {
        "tools.allow": "\n".join(allow or ()),
        "tools.deny": "\n".join(deny),
        "tools.none": "yes" if allow == [] else "",
    }
