"""The control plane, asked through HTTP as any other client would: which installation, with which key.

The key goes to the one address that it was given for: no redirect is followed, and the key of `bootstrap.json` is sent
to no other address than that of the same file.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Final, Self, final
from urllib.parse import urlsplit

import httpx2
import msgspec

from bailiwick.apps.cli.admin.cannot_ask import MISUSED, REFUSED, TROUBLE, CannotAsk
from bailiwick.apps.cli.first_start import Bootstrap

_SECONDS: Final = 60.0


@final
class Api:
    """The control plane of one installation, as one operator."""

    def __init__(self, url: str, key: str) -> None:
        """`url` is the installation's, without a path."""
        self._url = url
        # Without TLS nothing is verified, and reading the system's certificates would take most of a command's time.
        verify = urlsplit(url).scheme != "http"
        self._http = httpx2.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=_SECONDS,
            follow_redirects=False,
            verify=verify,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ask(
        self, method: str, path: str, *, body: object = None, parameters: Mapping[str, str] | None = None
    ) -> httpx2.Response:
        """The answer to a request below `/admin/v1`; raises `CannotAsk` unless it is a good one."""
        try:
            answer = self._http.request(method, f"/admin/v1{path}", params=dict(parameters or {}), json=body)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise CannotAsk(TROUBLE, f"{self._url} cannot be reached: {error or type(error).__name__}") from None
        if not answer.is_success:
            raise _refusal(answer)
        return answer

    def read(self, path: str, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The document at an address; raises `CannotAsk`."""
        return document(self.ask("GET", path, parameters=parameters))

    def export(self, path: str, parameters: Mapping[str, Any], out: BinaryIO) -> None:
        """Write what an address has, as it comes, to a binary file; raises `CannotAsk`."""
        try:
            with self._http.stream("GET", f"/admin/v1{path}", params=parameters) as answer:
                if not answer.is_success:
                    answer.read()
                    raise _refusal(answer)
                out.writelines(answer.iter_bytes())
        except httpx2.HTTPError as error:
            raise CannotAsk(TROUBLE, f"{self._url}: the answer broke off: {error or type(error).__name__}") from None


def connect(url: str | None, key: str | None, data_dir: Path) -> Api:
    """The installation that is meant: the one stated, else the one of the data folder; raises `CannotAsk`."""
    if url is not None and key is None:
        message = (
            "with --url, --key is needed too (or BAILIWICK_ADMIN_KEY): the data folder's key is for its own address"
        )
        raise CannotAsk(MISUSED, message)
    if url is None or key is None:
        found = _bootstrap(data_dir)
        url, key = url or found.base_url, key or found.admin_key
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise CannotAsk(MISUSED, f"--url must be an http or https URL, not {url!r}")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise CannotAsk(MISUSED, "--key must be an operator key: bwa_…")
    return Api(url.rstrip("/"), key)


def document(answer: httpx2.Response) -> dict[str, Any]:
    """The object that an answer holds; raises `CannotAsk` if whoever answered is no control plane."""
    try:
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError:
        raise CannotAsk(TROUBLE, f"what answers at {answer.request.url} is no installation of Bailiwick") from None


def _bootstrap(data_dir: Path) -> Bootstrap:
    path = data_dir / "bootstrap.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Bootstrap)
    except FileNotFoundError:
        message = f"there is no {path}; say which installation with --url and --key, or --data-dir"
    except (OSError, msgspec.MsgspecError) as error:
        message = f"{path} cannot be read: {error}"
    raise CannotAsk(MISUSED, message)


def _refusal(answer: httpx2.Response) -> CannotAsk:
    """What an answer that is no good one says: the reason in one line, then a line for each wrong field."""
    status = TROUBLE if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR else REFUSED
    if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        status = TROUBLE
    request_id = answer.headers.get("x-request-id", "none")
    try:
        problem = msgspec.json.decode(answer.content, type=_Problem)
    except msgspec.MsgspecError:
        message = f"what answers at {answer.request.url} is no installation of Bailiwick (status {answer.status_code})"
        return CannotAsk(TROUBLE, message)
    retry = answer.headers.get("retry-after")
    later = f"; try again in {retry} s" if retry else ""
    fields = [f"  {wrong.field}: {wrong.message}" for wrong in problem.errors]
    return CannotAsk(status, f"{problem.code}: {problem.detail}{later} (request {request_id})", *fields)


class _WrongField(msgspec.Struct):
    field: str
    message: str


class _Problem(msgspec.Struct):
    code: str
    detail: str
    errors: list[_WrongField] = []
