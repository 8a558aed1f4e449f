"""Probabilities from errors: a scale, weights and a range of timesteps, of validation traces.

Errors say which class is the most probable, and not how probable. The probabilities here are
softmax(-scale * mean error), by the weighted mean where timesteps are weighed, and what is learned
minimises their negative log-likelihood (NLL) of the labels. Pure functions on arrays of validation
pictures; the order of pictures does not matter. Shapes: N pictures, K classes, S steps, B bins.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from math import exp, inf, log, sqrt

import numpy as np
from scipy import optimize, special

from emodc.by_timestep import Timesteps, TimestepWeights, bins_of, covering_bins
from emodc.estimates import Floats
from emodc.held_out import Labels, dealt, good, held_out

#: A scale is not fitted to fewer pictures.
FEWEST = 5
#: Pulls towards uniform weights that are compared, beside uniform weights themselves.
RIDGES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0)
#: Scales in units of one over the spread of the classes' mean errors. The lower end keeps the order
#: of classes where the errors say nothing of the labels, the upper one is for numerical safety.
_SCALES = (1e-3, 1e5)


def temperature(errors: Floats, labels: Labels) -> float:
    """The logit scale whose probabilities fit the labels best.

    C. Guo et al., "On calibration of modern neural networks" (ICML 2017), sec. 4.2, on logits that
    are negative mean errors: the scale is the reciprocal of their temperature. The NLL is convex in
    it. No decision changes.

    Where all pictures are right, or nearly, the NLL falls for ever or for long, and n pictures do
    not show how sure one may be. The scale therefore stays where the mean confidence is at most
    (n + 1) / (n + 2), Laplace's rule of succession for n of n.

    Args:
        errors: Complete, (N, K, S). Negative logits (N, K, 1) of any classifier will do as well:
            the result is then the factor on its logits.
        labels: (N,).

    Returns:
        Above 0.

    Raises:
        ValueError: If there are fewer than `FEWEST` pictures, an error is not finite, labels do not
            pair with errors, or no picture tells classes apart.
    """
    check(errors, labels)
    return _scale(-errors.mean(axis=2, dtype=np.float64), labels)


def weights(
    errors: Floats,
    timesteps: Timesteps,
    labels: Labels,
    bins: int = 10,
    ridges: Sequence[float] = RIDGES,
) -> TimestepWeights:
    """How much each timestep should count, fitted together with the scale.

    Weights of bins and scale are one vector, scale * weight >= 0, in which the NLL is convex. A
    ridge pulls it towards uniform weights. How strongly is chosen by cross-validation, with the
    rule of one standard error (see `timestep_range`): the strongest pull whose held-out NLL cannot
    be told from the best. Uniform weights stay unless they are worse by more than that.

    Args:
        errors: Complete, (N, K, S).
        timesteps: (N, S).
        labels: (N,).
        bins: Number of timestep bins, at most.
        ridges: Factors of the ridge to choose from.

    Raises:
        ValueError: As of `temperature`.
    """
    check(errors, labels)
    edges = covering_bins(timesteps, bins)
    scores, folds = -_binned(errors, timesteps, edges), dealt(errors, labels)
    each: dict[float, Floats] = {}
    for ridge in (*ridges, inf):
        each[ridge] = held_out(scores, labels, folds, partial(_penalised, ridge=ridge))
    return _weights(edges, _penalised(scores, labels, max(good(each))))


def timestep_range(
    errors: Floats, timesteps: Timesteps, labels: Labels, bins: int = 10
) -> TimestepWeights:
    """The timesteps that are worth measuring: neighbouring bins, all with the same weight.

    Every range of bins gets a scale of its own. Among those whose held-out NLL is within a standard
    error of the best one's the widest is taken (L. Breiman et al., "Classification and regression
    trees" (1984), sec. 3.4.3: the one-standard-error rule), so that timesteps are only left out
    where that pays.

    Args:
        errors: Complete, (N, K, S).
        timesteps: (N, S).
        labels: (N,).
        bins: Number of timestep bins, at most.

    Returns:
        Weights that are 0 outside the range.

    Raises:
        ValueError: As of `temperature`.
    """
    check(errors, labels)
    edges = covering_bins(timesteps, bins)
    scores, folds = -_binned(errors, timesteps, edges), dealt(errors, labels)
    each: dict[tuple[int, ...], Floats] = {}
    for low, high in combinations(range(len(edges)), 2):
        inside = tuple(int(low <= number < high) for number in range(len(edges) - 1))
        each[inside] = held_out(scores, labels, folds, partial(_within, inside=inside))
    chosen = max(good(each), key=lambda inside: (sum(inside), -each[inside].mean()))
    return _weights(edges, np.array(chosen, np.float64))


def nll(
    factors: Floats, scores: Floats, labels: Labels, ridge: float = 0.0
) -> tuple[float, Floats]:
    """Negative log-likelihood of labels under softmax(scores @ factors), with a ridge.

    Args:
        factors: (B,).
        scores: (N, K, B).
        labels: (N,).
        ridge: Factor of the mean squared distance of `factors` to their mean.

    Returns:
        The mean over pictures in nats plus the ridge's term, and its gradient, (B,).
    """
    logs = special.log_softmax(scores @ factors, axis=1)
    rows = np.arange(len(labels))
    expected = np.einsum("nk,nkb->nb", np.exp(logs), scores)
    off = factors - factors.mean()
    value = -logs[rows, labels].mean() + ridge * (off**2).mean()
    gradient = (expected - scores[rows, labels]).mean(axis=0) + 2 * ridge * off / len(factors)
    return float(value), gradient


def check(errors: Floats, labels: Labels) -> None:
    """Refuse what nothing can be learned from.

    Raises:
        ValueError: See `temperature`.
    """
    if errors.ndim != 3 or len(labels) != len(errors) or errors.shape[1] < 2:
        raise ValueError(f"{labels.shape} labels do not pair with errors {errors.shape}, (N, K, S)")
    if len(labels) < FEWEST:
        raise ValueError(
            f"{len(labels)} validation pictures; {FEWEST} are the fewest to learn from"
        )
    if not np.isfinite(errors).all():
        raise ValueError("errors that are not finite: only traces of the full grid can be used")
    if not 0 <= labels.min() <= labels.max() < errors.shape[1]:
        raise ValueError(f"labels of {errors.shape[1]} classes lie in [0, {errors.shape[1]})")
    if not np.ptp(errors.mean(axis=2, dtype=np.float64), axis=1).any():
        raise ValueError("no picture's errors tell classes apart, so no scale fits better than any")


def _scale(scores: Floats, labels: Labels) -> float:
    """The scale of least NLL of softmax(scale * scores), scores (N, K)."""
    spread = sqrt(scores.var(axis=1).mean())
    if not spread:
        return 1.0
    units = (scores - scores.max(axis=1, keepdims=True)) / spread
    low, high = (log(end) for end in _SCALES)

    def slope(logarithm: float) -> float:
        return float(nll(np.array([exp(logarithm)]), units[:, :, None], labels)[1][0])

    def excess(logarithm: float) -> float:
        confidence = 1 / np.exp(exp(logarithm) * units).sum(axis=1)
        return float(confidence.mean()) - (len(labels) + 1) / (len(labels) + 2)

    best = _root(slope, low, high)
    return exp(_root(excess, low, best) if excess(best) > 0 else best) / spread


def _root(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function crosses 0, or the end nearest to it."""
    if rising(low) >= 0:
        return low
    if rising(high) <= 0:
        return high
    return float(optimize.brentq(rising, low, high, xtol=1e-10))


def _penalised(scores: Floats, labels: Labels, ridge: float) -> Floats:
    """Factors (B,) of binned scores (N, K, B); all equal for an infinite ridge.

    They are fitted in units of the scale of uniform weights, so that a ridge means the same for
    errors of any size.
    """
    unit = _scale(scores.sum(axis=2), labels)
    start = np.ones(scores.shape[2])
    if ridge == inf:
        return unit * start
    found = optimize.minimize(
        nll, start, (unit * scores, labels, ridge), "L-BFGS-B", jac=True,
        bounds=[(0, _SCALES[1])] * len(start),
    )  # fmt: skip
    return np.asarray(unit * found.x)


def _within(scores: Floats, labels: Labels, inside: Sequence[int]) -> Floats:
    """Factors (B,), equal where `inside` is 1 and 0 where it is 0."""
    return _scale(scores @ np.array(inside), labels) * np.array(inside)


def _binned(errors: Floats, timesteps: Timesteps, edges: Floats) -> Floats:
    """Each bin's part of the mean error, (N, K, B): the parts sum up to the mean."""
    inside = bins_of(timesteps, edges)[:, :, None] == np.arange(len(edges) - 1)
    return np.asarray(errors.astype(np.float64) @ inside / errors.shape[2])


def _weights(edges: Floats, factors: Floats) -> TimestepWeights:
    values = factors / factors.mean() if factors.any() else np.ones_like(factors)
    return TimestepWeights(tuple(edges.tolist()), tuple(values.tolist()))
