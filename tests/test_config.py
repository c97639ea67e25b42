"""The configuration: flags before variables before defaults, and nothing that is misspelt or half right."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest

from bailiwick.config import SETTINGS, Config, InvalidConfig, load
from bailiwick.domain.models import ProviderKind
from bailiwick.identity.keyring import MasterKey

KEY = MasterKey(secret=bytes(range(32)))
PLAIN: dict[str, str] = {}


def loaded(environment: dict[str, str] | None = None, **flags: str | None) -> Config:
    return load(flags, PLAIN if environment is None else environment)


def refused(environment: dict[str, str] | None = None, **flags: str | None) -> str:
    with pytest.raises(InvalidConfig) as caught:
        loaded(environment, **flags)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_the_defaults_are_those_of_the_contract() -> None:
    config = loaded()
    assert (config.host, config.port, config.data_dir, config.workers) == ("127.0.0.1", 8080, Path(".bailiwick"), 1)
    assert (config.guard_requests, config.guard_failures) == (1_200_000, 120_000)
    assert config.outbound_allow == ()
    assert config.trusted_proxies == ()
    assert config.database_url is None
    assert config.limit_store == "local"
    assert config.providers == ()


def test_a_flag_beats_its_variable_and_a_variable_the_default() -> None:
    environment = {"BAILIWICK_PORT": "9001"}
    assert loaded(environment).port == 9001
    assert loaded(environment, port="9002").port == 9002
    assert loaded(environment, port=None).port == 9001


@pytest.mark.parametrize("name", ["BAILIWICK_PROT", "BAILIWICK_", "BAILIWICK_GUARD_REQUEST", "BAILIWICK_port"])
def test_a_variable_that_is_no_setting_is_refused(name: str) -> None:
    assert name in refused({name: "1"})


def test_variables_of_others_are_not_looked_at() -> None:
    loaded(
        {
            "PATH": "/bin",
            "PORT": "x",
            "bailiwick_port": "x",
            "BAILIWICK_API_KEY": "x",
            "BAILIWICK_BASE_URL": "x",
            "BAILIWICK_ADMIN_KEY": "x",
        }
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", ""), ("host", "  "),
        ("port", "-1"), ("port", "65536"), ("port", "80a"), ("port", ""), ("port", "8080.0"), ("port", "\u0661"),
        ("workers", "2"), ("workers", "0"), ("workers", "x"),
        ("limit_store", "valkey"), ("limit_store", "LOCAL"), ("valkey_url", "redis://x"),
        ("public_url", "example.com"), ("public_url", "ftp://x"), ("public_url", "https://"),
        ("public_url", "https://x?y"), ("public_url", "https://x#y"), ("public_url", "https://a:b@x"),
        ("public_url", "https://x:99999"), ("public_url", "https://x:y"), ("public_url", "https://[::1"),
        ("base_domain", ""), ("base_domain", "."), ("base_domain", "a..b"), ("base_domain", "a/b"),
        ("base_domain", "a_b.com"), ("base_domain", "a b"), ("base_domain", "http://a.com"),
        ("trusted_proxies", "*"), ("trusted_proxies", "0.0.0.0/0"), ("trusted_proxies", "::/0"),
        ("trusted_proxies", "10.0.0.1/8"), ("trusted_proxies", "proxy"), ("trusted_proxies", "10.0.0.0/8;::1"),
        ("outbound_allow", "10.0.0.0/33"), ("outbound_allow", "localhost"),
        ("guard_requests", "0"), ("guard_requests", "1000000001"), ("guard_failures", "-5"),
        ("max_body_bytes", "1023"), ("max_buffered_bytes", "1023"), ("max_header_bytes", "1048577"),
        ("max_open_calls", "0"), ("ledger_months", "0"), ("ledger_months", "1201"),
        ("provider_first_byte_seconds", "0"), ("provider_first_byte_seconds", "inf"),
        ("provider_first_byte_seconds", "nan"), ("provider_between_bytes_seconds", "86401"), ("drain_seconds", "x"),
        ("log_level", "WARNING"), ("log_level", ""),
        ("database_url", ""), ("app_url", " "),
        ("master_key", "short"), ("master_key", ""),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_refused_naming_flag_or_variable(name: str, value: str) -> None:
    assert refused(None, **{name: value}).startswith(f"--{name.replace('_', '-')} ")
    assert refused({f"BAILIWICK_{name.upper()}": value}).startswith(f"BAILIWICK_{name.upper()} ")


def test_the_room_for_all_bodies_holds_the_largest_one() -> None:
    assert loaded(max_body_bytes="5000", max_buffered_bytes="5000").max_buffered_bytes == 5000
    assert "--max-buffered-bytes" in refused(max_body_bytes="5001", max_buffered_bytes="5000")
    assert "--max-buffered-bytes" in refused(max_body_bytes=str(2**29))


@pytest.mark.parametrize("alone", ["tls_cert", "tls_key"])
def test_a_certificate_and_its_key_need_each_other(alone: str) -> None:
    assert refused(**{alone: "/some.pem"}) == "--tls-cert and --tls-key need each other"


@pytest.mark.parametrize("name", [setting.name for setting in SETTINGS if setting.secret])
def test_the_value_of_a_secret_is_never_told(name: str) -> None:
    if name in {"master_key", "valkey_url"}:
        assert "canary" not in refused({f"BAILIWICK_{name.upper()}": "canary"})
    else:
        assert "canary" not in repr(refused({f"BAILIWICK_{name.upper()}": " "}))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("port", "0", 0),
        ("data_dir", "/x", Path("/x")),
        ("public_url", "https://api.example.com/", "https://api.example.com"),
        ("public_url", "http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("base_domain", "API.Example.com.", "api.example.com"),
        ("trusted_proxies", "10.0.0.0/8, ::1,", (ip_network("10.0.0.0/8"), ip_network("::1/128"))),
        ("outbound_allow", "0.0.0.0/0", (ip_network("0.0.0.0/0"),)),
        ("drain_seconds", "0.5", 0.5),
        ("master_key", KEY.written(), KEY),
        ("pg_bin", "/usr/lib/postgresql/16/bin", Path("/usr/lib/postgresql/16/bin")),
    ],
)
def test_a_value_is_read(name: str, value: str, expected: object) -> None:
    assert getattr(loaded({f"BAILIWICK_{name.upper()}": value}), name) == expected


@pytest.mark.parametrize(
    ("environment", "kind", "base_url"),
    [
        ({"OPENAI_API_KEY": " sk-x "}, ProviderKind.OPENAI, None),
        (
            {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": "http://llm:8000/v1/"},
            ProviderKind.OPENAI,
            "http://llm:8000/v1",
        ),
        ({"ANTHROPIC_API_KEY": "sk-x"}, ProviderKind.ANTHROPIC, None),
        ({"GEMINI_API_KEY": "sk-x"}, ProviderKind.GEMINI, None),
    ],
)
def test_the_environment_names_providers(environment: dict[str, str], kind: ProviderKind, base_url: str | None) -> None:
    (provider,) = loaded(environment).providers
    assert (provider.kind, provider.api_key, provider.base_url) == (kind, "sk-x", base_url)


def test_an_empty_key_names_no_provider() -> None:
    assert loaded({"OPENAI_API_KEY": "", "ANTHROPIC_API_KEY": "  ", "OPENAI_BASE_URL": "http://x"}).providers == ()


def test_a_providers_address_that_cannot_be_is_refused() -> None:
    assert "OPENAI_BASE_URL" in refused({"OPENAI_API_KEY": "sk-canary", "OPENAI_BASE_URL": "ftp://x"})
    assert "canary" not in refused({"OPENAI_API_KEY": "sk-canary", "OPENAI_BASE_URL": "http://u:sk-canary@x"})


def test_two_places_for_the_master_key_are_refused() -> None:
    told = refused({"BAILIWICK_MASTER_KEY": KEY.written(), "BAILIWICK_MASTER_KEY_COMMAND": "cat key"})
    assert "exclude each other" in told


@pytest.mark.parametrize("command", ["", "  ", "cat 'key"])
def test_what_is_no_command_is_refused(command: str) -> None:
    assert "BAILIWICK_MASTER_KEY_COMMAND must be a command" in refused({"BAILIWICK_MASTER_KEY_COMMAND": command})


def test_the_configuration_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        loaded().port = 1  # type: ignore[misc]
