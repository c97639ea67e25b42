"""Rules of tools as fields of a form: what may be used, what may not; and what they say, in plain words.

The same fields are on the forms of a server, an agent, a project, a tier and a key.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from bailiwick.apps.dashboard import words
from bailiwick.apps.dashboard.forms import Form, errors_of
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.tools import ToolRules, tool_rules

TOOL_FIELDS: Final = ("tools.allow", "tools.deny", "tools.none")


def tool_rules_given(form: Form) -> Document | None:
    """The API's object, None if the form says nothing of tools; raises `Invalid` for a contradiction."""
    allow, deny, none = form.lines("tools.allow"), form.lines("tools.deny"), form.checked("tools.none")
    if none and allow:
        raise invalid("tools.allow", "must be empty where no tool is allowed at all")
    return {"allow": allow if allow or none else None, "deny": deny} if allow or none or deny else None


def tool_rules_shown(rules: ToolRules | None) -> dict[str, str]:
    """The form that says these rules."""
    allow = None if rules is None or rules.allow is None else rules.allow.patterns
    deny = () if rules is None else rules.deny.patterns
    return {
        "tools.allow": "\n".join(allow or ()),
        "tools.deny": "\n".join(deny),
        "tools.none": "yes" if allow == () else "",
        "tools.words": words.tools(None if rules is None else rules.document()),
    }


def tool_rules_sent(form: Form) -> dict[str, str]:
    """The fields as they were sent, to be shown again."""
    return {**{name: form.text(name) for name in TOOL_FIELDS}, "tools.words": ""}


async def preview_tools(visit: Visit) -> Response:
    """What the fields of a form would mean, whatever else is in it: a piece of its page."""
    try:
        document = tool_rules_given(visit.form)
        tool_rules("tools", document)
    except Refused as refused:
        wrong = "; ".join(f"{error.field.removeprefix('tools.')} {error.message}" for error in errors_of(refused))
        return visit.show("tool_words.html", said="", wrong=wrong)
    return visit.show("tool_words.html", said=words.tools(document), wrong="")


PAGES: Final = (
    Page(
        path="/projects/{project_id}/tools/preview",
        handler=preview_tools,
        needs=AdminPermission.PROJECTS_WRITE,
        method="POST",
    ),
)
