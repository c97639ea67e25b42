"""Which tenant an address is about, before anything is read of it.

An id of a wrong form is refused as an unknown one is: 404, the same bytes. Where the tenant is not in the address, it
is looked up by the id itself, which nobody can guess.
"""

from __future__ import annotations

from uuid import UUID

from fastapi import Request

from bailiwick.bootstrap.control import ControlPlane
from bailiwick.domain import ids
from bailiwick.domain.explanation import read_request_id
from bailiwick.domain.ids import KeyId, ProjectId, TenantId
from bailiwick.services.absence import found


async def tenant_of_address(request: Request, plane: ControlPlane) -> TenantId | None:
    """The tenant of the outermost thing that the address names; None if it names none of a tenant's.

    Raises `Refused` (404).
    """
    named = request.path_params
    if "tenant_id" in named:
        return TenantId(id_of(request, "tenant_id", ids.TENANT))
    if "project_id" in named:
        return await plane.provisioning.tenant_of_project(ProjectId(id_of(request, "project_id", ids.PROJECT)))
    if "request_id" in named:
        return await plane.explaining.tenant_of(request_id_of(request))
    if "key_id" in named:
        return await plane.provisioning.tenant_of_key(KeyId(id_of(request, "key_id", ids.KEY)))
    return None


def id_of(request: Request, name: str, prefix: str) -> UUID:
    """One id of the address; raises `Refused` (404)."""
    return found(ids.parsed(prefix, request.path_params[name]))


def request_id_of(request: Request) -> UUID:
    """The id of a call in the address; raises `Refused` (404)."""
    return found(read_request_id(request.path_params["request_id"]))
