"""A cell's rows as columns of numbers, and what is measured over a cell or several trainings."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, inf
from statistics import fmean
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench import stats as metrics
from bench.stats import Interval, SampleScores, mean_of_proportions, tango, wilson, wilson_of_mean
from bench.stats.bootstrap import two_level, two_level_difference
from bench.store.cells import Cell, Manifest
from bench.util.errors import UserError
from emodc import analysis

#: Of every test: what has a smaller adjusted p value is distinguishable.
LEVEL = 0.05

TIE = -1


# ------------------------------------------------------------------------------------------------
# Numbers as tables show them
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _InHundredths:
    """A number with its interval, both fractions; as text times 100."""

    value: float
    interval: Interval

    @property
    def range(self) -> str:
        """The interval, such as "[84.1, 90.0]"."""
        return f"[{100 * self.interval.low:.1f}, {100 * self.interval.high:.1f}]"


@dataclass(frozen=True)
class AccuracyEstimate(_InHundredths):
    """An accuracy with its interval, both fractions in [0, 1]; as text in percent."""

    def __str__(self) -> str:
        """Such as "87.3 [84.1, 90.0]"."""
        return f"{self.number} {self.range}"

    @property
    def number(self) -> str:
        """The accuracy in percent, such as "87.3"."""
        return f"{100 * self.value:.1f}"


@dataclass(frozen=True)
class Difference(_InHundredths):
    """A difference of two accuracies with its interval, both fractions; as text in points.

    Attributes:
        value: First less second.
        interval: Of it.
        p: Adjusted p value of a test, if one was made beside the interval.
    """

    p: float | None = None

    def __str__(self) -> str:
        """Such as "+1.3 [0.4, 2.2]"; says so where the interval holds 0."""
        text = f"{self.number} {self.range}"
        return text if self.distinguishable else f"{text} not distinguishable"

    @property
    def distinguishable(self) -> bool:
        """Whether the interval leaves 0 out, and the test, if there is one, agrees."""
        outside = not self.interval.low <= 0 <= self.interval.high
        return outside and (self.p is None or self.p < LEVEL)

    @property
    def number(self) -> str:
        """The difference in points, with its sign, such as "+1.3"."""
        return f"{round(100 * self.value, 1) + 0.0:+.1f}"


@dataclass(frozen=True)
class Number:
    """Any other number, shown as it is: an error of calibration, an mCE, a count of evaluations.

    Attributes:
        value: The number.
        digits: Decimals to show.
        interval: Of it, if it has one, in the same unit.
    """

    value: float
    digits: int
    interval: Interval | None = None

    def __str__(self) -> str:
        """Such as "0.123" or "0.123 [0.101, 0.150]"."""
        return f"{self.number} {self.range}" if self.range else self.number

    @property
    def number(self) -> str:
        """Such as "0.123"."""
        return _text(self.value, self.digits)

    @property
    def range(self) -> str:
        """Such as "[0.101, 0.150]", or nothing."""
        if self.interval is None:
            return ""
        low, high = (_text(end, self.digits) for end in (self.interval.low, self.interval.high))
        return f"[{low}, {high}]"


def _text(value: float, digits: int) -> str:
    """Rounded, and without the sign of a rounded zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def p_text(p: float) -> str:
    """A p value with three decimals, such as "0.023" or "< 0.001"."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


# ------------------------------------------------------------------------------------------------
# Rows as columns
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What a classifier said of N samples, in the order of sample ids.

    Classes are numbers here, positions in `classes`: a report reads millions of rows, and names
    would be compared as text for every metric. Nothing outside a report sees these numbers.

    Attributes:
        classes: Class names, K.
        ids: Sample ids, (N,), ascending and distinct.
        labels: int16 (N,), positions in `classes`.
        predictions: int16 (N,), positions in `classes`; `TIE` for no decision.
        logits: float32 (N, K); not finite where the classifier gave nothing usable.
        d_p: EmoDC's error under the right prompt, float32 (N,); NaN where there is none.
        evaluations: Network evaluations, float32 (N,); NaN where unknown.
        seconds: float32 (N,); NaN where unknown.
    """

    classes: tuple[str, ...]
    ids: NDArray[np.object_]
    labels: NDArray[np.int16]
    predictions: NDArray[np.int16]
    logits: NDArray[np.float32]
    d_p: NDArray[np.float32]
    evaluations: NDArray[np.float32]
    seconds: NDArray[np.float32]

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.ids)

    @cached_property
    def right(self) -> NDArray[np.bool_]:
        """Which samples are recognised, (N,)."""
        return self.labels == self.predictions

    @cached_property
    def without_number(self) -> int:
        """How many samples have no decision because logits are NaN or infinite."""
        undecided = self.predictions == TIE
        return int((~np.isfinite(self.logits[undecided].max(axis=1, initial=-np.inf))).sum())

    @classmethod
    def of(cls, table: pa.Table, classes: Sequence[str], like: Self | None = None) -> Self:
        """From rows of the store (`bench.store.store.ROW_SCHEMA`), in any order.

        Args:
            table: The rows.
            classes: The classifier's class names, in logit order.
            like: Another cell's outcomes; equal ids are kept once in memory.

        Raises:
            UserError: If samples repeat, a name is not a class or rows lack logits.
        """
        if table["label"].null_count:
            raise UserError("holds rows without a label")
        if not len(table):
            raise UserError("holds no rows")
        table = table.take(pc.sort_indices(table["sample_id"]))
        ids = table["sample_id"].to_numpy(zero_copy_only=False)
        if like is not None and len(like) == len(ids) and bool((like.ids == ids).all()):
            ids = like.ids
        elif len(ids) > 1 and bool((ids[1:] == ids[:-1]).any()):
            distinct = len(set(ids))
            raise UserError(f"holds {len(ids)} rows of {distinct} samples")
        return cls(
            tuple(classes),
            ids,
            _codes(table["label"], classes),
            _codes(table["prediction"], classes),
            _matrix(table["logits"], len(classes)),
            *(_numbers(table[name]) for name in ("d_p", "evaluations", "seconds")),
        )

    def at(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Some of the samples: a mask (N,) or ascending positions."""
        columns = ("ids", "labels", "predictions", "logits", "d_p", "evaluations", "seconds")
        return replace(self, **{name: getattr(self, name)[chosen] for name in columns})

    def among(self, ids: NDArray[np.object_]) -> Self:
        """Those of the samples that `ids` names."""
        if ids is self.ids:
            return self
        wanted = set(ids)  # np.isin sorts objects, which takes hundreds of times as long
        return self.at(np.fromiter((name in wanted for name in self.ids), np.bool_, len(self)))

    def label(self, sample_id: str) -> str:
        """The class of a sample."""
        return self.classes[self.labels[self._row(sample_id)]]

    def decision(self, sample_id: str) -> str | None:
        """The predicted class of a sample; None is a tie."""
        code = int(self.predictions[self._row(sample_id)])
        return None if code == TIE else self.classes[code]

    def _row(self, sample_id: str) -> int:
        return int(np.searchsorted(self.ids, sample_id))


def joined(parts: Sequence[Outcomes]) -> Outcomes:
    """Samples of several data sets, such as the folds of one, with their names made distinct.

    Raises:
        ValueError: If the classes differ.
    """
    if len({part.classes for part in parts}) > 1:
        raise ValueError("outcomes of other classes cannot be joined")
    names = [np.array([f"{k:03d}/{name}" for name in p.ids], object) for k, p in enumerate(parts)]
    columns = ("labels", "predictions", "logits", "d_p", "evaluations", "seconds")
    joint: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in columns
    }
    return replace(parts[0], ids=np.concatenate(names), **joint)


def shared_samples(several: Sequence[Outcomes]) -> list[Outcomes]:
    """Each reduced to the samples that occur in all."""
    first = several[0]
    if all(same_samples(other.ids, first.ids) for other in several):
        return list(several)
    shared = np.array(sorted(set.intersection(*(set(other.ids) for other in several))), object)
    return [other.among(shared) for other in several]


def same_samples(ids: NDArray[np.object_], others: NDArray[np.object_]) -> bool:
    """Whether two columns of ids are equal."""
    return ids is others or np.array_equal(ids, others)


def recognised(several: Sequence[Outcomes]) -> NDArray[np.float64]:
    """1 where a sample is recognised, else 0, (k, N), for k outcomes of the same samples."""
    return np.stack([one.right for one in several]).astype(np.float64)


def _codes(names: pa.ChunkedArray, classes: Sequence[str]) -> NDArray[np.int16]:
    """Positions in `classes`, `TIE` for null."""
    codes = pc.index_in(names, value_set=pa.array(classes, pa.string()), skip_nulls=True)
    strange = pc.and_(pc.is_null(codes), pc.is_valid(names))
    if pc.any(strange).as_py():
        found = sorted(set(names.filter(strange).to_pylist()))
        raise UserError(f"not among the classes {', '.join(classes)}: {', '.join(found)}")
    return pc.fill_null(codes, TIE).to_numpy().astype(np.int16)


def _matrix(lists: pa.ChunkedArray, width: int) -> NDArray[np.float32]:
    lengths = pc.list_value_length(lists)
    if len(lists) and pc.min_max(pc.fill_null(lengths, -1)).as_py() != {"min": width, "max": width}:
        raise UserError(f"holds rows that have not {width} logits")
    flat = pc.list_flatten(lists).to_numpy(zero_copy_only=False)
    return np.asarray(flat, np.float32).reshape(-1, width)


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float32]:
    """Nulls become NaN."""
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float32)


# ------------------------------------------------------------------------------------------------
# Cells of perturbation sequences: how often decisions change from frame to frame.
#
# Frames of a picture hang together, so no metric of independent samples is made of their rows: the
# unit is the picture, and what it counts is its share of frames at which the decision changes.


@dataclass(frozen=True, eq=False)
class Flips:
    """A complete cell of a sequence.

    Attributes:
        manifest: What stands behind it.
        name: Of the classifier, as shown.
        ids: Of the pictures, (N,), ascending.
        shares: Of each picture's frames, those at which the decision changes, (N,) in [0, 1].
    """

    manifest: Manifest
    name: str
    ids: NDArray[np.object_]
    shares: NDArray[np.float64]

    @property
    def cell(self) -> Cell:
        """The cell itself."""
        return self.manifest.cell


def flips_of(manifest: Manifest, name: str, outcomes: Outcomes) -> Flips:
    """The flips of a cell whose rows are frames; a picture that lacks one is left out.

    Raises:
        UserError: If no picture has all its frames.
    """
    sequence = manifest.inputs["perturbation"]
    expected = list(range(len(sequence["frames"])))
    rows: dict[str, list[tuple[int, int]]] = {}
    for frame, decision in zip(outcomes.ids, outcomes.predictions, strict=True):
        sample_id, _, number = frame.rpartition("#")
        rows.setdefault(sample_id, []).append((int(number), int(decision)))
    whole = {
        one: [d for _, d in own] for one, own in rows.items() if _flips_numbers(own) == expected
    }
    if not whole:
        raise UserError("holds no picture with all its frames")
    ids = sorted(whole)
    decisions = np.array([whole[one] for one in ids])
    shares = metrics.flip_shares(decisions, noise=sequence["noise"])
    return Flips(manifest, name, np.array(ids, object), shares)


def shared(several: Sequence[Flips]) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """The pictures that all have, (N,), and their shares, (len(several), N)."""
    common = set.intersection(*(set(one.ids) for one in several))
    kept = [np.array([name in common for name in one.ids], bool) for one in several]
    shares = np.stack([one.shares[mask] for one, mask in zip(several, kept, strict=True)])
    return several[0].ids[kept[0]], shares


def _flips_numbers(frames: Sequence[tuple[int, int]]) -> list[int]:
    return [number for number, _ in frames]


# ------------------------------------------------------------------------------------------------
# What is measured over one training or several, on the same samples
# ------------------------------------------------------------------------------------------------

#: Fewer samples that two classifiers score differently are too few for a bootstrap.
DISCORDANT = 20


def accuracy(several: Sequence[Outcomes]) -> AccuracyEstimate:
    """Share of samples recognised: with Wilson's interval for one training, else see `share`."""
    if len(several) > 1:
        return share(recognised(several))
    n, right = len(several[0]), int(several[0].right.sum())
    return AccuracyEstimate(right / n, wilson(right, n))


def uar(several: Sequence[Outcomes]) -> AccuracyEstimate:
    """Unweighted average recall, the mean over trainings."""
    counts = [_counts(own) for own in several]
    value = fmean(metrics.uar(table) for table in counts)
    if len(several) == 1:
        support = counts[0].sum(axis=1)
        found = np.diag(counts[0])[support > 0].tolist()
        return AccuracyEstimate(
            metrics.uar(counts[0]), mean_of_proportions(found, support[support > 0].tolist())
        )
    # It is a mean over samples that weighs each class alike.
    labels = several[0].labels
    _, own_class, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    balanced = recognised(several) * (len(labels) / (len(sizes) * sizes))[own_class]
    return AccuracyEstimate(value, two_level(balanced, bounds=(0, 1)))


def share(scores: NDArray[np.float64]) -> AccuracyEstimate:
    """Mean of scores in [0, 1], (trainings, samples): right or wrong, or shares of severities.

    With Wilson's interval over samples, conservative for shares. Of several trainings it is joined
    with the two-level one, which is the wider where trainings differ, and too narrow near 0 and 1.
    A sample is one trial, in however many cells it stands, because its outcomes hang together.
    """
    value, n = float(scores.mean()), scores.shape[1]
    own = wilson(min(value * n, n), n)
    if len(scores) > 1:
        both = two_level(scores, bounds=(0, 1))
        own = Interval(min(own.low, both.low), max(own.high, both.high))
    return AccuracyEstimate(value, own)


def difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> Difference:
    """Accuracy of the first less that of the second, on the same trainings and samples, (k, N).

    With the two-level interval. Where fewer than `DISCORDANT` samples are scored differently there
    is too little to resample, and one training has Tango's; several have it where none is.
    """
    apart = first - second
    n, discordant = first.shape[1], int((apart != 0).any(axis=0).sum())
    if not discordant or (len(first) == 1 and discordant < DISCORDANT and _binary(apart)):
        interval = tango(int((apart > 0).sum()), int((apart < 0).sum()), n)
    else:
        interval = two_level_difference(first, second, bounds=(-1, 1))
    return Difference(float(apart.mean()), interval)


def _binary(apart: NDArray[np.float64]) -> bool:
    return bool(np.isin(apart, (-1.0, 0.0, 1.0)).all())


def macro_f1(several: Sequence[Outcomes]) -> AccuracyEstimate:
    """Mean F1 of the classes, the mean over trainings.

    With Wilson's interval at the effective number of samples for one training, else the two-level
    bootstrap's (`bench.stats.macro_f1_scores`).
    """
    counts = [_counts(own) for own in several]
    value = fmean(metrics.macro_f1(table) for table in counts)
    if len(several) == 1:
        return AccuracyEstimate(value, wilson_of_mean(value, metrics.macro_f1_trials(counts[0])))
    scores = np.stack(
        [
            metrics.macro_f1_scores(table)[own.labels, own.predictions]  # TIE is the last column
            for table, own in zip(counts, several, strict=True)
        ]
    )
    if np.ptp(scores) == 0:  # all are right, or all wrong: macro-F1 is accuracy
        return AccuracyEstimate(value, accuracy(several).interval)
    return AccuracyEstimate(value, two_level(scores, bounds=(0, 1)))


def error(several: Sequence[Outcomes]) -> Number | None:
    """Mean d_p; None unless every sample has one.

    With Student's interval for one training, else the two-level bootstrap's.
    """
    errors = np.stack([own.d_p for own in several]).astype(np.float64)
    if np.isnan(errors).any():
        return None
    return Number(float(errors.mean()), 4, _over_samples(errors))


def _over_samples(scores: NDArray[np.float64]) -> Interval | None:
    """The interval of a mean of (k, N): Student's for one training, None for a single sample."""
    if len(scores) > 1:
        return two_level(scores)
    alone = analysis.mean(scores[0])
    return None if alone is None else Interval(alone.low, alone.high)


def _counts(outcomes: Outcomes) -> metrics.Counts:
    return metrics.confusion(outcomes.labels, outcomes.predictions, len(outcomes.classes))


def mean(several: Sequence[NDArray[np.float32]]) -> float | None:
    """Mean over samples and trainings in float64, None unless every sample has a value."""
    each = np.array([column.mean(dtype=np.float64) for column in several])
    return None if np.isnan(each).any() else float(each.mean())


# ------------------------------------------------------------------------------------------------
# Numbers of tables with two-level intervals.


#: For captions of tables with such numbers.
ALIKE = "A number that all its pictures agree on, or that has one picture, has no interval."


def bootstrapped(
    value: float,
    scores: SampleScores,
    bounds: tuple[float, float],
    digits: int = 1,
    factor: float = 100.0,
) -> Number:
    """A number with its interval; without one if it has no width, as scores do not differ.

    Args:
        value: The number.
        scores: Whose mean it is (`bench.stats.bootstrap`), (k, N).
        bounds: What the interval cannot pass.
        digits: Decimals to show.
        factor: What is shown of it: 100 for percent.
    """
    if scores.shape[1] == 1 or np.ptp(scores) < 1e-12:
        return Number(factor * value, digits)
    found = two_level(scores, bounds=bounds)
    return Number(factor * value, digits, Interval(factor * found.low, factor * found.high))


def bootstrapped_ratio(value: float, scores: SampleScores) -> Number:
    """A ratio in percent, with an interval on the logarithmic scale if it can be told from 0.

    A denominator is uncertain, too, so that what lies above a ratio reaches farther than what lies
    below it; its logarithm is less skewed.

    Args:
        value: The ratio.
        scores: Whose mean it is (`bench.stats.ratio_scores`), (k, N).
    """
    plain = bootstrapped(value, scores, (-inf, inf))
    if plain.interval is None or plain.interval.low <= 0:
        return plain
    found = two_level(scores / value)
    low, high = (100 * value * exp(end - 1) for end in (found.low, found.high))
    return Number(100 * value, 1, Interval(low, high))


def above_zero(scores: SampleScores) -> bool:
    """Whether a mean can be told from 0: only such a one makes a denominator.

    A ratio to what may be 0 has no bounded interval (E. C. Fieller, "Some problems in interval
    estimation", Journal of the Royal Statistical Society B 16, 1954).
    """
    return scores.shape[1] > 1 and two_level(scores).low > 0
