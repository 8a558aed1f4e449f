"""What is measured over a cell, a part of it, or several trainings."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from bench import metrics
from bench.bootstrap import two_level
from bench.metrics import confusion
from bench.report.outcomes import Outcomes, recognised, shared_samples
from bench.report.spec import Estimate, Number
from bench.stats import Interval, mean_of_proportions, wilson
from emodc import estimates


@dataclass(frozen=True)
class Metrics:
    """Estimates over n samples, and over one or several trainings.

    Attributes:
        n: Number of samples.
        accuracy: Share of samples recognised, with its 95% interval: Wilson's for one training,
            else the two-level bootstrap's over trainings and samples.
        uar: Unweighted average recall, with its 95% interval.
        macro_f1: Mean F1 of the classes, in [0, 1].
        d_p: Mean error of EmoDC under the right prompt, with its 95% interval: Student's for one
            training, else as accuracy's; None unless every sample has one.
        evaluations: Mean network evaluations per image; None unless every sample has them.
        seconds: Mean seconds per image; None unless every sample has them.
        seeds: Number of trainings, of which everything here is the mean.
    """

    n: int
    accuracy: Estimate
    uar: Estimate
    macro_f1: float
    d_p: Number | None
    evaluations: float | None
    seconds: float | None
    seeds: int = 1


def measure(outcomes: Outcomes) -> Metrics:
    """Measure a cell, or a part of it.

    Raises:
        ValueError: If there is no sample.
    """
    counts = confusion(outcomes.labels, outcomes.predictions, len(outcomes.classes))
    n, right = len(outcomes), int(outcomes.right.sum())
    support = counts.sum(axis=1)
    found, sizes = np.diag(counts)[support > 0].tolist(), support[support > 0].tolist()
    return Metrics(
        n=n,
        accuracy=Estimate(right / n, wilson(right, n)),
        uar=Estimate(metrics.uar(counts), mean_of_proportions(found, sizes)),
        macro_f1=metrics.macro_f1(counts),
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
    # UAR is a mean over samples that weighs each class alike.
    labels = shared[0].labels
    _, own_class, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    balanced = right * (len(labels) / (len(sizes) * sizes))[own_class]
    return Metrics(
        n=each[0].n,
        accuracy=Estimate(float(right.mean()), two_level(right)),
        uar=Estimate(fmean(m.uar.value for m in each), two_level(balanced)),
        macro_f1=fmean(m.macro_f1 for m in each),
        d_p=_error(shared),
        evaluations=_mean(np.array([m.evaluations for m in each], np.float64)),
        seconds=_mean(np.array([m.seconds for m in each], np.float64)),
        seeds=len(each),
    )


def mean_over_severities(measured: Sequence[Metrics]) -> Estimate:
    """Mean accuracy over severities that the same images went through.

    Images are the trials of the interval, not pairs of image and severity, for one image's outcomes
    hang together: Wilson's interval of a mean of scores in [0, 1] (see `bench.stats.wilson`).
    """
    value = fmean(m.accuracy.value for m in measured)
    n = min(m.n for m in measured)
    return Estimate(value, wilson(min(value * n, n), n))


def _error(several: Sequence[Outcomes]) -> Number | None:
    """Mean d_p; None unless every sample has one."""
    errors = np.stack([own.d_p for own in several]).astype(np.float64)
    if np.isnan(errors).any():
        return None
    if len(errors) > 1:
        return Number(float(errors.mean()), 4, two_level(errors))
    alone = estimates.mean(errors[0])
    interval = None if alone is None else Interval(alone.low, alone.high)  # one sample has none
    return Number(float(errors.mean()), 4, interval)


def _mean(column: NDArray[np.floating]) -> float | None:
    """Mean in float64, None unless every row has a value."""
    return None if np.isnan(column).any() else float(column.mean(dtype=np.float64))
