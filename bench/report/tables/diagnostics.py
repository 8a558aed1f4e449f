"""What EmoDC's traces say of it, and their tables."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from bench.config import Config
from bench.data.base import DataSet
from bench.data.open import open_dataset
from bench.perturb.base import Address, Batch
from bench.report.outcomes import AccuracyEstimate, Number, shared_samples
from bench.report.present import csv_cell
from bench.report.results import Result, Results, ResultSet
from bench.report.spec import TableSpec, Value, caption
from bench.stats import Interval
from bench.store.cells import Cell, Manifest, pictures_of
from bench.store.store import Store
from bench.util.errors import UserError
from emodc import analysis
from emodc.analysis import Estimate, Floats

# ------------------------------------------------------------------------------------------------
# What errors say: by prompt and timestep, margins, one picture
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Traced:
    """A complete EmoDC cell and its trace; outcomes, errors and timesteps are in one order.

    Attributes:
        result: The cell.
        errors: float32 (N, K, S).
        timesteps: int32 (N, S).
    """

    result: Result
    errors: np.ndarray
    timesteps: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """Indices of the right classes, (N,)."""
        return self.result.outcomes.labels

    @property
    def name(self) -> str:
        """The condition, as shown."""
        return _named(self.result)

    def binned(self, edges: Floats) -> Floats:
        """Mean errors by timestep bin, (N, K, B)."""
        return analysis.bin_means(self.errors, self.timesteps, edges)


def _named(result: Result) -> str:
    """A result's condition, as shown."""
    cell = result.cell
    return pictures_of(cell.perturbation.replace("_", " "), cell.family, cell.severity)


def with_traces(result: Result, store: Store) -> Traced | None:
    """A result with its trace; None if the store has none that is complete and fits its rows."""
    traces = store.traces(result.manifest)
    if traces is None or not traces.complete or list(traces.ids) != list(result.outcomes.ids):
        return None
    if traces.errors.shape[1] != len(result.manifest.classes):
        return None
    return Traced(result, traces.errors, traces.timesteps)


def strongest(group: ResultSet, beside: Result) -> list[Result]:
    """For each corruption, the same classifier's and seed's result at the highest severity."""
    found: dict[str, Result] = {}
    for result in group.results:
        cell, own = result.cell, beside.cell
        if cell.about.corrupted and (cell.classifier, cell.seed) == (own.classifier, own.seed):
            known = found.get(cell.perturbation)
            if known is None or known.cell.level < cell.level:
                found[cell.perturbation] = result
    return list(found.values())


# ------------------------------------------------------------------------------------------------
# The picture that shows what happens to EmoDC's errors where another classifier gives way.


@dataclass(frozen=True)
class PictureCase:
    """One picture under one condition.

    Attributes:
        condition: Its name.
        decisions: Predictions by classifier, as shown; None is a tie.
        errors: EmoDC's errors per class; None if it stopped early, or its trace is not stored.
        pixels: uint8 (H, W, 3); None unless it is drawn or generated, and its data set is here.
    """

    condition: str
    decisions: dict[str, str | None]
    errors: analysis.ClassErrors | None
    pixels: np.ndarray | None = None


@dataclass(frozen=True)
class Example:
    """One picture, clean and corrupted.

    Attributes:
        sample_id: Which.
        label: Its class.
        rule: How it was chosen.
        clean: What was said of it.
        corrupted: What was said of it then.
    """

    sample_id: str
    label: str
    rule: str
    clean: PictureCase
    corrupted: PictureCase


def find_example(
    group: ResultSet, clean: Traced, corrupted: Sequence[tuple[Result, Traced | None]], store: Store
) -> Example | None:
    """The first picture whose decision another classifier changes from right to wrong.

    Chosen by the other classifier alone, so that EmoDC's own decision has no part in it. Without
    another classifier it is EmoDC's own that changes.

    Args:
        group: Where all of them stand.
        clean: EmoDC on clean pictures.
        corrupted: EmoDC under corruptions; those that have a trace are preferred.
        store: For the pictures' data set.
    """
    own = clean.result
    others = [r for r in group.results if r.cell.about.clean and not r.manifest.timesteps]
    for judge in [*others, own]:
        for result, traced in sorted(corrupted, key=lambda both: both[1] is None):
            after = _under(group, judge, result)
            changed = [] if after is None else _changed(judge, after)
            both = [i for i in changed if i in own.outcomes.ids and i in result.outcomes.ids]
            if after is None or not both:
                continue
            rule = f"the first that {judge.name} gets right clean and wrong under {_named(result)}"
            if judge is own:
                rule += ", as no other classifier has such a one"
            label = judge.outcomes.label(both[0])
            sides = _side(both[0], own, clean, judge), _side(both[0], result, traced, after)
            pixels = _pixels(store, both[0], result.cell, own)
            seen = (replace(side, pixels=p) for side, p in zip(sides, pixels, strict=True))
            return Example(both[0], label, rule, *seen)
    return None


def _under(group: ResultSet, judge: Result, like: Result) -> Result | None:
    """A classifier's result under another cell's perturbation."""
    wanted = (judge.cell.classifier, judge.cell.seed, like.cell.perturbation, like.cell.severity)
    for result in group.results:
        cell = result.cell
        if (cell.classifier, cell.seed, cell.perturbation, cell.severity) == wanted:
            return result
    return None


def _side(sample_id: str, result: Result, traced: Traced | None, judged: Result) -> PictureCase:
    decisions = {r.name: r.outcomes.decision(sample_id) for r in (judged, result)}
    errors = None
    if traced is not None:
        row = int(np.searchsorted(result.outcomes.ids, sample_id))
        errors = analysis.class_errors(traced.errors[row])
    return PictureCase(_named(result), decisions, errors)


def _pixels(
    store: Store, sample_id: str, cell: Cell, clean: Result
) -> tuple[np.ndarray, np.ndarray] | tuple[None, None]:
    """A picture that may be shown, clean and corrupted; draws are addressed."""
    opened = showable(store, clean.manifest)
    if opened is None or opened[0].clips is not None:
        return None, None
    config, dataset = opened
    try:
        [sample] = [s for s in dataset.samples("test") if s.id == sample_id]
        perturbation = next(
            p for p, _ in config.perturbations.members() if p.name == cell.perturbation
        )
        batch = Batch([dataset.shown(sample)], [sample.id], [sample.label])
        address = Address(cell.run_seed, cell.dataset)
        [changed] = perturbation.apply(batch, cell.severity, address, None)
    except (UserError, ValueError, StopIteration, OSError):  # it is not here, or not as it was
        return None, None
    return batch.pictures[0], changed


def showable(store: Store, manifest: Manifest) -> tuple[Config, DataSet] | None:
    """The data set of a cell if its pictures may be shown, and are here as they were; its run.

    Of drawn or generated faces: real ones are in no report, for their owners give them out under
    agreements.
    """
    given = store.configs().get(manifest.cell.dataset)
    if given is None or not store.is_drawn(manifest):
        return None
    try:
        config = Config.model_validate(given)
        dataset = open_dataset(config.data, config.seed, clips=config.clips)
    except (UserError, ValueError, OSError):
        return None
    same = dataset.digest == manifest.inputs.get("data")
    return (config, dataset) if same and dataset.synthetic else None


def _changed(clean: Result, corrupted: Result) -> list[str]:
    """Samples recognised in the one and not in the other, by id."""
    before, after = shared_samples([clean.outcomes, corrupted.outcomes])
    return list(before.ids[before.right & ~after.right])


# ------------------------------------------------------------------------------------------------
# What the stored traces say of each EmoDC, as numbers; `bench.report.figures` draws them.
#
# Traces are of the test pictures. They explain a result; choosing timesteps or margins by them
# would fit the test set.


BINS = 10
CONDITIONS = 4  # lines that a panel can hold: clean, and the first corruptions at their strongest
ALPHA = 0.2  # of the adaptive margin, where an EmoDC was not trained with one

#: Prompts that are compared with the right class's, as they are shown.
PROMPTS = {"null": "null prompt", "non_class": "non-class prompt", "negative": "negatives, mean"}


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What one EmoDC's traces say.

    Attributes:
        group: Where it stands.
        conditions: Clean, then corruptions at their strongest stored severity.
        prompts: Mean errors by prompt ("positive" and some of `PROMPTS`) of the pictures measured
            under all of them, (M,) each.
        example: A picture whose decision changes, if there is one.
    """

    group: ResultSet
    conditions: tuple[Traced, ...]
    prompts: dict[str, Floats]
    example: Example | None

    @property
    def clean(self) -> Traced:
        """The clean cell."""
        return self.conditions[0]

    @property
    def name(self) -> str:
        """The classifier, as shown."""
        return self.clean.result.name

    @property
    def where(self) -> str:
        """Data set and seed, for captions."""
        return f"Data set {self.group.data}, seed {self.clean.result.cell.seed}"

    def file_name(self, what: str) -> str:
        """Base of a figure's file name."""
        return self.group.file_name(f"{self.clean.result.cell.classifier}-{what}")

    @cached_property
    def edges(self) -> Floats:
        """Edges of the timestep bins, (B + 1,)."""
        planned = self.clean.result.manifest.inputs.get("evaluation") or {}
        grid = self.clean.timesteps
        low, high = planned.get("low", int(grid.min())), planned.get("high", int(grid.max()) + 1)
        return analysis.timestep_bins(low, high, min(BINS, grid.shape[1]))

    @cached_property
    def correlations(self) -> dict[str, Estimate | None]:
        """Pearson's r of each prompt's error with d_p."""
        d_p = self.prompts["positive"]
        others = {k: self.prompts[k] for k in PROMPTS if k in self.prompts}
        return {k: analysis.correlation(d_p, values) for k, values in others.items()}

    @cached_property
    def above(self) -> dict[str, Estimate | None]:
        """Mean of each prompt's error minus d_p."""
        d_p = self.prompts["positive"]
        return {k: analysis.mean(self.prompts[k] - d_p) for k in self.correlations}

    @cached_property
    def gaps(self) -> Floats:
        """d_n - d_p on clean pictures by timestep bin, (N, K - 1, B)."""
        return analysis.gaps(self.clean.binned(self.edges), self.clean.labels)

    def informativeness(self, traced: Traced) -> list[tuple[Estimate | None, Estimate | None]]:
        """Per timestep bin, the accuracy of its decision alone and the d' of its mean gap."""
        if traced not in self._informativeness:  # tables and figures ask for the same
            binned = traced.binned(self.edges)
            accuracies = analysis.bin_accuracy(binned, traced.labels)
            gaps = analysis.gaps(binned, traced.labels).mean(axis=1).T
            both = zip(accuracies, map(analysis.separation, gaps), strict=True)
            self._informativeness[traced] = list(both)
        return self._informativeness[traced]

    @cached_property
    def _informativeness(
        self,
    ) -> dict[Traced, list[tuple[Estimate | None, Estimate | None]]]:
        return {}

    @cached_property
    def margins(self) -> analysis.Margins:
        """A fixed and an adaptive margin on clean pictures."""
        return analysis.margins(self.clean.errors, self.clean.labels, self.alpha)

    @cached_property
    def alpha(self) -> float:
        """What the last stage was trained with if its margin is on d_p, else `ALPHA`."""
        stages = _training(self.clean.result).get("stages") or [{}]
        objective = stages[-1].get("objective", {})
        own = objective.get("alpha") if objective.get("c_nn") == "positive" else None
        return ALPHA if own is None else float(own)


def diagnose(results: Results, store: Store) -> tuple[list[Diagnosis], list[str]]:
    """Every EmoDC of a report, and a sentence for each that has no diagnostics.

    Of an EmoDC trained with several seeds, the first stands for the others.
    """
    found, absent = [], []
    for group in results.groups:
        clean: dict[str, Result] = {}
        for result in group.results:
            if result.cell.about.clean and result.manifest.timesteps:
                clean.setdefault(result.cell.classifier, result)
        for result in clean.values():
            traced = with_traces(result, store)
            if traced is None:
                absent.append(
                    f"{result.name} on {group.dataset}: the store holds no whole trace of its clean"
                    " pictures, so there are no diagnostics; the same `bench run` makes it."
                )
            else:
                found.append(_diagnosis(group, traced, store))
    if not found and not absent:
        absent.append("The store holds no EmoDC with clean pictures, so there is nothing to tell.")
    return found, absent


def _diagnosis(group: ResultSet, clean: Traced, store: Store) -> Diagnosis:
    corrupted = [(r, with_traces(r, store)) for r in strongest(group, clean.result)]
    traced = [own for _, own in corrupted if own is not None]
    prompts = _prompts(clean, store)
    example = find_example(group, clean, corrupted, store)
    return Diagnosis(group, (clean, *traced[: CONDITIONS - 1]), prompts, example)


def _prompts(clean: Traced, store: Store) -> dict[str, Floats]:
    stored = store.other_prompts(clean.result.manifest)
    position = {name: i for i, name in enumerate(clean.result.outcomes.ids)}
    if stored is None or not set(stored.ids) <= position.keys():
        return analysis.prompt_means(clean.errors, clean.labels)
    rows = [position[name] for name in stored.ids]
    others = {"null": stored.null, "non_class": stored.non_class}
    return analysis.prompt_means(clean.errors[rows], clean.labels[rows], others)


def _training(result: Result) -> dict[str, Any]:
    """How the classifier was trained, as far as its manifest tells."""
    found = result.manifest.model_dump().get("training")
    return found if isinstance(found, dict) else {}


# ------------------------------------------------------------------------------------------------
# Tables
# ------------------------------------------------------------------------------------------------

_WHERE = ("classifier", "dataset", "seed", "condition")
_COLUMNS = (*_WHERE, "quantity", "of", "value", "low", "high", "n")
_INTRO = (
    "What stored errors say of each EmoDC, measured on test pictures: they explain results, and "
    "choose nothing."
)


def diagnostic_tables(diagnoses: Sequence[Diagnosis]) -> list[TableSpec]:
    """The tables of every EmoDC that have a row."""
    made = (correlation_table, timestep_table, margin_table)
    specs = (make(diagnosis) for diagnosis in diagnoses for make in made)
    return [spec for spec in specs if spec.rows]


def notes(diagnoses: Sequence[Diagnosis], absent: Sequence[str]) -> list[str]:
    """What is to be said before the tables, and why some are not there."""
    found = [_INTRO] if diagnoses else []
    for diagnosis in diagnoses:
        if not PROMPTS.keys() <= diagnosis.prompts.keys():
            found.append(
                f"{diagnosis.name}: the store holds no errors under the null and the non-class "
                "prompt (evaluation.other_prompts), so only negatives are compared."
            )
        if diagnosis.example is None:
            found.append(
                f"{diagnosis.name}: no example, for no stored corruption turns a right decision "
                "into a wrong one."
            )
    return [*found, *absent]


def numbers_csv(diagnoses: Sequence[Diagnosis]) -> str:
    """One row per number, fractions in [0, 1]; numbers that are undefined are left out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for diagnosis in diagnoses:
        cell = diagnosis.clean.result.cell
        for condition, quantity, of, found in _numbers(diagnosis):
            if found is not None:
                numbers = (f"{v:.6g}" for v in (found.value, found.low, found.high))
                where = (csv_cell(diagnosis.name), csv_cell(cell.dataset), cell.seed, condition)
                writer.writerow([*where, quantity, of, *numbers, found.n])
    return text.getvalue()


def correlation_table(diagnosis: Diagnosis) -> TableSpec:
    """How the error under the right prompt goes together with those under others."""
    header = ("prompt", "n", "r with d_p", "mean d - d_p")
    rows: list[tuple[Value, ...]] = [
        (
            PROMPTS[name],
            str(len(diagnosis.prompts["positive"])),
            _number(found, 3),
            _number(diagnosis.above[name], 5),
        )
        for name, found in diagnosis.correlations.items()
    ]
    about = "Errors of clean pictures, mean over steps: Pearson's r with d_p, and difference to it"
    return _spec(diagnosis, "correlation", "Errors under other prompts", about, header, rows)


def timestep_table(diagnosis: Diagnosis) -> TableSpec:
    """What each timestep bin alone tells."""
    shown = [(t, diagnosis.informativeness(t)) for t in diagnosis.conditions]
    names = [f"{t.name}: {what}" for t, _ in shown for what in ("accuracy %", "n", "d'")]
    rows: list[tuple[Value, ...]] = []
    for number, name in enumerate(_bins(diagnosis)):
        row: list[Value] = [name]
        for _, found in shown:
            accuracy, separation = found[number]
            row += [_percent(accuracy), _count(accuracy), _number(separation, 2)]
        rows.append(tuple(row))
    about = "Decisions from one timestep bin alone: accuracy, and separation d' of d_n from d_p"
    return _spec(diagnosis, "timesteps", "Timesteps", about, ("timesteps", *names), rows)


def margin_table(diagnosis: Diagnosis) -> TableSpec:
    """Shares of pictures that keep a fixed and an adaptive margin."""
    found = diagnosis.margins
    rows: list[tuple[Value, ...]] = []
    for name, part in (("easy third", found.easy), ("hard third", found.hard)):
        fixed, adaptive = found.kept("fixed", part), found.kept("adaptive", part)
        rows.append((name, _count(fixed), _percent(fixed), _percent(adaptive)))
    header = ("pictures", "n", f"d_p + {found.fixed:.4f} %", f"{1 + found.alpha:g} d_p %")
    about = "Clean pictures whose lowest d_n exceeds d_p by a margin, in thirds by d_p"
    return _spec(diagnosis, "margins", "Margins", about, header, rows)


def _numbers(diagnosis: Diagnosis) -> Iterator[tuple[str, str, str, Estimate | None]]:
    """(condition, quantity, of what, estimate)."""
    for name, found in diagnosis.correlations.items():
        yield "clean", "correlation with d_p", PROMPTS[name], found
        yield "clean", "mean d - d_p", PROMPTS[name], diagnosis.above[name]
    for traced in diagnosis.conditions:
        found_bins = diagnosis.informativeness(traced)
        for of, (accuracy, separation) in zip(_bins(diagnosis), found_bins, strict=True):
            yield traced.name, "accuracy of timesteps", of, accuracy
            yield traced.name, "d' of timesteps", of, separation
    margins = diagnosis.margins
    for name, part in (("easy third", margins.easy), ("hard third", margins.hard)):
        yield "clean", f"kept fixed margin {margins.fixed:.6g}", name, margins.kept("fixed", part)
        adaptive = f"kept adaptive margin {margins.alpha:g} d_p"
        yield "clean", adaptive, name, margins.kept("adaptive", part)


def _bins(diagnosis: Diagnosis) -> list[str]:
    return [f"{low:.0f}-{high:.0f}" for low, high in pairwise(diagnosis.edges)]


def _spec(
    diagnosis: Diagnosis,
    what: str,
    title: str,
    about: str,
    header: tuple[str, ...],
    rows: list[tuple[Value, ...]],
) -> TableSpec:
    return TableSpec(
        diagnosis.file_name(what),
        f"{title}, {diagnosis.name}, {diagnosis.group.slug}",
        caption(about, diagnosis.where, "95% intervals"),
        header,
        tuple(rows),
        chapter="diagnostics",
    )


def _percent(found: Estimate | None) -> Value:
    if found is None:
        return None
    return AccuracyEstimate(found.value, Interval(found.low, found.high))


def _count(found: Estimate | None) -> str | None:
    return None if found is None else str(found.n)


def _number(found: Estimate | None, digits: int) -> Number | None:
    if found is None:
        return None
    return Number(found.value, digits, Interval(found.low, found.high))
