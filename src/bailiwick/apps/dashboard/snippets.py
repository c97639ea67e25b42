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
