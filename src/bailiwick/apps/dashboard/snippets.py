"""Ready-made calls: everything is filled in, so that they work as they are pasted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

# What stands in a snippet where a key is not at hand, because it is shown only once.
KEY_VARIABLE: Final = "BAILIWICK_API_KEY"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """A call in one language."""

    name: str
    label: str
    text: str


def snippets(base_url: str, key: str | None, model: str = "echo") -> list[Snippet]:
    """The same first call in each language. `base_url` ends in `/v1`; without a key it comes from the environment."""
    return [
        Snippet(name="curl", label="curl", text=_curl(base_url, key or f"${KEY_VARIABLE}", model)),
        Snippet(name="python", label="Python", text=_python(base_url, key, model)),
        Snippet(name="typescript", label="TypeScript", text=_typescript(base_url, key, model)),
    ]


def _curl(base_url: str, key: str, model: str) -> str:
    return f"""curl {base_url}/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -H "X-End-User-Id: user-1" \\
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'"""


def _python(base_url: str, key: str | None, model: str) -> str:
    given = f'"{key}"' if key else f'os.environ["{KEY_VARIABLE}"]'
    first = "" if key else "import os\n\n"
    return f"""{first}from openai import OpenAI

client = OpenAI(
    base_url="{base_url}",
    api_key={given},
)
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Hello"}}],
    extra_headers={{"X-End-User-Id": "user-1"}},
)
print(answer.choices[0].message.content)"""


def _typescript(base_url: str, key: str | None, model: str) -> str:
    given = f'"{key}"' if key else f"process.env.{KEY_VARIABLE}"
    return f"""import OpenAI from "openai";

const client = new OpenAI({{
  baseURL: "{base_url}",
  apiKey: {given},
}});
const answer = await client.chat.completions.create(
  {{ model: "{model}", messages: [{{ role: "user", content: "Hello" }}] }},
  {{ headers: {{ "X-End-User-Id": "user-1" }} }},
);
console.log(answer.choices[0].message.content);"""


def mcp_snippets(address: str, name: str) -> list[Snippet]:
    """How clients of the Model Context Protocol are told of a tool server at an address of ours, by its name."""
    return [
        Snippet(name="json", label="Settings file", text=_mcp_settings(address, name)),
        Snippet(name="python", label="Python", text=_mcp_python(address)),
        Snippet(name="typescript", label="TypeScript", text=_mcp_typescript(address)),
    ]


def _mcp_settings(address: str, name: str) -> str:
    return f"""{{
  "mcpServers": {{
    "{name}": {{
      "type": "http",
      "url": "{address}",
      "headers": {{ "Authorization": "Bearer ${{{KEY_VARIABLE}}}" }}
    }}
  }}
}}"""


def _mcp_python(address: str) -> str:
    return f"""import asyncio
import os

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

address = "{address}"
headers = {{"Authorization": "Bearer " + os.environ["{KEY_VARIABLE}"]}}

async def main():
    async with httpx2.AsyncClient(headers=headers) as http:
        async with Client(streamable_http_client(address, http_client=http)) as client:
            for tool in (await client.list_tools()).tools:
                print(tool.name)

asyncio.run(main())"""


def _mcp_typescript(address: str) -> str:
    return f"""import {{ Client }} from "@modelcontextprotocol/sdk/client/index.js";
import {{ StreamableHTTPClientTransport }} from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const headers = {{ Authorization: `Bearer ${{process.env.{KEY_VARIABLE}}}` }};
const client = new Client({{ name: "my-app", version: "1.0.0" }});
await client.connect(
  new StreamableHTTPClientTransport(new URL("{address}"), {{ requestInit: {{ headers }} }}),
);
for (const tool of (await client.listTools()).tools) console.log(tool.name);"""
