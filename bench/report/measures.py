"""What is measured over the rows of a cell, or of a part of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench import metrics
from bench.stats import Interval, wilson


@dataclass(frozen=True)
class Estimate:
    """An accuracy with its interval, both fractions in [0, 1]; as text in percent."""

    value: float
    interval: Interval

    def __str__(self) -> str:
        """Such as "87.3 [84.1, 90.0]"."""
        return f"{self.number} {self.range}"

    @property
    def number(self) -> str:
        """The accuracy in percent, such as "87.3"."""
        return f"{100 * self.value:.1f}"

    @property
    def range(self) -> str:
        """The interval in percent, such as "[84.1, 90.0]"."""
        return f"[{100 * self.interval.low:.1f}, {100 * self.interval.high:.1f}]"


@dataclass(frozen=True)
class Metrics:
    """Estimates over n samples.

    Attributes:
        n: Number of samples.
        accuracy: Share of samples recognised, with its 95% Wilson interval.
        uar: Unweighted average recall, in [0, 1].
        macro_f1: Mean F1 of the classes, in [0, 1].
        d_p: Mean error of EmoDC under the right prompt; None unless every sample has one.
        evaluations: Mean network evaluations per image; None unless every sample has them.
        seconds: Mean seconds per image; None unless every sample has them.
    """

    n: int
    accuracy: Estimate
    uar: float
    macro_f1: float
    d_p: float | None
    evaluations: float | None
    seconds: float | None


def measure(rows: pd.DataFrame, classes: Sequence[str]) -> Metrics:
    """Measure some rows of a cell.

    Args:
        rows: Rows with the columns of `bench.store.ROW_SCHEMA` (logits apart), one per sample.
            Their order does not change a bit of the result.
        classes: The data set's class names.

    Raises:
        ValueError: If there is no row, or a label or prediction is not a class.
    """
    labels, predictions = rows["label"].to_numpy(), rows["prediction"].to_numpy()
    n, accuracy = len(rows), metrics.accuracy(labels, predictions)
    return Metrics(
        n=n,
        accuracy=Estimate(accuracy, wilson(round(accuracy * n), n)),
        uar=metrics.uar(labels, predictions),
        macro_f1=metrics.macro_f1(labels, predictions, classes),
        d_p=_mean(rows["d_p"]),
        evaluations=_mean(rows["evaluations"]),
        seconds=_mean(rows["seconds"]),
    )


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
