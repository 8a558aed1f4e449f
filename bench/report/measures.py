"""What is measured over a cell, a part of it, or several trainings."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from bench import stats as metrics
from bench.report.outcomes import Outcomes, recognised, shared_samples
from bench.report.spec import AccuracyEstimate, Difference, Number
from bench.stats import Interval, SampleScores, mean_of_proportions, tango, wilson, wilson_of_mean
from bench.stats.bootstrap import two_level, two_level_difference
from emodc import analysis

#: Fewer samples that two classifiers score differently are too few for a bootstrap.
DISCORDANT = 20


@dataclass(frozen=True)
class Metrics:
    """Estimates over n samples, and over one or several trainings.

    Attributes:
        n: Number of samples.
        accuracy: Share of samples recognised, with its 95% interval: Wilson's for one training,
            else the two-level bootstrap's over trainings and samples.
        uar: Unweighted average recall, with its 95% interval.
        macro_f1: Mean F1 of the classes, with its 95% interval: Wilson's at the effective number of
            samples for one training, else two-level (`bench.stats.macro_f1_scores`).
        d_p: Mean error of EmoDC under the right prompt, with its 95% interval: Student's for one
            training, else as accuracy's; None unless every sample has one.
        evaluations: Mean network evaluations per image; None unless every sample has them.
        seconds: Mean seconds per image; None unless every sample has them.
        seeds: Number of trainings, of which everything here is the mean.
    """

    n: int
    accuracy: AccuracyEstimate
    uar: AccuracyEstimate
    macro_f1: AccuracyEstimate
    d_p: Number | None
    evaluations: float | None
    seconds: float | None
    seeds: int = 1


def measure(outcomes: Outcomes) -> Metrics:
    """Measure a cell, or a part of it.

    Raises:
        ValueError: If there is no sample.
    """
    counts = _counts(outcomes)
    n, right = len(outcomes), int(outcomes.right.sum())
    accuracy = AccuracyEstimate(right / n, wilson(right, n))
    support = counts.sum(axis=1)
    found, sizes = np.diag(counts)[support > 0].tolist(), support[support > 0].tolist()
    return Metrics(
        n=n,
        accuracy=accuracy,
        uar=AccuracyEstimate(metrics.uar(counts), mean_of_proportions(found, sizes)),
        macro_f1=_macro_f1([outcomes], accuracy),
        d_p=_error([outcomes]),
        evaluations=_mean(outcomes.evaluations),
        seconds=_mean(outcomes.seconds),
    )


def measure_seeds(several: Sequence[Outcomes]) -> Metrics:
    """Measure several trainings on the samples that all of them have: means over trainings.

    Raises:
        ValueError: If there is no training, or the trainings share no sample.
    """
    if len(several) == 1:
        return measure(several[0])
    shared = shared_samples(several)
    each = [measure(own) for own in shared]
    right = recognised(shared)
    accuracy = share(right)
    # UAR is a mean over samples that weighs each class alike.
    labels = shared[0].labels
    _, own_class, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    balanced = right * (len(labels) / (len(sizes) * sizes))[own_class]
    return Metrics(
        n=each[0].n,
        accuracy=accuracy,
        uar=AccuracyEstimate(fmean(m.uar.value for m in each), two_level(balanced, bounds=(0, 1))),
        macro_f1=_macro_f1(shared, accuracy),
        d_p=_error(shared),
        evaluations=_mean(np.array([m.evaluations for m in each], np.float64)),
        seconds=_mean(np.array([m.seconds for m in each], np.float64)),
        seeds=len(each),
    )


def share(scores: NDArray[np.float64]) -> AccuracyEstimate:
    """Mean of scores in [0, 1], (trainings, samples): right or wrong, or shares of severities.

    With Wilson's interval over samples, conservative for shares. Of several trainings it is joined
    with the two-level one, which is the wider where trainings differ, and too narrow near 0 and 1.
    A sample is one trial, in however many cells it stands, for its outcomes hang together.
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


def _macro_f1(several: Sequence[Outcomes], accuracy: AccuracyEstimate) -> AccuracyEstimate:
    """Mean over trainings, with its interval over samples (and trainings)."""
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
        return AccuracyEstimate(value, accuracy.interval)
    return AccuracyEstimate(value, two_level(scores, bounds=(0, 1)))


def _error(several: Sequence[Outcomes]) -> Number | None:
    """Mean d_p; None unless every sample has one."""
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


def _mean(column: NDArray[np.floating]) -> float | None:
    """Mean in float64, None unless every row has a value."""
    return None if np.isnan(column).any() else float(column.mean(dtype=np.float64))


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
        scores: Whose mean it is (`bench.stats.influence`), (k, N).
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
