"""Visitors by their sessions."""

from __future__ import annotations

from typing import final
from uuid import UUID

from starlette.requests import Request

from bailiwick.apps.dashboard.visitor import Visitor
from bailiwick.apps.http.session_cookie import SessionCookie
from bailiwick.services.sessions import Sessions


@final
class SessionVisitors:
    """Recognizes who signed in, by the cookie of their browser."""

    def __init__(self, sessions: Sessions, cookie: SessionCookie) -> None:
        self._sessions = sessions
        self._cookie = cookie

    async def find(self, request: Request, project: UUID | None) -> Visitor | None:
        """Who asks, for a project if any; None if nobody is signed in. Raises `Unavailable`."""
        token = self._cookie.read(request)
        if token is None:
            return None
        owner = None
        if project is None:
            session = await self._sessions.find(token)
        else:
            session, owner = await self._sessions.find_visit(token, project)
        if session is None:
            return None
        return Visitor(
            operator=session.person.operator, csrf=self._sessions.csrf(token), session=session, project_of=owner
        )
