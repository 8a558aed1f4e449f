"""What a trace says beyond its decision: pure functions on arrays, no network.

Shapes: N pictures, K classes, S steps, B timestep bins. `errors[image, class, step]` are those of
one trace, `timesteps[image, step]` where they were measured, `labels[image]` the right class's
index. Prompts share the noise of a step, so what is compared is paired: intervals are over
pictures, whose errors are independent, never over steps. They are pointwise, 95 % by default.

The bench has its own estimators in `bench.stats`; this package is usable without the bench.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Literal

import numpy as np
import scipy  # whose statistics take a second to import, and are imported when used
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]

#: Below this share of its mean, a spread is rounding: nothing can be divided by it.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A number, its confidence interval, and the number of pictures behind it."""

    value: float
    low: float
    high: float
    n: int


def correlation(x: Floats, y: Floats, confidence: float = 0.95) -> Estimate | None:
    """Pearson's r with the interval of Fisher's z.

    R. A. Fisher, "On the probable error of a coefficient of correlation", Metron 1 (1921): artanh r
    is nearly normal with variance 1 / (n - 3). Exact for bivariate normal values only.

    Args:
        x: (N,).
        y: (N,).
        confidence: Coverage, in (0, 1).

    Returns:
        None for fewer than four pictures, or if either does not vary.
    """
    if len(x) < 4 or not _varies(x) or not _varies(y):
        return None
    with np.errstate(divide="ignore"):  # |r| = 1 has an infinite z, and itself for an interval
        found = scipy.stats.pearsonr(x, y)
        interval = found.confidence_interval(confidence)
    return Estimate(float(found.statistic), float(interval.low), float(interval.high), len(x))


def mean(values: Floats, confidence: float = 0.95) -> Estimate | None:
    """Mean over pictures with Student's interval; NaN values (N,) are left out.

    Returns:
        None for fewer than two values.
    """
    known = values[~np.isnan(values)]
    n = len(known)
    if n < 2:
        return None
    centre = float(known.mean(dtype=np.float64))
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, n - 1) * known.std(ddof=1) / sqrt(n))
    return Estimate(centre, centre - half, centre + half, n)


def share(hits: Bools, confidence: float = 0.95) -> Estimate | None:
    """Share of pictures that are hits (N,), with Wilson's score interval; None of no picture."""
    n = len(hits)
    if not n:
        return None
    found = scipy.stats.binomtest(int(hits.sum()), n)
    interval = found.proportion_ci(confidence, method="wilson")
    return Estimate(float(found.statistic), float(interval.low), float(interval.high), n)


def separation(gap: Floats, confidence: float = 0.95) -> Estimate | None:
    """The d' of a paired gap: its mean over pictures in units of its standard deviation over them.

    The sensitivity index of Green & Swets (1966) for paired differences. The interval is the delta
    method's: with skewness g and kurtosis k of the gap, the variance of mean / sd is
    (1 - d' g + d'^2 (k - 1) / 4) / n, which for a normal gap is 1 / n + d'^2 / 2n.

    Args:
        gap: d_n - d_p, (N,); NaN values are left out.
        confidence: Coverage, in (0, 1).

    Returns:
        None for fewer than four pictures, or if the gap does not vary.
    """
    known = gap[~np.isnan(gap)]
    n = len(known)
    if n < 4 or not _varies(known):
        return None
    value = float(known.mean(dtype=np.float64) / known.std(ddof=1))
    skew, kurtosis = (
        float(scipy.stats.skew(known)),
        float(scipy.stats.kurtosis(known, fisher=False)),
    )
    # Never negative for true moments (kurtosis >= skewness^2 + 1); rounding may disagree.
    variance = max(0.0, 1 - value * skew + value**2 * (kurtosis - 1) / 4) / n
    half = float(scipy.stats.norm.ppf((1 + confidence) / 2)) * sqrt(variance)
    return Estimate(value, value - half, value + half, n)


def _varies(values: Floats) -> bool:
    return bool(values.std() > _ROUNDING * np.abs(values).mean())


# ------------------------------------------------------------------------------------------------
# What a trace says
# ------------------------------------------------------------------------------------------------


def prompt_means(
    errors: Floats, labels: NDArray[np.integer], others: dict[str, Floats] | None = None
) -> dict[str, Floats]:
    """Error of each picture under each kind of prompt, averaged over steps.

    The axes of figure 4 of arXiv 2603.29578.

    Args:
        errors: (N, K, S).
        labels: (N,).
        others: Errors under further prompts, such as the null prompt's, (N, S) each.

    Returns:
        float64 (N,) each: "positive" (d_p), "negative" (the mean over the wrong classes), and one
        per entry of `others`.
    """
    means = errors.mean(axis=2, dtype=np.float64)
    positive, negatives = _split(means, labels)
    found = {"positive": positive, "negative": negatives.mean(axis=1)}
    return found | {k: v.mean(axis=1, dtype=np.float64) for k, v in (others or {}).items()}


def timestep_bins(low: int, high: int, count: int) -> Floats:
    """Edges (B + 1,) of equal bins of the timesteps [low, high); `count` of them at most."""
    return np.linspace(low, high, min(count, high - low) + 1)


def bin_means(values: Floats, timesteps: NDArray[np.integer], edges: Floats) -> Floats:
    """Average over the steps in each timestep bin.

    Args:
        values: (N, ..., S).
        timesteps: (N, S); rows differ where evaluation is noise-aware.
        edges: Ascending, (B + 1,); a bin holds its lower edge and not its upper one.

    Returns:
        float64 (N, ..., B); NaN where a picture has no step in a bin.
    """
    bins = np.searchsorted(edges, timesteps, side="right") - 1
    inside = bins[:, :, None] == np.arange(len(edges) - 1)  # (N, S, B)
    counts = inside.sum(axis=1, dtype=np.float64)
    shares = np.divide(inside, counts[:, None], where=counts[:, None] > 0, out=inside * np.nan)
    found: Floats = np.einsum("n...s,nsb->n...b", values.astype(np.float64), shares)
    return found


def gaps(errors: Floats, labels: NDArray[np.integer]) -> Floats:
    """d_n - d_p of every wrong class, above 0 where d_p is less: (N, K, ...) -> (N, K - 1, ...)."""
    positive, negatives = _split(errors, labels)
    return negatives - positive[:, None]


def decisions_right(means: Floats, labels: NDArray[np.integer]) -> Bools:
    """Whether the right class alone has the lowest error: (N, K) -> (N,); a tie is an error."""
    return np.asarray((gaps(means, labels) > 0).all(axis=1))


def bin_accuracy(
    binned: Floats, labels: NDArray[np.integer], confidence: float = 0.95
) -> list[Estimate | None]:
    """Accuracy of the decision from each timestep bin alone, with Wilson's interval (1927).

    The decision is the classifier's own, arXiv 2303.16203 eq. 5, over the steps of one bin.

    Args:
        binned: Errors by bin, (N, K, B), as of `bin_means`.
        labels: (N,).
        confidence: Coverage, in (0, 1).

    Returns:
        One per bin, a fraction of the pictures that have a step in it; None where none has.
    """
    found = []
    for column in np.moveaxis(binned, 2, 0):
        known = ~np.isnan(column).any(axis=1)
        found.append(share(decisions_right(column[known], labels[known]), confidence))
    return found


@dataclass(frozen=True)
class Margins:
    """A fixed and an adaptive margin on the same pictures.

    Attributes:
        d_p: Mean error under the right prompt, (N,).
        d_n: The lowest mean error under a wrong one, (N,).
        d_nn: Mean error under the prompt that scales the adaptive margin, (N,).
        alpha: The adaptive margin is alpha * d_nn.
        fixed: The fixed margin m_f.
        hard: Pictures in the upper third of d_nn, (N,).
        easy: Those in the lower third, (N,).
    """

    d_p: Floats
    d_n: Floats
    d_nn: Floats
    alpha: float
    fixed: float
    hard: Bools
    easy: Bools

    def kept(self, margin: Literal["fixed", "adaptive"], pictures: Bools) -> Estimate | None:
        """Share of some pictures whose gap d_n - d_p is at least the margin."""
        wanted = self.fixed if margin == "fixed" else self.alpha * self.d_nn
        return share((self.d_n - self.d_p >= wanted)[pictures])


def margins(
    errors: Floats,
    labels: NDArray[np.integer],
    alpha: float,
    fixed: float | None = None,
    d_nn: Floats | None = None,
) -> Margins:
    """What figures 3 b and c of arXiv 2603.29578 compare: one margin for all, or one in proportion.

    A picture is hard if the prompt that is not negative predicts its noise badly. A fixed margin
    asks the same of all; relative to their errors that is most of the easy ones.

    Args:
        errors: (N, K, S).
        labels: (N,).
        alpha: Of the adaptive margin alpha * d_nn.
        fixed: m_f; if not given, what the adaptive margin is on average.
        d_nn: (N,); d_p if not given.
    """
    d_p, negatives = _split(errors.mean(axis=2, dtype=np.float64), labels)
    scale = d_p if d_nn is None else d_nn.astype(np.float64)
    low, high = np.quantile(scale, [1 / 3, 2 / 3])
    given = alpha * float(scale.mean()) if fixed is None else fixed
    return Margins(
        d_p, negatives.min(axis=1), scale, alpha, given, hard=scale > high, easy=scale < low
    )


@dataclass(frozen=True)
class ClassErrors:
    """The errors of one picture (figure 1 of arXiv 2603.29578).

    Attributes:
        mean: d of each class over the steps, (K,).
        excess: d minus the lowest class's, (K,); zero for that class.
        half: Half the width of the excess's 95 % Student interval, (K,); NaN for one step.
        steps: Number of steps, S.
    """

    mean: Floats
    excess: Floats
    half: Floats
    steps: int


def class_errors(errors: Floats, confidence: float = 0.95) -> ClassErrors:
    """Mean error per class, and how surely each is above the lowest.

    Errors vary far more between timesteps than between classes, so the interval is one of paired
    differences: the noise of a step is the same for all classes. Here steps are the sample. They
    are stratified over timesteps, which the interval does not use: it is too wide rather than
    too narrow.

    Args:
        errors: Of one picture, (K, S).
        confidence: Coverage, in (0, 1).
    """
    wide = errors.astype(np.float64)
    means, steps = wide.mean(axis=1), wide.shape[1]
    differences = wide - wide[means.argmin()]
    half = np.full(len(wide), np.nan)
    if steps > 1:
        factor = scipy.stats.t.ppf((1 + confidence) / 2, steps - 1)
        half = factor * differences.std(axis=1, ddof=1) / sqrt(steps)
    return ClassErrors(means, differences.mean(axis=1), half, steps)


def _split(errors: Floats, labels: NDArray[np.integer]) -> tuple[Floats, Floats]:
    """Along axis 1: the right class's errors (N, ...) and the others' (N, K - 1, ...)."""
    n, k = errors.shape[:2]
    right = np.arange(k) == np.asarray(labels)[:, None]
    if len(labels) != n or not right.any(axis=1).all():
        raise ValueError(f"labels must be {n} indices of {k} classes")
    return errors[right], errors[~right].reshape(n, k - 1, *errors.shape[2:])
