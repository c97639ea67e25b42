"""The dashboard's own files: stylesheet, scripts, icon. Read once; each address holds a digest of what it leads to.

So a browser may keep a file for good, and a new version has a new address. Nothing else can be reached through here:
only the addresses that were made.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, final

from starlette.requests import Request
from starlette.responses import Response

from bailiwick.services.absence import found

PREFIX: Final = "/dashboard/static"
_FILES: Final = {
    "dashboard.css": "text/css; charset=utf-8",
    "dashboard.js": "text/javascript; charset=utf-8",
    "charts.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "vendor/htmx.min.js": "text/javascript; charset=utf-8",
    "vendor/uplot.min.js": "text/javascript; charset=utf-8",
    "vendor/uplot.min.css": "text/css; charset=utf-8",
}
_KEEP: Final = "public, max-age=31536000, immutable"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file with the address that it has now."""

    address: str
    body: bytes
    media_type: str
    etag: str


@final
class Assets:
    """Every file that a page may load."""

    def __init__(self) -> None:
        folder = files("bailiwick.apps.dashboard") / "static"
        self._by_name = {name: _asset(name, (folder / name).read_bytes(), kind) for name, kind in _FILES.items()}
        self._by_address = {asset.address: asset for asset in self._by_name.values()}

    def address(self, name: str) -> str:
        """Where a file is; KeyError for one that there is not."""
        return self._by_name[name].address

    async def serve(self, request: Request) -> Response:
        """Answer a request for a file; raises `Refused` (404)."""
        asset = found(self._by_address.get(request.url.path))
        headers = {"cache-control": _KEEP, "etag": asset.etag}
        if request.headers.get("if-none-match") == asset.etag:
            return Response(status_code=304, headers=headers)
        return Response(asset.body, headers=headers, media_type=asset.media_type)


@cache
def own_assets() -> Assets:
    """The files of this version, read once."""
    return Assets()


def _asset(name: str, body: bytes, media_type: str) -> Asset:
    digest = hashlib.sha256(body).hexdigest()[:16]
    stem, _, ending = name.rpartition("/")[2].rpartition(".")
    address = f"{PREFIX}/{stem}.{digest}.{ending}"
    return Asset(address=address, body=body, media_type=media_type, etag=f'"{digest}"')
