"""Where a request of the control plane came from, as the relay says: only the gateway can use this process's socket."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from bailiwick.apps.http.client_ip import UNKNOWN, counted
from bailiwick.domain.sign_in import Browser

_LONGEST_USER_AGENT: Final = 300


def browser_of(request: Request) -> Browser:
    """Read where a request came from."""
    ip = request.headers.get("x-forwarded-for", UNKNOWN)
    agent = request.headers.get("user-agent", "")[:_LONGEST_USER_AGENT]
    return Browser(
        ip=ip,
        network=counted(ip),
        user_agent="".join(letter for letter in agent if letter.isprintable()),
        request_id=request.state.request_id,
    )
