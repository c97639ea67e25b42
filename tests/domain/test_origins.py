"""A listed origin is written as browsers write it, and in no other way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.fields import Invalid
from bailiwick.domain.origins import MAX_ORIGINS, read_origins

FORM = "must be scheme://host or scheme://host:port as a browser writes it: in lower case and without a path"
PORT = "must name a port from 1 to 65535, and not the one that its scheme has by default"


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com", "http://localhost:3000", "http://127.0.0.1", "http://[::1]:8080", "https://xn--bcher-kva.example",
        "https://a_b.example", "https://example.com.", "http://example.com:443", "https://1e100.net",
        "chrome-extension://abcdefghijklmnop", "capacitor://localhost", "tauri://localhost",
    ],
)  # fmt: skip
def test_what_a_browser_sends_can_be_listed(origin: str) -> None:
    assert read_origins([origin]) == (origin,)


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ("null", "must name an origin: every sandboxed frame and local file sends null"),
        ("*", "must name one origin: there are no wildcards"),
        ("https://*.example.com", "must name one origin: there are no wildcards"),
        ("", FORM),
        ("example.com", FORM),
        ("//example.com", FORM),
        ("https://", FORM),
        ("https://example.com/", FORM),
        ("https://example.com/app", FORM),
        ("https://example.com?x", FORM),
        ("https://user@example.com", FORM),
        ("https://Example.com", FORM),
        ("HTTPS://example.com", FORM),
        ("https://bücher.example", FORM),
        ("https://example..com", FORM),
        ("https://example.com\n", FORM),
        ("https://example.com\r\nx: y", FORM),
        (" https://example.com", FORM),
        ("https://a, https://b", FORM),
        ("https://" + "a" * 254, FORM),
        ("http://127.1", FORM),
        ("http://127.0.0.01", FORM),
        ("http://1.2.3.4.5", FORM),
        ("http://[::0]", FORM),
        ("http://[0:0:0:0:0:0:0:1]", FORM),
        ("http://[::1", FORM),
        ("https://example.com:443", PORT),
        ("http://example.com:80", PORT),
        ("http://example.com:65536", PORT),
        ("http://example.com:0", FORM),
        ("http://example.com:08080", FORM),
        ("http://example.com:", FORM),
    ],
)
def test_what_no_browser_sends_is_refused(origin: str, message: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_origins(["https://good.example", origin])
    assert [(error.field, error.message) for error in refused.value.errors] == [("cors_origins.1", message)]


def test_every_wrong_origin_is_told() -> None:
    with pytest.raises(Invalid) as refused:
        read_origins(["null", "https://good.example", "*"])
    assert [error.field for error in refused.value.errors] == ["cors_origins.0", "cors_origins.2"]


def test_a_list_names_each_origin_once_and_is_bounded() -> None:
    many = [f"https://{number}.example" for number in range(MAX_ORIGINS)]
    assert read_origins(many) == tuple(many)
    for wrong in ([*many, "https://one-more.example"], ["https://a.example", "https://a.example"]):
        with pytest.raises(Invalid) as refused:
            read_origins(wrong)
        assert [error.field for error in refused.value.errors] == ["cors_origins"]


@given(st.text(max_size=60) | st.text("htps:/[].-*aA1é\n@", max_size=30).map("https://".__add__))
def test_what_is_listed_can_stand_in_a_header(text: str) -> None:
    try:
        (origin,) = read_origins([text])
    except Invalid:
        return
    assert origin == text
    assert origin.isascii()
    assert origin.isprintable()
    assert not set(origin) & set(" ,;*\"'<>?#@\\")
