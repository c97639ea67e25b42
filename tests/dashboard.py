"""The dashboard for tests: the real pages over a real database, asked as a browser asks, by whoever a test says.

A page is read as a browser reads it: its text, its forms with what is filled in, the addresses that it loads.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from typing import Any, Final, Self, final
from urllib.parse import parse_qs, urlencode, urlsplit
from uuid import UUID

import httpx2
import pytest
from starlette.requests import Request

from bailiwick.apps.admin.app import create_app
from bailiwick.apps.dashboard.app import create_dashboard
from bailiwick.apps.dashboard.visitor import Visitor
from bailiwick.bootstrap.control import ControlPlane
from bailiwick.domain import ids
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import OperatorId, ProjectId, TenantId
from bailiwick.domain.operators import Operator, OperatorKind, OperatorRole
from bailiwick.telemetry.logs import Log
from tests.control import Control

PUBLIC_URL: Final = "https://gateway.example.com"
HOST: Final = "http://control"
_COOKIE: Final = "test-session"
_VOID: Final = frozenset({"input", "meta", "link", "img", "br", "hr", "path", "rect"})
_HIDDEN: Final = frozenset({"script", "style", "title"})


@final
@dataclass(slots=True)
class Sent:
    """A form of a page: where it goes, and what it would send if nobody changed anything."""

    action: str
    method: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[str] = field(default_factory=list)


@final
class Seen(HTMLParser):
    """What is on a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.text = ""
        self.title = ""
        self.forms: list[Sent] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.tags: list[tuple[str, Mapping[str, str]]] = []
        self._open: list[str] = []
        self._select: str | None = None
        self._area: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "form":
            self.forms.append(Sent(given.get("action", ""), given.get("method", "get")))
        elif tag == "a":
            self.links.append(given.get("href", ""))
        elif tag in {"script", "img"} or (tag == "link" and given.get("rel") in {"stylesheet", "icon"}):
            self.loads.append(given.get("src") or given.get("href", ""))
        elif tag == "input":
            self._input(given)
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and self._select is not None and self.forms:
            if "selected" in given or self._select not in self.forms[-1].fields:
                self.forms[-1].fields[self._select] = [given.get("value", "")]
        elif tag == "textarea":
            self._area = given["name"]
            self.forms[-1].fields.setdefault(self._area, [""])

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            while self._open.pop() != tag:
                pass
        if tag == "select":
            self._select = None
        elif tag == "textarea" and self._area is not None:
            values = self.forms[-1].fields[self._area]
            values[-1] = values[-1].removeprefix("\n")
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self.forms[-1].fields[self._area][-1] += data
        elif "title" in self._open:
            self.title += data
        elif not _HIDDEN & set(self._open):
            if self._open and self._open[-1] == "button" and self.forms:
                self.forms[-1].buttons.append(data.strip())
            self.text += " " + " ".join(data.split())

    def _input(self, given: Mapping[str, str]) -> None:
        kind = given.get("type", "text")
        if self.forms and given.get("name") and (kind not in {"checkbox", "radio"} or "checked" in given):
            self.forms[-1].fields.setdefault(given["name"], []).append(given.get("value", ""))

    def form(self, action: str) -> Sent:
        """The form that goes there."""
        (found,) = [form for form in self.forms if form.action == action]
        return found

    def values(self, name: str) -> Iterator[str]:
        """What an attribute says, wherever it stands."""
        return (given[name] for _, given in self.tags if name in given)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A page that was answered."""

    status: int
    headers: httpx2.Headers
    page: Seen

    @property
    def text(self) -> str:
        """What can be read on it."""
        return " ".join(self.page.text.split())

    @property
    def location(self) -> str:
        """Where it sends the browser on."""
        return self.headers["location"]


@final
class KnownVisitors:
    """Those who are signed in, by a cookie each."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._known: dict[str, Visitor] = {}

    def add(self, operator: Operator) -> tuple[str, Visitor]:
        """Sign somebody in."""
        cookie, visitor = os.urandom(8).hex(), Visitor(operator=operator, csrf=os.urandom(16).hex())
        self._known[cookie] = visitor
        return cookie, visitor

    async def find(self, request: Request, project: UUID | None) -> Visitor | None:
        """Who asks, for a project if any."""
        visitor = self._known.get(request.cookies.get(_COOKIE, ""))
        if visitor is None or project is None:
            return visitor
        try:
            return replace(visitor, project_of=await self._plane.provisioning.tenant_of_project(ProjectId(project)))
        except Refused:
            return visitor


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Browser:
    """The dashboard as one operator sees it."""

    control: Control
    visitors: KnownVisitors
    http: httpx2.AsyncClient
    visitor: Visitor
    cookie: str

    def as_(self, role: str, tenant: str | None = None, name: str = "Ada Lovelace") -> Self:
        """The same dashboard, as somebody else sees it."""
        tenant_id = None if tenant is None else ids.parsed(ids.TENANT, tenant)
        operator = Operator(
            id=OperatorId(UUID(bytes=os.urandom(16))),
            kind=OperatorKind.PERSON,
            name=name,
            role=OperatorRole(role),
            tenant_id=None if tenant_id is None else TenantId(tenant_id),
        )
        cookie, visitor = self.visitors.add(operator)
        return type(self)(control=self.control, visitors=self.visitors, http=self.http, visitor=visitor, cookie=cookie)

    async def get(self, path: str, **headers: str) -> Answered:
        """Open a page."""
        return self._answered(await self.http.get(path, headers={**self._cookie, **headers}))

    async def post(self, path: str, fields: Mapping[str, object], **headers: str) -> Answered:
        """Send a form as it is."""
        told = {"origin": HOST, "sec-fetch-site": "same-origin", **self._cookie, **headers}
        told["content-type"] = "application/x-www-form-urlencoded"
        body = urlencode({name: value for name, value in fields.items() if value is not None}, doseq=True)
        return self._answered(await self.http.post(path, content=body, headers=told))

    async def send(self, path: str, *, action: str = "", **fields: object) -> Answered:
        """Open a page, fill in its form, and send it; a field with a dot is written with two underscores."""
        form = (await self.get(path)).page.form(action)
        given = {**form.fields, **{name.replace("__", "."): value for name, value in fields.items()}}
        return await self.post(action or path, given)

    @property
    def _cookie(self) -> dict[str, str]:
        return {"cookie": f"{_COOKIE}={self.cookie}"}

    def _answered(self, answer: httpx2.Response) -> Answered:
        self.control.clock.advance(seconds=1)
        return Answered(status=answer.status_code, headers=answer.headers, page=Seen(answer.text))


def done(answer: Answered) -> str:
    """What was done, by the address to which the browser is sent on."""
    assert answer.status == 303, answer.text
    return parse_qs(urlsplit(answer.location).query)["done"][0]


@asynccontextmanager
async def browsing(control: Control) -> AsyncIterator[Browser]:
    """The dashboard over a control plane, as an owner of the installation sees it."""
    visitors = KnownVisitors(control.plane)
    app = create_app(
        control.plane,
        new_id=control.plane.acts.new_id,
        monotonic=lambda: control.clock().timestamp(),
        log=Log(control.log, process="control", level="debug", now=control.clock),
        dashboard=create_dashboard(control.plane, visitors, public_url=PUBLIC_URL + "/"),
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=HOST) as http:
        nobody: Any = None
        yield Browser(control=control, visitors=visitors, http=http, visitor=nobody, cookie="").as_("owner")


@pytest.fixture
async def browser(control: Control) -> AsyncIterator[Browser]:
    """The dashboard over the module's database, as an owner of the installation sees it."""
    async with browsing(control) as made:
        yield made
