"""The audit log: who did what, from where, to what, and what it was before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, final

from starlette.responses import Response

from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.choices import tenant_named, tenants_within
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.audit import Search, read_search
from bailiwick.domain.audit_chain import Chain, Link
from bailiwick.domain.errors import Refused
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.times import written
from bailiwick.services.documents import entry_document

_RESOURCES: Final = (
    "tenant",
    "project",
    "key",
    "provider",
    "user",
    "operator",
    "operator_key",
    "session",
    "sign_in",
    "audit",
)


_SIDES: Final = {"before": "Before", "after": "After"}


async def list_entries(visit: Visit) -> Response:
    """What was done in a tenant, or to the installation, the newest first."""
    chain = _chain(visit)
    tenants = await tenants_within(visit)
    values = {"tenants": tenants, "chosen": visit.asked("tenant"), "resources": _RESOURCES}
    try:
        search = _search(visit)
    except Refused as refused:
        return visit.again("audit/list.html", refused, **values, entries=[], page=None)
    page = await visit.plane.audit.search(chain, visit.actor, search, visit.page(ids.AUDIT_ENTRY))
    entries = [_shown(chain, link) for link in page.items]
    return visit.show("audit/list.html", **values, entries=entries, page=page)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """An entry as the page shows it: `about` are the fields that it speaks of, `parts` what it says of them."""

    at: datetime
    entry: Document
    about: str
    parts: tuple[tuple[str, object], ...]


def _shown(chain: Chain, link: Link) -> Shown:
    entry = entry_document(chain, link)
    detail = entry["detail"]
    parts: tuple[tuple[str, object], ...] = ()
    about = ""
    if isinstance(detail, Mapping) and detail:
        rest = {name: value for name, value in detail.items() if name not in _SIDES}
        sides = [(title, detail[name]) for name, title in _SIDES.items() if detail.get(name)]
        parts = (*sides, *((("Detail", rest),) if rest else ()))
        about = _about(detail)
    return Shown(at=link.at, entry=entry, about=about, parts=parts)


def _about(detail: Mapping[str, object]) -> str:
    """In a line: the name of what was made or removed, else the fields that were changed."""
    sides = [side for side in (detail.get(name) for name in _SIDES) if isinstance(side, Mapping) and side]
    if len(sides) == 1 and isinstance(sides[0].get("name"), str):
        return f"“{sides[0]['name']}”"
    named = dict.fromkeys(name for side in sides for name in side) or dict.fromkeys(detail)
    return ", ".join(named)


def _search(visit: Visit) -> Search:
    """What the filters ask for; days are whole ones, of UTC. Raises `Invalid`."""
    return read_search(
        actor=visit.asked("actor").strip() or None,
        action=visit.asked("action").strip() or None,
        target=visit.asked("target").strip() or None,
        since=_day(visit.asked("from")),
        until=_day(visit.asked("to"), after=timedelta(days=1)),
    )


def _day(text: str, after: timedelta = timedelta()) -> str | None:
    if not text:
        return None
    try:
        return written(datetime.fromisoformat(f"{text}T00:00:00+00:00") + after)
    except (ValueError, OverflowError):
        return text  # which is no moment, and is told as one that is wrong


def _chain(visit: Visit) -> Chain:
    """Whose log the address asks for; raises `Refused` (404)."""
    asked = visit.asked("tenant")
    return tenant_named(visit, asked) if asked else visit.operator.tenant_id


PAGES: Final = (Page(path="/audit", handler=list_entries, needs=AdminPermission.AUDIT_READ, confined=True),)
