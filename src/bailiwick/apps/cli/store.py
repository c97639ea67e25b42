"""The database of an installation, as whoever runs it has it: started if it is ours, brought up to date, kept alive.

And kept with the right key: a rotation of the master key that was begun is carried out here, at a start or later,
however often whatever carries it out is killed.
"""

from __future__ import annotations

import asyncio
import fcntl
import secrets
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final, final

import psycopg
from psycopg.conninfo import make_conninfo

from bailiwick.apps.cli import master_keys
from bailiwick.apps.cli.cannot_start import CannotStart
from bailiwick.bootstrap.ambient import now
from bailiwick.bootstrap.installation import rotate_master_key
from bailiwick.config import Config
from bailiwick.identity.keyring import MasterKey
from bailiwick.identity.sealing import CannotOpen
from bailiwick.storage import migrate, roles
from bailiwick.storage.embedded import EmbeddedPostgres, EngineError
from bailiwick.storage.rotation import kept_check, kept_lasting_secret

DATABASE: Final = "bailiwick"
_SUPERUSER: Final = "postgres"
_DATABASE_AGAIN_SECONDS: Final = 2.0


def hold_folder(settings: Config, stack: ExitStack) -> None:
    """Take the data folder for this process alone, until `stack` ends; raises `CannotStart`."""
    folder = settings.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "serve.lock").open("w")
    except OSError as error:
        message = f"cannot use the data folder {folder}: {error.strerror}"
        raise CannotStart(message) from error
    stack.callback(lock.close)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUse(folder) from None
    (folder / "run").mkdir(mode=0o700, exist_ok=True)


@final
class InUse(CannotStart):
    """The data folder is another process's."""

    def __init__(self, folder: Path) -> None:
        """The message is for whoever started this one."""
        super().__init__(f"another `bailiwick serve` is using the data folder {folder}")


@final
class Store:
    """The database, and the keys that it is kept with."""

    def __init__(self, settings: Config, stack: ExitStack, tell: Callable[[str], None]) -> None:
        """`stack` ends what is started here; `tell` tells the operator. The data folder is held."""
        self._config = settings
        self._stack = stack
        self._tell = tell
        self._given = {
            roles.APP: settings.app_url,
            roles.LEDGER: settings.ledger_url,
            roles.CONTROL: settings.control_url,
        }
        self._keys = master_keys.find(settings)
        self._key = self._keys.configured
        self._postgres: EmbeddedPostgres | None = None
        self._failed = False
        self._again_at = 0.0
        self.lasting = b""

    @property
    def key(self) -> MasterKey:
        """The key that the database is kept with."""
        return self._key

    @property
    def owner_url(self) -> str:
        """The owner's login."""
        return self._owner_url(self._key)

    @property
    def urls(self) -> dict[str, str]:
        """The logins of our roles."""
        return {
            role: url or make_conninfo(self.owner_url, user=role, password=self._key.role_password(role))
            for role, url in self._given.items()
        }

    def prepare(self) -> None:
        """Start PostgreSQL if it is ours, bring it up to date, refuse it if it cannot keep tenants apart."""
        if self._config.database_url is None:
            self._start_postgres()
        self._key = self._found_key()
        migrate.migrate(self.owner_url, self._passwords(self._key), now().date(), master_check=self._key.check_value())
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            violations = roles.violations(connection)
        if violations:
            message = "the database does not keep tenants apart:\n  " + "\n  ".join(violations)
            raise CannotStart(message)
        for role, url in self._given.items():
            if url is not None:
                _check_login(role, url)
        self.lasting = self._found_lasting_secret()
        self.rotate()
        if self._keys.configured != self._key and not master_keys.is_kept_here(self._config):
            self._tell(
                "the master key that is configured is the one from before its rotation; that of"
                f" {self._config.data_dir / master_keys.NEXT} is used until it is configured"
            )

    def rotate(self) -> None:
        """Carry out a rotation that was begun, if there is one; raises `psycopg.Error`, and may be asked again."""
        following = master_keys.following(self._config)
        if following is None:
            return
        if not self._is_kept_with(following):
            passwords = {role: following.role_password(role) for role in self._passwords(following)}
            if self._config.database_url is None:
                passwords[_SUPERUSER] = following.role_password(_SUPERUSER)
            asyncio.run(rotate_master_key(owner_url=self.owner_url, old=self._key, new=following, passwords=passwords))
        self._key = following
        master_keys.settle(self._config, following)

    def keep_alive(self) -> None:
        """Start PostgreSQL again if it has ended; where that fails, as on a full disk, again and again."""
        postgres = self._postgres
        if postgres is None or postgres.is_alive() or time.monotonic() < self._again_at:
            return
        if not self._failed:
            self._tell("PostgreSQL ended unasked and is started again")
        try:
            postgres.restart()
        except EngineError as error:
            if not self._failed:
                self._tell(f"{error}\nbailiwick: it is tried again every {_DATABASE_AGAIN_SECONDS:.0f} seconds")
            self._failed = True
            self._again_at = time.monotonic() + _DATABASE_AGAIN_SECONDS
        else:
            if self._failed:
                self._tell("PostgreSQL runs again")
            self._failed = False

    def _owner_url(self, key: MasterKey, database: str = DATABASE) -> str:
        if self._postgres is None:
            return self._config.database_url or ""
        return self._postgres.conninfo(user=_SUPERUSER, password=key.role_password(_SUPERUSER), database=database)

    def _passwords(self, key: MasterKey) -> dict[str, str]:
        return {role: key.role_password(role) for role, url in self._given.items() if url is None}

    def _start_postgres(self) -> None:
        """Start our own PostgreSQL, with our database in it."""
        self._postgres = EmbeddedPostgres(
            root=self._config.data_dir.resolve() / "postgres",
            superuser_password=self._key.role_password(_SUPERUSER),
            binaries=self._config.pg_bin,
        )
        self._postgres.start()
        self._stack.callback(self._postgres.stop)
        for key in self._keys.every():
            if self._lets_in(key):
                _create_database(self._owner_url(key, "postgres"))
                return
        raise CannotStart(master_keys.WRONG)

    def _lets_in(self, key: MasterKey) -> bool:
        try:
            psycopg.connect(self._owner_url(key, "postgres")).close()
        except psycopg.OperationalError as error:
            if "password authentication failed" not in str(error):
                raise
            return False
        return True

    def _found_key(self) -> MasterKey:
        """The key, of those that we have, that the database is kept with."""
        for key in self._keys.every():
            if self._postgres is None or self._lets_in(key):
                found = self._keys.with_check(kept_check(self._owner_url(key)))
                if found is not None:
                    return found
                break
        raise CannotStart(master_keys.WRONG)

    def _is_kept_with(self, key: MasterKey) -> bool:
        if self._postgres is not None:
            return self._lets_in(key)
        return kept_check(self._owner_url(key)) == key.check_value()

    def _found_lasting_secret(self) -> bytes:
        """The secret from which peppers follow, made by whoever comes first."""
        proposed = self._key.seal_lasting(secrets.token_bytes(32), secrets.token_bytes(12))
        try:
            return self._key.open_lasting(kept_lasting_secret(self.owner_url, proposed) or b"")
        except CannotOpen:
            raise CannotStart(master_keys.WRONG) from None


def _check_login(role: str, url: str) -> None:
    """Refuse a login that is not the role it is meant for: it could be one that no policy binds."""
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        row = connection.execute("SELECT current_user, session_user").fetchone()
    if row != (role, role):
        message = f"the login given for {role} is another role's"
        raise CannotStart(message)


def _create_database(conninfo: str) -> None:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
            connection.execute("CREATE DATABASE bailiwick")
