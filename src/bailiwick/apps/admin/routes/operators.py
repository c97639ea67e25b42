"""`/admin/v1/operators`: the persons who administer."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.operator_bodies import (
    LinkBody,
    PersonBody,
    PersonChange,
    invitation_asked,
    person_asked,
    person_body,
)
from bailiwick.apps.admin.places import After, AtOperator, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import LinkShown, Listed, PersonShown, listed
from bailiwick.apps.admin.wire import PatchOf, read_patched
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.operators import Person, PersonSpec
from bailiwick.domain.times import written
from bailiwick.services.documents import person_document

_LIST: Final = "/admin/v1/operators"
_ITEM: Final = "/admin/v1/operators/{operator_id}"
_READ: Final = needs(AdminPermission.OPERATORS_READ, confined=True)
_WRITE: Final = needs(AdminPermission.OPERATORS_WRITE, confined=True)

router = APIRouter(route_class=ControlRoute, tags=["operators"])

PersonPatch = Annotated[dict[str, Any], Body(), PatchOf(PersonChange)]


@router.get(_LIST, response_model=Listed[PersonShown], openapi_extra=_READ)
async def list_operators(plane: Plane, actor: CurrentActor, limit: Limit = None, after: After = None) -> Document:
    """List the persons within reach."""
    return listed(await plane.people.list(actor, page_of(ids.OPERATOR, limit, after)), person_document)


@router.post(_LIST, status_code=201, response_model=PersonShown, openapi_extra=_WRITE)
async def invite_operator(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, body: PersonBody
) -> Document:
    """Invite a person. They can do nothing until they have followed their link."""
    document = person_document(await plane.people.invite(actor, invitation_asked(body, actor.authority)))
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_ITEM, response_model=PersonShown, openapi_extra=_READ)
async def read_operator(plane: Plane, actor: CurrentActor, at: AtOperator) -> Document:
    """Read a person."""
    return person_document(await plane.people.find(actor, at))


@router.patch(_ITEM, response_model=PersonShown, openapi_extra=_WRITE)
async def change_operator(
    plane: Plane, actor: CurrentActor, at: AtOperator, patch: PersonPatch, expected: IfMatch
) -> Document:
    """Change a person's name, role or status. Who is suspended cannot sign in."""

    def change(person: Person) -> PersonSpec:
        return person_asked(read_patched(PersonChange, person_body(person), patch), person)

    return person_document(await plane.people.change(actor, at, change, expected=expected))


@router.post(f"{_ITEM}/sign-in-link", status_code=201, response_model=LinkShown, openapi_extra=_WRITE)
async def make_sign_in_link(
    plane: Plane, actor: CurrentActor, at: AtOperator, body: LinkBody | None = None
) -> Document:
    """Make a link that signs this person in once, to set a password; the one before is good no more."""
    link = await plane.person.issuer.make_for_operator(actor, at, resets_codes=body is not None and body.reset_codes)
    return {"link": link.address(plane.public_url), "expires_at": written(link.expires_at)}


@router.delete(_ITEM, status_code=204, openapi_extra=_WRITE)
async def remove_operator(plane: Plane, actor: CurrentActor, at: AtOperator, expected: IfMatch) -> None:
    """Remove a person."""
    await plane.people.remove(actor, at, expected=expected)
