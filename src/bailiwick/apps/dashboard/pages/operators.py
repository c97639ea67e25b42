"""Who administers: people, invited and changed, and who they may be is never more than who asks."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.operator_bodies import (
    PersonBody,
    PersonChange,
    invitation_asked,
    person_asked,
    person_body,
)
from bailiwick.apps.admin.wire import read_body_as
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.choices import roles_within, tenants_within
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import OperatorId
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.operators import Person, PersonSpec

_READ: Final = AdminPermission.OPERATORS_READ
_WRITE: Final = AdminPermission.OPERATORS_WRITE


async def list_people(visit: Visit) -> Response:
    """Everybody within reach."""
    return visit.show(
        "operators/people.html", page=await visit.plane.people.list(visit.actor, visit.page(ids.OPERATOR))
    )


async def new_person(visit: Visit) -> Response:
    """The form of an invitation."""
    return visit.show("operators/invite.html", **await _choices(visit))


async def invite_person(visit: Visit) -> Response:
    """Invite somebody, and go on to their page, where their link is made."""
    form = visit.form.known("email", "name", "role", "tenant_id")
    document: Document = {
        "email": form.text("email").strip(),
        "name": form.text("name").strip(),
        "role": form.optional("role"),
        "tenant_id": form.optional("tenant_id"),
    }
    try:
        asked = invitation_asked(read_body_as(PersonBody, document), visit.operator)
        person = await visit.plane.people.invite(visit.actor, asked)
    except Refused as refused:
        return visit.again("operators/invite.html", refused, **await _choices(visit))
    return visit.go(f"/operators/{ids.shown(ids.OPERATOR, person.id)}", "created")


async def show_person(visit: Visit) -> Response:
    """One person, to be changed."""
    person = await visit.plane.people.find(visit.actor, _id(visit))
    return visit.show("operators/person.html", **_shown(visit, person), given=person_body(person))


async def change_person(visit: Visit) -> Response:
    """Change a person's name, role or status."""
    form = visit.form.known("name", "role", "status")
    patch: Document = {"name": form.text("name").strip(), "role": form.text("role")}
    if form.text("status"):
        patch["status"] = form.text("status")

    def change(person: Person) -> PersonSpec:
        return person_asked(read_body_as(PersonChange, {**person_body(person), **patch}), person)

    try:
        await visit.plane.people.change(visit.actor, _id(visit), change)
    except Refused as refused:
        person = await visit.plane.people.find(visit.actor, _id(visit))
        return visit.again("operators/person.html", refused, **_shown(visit, person), given=patch)
    return visit.go("/operators", "saved")


async def make_link(visit: Visit) -> Response:
    """A link with which somebody comes in, shown once; perhaps one that takes a lost second factor away."""
    resets = visit.form.known("resets").checked("resets")
    person = await visit.plane.people.find(visit.actor, _id(visit))
    link = await visit.plane.person.issuer.make_for_operator(visit.actor, person.id, resets_codes=resets)
    values = {**_shown(visit, person), "given": person_body(person)}
    return visit.show("operators/link.html", **values, link=link, address=link.address(visit.plane.public_url))


async def remove_person(visit: Visit) -> Response:
    """Remove a person: from then on they cannot sign in, and their sessions are over."""
    visit.form.known()
    await visit.plane.people.remove(visit.actor, _id(visit))
    return visit.go("/operators", "removed")


def _shown(visit: Visit, person: Person) -> dict[str, object]:
    return {
        "person": person,
        "roles": roles_within(visit),
        "touchable": visit.operator.role.includes(person.role),
    }


async def _choices(visit: Visit) -> dict[str, object]:
    return {"roles": roles_within(visit), "tenants": await tenants_within(visit)}


def _id(visit: Visit) -> OperatorId:
    return OperatorId(id_of(visit.request, "operator_id", ids.OPERATOR))


PAGES: Final = (
    Page(path="/operators", handler=list_people, needs=_READ, confined=True),
    Page(path="/operators/new", handler=new_person, needs=_WRITE, confined=True),
    Page(path="/operators/new", handler=invite_person, needs=_WRITE, confined=True, method="POST"),
    Page(path="/operators/{operator_id}", handler=show_person, needs=_READ, confined=True),
    Page(path="/operators/{operator_id}", handler=change_person, needs=_WRITE, confined=True, method="POST"),
    Page(path="/operators/{operator_id}/link", handler=make_link, needs=_WRITE, confined=True, method="POST"),
    Page(path="/operators/{operator_id}/remove", handler=remove_person, needs=_WRITE, confined=True, method="POST"),
)
