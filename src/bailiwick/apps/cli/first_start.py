"""What the first start leaves for whoever started it: `bootstrap.json`, and a `curl` that works."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TextIO

import msgspec


class Bootstrap(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of `bootstrap.json`, mode 0600. The two keys are shown nowhere else, ever."""

    base_url: str
    dashboard_url: str
    admin_key: str
    tenant_id: str
    project_id: str
    project_slug: str
    api_key: str


def write(folder: Path, bootstrap: Bootstrap) -> None:
    """Write `bootstrap.json`, whole or not at all."""
    unfinished = folder / "bootstrap.json.new"
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(bootstrap), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(folder / "bootstrap.json")


def tell(out: TextIO, bootstrap: Bootstrap, path: Path, owner_link: str) -> None:
    """Show what was made, once, with a first request to copy; `owner_link` stands nowhere else."""
    out.write(
        f"""
This installation was made just now. Its keys are in {path} (only you can read it):

  operator key  {bootstrap.admin_key}
  project key   {bootstrap.api_key}   (project {bootstrap.project_slug})

Try it; `echo` is built in and needs no account:

  {curl(bootstrap.base_url, bootstrap.api_key)}

With OpenAI's SDK: OpenAI(base_url="{bootstrap.base_url}/v1", api_key="…the project key…")

The dashboard is yours by this link, which is good once, for a day (`bailiwick operators link` makes another):

  {owner_link}

"""
    )


def curl(base_url: str, api_key: str) -> str:
    """A first request that works as it stands."""
    body = '{"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}'
    return (
        f"curl {base_url}/v1/chat/completions -H 'Authorization: Bearer {api_key}'"
        f" -H 'Content-Type: application/json' -d '{body}'"
    )
