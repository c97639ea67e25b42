"""The control process: `python -m bailiwick.apps.admin`, started and told everything by `bailiwick serve`."""

from __future__ import annotations

import sys
from ipaddress import ip_network
from pathlib import Path

import uvloop

from bailiwick.apps.admin.app import create_app
from bailiwick.apps.admin.server import serve
from bailiwick.apps.child import end_with_parent, read_settings, say_ready
from bailiwick.apps.handover import ControlSettings
from bailiwick.bootstrap.ambient import monotonic, now
from bailiwick.bootstrap.control import control_plane
from bailiwick.identity.keyring import ControlKeys
from bailiwick.telemetry.logs import Log


async def run(settings: ControlSettings) -> None:
    """Serve until SIGTERM or the parent's end."""
    log = Log(sys.stderr, process="control", level=settings.log_level, form=settings.log_format, now=now)
    log.take_over()
    end_with_parent()
    async with control_plane(
        control_url=settings.control_url,
        keys=ControlKeys(pepper=settings.pepper, operator_pepper=settings.operator_pepper, sealing=settings.sealing),
        outbound_allow=[ip_network(text) for text in settings.outbound_allow],
    ) as plane:
        app = create_app(plane, new_id=plane.acts.new_id, monotonic=monotonic, log=log)
        await serve(app, Path(settings.socket), on_ready=say_ready)


def main() -> None:
    """Run the process."""
    uvloop.run(run(read_settings(ControlSettings)))


if __name__ == "__main__":
    main()
