"""From a config to cells, and to the shards that are still to be done."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.classifiers.views import Views
from bench.config import (
    BaselineClassifier,
    CheckpointClassifier,
    Config,
    ControlClassifier,
    EmoDCClassifier,
    StagedClassifier,
)
from bench.data.base import DataSet, Sample, Split, balanced_subset
from bench.perturb import CONTINUOUS, CORRUPTIONS, SEQUENCES
from bench.perturb.sequences import FRAMES, frame_id
from bench.store.cells import Cell, has_other_prompts
from bench.store.checkpoints import Card
from bench.store.store import Store
from bench.sweep.deciding import decision_of, fitted_on
from bench.training.recipe import resolved_precision
from bench.util.files import digest

#: Raise when the same inputs give other rows, so that no stale row is ever reused.
RESULT_VERSION = 2


@dataclass(frozen=True)
class PlannedCell:
    """A cell with what its id digests.

    Attributes:
        cell: The cell.
        inputs: Everything that determines the rows.
        sample_ids: The samples, in order; of a sequence each of their frames.
        other_prompts: Those of them that an EmoDC measures under the prompts that name no class.
    """

    cell: Cell
    inputs: dict[str, Any]
    sample_ids: tuple[str, ...]
    other_prompts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class SharedFile:
    """Where several shards have the same corrupted pictures; see `bench.sweep.sharing`.

    Attributes:
        name: Of the file.
        size: In bytes.
    """

    name: str
    size: int


@dataclass(frozen=True)
class Shard:
    """A contiguous run of a cell's samples: the unit of work and of resuming."""

    planned: PlannedCell
    number: int
    sample_ids: tuple[str, ...]
    file: SharedFile | None = None


def levels(config: Config) -> Iterator[tuple[str, str, str]]:
    """(perturbation, family, severity) of every column, in table order."""
    yield "clean", "clean", "0"
    for name, severities in config.perturbations.corruptions.items():
        for severity in sorted(set(severities)):
            yield name, "corruption", str(severity)
    for name, sizes in config.perturbations.levels.items():
        for text in dict.fromkeys(map(CONTINUOUS[name].severity, sizes)):
            yield name, "level", text
    for name, budgets in config.perturbations.attacks.items():
        for eps in sorted(set(budgets)):
            yield name, "attack", f"{eps}/255"
    for name in config.perturbations.sequences:
        yield name, "sequence", str(FRAMES)


def columns(config: Config, name: str) -> list[tuple[str, str, str]]:
    """(perturbation, family, severity) of every cell of a classifier and training seed.

    What decisions are fitted on comes first: who decides while measuring needs the fit before.
    """
    own = [("clean", "validation", "0")] if config.validation else []
    own += levels(config)
    views = _views(config, name)
    return [*own, ("clean", "views", str(views))] if views else own


def cell_samples(config: Config, dataset: DataSet, family: str) -> list[Sample]:
    """The samples of a cell; attacks and sequences have smaller subsets of their own."""
    split: Split = "val" if family == "validation" else "test"
    samples = balanced_subset(dataset.samples(split), config.limit)
    table = config.perturbations
    limits = {"attack": table.attack_limit, "sequence": table.sequence_limit}
    return balanced_subset(samples, limits.get(family))


def seeds_of(config: Config, name: str) -> list[int]:
    """The training seeds of a classifier; the run's seed for one that is not trained here."""
    trained = isinstance(config.classifiers[name], StagedClassifier | BaselineClassifier)
    return config.seeds if trained else [config.seed]


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
    for name, seed in ((n, s) for n in config.classifiers for s in seeds_of(config, n)):
        validation: str | None = None  # id of the cell that rules are fitted on
        for perturbation, family, severity in columns(config, name):
            samples = cell_samples(config, dataset, family)
            if not samples:
                continue
            inputs = {
                "version": RESULT_VERSION,
                "weights": weights[name, seed],
                "training_seed": seed,
                "evaluation": _evaluation(config, name, family),
                "precision": precision,
                "data": dataset.digest,
                "samples": digest([sample.id for sample in samples]),
                "perturbation": _parameters(perturbation, family) | {"severity": severity},
                "seed": config.seed,
            } | fitted_on(config, name, family, validation)
            cell = Cell(
                id=digest([name, dataset.name, inputs]),
                classifier=name,
                dataset=dataset.name,
                perturbation=perturbation,
                family=family,
                severity=severity,
                seed=seed,
                run_seed=config.seed,
            )
            validation = cell.id if family == "validation" else validation
            ids, others = _row_ids(samples, family), _other_prompts(inputs, samples)
            plan.append(
                PlannedCell(cell, inputs, ids, others if family == "clean" else frozenset())
            )
    return plan


def shards_of(planned: PlannedCell, count: int) -> list[Shard]:
    """The cell's samples in `count` nearly equal shards, in order."""
    ids = planned.sample_ids
    count = min(count, len(ids))
    bounds = [len(ids) * i // count for i in range(count + 1)]
    return [Shard(planned, i, ids[bounds[i] : bounds[i + 1]]) for i in range(count)]


def pending(planned: PlannedCell, count: int, store: Store) -> list[Shard]:
    """The shards that are absent, damaged, lack samples, or were cut otherwise and not finished."""
    cell = planned.cell
    manifest = store.manifest(cell)
    whole = manifest is not None and manifest.n == len(planned.sample_ids)
    if manifest is not None and whole and store.is_whole(manifest):
        return []  # however it was sharded
    todo = []
    for shard in shards_of(planned, count):
        others = has_other_prompts(planned.inputs)
        part = store.whole_part(cell, shard.number, others)
        if part is None or list(part["sample_id"]) != list(shard.sample_ids):
            todo.append(shard)
    return todo


def _views(config: Config, name: str) -> int:
    """How many views a classifier has of each picture: as many as the config says, or its steps.

    EmoDC's steps are in its traces, so it has none.
    """
    spec = config.classifiers[name]
    if not config.views or isinstance(spec, EmoDCClassifier):
        return 0
    if isinstance(spec, ControlClassifier):
        return spec.evaluation.steps
    if isinstance(spec, CheckpointClassifier):
        made_as = str(Card.verified(spec.folder).recipe.get("kind"))
        return {"control": spec.evaluation.steps, "baseline": config.views}.get(made_as, 0)
    return config.views


def _evaluation(config: Config, name: str, family: str) -> dict[str, Any] | None:
    """How the classifier evaluates, where the config says so."""
    spec = config.classifiers[name]
    plan = getattr(spec, "evaluation", None)
    if plan is None:
        return None
    # What other families do not measure must not rename their cells.
    exclude = {"attack": {"other_prompts"}, "clean": {"attack_steps"}}
    left_out = exclude.get(family, {"attack_steps", "other_prompts"})
    if isinstance(spec, ControlClassifier):
        left_out = left_out | {"other_prompts"}  # it reads none
    if plan.noise_seed is None:
        left_out = left_out | {"noise_seed"}
    # Without a decision everything is measured, as before there were any.
    deciding = decision_of(config, name, family) is not None
    left_out = left_out | ({"other_prompts"} if deciding else {"decision"})
    return dict(plan.model_dump(exclude=left_out))


def _other_prompts(inputs: dict[str, Any], samples: list[Sample]) -> frozenset[str]:
    """The samples to be measured under the prompts that name no class, from every class alike."""
    count = (inputs["evaluation"] or {}).get("other_prompts", 0)
    return frozenset(sample.id for sample in balanced_subset(samples, count))


def _row_ids(samples: list[Sample], family: str) -> tuple[str, ...]:
    if family == "sequence":
        return tuple(frame_id(s.id, number) for s in samples for number in range(FRAMES))
    return tuple(sample.id for sample in samples)


def _parameters(perturbation: str, family: str) -> dict[str, Any]:
    if family == "sequence":
        return SEQUENCES[perturbation].parameters()
    if family == "corruption":
        return CORRUPTIONS[perturbation].parameters()
    if family == "level":
        return CONTINUOUS[perturbation].parameters()
    if family == "attack":
        from bench.perturb.attacks import ATTACK_CLASSES

        return ATTACK_CLASSES[perturbation]().parameters()
    if family == "validation":
        return {"name": perturbation, "split": "val"}
    if family == "views":
        return {"name": perturbation, "views": Views.parameters()}
    return {"name": perturbation}
