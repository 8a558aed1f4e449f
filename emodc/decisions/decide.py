"""From errors to a decision, with as few evaluations as the rule needs.

    errors of the cells visited so far -> rule -> classes that stay -> ... -> one class

A *cell* is one step of the grid, a (timestep, noise) pair. A rule visits a picture's cells in an
order of its own, and at some counts, its *looks*, sends classes away; what has left is not measured
any more. The *full decision* is the class with the lowest mean error over all cells. Rules are pure
functions of what was seen, so `decide` on a stored trace and the live engine, which measures only
what a rule asks for, decide alike. Arrays only: no torch, no network.

Shapes: N pictures, K classes, S steps of the grid, n steps seen.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from emodc.analysis import Bools, Floats
from emodc.diffusion.noise import philox

# ------------------------------------------------------------------------------------------------
# Which cells are visited, in what order, and after how many a rule looks
# ------------------------------------------------------------------------------------------------

Ints = NDArray[np.intp]

#: Points per cell that a stratified order is drawn with, as a power of 2.
FINENESS = 3


def cell_weights(weights: Floats | None, pictures: int, steps: int) -> Floats:
    """Factors of errors, float64 (N, S); 1 where there are no weights.

    Args:
        weights: (N, S), at least 0; cells of weight 0 are not measured.
        pictures: N.
        steps: S.

    Raises:
        ValueError: If they are of another shape, negative or not finite, or a picture's are all 0.
    """
    if weights is None:
        return np.ones((pictures, steps))
    if weights.shape != (pictures, steps):
        raise ValueError(f"weights of {pictures} pictures x {steps} steps are not {weights.shape}")
    if not np.isfinite(weights).all() or (weights < 0).any():
        raise ValueError("weights must be finite and not negative")
    if not weights.any(axis=1).all():
        raise ValueError("a picture none of whose cells has a weight above 0 cannot be decided")
    return weights.astype(np.float64)


def spread(steps: int) -> Ints:
    """All positions, such that any number of first ones is spread evenly: bit-reversed counting.

    J. G. van der Corput, "Verteilungsfunktionen" (1935), in base 2.
    """
    bits = max(1, (steps - 1).bit_length())
    counted = (int(f"{i:0{bits}b}"[::-1], 2) for i in range(2**bits))
    return np.array([position for position in counted if position < steps], np.intp)


def evenly_spaced(total: int, count: int) -> Ints:
    """Positions of `count` of `total` things: the middle of each of `count` equal parts."""
    return (2 * np.arange(count) + 1) * total // (2 * count)


def growing_looks(first: int, steps: int, ratio: int = 8) -> tuple[int, ...]:
    """Every count from `first`, further apart as they grow: by n / ratio; `steps` is the last."""
    found = []
    count = min(first, steps)
    while count < steps:
        found.append(count)
        count += max(1, count // ratio)
    return (*found, steps)


def successive(sizes: Floats, draw: np.random.Generator) -> Ints:
    """All positions; the next is drawn from what is left, with chances in proportion to sizes (S,).

    As the order of arrival of exponential waiting times (Rosen 1972, doi 10.1214/aoms/1177692692).
    """
    return np.argsort(draw.exponential(size=len(sizes)) / sizes, kind="stable")


def stratified(sizes: Floats, draw: np.random.Generator) -> Ints:
    """Like `successive`, but any number of first positions is spread evenly over the sizes.

    The points of a van der Corput sequence, scrambled after Owen (1995, doi
    10.1007/978-1-4612-2552-2_19), fall on an interval divided in proportion to sizes (S,): each
    point is uniform, the first 2^m of them lie in as many equal parts. A position comes when it is
    hit first; the few that never are come last.
    """
    digits = (len(sizes) - 1).bit_length() + FINENESS
    count = 2**digits
    flips = draw.integers(0, 2, count)
    point, node = np.zeros(1, np.intp), np.ones(1, np.intp)
    for _ in range(digits):  # of all numbers with so many low digits: the next one is 0, then 1
        flip = flips[node]
        point = np.concatenate([2 * point + flip, 2 * point + 1 - flip])
        node = np.concatenate([2 * node, 2 * node + 1])
    ends = np.cumsum(sizes) / np.sum(sizes)
    hit = np.minimum(np.searchsorted(ends, (point + 0.5) / count, side="right"), len(sizes) - 1)
    first = np.full(len(sizes), count)
    first[hit[::-1]] = np.arange(count)[::-1]  # the last assignment stays
    return np.lexsort((draw.permutation(len(sizes)), first))


def chances(sizes: Floats, count: int) -> Floats:
    """How likely each position is to be among the first `count`, (S,); they add up to it.

    1 - exp(-t x) for sizes x: what `successive` orders of many positions come to (Rosen 1972, doi
    10.1214/aoms/1177692692), and `stratified` ones nearly. Divided by them, a sum over the cells
    that were visited stands for one over all (Horvitz & Thompson 1952, doi
    10.1080/01621459.1952.10483446).

    Args:
        sizes: Positive, (S,).
        count: From 1 to S.
    """
    relative = sizes / sizes.mean()
    if count >= len(sizes):
        return np.ones(len(sizes))
    highest = np.log(2 * len(sizes)) / relative.min()  # there they add up to S - 1/2 at least
    time = brentq(lambda t: float(-np.expm1(-t * relative).sum()) - count, 0.0, highest)
    found: Floats = -np.expm1(-time * relative)
    return found


# ------------------------------------------------------------------------------------------------
# From errors to a decision
# ------------------------------------------------------------------------------------------------

Order = Literal["random", "stratified", "spread"]

#: Pictures replayed at once: as many as fit a processor's cache.
TOGETHER = 256

#: No class: two have the lowest error, and a tie is an error.
TIE = -1


@dataclass(frozen=True, eq=False)
class Seen:
    """What a rule has seen of M pictures, in the order it visits their cells.

    Attributes:
        errors: float64 (M, K, n); NaN where a class had left.
        alive: Classes still in question, (M, K).
        timesteps: Of all S cells, visited or not, (M, S).
        scale: Weights that the errors of all S cells are multiplied by, above 0, (M, S).
    """

    errors: Floats
    alive: Bools
    timesteps: NDArray[np.integer]
    scale: Floats

    @property
    def n(self) -> int:
        """Cells seen."""
        return self.errors.shape[2]

    @property
    def steps(self) -> int:
        """Cells in all, S."""
        return self.timesteps.shape[1]

    @property
    def means(self) -> Floats:
        """Mean errors so far, (M, K); infinite for classes that left."""
        return np.where(self.alive, self.errors.mean(axis=2), np.inf)


class Rule(ABC):
    """When classes leave, and which one wins."""

    order: Order | None

    @abstractmethod
    def looks(self, steps: int) -> tuple[int, ...]:
        """Counts of cells at which the rule looks, ascending; it decides at the last one.

        Args:
            steps: Cells of the picture, at least 1; no look is greater.
        """

    @abstractmethod
    def survivors(self, seen: Seen) -> Bools:
        """The classes (M, K) that stay; at least one, and none that had left."""

    def winner(self, seen: Seen) -> Ints:
        """The decision at the last look, (M,): the lowest mean error, or `TIE`."""
        return lowest(seen.means)

    def sizes(self, timesteps: NDArray[np.integer], scale: Floats) -> Floats:
        """How likely cells are to be visited early, positive, any unit: here all alike.

        Args:
            timesteps: (M, S).
            scale: Weights of the errors, above 0, (M, S).
        """
        return np.ones(scale.shape)

    def cells(
        self, timesteps: NDArray[np.integer], scale: Floats, seed: int, sample_id: str
    ) -> Ints:
        """Positions in the order of visiting; a function of the sizes and of (seed, sample id).

        Args:
            timesteps: Of the cells to be visited, (S,).
            scale: Their weights, (S,).
            seed: Of the evaluation.
            sample_id: Name of the picture.
        """
        if self.order == "spread":
            return spread(len(timesteps))
        draw = philox(seed, "order", sample_id)
        sizes = self.sizes(timesteps[None], scale[None])[0]
        return successive(sizes, draw) if self.order == "random" else stratified(sizes, draw)


@dataclass(frozen=True, eq=False)
class Decisions:
    """What a rule decided.

    Attributes:
        winner: Index of the class, (N,); `TIE` if two share the lowest error.
        seen: Steps at which each class was measured, (N, K).
    """

    winner: Ints
    seen: Ints

    @property
    def evaluations(self) -> Ints:
        """Errors measured, (N,): one class at one step each."""
        return self.seen.sum(axis=1)

    @property
    def steps(self) -> Ints:
        """Steps at which anything was measured, (N,): passes of a network with a shared trunk."""
        return self.seen.max(axis=1)


def decide(
    errors: Floats,
    timesteps: NDArray[np.integer],
    rule: Rule,
    ids: Sequence[str],
    *,
    seed: int = 0,
    weights: Floats | None = None,
) -> Decisions:
    """Replay a rule on complete traces.

    Args:
        errors: (N, K, S), all of them finite.
        timesteps: (N, S).
        rule: How to decide.
        ids: Sample ids, N; with the seed they address the order of visiting.
        seed: Of the evaluation.
        weights: Factors of the errors, (N, S); see `orders.cell_weights`. What is decided is then
            the weighted mean error.

    Raises:
        ValueError: If the shapes do not fit, an error is not finite, or weights are refused.
    """
    n, classes, steps = errors.shape
    if timesteps.shape != (n, steps) or len(ids) != n:
        raise ValueError(f"{errors.shape} errors, {timesteps.shape} timesteps, {len(ids)} ids")
    if not np.isfinite(errors).all():
        raise ValueError("errors that were not measured, or are not finite, cannot be replayed")
    factors = cell_weights(weights, n, steps)
    winner, seen = np.full(n, TIE, np.intp), np.zeros((n, classes), np.intp)
    for rows in _alike(np.count_nonzero(factors, axis=1)):
        cells = np.stack(
            [visited(rule, timesteps[row], factors[row], seed, ids[row]) for row in rows.tolist()]
        )
        scale = np.take_along_axis(factors[rows], cells, axis=1)
        own = np.take_along_axis(errors[rows], cells[:, None, :], axis=2) * scale[:, None, :]
        times = np.take_along_axis(timesteps[rows], cells, axis=1)
        winner[rows], seen[rows] = _replayed(rule, own, times, scale)
    return Decisions(winner, seen)


def visited(
    rule: Rule,
    timesteps: NDArray[np.integer],
    weights: Floats,
    seed: int,
    sample_id: str,
) -> Ints:
    """Grid positions of one picture in the order of visiting.

    Args:
        rule: Whose order.
        timesteps: Of the grid, (S,).
        weights: Factors of the errors, (S,); see `orders.cell_weights`.
        seed: Of the evaluation.
        sample_id: Name of the picture.
    """
    own = np.flatnonzero(weights)
    return own[rule.cells(timesteps[own], weights[own], seed, sample_id)]


def look(rule: Rule, seen: Seen, last: bool) -> tuple[Bools, Ints, Bools]:
    """One look at M pictures: what live and replayed decisions share.

    Args:
        rule: The rule.
        seen: What it has seen.
        last: Whether this is the last of its looks.

    Returns:
        The classes that stay, (M, K); the winners, (M,), valid where decided; which are decided,
        (M,).
    """
    stay = seen.alive & rule.survivors(seen)
    if last:
        ended = Seen(seen.errors, stay, seen.timesteps, seen.scale)
        return stay, rule.winner(ended), np.ones(len(stay), bool)
    return stay, stay.argmax(axis=1).astype(np.intp), stay.sum(axis=1) == 1


def lowest(means: Floats) -> Ints:
    """Position of the lowest of each row (M, K), `TIE` where it is not alone."""
    least = means.min(axis=1, keepdims=True)
    alone = (means == least).sum(axis=1) == 1
    return np.where(alone, means.argmin(axis=1), TIE)


def _alike(sizes: Ints) -> Iterator[Ints]:
    """Positions of equal sizes (N,), `TOGETHER` at most."""
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        yield from np.array_split(rows, -(-len(rows) // TOGETHER))


def _replayed(
    rule: Rule, errors: Floats, timesteps: NDArray[np.integer], scale: Floats
) -> tuple[Ints, Ints]:
    """Winners (M,) and steps seen (M, K) of pictures with equally many cells; spoils `errors`."""
    pictures, classes, steps = errors.shape
    winner, seen = np.full(pictures, TIE, np.intp), np.zeros((pictures, classes), np.intp)
    alive = np.ones((pictures, classes), bool)
    active = np.arange(pictures)
    looks = rule.looks(steps)
    for count in looks:
        seen[active] = np.where(alive, count, seen[active])
        own = Seen(errors[:, :, :count], alive, timesteps, scale)
        stay, found, done = look(rule, own, count == looks[-1])
        winner[active[done]] = found[done]
        if done.all():
            break
        left = alive & ~stay
        errors[:, :, count:][left] = np.nan
        alive, go = stay, ~done
        if done.any():
            active, alive, errors = active[go], alive[go], errors[go]
            timesteps, scale = timesteps[go], scale[go]
    return winner, seen
