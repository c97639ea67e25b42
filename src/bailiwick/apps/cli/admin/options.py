"""The options of commands, and how each one's text becomes a field of a body or of a query."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from typing import Any, Final, final

import msgspec
import typer

from bailiwick.apps.cli.admin.cannot_ask import MISUSED, CannotAsk
from bailiwick.apps.cli.admin.resources import Names, Resource
from bailiwick.domain.budget_lines import read_budget_line


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """An option of one command. `field` is what it sets, its own name unless stated; a dot for one within an object.

    A `switch` is on, off or not given; a `bare` one is given or not.
    """

    name: str
    help: str
    field: str = ""
    read: Callable[[str], object] | None = None
    several: bool = False
    switch: bool = False
    bare: bool = False
    resource: Resource | None = None

    @property
    def flag(self) -> str:
        """How it is given."""
        return f"--{self.name}/--no-{self.name}" if self.switch else f"--{self.name}"

    @property
    def key(self) -> str:
        """Its name as an identifier."""
        name = self.name.replace("-", "_")
        return f"{name}_" if iskeyword(name) else name

    def set(self, document: dict[str, Any], given: object, names: Names) -> None:
        """Put what was given into a body or a query; raises `CannotAsk`."""
        try:
            *around, field = (self.field or self.name.replace("-", "_")).split(".")
            for name in around:
                document = document.setdefault(name, {})
            document[field] = self._value(given, names)
        except ValueError as error:
            raise CannotAsk(MISUSED, f"--{self.name} {error}") from None

    def _value(self, given: Any, names: Names) -> object:
        if self.resource is not None:
            return names.find(self.resource, given)
        return given if self.read is None else self.read(given)


def entries(read: Callable[[str], object], separator: str = "=") -> Callable[[Any], object]:
    """Read texts `NAME=VALUE` as an object; an empty value is null, which takes the entry away."""

    def read_all(given: Any) -> object:
        found: dict[str, object] = {}
        for text in given:
            name, separated, value = text.rpartition("=") if separator == "=" else text.partition(separator)
            if not separated or not name:
                message = f"must be NAME{separator}VALUE, not {text!r}"
                raise ValueError(message)
            found[name] = read(value) if value else None
        return found

    return read_all


def read_limit(text: str) -> object:
    """Read `requests=60,per=1m`: numbers are numbers, the control plane judges the rest; ValueError."""
    found: dict[str, object] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals:
            message = f"must be LEVEL:FIELD=VALUE,…, such as user:requests=60,per=1m, not {text!r}"
            raise ValueError(message)
        found[name] = int(value) if value.isascii() and value.isdigit() else value
    return found


def read_price(text: str) -> object:
    """Read `2.50/10`: US dollars per million tokens in and out; ValueError."""
    into, slash, out = text.partition("/")
    if not slash:
        message = f"must be MODEL=IN/OUT, such as gpt-4o=2.50/10, not {text!r}"
        raise ValueError(message)
    return {"input_usd_per_million": into, "output_usd_per_million": out}


def read_budgets(given: Any) -> object:
    """Read texts such as `5.00 usd month timezone=Europe/Berlin`, each a budget; ValueError."""
    return [read_budget_line(text) for text in given if text]


def read_seconds(text: str) -> object:
    """Read whole seconds; ValueError."""
    if not text.isascii() or not text.isdigit():
        message = f"must be a whole number of seconds, not {text!r}"
        raise ValueError(message)
    return int(text)


def read_number(text: str) -> object:
    """Read a whole number; ValueError."""
    if not text.isascii() or not text.isdigit():
        message = f"must be a whole number, not {text!r}"
        raise ValueError(message)
    return int(text)


def read_token(source: str) -> object:
    """Read a token from where it is said to be, as a secret is read; ValueError, `CannotAsk`."""
    return read_secret(source, asked="Token")


def read_secret(source: str, *, asked: str = "API key of the provider") -> object:
    """Read a secret from where it is said to be, never from the command line itself; ValueError, `CannotAsk`."""
    if source == "none":
        return None
    if source == "prompt":
        return typer.prompt(asked, hide_input=True, err=True)
    if source == "stdin":
        found: str | None = sys.stdin.readline().strip()
    elif source.startswith("env:"):
        found = os.environ.get(source.removeprefix("env:"), "").strip()
    else:
        # What was given may be the secret itself, so it is not repeated.
        message = "must be prompt, stdin, env:VARIABLE or none; the key itself is never an argument"
        raise ValueError(message)
    if not found:
        message = "found no key there"
        raise ValueError(message)
    return found


def read_body(source: str | None) -> dict[str, Any]:
    """The object in a file, or on standard input (`-`); without a source an empty one. Raises `CannotAsk`."""
    if source is None:
        return {}
    try:
        content = sys.stdin.read().encode() if source == "-" else Path(source).read_bytes()
        return msgspec.json.decode(content, type=dict[str, Any])
    except (OSError, UnicodeEncodeError, msgspec.MsgspecError) as error:
        raise CannotAsk(MISUSED, f"--body: {error}") from None


BODY: Final = Option(name="body", help="The whole body as JSON: a file, or - for standard input.")
CLEAR: Final = Option(name="clear", help="Reset a field to its default; may be repeated.", several=True)
YES: Final = Option(name="yes", bare=True, help="Do not ask whether it is meant.")
RATE_LIMIT: Final = Option(
    name="rate-limit",
    field="limits",
    several=True,
    read=entries(read_limit, ":"),
    help="LEVEL:FIELD=VALUE,…, such as user:requests=60,per=1m; `user:` ends it; may be repeated.",
)
ALLOW_TOOL: Final = Option(
    name="allow-tool", field="tools.allow", several=True, help="A pattern of tools; may be repeated; any otherwise."
)
DENY_TOOL: Final = Option(name="deny-tool", field="tools.deny", several=True, help="The same of tools that it may not.")
PAGE: Final = (
    Option(name="limit", help="How many, 1 to 200."),
    Option(name="after", help="The `next` of the page before."),
)
# What every command of this kind has: which installation, and how the answer is written.
URL: Final = typer.Option(
    "--url", envvar="BAILIWICK_BASE_URL", show_default=False, help="The installation; else the data folder's."
)
KEY: Final = typer.Option(
    "--key", envvar="BAILIWICK_ADMIN_KEY", show_default=False, show_envvar=True,
    help="An operator key; else the data folder's. Other processes see flags: prefer the variable.",
)  # fmt: skip
DATA_DIR: Final = typer.Option(
    "--data-dir", envvar="BAILIWICK_DATA_DIR", help="Whose bootstrap.json says which installation."
)
JSON: Final = typer.Option("--json", help="Write exactly what the control plane answers.")


def request_fields(options: tuple[Option, ...], given: Mapping[str, Any], names: Names) -> dict[str, Any]:
    """What a request says: the body that was given whole, what is reset, and each option over it."""
    document = read_body(given.get("body"))
    for name in given.get("clear") or ():
        document[name.replace("-", "_")] = None
    for option in options:
        value = given.get(option.key)
        if option in {BODY, CLEAR, YES} or value is None or value == [] or (option.bare and not value):
            continue
        option.set(document, value, names)
    return document
