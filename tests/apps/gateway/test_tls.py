"""`serve --tls-cert --tls-key`: everything at the port is TLS, with whatever certificate is there now."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.certificates import Pair
from tests.installation import Installation
from tests.serving import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificate")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Installation]:
    pair = Pair.write(folder)
    settings = {"BAILIWICK_TLS_CERT": str(pair.certificate), "BAILIWICK_TLS_KEY": str(pair.key)}
    with Installation(tmp_path_factory.mktemp("tls") / "data", settings=settings) as made:
        yield made


def presented(port: int) -> bytes | None:
    """The certificate that a client is shown, whoever signed it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, context.wrap_socket(plain) as tls:
        return tls.getpeercert(binary_form=True)


def test_both_planes_are_served_with_the_certificate(installation: Installation, folder: Path) -> None:
    trust = ssl.create_default_context(cafile=str(folder / "cert.pem"))
    url = f"https://127.0.0.1:{installation.port}"
    assert f"ready {url}\n" in installation.output
    assert f"curl {url}/v1/" in installation.output
    assert installation.keys["base_url"] == url
    with httpx2.Client(base_url=url, verify=trust) as client:
        ask = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
        bearer = {"authorization": f"Bearer {installation.keys['api_key']}"}
        assert client.post("/v1/chat/completions", json=ask, headers=bearer).status_code == 200
        with client.stream("POST", "/v1/chat/completions", json={**ask, "stream": True}, headers=bearer) as streamed:
            assert streamed.read().endswith(b"data: [DONE]\n\n")
        admin = {"authorization": f"Bearer {installation.keys['admin_key']}"}
        assert client.get("/admin/v1/tenants", headers=admin).status_code == 200


def test_plain_http_gets_no_answer(installation: Installation) -> None:
    with pytest.raises(httpx2.TransportError):
        httpx2.get(f"http://127.0.0.1:{installation.port}/healthz")


def test_processes_of_the_installation_need_no_certificate_among_themselves(installation: Installation) -> None:
    own = httpx2.HTTPTransport(uds=str(installation.folder / "run" / "gateway.sock"))
    with httpx2.Client(transport=own, base_url="http://localhost") as client:
        assert client.get("/readyz").status_code == 200


def test_a_renewed_certificate_is_used_without_a_restart_and_a_broken_one_is_not(
    installation: Installation, folder: Path
) -> None:
    first = presented(installation.port)
    (folder / "key.pem").write_text("half of a")
    until(lambda: "the one before stays in use" in installation.log)
    assert presented(installation.port) == first
    Pair.write(folder)
    until(lambda: presented(installation.port) != first)
    httpx2.get(
        f"https://127.0.0.1:{installation.port}/healthz",
        verify=ssl.create_default_context(cafile=str(folder / "cert.pem")),
    ).raise_for_status()


def test_a_start_without_a_usable_certificate_is_refused(tmp_path: Path) -> None:
    settings = {"BAILIWICK_TLS_CERT": "/nowhere/cert.pem", "BAILIWICK_TLS_KEY": "/nowhere/key.pem"}
    told = "the TLS certificate /nowhere/cert.pem cannot be read: No such file or directory"
    with pytest.raises(AssertionError, match=told):
        Installation(tmp_path / "data", settings=settings).start()
