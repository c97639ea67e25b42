"""The cookie that a signed-in browser sends, and how we tell that a request is the person's own doing.

Under TLS it is `__Host-bailiwick` (RFC 6265bis §4.1.3.2): of exactly this host, never sent without TLS, and nobody
below the domain can set one of that name. Without TLS it is `bailiwick`, and anybody on the way can read it.

A browser sends cookies along with whatever another site makes it send. So a request that changes something has to hold
what only a page of ours knows, the session's token, and has to come from a page of ours by what the browser itself
says: `Sec-Fetch-Site`, else `Origin`. A request that says neither is refused: no browser sends one.
"""

from __future__ import annotations

import hmac
from typing import Final, final
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from bailiwick.domain.errors import Code, Refused

CSRF_HEADER: Final = "x-csrf-token"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@final
class SessionCookie:
    """How browsers of this installation keep their session."""

    def __init__(self, public_url: str) -> None:
        """`public_url` says whether there is TLS, and what the origin of our own pages is."""
        parts = urlsplit(public_url)
        self.secure: Final = parts.scheme == "https"
        self.name: Final = "__Host-bailiwick" if self.secure else "bailiwick"
        self._flow: Final = f"{self.name}-flow"
        self._origin = f"{parts.scheme}://{parts.netloc}".lower()

    def read(self, request: Request) -> str | None:
        """What the browser holds; None if there is nothing, or more than one thing: one of them is not from us."""
        return self._read(request, self.name)

    def read_flow(self, request: Request) -> str | None:
        """What the browser keeps of a sign-in that has begun at a provider."""
        return self._read(request, self._flow)

    @staticmethod
    def _read(request: Request, wanted: str) -> str | None:
        found: set[str] = set()
        for header in request.headers.getlist("cookie"):
            for part in header.split(";"):
                name, separator, value = part.strip().partition("=")
                if separator and name == wanted:
                    found.add(value.strip())
        return found.pop() if len(found) == 1 else None

    def give(self, response: Response, token: str) -> None:
        """Have the browser keep a session, until it is closed; when it ends is decided here."""
        self._set(response, self.name, token)

    def take_away(self, response: Response) -> None:
        """Have the browser forget its session."""
        self._set(response, self.name, "", gone=True)

    def keep_flow(self, response: Response, kept: str) -> None:
        """Have the browser keep what it has of a sign-in at a provider, until it comes back."""
        self._set(response, self._flow, kept)

    def drop_flow(self, response: Response) -> None:
        """Have the browser forget that again."""
        self._set(response, self._flow, "", gone=True)

    def check_origin(self, request: Request) -> None:
        """Refuse (403) a request that another site's page has a browser send."""
        site = request.headers.get("sec-fetch-site")
        if site is None:
            # As browsers are that say nothing of the site, or on a connection of which they trust nobody.
            origin = request.headers.get("origin", "").lower()
            host = request.headers.get("host", "").lower()
            if not origin or (origin != self._origin and origin.partition("://")[2] != host):
                raise _not_ours()
        elif site != "same-origin":
            raise _not_ours()

    def check(self, request: Request, csrf: str, token: str) -> None:
        """Refuse (403) a request that changes something and is not from a page of this session.

        `csrf` is the session's, `token` what the request holds.
        """
        if request.method in _SAFE:
            return
        self.check_origin(request)
        if not hmac.compare_digest(csrf.encode(), token.encode()):
            raise _not_ours()

    def _set(self, response: Response, name: str, value: str, *, gone: bool = False) -> None:
        response.set_cookie(
            name,
            value,
            max_age=0 if gone else None,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax",
        )


def _not_ours() -> Refused:
    return Refused(Code.FORBIDDEN, "This is not from a page that is open here. Reload the page and try again.")
