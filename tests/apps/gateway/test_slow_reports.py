"""Reports that take their time, which is up to half a minute, take it from nobody else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx2

from tests.serving import Caller, Site, until

# More than the gateway has connections of any kind.
REPORTS = 20
_WAITING = "SELECT count(*) AS waiting FROM pg_locks WHERE NOT granted AND relation = 'bailiwick.ledger'::regclass"


def test_a_key_is_looked_up_while_reports_wait_for_the_ledger(site: Site) -> None:
    asking = site.project()
    url = site.installation.url
    headers = {"authorization": f"Bearer {asking.key}"}

    def report() -> int:
        return httpx2.get(f"{url}/v1/usage", headers=headers, timeout=30, verify=False).status_code

    with ThreadPoolExecutor(REPORTS) as threads:
        with site.installation.sql() as sql, sql.transaction():
            sql.execute("LOCK TABLE bailiwick.ledger IN ACCESS EXCLUSIVE MODE")
            reports = [threads.submit(report) for _ in range(REPORTS)]
            until(lambda: (site.database.execute(_WAITING).fetchone() or {})["waiting"] > 0)
            for _ in range(3):
                other = site.caller(asking.project)  # a key that no process has seen yet
                answer = other.ask("GET", "/v1/me")
                assert answer.status_code == 200, answer.text
                assert answer.elapsed.total_seconds() < 2  # a connection would be waited for three seconds
        assert {each.result() for each in reports} <= {200, 503}
        assert 200 in {each.result() for each in reports}


def test_one_tenants_reports_leave_connections_for_those_of_others(site: Site) -> None:
    asking, other = (site.project(tenant_id=site.admin.tenant()["id"]) for _ in range(2))

    def report(caller: Caller) -> int:
        url = f"{site.installation.url}/v1/usage"
        return httpx2.get(url, headers=caller.bearer, timeout=30, verify=False).status_code

    with ThreadPoolExecutor(REPORTS + 1) as threads:
        with site.installation.sql() as sql, sql.transaction():
            sql.execute("LOCK TABLE bailiwick.ledger IN ACCESS EXCLUSIVE MODE")
            reports = [threads.submit(report, asking) for _ in range(REPORTS)]
            until(lambda: (site.database.execute(_WAITING).fetchone() or {})["waiting"] > 0)
            others = threads.submit(report, other)
            until(lambda: sum(each.done() for each in reports) == REPORTS - 2, patience=15)
        assert others.result() == 200
        assert sorted(each.result() for each in reports) == [200] * 2 + [503] * (REPORTS - 2)
