"""From a config to cells, and to the shards that are still to be done."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import plugins
from bench.classifiers.checkpoints import resolved_precision
from bench.config import Config
from bench.data.base import DataSet, Sample, balanced_subset
from bench.perturb.base import ROWS, Perturbation, Validation
from bench.perturb.config import Members
from bench.perturb.user_code import source
from bench.perturb.versions import Augmentation
from bench.rules import REPLAYED, DecisionConfig, SequentialDecision, fitted
from bench.store.cells import FAMILIES, Cell, identify
from bench.store.store import Store
from bench.util import rng
from bench.util.errors import UserError
from bench.util.files import digest

if TYPE_CHECKING:
    from bench.classifiers.kinds.base import Kind
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


def attacked_rule(config: Config, name: str) -> DecisionConfig | None:
    """The rule that an attack on early decisions is aimed at.

    Of an EmoDC that measures everything the one that reports replay; None where nothing has steps.
    """
    spec = config.classifiers[name]
    return spec.decision or (REPLAYED if spec.keeps_trace else None)


def fitted_on(
    config: Config, name: str, family: str, validation: str | None, at_rule: bool = False
) -> dict[str, Any]:
    """What a cell's inputs say of its rule: what it is fitted on, whose code it is.

    Args:
        config: The run.
        name: Of the classifier.
        family: Of the cell.
        validation: Id of the classifier's validation cell, if it has one.
        at_rule: Whether the rule is attacked, which it may be without deciding the cell.

    Raises:
        UserError: If a bounded test has nothing to learn its bound from.
    """
    decision, found = decision_of(config, name, family), dict[str, Any]()
    if at_rule and decision is None:
        decision = attacked_rule(config, name)
        found = {} if decision is None else {"attacked_rule": decision.model_dump()}
    if not isinstance(decision, SequentialDecision):
        whose = None if decision is None else plugins.origin(decision)
        if whose is not None:
            found |= {"rule_from": whose, "rule": _code(type(decision))}
        return found
    if not config.classifiers[name].keeps_trace:
        validation = None
    bounded = decision.bet == "bounded"
    if bounded and validation is None:
        raise UserError(
            f"classifier {name!r}: the bounded sequential test needs a bound on differences of "
            "errors, which the trace of an EmoDC's validation pictures teaches. Set `validation: "
            "true`, use data with a validation split, or choose `bet: student`."
        )
    learns = validation and (bounded or decision.use_profile)
    return found | {FITTED_ON: validation} if learns else found


def _code(rule: type) -> str:
    """Digest of the source of a rule of a plugin."""
    return digest(source(f"{rule.__module__}:{rule.__qualname__}", rule))


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
        return self._made(decision, cell, inputs)

    def attacked(self, cell: Cell, inputs: dict[str, Any]) -> "Rule | None":
        """The rule that a cell's attack is aimed at; see `attacked_rule`."""
        return self._made(attacked_rule(self._config, cell.classifier), cell, inputs)

    def _made(
        self, decision: DecisionConfig | None, cell: Cell, inputs: dict[str, Any]
    ) -> "Rule | None":
        if decision is None:
            return None
        source = inputs.get(FITTED_ON)
        if source is None:
            return decision.rule()
        if source not in self._fits:
            self._fits[source] = fitted(self._store, cell, source)
        return decision.rule(self._fits[source])


def phases(todo: Sequence["Shard"]) -> list[list["Shard"]]:
    """Validation cells first, where rules are fitted on them; the others wait for them."""
    if not any(FITTED_ON in shard.planned.inputs for shard in todo):
        return [list(todo)]
    first = [shard for shard in todo if shard.planned.cell.about.fits]
    later = [shard for shard in todo if not shard.planned.cell.about.fits]
    return [part for part in (first, later) if part]


# ------------------------------------------------------------------------------------------------
# Cells and shards
# ------------------------------------------------------------------------------------------------

#: Raise when the same inputs give other rows, so that no stale row is ever reused.
RESULT_VERSION = 2


@dataclass(frozen=True)
class PlannedCell:
    """A cell with what its id digests.

    Attributes:
        cell: The cell.
        inputs: Everything that determines the rows.
        sample_ids: The samples, in order; of a sequence each of their frames.
        perturbation: What is done to their pictures.
        other_prompts: Those of them that an EmoDC measures under the prompts that name no class.
        blocks: The samples that a transductive classifier measures together; empty for others.
        examples: The samples of which the attack's change is kept, to be shown.
    """

    cell: Cell
    inputs: dict[str, Any]
    sample_ids: tuple[str, ...]
    perturbation: Perturbation
    other_prompts: frozenset[str] = frozenset()
    blocks: tuple[tuple[str, ...], ...] = ()
    examples: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SharedFile:
    """Where several shards have the same corrupted pictures; see `bench.sweep.worker`.

    Attributes:
        name: Of the file.
        size: In bytes.
    """

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Shard:
    """A contiguous run of a cell's samples, `number` of `count`: the unit of work and resuming.

    Runs of a million are planned, so what follows from the cell is not kept but computed.
    """

    planned: PlannedCell
    number: int
    count: int
    file: SharedFile | None = None

    @property
    def _bounds(self) -> tuple[int, int]:
        total = len(self.planned.sample_ids)
        return total * self.number // self.count, total * (self.number + 1) // self.count

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Of its rows, in the order of the cell's."""
        first, end = self._bounds
        return self.planned.sample_ids[first:end]

    @property
    def size(self) -> int:
        """How many rows it has."""
        first, end = self._bounds
        return end - first

    @property
    def name(self) -> str:
        """Of its lease."""
        return f"{self.planned.cell.id}-{self.number:05d}-of-{self.count:05d}"


def columns(config: Config, name: str) -> list[tuple[Perturbation, str]]:
    """Perturbation and level of every cell of a classifier and training seed.

    What decisions are fitted on comes first: who decides while measuring needs the fit before.
    """
    asked: Members = [(Validation(), Validation().usual_levels)] if config.validation else []
    asked += config.perturbations.members()
    views = config.classifiers[name].views(config.views) if config.views else 0
    if views:
        asked.append((Augmentation(count=views), Augmentation(count=views).usual_levels))
    refusal = config.classifiers[name].refusal
    asked = [(own, levels) for own, levels in asked if own.source != name and not refusal(own)]
    if config.clips is not None:
        asked = [(perturbation.of_clips(), levels) for perturbation, levels in asked]
    return [(perturbation, level) for perturbation, levels in asked for level in levels]


def cell_samples(config: Config, dataset: DataSet, perturbation: Perturbation) -> list[Sample]:
    """The samples of a cell; attacks and sequences have smaller subsets of their own."""
    samples = balanced_subset(dataset.samples(perturbation.split), config.limit)
    return balanced_subset(samples, config.perturbations.limit_of(perturbation))


def seeds_of(config: Config, name: str) -> list[int]:
    """The training seeds of a classifier; the run's seed for one that is not trained here."""
    return config.seeds if config.classifiers[name].trained_here else [config.seed]


def source_seed(config: Config, name: str, seed: int) -> int:
    """The training seed of a classifier that another one of training seed `seed` is asked with."""
    known = seeds_of(config, name)
    return seed if seed in known else known[0]


def make_plan(
    config: Config, dataset: DataSet, weights: dict[tuple[str, int], str]
) -> list[PlannedCell]:
    """All cells of a run; one without samples, of a data set without a validation split, is none.

    Args:
        config: The run.
        dataset: Its data.
        weights: Digest of the weights of each classifier, for each of its training seeds.
    """
    plan, precision = [], resolved_precision(config)
    chosen: dict[tuple[str, int | None], tuple[list[Sample], str]] = {}  # of many cells the same
    for name, seed in ((n, s) for n in config.classifiers for s in seeds_of(config, n)):
        validation: str | None = None  # id of the cell that rules are fitted on
        for perturbation, level in columns(config, name):
            which = perturbation.split, config.perturbations.limit_of(perturbation)
            if which not in chosen:
                found = cell_samples(config, dataset, perturbation)
                chosen[which] = found, digest([sample.id for sample in found])
            samples, digested = chosen[which]
            if not samples:
                continue
            inputs = {
                "version": RESULT_VERSION,
                "weights": weights[name, seed],
                "training_seed": seed,
                "evaluation": _evaluated(
                    config.classifiers[name],
                    perturbation,
                    decision_of(config, name, perturbation.family) is not None,
                ),
                "precision": precision,
                "data": dataset.digest,
                "samples": digested,
                "perturbation": perturbation.inputs(level),
                "seed": config.seed,
            } | fitted_on(
                config, name, perturbation.family, validation, at_rule=perturbation.at_rule
            )
            if perturbation.source:
                inputs["source"] = _source(config, perturbation, seed, weights)
            cell = Cell(
                id=identify(name, dataset.name, inputs),
                classifier=name,
                dataset=dataset.name,
                perturbation=perturbation.name,
                family=perturbation.family,
                severity=level,
                seed=seed,
                run_seed=config.seed,
            )
            validation = cell.id if cell.about.fits else validation
            ids = perturbation.rows([sample.id for sample in samples])
            others = _other_prompts(inputs, samples)
            blocks = blocks_of(ids, config.classifiers[name].together, config.seed, dataset.name)
            examples = _examples(dataset, perturbation, samples)
            plan.append(PlannedCell(cell, inputs, ids, perturbation, others, blocks, examples))
    return plan


def refusals(config: Config) -> list[str]:
    """A sentence for each classifier and reason for which it is not measured under something."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, spec in config.classifiers.items():
        for perturbation, _ in config.perturbations.members():
            reason = spec.refusal(perturbation)
            if reason:
                found.setdefault((name, reason), []).append(perturbation.name)
    return [
        f"{name} is not measured under {', '.join(dict.fromkeys(under))}: {reason}"
        for (name, reason), under in found.items()
    ]


def blocks_of(
    ids: Sequence[str], size: int, seed: int, dataset: str
) -> tuple[tuple[str, ...], ...]:
    """A cell's samples in nearly equal blocks of at most `size`; none if `size` is 0.

    Their order is one of the run's seed, the data set and the ids, so that classes are mixed
    however the data set is sorted.
    """
    if not size:
        return ()
    order = sorted(ids, key=lambda name: rng.key(seed, dataset, "block", name))
    count = -(-len(order) // size)
    ends = [len(order) * i // count for i in range(count + 1)]
    return tuple(tuple(order[a:b]) for a, b in itertools.pairwise(ends))


def _source(
    config: Config, perturbation: Perturbation, seed: int, weights: dict[tuple[str, int], str]
) -> dict[str, Any]:
    """What determines the answers of the other classifier that a perturbation needs.

    Raises:
        UserError: If the run has no such classifier.
    """
    name = perturbation.source
    if name not in config.classifiers:
        raise UserError(
            f"perturbations.attacks.{perturbation.name}: the run has no classifier {name!r}, which "
            "its `source` names. Add it, or leave the attack out with `--perturbations`."
        )
    if config.classifiers[name].together:
        raise UserError(
            f"perturbations.attacks.{perturbation.name}: its source {name!r} adapts to blocks of "
            "pictures, and cannot be attacked picture by picture; name the classifier that adapts."
        )
    key = name, source_seed(config, name, seed)
    evaluation = _evaluated(config.classifiers[name], perturbation, False)
    return {"weights": weights[key], "evaluation": evaluation}


def _evaluated(spec: "Kind", perturbation: Perturbation, decides: bool) -> dict[str, Any] | None:
    """How a classifier measures a cell, and is attacked."""
    found = spec.evaluated(perturbation, decides)
    return {**(found or {}), "rows": ROWS} if spec.shares_batches else found


def shards_of(planned: PlannedCell, count: int) -> list[Shard]:
    """The cell's samples in `count` nearly equal shards, in order.

    What is measured in blocks is one shard: blocks are not in order.
    """
    count = 1 if planned.blocks else min(count, len(planned.sample_ids))
    return [Shard(planned, number, count) for number in range(count)]


def pending(planned: PlannedCell, count: int, store: Store) -> list[Shard]:
    """The shards that are still to be measured; none of a complete cell, however it was sharded.

    A cell is complete if its files are sound and have the planned samples, each once.
    """
    cell, manifest = planned.cell, store.manifest(planned.cell)
    if manifest is not None and store.problem(manifest, planned.sample_ids) is None:
        return []
    shards = shards_of(planned, count)
    there = store.parts(cell, len(shards))
    return [
        shard
        for shard in shards
        if shard.number not in there
        or store.stored(cell, planned.inputs, shard.number, shard.count) != list(shard.sample_ids)
    ]


def _other_prompts(inputs: dict[str, Any], samples: list[Sample]) -> frozenset[str]:
    """The samples to be measured under the prompts that name no class, from every class alike."""
    count = (inputs["evaluation"] or {}).get("other_prompts", 0)
    chosen = balanced_subset(samples, count) if count else []
    return frozenset(sample.id for sample in chosen)


#: Attacked pictures of a cell that are shown.
EXAMPLES = 3


def _examples(
    dataset: DataSet, perturbation: Perturbation, samples: list[Sample]
) -> frozenset[str]:
    """The first samples of an attack, of different classes, however many are attacked.

    Of drawn or generated pictures alone: nothing of real ones is kept.
    """
    shown = dataset.synthetic and perturbation.family == "attack"
    return frozenset(s.id for s in balanced_subset(samples, EXAMPLES)) if shown else frozenset()
