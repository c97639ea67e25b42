"""Trusted issuers: of a project, and of the platform (`/admin/v1/issuers`)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.issuer_wire import (
    IssuerBody,
    IssuerShown,
    TokenBody,
    VerdictShown,
    issuer_asked,
    issuer_body,
    verdict_document,
)
from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtIssuer, AtIssuers, AtProject, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, listed
from bailiwick.apps.admin.wire import PatchOf, read_patched
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.issuers import Issuer, IssuerSpec
from bailiwick.domain.merge_patch import Document
from bailiwick.services.documents import issuer_document

_PROJECT: Final = "/admin/v1/projects/{project_id}/issuers"
_PLATFORM: Final = "/admin/v1/issuers"
_ID: Final = "/{issuer_id}"
_READ: Final = needs(AdminPermission.ISSUERS_READ)
_WRITE: Final = needs(AdminPermission.ISSUERS_WRITE)
_READ_PLATFORM: Final = needs(AdminPermission.PLATFORM_ISSUERS_READ)
_WRITE_PLATFORM: Final = needs(AdminPermission.PLATFORM_ISSUERS_WRITE)

router = APIRouter(route_class=ControlRoute, tags=["issuers"])

IssuerPatch = Annotated[dict[str, Any], Body(), PatchOf(IssuerBody)]


@router.get(_PROJECT, response_model=Listed[IssuerShown], openapi_extra=_READ)
@router.get(_PLATFORM, response_model=Listed[IssuerShown], openapi_extra=_READ_PLATFORM)
async def list_issuers(
    plane: Plane, actor: CurrentActor, at: AtIssuers, limit: Limit = None, after: After = None
) -> Document:
    """List the issuers of this place alone."""
    return listed(await plane.issuers.list(actor, at, page_of(ids.ISSUER, limit, after)), issuer_document)


@router.post(_PROJECT, status_code=201, response_model=IssuerShown, openapi_extra=_WRITE)
@router.post(_PLATFORM, status_code=201, response_model=IssuerShown, openapi_extra=_WRITE_PLATFORM)
async def create_issuer(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, at: AtIssuers, body: IssuerBody
) -> Document:
    """Trust an issuer. It is not asked for anything yet."""
    issuer = await plane.issuers.create(actor, at, lambda reserved: issuer_asked(body, reserved))
    document = issuer_document(issuer)
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.post(f"{_PROJECT}/test", response_model=VerdictShown, openapi_extra=_WRITE)
async def judge_token(plane: Plane, at: AtProject, body: TokenBody) -> Document:
    """Say of a token, thing by thing, what is accepted at the project's address and why not."""
    return verdict_document(await plane.issuer_tester.test(*at, body.token))


@router.get(_PROJECT + _ID, response_model=IssuerShown, openapi_extra=_READ)
@router.get(_PLATFORM + _ID, response_model=IssuerShown, openapi_extra=_READ_PLATFORM)
async def read_issuer(plane: Plane, actor: CurrentActor, at: AtIssuers, issuer_id: AtIssuer) -> Document:
    """Read an issuer."""
    return issuer_document(await plane.issuers.find(actor, at, issuer_id))


@router.patch(_PROJECT + _ID, response_model=IssuerShown, openapi_extra=_WRITE)
@router.patch(_PLATFORM + _ID, response_model=IssuerShown, openapi_extra=_WRITE_PLATFORM)
async def change_issuer(
    plane: Plane, actor: CurrentActor, at: AtIssuers, issuer_id: AtIssuer, patch: IssuerPatch, expected: IfMatch
) -> Document:
    """Change an issuer, for tokens that are out already too; its name stays. `required` is replaced as a whole."""

    def change(issuer: Issuer) -> IssuerSpec:
        before = issuer_body(issuer)
        if "required" in patch:
            # Null has a meaning in there, so that it could take nothing away.
            before["required"] = patch["required"]
        merging = {name: value for name, value in patch.items() if name != "required"}
        return issuer_asked(read_patched(IssuerBody, before, merging))

    return issuer_document(await plane.issuers.change(actor, at, issuer_id, change, expected=expected))


@router.delete(_PROJECT + _ID, status_code=204, openapi_extra=_WRITE)
@router.delete(_PLATFORM + _ID, status_code=204, openapi_extra=_WRITE_PLATFORM)
async def remove_issuer(
    plane: Plane, actor: CurrentActor, at: AtIssuers, issuer_id: AtIssuer, expected: IfMatch
) -> None:
    """Trust an issuer no more: its tokens are refused within a second."""
    await plane.issuers.remove(actor, at, issuer_id, expected=expected)
