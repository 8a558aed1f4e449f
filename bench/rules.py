"""How a decision follows from errors: the rules of `emodc`, by the names that people use.

One list for the config of a sweep, for `bench decide` and for reports.
"""

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, SerializeAsAny, ValidationInfo, field_validator

from bench import plugins
from bench.util.errors import UserError, unknown
from bench.util.section import Section

if TYPE_CHECKING:
    from bench.store.cells import Cell, Manifest
    from bench.store.store import Store
    from emodc.decisions.decide import Rule
    from emodc.decisions.fit import Fit


class _Plain(Section):
    """A rule that needs no fit, whose fields are those of its class in `emodc.decisions.rules`."""

    rule_class: ClassVar[str]

    def rule(self, fit: "Fit | None" = None) -> "Rule":
        """The rule itself."""
        from emodc.decisions import rules

        own: Rule = getattr(rules, self.rule_class)(**self.model_dump(exclude={"kind"}))
        return own


class FullDecision(_Plain):
    """Every class at every step, or at some evenly spaced ones."""

    rule_class: ClassVar[str] = "FullGrid"
    kind: Literal["full"] = "full"
    count: int | None = Field(None, ge=1)  # steps; None: all

    @property
    def label(self) -> str:
        """As tables show it."""
        if self.count is None:
            return "all steps"
        return "1 step" if self.count == 1 else f"{self.count} steps"


class StagesDecision(_Plain):
    """The best k classes go on after n steps, then fewer after more."""

    rule_class: ClassVar[str] = "Stages"
    kind: Literal["stages"] = "stages"
    # pairs (n, k)
    keep: tuple[tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]], ...] = Field(
        ((20, 3), (50, 2), (100, 1)), min_length=1
    )

    @field_validator("keep")
    @classmethod
    def _ascending(cls, keep: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        steps, kept = [n for n, _ in keep], [k for _, k in keep]
        if steps != sorted(set(steps)) or kept != sorted(kept, reverse=True):
            raise ValueError("pairs (n, k): n must ascend, and k must not")
        return keep

    @property
    def label(self) -> str:
        """As tables show it."""
        return f"stages {', '.join(f'{k} at {n}' for n, k in self.keep)}"


class TTestDecision(_Plain):
    """A class leaves when a paired t-test finds it worse than the best, at every look anew."""

    rule_class: ClassVar[str] = "PairedTTest"
    kind: Literal["t_test"] = "t_test"
    p: float = Field(2e-3, gt=0, lt=1)
    minimum: int = Field(20, ge=2)  # steps before the first look

    @property
    def label(self) -> str:
        """As tables show it."""
        return f"t-test, p {self.p:g}"


class ThresholdDecision(_Plain):
    """A class leaves when its mean error is above the lowest by more than a margin."""

    rule_class: ClassVar[str] = "Threshold"
    kind: Literal["threshold"] = "threshold"
    margin: float = Field(0.05, gt=0)  # in the units of the errors
    minimum: int = Field(5, ge=1)  # steps before the first look

    @property
    def label(self) -> str:
        """As tables show it."""
        return f"threshold {self.margin:g}"


class VoteDecision(_Plain):
    """Every step votes for its best class; another decision than that by mean errors."""

    rule_class: ClassVar[str] = "MajorityVote"
    kind: Literal["vote"] = "vote"

    @property
    def label(self) -> str:
        """As tables show it."""
        return "majority vote"


class SequentialDecision(Section):
    """Classes leave by a sequential test, which errs with probability delta at most."""

    kind: Literal["sequential"] = "sequential"
    delta: float = Field(0.01, gt=0, lt=1)
    bet: Literal["student", "bounded"] = "student"
    # None: "stratified"; of the "bounded" bet "random", which its guarantee needs.
    order: Literal["random", "stratified"] | None = None
    use_profile: bool = True  # of the "student" bet: the gap profile of validation traces

    @field_validator("order")
    @classmethod
    def _exact(cls, order: str | None, known: ValidationInfo) -> str | None:
        if order == "stratified" and known.data.get("bet") == "bounded":
            raise ValueError("the bounded bet is exact for `order: random` only")
        return order

    @property
    def label(self) -> str:
        """As tables show it."""
        name = "sequential test" if self.bet == "student" else "bounded test"
        order = ", random order" if self.order == "random" and self.bet == "student" else ""
        profile = "" if self.use_profile or self.bet == "bounded" else ", no profile"
        return f"{name}, delta {self.delta:g}{order}{profile}"

    def rule(self, fit: "Fit | None" = None) -> "Rule":
        """The rule itself, with the profile or the bound of a fit.

        Raises:
            UserError: If the bounded test has no fit.
        """
        from emodc.decisions.rules import SequentialTest

        if self.bet == "student":
            profile = fit.profile if fit is not None and self.use_profile else None
            return SequentialTest(
                delta=self.delta, order=self.order or "stratified", profile=profile
            )
        if fit is None:
            raise UserError(
                "The bounded test needs a bound on differences of errors, which validation "
                "pictures teach, and the store has no complete validation cell of this "
                "classifier with five pictures or more. `bench run` with `validation: true` "
                "measures it."
            )
        return SequentialTest(
            delta=self.delta, kind="bounded", profile=fit.profile, bound=fit.bound, order="random"
        )


DecisionConfig = Annotated[
    SerializeAsAny[
        FullDecision
        | StagesDecision
        | TTestDecision
        | ThresholdDecision
        | VoteDecision
        | SequentialDecision
    ],
    Field(discriminator="kind"),
    plugins.or_brought(
        "rule", Section, ("full", "stages", "t_test", "threshold", "vote", "sequential")
    ),
]

#: Every class at every step: what other rules are compared with.
FULL = FullDecision()

#: What would decide early where all steps are known; attacks on early decisions are aimed at it.
REPLAYED = SequentialDecision()

#: Every rule by kind, with its settings of choice.
RULES: dict[str, DecisionConfig] = {
    "full": FULL,
    "stages": StagesDecision(),
    "t_test": TTestDecision(),
    "threshold": ThresholdDecision(),
    "vote": VoteDecision(),
    "sequential": SequentialDecision(),
}


def rule_named(name: str) -> DecisionConfig:
    """The rule of a name, with its settings of choice; of the bench, or of a plugin.

    Raises:
        UserError: If there is no such rule.
    """
    if name in RULES:
        return RULES[name]
    brought = plugins.section("rule", name, Section)
    if brought is None:
        raise unknown("rule", name, RULES)
    rule: DecisionConfig = brought()
    return rule


# ------------------------------------------------------------------------------------------------
# What rules learn from validation pictures, from a run's store.


def fitted(store: "Store", cell: "Cell", source: str | None = None) -> "Fit | None":
    """The fit for decisions on a cell, from the same training's validation pictures.

    Args:
        store: The run.
        cell: Of an EmoDC: clean, corrupted or attacked pictures.
        source: Id of the validation cell; None takes the one that is planned now, if it is there.

    Returns:
        None if that teaches nothing.

    Raises:
        UserError: If the cell of this id, or its trace, is not whole.
    """
    import numpy as np

    from emodc.decisions.fit import fit

    manifest = _validation(store, cell) if source is None else store.of_id(cell.classifier, source)
    traces = None if manifest is None else store.traces(manifest)
    rows = None if manifest is None else store.rows(manifest)
    whole = rows is not None and traces is not None and [*rows["sample_id"]] == [*traces.ids]
    if manifest is None or rows is None or traces is None or not whole:
        if source is None:
            return None
        raise UserError(
            f"{cell.classifier} decides as validation pictures teach, and these are not measured "
            f"completely (cell {source}). Run the same command again with --retry-failed.",
            1,
        )
    if not traces.complete:
        return None
    position = {name: i for i, name in enumerate(manifest.classes)}
    labels = np.array([position[name] for name in rows["label"]])
    try:
        return fit(traces.errors, traces.timesteps, labels)
    except ValueError:
        return None


def _validation(store: "Store", cell: "Cell") -> "Manifest | None":
    alike = ("classifier", "dataset", "seed", "run_seed")
    for planned in store.planned():
        if planned.about.fits and all(
            getattr(planned, name) == getattr(cell, name) for name in alike
        ):
            return store.manifest(planned)
    return None
