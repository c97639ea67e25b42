"""Two tenants of a running installation: no byte that the first is given holds anything of the second.

Every address of the data plane, and every value of the second tenant in every place of a request where the first could
put it. What the first sends it may get back; beyond that, an answer to a foreign value is, to the byte, the answer to
a value that nobody has. Once as everything is, and once with every policy switched off: our own queries alone must do.

`make prove` puts every value in every place of every address. `make test` does a seventh of that, spread so that every
address meets every value, every place meets every value at some address, and every address has every place tried.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final, final

import httpx2
import psycopg
import pytest
from psycopg import sql

from bailiwick.domain import ids
from bailiwick.identity.keyring import MasterKey
from bailiwick.storage import roles
from tests.apps.gateway.doors.cases import answer_every_door, good, with_anthropic
from tests.apps.gateway.routes import ROUTES
from tests.faults.trial import PROVE
from tests.serving import BASE_DOMAIN, MODEL, Caller, Site, until, uuid_of

CANARY: Final = "canary"
EVERY: Final = 1 if PROVE else 7
TWIN: Final = "absent"
UNKNOWN: Final = {
    prefix: ids.shown(prefix, ids.uuid7(1_700_000_000_000, bytes(range(10))))
    for prefix in (ids.TENANT, ids.PROJECT, ids.KEY, ids.PROVIDER)
}
# What differs between two answers to the same request: times, the provider's numbering of its answers, and tokens.
_VARYING: Final = re.compile(
    rb"chatcmpl-\w+|\d{4}-\d\d-\d\dT[\d:.]+Z|\"(created|expires_at)\":\d+|\"token\":\"[\w.-]+\"|sess_\w+"
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A tenant, one of its projects, and every string by which somebody could tell it from others."""

    caller: Caller
    marks: Mapping[str, str] = field(default_factory=dict)


def holding(site: Site, mark: str) -> Holding:
    """A tenant with `mark` in all that it has, and with calls of its own behind it."""
    tenant = site.admin.tenant(f"{mark} tenant", slug=f"{mark}-tenant")["id"]
    below = site.upstream.base_url.removesuffix("/v1")
    provider = {
        "name": f"{mark}-provider",
        "api_key": f"sk-{mark}-secret",
        "base_url": f"{below}/{mark}-path/v1",
        "models": [MODEL, f"{mark}-model"],
        "prices": {f"{mark}-model": {"input_usd_per_million": "1.23", "output_usd_per_million": "4.56"}},
    }
    caller = site.project(
        tenant_id=tenant,
        name=f"{mark} project",
        slug=f"{mark}-project",
        aliases={f"{mark}-alias": [f"{mark}-provider/{mark}-model"]},
        limits={"user": {"requests": 1_000_000, "per": "31d"}} if mark == CANARY else {},
        key={"name": f"{mark} key"},
        provider=provider,
    )
    with_anthropic(caller, name=f"{mark}-claude", **{name: provider[name] for name in ("api_key", "base_url")})
    tenants = {**provider, "name": f"{mark}-shared", "kind": "openai", "models": [f"{mark}-shared-model"]}
    shared = site.admin.make(f"/tenants/{tenant}/providers", tenants)["id"]
    own = site.admin.request("GET", f"/projects/{caller.id}/providers").json()["data"][0]["id"]
    for model in (MODEL, f"{mark}-alias", f"{mark}-shared-model"):
        headers = {"x-end-user-id": f"{mark}-user", "x-session-id": f"{mark}-session"}
        assert caller.chat(model=model, headers=headers).status_code == 200
    shown = {ids.TENANT: tenant, ids.PROJECT: caller.id, ids.KEY: caller.key_id, ids.PROVIDER: own}
    names = ("provider", "model", "alias", "user", "session", "project", "tenant", "shared", "shared-model", "path")
    return Holding(
        caller=caller,
        marks={
            **{name: f"{mark}-{name}" for name in names},
            **shown,
            "shared provider": shared,
            **{f"{prefix} as stored": str(uuid_of(prefix, value)) for prefix, value in shown.items()},
            "look-up id": caller.key.split("_")[2],
            "pseudonym": site.upstream.requests[-1].json["user"],
            "secret": f"sk-{mark}-secret",
            "price": "4.56",
        },
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The tenant that asks, by two projects (one that calls models and one whose usage stands still), and the other."""

    own: Holding
    quiet: Caller
    foreign: Holding

    def caller(self, method: str) -> Caller:
        return self.own.caller if method == "POST" else self.quiet


@pytest.fixture(scope="module")
def made(running_site: Site) -> Pair:
    running_site.upstream.clear()
    foreign, own = holding(running_site, CANARY), holding(running_site, "own")
    quiet = running_site.project(tenant_id=own.caller.project["tenant_id"], slug="quiet-project")
    quiet.chat(headers={"x-end-user-id": "somebody"})
    return Pair(own=own, quiet=quiet, foreign=foreign)


def switch_policies(site: Site, how: str) -> None:
    """`DISABLE` or `ENABLE` row-level security on every table that has it forced."""
    found = site.database.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'bailiwick'::regnamespace AND relforcerowsecurity"
    )
    for row in found.fetchall():
        statement = sql.SQL("ALTER TABLE bailiwick.{} {} ROW LEVEL SECURITY")
        site.database.execute(statement.format(sql.Identifier(row["relname"]), sql.SQL(how)))


def rows_in_reach(site: Site, foreign: Holding, own: Holding) -> int:
    """How many of the foreign tenant's projects the gateway's role sees when it reads as the other tenant."""
    key = MasterKey.parse((site.installation.folder / "master.key").read_text())
    info = site.database.info
    with psycopg.connect(
        host=info.host, dbname=info.dbname, user=roles.APP, password=key.role_password(roles.APP)
    ) as connection:
        mine = str(uuid_of(ids.TENANT, own.marks[ids.TENANT]))
        connection.execute("SELECT set_config('bailiwick.tenant_id', %s, true)", (mine,))
        query = "SELECT count(*) FROM bailiwick.projects WHERE tenant_id = %s"
        row = connection.execute(query, (uuid_of(ids.TENANT, foreign.marks[ids.TENANT]),)).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture(scope="module", params=["with the policies", "by the code alone"])
def forgetful(request: pytest.FixtureRequest, running_site: Site, made: Pair) -> Iterator[Pair]:
    """The two tenants, seen by a gateway that remembers nothing of before."""
    site, without = running_site, request.param == "by the code alone"
    if without:
        switch_policies(site, "DISABLE")
    try:
        assert rows_in_reach(site, made.foreign, made.own) == int(without)
        seen = f"seen-{request.param.replace(' ', '-')}"
        for caller in (made.own.caller, made.quiet):
            caller.change(aliases={seen: ["echo"]})
        until(lambda: seen in made.own.caller.ask("GET", "/v1/models").text)
        yield made
        for caller in (made.own.caller, made.quiet):
            caller.change(aliases={seen: None})
    finally:
        if without:
            switch_policies(site, "ENABLE")


@pytest.fixture
def pair(site: Site, forgetful: Pair) -> Pair:
    """The two tenants, and providers that answer at every door."""
    answer_every_door(site.upstream, "", "/own-path", f"/{CANARY}-path")
    return forgetful


def wire(answer: httpx2.Response) -> bytes:
    """Everything of an answer that a client sees, but what varies by itself."""
    headers = b"\n".join(name + b": " + value for name, value in answer.headers.raw if name.lower() != b"x-request-id")
    return _VARYING.sub(b"*", b"%d\n%b\n\n%b" % (answer.status_code, headers, answer.content))


def assert_no_mark(pair: Pair, answer: httpx2.Response, sent: str = "") -> None:
    """Nothing of the foreign tenant, but what was sent."""
    seen = wire(answer).decode(errors="replace")
    found = {name for name, mark in pair.foreign.marks.items() if mark in seen and mark not in sent}
    assert found == set(), (answer.request.method, answer.request.url, sent, seen)
    assert CANARY not in seen.replace(sent, "") if sent else CANARY not in seen


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_answer_of_any_address_holds_anything_foreign(pair: Pair, method: str, path: str) -> None:
    queries = [""]
    if path == "/v1/usage":
        queries = [f"?group_by={by}&limit=200" for by in ("user", "model", "session", "key", "day")]
    for slug in (None, pair.caller(method).project["slug"]):
        for query in queries:
            address = f"{path if slug is None else f'/p/{slug}{path}'}{query}"
            answer = pair.caller(method).ask(method, address, **good(method, path, MODEL))
            assert answer.status_code == 200
            assert_no_mark(pair, answer)


HEADERS: Final = (
    "x-org-id", "x-tenant-id", "openai-organization", "x-project-id", "openai-project", "x-end-user-id", "x-session-id",
    "x-thread-id", "x-agent-id", "x-request-id", "host", "x-forwarded-host", "x-forwarded-for", "forwarded", "cookie",
    "origin", "referer", "user-agent", "idempotency-key", "x-original-url", "x-rewrite-url", "x-http-method-override",
)  # fmt: skip
PARAMETERS: Final = (
    "group_by", "after", "limit", "from", "to", "tenant_id", "project_id", "key_id", "uid", "user_id", "user", "key",
    "model", "tenant", "project", "slug", "api_key",
)  # fmt: skip
FIELDS: Final = ("model", "user", "safety_identifier", "prompt_cache_key", "tenant_id", "project_id", "service_tier")


# What the first tenant could know or guess of the second.
SENT: Final = {
    "ids": (ids.TENANT, ids.PROJECT, ids.KEY, ids.PROVIDER, "shared provider", f"{ids.TENANT} as stored",
            f"{ids.PROJECT} as stored", "look-up id"),
    "names": ("project", "provider", "model", "alias", "shared-model", "user", "session"),
}  # fmt: skip


def places(method: str, path: str, value: str, own: Caller) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every request with `value` in one place: an address and options."""
    plain = good(method, path, MODEL)
    for header in HEADERS:
        yield path, {**plain, "headers": {header: value}}
    yield path, {**plain, "headers": {"host": f"{value}.{BASE_DOMAIN}"}}
    yield path, {**plain, "headers": {"x-api-key": f"bwk_live_{value}"}}
    for parameter in PARAMETERS:
        yield f"{path}?{parameter}={value}", plain
    yield f"/p/{value}{path}", plain
    yield f"/p/{own.project['slug']}/{value}{path}", plain
    yield f"{path}/{value}", plain
    if method == "POST":
        with_fields = partial(good, method, path, MODEL)
        for name in FIELDS:
            yield path, with_fields(**{name: value})
        yield path, with_fields(model=f"{value}/{MODEL}")
        yield path, with_fields(model=f"up/{value}")
        yield path, with_fields(metadata={"tenant": value})
        yield path, with_fields(tools=[{"type": "function", "function": {"name": value}}])


def twin_of(name: str, mark: str) -> str:
    """A value of the same form that nobody has."""
    if name in UNKNOWN:
        return UNKNOWN[name]
    if name == "shared provider":
        return UNKNOWN[ids.PROVIDER]
    if name.endswith(" as stored"):
        return str(uuid_of(name.split(maxsplit=1)[0], UNKNOWN[name.split(maxsplit=1)[0]]))
    if name == "look-up id":
        return mark[::-1]
    return mark.replace(CANARY, TWIN)


@pytest.mark.proof
@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("kind", SENT)
def test_whatever_is_foreign_is_as_what_nobody_has_wherever_it_is_put(
    pair: Pair, method: str, path: str, kind: str
) -> None:
    caller = pair.caller(method)
    before = len(pair.foreign.caller.rows)
    tried = 0
    for shift, name in enumerate(SENT[kind], ROUTES.index((method, path))):
        mark = pair.foreign.marks[name]
        twin = twin_of(name, mark)
        assert twin != mark
        both = zip(places(method, path, mark, caller), places(method, path, twin, caller), strict=True)
        for (address, options), (other, options_of_twin) in islice(both, shift % EVERY, None, EVERY):
            answer = caller.ask(method, address, **options)
            assert_no_mark(pair, answer, mark)
            answer_to_twin = caller.ask(method, other, **options_of_twin)
            same = wire(answer).replace(mark.encode(), twin.encode()) == wire(answer_to_twin)
            assert same, (address, options, wire(answer), wire(answer_to_twin))
            tried += 1
    assert tried > 250 / EVERY
    assert len(pair.foreign.caller.rows) == before
    sent = b"".join(record.raw for record in caller.site.upstream.requests)
    assert pair.foreign.marks["secret"].encode() not in sent
    assert f"/{CANARY}-path/".encode() not in b"".join(record.path.encode() for record in caller.site.upstream.requests)


def test_equal_names_of_two_tenants_never_meet(pair: Pair) -> None:
    """The same end user, session and model name: the first tenant's usage is its own, its pseudonym another."""
    own, foreign = pair.own.caller, pair.foreign
    headers = {"x-end-user-id": foreign.marks["user"], "x-session-id": foreign.marks["session"]}
    own.site.upstream.clear()
    assert own.chat(headers=headers).status_code == 200
    assert own.site.upstream.requests[0].json["user"] != foreign.marks["pseudonym"]
    report = own.ask("GET", "/v1/usage?group_by=model", headers=headers).json()
    models = {group["key"] for group in report["data"]}
    assert f"own-provider/{MODEL}" in models
    assert {model.partition("-")[0] for model in models} == {"own"}


SHOWN: Final = {"tenant": ids.TENANT, "project": ids.PROJECT, "key": ids.KEY, "provider": ids.PROVIDER}


def test_a_project_key_is_nobody_at_every_address_of_the_control_plane(pair: Pair) -> None:
    """With its own ids, with foreign ones, with none."""
    own, site = pair.own, pair.own.caller.site
    document = json.loads(site.ask("GET", "/admin/openapi.json").content)
    told = set()
    for path, item in document["paths"].items():
        for method in item:
            for marks in (own.marks, pair.foreign.marks, UNKNOWN):
                values = {f"{name}_id": marks[prefix] for name, prefix in SHOWN.items()}
                address = path.format_map(defaultdict(lambda: "x", values))
                answer = own.caller.ask(method.upper(), address, json={"name": "intruder"})
                assert_no_mark(pair, answer, address)
                told.add((answer.status_code, answer.content))
    assert len(told) == 1
    assert next(iter(told))[0] == 401


def test_the_control_planes_description_is_the_same_for_everybody(pair: Pair) -> None:
    answer = pair.own.caller.site.ask("GET", "/admin/openapi.json")
    assert_no_mark(pair, answer)
