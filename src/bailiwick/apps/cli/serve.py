"""`bailiwick serve`: the parent process. It prepares the database, starts the children, and watches over all.

    data folder ─▶ port ─▶ PostgreSQL ─▶ migrations ─▶ roles and policies checked ─▶ first start ─▶ children ─▶ ready
                     └──▶ children read their modules ─────────────────────────────────────────────▲

It holds the port, so a gateway that dies is replaced without a refused connection, and the secrets, of which each
child gets only its own. Whatever of it dies is started again; when it dies itself, everything else ends. It serves no
request and does nothing fancy: a loop that looks around ten times a second.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Final, TextIO, final

import psycopg

from bailiwick.apps.cli import first_start, port
from bailiwick.apps.cli.cannot_start import CannotStart
from bailiwick.apps.cli.children import Child
from bailiwick.apps.cli.handing import Handing
from bailiwick.apps.cli.rotation import CONTROL_PATIENCE, RunningRotation
from bailiwick.apps.cli.store import Store, hold_folder
from bailiwick.bootstrap.ambient import now
from bailiwick.bootstrap.installation import introduce
from bailiwick.config import Config
from bailiwick.services.installation import FirstKeys
from bailiwick.storage import ledger_partitions, roles

_LOOK_SECONDS: Final = 0.05
# Those that calls need are made before anything starts.
_PARTITIONS_FIRST: Final = 60.0
_PARTITIONS_EVERY: Final = 6 * 3600.0
# A socket's address is a fixed field of 104 (macOS) or 108 bytes.
_LONGEST_SOCKET_PATH: Final = 100
_CONTROL: Final = "control.sock"
_GATEWAY: Final = "gateway.sock"


@final
class Parent:
    """One run of `serve`, from nothing to nothing."""

    def __init__(self, settings: Config, out: TextIO) -> None:
        self._config = settings
        self._out = out
        self._ending = 0
        self._stack = ExitStack()
        self._children: list[Child] = []

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT, or the terminal's end; raises `CannotStart`."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # As `nohup` has it.
            signal.signal(signal.SIGHUP, self._end)
        with self._stack:
            _check_packages(self._config)
            port.check_certificate(self._config)
            hold_folder(self._config, self._stack)
            listener = self._stack.enter_context(port.listen(self._config.host, self._config.port))
            self._begin_children(listener)
            store = Store(self._config, self._stack, _tell)
            store.prepare()
            public_url = self._introduce(store, listener)
            rotation = self._start_children(store, listener, public_url)
            if not self._ending:
                self._out.write(f"ready {port.address(self._config, listener)}\n")
                self._out.flush()
            self._watch(store, rotation)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending += 1

    def _introduce(self, store: Store, listener: socket.socket) -> str:
        """Make the installation if there is none, and the environment's providers; returns its public URL."""
        settings = self._config
        # Nobody can call "every address"; a client on this machine calls this one.
        local = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else None  # noqa: S104 - a comparison
        address = port.address(settings, listener, host=local)
        made: list[first_start.Bootstrap] = []

        def keep(secrets: FirstKeys) -> None:
            found = first_start.Bootstrap(
                base_url=address,
                dashboard_url=f"{address}/dashboard",
                admin_key=secrets.admin_key,
                tenant_id=secrets.tenant_id,
                project_id=secrets.project_id,
                project_slug=secrets.project_slug,
                api_key=secrets.api_key,
            )
            first_start.write(settings.data_dir, found)
            made.append(found)

        introduced = asyncio.run(
            introduce(
                control_url=store.urls[roles.CONTROL],
                keys=store.key.control_keys(store.lasting),
                master_check=store.key.check_value(),
                public_url=settings.public_url,
                default_public_url=address,
                providers=settings.providers,
                before_commit=keep,
            )
        )
        public_url, notes = introduced.public_url, introduced.notes
        if settings.tls_cert is not None and public_url.startswith("http:"):
            notes.append(f"the public URL is {public_url}, without TLS; set --public-url to the https:// address")
        for note in notes:
            _tell(note)
        if made:
            first_start.tell(self._out, made[0], settings.data_dir / "bootstrap.json", introduced.owner_link or "")
        return public_url

    def _begin_children(self, listener: socket.socket) -> None:
        """Have the children read their modules while the database is prepared: that takes each as long."""
        self._children = [
            Child("control", "bailiwick.apps.admin"),
            Child("gateway", "bailiwick.apps.gateway", inherits=[listener.fileno()]),
        ]
        for child in self._children:
            child.begin()
            self._stack.callback(child.kill)  # if it never gets its settings

    def _start_children(self, store: Store, listener: socket.socket, public_url: str) -> RunningRotation:
        sockets = _folder_of_sockets(self._config.data_dir.resolve() / "run", self._stack)
        handing = Handing(
            settings=self._config,
            store=store,
            control_socket=sockets / _CONTROL,
            gateway_socket=sockets / _GATEWAY,
            listen_fd=listener.fileno(),
            public_url=public_url,
        )
        control, gateway = self._children

        def hurried() -> bool:
            return self._hurried(store)

        # Entered in this order, they end in the reverse: the gateway first, while everything it needs is there.
        for child, settings, patience in (
            (control, handing.to_control(), CONTROL_PATIENCE),
            (gateway, handing.to_gateway(), self._config.drain_seconds + 10.0),
        ):
            child.start(settings)
            self._stack.callback(child.end, patience, hurried)
        # First of all the port: who comes now is refused at once, not held until the last call has ended.
        self._stack.callback(listener.close)
        for child in self._children:
            child.await_ready()
        return RunningRotation(store, handing, gateway=gateway, control=control, tell=_tell)

    def _hurried(self, store: Store) -> bool:
        """Say whether to hurry; and keep the database running, for calls that are still to be settled."""
        store.keep_alive()
        return self._ending > 1

    def _watch(self, store: Store, rotation: RunningRotation) -> None:
        """Start again whatever dies, until asked to end."""
        partitions_at = time.monotonic() + _PARTITIONS_FIRST
        while not self._ending:
            time.sleep(_LOOK_SECONDS)
            store.keep_alive()
            for child in self._children:
                if not self._ending and (news := child.keep_alive()) is not None:
                    _tell(news)
            rotation.look(lambda: self._hurried(store))
            if time.monotonic() >= partitions_at:
                partitions_at = time.monotonic() + _PARTITIONS_EVERY
                try:
                    removed = ledger_partitions.tend(store.owner_url, now().date(), months=self._config.ledger_months)
                except psycopg.Error as error:
                    _tell(f"the ledger's partitions could not be looked after: {type(error).__name__}")
                else:
                    for name in removed:
                        _tell(f"{name} was removed: BAILIWICK_LEDGER_MONTHS is {self._config.ledger_months}")


def _tell(news: str) -> None:
    # Nobody may be listening any more, or the log's disk be full: no reason to end.
    with suppress(OSError):
        sys.stderr.write(f"bailiwick: {news}\n")
        sys.stderr.flush()


def _check_packages(settings: Config) -> None:
    """Raise `CannotStart` where something is wanted that needs packages which are not here."""
    if settings.traces:
        try:
            found = find_spec("opentelemetry.exporter.otlp.proto.http") and find_spec("opentelemetry.sdk")
        except ModuleNotFoundError:
            found = None
        if found is None:
            message = "OTEL_EXPORTER_OTLP_ENDPOINT is set, and sending spans needs the packages of bailiwick[otel]"
            raise CannotStart(message)


def _folder_of_sockets(folder: Path, stack: ExitStack) -> Path:
    """Where the children listen for each other: `folder`, or a private one if the system cannot take so long a path."""
    if all(len(os.fsencode(folder / name)) <= _LONGEST_SOCKET_PATH for name in (_CONTROL, _GATEWAY)):
        return folder
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bailiwick-")))
