"""Every code belongs to one family, and the reference says which."""

from __future__ import annotations

import inspect
import re
from typing import Final, get_args

import pytest

from bailiwick import client
from bailiwick.client import Client, ClientError
from bailiwick.client.errors import FAMILIES
from bailiwick.client.requests import GroupBy
from bailiwick.domain.errors import STATUS, Code
from bailiwick.domain.usage_report import OF_PROJECTS
from tests.architecture.markdown import DOCS, code, codes, table
from tests.upstream import Behaviour, Upstream, payloads

PAGE: Final = DOCS / "reference" / "client.md"


def test_every_code_has_a_family() -> None:
    assert set(Code) <= set(FAMILIES)


@pytest.mark.parametrize("refused", Code)
def test_a_family_fits_the_status_too_so_that_a_code_of_tomorrow_is_in_it(refused: Code) -> None:
    with Upstream() as gateway, Client("key", gateway.base_url, max_retries=0) as asking:
        kinds = []
        for name in (refused, "of_tomorrow"):
            body = payloads.error("No.", code=name)
            gateway.on("/v1/me", Behaviour(status=STATUS[refused], body=body))
            with pytest.raises(ClientError) as raised:
                asking.me()
            kinds.append(type(raised.value))
    providers = {Code.PROVIDER_ERROR, Code.PROVIDER_TIMEOUT}
    assert kinds == [FAMILIES[refused], client.Unavailable if refused in providers else FAMILIES[refused]]


def test_the_reference_tells_the_codes_of_every_class() -> None:
    documented = {code(name): set(codes(listed)) for name, listed, _ in table(PAGE, "class")}
    existing = {
        name: {str(code) for code, family in FAMILIES.items() if family.__name__ == name}
        for name, kind in vars(client).items()
        if inspect.isclass(kind) and issubclass(kind, ClientError) and kind is not ClientError
    }
    assert documented == existing


@pytest.mark.parametrize(
    ("heading", "function"),
    [
        ("Client", Client.__init__),
        ("auth.mint", client.synchronous.Auth.mint),
        ("usage", Client.usage),
        ("token_source", Client.token_source),
    ],
)
def test_the_reference_tells_every_parameter_with_its_default(heading: str, function: object) -> None:
    _, found, section = PAGE.read_text("utf-8").partition(f"## `{heading}")
    assert found
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \|", section.split("\n## ")[0], re.MULTILINE)
    parameters = inspect.signature(function).parameters.values()  # type: ignore[arg-type]
    existing = [
        (each.name, "required" if each.default is inspect.Parameter.empty else f"`{each.default!r}`")
        for each in parameters
        if each.name not in {"self", "ambient"}
    ]
    assert rows == existing


def test_both_clients_take_and_have_the_same() -> None:
    for one, other in ((Client, client.AsyncClient), (client.TokenSource, client.AsyncTokenSource)):
        public = [name for name in vars(one) if not name.startswith("_")]
        assert public == [name for name in vars(other) if not name.startswith("_")]
        for name in ("__init__", *public):
            if callable(vars(one)[name]):
                ours, theirs = (list(inspect.signature(vars(kind)[name]).parameters) for kind in (one, other))
                assert ours == theirs


def test_usage_can_be_grouped_as_the_gateway_can() -> None:
    assert list(get_args(GroupBy)) == [group.value for group in OF_PROJECTS]
