"""A person's own account: their password, second factor and sessions. Nobody else's can be reached from here."""

from __future__ import annotations

from typing import Final

from starlette.responses import RedirectResponse, Response

from bailiwick.apps.dashboard.page import SIGN_IN, Page, Visit
from bailiwick.apps.dashboard.rendering import HEADERS
from bailiwick.apps.http.browser import browser_of
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import SessionId
from bailiwick.domain.sign_in import Session
from bailiwick.services.absence import found
from bailiwick.services.second_factor import Proposal

_ACCOUNT: Final = "/account"
_REMOVE: Final = f"{_ACCOUNT}/authenticator/remove"
_LABELS: Final = {"current": "Current password", "new": "New password", "code": "Code", "password": "Password"}


async def show_account(visit: Visit) -> Response:
    """The account as it is."""
    return visit.show("sign_in/account.html", **await _account(visit))


async def change_password(visit: Visit) -> Response:
    """Change the password, which ends every other session."""
    form = visit.form.known("current", "new")
    session = _session(visit)
    try:
        await visit.plane.person.password.change(
            session, form.text("current"), form.text("new"), browser_of(visit.request)
        )
    except Refused as refused:
        return visit.again("sign_in/account.html", refused, **await _account(visit))
    return visit.go(_ACCOUNT, "password")


async def show_authenticator(visit: Visit) -> Response:
    """A secret to scan or to type, which is nobody's until a code of it comes back."""
    proposal = visit.plane.person.second_factor.propose(_session(visit).person)
    return visit.show("sign_in/authenticator.html", **_shown(proposal))


async def set_authenticator_up(visit: Visit) -> Response:
    """Keep the secret, and show the recovery codes this once."""
    form = visit.form.known("proposal", "code", "password")
    session, factor = _session(visit), visit.plane.person.second_factor
    proposal = factor.proposed(session.person, form.text("proposal"))
    if proposal is None:
        return visit.go(f"{_ACCOUNT}/authenticator")
    try:
        codes = await factor.confirm(
            session, proposal, form.text("code"), form.text("password"), browser_of(visit.request)
        )
    except Refused as refused:
        return visit.again("sign_in/authenticator.html", refused, **_shown(proposal))
    return visit.show("sign_in/recovery.html", codes=codes)


async def show_recovery_codes(visit: Visit) -> Response:
    """Ask for the password before new recovery codes take the place of those before."""
    return visit.show("sign_in/confirm.html", action="recovery-codes", labels=_LABELS)


async def renew_recovery_codes(visit: Visit) -> Response:
    """Make new recovery codes, and show them this once."""
    password = visit.form.known("password").text("password")
    try:
        codes = await visit.plane.person.second_factor.renew_recovery_codes(
            _session(visit), password, browser_of(visit.request)
        )
    except Refused as refused:
        return visit.again("sign_in/confirm.html", refused, action="recovery-codes", labels=_LABELS)
    return visit.show("sign_in/recovery.html", codes=codes)


async def show_removal(visit: Visit) -> Response:
    """Ask for the password before the second factor goes."""
    return visit.show("sign_in/confirm.html", action="remove", labels=_LABELS)


async def remove_authenticator(visit: Visit) -> Response:
    """Sign in without codes from now on."""
    password = visit.form.known("password").text("password")
    try:
        await visit.plane.person.second_factor.remove(_session(visit), password, browser_of(visit.request))
    except Refused as refused:
        return visit.again("sign_in/confirm.html", refused, action="remove", labels=_LABELS)
    return visit.go(_ACCOUNT, "authenticator-removed")


async def end_session(visit: Visit) -> Response:
    """End one of one's own sessions; the one of this very browser leads to the door."""
    wanted = SessionId(found(ids.parsed(ids.SESSION, visit.form.known("session").text("session"))))
    session = _session(visit)
    await visit.plane.person.sessions.end_own(visit.actor, session.person, wanted)
    if wanted == session.id:
        return RedirectResponse(f"{SIGN_IN}?done=signed-out", 303, headers=HEADERS)
    return visit.go(_ACCOUNT, "ended")


def _session(visit: Visit) -> Session:
    """The session that this request came by; raises `Refused` (401) for somebody who came by none."""
    if visit.visitor.session is None:
        raise Refused(Code.INVALID_CREDENTIALS, "This takes a session. Sign in again.")
    return visit.visitor.session


async def _account(visit: Visit) -> dict[str, object]:
    session = _session(visit)
    return {
        "session": session,
        "sessions": await visit.plane.person.sessions.own(session.person),
        "standing": await visit.plane.person.second_factor.standing(session.person),
        "limits": visit.plane.person.sessions.limits,
        "labels": _LABELS,
    }


def _shown(proposal: Proposal) -> dict[str, object]:
    import segno  # noqa: PLC0415 - slow to read, and few set up a second factor

    picture = segno.make(proposal.address, micro=False).svg_data_uri(scale=5, border=3, dark="#000", light="#fff")
    spaced = " ".join(proposal.secret[start : start + 4] for start in range(0, len(proposal.secret), 4))
    return {"proposal": proposal, "picture": picture, "spaced": spaced, "labels": _LABELS}


_READ: Final = AdminPermission.SESSIONS_READ
_WRITE: Final = AdminPermission.SESSIONS_WRITE
PAGES: Final = (
    Page(path=_ACCOUNT, handler=show_account, needs=_READ, confined=True),
    Page(path=f"{_ACCOUNT}/password", handler=change_password, needs=_WRITE, method="POST", confined=True),
    Page(path=f"{_ACCOUNT}/authenticator", handler=show_authenticator, needs=_READ, confined=True),
    Page(path=f"{_ACCOUNT}/authenticator", handler=set_authenticator_up, needs=_WRITE, method="POST", confined=True),
    Page(path=f"{_ACCOUNT}/recovery-codes", handler=show_recovery_codes, needs=_READ, confined=True),
    Page(path=f"{_ACCOUNT}/recovery-codes", handler=renew_recovery_codes, needs=_WRITE, method="POST", confined=True),
    Page(path=_REMOVE, handler=show_removal, needs=_READ, confined=True),
    Page(path=_REMOVE, handler=remove_authenticator, needs=_WRITE, method="POST", confined=True),
    Page(path=f"{_ACCOUNT}/sessions", handler=end_session, needs=_WRITE, method="POST", confined=True),
)
