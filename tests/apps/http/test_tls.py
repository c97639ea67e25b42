"""Certificates: what cannot be used is refused in a sentence that says why."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from bailiwick.apps.http.tls import CertificateFiles, UnusableCertificate
from tests.certificates import Pair


def refusal(certificate: Path, key: Path) -> str:
    with pytest.raises(UnusableCertificate) as raised:
        CertificateFiles(certificate=str(certificate), key=str(key)).context()
    return str(raised.value)


def test_a_certificate_with_its_key_is_served_with_tls_1_2_or_newer(tmp_path: Path) -> None:
    pair = Pair.write(tmp_path)
    context = CertificateFiles(certificate=str(pair.certificate), key=str(pair.key)).context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("missing", ["certificate", "key"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, missing: str) -> None:
    pair = Pair.write(tmp_path)
    path: Path = getattr(pair, missing)
    path.unlink()
    assert refusal(pair.certificate, pair.key) == f"the TLS {missing} {path} cannot be read: No such file or directory"


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    pair, other = Pair.write(tmp_path), Pair.write(tmp_path / "other")
    told = refusal(pair.certificate, other.key)
    assert told == f"the TLS key {other.key} is not that of the certificate {pair.certificate}"


def test_a_key_with_a_password_is_refused_without_asking_for_it(tmp_path: Path) -> None:
    pair = Pair.write(tmp_path, password=b"secret")
    assert "is encrypted; give one without a password" in refusal(pair.certificate, pair.key)


def test_a_file_that_is_no_certificate_is_refused(tmp_path: Path) -> None:
    pair = Pair.write(tmp_path)
    pair.certificate.write_text("not a certificate")
    assert "must be PEM" in refusal(pair.certificate, pair.key)
