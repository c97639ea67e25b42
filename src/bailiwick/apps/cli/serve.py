"""`bailiwick serve`: the parent process. It prepares the database, starts the children, and watches over all.

    data folder ─▶ port ─▶ PostgreSQL ─▶ migrations ─▶ roles and policies checked ─▶ first start ─▶ children ─▶ ready

It holds the port, so a gateway that dies is replaced without a refused connection, and the secrets, of which each
child gets only its own. Whatever of it dies is started again; when it dies itself, everything else ends. It serves no
request and does nothing fancy: a loop that looks around ten times a second.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import Final, TextIO, final

import psycopg
from psycopg.conninfo import make_conninfo

from bailiwick import config
from bailiwick.apps import audit_witness
from bailiwick.apps.cli import first_start, port
from bailiwick.apps.cli.cannot_start import CannotStart
from bailiwick.apps.cli.children import Child
from bailiwick.apps.handover import ControlSettings, GatewaySettings
from bailiwick.bootstrap.ambient import now
from bailiwick.bootstrap.control import introduce
from bailiwick.config import Config
from bailiwick.identity.keyring import MasterKey
from bailiwick.services.installation import FirstKeys
from bailiwick.storage import migrate, roles
from bailiwick.storage.embedded import EmbeddedPostgres, EngineError

_LOOK_SECONDS: Final = 0.05
_DATABASE_AGAIN_SECONDS: Final = 2.0
_PARTITIONS_EVERY: Final = 6 * 3600.0
_DATABASE: Final = "bailiwick"
# A socket's address is a fixed field of 104 (macOS) or 108 bytes.
_LONGEST_SOCKET_PATH: Final = 100


@final
class Parent:
    """One run of `serve`, from nothing to nothing."""

    def __init__(self, settings: Config, out: TextIO) -> None:
        self._config = settings
        self._out = out
        self._ending = 0
        self._stack = ExitStack()
        self._postgres: EmbeddedPostgres | None = None
        self._database_failed = False
        self._database_again_at = 0.0
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
            self._prepare_folder()
            listener = self._stack.enter_context(port.listen(self._config.host, self._config.port))
            key = config.master_key(self._config)
            owner_url, urls = self._prepare_database(key)
            public_url = self._introduce(key, urls[roles.CONTROL], listener)
            self._start_children(key, urls, listener, public_url)
            if not self._ending:
                self._out.write(f"ready {port.address(self._config, listener)}\n")
                self._out.flush()
            self._watch(owner_url)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending += 1

    def _prepare_folder(self) -> None:
        folder = self._config.data_dir
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (folder / "serve.lock").open("w")
        except OSError as error:
            message = f"cannot use the data folder {folder}: {error.strerror}"
            raise CannotStart(message) from error
        self._stack.callback(lock.close)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"another `bailiwick serve` is using the data folder {folder}"
            raise CannotStart(message) from None
        (folder / "run").mkdir(mode=0o700, exist_ok=True)

    def _prepare_database(self, key: MasterKey) -> tuple[str, dict[str, str]]:
        """Start PostgreSQL if it is ours, bring it up to date, refuse it if it cannot keep tenants apart."""
        settings = self._config
        given = {
            roles.APP: settings.app_url,
            roles.LEDGER: settings.ledger_url,
            roles.CONTROL: settings.control_url,
        }
        passwords = {role: key.role_password(role) for role, url in given.items() if url is None}
        owner_url = settings.database_url or self._start_postgres(key.role_password("postgres"))
        migrate.migrate(owner_url, passwords, _today(), master_check=key.check_value())
        with psycopg.connect(owner_url, autocommit=True) as connection:
            violations = roles.violations(connection)
        if violations:
            message = "the database does not keep tenants apart:\n  " + "\n  ".join(violations)
            raise CannotStart(message)
        for role, url in given.items():
            if url is not None:
                _check_login(role, url)
        return owner_url, {
            role: url or make_conninfo(owner_url, user=role, password=passwords[role]) for role, url in given.items()
        }

    def _start_postgres(self, password: str) -> str:
        """Start our own PostgreSQL; returns the owner's login to our database in it."""
        postgres = EmbeddedPostgres(
            root=self._config.data_dir.resolve() / "postgres",
            superuser_password=password,
            binaries=self._config.pg_bin,
        )
        postgres.start()
        self._stack.callback(postgres.stop)
        self._postgres = postgres
        try:
            _create_database(postgres.conninfo(user="postgres", password=password))
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise
            message = "the master key is not the one that this data folder was first started with"
            raise CannotStart(message) from None
        return postgres.conninfo(user="postgres", password=password, database=_DATABASE)

    def _introduce(self, key: MasterKey, control_url: str, listener: socket.socket) -> str:
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
                control_url=control_url,
                keys=key.control_keys(),
                master_check=key.check_value(),
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
            self._tell(note)
        if made:
            first_start.tell(self._out, made[0], settings.data_dir / "bootstrap.json", introduced.owner_link or "")
        return public_url

    def _start_children(self, key: MasterKey, urls: dict[str, str], listener: socket.socket, public_url: str) -> None:
        settings = self._config
        run = settings.data_dir.resolve() / "run"
        control_socket = _short_socket(run, self._stack)
        control_keys, gateway_keys = key.control_keys(), key.gateway_keys()
        outbound = [str(network) for network in settings.outbound_allow]
        control = Child(
            "control",
            "bailiwick.apps.admin",
            ControlSettings(
                control_url=urls[roles.CONTROL],
                pepper=control_keys.pepper,
                operator_pepper=control_keys.operator_pepper,
                sealing=control_keys.sealing,
                audit=control_keys.audit,
                audit_witness=str(settings.data_dir.resolve() / audit_witness.FILE),
                sign_in_pepper=control_keys.sign_in_pepper,
                sign_in_sealing=control_keys.sign_in_sealing,
                session_idle_seconds=settings.session_idle_seconds,
                session_seconds=settings.session_seconds,
                socket=str(control_socket),
                outbound_allow=outbound,
                public_url=public_url,
                log_level=settings.log_level,
                log_format=settings.log_format,
            ),
        )
        gateway = Child(
            "gateway",
            "bailiwick.apps.gateway",
            GatewaySettings(
                app_url=urls[roles.APP],
                ledger_url=urls[roles.LEDGER],
                pepper=gateway_keys.pepper,
                sealing=gateway_keys.sealing,
                pseudonyms=gateway_keys.pseudonyms,
                listen_fd=listener.fileno(),
                tls_cert=_text(settings.tls_cert),
                tls_key=_text(settings.tls_key),
                control_socket=str(control_socket),
                limits_snapshot=str(run / "limits.snapshot"),
                base_domain=settings.base_domain,
                trusted_proxies=[str(network) for network in settings.trusted_proxies],
                outbound_allow=outbound,
                metrics_allow=[str(network) for network in settings.metrics_allow],
                guard_requests=settings.guard_requests,
                guard_failures=settings.guard_failures,
                max_body_bytes=settings.max_body_bytes,
                max_buffered_bytes=settings.max_buffered_bytes,
                max_open_calls=settings.max_open_calls,
                max_header_bytes=settings.max_header_bytes,
                provider_connect_seconds=settings.provider_connect_seconds,
                provider_first_byte_seconds=settings.provider_first_byte_seconds,
                provider_between_bytes_seconds=settings.provider_between_bytes_seconds,
                provider_total_seconds=settings.provider_total_seconds,
                drain_seconds=settings.drain_seconds,
                traces=settings.traces,
                trace_providers=settings.trace_providers,
                log_level=settings.log_level,
                log_format=settings.log_format,
            ),
            inherits=[listener.fileno()],
        )
        # Entered in this order, they end in the reverse: the gateway first, while everything it needs is there.
        for child, patience in ((control, 5.0), (gateway, settings.drain_seconds + 10.0)):
            child.start()
            self._stack.callback(self._end_child, child, patience)
            self._children.append(child)
        # First of all the port: who comes now is refused at once, not held until the last call has ended.
        self._stack.callback(listener.close)
        for child in self._children:
            child.await_ready()

    def _end_child(self, child: Child, patience: float) -> None:
        child.end(patience, self._hurried)

    def _hurried(self) -> bool:
        """Say whether to hurry; and keep the database running, for calls that are still to be settled."""
        self._keep_database()
        return self._ending > 1

    def _watch(self, owner_url: str) -> None:
        """Start again whatever dies, until asked to end."""
        partitions_at = time.monotonic() + _PARTITIONS_EVERY
        while not self._ending:
            time.sleep(_LOOK_SECONDS)
            self._keep_database()
            for child in self._children:
                if not self._ending and (news := child.keep_alive()) is not None:
                    self._tell(news)
            if time.monotonic() >= partitions_at:
                partitions_at = time.monotonic() + _PARTITIONS_EVERY
                try:
                    migrate.add_partitions(owner_url, _today())
                except psycopg.Error as error:
                    self._tell(f"the ledger's next partitions could not be made: {type(error).__name__}")

    def _keep_database(self) -> None:
        """Start PostgreSQL again if it has ended; where that fails, as on a full disk, again and again."""
        postgres = self._postgres
        if postgres is None or postgres.is_alive() or time.monotonic() < self._database_again_at:
            return
        if not self._database_failed:
            self._tell("PostgreSQL ended unasked and is started again")
        try:
            postgres.restart()
        except EngineError as error:
            if not self._database_failed:
                self._tell(f"{error}\nbailiwick: it is tried again every {_DATABASE_AGAIN_SECONDS:.0f} seconds")
            self._database_failed = True
            self._database_again_at = time.monotonic() + _DATABASE_AGAIN_SECONDS
        else:
            if self._database_failed:
                self._tell("PostgreSQL runs again")
            self._database_failed = False

    @staticmethod
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


def _check_login(role: str, url: str) -> None:
    """Refuse a login that is not the role it is meant for: it could be one that no policy binds."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        row = connection.execute("SELECT current_user, session_user").fetchone()
    if row != (role, role):
        message = f"the login given for {role} is another role's"
        raise CannotStart(message)


def _create_database(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", (_DATABASE,)).fetchone() is None:
            connection.execute("CREATE DATABASE bailiwick")


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


def _short_socket(folder: Path, stack: ExitStack) -> Path:
    """Where the control process listens: in `folder`, or in a private one if the system cannot take so long a path."""
    path = folder / "control.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET_PATH:
        return path
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bailiwick-"))) / "control.sock"


def _today() -> date:
    return now().date()
