"""`bailiwick mcp-servers`: the tool servers of a project."""

from __future__ import annotations

from functools import partial
from typing import Final

import typer

from bailiwick.apps.cli.admin.commands import Command, add
from bailiwick.apps.cli.admin.options import BODY, CLEAR, PAGE, YES, Option, read_secret
from bailiwick.apps.cli.admin.output import columns

_PLACE: Final = ("project",)
_URL: Final = Option(name="server-url", field="url", help="Its address, where it speaks MCP over streamable HTTP.")
_OF_SERVER: Final = (
    Option(name="credential-header", help="The header that it knows us by; authorization otherwise."),
    Option(
        name="credential-from",
        field="credential",
        read=partial(read_secret, asked="Value of the header"),
        help="Where the header's whole value is read: prompt, stdin, env:VARIABLE; or none.",
    ),
    Option(name="enabled", switch=True, help="Whether it can be called."),
)

mcp_servers: Final = typer.Typer(no_args_is_help=True, help="A project's tool servers that speak MCP.")

add(
    mcp_servers,
    Command(
        name="list", help="List the tool servers of a project.", path="/projects/{project}/mcp-servers", above=_PLACE,
        options=PAGE, columns=columns("id", "name", "url", "has_credential", "enabled"),
    ),
    Command(
        name="create", help="Register a tool server.", method="POST", path="/projects/{project}/mcp-servers",
        sets="name", above=_PLACE, options=(_URL, *_OF_SERVER, BODY),
    ),
    Command(
        name="show", help="Show a tool server, without its credential.",
        path="/projects/{project}/mcp-servers/{mcp_server}", item="mcp_server", above=_PLACE,
    ),
    Command(
        name="update", help="Change a tool server.", method="PATCH",
        path="/projects/{project}/mcp-servers/{mcp_server}", item="mcp_server", above=_PLACE,
        options=(Option(name="name", help="Another name."), _URL, *_OF_SERVER, CLEAR, BODY),
    ),
    Command(
        name="delete", help="Remove a tool server.", method="DELETE",
        path="/projects/{project}/mcp-servers/{mcp_server}", item="mcp_server", above=_PLACE, options=(YES,),
    ),
)  # fmt: skip
