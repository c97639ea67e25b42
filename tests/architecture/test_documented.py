"""What is not documented does not exist, and what does not exist is not documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import pytest
import typer.main
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

from bailiwick.apps.admin.app import create_app
from bailiwick.apps.cli.main import app as command_line
from bailiwick.apps.gateway.mcp import ToolServerDoor
from bailiwick.apps.gateway.oauth import OAuthEndpoints
from bailiwick.apps.gateway.routes import DataPlane
from bailiwick.apps.http import request_head
from bailiwick.apps.http.mcp_address import DOOR
from bailiwick.config import SETTINGS
from bailiwick.domain.administration import NEEDS, AdminPermission
from bailiwick.domain.errors import STATUS, Code
from bailiwick.domain.limits import LimitLevel
from bailiwick.domain.oauth import OAuthError
from bailiwick.domain.permissions import EXERCISED_BY, Permission
from bailiwick.domain.usage import Outcome, UsageSource
from bailiwick.telemetry.exposition import FAMILIES, Numbers
from tests.architecture.markdown import DOCS, ROOT, code, codes, table
from tests.database import TestDatabase

REFERENCE: Final = DOCS / "reference"
METRICS: Final = REFERENCE / "metrics.md"
# What the gateway answers by itself, beside the handlers of its routes.
_FOR_MACHINES: Final = {("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics")}
# The parts that a route's description or a command's frame does not make with.
_ANY: Final[Any] = None


def test_every_setting_is_documented_with_its_variable_and_default() -> None:
    documented = [
        (code(flag), code(variable), code(default) if "`" in default else default)
        for flag, variable, default, _ in table(REFERENCE / "settings.md", "setting")
    ]
    nothing = {None: "none", "": "empty"}
    assert documented == [
        (setting.flag, setting.variable, nothing.get(setting.default, setting.default)) for setting in SETTINGS
    ]


def test_every_error_code_is_documented_with_its_status() -> None:
    documented = {code(name): status for name, status, _ in table(REFERENCE / "errors.md", "code")}
    assert documented == {name.value: str(status) for name, status in STATUS.items()}
    assert set(STATUS) == set(Code)


def test_every_error_of_oauth_is_documented() -> None:
    assert {code(name) for name, *_ in table(REFERENCE / "oauth.md", "error")} == set(OAuthError)


def test_errors_are_documented_in_the_order_of_their_statuses() -> None:
    statuses = [int(status) for _, status, _ in table(REFERENCE / "errors.md", "code")]
    assert statuses == sorted(statuses)


def test_every_permission_is_documented_with_who_may_exercise_it() -> None:
    documented = {code(name): set(codes(kinds)) for name, _, kinds in table(REFERENCE / "permissions.md", "permission")}
    assert documented == {
        permission.value: {kind.value for kind in EXERCISED_BY[permission]} for permission in Permission
    }


def test_every_permission_of_operators_is_documented_with_what_it_takes() -> None:
    rows = table(REFERENCE / "permissions.md", "operator's permission")
    documented = [(code(name), code(role), code(reach)) for name, role, reach, _ in rows]
    assert documented == [
        (permission.value, NEEDS[permission].role.value, NEEDS[permission].reach.value)
        for permission in AdminPermission
    ]


def commands(group: Any, *above: str) -> Iterator[tuple[str, Any]]:
    """Every command that can be given, by its words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *above, name)
        else:
            yield " ".join((*above, name)), command


# What every command that asks the control plane takes; documented once.
_ASKING: Final = {"--url", "--key", "--data-dir"}


def test_every_command_and_flag_is_documented() -> None:
    page = REFERENCE / "command-line.md"
    text = page.read_text("utf-8")
    existing = dict(commands(typer.main.get_command(command_line)))
    for name, command in existing.items():
        if flags_of(command) >= _ASKING:
            continue
        _, heading, section = text.partition(f"## `bailiwick {name}`")
        assert heading, f"{page.name} has no section for `bailiwick {name}`"
        assert flags_of(command) <= set(re.findall(r"`(--[a-z-]+)`", section.split("\n## ")[0]))
    named = set(re.findall(r"^## `bailiwick ([\w -]+)`", text, re.MULTILINE))
    assert named == {name for name, command in existing.items() if not flags_of(command) >= _ASKING}


def test_every_command_that_asks_the_control_plane_is_documented_with_its_argument_and_flags() -> None:
    existing = {
        name: (
            [parameter.metavar for parameter in command.params if parameter.param_type_name == "argument"],
            flags_of(command) - _ASKING - {"--json"},
        )
        for name, command in commands(typer.main.get_command(command_line))
        if flags_of(command) >= _ASKING
    }
    documented = {}
    for words, flags, _ in table(REFERENCE / "command-line.md", "command"):
        named = code(words).split()
        name = " ".join(word for word in named if not word.isupper())
        documented[name] = ([word for word in named if word.isupper()], set(codes(flags)))
    assert documented == existing
    assert {code(row[0]) for row in table(REFERENCE / "command-line.md", "flag of all")} == _ASKING | {"--json"}


def flags_of(command: Any) -> set[str]:
    """The flags of a command."""
    return {flag for parameter in command.params for flag in parameter.opts if flag.startswith("--")}


def test_no_flag_is_documented_that_does_not_exist() -> None:
    existing = dict(commands(typer.main.get_command(command_line)))
    flags = {flag for command in existing.values() for flag in flags_of(command)}
    documented = {flag for row in table(REFERENCE / "command-line.md", "flag") for flag in codes(row[0])}
    assert documented <= flags | {"--help"}


def test_every_make_target_is_documented() -> None:
    targets = set(re.findall(r"^([a-z]+):.*##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert {code(row[0]) for row in table(REFERENCE / "command-line.md", "target")} == targets


def test_every_address_of_the_control_plane_is_documented() -> None:
    app = create_app(_ANY, new_id=lambda: UUID(int=0), monotonic=lambda: 0.0, log=_ANY)
    paths = app.openapi()["paths"]
    existing = [(method.upper(), path) for path, item in paths.items() for method in item]
    documented = [(code(method), code(path)) for method, path, _ in table(REFERENCE / "admin-api.md", "method")]
    assert sorted(documented) == sorted(existing)


def test_every_address_of_the_data_plane_is_documented() -> None:
    routes = DataPlane(_ANY, _ANY, _ANY, _ANY, _ANY, _ANY, now=lambda: datetime(2026, 11, 21, tzinfo=UTC)).routes()
    oauth = OAuthEndpoints(_ANY, _ANY, _ANY, _ANY, public_url="").routes()
    tools = dict(ToolServerDoor(_ANY, public_url="").routes())
    tools[f"/p/{{slug}}{DOOR}"] = tools.pop(DOOR)  # There is no other form of it.
    existing = {(method, path) for path, methods in {**routes, **oauth, **tools}.items() for method in methods}
    documented = {(code(row[0]), code(row[1])) for row in table(REFERENCE / "data-plane.md", "method")}
    assert documented == existing | _FOR_MACHINES


def test_every_header_that_is_read_is_documented() -> None:
    documented = {code(row[0]).lower() for row in table(REFERENCE / "headers.md", "header")}
    assert {name.decode() for name in request_head._READ} <= documented


def test_every_level_of_limits_is_documented() -> None:
    assert [code(row[0]) for row in table(REFERENCE / "limits.md", "level")] == [level.value for level in LimitLevel]


@pytest.mark.parametrize(("first", "values"), [("outcome", Outcome), ("usage_source", UsageSource)])
def test_every_value_of_the_ledger_is_documented(first: str, values: type[Outcome | UsageSource]) -> None:
    documented = {code(number): code(name) for number, name, _ in table(REFERENCE / "ledger.md", first)}
    assert documented == {str(value.value): value.name.lower() for value in values}


def test_every_column_of_the_ledger_is_documented(database: TestDatabase) -> None:
    existing = [
        name
        for wanted in ("open_calls", "ledger", "price_versions")
        for (name,) in database.rows(
            "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
            " ORDER BY attnum",
            f"bailiwick.{wanted}",
        )
    ]
    assert [code(row[0]) for row in table(REFERENCE / "ledger.md", "column")] == existing


def test_every_database_role_is_documented(database: TestDatabase) -> None:
    existing = {
        name for (name,) in database.rows("SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'bailiwick_')")
    }
    assert {code(row[0]) for row in table(DOCS / "explanation" / "isolation.md", "role")} == existing


def test_every_metric_is_documented_with_its_type_and_labels() -> None:
    documented = [(code(name), kind, codes(labels)) for name, kind, labels, _ in table(METRICS, "metric")]
    kinds = {CounterMetricFamily: "counter", GaugeMetricFamily: "gauge"}
    assert documented == [
        (family.name, kinds[family.kind] if isinstance(family, Numbers) else "histogram", list(family.labels))
        for family in FAMILIES
    ]


def test_every_label_of_a_metric_is_documented() -> None:
    existing = {label for family in FAMILIES for label in family.labels}
    assert {code(row[0]) for row in table(METRICS, "label")} == existing
