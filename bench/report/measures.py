"""What is measured over the rows of a cell, of a part of it, or of several trainings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench import metrics
from bench.bootstrap import two_level
from bench.report.spec import Estimate
from bench.stats import wilson


@dataclass(frozen=True)
class Metrics:
    """Estimates over n samples, and over one or several trainings.

    Attributes:
        n: Number of samples.
        accuracy: Share of samples recognised, with its 95% interval: Wilson's for one training,
            else the two-level bootstrap's over trainings and samples.
        uar: Unweighted average recall, in [0, 1].
        macro_f1: Mean F1 of the classes, in [0, 1].
        d_p: Mean error of EmoDC under the right prompt; None unless every sample has one.
        evaluations: Mean network evaluations per image; None unless every sample has them.
        seconds: Mean seconds per image; None unless every sample has them.
        seeds: Number of trainings, of which everything here is the mean.
    """

    n: int
    accuracy: Estimate
    uar: float
    macro_f1: float
    d_p: float | None
    evaluations: float | None
    seconds: float | None
    seeds: int = 1


def measure(rows: pd.DataFrame, classes: Sequence[str]) -> Metrics:
    """Measure some rows of a cell.

    Args:
        rows: Rows with the columns of `bench.store.ROW_SCHEMA` (logits apart), one per sample.
            Their order does not change a bit of the result.
        classes: The data set's class names.

    Raises:
        ValueError: If there is no row, or a label or prediction is not a class.
    """
    counts = confusion_counts(rows, classes)
    n, accuracy = len(rows), metrics.accuracy(counts)
    return Metrics(
        n=n,
        accuracy=Estimate(accuracy, wilson(round(accuracy * n), n)),
        uar=metrics.uar(counts),
        macro_f1=metrics.macro_f1(counts),
        d_p=_mean(rows["d_p"]),
        evaluations=_mean(rows["evaluations"]),
        seconds=_mean(rows["seconds"]),
    )


def confusion_counts(rows: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.int64]:
    """Count by label and prediction, ties in the last column, (K, K + 1)."""
    named = set(rows["label"]) | set(rows["prediction"].dropna())
    if named - set(classes):
        raise ValueError(f"not among the classes {', '.join(classes)}: {named - set(classes)}")
    order = pd.Index(classes)
    labels, predictions = (
        order.get_indexer(pd.Index(rows[column])) for column in ("label", "prediction")
    )
    return metrics.confusion(labels, predictions, len(classes))


def measure_seeds(rows: Sequence[pd.DataFrame], classes: Sequence[str]) -> Metrics:
    """Measure several trainings on the samples that all of them have: means over trainings.

    Args:
        rows: Per training seed, rows as in `measure`; at least one.
        classes: The data set's class names.

    Raises:
        ValueError: As `measure`, and if the trainings share no sample.
    """
    if len(rows) == 1:
        return measure(rows[0], classes)
    shared = shared_samples(rows)
    each = [measure(own, classes) for own in shared]
    right = recognised(shared)
    return Metrics(
        n=each[0].n,
        accuracy=Estimate(float(right.mean()), two_level(right, bounds=(0, 1))),
        uar=math.fsum(m.uar for m in each) / len(each),
        macro_f1=math.fsum(m.macro_f1 for m in each) / len(each),
        d_p=_mean(pd.Series([m.d_p for m in each])),
        evaluations=_mean(pd.Series([m.evaluations for m in each])),
        seconds=_mean(pd.Series([m.seconds for m in each])),
        seeds=len(each),
    )


def shared_samples(rows: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Of each frame, the rows of the samples that occur in all, in the order of sample ids."""
    shared = set.intersection(*(set(own["sample_id"]) for own in rows))
    kept = [own[own["sample_id"].isin(shared)] for own in rows]
    return [own.sort_values("sample_id", ignore_index=True) for own in kept]


def recognised(rows: Sequence[pd.DataFrame]) -> NDArray[np.float64]:
    """1 where a sample is recognised, else 0, (k, N), for k frames of the same samples in order."""
    return np.stack([(own["prediction"] == own["label"]).to_numpy(np.float64) for own in rows])


def mean_over_severities(measured: Sequence[Metrics]) -> Estimate:
    """Mean accuracy over severities that the same images went through.

    Images are the trials of the interval, not pairs of image and severity, for one image's outcomes
    hang together: Wilson's interval of a mean of scores in [0, 1] (see `bench.stats.wilson`).
    """
    value = math.fsum(m.accuracy.value for m in measured) / len(measured)
    n = min(m.n for m in measured)
    return Estimate(value, wilson(min(value * n, n), n))


def _mean(column: pd.Series) -> float | None:
    """Mean in float64, None unless every row has a value.

    `fsum` rounds once, so the mean is the same bits in whatever order the rows come.
    """
    if column.isna().any():
        return None
    return math.fsum(column.astype("float64")) / len(column)
