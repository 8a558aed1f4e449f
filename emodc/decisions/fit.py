"""What decisions learn from validation traces: pure functions on arrays, no torch.

Shapes: N pictures, K classes, S steps, B features of a score.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import combinations
from math import exp, inf, isfinite, log, sqrt
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from emodc.analysis import Floats, timestep_bins
from emodc.decisions.rules import relative_gaps

Labels = NDArray[np.integer]
_Choice = TypeVar("_Choice")

# ------------------------------------------------------------------------------------------------
# Cross-validation.


FOLDS = 5


def held_out(
    scores: Floats, labels: Labels, folds: Labels, fit: Callable[[Floats, Labels], Floats]
) -> Floats:
    """NLL of each picture under factors fitted to the other folds, (N,)."""
    losses = np.empty(len(labels))
    for fold in np.unique(folds):
        held, others = folds == fold, folds != fold
        logs = special.log_softmax(scores[held] @ fit(scores[others], labels[others]), axis=1)
        losses[held] = -logs[np.arange(len(logs)), labels[held]]
    return losses


def dealt(errors: Floats, labels: Labels) -> Labels:
    """A fold for every picture, (N,): dealt out by label and by the right class's error.

    A picture's fold follows from what was measured and not from its place, and every fold has its
    share of each class and of hard and easy pictures.
    """
    own = errors[np.arange(len(labels)), labels].mean(axis=1, dtype=np.float64)
    found = np.empty(len(labels), int)
    found[np.lexsort((own, labels))] = np.arange(len(labels)) % FOLDS
    return found


def good(each: Mapping[_Choice, Floats]) -> list[_Choice]:
    """The choices whose losses (N,) are on average within a standard error of the least.

    The standard error is that of the paired difference, of the same pictures.
    """
    best = min(each.values(), key=lambda losses: losses.mean())
    off = {choice: losses - best for choice, losses in each.items()}
    margin = 1 / sqrt(len(best))
    return [choice for choice, d in off.items() if d.mean() <= margin * d.std(ddof=1)]


# ------------------------------------------------------------------------------------------------
# Functions of the timestep that validation traces teach.
#
# What is learned belongs to timesteps and not to the numbers of steps, because noise-aware
# evaluation measures noisy pictures at timesteps of their own. Shapes: N pictures, K classes, S
# steps, B timestep bins.


Timesteps = NDArray[np.integer]

#: A mean gap below this share of the mean error is only rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class _ByTimestep:
    """Values of timestep bins.

    Attributes:
        edges: Ascending, B + 1; a bin holds its lower edge and not its upper one.
        values: One per bin, B.

    Raises:
        ValueError: If they do not pair, or are not finite.
    """

    edges: tuple[float, ...]
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values or len(self.edges) != len(self.values) + 1:
            raise ValueError(f"{len(self.edges)} edges do not bound {len(self.values)} bins")
        if not np.isfinite([*self.edges, *self.values]).all():
            raise ValueError("edges and values must be finite numbers")
        if (np.diff(self.edges) <= 0).any():
            raise ValueError("edges must ascend")


@dataclass(frozen=True)
class TimestepWeights(_ByTimestep):
    """How much the errors of each timestep bin count in a decision.

    Attributes:
        edges: Ascending, B + 1.
        values: Not negative, mean 1, B; a rule need not measure cells whose weight is 0.

    Raises:
        ValueError: If a weight is negative or all are 0.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.values) < 0 or not any(self.values):
            raise ValueError("weights must not be negative, and not all 0")

    @property
    def uniform(self) -> bool:
        """Whether all timesteps count the same."""
        return len(set(self.values)) == 1

    def of(self, timesteps: Timesteps) -> Floats:
        """The weight of every cell.

        Args:
            timesteps: (N, S); beyond the edges the nearest bin's weight holds.

        Returns:
            float64 (N, S). A picture whose cells would all have weight 0, as that of a very noisy
            one may, gets 1 for each: it could not be decided otherwise.
        """
        found = np.asarray(self.values)[bins_of(timesteps, np.asarray(self.edges))]
        found[~found.any(axis=1)] = 1.0
        return np.asarray(found, np.float64)


@dataclass(frozen=True)
class GapProfile(_ByTimestep):
    """How far classes lie apart at each timestep, in units of the mean over timesteps.

    Attributes:
        edges: Ascending, B + 1.
        values: Mean 1, B; any sign.
    """

    def at(self, timesteps: Timesteps) -> Floats:
        """The profile at every cell, float64 of the shape of the timesteps.

        Between the middles of bins it is linear, beyond the outer ones constant. It is a function
        of the timestep alone, whatever other cells a picture has: a bound on differences divided by
        it holds for pictures with timesteps of their own, and where some cells are left out.
        """
        edges = np.asarray(self.edges)
        return np.interp(timesteps, (edges[1:] + edges[:-1]) / 2, self.values)


def bins_of(timesteps: Timesteps, edges: Floats) -> NDArray[np.intp]:
    """Number of the bin of every timestep (...,); the outer bins also hold what is beyond them."""
    return np.clip(np.searchsorted(edges, timesteps, side="right") - 1, 0, len(edges) - 2)


def covering_bins(timesteps: Timesteps, count: int) -> Floats:
    """Edges of equal bins, `count` at most, over all timesteps that were measured."""
    return timestep_bins(int(timesteps.min()), int(timesteps.max()) + 1, count)


def gap_profile(errors: Floats, timesteps: Timesteps, bins: int = 10) -> GapProfile:
    """Mean difference to the best class at each timestep, over pictures and the other classes.

    It needs no labels: the best class is the full decision, of the lowest mean error.

    Args:
        errors: (N, K, S), complete.
        timesteps: (N, S).
        bins: Number of timestep bins, at most; one without a cell is interpolated.
    """
    edges = covering_bins(timesteps, bins)
    rivals = errors.shape[1] - 1
    best = errors.mean(axis=2, dtype=np.float64).argmin(axis=1)
    lowest = errors[np.arange(len(errors)), best].astype(np.float64)
    gaps = (errors.sum(axis=1, dtype=np.float64) - (rivals + 1) * lowest) / rivals  # (N, S)
    which = bins_of(timesteps, edges).ravel()
    counts = np.bincount(which, minlength=len(edges) - 1)
    held = counts > 0
    means = np.bincount(which, gaps.ravel(), len(edges) - 1)[held] / counts[held]
    values = np.interp(np.arange(len(counts)), np.flatnonzero(held), means)
    # Classes that lie nowhere apart, or only by rounding, have no profile.
    flat = values.mean() <= _ROUNDING * np.abs(errors).mean()
    found = np.ones(len(counts)) if flat else values / values.mean()
    return GapProfile(tuple(edges.tolist()), tuple(found.tolist()))


# ------------------------------------------------------------------------------------------------
# Probabilities from errors: a scale, weights and a range of timesteps, of validation traces.
#
# Errors say which class is the most probable, and not how probable. The probabilities here are
# softmax(-scale * mean error), by the weighted mean where timesteps are weighed, and what is
# learned minimises their negative log-likelihood (NLL) of the labels. Pure functions on arrays of
# validation
# pictures; the order of pictures does not matter. Shapes: N pictures, K classes, S steps, B bins.


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


# ------------------------------------------------------------------------------------------------
# All that is learned, and how it is kept.
#
# Nothing here is learned from test pictures. Errors may also be NLLs, -log p(class | picture)
# of a discriminative classifier, with the numbers of views in the place of timesteps.


#: The bound on differences is so many times the largest one seen.
SAFETY = 1.5

_Curve = TypeVar("_Curve", TimestepWeights, GapProfile)


def bound(errors: Floats) -> float:
    """What no difference of two classes' errors at one step is expected to exceed.

    With a gap profile the test's bound is one on errors divided by `sequential.relative_gaps`.

    The largest difference seen, times `SAFETY`: an assumption of the bounded sequential test, which
    no finite number of pictures proves.

    Args:
        errors: (N, K, S), complete.
    """
    return SAFETY * float(np.ptp(errors.astype(np.float64), axis=1).max())


@dataclass(frozen=True)
class Fit:
    """What was learned from the validation trace of one classifier.

    Attributes:
        n: Number of validation pictures.
        temperature: Logits are -temperature * mean error.
        weights: Of timesteps, fitted for the best probabilities; uniform where none are better.
        range: Weights of 0 and of one value: the timesteps worth measuring.
        profile: How far classes lie apart at each timestep.
        bound: Of the difference of two classes' errors at one step, divided by the
            `sequential.relative_gaps` of the profile there.

    Raises:
        ValueError: If a number is not what it should be; the message names the field.
    """

    n: int
    temperature: float
    weights: TimestepWeights
    range: TimestepWeights
    profile: GapProfile
    bound: float

    def __post_init__(self) -> None:
        if not _is_number(self.n) or self.n < 1 or self.n != int(self.n):
            raise ValueError(f"n: {self.n!r} is no number of pictures")
        for name in ("temperature", "bound"):
            value = getattr(self, name)
            if not _is_number(value) or value <= 0:
                raise ValueError(f"{name}: {value!r} is no number above 0")

    def to_dict(self) -> dict[str, Any]:
        """As what JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Any) -> Self:
        """Take back what `to_dict` gave.

        Raises:
            ValueError: If a field is missing, unknown or not what it should be; it is named.
        """
        _named("fit", content, [field.name for field in fields(cls)])
        return cls(
            n=content["n"],
            temperature=content["temperature"],
            weights=_curve(TimestepWeights, "weights", content["weights"]),
            range=_curve(TimestepWeights, "range", content["range"]),
            profile=_curve(GapProfile, "profile", content["profile"]),
            bound=content["bound"],
        )


def fit(errors: Floats, timesteps: Timesteps, labels: Labels) -> Fit:
    """Learn everything from a validation trace.

    Args:
        errors: (N, K, S), complete.
        timesteps: (N, S).
        labels: (N,).

    Raises:
        ValueError: If nothing can be learned from it; see `emodc.decisions.fit.temperature`.
    """
    check(errors, labels)
    profile = gap_profile(errors, timesteps)
    return Fit(
        n=len(labels),
        temperature=temperature(errors, labels),
        weights=weights(errors, timesteps, labels),
        range=timestep_range(errors, timesteps, labels),
        profile=profile,
        bound=bound(errors / relative_gaps(profile, timesteps)[:, None]),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _named(where: str, content: Any, names: list[str]) -> None:
    if not isinstance(content, dict):
        raise ValueError(f"{where}: {type(content).__name__} in the place of {', '.join(names)}")
    wrong = [f"{name} is missing" for name in names if name not in content]
    wrong += [f"{name} is unknown" for name in content if name not in names]
    if wrong:
        raise ValueError(f"{where}: {'; '.join(wrong)}")


def _curve(kind: type[_Curve], name: str, content: Any) -> _Curve:
    _named(name, content, ["edges", "values"])
    for part, values in content.items():
        if not isinstance(values, list | tuple) or not all(map(_is_number, values)):
            raise ValueError(f"{name}.{part}: no list of finite numbers")
    try:
        return kind(tuple(content["edges"]), tuple(content["values"]))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
