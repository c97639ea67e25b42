"""Calls from pages of the web: whether the page's origin may ask the project, and what lets the page read the answer.

At an address that names a project, its list decides before the credential is looked at, and a project that does not
exist is answered like one that does not list the origin. At `/v1` the project is that of the credential, so only calls
that need no preflight come that far. A refusal that comes before the origin was asked for is readable all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, final

from bailiwick.apps.gateway.call import Call
from bailiwick.apps.gateway.reply import HttpReply
from bailiwick.apps.http.cors import Header, origin_of, preflight_headers
from bailiwick.domain.errors import Code, Refused, Unavailable
from bailiwick.services.authentication import Presented
from bailiwick.services.origins import Origins

# What is refused because there is too much of it, or because of trouble of ours, asks the database nothing more.
_NOTHING_ASKED: Final = frozenset({429, 500, 503})


@final
class Pages:
    """Decides about origins."""

    def __init__(self, origins: Origins, project_of: Callable[[Presented], Awaitable[str]]) -> None:
        """`project_of` says which project a credential belongs to, by its slug, or raises `Refused`."""
        self._origins = origins
        self._project_of = project_of

    async def admit(self, call: Call, origin: bytes) -> None:
        """Let the page ask and read what follows; raises `Refused` (403 unless its origin is listed)."""
        slug = await self._project_of(call.presented()) if call.slug is None else call.slug
        if not await self._origins.listed(slug, origin):
            message = "This origin is not among the project's cors_origins."
            raise Refused(Code.ORIGIN_NOT_ALLOWED, message)
        call.reply.page = origin

    async def preflight(self, reply: HttpReply, headers: Sequence[Header], slug: str | None) -> None:
        """Answer a browser that asks whether a page may ask; raises `Refused` (403)."""
        origin = origin_of(headers)
        if slug is None:
            message = "A browser can only ask at an address that names the project, such as /p/{slug}/v1."
            raise Refused(Code.ORIGIN_NOT_ALLOWED, message)
        if origin is None or not await self._origins.listed(slug, origin):
            message = "This origin is not among the project's cors_origins."
            raise Refused(Code.ORIGIN_NOT_ALLOWED, message)
        reply.page = origin
        await reply.no_content(preflight_headers(headers))

    async def show(self, reply: HttpReply, headers: Sequence[Header], slug: str | None, refused: Refused) -> None:
        """Let the page read a refusal that came before `admit`, if its origin is listed."""
        origin = origin_of(headers)
        if origin is None or slug is None:
            return
        try:
            if refused.status in _NOTHING_ASKED:
                listed = self._origins.last_listed(slug, origin)
            else:
                listed = await self._origins.listed(slug, origin)
        except Unavailable:
            return
        if listed:
            reply.page = origin
