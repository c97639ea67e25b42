"""Which budgets a call meets, and that no two subjects are counted as one."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from bailiwick.domain import ids
from bailiwick.domain.budget_terms import Applied, Budgets, read_subject
from bailiwick.domain.budgets import BudgetHolder, BudgetScope, BudgetTerms, budget_spec, tier_caps, tier_terms
from bailiwick.domain.confinement import Confinement
from bailiwick.domain.ids import BudgetId, KeyId, ProjectId, TenantId, TierId
from bailiwick.domain.tenancy import OnDisconnect
from bailiwick.domain.terms import ProjectTerms, TierTerms
from tests.domain.samples import KEY, PROJECT, TENANT

OTHER = ProjectId(UUID(int=77))
NAMES = ("openai/gpt-4o", "gpt-4o")


def budget(
    number: int, scope: str, subject: str | None = None, *, holder: str = "project", **fields: object
) -> BudgetTerms:
    said = {"scope": scope, "subject": subject, "limit": {"usd": "1"}, "window": "day", **fields}
    spec = budget_spec(said, holder=BudgetHolder(holder))
    return BudgetTerms(
        id=BudgetId(UUID(int=number)), holder=BudgetHolder(holder), scope=spec.scope, subject=spec.subject, cap=spec.cap
    )


def met(
    *budgets: BudgetTerms,
    project: ProjectId = PROJECT,
    names: tuple[str, ...] = NAMES,
    key: KeyId | None = KEY,
    uid: str | None = "u",
    sid: str | None = "s",
) -> list[tuple[int, str | None]]:
    """The budgets of a call, each as (number, whom it counts)."""
    found = Budgets(project, budgets).applying(names, key=None if key is None else key.hex, uid=uid, sid=sid)
    return [(one.budget.id.int, one.whose) for one in found]


def shown(project: ProjectId) -> str:
    return ids.shown(ids.PROJECT, project)


def test_a_call_meets_the_budgets_of_its_tenant_project_key_user_and_session() -> None:
    budgets = (
        budget(1, "tenant", holder="tenant"),
        budget(2, "project"),
        budget(3, "user", "*"),
        budget(4, "session", "*"),
        budget(5, "key", "*"),
        budget(6, "project", "*", holder="tenant"),
    )
    assert sorted(met(*budgets)) == [
        (1, None), (2, None), (3, "u"), (4, "s"), (5, ids.shown(ids.KEY, KEY)), (6, shown(PROJECT)),
    ]  # fmt: skip


def test_a_budget_of_one_subject_counts_that_one_alone() -> None:
    key = ids.shown(ids.KEY, KEY)
    budgets = (
        budget(1, "user", "u"),
        budget(2, "user", "v"),
        budget(3, "session", "s"),
        budget(4, "session", "t"),
        budget(5, "key", key),
        budget(6, "key", ids.shown(ids.KEY, UUID(int=4))),
        budget(7, "project", shown(PROJECT), holder="tenant"),
        budget(8, "project", shown(OTHER), holder="tenant"),
    )
    assert sorted(met(*budgets)) == [(1, "u"), (3, "s"), (5, key), (7, shown(PROJECT))]


def test_a_call_without_a_user_a_session_or_a_key_meets_none_of_theirs() -> None:
    budgets = [budget(number, scope, "*") for number, scope in enumerate(("user", "session", "key"))]
    assert met(*budgets, key=None, uid=None, sid=None) == []
    assert met(*budgets, key=None, uid=None) == [(1, "s")]


def test_a_budget_for_models_counts_calls_to_these_by_any_of_their_names() -> None:
    budgets = budget(1, "project", models=["gpt-*"]), budget(2, "project", models=["openai/*"]), budget(3, "project")
    assert met(*budgets) == [(1, None), (2, None), (3, None)]
    assert met(*budgets, names=("anthropic/claude", "claude")) == [(3, None)]


identifiers = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=6)
subjects = st.tuples(st.sampled_from([PROJECT, OTHER]), st.none() | identifiers, identifiers)


@given(subjects, subjects)
@example((PROJECT, "a", "b:c"), (PROJECT, "a:b", "c"))
@example((PROJECT, None, "a"), (PROJECT, "0", "a"))
def test_no_two_subjects_are_counted_as_one_and_each_can_be_told(
    one: tuple[ProjectId, str | None, str], other: tuple[ProjectId, str | None, str]
) -> None:
    budgets = [budget(1, "session", "*", holder="tenant"), budget(2, "user", "*", holder="tenant")]

    def counted(project: ProjectId, uid: str | None, sid: str) -> tuple[Applied, ...]:
        return Budgets(project, budgets).applying((), key=None, uid=uid, sid=sid)

    texts = {found.budget.scope: found.subject for found in counted(*one)}
    assert (texts[BudgetScope.SESSION] == counted(*other)[-1].subject) == (one == other)
    project, uid, sid = one
    assert read_subject(BudgetScope.SESSION, texts[BudgetScope.SESSION]) == (sid, shown(project), uid)
    if uid is not None:
        assert read_subject(BudgetScope.USER, texts[BudgetScope.USER]) == (uid, shown(project), None)


def terms(*budgets: BudgetTerms, **tiers: list[object]) -> ProjectTerms:
    return ProjectTerms(
        tenant_id=TenantId(TENANT),
        project_id=PROJECT,
        tenant_slug="t",
        slug="app",
        limits={},
        tiers={
            name: TierTerms(
                limits={},
                confinement=Confinement(source="the tier"),
                max_output_tokens=None,
                budgets=tier_terms(TierId(UUID(int=9)), tier_caps("budgets", said)),
            )
            for name, said in tiers.items()
        },
        budgets=budgets,
        default_tier=None,
        tools=None,
        roles={},
        require_end_user=False,
        on_disconnect=OnDisconnect.ABORT,
        usual_output_tokens=4096,
        tenant_active=True,
        project_active=True,
    )


def amounts(project: ProjectTerms, tier: str | None) -> list[dict[str, object]]:
    budgets = project.under(tier).budgets
    assert budgets is not None
    found = budgets.applying(NAMES, key=None, uid="u", sid=None)
    return [dict(one.budget.cap.document(), holder=str(one.budget.holder)) for one in found]


def limits(project: ProjectTerms, tier: str | None) -> list[tuple[object, object]]:
    return [(said["holder"], said["limit"]) for said in amounts(project, tier)]


def test_a_project_without_budgets_has_nothing_to_ask() -> None:
    assert terms().under(None).budgets is None
    assert terms(free=[]).under("free").budgets is None
    assert replace(terms(), budgets=(budget(1, "project"),)).under(None).budgets is not None


def test_a_tiers_budget_stands_in_the_place_of_the_projects_for_each_user_that_counts_the_same() -> None:
    project = terms(
        budget(1, "user", "*"),
        budget(2, "user", "*", limit={"tokens": 5}),
        budget(3, "user", "*", window="month"),
        budget(4, "user", "*", models=["gpt-*"]),
        budget(5, "user", "u"),
        budget(6, "user", "*", holder="tenant"),
        budget(7, "project"),
        pro=[{"limit": {"usd": "9"}, "window": "day"}],
    )
    one = {"usd": "1.00"}
    rest = [("project", {"tokens": 5}), ("project", one), ("project", one), ("project", one), ("project", one)]
    assert sorted(limits(project, None), key=str) == sorted([("project", one), ("tenant", one), *rest], key=str)
    assert sorted(limits(project, "pro"), key=str) == sorted(
        [("tier", {"usd": "9.00"}), ("tenant", one), *rest], key=str
    )


def test_an_unknown_tier_has_the_budgets_of_the_default_one() -> None:
    project = replace(terms(pro=[{"limit": {"usd": "9"}, "window": "day"}]), default_tier="pro")
    assert limits(project, "nonesuch") == [("tier", {"usd": "9.00"})]


def test_what_was_spent_is_kept_and_read_by_the_same_words_however_a_length_is_written() -> None:
    one, other = budget(1, "project", window="24h"), budget(1, "project", window="1d")
    assert one.counted == other.counted == one.cap.counted == "usd 1d UTC"
