"""Which rule decides while a cell is measured, and on which cell it is fitted."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bench.config import Config
from bench.rules import DecisionConfig, SequentialDecision
from bench.store.cells import FAMILIES, Cell
from bench.store.fitted import fitted
from bench.store.store import Store
from bench.util.errors import UserError

if TYPE_CHECKING:
    from bench.sweep.plan import Shard
    from emodc.decisions.decide import Rule
    from emodc.decisions.fit import Fit

#: Among a cell's inputs: the id of the validation cell that its rule is fitted on.
FITTED_ON = "fitted_on"


def decision_of(config: Config, name: str, family: str) -> DecisionConfig | None:
    """What decides cells of a family while they are measured; None measures everything.

    What decisions are fitted on, or replayed on for comparison, is measured completely.
    """
    about, spec = FAMILIES[family], config.classifiers[name]
    complete = about.for_decisions or (about.clean and not spec.decides_on_clean)
    return None if complete else spec.decision


def fitted_on(config: Config, name: str, family: str, validation: str | None) -> dict[str, Any]:
    """The input of a cell that says what its rule is fitted on; empty if on nothing.

    Args:
        config: The run.
        name: Of the classifier.
        family: Of the cell.
        validation: Id of the classifier's validation cell, if it has one.

    Raises:
        UserError: If a bounded test has nothing to learn its bound from.
    """
    decision = decision_of(config, name, family)
    if not isinstance(decision, SequentialDecision):
        return {}
    if not config.classifiers[name].keeps_trace:
        validation = None
    bounded = decision.bet == "bounded"
    if bounded and validation is None:
        raise UserError(
            f"classifier {name!r}: the bounded sequential test needs a bound on differences of "
            "errors, which the trace of an EmoDC's validation pictures teaches. Set `validation: "
            "true`, use data with a validation split, or choose `bet: student`."
        )
    return {FITTED_ON: validation} if validation and (bounded or decision.use_profile) else {}


class Rules:
    """The rules of a run, each fitted once.

    Args:
        config: The run.
        store: Where validation cells are; they are complete before a rule is asked for.
    """

    def __init__(self, config: Config, store: Store) -> None:
        self._config, self._store = config, store
        self._fits: dict[str, Fit | None] = {}

    def of(self, cell: Cell, inputs: dict[str, Any]) -> "Rule | None":
        """The rule of a cell with these inputs; None measures everything."""
        decision = decision_of(self._config, cell.classifier, cell.family)
        if decision is None:
            return None
        source = inputs.get(FITTED_ON)
        if source is None:
            return decision.rule()
        if source not in self._fits:
            self._fits[source] = fitted(self._store, cell)
        return decision.rule(self._fits[source])


def phases(todo: Sequence["Shard"]) -> list[list["Shard"]]:
    """Validation cells first, where rules are fitted on them; the others wait for them."""
    if not any(FITTED_ON in shard.planned.inputs for shard in todo):
        return [list(todo)]
    first = [shard for shard in todo if shard.planned.cell.about.fits]
    later = [shard for shard in todo if not shard.planned.cell.about.fits]
    return [part for part in (first, later) if part]
