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

from emodc.analysis.estimates import Bools, Floats
from emodc.decisions.orders import Ints, cell_weights, spread, stratified, successive
from emodc.diffusion.philox import philox

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
