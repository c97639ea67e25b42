"""Through the gateway, with the official SDK: what a user sees is what they can call, in both revisions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from mcp import MCPError
from mcp_types import ElicitResult, TextContent

from tests.apps.gateway.tools.cases import CREDENTIAL, STATELESS, behind, door
from tests.serving import Caller, Site, until
from tests.tool_server import HANDSHAKE, ToolServer, client, running

BOTH = pytest.mark.parametrize("mode", [STATELESS, HANDSHAKE, "auto"])


@pytest.fixture(scope="module")
def server() -> Iterator[ToolServer]:
    with running() as made:
        yield made


@pytest.fixture
def tools(server: ToolServer) -> ToolServer:
    """The server, which remembers nothing."""
    server.seen.clear()
    server.called.clear()
    return server


def address(caller: Caller, name: str = "tools") -> str:
    return f"{caller.site.installation.url}{door(caller, name)}"


@BOTH
async def test_a_user_without_rules_sees_and_uses_all(site: Site, tools: ToolServer, mode: str) -> None:
    caller = behind(site, tools.url)
    async with client(address(caller), caller.key, mode=mode) as asked:
        listed = (await asked.list_tools()).tools
        assert [tool.name for tool in listed] == ["search", "delete_all", "slowly", "asks_back"]
        answer = await asked.call_tool("search", {"query": "rivers"})
        assert [item.text for item in answer.content if isinstance(item, TextContent)] == ["found rivers"]
        assert [prompt.name for prompt in (await asked.list_prompts()).prompts] == ["greeting"]
        assert (await asked.get_prompt("greeting", {"name": "Ada"})).messages
        resources = [str(resource.uri) for resource in (await asked.list_resources()).resources]
        assert resources == ["file:///notes.txt", "file:///secret.txt"]
        assert (await asked.read_resource("file:///notes.txt")).contents


@BOTH
async def test_what_is_not_listed_cannot_be_used_and_the_server_hears_nothing(
    site: Site, tools: ToolServer, mode: str
) -> None:
    rules = {"allow": ["search", "tools/prompt:*", "tools/resource:file:///notes*"], "deny": []}
    caller = behind(site, tools.url, server={"tools": rules})
    async with client(address(caller), caller.key, mode=mode) as asked:
        assert [tool.name for tool in (await asked.list_tools()).tools] == ["search"]
        assert [str(r.uri) for r in (await asked.list_resources()).resources] == ["file:///notes.txt"]
        assert len((await asked.list_prompts()).prompts) == 1
        before = len(tools.seen)
        with pytest.raises(MCPError, match="The tool server 'tools' does not allow this tool"):
            await asked.call_tool("delete_all", {})
        with pytest.raises(MCPError, match="does not allow"):
            await asked.read_resource("file:///secret.txt")
        assert len(tools.seen) == before
        assert (await asked.read_resource("file:///notes.txt")).contents
    assert tools.called == []


async def test_the_server_gets_its_own_credential_and_nothing_of_the_callers(site: Site, tools: ToolServer) -> None:
    caller = behind(site, tools.url)
    async with client(address(caller), caller.key, **{"x-end-user-id": "ada", "cookie": "a=b"}) as asked:
        await asked.call_tool("search", {"query": "x"})
    assert tools.seen
    for seen in tools.seen:
        assert seen["authorization"] == CREDENTIAL
        assert not {"x-end-user-id", "cookie", "x-forwarded-for"} & set(seen)
        assert caller.key not in str(seen)
        assert "ada" not in str(seen.values())


async def test_progress_comes_as_it_is_made(site: Site, tools: ToolServer) -> None:
    caller = behind(site, tools.url)
    for mode in (STATELESS, HANDSHAKE):
        steps: list[float] = []

        async def note(progress: float, total: float | None, message: str | None, to: Any = steps) -> None:
            to.append(progress)

        async with client(address(caller), caller.key, mode=mode) as asked:
            await asked.call_tool("slowly", {}, progress_callback=note)
        assert steps == [0, 1, 2], mode


async def test_a_server_asks_the_client_back_within_a_session(site: Site, tools: ToolServer) -> None:
    caller = behind(site, tools.url)

    async def answer(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"name": "Ada"})

    options: dict[str, Any] = {"elicitation_callback": answer}
    async with client(address(caller), caller.key, mode=HANDSHAKE, options=options) as asked:
        said = await asked.call_tool("asks_back", {})
        assert "you are Ada" in str(said.content)


async def test_every_request_is_a_row_that_names_the_tool(site: Site, tools: ToolServer) -> None:
    caller = behind(site, tools.url)
    async with client(address(caller), caller.key, **{"x-end-user-id": "ada"}) as asked:
        await asked.list_tools()
        await asked.call_tool("search", {"query": "x"})
    until(lambda: not site.open_calls(caller.id))
    rows = [(row["provider"], row["model"], row["uid"], row["outcome"], row["status"]) for row in caller.rows]
    assert rows == [("mcp/tools", "tools/list", "ada", 0, 200), ("mcp/tools", "search", "ada", 0, 200)]
    assert {(row["cost_nano"], row["input_tokens"], row["output_tokens"]) for row in caller.rows} == {(0, 0, 0)}
