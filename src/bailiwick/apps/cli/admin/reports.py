"""`bailiwick usage`, `calls`, `users`, `explain`, `audit list` and `audit export`: who used what, and who did what."""

from __future__ import annotations

import sys
from typing import Any, Final

import typer

from bailiwick.apps.cli.admin.commands import Command, add
from bailiwick.apps.cli.admin.options import PAGE, YES, Option
from bailiwick.apps.cli.admin.output import Column, bar, column, columns, write_item, write_table

_SPAN: Final = (
    Option(name="from", help="From when, by RFC 3339."),
    Option(name="to", help="To when, not counted."),
)
_NUMBERS: Final = tuple(
    column(field, title, right=True)
    for field, title in (
        ("requests", "requests"),
        ("input_tokens", "tokens in"),
        ("output_tokens", "tokens out"),
        ("cost_usd", "cost USD"),
        ("latency_p50_ms", "p50 ms"),
        ("latency_p95_ms", "p95 ms"),
    )
)


def _named(group: dict[str, Any]) -> object:
    """What a group is called, and its id, if it has both."""
    return f"{group['name']} ({group['key']})" if group.get("name") else group["key"]


def _show_usage(report: dict[str, Any]) -> None:
    """A line for each group, with a bar of its requests at a terminal; then what all came to."""
    groups = report["data"]
    largest = max((group["requests"] for group in groups), default=0)
    bars = (Column(title="", value=lambda group: bar(group["requests"], largest)),) if sys.stdout.isatty() else ()
    first = Column(title=report["group_by"], value=_named)
    write_table(sys.stdout, (first, *bars, *_NUMBERS), [*groups, {**report["total"], "key": "all"}])
    if report["has_more"]:
        sys.stderr.write(f"there are more: --after {report['next']}\n")


USAGE: Final = Command(
    name="usage",
    help="Say what the calls of a tenant or a project used, by group.",
    path="{whose}/usage",
    above=("tenant", "project"),
    options=(
        Option(
            name="by", field="group_by", help="day, hour, project, model, provider, key, user, session, agent, tier."
        ),
        *_SPAN,
        *PAGE,
    ),
    show=_show_usage,
)

CALLS: Final = Command(
    name="calls",
    help="Write every settled call of a tenant or a project, a line each, in the order in which they opened.",
    path="{whose}/usage/export",
    above=("tenant", "project"),
    options=(*_SPAN, Option(name="format", help="jsonl (JSON lines, the default) or csv.")),
    exports=True,
)

users: Final = typer.Typer(no_args_is_help=True, help="The end users of a project's application.")

add(
    users,
    Command(
        name="list", help="List a project's end users, the last seen first.", path="/projects/{project}/users",
        above=("tenant", "project"),
        options=(
            Option(name="prefix", help="How the id begins."),
            Option(name="blocked", bare=True, read=lambda _given: "true", help="Blocked ones only."),
            *_SPAN,
            *PAGE,
        ),
        columns=(column("uid", "user"), *_NUMBERS, column("last_seen"), column("blocked")),
    ),
    Command(
        name="show", help="Show an end user, with what they used.", path="/projects/{project}/users/{user}",
        item="user", above=("tenant", "project"), options=_SPAN,
    ),
    Command(
        name="block", help="Refuse every call that names an end user.", method="PATCH",
        path="/projects/{project}/users/{user}", item="user", above=("tenant", "project"), says={"blocked": True},
    ),
    Command(
        name="erase", help="Put a pseudonym in an end user's place, for good; what they used stays.", method="DELETE",
        path="/projects/{project}/users/{user}", item="user", above=("tenant", "project"), options=(YES,),
    ),
    Command(
        name="unblock", help="Let an end user in again.", method="PATCH", path="/projects/{project}/users/{user}",
        item="user", above=("tenant", "project"), says={"blocked": False},
    ),
)  # fmt: skip


def _show_explained(call: dict[str, Any]) -> None:
    """What became of a call, then its decisions, each with its reason."""
    write_item(sys.stdout, {name: value for name, value in call.items() if name not in {"decisions", "usage"}})
    sys.stdout.write("\n")
    write_table(sys.stdout, columns("step", "outcome", "code", "reason"), call["decisions"])
    if call["usage"] is not None:
        sys.stdout.write("\n")
        write_item(sys.stdout, call["usage"])


EXPLAIN: Final = Command(
    name="explain",
    help="Say which decisions a call met, each with its reason; by the x-request-id of its answer.",
    path="/requests/{request}",
    item="request",
    show=_show_explained,
)

AUDIT: Final = (
    Command(
        name="list",
        help="List what was done in a tenant, or to the installation; the newest first.",
        path="{place}/audit",
        above=("tenant",),
        options=(
            Option(name="actor", help="Whose acts: opk_…, opr_…, bootstrap or environment."),
            Option(name="action", help="key.revoke, or key for all that happened to keys."),
            Option(name="target", help="The id of what was acted on."),
            *_SPAN,
            *PAGE,
        ),
        columns=columns("at", "action", "target", "actor", "actor_name", "ip", "request_id"),
    ),
    Command(
        name="export",
        help="Write all that was done in a tenant, or to the installation, as JSON lines; the oldest first.",
        path="{place}/audit/export",
        above=("tenant",),
        exports=True,
    ),
)
