"""Budgets: hard caps on money or tokens, of a tenant, a project, a user, a session or a key, over a window; pure.

`{"scope": "user", "subject": "*", "limit": {"usd": "5.00"}, "window": "month", "timezone": "Europe/Berlin",
"on_exceed": "cap", "max_wait": "2s", "on_lost": "estimate", "models": ["gpt-*"]}`

A call needs room in every budget that applies to it. Subject `*` gives each one a budget of its own. What is absent has
its default; what cannot be enforced is refused, never ignored. Evolution: fields are added, none changes its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, TypeVar, cast, final
from uuid import uuid5

from bailiwick.domain import ids
from bailiwick.domain.durations import MINUTE, SECOND, format_duration, parse_duration
from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.globs import Globs
from bailiwick.domain.identifiers import identifier_field
from bailiwick.domain.ids import BudgetId, ProjectId, TenantId, TierId
from bailiwick.domain.model_names import read_models
from bailiwick.domain.money import parse_usd, usd
from bailiwick.domain.windows import InvalidWindow, TotalWindow, Window, parse_window

MAX_BUDGETS: Final = 1_000
"""Of one tenant, and of one project."""
MAX_TIER_BUDGETS: Final = 20
EACH: Final = "*"
# Sums of four of them fit in PostgreSQL's bigint: what is settled, reserved and asked for, beside a limit.
MOST: Final = 2**61
USUAL_WAIT: Final = 2 * SECOND
LONGEST_WAIT: Final = MINUTE

Choice = TypeVar("Choice", bound=StrEnum)


class BudgetScope(StrEnum):
    """Whose spending a budget counts."""

    TENANT = "tenant"
    PROJECT = "project"
    USER = "user"
    SESSION = "session"
    KEY = "key"


class BudgetHolder(StrEnum):
    """Who says a budget."""

    TENANT = "tenant"
    PROJECT = "project"
    TIER = "tier"


class Unit(StrEnum):
    """What a budget counts; money in nano-dollars inside."""

    MONEY = "usd"
    TOKENS = "tokens"


class OnExceed(StrEnum):
    """What becomes of a call that says no maximum of its own and has not the room for the usual one."""

    CAP = "cap"
    """The model may write as much as there is room for."""
    REJECT = "reject"


class OnLost(StrEnum):
    """What a call is taken to have spent whose process died."""

    ESTIMATE = "estimate"
    CEILING = "ceiling"
    RELEASE = "release"


@final
class BudgetPlace(NamedTuple):
    """Whose budgets: a project's, or without one its tenant's own."""

    tenant_id: TenantId
    project_id: ProjectId | None = None

    @property
    def holder(self) -> BudgetHolder:
        """Who says them."""
        return BudgetHolder.TENANT if self.project_id is None else BudgetHolder.PROJECT


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """How much, over which window, and what else holds. `amount` is in nano-dollars or tokens, 0 to `MOST`.

    `models` are globs over the names of a call's model, None for any; `max_wait_ns` is how long a call waits for room.
    """

    unit: Unit
    amount: int
    window: Window
    on_exceed: OnExceed = OnExceed.CAP
    max_wait_ns: int = USUAL_WAIT
    on_lost: OnLost = OnLost.ESTIMATE
    models: Globs | None = None

    @property
    def kind(self) -> tuple[Unit, str, tuple[str, ...] | None]:
        """What two caps have in common that stand in each other's place."""
        return self.unit, self.window.measure, None if self.models is None else tuple(sorted(self.models.patterns))

    @property
    def counted(self) -> str:
        """What is counted over which window, by which what was spent is kept: `usd month Europe/Berlin`."""
        return f"{self.unit} {self.window.measure} {self.window.timezone}"

    def document(self) -> dict[str, object]:
        """The cap as it is written, with every default."""
        models = {} if self.models is None else {"models": list(self.models.patterns)}
        return {
            "limit": limit_document(self.unit, self.amount),
            "window": self.window.said,
            "timezone": self.window.timezone,
            "on_exceed": str(self.on_exceed),
            "max_wait": format_duration(self.max_wait_ns) if self.max_wait_ns else "0s",
            "on_lost": str(self.on_lost),
            **models,
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSpec:
    """What can be asked of a budget. `subject` is `*`, an id as shown, or None where the scope has only one."""

    scope: BudgetScope
    subject: str | None
    cap: Cap

    def document(self) -> dict[str, object]:
        """The budget as it is written, with every default."""
        subject = {} if self.subject is None else {"subject": self.subject}
        return {"scope": str(self.scope), **subject, **self.cap.document()}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A budget as it is. `project_id` None: its tenant's."""

    id: BudgetId
    tenant_id: TenantId
    project_id: ProjectId | None
    spec: BudgetSpec
    created_at: datetime
    created_by: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetTerms:
    """A budget as calls need it."""

    id: BudgetId
    holder: BudgetHolder
    scope: BudgetScope
    subject: str | None
    cap: Cap
    counted: str = field(init=False, repr=False, compare=False)
    """What it counts over which window: spending is kept by that, so one that is changed in it begins anew."""

    def __post_init__(self) -> None:
        """Derive what each call needs."""
        object.__setattr__(self, "counted", self.cap.counted)


_NONE: Final = Cap(unit=Unit.TOKENS, amount=0, window=TotalWindow())
_USUAL: Final[Mapping[str, object]] = {
    "timezone": "UTC",
    "on_exceed": OnExceed.CAP,
    "max_wait": format_duration(USUAL_WAIT),
    "on_lost": OnLost.ESTIMATE,
}
_CAP: Final = ("limit", "window", "timezone", "on_exceed", "max_wait", "on_lost", "models")
_BUDGET: Final = ("scope", "subject", *_CAP)


def limit_document(unit: Unit, amount: int) -> dict[str, object]:
    """An amount as it is written."""
    return {str(unit): usd(amount) if unit is Unit.MONEY else amount}


def budget_spec(document: Mapping[str, object], *, holder: BudgetHolder) -> BudgetSpec:
    """Check what is asked of a budget of a tenant or a project; raises `Invalid`."""
    findings = Findings()
    _check_names("", document, _BUDGET, findings)
    scope, subject = BudgetScope.TENANT, None
    with findings.noted():
        scope = _scope(document.get("scope"), holder)
        subject = _subject(document.get("subject"), scope, holder)
    cap = findings.take(lambda: _cap(document, ""), _NONE)
    findings.or_raise()
    return BudgetSpec(scope=scope, subject=subject, cap=cap)


def tier_caps(field: str, documents: Sequence[object] | None) -> tuple[Cap, ...]:
    """Take the budgets that a tier gives each of its users, or none; raises `Invalid`."""
    if documents is None:
        return ()
    if len(documents) > MAX_TIER_BUDGETS:
        raise invalid(field, f"must be at most {MAX_TIER_BUDGETS}")
    findings = Findings()
    caps: list[Cap] = []
    for place, said in enumerate(documents):
        path = f"{field}.{place}"
        with findings.noted():
            document = _object(path, said)
            _check_names(f"{path}.", document, _CAP, findings)
            cap = _cap(document, f"{path}.")
            if any(cap.kind == other.kind for other in caps):
                findings.add(path, "counts the same as another: unit, window and models")
            caps.append(cap)
    findings.or_raise()
    return tuple(caps)


def tier_terms(tier_id: TierId, caps: Sequence[Cap]) -> tuple[BudgetTerms, ...]:
    """A tier's budgets as calls need them. A changed amount leaves a budget what it is, and what was spent counted."""
    return tuple(
        BudgetTerms(
            id=BudgetId(uuid5(tier_id, repr((*map(str, cap.kind), cap.window.timezone)))),
            holder=BudgetHolder.TIER,
            scope=BudgetScope.USER,
            subject=EACH,
            cap=cap,
        )
        for cap in caps
    )


def read_cap(document: Mapping[str, object]) -> Cap:
    """Read what `Cap.document` wrote; raises `Invalid`."""
    return _cap(document, "")


def _scope(said: object, holder: BudgetHolder) -> BudgetScope:
    if said is None:
        raise invalid("scope", "is required")
    scope = _choice("scope", said, BudgetScope)
    if scope is BudgetScope.TENANT and holder is not BudgetHolder.TENANT:
        raise invalid("scope", "must be project, user, session or key at a project")
    return scope


def _subject(said: object, scope: BudgetScope, holder: BudgetHolder) -> str | None:
    if scope is BudgetScope.TENANT or (scope is BudgetScope.PROJECT and holder is BudgetHolder.PROJECT):
        if said is not None:
            raise invalid("subject", f"is not for scope {scope}: there is only one")
        return None
    if said is None:
        raise invalid("subject", f'is required: "*" for each {scope}, or the id of one')
    if not isinstance(said, str):
        raise invalid("subject", 'must be a text: "*", or an id')
    prefix = {BudgetScope.KEY: ids.KEY, BudgetScope.PROJECT: ids.PROJECT}.get(scope)
    if said != EACH and prefix is not None and ids.parsed(prefix, said) is None:
        raise invalid("subject", f'must be "*" or the id of a {scope}')
    return identifier_field("subject", said)


def _cap(document: Mapping[str, object], path: str) -> Cap:
    findings = Findings()
    said = {**_USUAL, **{name: value for name, value in document.items() if value is not None}}
    unit, amount = findings.take(lambda: _limit(f"{path}limit", said.get("limit")), (_NONE.unit, _NONE.amount))
    cap = Cap(
        unit=unit,
        amount=amount,
        window=findings.take(lambda: _window(said, path), _NONE.window),
        on_exceed=findings.take(lambda: _choice(f"{path}on_exceed", said["on_exceed"], OnExceed), OnExceed.CAP),
        max_wait_ns=findings.take(lambda: _wait(f"{path}max_wait", said["max_wait"]), USUAL_WAIT),
        on_lost=findings.take(lambda: _choice(f"{path}on_lost", said["on_lost"], OnLost), OnLost.ESTIMATE),
        models=findings.take(lambda: _models(f"{path}models", said.get("models")), None),
    )
    findings.or_raise()
    return cap


def _limit(field: str, said: object) -> tuple[Unit, int]:
    if said is None:
        raise invalid(field, "is required")
    document = _object(field, said)
    if len(document) != 1 or not set(document) <= set(Unit):
        raise invalid(field, 'must be either {"usd": "25.00"} or {"tokens": 500000}')
    ((name, amount),) = document.items()
    unit, path = Unit(name), f"{field}.{name}"
    return unit, _money(path, amount) if unit is Unit.MONEY else _tokens(path, amount)


def _money(field: str, said: object) -> int:
    if not isinstance(said, str):
        raise invalid(field, 'must be dollars as a decimal text such as "25.00"')
    try:
        nano = parse_usd(said)
    except ValueError as error:
        raise invalid(field, str(error)) from None
    if nano > MOST:
        raise invalid(field, f'must be at most "{usd(MOST)}"')
    return nano


def _tokens(field: str, said: object) -> int:
    if not isinstance(said, int) or isinstance(said, bool) or not 0 <= said <= MOST:
        raise invalid(field, f"must be a whole number from 0 to {MOST}")
    return said


def _window(document: Mapping[str, object], path: str) -> Window:
    window, timezone = document.get("window"), document["timezone"]
    if window is None:
        raise invalid(f"{path}window", "is required")
    for name, said in (("window", window), ("timezone", timezone)):
        if not isinstance(said, str):
            raise invalid(f"{path}{name}", "must be a text")
    try:
        return parse_window(str(window), str(timezone))
    except InvalidWindow as error:
        raise invalid(f"{path}{error.field}", error.message) from None


def _wait(field: str, said: object) -> int:
    if said == "0s":
        return 0
    if not isinstance(said, str):
        raise invalid(field, 'must be a text such as "2s"')
    try:
        wait = parse_duration(said)
    except ValueError as error:
        raise invalid(field, str(error)) from None
    if wait > LONGEST_WAIT:
        raise invalid(field, "must be from 0s to 1m")
    return wait


def _models(field: str, said: object) -> Globs | None:
    if said is None:
        return None
    if not isinstance(said, Sequence) or isinstance(said, str) or not said:
        raise invalid(field, "must be a list of one or more names or patterns of models")
    for place, name in enumerate(said):
        if not isinstance(name, str):
            raise invalid(f"{field}.{place}", "must be a text")
    names = read_models(field, said)
    return None if names is None else Globs(names)


def _choice(field: str, said: object, of: type[Choice]) -> Choice:
    if not isinstance(said, str) or said not in set(of):
        raise invalid(field, f"must be one of {', '.join(of)}")
    return of(said)


def _check_names(path: str, document: Mapping[str, object], known: Sequence[str], findings: Findings) -> None:
    for name in document:
        if name not in known:
            findings.add(f"{path}{name}", f"is no field of it; fields are {', '.join(known)}")


def _object(field: str, said: object) -> Mapping[str, object]:
    if not isinstance(said, Mapping):
        raise invalid(field, "must be an object")
    return cast("Mapping[str, object]", said)
