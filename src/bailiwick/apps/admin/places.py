"""What the ids of an address name. An id of a wrong form is refused as an unknown one is: 404, the same bytes.

Most resources have two addresses, below their parent and of their own. Where the parent is not in the address, the
tenant is looked up by the id itself, which nobody can guess; everything is then read within that tenant, and within
the parent that was named.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request

from bailiwick.apps.admin.route import Plane
from bailiwick.domain import ids
from bailiwick.domain.fields import Findings
from bailiwick.domain.ids import KeyId, ProjectId, ProviderId, TenantId
from bailiwick.domain.paging import DEFAULT_LIMIT, PageRequest, read_limit
from bailiwick.domain.providers import PLATFORM, Place
from bailiwick.services.absence import found
from bailiwick.services.credentials import KeyPlace

Limit = Annotated[str | None, Query(description="How many, 1 to 200; 50 by default.")]
After = Annotated[str | None, Query(description="The `next` of the page before.")]


def page_of(prefix: str, limit: str | None, after: str | None) -> PageRequest:
    """Which page of a list is asked for; `after` is an id with this prefix. Raises `Invalid`."""
    findings = Findings()
    size = findings.take(lambda: read_limit(limit), DEFAULT_LIMIT)
    last = None if after is None else ids.parsed(prefix, after)
    if after is not None and last is None:
        findings.add("after", "must be the `next` of an earlier page")
    findings.or_raise()
    return PageRequest(limit=size, after=last)


def _tenant(request: Request) -> TenantId:
    return TenantId(_id(request, "tenant_id", ids.TENANT))


async def _project(request: Request, plane: Plane) -> tuple[TenantId, ProjectId]:
    project_id = ProjectId(_id(request, "project_id", ids.PROJECT))
    if "tenant_id" in request.path_params:
        return _tenant(request), project_id
    return await plane.provisioning.tenant_of_project(project_id), project_id


async def _key(request: Request, plane: Plane) -> tuple[KeyPlace, KeyId]:
    key_id = KeyId(_id(request, "key_id", ids.KEY))
    if "project_id" in request.path_params:
        tenant_id, project_id = await _project(request, plane)
        return KeyPlace(tenant_id=tenant_id, project_id=project_id), key_id
    return KeyPlace(tenant_id=await plane.provisioning.tenant_of_key(key_id), project_id=None), key_id


async def _whose_provider(request: Request, plane: Plane) -> Place:
    if "project_id" in request.path_params:
        tenant_id, project_id = await _project(request, plane)
        return Place(tenant_id=tenant_id, project_id=project_id)
    if "tenant_id" in request.path_params:
        return Place(tenant_id=_tenant(request), project_id=None)
    return PLATFORM


def _provider(request: Request) -> ProviderId:
    return ProviderId(_id(request, "provider_id", ids.PROVIDER))


def _id(request: Request, name: str, prefix: str) -> UUID:
    return found(ids.parsed(prefix, request.path_params[name]))


AtTenant = Annotated[TenantId, Depends(_tenant)]
AtProject = Annotated[tuple[TenantId, ProjectId], Depends(_project)]
AtKey = Annotated[tuple[KeyPlace, KeyId], Depends(_key)]
AtProviders = Annotated[Place, Depends(_whose_provider)]
AtProvider = Annotated[ProviderId, Depends(_provider)]
