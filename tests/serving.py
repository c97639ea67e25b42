"""One running installation for all tests that ask it through HTTP, with a scripted provider behind it.

Every test gets projects of its own (`site.project()`), so they do not disturb each other. Whatever a test asks through
`Caller` or `Site` is checked for what holds of every answer: an `x-request-id` of our making, and no secret in any
byte. After each test its part of the log is checked too: JSON, no unexpected error, no secret, no prompt.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from io import SEEK_END
from pathlib import Path
from typing import Any, Final, final
from uuid import UUID

import httpx2
import openai
import psycopg
import pytest
from psycopg.rows import dict_row

from bailiwick.domain import ids
from tests.installation import Admin, Installation
from tests.patience import Patience
from tests.upstream import Upstream

MODEL: Final = "gpt-4o-mini"
ASK: Final = [{"role": "user", "content": "What is the capital of France?"}]
PROVIDER_SECRET: Final = "sk-upstream-canary"
PROMPT_CANARY: Final = "a-prompt-that-no-log-may-hold"
BASE_DOMAIN: Final = "bailiwick.test"
TRUSTED_PROXY: Final = "127.0.0.2"
STRANGER: Final = "127.0.0.3"
METRICS_READER: Final = "192.0.2.7"
REQUEST_ID: Final = re.compile(r"req_[0-9a-f]{32}")
SETTINGS: Final = {
    "BAILIWICK_BASE_DOMAIN": BASE_DOMAIN,
    "BAILIWICK_TRUSTED_PROXIES": f"{TRUSTED_PROXY}/32",
    "BAILIWICK_PROVIDER_CONNECT_SECONDS": "1",
    "BAILIWICK_PROVIDER_FIRST_BYTE_SECONDS": "1",
    "BAILIWICK_PROVIDER_BETWEEN_BYTES_SECONDS": "1",
    "BAILIWICK_METRICS_ALLOW": f"{METRICS_READER}/32,2001:db8:7::/48",
    "BAILIWICK_PROVIDER_TOTAL_SECONDS": "3",
    "BAILIWICK_LOG_LEVEL": "debug",
}
_KEY_TEXT: Final = re.compile(rb"bw[ka]_live_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")
_ROW: Final = """
    SELECT outcome, usage_source, status, provider, model, uid, sid, agent_id, tier, streamed, asked, input_tokens,
           output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, input_audio_tokens, output_audio_tokens,
           cache_write_1h_tokens, input_image_tokens, output_image_tokens, cost_nano, price, latency_ms, first_byte_ms,
           key_id
    FROM bailiwick.ledger WHERE project_id = %s ORDER BY opened_at, id
"""

Rows = Sequence[Mapping[str, Any]]


def until(reached: Callable[[], object], *, patience: float = 5.0) -> None:
    """Wait for something that takes effect by itself; AssertionError if it does not."""
    patient = Patience(patience)
    while not reached():
        assert not patient.over(), "it did not happen in time"
        time.sleep(0.01)


def first_refusal(ask: Callable[[], httpx2.Response]) -> httpx2.Response:
    """The first answer that a limit refuses: between two calls of a busy machine there may be time for another one."""
    answers: list[httpx2.Response] = []
    until(lambda: answers.append(ask()) or answers[-1].status_code == HTTPStatus.TOO_MANY_REQUESTS)
    assert {answer.status_code for answer in answers[:-1]} == {HTTPStatus.OK}
    return answers[-1]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The installation, its provider, and ways to ask and to look."""

    installation: Installation
    admin: Admin
    upstream: Upstream
    http: httpx2.Client
    database: psycopg.Connection[dict[str, Any]]

    def project(
        self,
        *,
        tenant_id: str | None = None,
        key: Mapping[str, object] | None = None,
        provider: Mapping[str, object] | None = None,
        **fields: object,
    ) -> Caller:
        """A new project with a provider and a key; `provider={"base_url": None}` leaves the provider out."""
        made = self.admin.project(tenant_id, **fields)
        asked = {"base_url": self.upstream.base_url, **(provider or {})}
        if asked["base_url"] is not None:
            self.admin.provider(made["id"], **asked)
        return self.caller(made, **(key or {}))

    def caller(self, project: Mapping[str, Any], **key: object) -> Caller:
        """Another key of a project."""
        made = self.admin.key(project["id"], **key)
        return Caller(site=self, project=dict(project), key=made["key"], key_id=made["id"])

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Any request, as it is; the answer is checked for what holds of all."""
        answer = self.http.request(method, path, **options)
        assert_clean(answer)
        return answer

    def rows(self, project_id: str) -> Rows:
        """The ledger rows of a project, oldest first."""
        return self.database.execute(_ROW, (ids.parsed(ids.PROJECT, project_id),)).fetchall()

    def open_calls(self, project_id: str) -> int:
        """How many of a project's calls are open."""
        query = "SELECT count(*) AS n FROM bailiwick.open_calls WHERE project_id = %s"
        row = self.database.execute(query, (ids.parsed(ids.PROJECT, project_id),)).fetchone()
        assert row is not None
        return int(row["n"])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whoever holds one key of one project."""

    site: Site
    project: dict[str, Any]
    key: str
    key_id: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The project's id."""
        return str(self.project["id"])

    @property
    def bearer(self) -> dict[str, str]:
        """The header that says who asks."""
        return {"authorization": f"Bearer {self.key}"}

    def ask(self, method: str, path: str, *, headers: Any = (), **options: Any) -> httpx2.Response:
        """Any request with this key."""
        given = headers.items() if isinstance(headers, Mapping) else headers
        return self.site.ask(method, path, headers=[*self.bearer.items(), *given], **options)

    def chat(self, *, headers: Any = (), path: str = "/v1/chat/completions", **fields: object) -> httpx2.Response:
        """A chat completion; `fields` are the body's, beside a model and messages."""
        return self.ask("POST", path, headers=headers, json={"model": MODEL, "messages": ASK, **fields})

    def send(self, body: bytes, **options: Any) -> httpx2.Response:
        """A chat completion of exactly these bytes."""
        return self.ask("POST", "/v1/chat/completions", content=body, **options)

    def sdk(self, **options: Any) -> openai.OpenAI:
        """OpenAI's own client, with this key."""
        given = {"base_url": f"{self.site.installation.url}/v1", "api_key": self.key, "max_retries": 0, **options}
        return openai.OpenAI(**given)

    def async_sdk(self, **options: Any) -> openai.AsyncOpenAI:
        """OpenAI's own asynchronous client, with this key."""
        given = {"base_url": f"{self.site.installation.url}/v1", "api_key": self.key, "max_retries": 0, **options}
        return openai.AsyncOpenAI(**given)

    def change(self, **patch: object) -> None:
        """Change the project; its own calls may notice within a second."""
        self.site.admin.change(f"/projects/{self.id}", patch)

    @property
    def rows(self) -> Rows:
        """The project's ledger rows, oldest first."""
        return self.site.rows(self.id)

    def row(self) -> Mapping[str, Any]:
        """The project's one ledger row, once nothing is open any more."""
        until(lambda: self.rows and not self.site.open_calls(self.id))
        assert len(self.rows) == 1
        return self.rows[0]

    def assert_untouched(self) -> None:
        """Nothing of this project went to the provider or into the ledger."""
        assert [record.body for record in self.site.upstream.requests] == []
        assert self.rows == []
        assert self.site.open_calls(self.id) == 0


def error_of(answer: httpx2.Response) -> tuple[int, str]:
    """The status and the code of a refusal, as the address's SDKs read it; "" of no refusal."""
    if answer.is_success:
        return answer.status_code, ""
    document = answer.json()
    around = {"type"} if "/v1/messages" in answer.request.url.path else set()
    assert set(document) == {"error"} | around
    error = document["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    assert isinstance(error["message"], str)
    return answer.status_code, error["code"]


def assert_clean(answer: httpx2.Response) -> None:
    """Our request id and nothing secret, in headers and body."""
    named = answer.headers.get_list("x-request-id")
    assert len(named) == 1
    assert REQUEST_ID.fullmatch(named[0]), named
    if answer.request.url.path.startswith("/v1"):
        seen = b"\n".join(name + b": " + value for name, value in answer.headers.raw) + b"\n\n" + answer.read()
        assert_no_secret(seen)


def assert_no_secret(seen: bytes) -> None:
    """No key of ours and no provider's."""
    assert PROVIDER_SECRET.encode() not in seen, seen
    assert _KEY_TEXT.search(seen) is None, seen


def events_of(body: bytes) -> list[Any]:
    """The events of a stream: decoded, but `[DONE]` as that text."""
    assert body.endswith(b"\n\n")
    found = [event.removeprefix(b"data: ") for event in body.split(b"\n\n")[:-1]]
    return ["[DONE]" if event == b"[DONE]" else json.loads(event) for event in found]


def uuid_of(prefix: str, shown: str) -> UUID:
    """The id as the database holds it."""
    parsed = ids.parsed(prefix, shown)
    assert parsed is not None
    return parsed


@contextmanager
def opened(folder: Path, settings: Mapping[str, str]) -> Iterator[Site]:
    """An installation of these settings, with a provider."""
    with Installation(folder, settings=settings) as installation, Upstream() as upstream, installation.sql() as sql:
        sql_rows: Any = sql
        sql_rows.row_factory = dict_row
        with httpx2.Client(base_url=installation.url, timeout=30, verify=False) as http:
            yield Site(
                installation=installation, admin=installation.admin, upstream=upstream, http=http, database=sql_rows
            )


@pytest.fixture(scope="session")
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with opened(tmp_path_factory.mktemp("site") / "data", SETTINGS) as site:
        yield site


def whole_lines(log: Path) -> int:
    """How many bytes of the log are whole lines: a file may be seen while only a part of a line is in it."""
    patient = Patience(5.0)
    with log.open("rb") as file:
        while size := file.seek(0, SEEK_END):
            file.seek(size - 1)
            if file.read(1) == b"\n":
                break
            assert not patient.over(), "a line of the log does not end"
            time.sleep(0.01)
    return size


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    """The session's installation, with a provider that knows nothing of other tests."""
    running_site.upstream.clear()
    log = Path(f"{running_site.installation.folder}.log")
    before = whole_lines(log)
    yield running_site
    after = whole_lines(log)
    with log.open("rb") as file:
        file.seek(before)
        told = file.read(after - before)
    assert b"unexpected error" not in told, told.decode()
    assert b"a library reports trouble" not in told, told.decode()
    assert PROMPT_CANARY.encode() not in told, told.decode()
    assert_no_secret(told)
    for line in told.splitlines():
        assert line.startswith(b"{"), line.decode()
        assert line.endswith(b"}"), line.decode()
        json.loads(line)


@pytest.fixture
def upstream(site: Site) -> Upstream:
    """The provider of every project of `site`."""
    return site.upstream
