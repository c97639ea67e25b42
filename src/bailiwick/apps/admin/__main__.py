"""The control process: `python -m bailiwick.apps.admin`, started and told everything by `bailiwick serve`."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
from datetime import timedelta
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Final

import uvloop

from bailiwick.apps import audit_witness
from bailiwick.apps.admin.app import create_app
from bailiwick.apps.admin.server import serve
from bailiwick.apps.child import background, heed_parent, read_settings, say_ready
from bailiwick.apps.dashboard.app import create_dashboard
from bailiwick.apps.dashboard.sign_in.visitors import SessionVisitors
from bailiwick.apps.handover import ControlSettings
from bailiwick.apps.http.session_cookie import SessionCookie
from bailiwick.bootstrap.ambient import monotonic, now
from bailiwick.bootstrap.control import control_plane
from bailiwick.bootstrap.upkeep import kept_up
from bailiwick.bootstrap.webhooks import webhook_delivery
from bailiwick.domain.errors import Unavailable
from bailiwick.domain.sign_in import SessionLimits
from bailiwick.identity.keyring import ControlKeys
from bailiwick.services.audit_trail import Witness
from bailiwick.telemetry.logs import Log

# How much of the log's end whoever owns the database could take away unseen.
_WITNESS_SECONDS: Final = 2.0
_LAST_LOOK_SECONDS: Final = 0.5
# A third of the share of a process that carries calls, where both want the same core.
_NICENESS: Final = 5


async def run(settings: ControlSettings) -> None:
    """Serve until SIGTERM or the parent's end."""
    log = Log(sys.stderr, process="control", level=settings.log_level, form=settings.log_format, now=now)
    log.take_over()
    heed_parent()
    outbound_allow = [ip_network(text) for text in settings.outbound_allow]
    report = partial(log.failure, None)
    async with control_plane(
        control_url=settings.control_url,
        keys=ControlKeys(
            pepper=settings.pepper,
            operator_pepper=settings.operator_pepper,
            sealing=settings.sealing,
            audit=settings.audit,
            sign_in_pepper=settings.sign_in_pepper,
            sign_in_sealing=settings.sign_in_sealing,
        ),
        keep_heads=audit_witness.keeper(Path(settings.audit_witness)),
        outbound_allow=outbound_allow,
        public_url=settings.public_url,
        gateway_socket=settings.gateway_socket,
        session_limits=SessionLimits(
            idle=timedelta(seconds=settings.session_idle_seconds), longest=timedelta(seconds=settings.session_seconds)
        ),
    ) as plane:
        visitors = SessionVisitors(plane.person.sessions, SessionCookie(plane.public_url))
        dashboard = create_dashboard(plane, visitors, public_url=plane.public_url)
        app = create_app(plane, new_id=plane.acts.new_id, monotonic=monotonic, log=log, dashboard=dashboard)
        async with (
            background(_witness(plane.witness, log)),
            background(plane.confinement.run()),
            kept_up(settings.control_url, plane.acts, plane.signing_keys, report=report),
            webhook_delivery(
                settings.control_url,
                plane.acts,
                sealing=settings.sealing,
                outbound_allow=outbound_allow,
                report=report,
            ) as delivering,
            background(delivering.run()),
        ):
            await serve(app, Path(settings.socket), on_ready=say_ready)
            # What happened last is witnessed too, unless the database has gone first.
            with suppress(TimeoutError, Unavailable):
                async with asyncio.timeout(_LAST_LOOK_SECONDS):
                    await plane.confinement.flush()
                    await _look(plane.witness, log, told=False)


async def _witness(witness: Witness, log: Log) -> None:
    told = False
    while True:
        told = await _look(witness, log, told=told)
        await asyncio.sleep(_WITNESS_SECONDS)


async def _look(witness: Witness, log: Log, *, told: bool) -> bool:
    """Keep the ends of the audit log's chains; returns whether there is trouble, which is told once."""
    try:
        await witness.look()
    except Unavailable:
        return told
    except OSError as error:
        if not told:
            log.event("the audit log's witness cannot be written", reason=error.strerror)
        return True
    return False


def main() -> None:
    """Run the process."""
    # Where cores are few, a page or a password's hash takes what calls leave over.
    os.nice(_NICENESS)
    uvloop.run(run(read_settings(ControlSettings)))


if __name__ == "__main__":
    main()
