"""A tool server with what the public conformance suite asks for by name, made with the official SDK.

Run as a program it listens on a free port of this machine and prints its address.
"""

from __future__ import annotations

import base64
import json
import socket
import sys
from typing import Any, Final

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp_types import (
    AudioContent,
    Completion,
    EmbeddedResource,
    ImageContent,
    PromptMessage,
    TextContent,
    TextResourceContents,
)
from pydantic import BaseModel, Field

_PIXEL: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
_SOUND: Final = base64.b64encode(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(28)).decode()
_ENUM: Final = ["active", "inactive", "pending"]

server: Final[MCPServer[Any]] = MCPServer("conformance")


class Response(BaseModel):
    """A free text."""

    response: str = Field(description="What you say")


class Defaults(BaseModel):
    """One of each kind, with a default."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: str = Field("active", json_schema_extra={"enum": list(_ENUM)})
    verified: bool = True


def _resource(uri: str, text: str, kind: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=kind, text=text))


def _said(*content: Any) -> list[PromptMessage]:
    return [PromptMessage(role="user", content=one) for one in content]


@server.tool()
def test_simple_text() -> str:
    """For the suite."""
    return "This is a simple text response for testing."


@server.tool()
def test_image_content() -> list[ImageContent]:
    """For the suite."""
    return [ImageContent(type="image", data=_PIXEL, mime_type="image/png")]


@server.tool()
def test_audio_content() -> list[AudioContent]:
    """For the suite."""
    return [AudioContent(type="audio", data=_SOUND, mime_type="audio/wav")]


@server.tool()
def test_embedded_resource() -> list[EmbeddedResource]:
    """For the suite."""
    return [_resource("test://embedded-resource", "This is an embedded resource content.")]


@server.tool()
def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
    """For the suite."""
    return [
        TextContent(type="text", text="Multiple content types test:"),
        ImageContent(type="image", data=_PIXEL, mime_type="image/png"),
        _resource("test://mixed-content-resource", '{"test": "data", "value": 123}', "application/json"),
    ]


@server.tool()
async def test_tool_with_progress(context: Context[Any]) -> str:
    """For the suite."""
    for progress in (0, 50, 100):
        await context.report_progress(progress, 100, f"Completed step {progress} of 100")
    return "done"


@server.tool()
def test_error_handling() -> str:
    """For the suite."""
    raise RuntimeError("This tool intentionally returns an error for testing")


@server.tool()
async def test_elicitation(message: str, context: Context[Any]) -> str:
    """For the suite."""
    said = await context.elicit(message, Response)
    return f"User response: action={said.action}"


@server.tool()
async def test_elicitation_sep1034_defaults(context: Context[Any]) -> str:
    """For the suite."""
    said = await context.elicit("Please provide user information", Defaults)
    return f"Elicitation completed: action={said.action}"


@server.tool()
async def test_reconnection(context: Context[Any]) -> str:
    """For the suite."""
    await context.close_sse_stream()
    return "Reconnection test completed successfully"


@server.resource("test://static-text", mime_type="text/plain")
def static_text() -> str:
    return "This is the content of the static text resource."


@server.resource("test://static-binary", mime_type="image/png")
def static_binary() -> bytes:
    return base64.b64decode(_PIXEL)


@server.resource("test://template/{id}/data", mime_type="application/json")
def template(id: str) -> str:  # noqa: A002 - as the suite's address has it
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


@server.resource("test://watched-resource", mime_type="text/plain")
def watched() -> str:
    return "Watched resource content"


@server.prompt()
def test_simple_prompt() -> list[PromptMessage]:
    """For the suite."""
    return _said(TextContent(type="text", text="This is a simple prompt for testing."))


@server.prompt()
def test_prompt_with_arguments(arg1: str, arg2: str) -> list[PromptMessage]:
    """For the suite."""
    return _said(TextContent(type="text", text=f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))


@server.prompt()
def test_prompt_with_embedded_resource(resourceUri: str) -> list[PromptMessage]:  # noqa: N803 - the suite's own name
    """For the suite."""
    text = TextContent(type="text", text="Please process the embedded resource above.")
    return _said(_resource(resourceUri, "Embedded resource content for testing."), text)


@server.prompt()
def test_prompt_with_image() -> list[PromptMessage]:
    """For the suite."""
    image = ImageContent(type="image", data=_PIXEL, mime_type="image/png")
    return _said(image, TextContent(type="text", text="Please analyze the image above."))


@server.completion()
async def complete(ref: Any, argument: Any, context: Any) -> Completion:
    return Completion(values=[f"{argument.value}1", f"{argument.value}2"], total=2, has_more=False)


def main() -> None:
    """Serve until killed."""
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/mcp", flush=True)
    app = server.streamable_http_app()
    uvicorn.Server(uvicorn.Config(app, log_level="critical")).run(sockets=[listening])


if __name__ == "__main__":
    sys.exit(main())
