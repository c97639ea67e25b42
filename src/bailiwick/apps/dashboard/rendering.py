"""Templates to answers: everything is escaped, a name that is missing is an error, and each answer says what may run.

The policy allows nothing inline and nothing from elsewhere. So a name that is markup is shown as it is written, and if
it ever were not, it still could not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Final, final

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.responses import Response

from bailiwick.apps.dashboard import words
from bailiwick.apps.dashboard.assets import own_assets
from bailiwick.domain import ids

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
    " font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With less, a browser sends no origin with a form, and there would be nothing to compare.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@final
class Renderer:
    """Fills templates."""

    def __init__(self) -> None:
        self._environment = _environment()

    def page(self, template: str, values: Mapping[str, object], *, status: int = 200) -> Response:
        """Fill a template and answer with it."""
        return self.sent(self._filled(template, values), status=status)

    def sent(self, body: str, *, status: int = 200) -> Response:
        """Answer with what was made already."""
        return Response(body, status, headers=HEADERS, media_type="text/html")

    def piece(self, template: str, values: Mapping[str, object]) -> Markup:
        """Fill a template of a piece, which other templates take as it is; "" if nothing is in it."""
        return Markup(self._filled(template, values).strip())  # noqa: S704 - it is what a template made, and escaped

    def _filled(self, template: str, values: Mapping[str, object]) -> str:
        return self._environment.get_template(template).render(values)


@cache
def _environment() -> Environment:
    """Made once: what it has read of templates is kept for as long as the process lives."""
    environment = Environment(
        loader=PackageLoader("bailiwick.apps.dashboard"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(asset=own_assets().address)
    environment.filters.update(
        number=words.number,
        brief=words.brief,
        dollars=words.dollars,
        milliseconds=words.milliseconds,
        moment=words.moment,
        ago=words.ago,
        counted=words.counted,
        pretty=_pretty,
        iso=datetime.isoformat,
        shown=lambda value, prefix: ids.shown(prefix, value),
        as_json=_as_json,
    )
    return environment


def _pretty(value: object) -> str:
    """A document for people."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _as_json(value: object) -> str:
    """For an attribute that a script reads; the template escapes it as any other text."""
    return msgspec.json.encode(value).decode()
