"""Which budgets a call must find room in, and by which text each of them counts whom; pure.

A budget of one subject counts by an empty text. One of each (`*`) counts a project and a key by the hex of its id, a
user by `<project>:<uid>` and a session by `<project>:<characters of uid>:<uid>:<sid>`, without a user by `…:0::<sid>`:
whatever ids an application chooses, no two subjects have the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, final
from uuid import UUID

from bailiwick.domain import ids
from bailiwick.domain.budgets import EACH, BudgetScope, BudgetTerms
from bailiwick.domain.ids import ProjectId

_ONLY: Final = ""


@final
class Applied(NamedTuple):
    """A budget that a call must find room in, and the text of the subject that it counts the call for."""

    budget: BudgetTerms
    subject: str

    @property
    def whose(self) -> str | None:
        """Whom it counts, for people: an id as shown, a uid, a sid; None where the scope has only one."""
        if self.subject == _ONLY:
            return self.budget.subject
        return read_subject(self.budget.scope, self.subject).id


@final
class Subject(NamedTuple):
    """One of those whom a budget of each counts: the id that its scope is about, and whose that is; as shown."""

    id: str
    project: str | None = None
    uid: str | None = None


def read_subject(scope: BudgetScope, text: str) -> Subject:
    """Read the text by which a budget of each counts somebody."""
    match scope:
        case BudgetScope.PROJECT:
            return Subject(_project(text))
        case BudgetScope.KEY:
            return Subject(ids.shown(ids.KEY, UUID(text)))
        case BudgetScope.USER:
            project, _, uid = text.partition(":")
            return Subject(uid, project=_project(project))
        case BudgetScope.SESSION:
            project, size, rest = text.split(":", 2)
            length = int(size)
            return Subject(rest[length + 1 :], project=_project(project), uid=rest[:length] or None)
        case BudgetScope.TENANT:
            raise ValueError(text)


def user_subject(project_id: ProjectId, uid: str) -> str:
    """The text by which a budget of each user counts one."""
    return f"{project_id.hex}:{uid}"


def sessions_of(project_id: ProjectId, uid: str | None) -> str:
    """How every text begins by which a budget of each session counts one of a user's, or of nobody's; then its sid."""
    return f"{project_id.hex}:{len(uid or '')}:{uid or ''}:"


@final
class Budgets:
    """The budgets that may apply to calls of one project under one tier; at least one, or calls need not ask."""

    __slots__ = ("_always", "_by_model", "_keys", "_project_id", "_sessions", "_users")

    def __init__(self, project_id: ProjectId, terms: Iterable[BudgetTerms]) -> None:
        """`terms` may hold budgets of the tenant's other projects: they apply to nothing here."""
        self._project_id = project_id
        every = tuple(terms)
        self._by_model = any(one.cap.models is not None for one in every)
        self._always = tuple(self._of_all_calls(every, ids.shown(ids.PROJECT, project_id)))
        self._keys = _Subjects(every, BudgetScope.KEY)
        self._users = _Subjects(every, BudgetScope.USER)
        self._sessions = _Subjects(every, BudgetScope.SESSION)

    def _of_all_calls(self, terms: Sequence[BudgetTerms], project: str) -> Iterable[Applied]:
        for one in terms:
            if one.scope is BudgetScope.TENANT or (one.scope is BudgetScope.PROJECT and one.subject in (None, project)):
                yield Applied(one, _ONLY)
            elif one.scope is BudgetScope.PROJECT and one.subject == EACH:
                yield Applied(one, self._project_id.hex)

    def applying(
        self, names: tuple[str, ...] | None, *, key: str | None, uid: str | None, sid: str | None
    ) -> tuple[Applied, ...]:
        """The budgets of a call to a model that goes by `names`; one without a key (user, session) meets none's.

        `key` is the hex of the key's id; `names` None: whatever the model.
        """
        found = self._always
        if key is not None and self._keys:
            found += self._keys.of(key, key)
        if uid is not None and self._users:
            found += self._users.of(uid, user_subject(self._project_id, uid))
        if sid is not None and self._sessions:
            found += self._sessions.of(sid, sessions_of(self._project_id, uid) + sid)
        if self._by_model and names is not None:
            return tuple([one for one in found if one.budget.cap.models is None or one.budget.cap.models.match(names)])
        return found


@final
class _Subjects:
    """The budgets of one scope: those of each, and those of some."""

    __slots__ = ("_each", "_some")

    def __init__(self, terms: Sequence[BudgetTerms], scope: BudgetScope) -> None:
        of_scope = [one for one in terms if one.scope is scope]
        some: dict[str, tuple[Applied, ...]] = {}
        for one in of_scope:
            if one.subject is not None and one.subject != EACH:
                subject = _key(one.subject) if scope is BudgetScope.KEY else one.subject
                some[subject] = (*some.get(subject, ()), Applied(one, _ONLY))
        self._each = tuple(one for one in of_scope if one.subject == EACH)
        self._some: Mapping[str, tuple[Applied, ...]] = some

    def __bool__(self) -> bool:
        return bool(self._each or self._some)

    def of(self, subject: str, text: str) -> tuple[Applied, ...]:
        """Those of `subject`; `text` is what a budget of each counts it by."""
        return (*[Applied(one, text) for one in self._each], *self._some.get(subject, ()))


def _project(text: str) -> str:
    return ids.shown(ids.PROJECT, UUID(text))


def _key(shown: str) -> str:
    """The hex of a key's id; an id that is none names no key, and is the same as nobody's."""
    key = ids.parsed(ids.KEY, shown)
    return "" if key is None else key.hex
