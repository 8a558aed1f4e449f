"""Logits as confidences: those that are numbers, and the factors that calibrate them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf

import numpy as np

from bench import stats as metrics
from bench.report.outcomes import Outcomes, bootstrapped, shared_samples
from bench.report.results import Result, ResultSet
from bench.report.spec import Number
from bench.stats import Forecasts, SampleScores
from emodc.decisions.fit import temperature


def finite(several: Sequence[Outcomes]) -> tuple[list[Outcomes], int]:
    """What confidences are measured on.

    Returns:
        The samples that all have, and whose logits are finite in all; and the number of those whose
        logits are not.
    """
    each = shared_samples(several)
    kept = np.logical_and.reduce([np.isfinite(o.logits).all(axis=1) for o in each])
    return [o.at(kept) for o in each], int((~kept).sum())


def with_logits(entries: Sequence[Result]) -> tuple[list[list[Outcomes]], int]:
    """`finite` of a classifier's results, one per condition, at least one.

    Returns:
        Outcomes by condition and training seed, and how many samples were left out.
    """
    each, left_out = finite([o for entry in entries for o in entry.each])
    kept = iter(each)
    return [list(islice(kept, len(entry.each))) for entry in entries], left_out


@dataclass(frozen=True, eq=False)
class Factors:
    """What a classifier's logits are to be multiplied by, fitted on validation pictures.

    Attributes:
        each: By training seed, k.
        scores: Whose mean is that of the factors, (k, N).
        held: Whether one is at the limit that the number of pictures sets.
    """

    each: tuple[float, ...]
    scores: SampleScores
    held: bool

    @property
    def n(self) -> int:
        """Number of validation pictures."""
        return self.scores.shape[1]

    @property
    def number(self) -> Number:
        """The mean over seeds; a factor at its limit does not vary as its scores say."""
        mean = float(np.mean(self.each))
        return Number(mean, 2) if self.held else bootstrapped(mean, self.scores, (0, inf), 2, 1)


def factors_of(group: ResultSet, classifier: str, seeds: Sequence[int]) -> Factors | None:
    """The factors of least NLL on the validation split (`emodc.decisions.fit.temperature`).

    Args:
        group: The group.
        classifier: One of its classifiers.
        seeds: Training seeds; each has a factor of its own.

    Returns:
        None if a seed has no result on validation pictures, or none that can be fitted.
    """
    own = {r.cell.seed: r.outcomes for r in group.validation if r.cell.classifier == classifier}
    if not set(seeds) <= own.keys():
        return None
    kept, _ = finite([own[seed] for seed in seeds])
    try:
        each = tuple(temperature(-o.logits[:, :, None], o.labels) for o in kept)
    except ValueError:
        return None
    pairs = list(zip(kept, each, strict=True))
    scores = np.stack([metrics.scale_scores(o.logits, o.labels, factor) for o, factor in pairs])
    held = not np.allclose(scores.mean(axis=1), each, rtol=1e-3)
    return Factors(each, scores, held)


def forecasts_of(outcomes: Sequence[Outcomes], factors: Factors | None = None) -> list[Forecasts]:
    """Probabilities by training seed; calibrated ones with `factors` of the same seeds."""
    each = [1.0] * len(outcomes) if factors is None else factors.each
    return [
        metrics.forecasts(factor * o.logits.astype(np.float64), o.labels)
        for o, factor in zip(outcomes, each, strict=True)
    ]


def pooled(several: Sequence[Forecasts]) -> Forecasts:
    """All as one."""
    columns = ("log_probabilities", "labels", "confidence", "right")
    joined = {name: np.concatenate([getattr(one, name) for one in several]) for name in columns}
    return Forecasts(**joined, excluded=sum(one.excluded for one in several))
