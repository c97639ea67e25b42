"""`bailiwick rotate-master-key`: another master key takes the place of the one that there is.

    new key written to `master.key.next` ─▶ one transaction of the database ─▶ it is `master.key`

Where `serve` runs, `serve` does it: the gateway is told of both keys before, and goes on; the control process ends
before the transaction and starts anew after it. Else it is done here. Whatever is killed when, the next start, or the
same command again, brings it to its end: a key that is to follow is never given up for another.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, TextIO, final

import psycopg

from bailiwick.apps.cli import master_keys
from bailiwick.apps.cli.cannot_start import CannotStart
from bailiwick.apps.cli.children import Child, ChildFailed
from bailiwick.apps.cli.database import owner_login
from bailiwick.apps.cli.handing import Handing
from bailiwick.apps.cli.store import InUse, Store, hold_folder
from bailiwick.config import Config
from bailiwick.identity.keyring import InvalidMasterKey, MasterKey
from bailiwick.identity.sealing import CannotOpen

_AGAIN_SECONDS: Final = 2.0
_PATIENCE: Final = 120.0
_LOOK_SECONDS: Final = 0.1
_NOT_HEEDED: Final = "the gateway process does not answer"
# How long the control process may take to end.
CONTROL_PATIENCE: Final = 5.0


def rotate(settings: Config, new_key: Path | None, out: TextIO) -> None:
    """Rotate the key to that of the file `new_key` (`-`: standard input), or to one made here.

    Raises `CannotStart`, `NothingToExamine`, `psycopg.Error`.
    """
    with owner_login(settings) as login:
        before = login.key()
    keys = master_keys.find(settings)
    following = keys.following
    if following is None or following == keys.configured:
        following = _given(new_key) if new_key is not None else master_keys.new()
        if following == before:
            message = "the new master key is the one that there is"
            raise CannotStart(message)
        master_keys.propose(settings, following)
    elif following == before and not master_keys.is_kept_here(settings):
        message = f"configure the master key of {settings.data_dir / master_keys.NEXT} first: it has been rotated to it"
        raise CannotStart(message)
    else:
        out.write("a rotation that was begun is carried out\n")
    try:
        _carry_out(settings)
    except InUse:
        _await(settings, following)
    out.write(f"the master key was {before.fingerprint()} and is {following.fingerprint()}\n")
    if not master_keys.is_kept_here(settings):
        out.write(f"it is in {settings.data_dir / master_keys.NEXT}: configure it, and start `serve` again\n")


def _carry_out(settings: Config) -> None:
    """Do as a start of `serve` would."""
    with ExitStack() as stack:
        hold_folder(settings, stack)
        Store(settings, stack, lambda _: None).prepare()


def _await(settings: Config, following: MasterKey) -> None:
    """Wait until `serve` has done it."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        # The password changes under our hands.
        with suppress(psycopg.OperationalError), owner_login(settings) as login:
            if login.key() == following and (
                not master_keys.is_kept_here(settings) or master_keys.following(settings) is None
            ):
                return
        time.sleep(_LOOK_SECONDS)
    message = "`serve` has not rotated the master key yet; its log says why, and it goes on trying"
    raise CannotStart(message)


def _given(path: Path) -> MasterKey:
    if str(path) != "-":
        return master_keys.read(path)
    try:
        return MasterKey.parse(sys.stdin.readline())
    except InvalidMasterKey as error:
        raise CannotStart(str(error)) from None


@final
class RunningRotation:
    """Carries out, in `serve`, a rotation that was begun while it runs; what fails is tried again."""

    def __init__(
        self, store: Store, handing: Handing, *, gateway: Child, control: Child, tell: Callable[[str], None]
    ) -> None:
        """`tell` tells the operator."""
        self._store = store
        self._handing = handing
        self._gateway = gateway
        self._control = control
        self._tell = tell
        self._again_at = 0.0
        self._trouble = ""

    def look(self, hurried: Callable[[], bool]) -> None:
        """Rotate, if a rotation was begun; `hurried` says whether to wait less for the control process."""
        if time.monotonic() < self._again_at:
            return
        self._again_at = time.monotonic() + _LOOK_SECONDS
        try:
            following = master_keys.following(self._handing.settings)
            if following is None or following == self._store.key:
                return
            self._rotate(following, hurried)
        except (CannotStart, CannotOpen, ChildFailed, OSError, psycopg.Error) as error:
            if self._trouble != str(error):
                self._trouble = str(error)
                self._tell(f"the master key is not rotated yet, and it is tried again: {error or type(error).__name__}")
            self._again_at = time.monotonic() + _AGAIN_SECONDS
        else:
            self._trouble = ""
            self._tell("the master key was rotated")

    def _rotate(self, following: MasterKey, hurried: Callable[[], bool]) -> None:
        handing, gateway, control = self._handing, self._gateway, self._control
        if not gateway.tell(handing.to_gateway(following), handing.gateway_secrets(following)):
            raise ChildFailed(_NOT_HEEDED)
        # What it might still write would be sealed and signed with the key of before.
        control.end(CONTROL_PATIENCE, hurried)
        try:
            self._store.rotate()
            if not gateway.tell(handing.to_gateway(), handing.gateway_secrets()):
                gateway.signal(signal.SIGTERM)  # Its successor knows.
        finally:
            control.succeed(handing.to_control())
