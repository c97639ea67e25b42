"""Whatever a body is made of, others are answered while it is read."""

from __future__ import annotations

from functools import partial
from typing import Final

import pytest

from tests.apps.gateway.others import LONGEST_WAIT, longest_wait
from tests.serving import Caller, Site

SIZE: Final = 31 * 1024 * 1024


def filled(begin: str, unit: str, end: str) -> bytes:
    return (begin + unit * ((SIZE - len(begin) - len(end)) // len(unit)) + end).encode()


# Made when they are asked for: a test session that only collects this module makes none.
COSTLY = {
    "empty messages": partial(filled, '{"model":"echo","messages":[', "{},", "{}]}"),
    "messages with a role": partial(filled, '{"model":"echo","messages":[', '{"role":""},', "{}]}"),
    "numbers": partial(filled, '{"model":"echo","messages":[', "1,", "1]}"),
    "words": partial(filled, '{"model":"echo","stream":true,"messages":[{"role":"user","content":"', "a ", '"}]}'),
    "backslashes": partial(filled, '{"model":"echo","messages":[{"role":"user","content":"', "\\\\", '"}]}'),
}


@pytest.fixture(scope="module")
def caller(running_site: Site) -> Caller:
    """A project without a provider: it has `echo`, as every project."""
    return running_site.project(provider={"base_url": None})


@pytest.mark.parametrize("kind", COSTLY)
def test_others_are_answered_while_a_costly_body_is_read(site: Site, caller: Caller, kind: str) -> None:
    body = COSTLY[kind]()
    statuses: list[int] = []
    assert longest_wait(site, lambda: statuses.append(caller.send(body).status_code)) < LONGEST_WAIT
    assert statuses in ([200], [400])
