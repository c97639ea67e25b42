"""Visitors by their sessions."""

from __future__ import annotations

from typing import final

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

    async def find(self, request: Request) -> Visitor | None:
        """Who asks; None if nobody is signed in. Raises `Unavailable`."""
        token = self._cookie.read(request)
        session = None if token is None else await self._sessions.find(token)
        if session is None or token is None:
            return None
        return Visitor(operator=session.person.operator, csrf=self._sessions.csrf(token))
