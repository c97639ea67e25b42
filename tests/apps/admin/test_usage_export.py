"""`…/usage/export`: every settled call, a line each."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from decimal import Decimal

from bailiwick.domain import ids
from bailiwick.storage import usage_export
from tests.apps.admin.test_usage import NOVEMBER, START, identity, some_calls, usage
from tests.control import UNKNOWN, Control
from tests.database import TestDatabase
from tests.ledger import Call, settle


async def rows(control: Control, place: str, form: str = "jsonl") -> list[dict[str, object]]:
    answer = await control.ask("GET", f"{place}/usage/export?{NOVEMBER}&format={form}")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == f'attachment; filename="calls.{form}"'
    if form == "csv":
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        return [dict(row) for row in csv.DictReader(io.StringIO(answer.text, newline=""))]
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_an_export_has_every_call_of_the_ledger_once_whatever_the_size_of_its_pages(
    control: Control, database: TestDatabase, monkeypatch: object
) -> None:
    project = await control.project()
    calls = some_calls(137, seed=1)
    # Many of one moment: a page may end between them.
    calls += [Call(opened_at=START + timedelta(days=3), uid="ann", cost_nano=None) for _ in range(23)]
    settle(database, *identity(project), calls)
    for page in (7, 160, 2_000):
        monkeypatch.setattr(usage_export, "PAGE", page)  # type: ignore[attr-defined]
        monkeypatch.setattr("bailiwick.services.usage_export.PAGE", page)  # type: ignore[attr-defined]
        found = await rows(control, f"/projects/{project['id']}")
        assert len({row["id"] for row in found}) == len(found) == len(calls)
        assert [row["opened_at"] for row in found] == sorted(str(row["opened_at"]) for row in found)
        assert sum(Decimal(str(row["cost_usd"] or 0)) for row in found) == usage(calls)["cost_usd"]
        assert sum(int(str(row["input_tokens"])) for row in found) == usage(calls)["input_tokens"]


async def test_a_tenants_export_has_the_calls_of_all_its_projects_and_of_nobody_else(
    control: Control, database: TestDatabase
) -> None:
    tenant = await control.tenant()
    own = [await control.make(f"/tenants/{tenant['id']}/projects", name=name) for name in ("a", "b")]
    for number, project in enumerate([*own, await control.project()], start=1):
        settle(database, *identity(project), some_calls(number * 5, seed=number))
    found = await rows(control, f"/tenants/{tenant['id']}")
    assert [row["project_id"] for row in found] == [own[0]["id"]] * 5 + [own[1]["id"]] * 10


async def test_both_formats_say_the_same_and_csv_holds_no_formula(control: Control, database: TestDatabase) -> None:
    project = await control.project()
    names = ["=1+1", "+1", "-1", "@SUM(A1)", '"quoted", and\nbroken', "Zoë", None]
    calls = [
        Call(opened_at=START + timedelta(minutes=minute), uid=name, cost_nano=123) for minute, name in enumerate(names)
    ]
    settle(database, *identity(project), calls)
    lines = await rows(control, f"/projects/{project['id']}")
    assert [row["user_id"] for row in lines] == names
    cells = await rows(control, f"/projects/{project['id']}", "csv")
    assert [row["user_id"] for row in cells] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", *names[4:6], ""]
    for line, cell in zip(lines, cells, strict=True):
        assert list(line) == list(cell)
        same = {name: "" if value is None else str(value).lower() for name, value in line.items() if name != "user_id"}
        assert same == {name: str(value).lower() for name, value in cell.items() if name != "user_id"}
    assert cells[0]["cost_usd"] == "0.000000123"


async def test_an_export_is_an_entry_of_the_audit_log_and_of_no_use_to_who_may_not(control: Control) -> None:
    project = await control.project()
    assert await rows(control, f"/projects/{project['id']}") == []
    entry = (await control.read(f"/tenants/{project['tenant_id']}/audit"))["data"][0]
    assert (entry["action"], entry["target"]) == ("usage.export", project["id"])
    assert entry["detail"]["format"] == "jsonl"
    assert (await control.refused("GET", f"/projects/{UNKNOWN[ids.PROJECT]}/usage/export"))[0] == 404
    wrong = await control.wrong_fields("GET", f"/projects/{project['id']}/usage/export?format=xml", None)
    assert wrong == {"format": "must be one of jsonl, csv"}
