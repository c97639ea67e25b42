"""A call that we refuse after the limits have admitted it costs its tenant nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.apps.gateway.wire import connect, request
from tests.serving import Caller, Site, error_of, until, uuid_of

OPENING = """
    CREATE FUNCTION bailiwick.opening() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.project_id = '{project}' THEN {act}; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER opening BEFORE INSERT ON bailiwick.open_calls FOR EACH ROW EXECUTE FUNCTION bailiwick.opening()
"""


@contextmanager
def when_opening(caller: Caller, act: str) -> Iterator[None]:
    """Have the database do something else whenever it is to open a call of this project."""
    database = caller.site.database
    database.execute(OPENING.format(project=uuid_of("prj", caller.id), act=act).encode())
    try:
        yield
    finally:
        database.execute("DROP FUNCTION bailiwick.opening CASCADE")


@pytest.fixture
def caller(site: Site) -> Caller:
    """Two calls a month, by each of the levels."""
    return site.project(limits={level: {"requests": 2, "per": "31d"} for level in ("ip", "project", "key", "user")})


def admitted(caller: Caller) -> list[int]:
    return [caller.chat(headers={"x-end-user-id": "alice"}).status_code for _ in range(3)]


def test_what_the_ledger_cannot_open_takes_nothing_from_any_limit(caller: Caller) -> None:
    with when_opening(caller, "RAISE 'not now'"):
        answers = [caller.chat(headers={"x-end-user-id": "alice"}) for _ in range(3)]
    assert [error_of(answer) for answer in answers] == [(503, "unavailable")] * 3
    assert "ratelimit" not in answers[0].headers
    caller.assert_untouched()
    assert admitted(caller) == [200, 200, 429]


def test_a_client_that_goes_while_its_call_is_opened_has_lost_nothing(caller: Caller) -> None:
    body = b'{"model":"echo","messages":[{"role":"user","content":"hi"}]}'
    headers = [(b"authorization", b"Bearer " + caller.key.encode()), (b"x-end-user-id", b"alice")]
    sleeping = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with when_opening(caller, "PERFORM pg_sleep(1)"):
        with connect(caller.site.installation.port) as sock:
            sock.sendall(request("/v1/chat/completions", headers, method="POST", body=body))
            until(lambda: caller.site.database.execute(sleeping).fetchall())
        until(lambda: not caller.site.database.execute(sleeping).fetchall())
    until(lambda: not caller.site.open_calls(caller.id))
    caller.assert_untouched()
    assert admitted(caller) == [200, 200, 429]
