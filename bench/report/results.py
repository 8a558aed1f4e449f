"""What a store holds, measured: every complete cell, and the cells still missing.

`Results` reads a store; a `ResultSet` holds the results of one data set and run seed, and answers
what tables and figures ask of them.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.classifiers.kinds import seen
from bench.report.outcomes import (
    AccuracyEstimate,
    Flips,
    Number,
    Outcomes,
    accuracy,
    error,
    flips_of,
    macro_f1,
    mean,
    recognised,
    same_samples,
    share,
    shared_samples,
    uar,
)
from bench.store.cells import FAMILIES, Cell, Gate, Manifest, pictures_of
from bench.store.checkpoints import Bases
from bench.store.records import DatasetRecord
from bench.store.store import Store
from bench.util.errors import UserError


@dataclass(frozen=True, eq=False)
class Result:
    """What a classifier said under one condition, measured: a cell, or several trainings' cells.

    Cells that differ in nothing but the training seed are one result (`pool`): an entry of a table,
    whose numbers are means over trainings on the samples that all of them have.

    Attributes:
        manifest: What stands behind it; of several trainings the first one's.
        name: Of the classifier, as shown.
        outcomes: What was said of its samples; of several trainings the first one's.
        seen: During an attack, a row per sample; see `Store.attacks`.
        trainings: The result of each training, seeds ascending; empty if there is one.
    """

    manifest: Manifest
    name: str
    outcomes: Outcomes
    seen: pd.DataFrame | None = None
    trainings: tuple["Result", ...] = ()

    @property
    def cell(self) -> Cell:
        """The cell itself."""
        return self.manifest.cell

    @property
    def results(self) -> tuple["Result", ...]:
        """The result of each training, this one if it is alone."""
        return self.trainings or (self,)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The training seeds."""
        return tuple(result.cell.seed for result in self.results)

    @cached_property
    def each(self) -> tuple[Outcomes, ...]:
        """Outcomes of each training, on the samples that all trainings have."""
        return tuple(shared_samples([result.outcomes for result in self.results]))

    @cached_property
    def right(self) -> NDArray[np.float64]:
        """1 where a sample is recognised, else 0, (trainings, samples)."""
        return recognised(self.each)

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.each[0])

    @cached_property
    def accuracy(self) -> AccuracyEstimate:
        """Share of samples recognised, with its 95% interval, as all below."""
        return accuracy(self.each)

    @cached_property
    def uar(self) -> AccuracyEstimate:
        """Unweighted average recall."""
        return uar(self.each)

    @cached_property
    def macro_f1(self) -> AccuracyEstimate:
        """Mean F1 of the classes."""
        return macro_f1(self.each)

    @cached_property
    def d_p(self) -> Number | None:
        """Mean error of EmoDC under the right prompt; None unless every sample has one."""
        return error(self.each)

    @cached_property
    def evaluations(self) -> float | None:
        """Mean network evaluations per image; None unless every sample has them."""
        return mean([own.evaluations for own in self.each])

    @cached_property
    def seconds(self) -> float | None:
        """Mean seconds per image; None unless every sample has them."""
        return mean([own.seconds for own in self.each])


def pool(trainings: Sequence[Result]) -> Result:
    """One result of at least one training, seeds ascending."""
    return replace(trainings[0], trainings=tuple(trainings)) if len(trainings) > 1 else trainings[0]


@dataclass(frozen=True, eq=False)
class ResultSet:
    """All results of one data set and run seed: the cells that may stand in one table.

    They were measured on the same pictures under the same noise, whatever the training seed.

    Attributes:
        dataset: Data set id.
        seed: Run seed.
        slug: Unique among the store's groups; the start of file names.
        names: Shown names by classifier, in plan order.
        planned: All planned cells, in report order, less those measured for decisions alone.
        results: The complete ones, in the same order.
        drawn: Whether the pictures are drawn faces, which say nothing about real ones.
        protocol: Which pictures and whose split, for captions; empty if that goes without saying.
        title: What the data set is called in print, such as RAF-DB basic; empty if it has no name.
        flips: The complete cells of perturbation sequences, which are not among `results`.
        levels: Those of continuous levels, which are not among `results` either.
        draws: Those with several verdicts on each picture, likewise.
        certified: Those with certificates by randomised smoothing, likewise.
        validation: Those of clean validation pictures, likewise.
        views: Those of views of clean test pictures, likewise.
    """

    dataset: str
    seed: int
    slug: str
    names: dict[str, str]
    planned: tuple[Cell, ...]
    results: tuple[Result, ...]
    drawn: bool
    protocol: str = ""
    title: str = ""
    flips: tuple[Flips, ...] = ()
    levels: tuple[Result, ...] = ()
    draws: tuple[Result, ...] = ()
    certified: tuple[Result, ...] = ()
    validation: tuple[Result, ...] = ()
    views: tuple[Result, ...] = ()

    @property
    def key(self) -> tuple[str, int]:
        """Data set and run seed: what makes it a group."""
        return self.dataset, self.seed

    @cached_property
    def classes(self) -> list[str]:
        """The data set's classes, in the order of the first manifest that names them."""
        return list(dict.fromkeys(name for r in self.results for name in r.manifest.classes))

    @cached_property
    def seeds(self) -> list[int]:
        """All training seeds, ascending; a classifier brought along has none of its own."""
        each = self._seeds_by_classifier.values()
        return sorted(set().union(*([seeds for seeds in each if len(seeds) > 1] or each)))

    @cached_property
    def several(self) -> bool:
        """Whether a classifier has several training seeds, so that numbers are means over them."""
        return any(len(seeds) > 1 for seeds in self._seeds_by_classifier.values())

    @cached_property
    def _seeds_by_classifier(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for cell in self.planned:
            found.setdefault(cell.classifier, set()).add(cell.seed)
        return found

    @property
    def data(self) -> str:
        """The data set and the protocol, for captions."""
        return f"{self.dataset} ({self.protocol})" if self.protocol else self.dataset

    @cached_property
    def data_digest(self) -> str | None:
        """Content digest of the data set, None if the run did not store it."""
        digest = self.results[0].manifest.inputs.get("data")
        return digest if isinstance(digest, str) else None

    def file_name(self, what: str) -> str:
        """Base of a file's name, in characters that file systems and LaTeX labels take."""
        return re.sub(r"[^A-Za-z0-9._]+", "-", f"{self.slug}-{what}").strip("-.")

    @cached_property
    def _index(self) -> dict[tuple[str, str, str], Result]:
        found: dict[tuple[str, str, str], list[Result]] = {}
        for r in self.results:
            key = r.cell.classifier, r.cell.perturbation, r.cell.severity
            found.setdefault(key, []).append(r)
        by_seed = {key: sorted(own, key=lambda r: r.cell.seed) for key, own in found.items()}
        pooled = {key: pool(own) for key, own in by_seed.items()}
        # Trainings that were measured on other pictures have no mean.
        return {key: own for key, own in pooled.items() if len(own.each[0])}

    @cached_property
    def _severities(self) -> dict[str, dict[str, float]]:
        """By perturbation, the level of each planned severity, ascending."""
        levels: dict[str, dict[str, float]] = {}
        for cell in sorted(self.planned, key=lambda cell: cell.level):
            levels.setdefault(cell.perturbation, {})[cell.severity] = cell.level
        return levels

    def perturbations(self, family: str) -> list[str]:
        """A family's perturbations that have a complete cell, in report order."""
        return list(self._perturbations.get(family, ()))

    @cached_property
    def _perturbations(self) -> dict[str, dict[str, None]]:
        complete = {(r.cell.family, r.cell.perturbation) for r in self.results}
        found: dict[str, dict[str, None]] = {}
        for cell in self.planned:
            if (cell.family, cell.perturbation) in complete:
                found.setdefault(cell.family, {})[cell.perturbation] = None
        return found

    def severities(self, perturbation: str) -> list[str]:
        """A perturbation's planned severities or budgets, ascending."""
        return list(self._severities.get(perturbation, ()))

    def seen(self, classifier: str, perturbation: str) -> bool:
        """Whether a classifier met this perturbation, or one alike, in training."""
        return seen(self._training.get(classifier, {}), perturbation)

    @cached_property
    def _training(self) -> dict[str, dict[str, Any]]:
        """By classifier; the same for all cells, but for seeds and seconds."""
        return {r.cell.classifier: r.manifest.training for r in self.results}

    def get(self, classifier: str, perturbation: str, severity: str) -> Result | None:
        """The complete results of one table entry, None if there are none."""
        return self._index.get((classifier, perturbation, severity))

    def clean(self, classifier: str) -> Result | None:
        """The classifier's results on clean pictures, None if there are none."""
        own = (pooled for key, pooled in self._index.items() if key[0] == classifier)
        return next((p for p in own if p.cell.about.clean), None)

    def under(self, classifier: str, perturbation: str) -> list[Result]:
        """The classifier's complete results under one perturbation, severity ascending."""
        found = (self.get(classifier, perturbation, s) for s in self.severities(perturbation))
        return [result for result in found if result is not None]

    def baseline(self, classifier: str, perturbation: str) -> Result | None:
        """The classifier's result on the clean pictures of a perturbation's own samples.

        Attacks run on a subset; what they cost can only be read against the same pictures, and the
        same trainings.

        Returns:
            None without a clean result that has all these samples, without a perturbed one, or if
            the perturbed ones are not all of the same samples.
        """
        clean, perturbed = self.clean(classifier), self.under(classifier, perturbation)
        each = [r.outcomes.ids for pooled in perturbed for r in pooled.results]
        if clean is None or not each or not all(same_samples(ids, each[0]) for ids in each):
            return None
        attacked = {seed for pooled in perturbed for seed in pooled.seeds}
        same = [r for r in clean.results if r.cell.seed in attacked]
        own = [replace(r, outcomes=r.outcomes.among(each[0])) for r in same]
        if not own or any(len(r.outcomes) != len(each[0]) for r in own):
            return None
        return pool(own)

    def reference(self, classifier: str, perturbation: str) -> Result | None:
        """What a perturbation's accuracies are read against: clean pictures.

        The clean cell for a corruption, which runs on all samples; `baseline` for an attack.
        """
        if perturbation in self.perturbations("attack"):
            return self.baseline(classifier, perturbation)
        return self.clean(classifier)

    def mean(self, classifier: str, perturbation: str) -> AccuracyEstimate | None:
        """Mean accuracy over all planned severities, None unless every one is complete.

        Of each picture's share of severities at which it is recognised; every severity must have
        the same seeds.
        """
        perturbed = self.under(classifier, perturbation)
        if not perturbed or len(perturbed) < len(self.severities(perturbation)):
            return None
        if len({pooled.seeds for pooled in perturbed}) > 1:
            return None
        shared = shared_samples([r.outcomes for pooled in perturbed for r in pooled.results])
        right = recognised(shared).reshape(len(perturbed), len(perturbed[0].seeds), -1)
        return share(right.mean(axis=0))


# ------------------------------------------------------------------------------------------------
# Reading a store
# ------------------------------------------------------------------------------------------------

_ORDER = list(FAMILIES)


@dataclass(frozen=True)
class Missing:
    """A planned cell that the report cannot use, and why."""

    cell: Cell
    name: str  # of the classifier, as shown
    reason: str

    def __str__(self) -> str:
        """One line for a list of missing cells."""
        cell = self.cell
        what = pictures_of(cell.condition, cell.family, cell.severity)
        where = f"{self.name} on {cell.dataset}, {what}, seed {cell.seed}"
        return f"{where}: {self.reason}"


@dataclass(frozen=True)
class Results:
    """Everything that a report shows.

    Attributes:
        complete: Results of the complete cells, in report order (`report_order`).
        missing: The other planned cells, in the same order.
        flips: The complete cells of perturbation sequences, in the same order.
        levels: Those of continuous levels, likewise.
        draws: Those with several verdicts on each picture, likewise.
        certified: Those with certificates by randomised smoothing, likewise.
        validation: Those of clean validation pictures, likewise.
        views: Those of views of clean test pictures, likewise.
        groups: The same results, one group per data set and run seed.
        refused: Why stored files are not believed, a sentence each; nothing of them is shown.
    """

    complete: tuple[Result, ...]
    missing: tuple[Missing, ...]
    groups: tuple[ResultSet, ...]
    flips: tuple[Flips, ...] = ()
    levels: tuple[Result, ...] = ()
    draws: tuple[Result, ...] = ()
    certified: tuple[Result, ...] = ()
    validation: tuple[Result, ...] = ()
    views: tuple[Result, ...] = ()
    refused: tuple[str, ...] = ()

    @property
    def finished(self) -> int:
        """Number of cells that are shown, or that what is shown rests on."""
        apart = (
            *(self.flips, self.levels, self.draws, self.certified),
            *(self.validation, self.views),
        )
        return len(self.complete) + sum(map(len, apart))


#: What follows the name of a classifier that adapts to the pictures it is measured on.
TRANSDUCTIVE = " (transductive)"


def adapts(manifests: Iterable[Manifest | None]) -> bool:
    """Whether a classifier adapts to the pictures that it is measured on (transductive)."""
    return any(own and "adapted" in (own.inputs.get("evaluation") or {}) for own in manifests)


def display_name(classifier: str, gates: Iterable[Gate | None], transductive: bool = False) -> str:
    """The classifier as every table, figure and file names it.

    An EmoDC checkpoint that is no longer a denoiser, or whose prompt does not matter, says so
    wherever its accuracy stands. One failed check among its cells marks all of them, for they
    share rows of tables.
    """
    if transductive:
        return classifier + TRANSDUCTIVE
    known = [gate for gate in gates if gate is not None]
    failed = [] if all(gate.passed for gate in known) else ["denoiser"]
    if any(gate.conditioning is not None and not gate.conditioning.passed for gate in known):
        failed.append("conditioning")
    checks = "check" if len(failed) == 1 else "checks"
    return f"{classifier} ({' and '.join(failed)} {checks} failed)" if failed else classifier


def read(root: Path) -> Results:
    """Read and measure all planned cells of the store at `root`.

    Raises:
        UserError: If there is no readable plan, or no planned cell is complete.
    """
    store = Store(root)
    planned = report_order(store.planned())
    bases = Bases.of(store)
    stored = {cell: store.manifest(cell) for cell in planned}
    manifests = {cell: own and bases.judged(own) for cell, own in stored.items()}
    names = _names(planned, manifests)
    measured, flips, missing = _measured(store, planned, names, manifests)
    complete = tuple(result for result in measured if result.cell.about.place == "results")
    if not complete:
        raise UserError(
            f"{root} holds no complete cell of the {len(planned)} planned, so there is nothing to "
            "report. The same `bench run` goes on where it stopped.",
            1,
        )
    apart = [result for result in measured if result.cell.about.place != "results"]
    groups = tuple(_with_apart(g, flips, apart) for g in _grouped(planned, names, complete, store))
    why = "no other cell of its data set and seed is finished"
    known = {group.key for group in groups}
    alone: list[Flips | Result] = [*apart, *flips]
    missing += [
        Missing(one.cell, one.name, why) for one in alone if _group_key(one.cell) not in known
    ]
    damaged = [one.reason for one in missing if str(root) in one.reason]
    return Results(
        complete,
        tuple(missing),
        groups,
        refused=tuple(dict.fromkeys([*damaged, *store.refused.values()])),
        flips=tuple(one for group in groups for one in group.flips),
        levels=tuple(one for group in groups for one in group.levels),
        draws=tuple(one for group in groups for one in group.draws),
        certified=tuple(one for group in groups for one in group.certified),
        validation=tuple(one for group in groups for one in group.validation),
        views=tuple(one for group in groups for one in group.views),
    )


def _measured(
    store: Store,
    planned: Sequence[Cell],
    names: dict[tuple[tuple[str, int], str], str],
    manifests: dict[Cell, Manifest | None],
) -> tuple[list[Result], list[Flips], list[Missing]]:
    """Every planned cell, as what it is or why it is missing."""
    measured: list[Result] = []
    flips: list[Flips] = []
    missing: list[Missing] = []
    like: dict[str, Outcomes] = {}  # by family: cells of one mostly have the same samples
    for cell in planned:
        manifest, name = manifests[cell], names[_group_key(cell), cell.classifier]
        if manifest is None:
            refused = store.refused.get(store.folder(cell) / "cell.json")
            missing.append(Missing(cell, name, refused or "not finished"))
            continue
        try:
            known = like.get(cell.family)
            outcomes = like[cell.family] = checked(store, manifest, known)
            if cell.about.place == "flips":
                flips.append(flips_of(manifest, name, outcomes))
            else:
                seen = store.attacks(manifest) if cell.family == "attack" else None
                measured.append(Result(manifest, name, outcomes, seen))
        except (UserError, ValueError) as error:
            missing.append(Missing(cell, name, str(error)))
    return measured, flips, missing


def _with_apart(group: ResultSet, flips: Sequence[Flips], apart: Sequence[Result]) -> ResultSet:
    """The group with what it keeps apart from its results."""
    own = [result for result in apart if _group_key(result.cell) == group.key]
    return replace(
        group,
        flips=tuple(one for one in flips if _group_key(one.cell) == group.key),
        levels=_placed(own, "levels"),
        draws=_placed(own, "draws"),
        certified=_placed(own, "certified"),
        validation=_placed(own, "validation"),
        views=_placed(own, "views"),
    )


def _placed(results: Sequence[Result], place: str) -> tuple[Result, ...]:
    return tuple(result for result in results if result.cell.about.place == place)


def report_order(cells: Sequence[Cell]) -> list[Cell]:
    """Cells by classifier, data set, seed, family, perturbation and severity.

    Classifiers, data sets and perturbations keep the plan's order, in which they first occur;
    families go from clean over corruptions to attacks, severities and seeds upwards.
    """
    classifiers = list(dict.fromkeys(cell.classifier for cell in cells))
    datasets = list(dict.fromkeys(cell.dataset for cell in cells))
    perturbations = list(dict.fromkeys(cell.perturbation for cell in cells))

    def key(cell: Cell) -> tuple[float, ...]:
        return (
            classifiers.index(cell.classifier),
            datasets.index(cell.dataset),
            cell.run_seed,
            cell.seed,
            _ORDER.index(cell.family),
            perturbations.index(cell.perturbation),
            cell.level,
        )

    return sorted(cells, key=key)


def checked(store: Store, manifest: Manifest, like: Outcomes | None) -> Outcomes:
    """The rows, refused unless they are what was promised."""
    return Outcomes.of(store.table(manifest), manifest.classes, like)


def _group_key(cell: Cell) -> tuple[str, int]:
    return cell.dataset, cell.run_seed


def _names(
    planned: Sequence[Cell], manifests: dict[Cell, Manifest | None]
) -> dict[tuple[tuple[str, int], str], str]:
    """Shown names by group and classifier."""
    found: dict[tuple[tuple[str, int], str], list[Manifest]] = {}
    for cell in planned:
        manifest = manifests[cell]
        known = found.setdefault((_group_key(cell), cell.classifier), [])
        if manifest is not None:
            known.append(manifest)
    return {
        key: display_name(key[1], [own.gate for own in known], adapts(known))
        for key, known in found.items()
    }


def _grouped(
    planned: Sequence[Cell],
    names: dict[tuple[tuple[str, int], str], str],
    complete: Sequence[Result],
    store: Store,
) -> tuple[ResultSet, ...]:
    """One group per data set and run seed that has a complete cell."""
    keys = list(dict.fromkeys(_group_key(result.cell) for result in complete))
    groups = []
    for key in keys:
        cells = tuple(
            cell for cell in planned if _group_key(cell) == key and not cell.about.for_decisions
        )
        own = tuple(result for result in complete if _group_key(result.cell) == key)
        shown = {c.classifier: names[key, c.classifier] for c in cells}
        alone = sum(dataset == key[0] for dataset, _ in keys) == 1
        slug = key[0] if alone else f"{key[0]}-seed{key[1]}"
        drawn = any(store.is_drawn(result.manifest) for result in own)
        group = ResultSet(*key, slug, shown, cells, own, drawn)
        record = group.data_digest and store.dataset(group.dataset, group.data_digest)
        if record:
            # What has no name of its own is described: drawn faces, folder of pictures.
            title = record.kind if record.kind[:1].isupper() else ""
            group = replace(group, protocol=record.protocol, title=title)
        groups.append(group)
    return tuple(groups)


# ------------------------------------------------------------------------------------------------
# Groups of pictures: what the store knows of the pictures behind results
# ------------------------------------------------------------------------------------------------

CLASS = "class"


@dataclass(frozen=True, eq=False)
class Attribute:
    """How an attribute divides the measured pictures.

    Attributes:
        name: Such as "age".
        values: Those that a measured picture has, in table order.
        known: Value of each picture that has one, by sample id.
    """

    name: str
    values: tuple[str, ...]
    known: Mapping[str, str]

    def masks(self, ids: NDArray[np.object_]) -> list[NDArray[np.bool_]]:
        """Which of the samples (N,) have each value, (N,) each."""
        code = {value: i for i, value in enumerate(self.values)}
        codes = np.array([code.get(self.known.get(name, ""), -1) for name in ids])
        return [codes == i for i in range(len(self.values))]


def recorded(group: ResultSet, store: Store) -> DatasetRecord | None:
    """The facts of the group's data set, None if the store does not hold them."""
    return None if group.data_digest is None else store.dataset(group.dataset, group.data_digest)


def classes(group: ResultSet) -> Attribute:
    """The right class, as the rows have it."""
    known: dict[str, str] = {}
    for outcomes in _sets_of_samples(group):
        names = np.array(outcomes.classes, object)[outcomes.labels]
        known |= dict(zip(outcomes.ids, names, strict=True))
    return _attribute(CLASS, group.classes, known, known)


def attributes(group: ResultSet, store: Store) -> list[Attribute]:
    """What the store records of the pictures besides; none if it was not told.

    An attribute that does not divide the measured pictures is left out.
    """
    record = recorded(group, store)
    samples = None if record is None else store.samples(record.name, record.digest)
    if record is None or samples is None:
        return []
    measured = {name for outcomes in _sets_of_samples(group) for name in outcomes.ids}
    found = []
    for name, values in record.groups.items():
        given = dict(zip(samples["sample_id"], samples[name], strict=True))
        # The name of the right class is taken, in headers and file names.
        shown = f"{name} (recorded)" if name.lower() == CLASS else name
        found.append(_attribute(shown, values, given, measured))
    return [own for own in found if len(own.values) > 1]


def _sets_of_samples(group: ResultSet) -> list[Outcomes]:
    """One per set of samples; attacks run on a part of them."""
    each = [result.outcomes for result in group.results if result.cell.about.model_free]
    return list({id(outcomes.ids): outcomes for outcomes in each}.values())


def _attribute(
    name: str,
    values: Sequence[str],
    given: Mapping[str, str | None],
    measured: Collection[str],
) -> Attribute:
    known = {i: value for i, value in given.items() if value is not None and i in measured}
    found = set(known.values())
    return Attribute(name, tuple(value for value in values if value in found), known)
