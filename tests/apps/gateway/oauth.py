"""What asks `/oauth/…`, and reads its answers."""

from __future__ import annotations

from typing import Any

import httpx2

from tests.serving import Caller


def ask(caller: Caller, address: str, *, basic: bool = True, headers: Any = (), **form: str) -> httpx2.Response:
    """A form, from the client that the caller's key is; by HTTP Basic, or in the form."""
    client = (caller.key_id, caller.key)
    if not basic:
        form = {"client_id": client[0], "client_secret": client[1], **form}
    options: dict[str, Any] = {"auth": client} if basic else {}
    return caller.site.ask("POST", address, data=form, headers=headers, **options)


def granted(caller: Caller, **form: str) -> dict[str, Any]:
    """What a client is granted."""
    answer = ask(caller, "/oauth/token", **{"grant_type": "client_credentials", **form})
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def error_of(answer: httpx2.Response) -> tuple[int, str]:
    """The status and the error of an answer that refuses (RFC 6749 §5.2)."""
    document = answer.json()
    assert set(document) == {"error", "error_description"}
    assert answer.headers["cache-control"] == "no-store"
    return answer.status_code, document["error"]
