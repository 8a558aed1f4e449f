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
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emodc.estimates import Bools, Floats
from emodc.philox import philox

Order = Literal["random", "stratified", "spread"]
Ints = NDArray[np.intp]

#: Strata of timesteps that a stratified order goes round.
STRATA = 10

#: No class: two have the lowest error, and a tie is an error.
TIE = -1


@dataclass(frozen=True, eq=False)
class Seen:
    """What a rule has seen of M pictures, in the order it visits their cells.

    Attributes:
        errors: float64 (M, K, n); NaN where a class had left.
        alive: Classes still in question, (M, K).
        timesteps: Of all S cells, visited or not, (M, S).
        scale: Weights that the errors of all S cells are multiplied by, (M, S).
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

    order: Order

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

    def cells(self, steps: int, seed: int, sample_id: str) -> Ints:
        """Positions in the grid, in the order of visiting; a function of (seed, sample id).

        Args:
            steps: Cells of the picture.
            seed: Of the evaluation.
            sample_id: Name of the picture.
        """
        if self.order == "spread":
            return spread(steps)
        draw = philox(seed, "order", sample_id)
        if self.order == "random":
            return draw.permutation(steps)
        return _rounds(steps, draw)


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
        weights: Factors of the errors, at least 0, (N, S). Cells of weight 0 are not measured,
            unless that would leave none. What is decided is then the weighted mean error.

    Raises:
        ValueError: If the shapes do not fit, or an error is not finite.
    """
    n, classes, steps = errors.shape
    if timesteps.shape != (n, steps) or len(ids) != n:
        raise ValueError(f"{errors.shape} errors, {timesteps.shape} timesteps, {len(ids)} ids")
    if not np.isfinite(errors).all():
        raise ValueError("errors that were not measured, or are not finite, cannot be replayed")
    kept = kept_cells(weights, n, steps)
    winner, seen = np.full(n, TIE, np.intp), np.zeros((n, classes), np.intp)
    sizes = kept.sum(axis=1)
    for size in np.unique(sizes):
        rows = np.flatnonzero(sizes == size)
        cells = np.stack([visited(rule, kept[row], seed, ids[row]) for row in rows.tolist()])
        order = cells[:, None, :]
        own = np.take_along_axis(errors[rows], order, axis=2).astype(np.float64)
        scale = np.ones(cells.shape)
        if weights is not None:
            scale = np.take_along_axis(weights[rows], cells, axis=1).astype(np.float64)
            own *= scale[:, None, :]
        times = np.take_along_axis(timesteps[rows], cells, axis=1)
        winner[rows], seen[rows] = _replayed(rule, own, times, scale)
    return Decisions(winner, seen)


def kept_cells(weights: Floats | None, pictures: int, steps: int) -> Bools:
    """The cells that weights leave to be measured, (N, S); all of a picture that has none left."""
    if weights is None:
        return np.ones((pictures, steps), bool)
    kept = weights > 0
    kept[~kept.any(axis=1)] = True
    return kept


def visited(rule: Rule, kept: Bools, seed: int, sample_id: str) -> Ints:
    """Grid positions of a picture in the order of visiting; `kept` (S,) are its cells."""
    own = np.flatnonzero(kept)
    return own[rule.cells(len(own), seed, sample_id)]


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


def _rounds(steps: int, draw: np.random.Generator) -> Ints:
    """Round after round one position of each stratum, in random order within strata and rounds."""
    strata = [draw.permutation(part) for part in np.array_split(np.arange(steps), STRATA)]
    rounds = (
        draw.permutation([part[turn] for part in strata if turn < len(part)])
        for turn in range(max(map(len, strata)))
    )
    return np.concatenate(list(rounds)).astype(np.intp)


def _replayed(
    rule: Rule, errors: Floats, timesteps: NDArray[np.integer], scale: Floats
) -> tuple[Ints, Ints]:
    """Winners (M,) and steps seen (M, K) of pictures with equally many cells."""
    pictures, classes, steps = errors.shape
    winner, seen = np.full(pictures, TIE, np.intp), np.zeros((pictures, classes), np.intp)
    alive = np.ones((pictures, classes), bool)
    active = np.arange(pictures)
    looks = rule.looks(steps)
    for count in looks:
        if not len(active):
            break
        seen[active] = np.where(alive[active], count, seen[active])
        known = np.where(
            seen[active][:, :, None] > np.arange(count), errors[active, :, :count], np.nan
        )
        own = Seen(known, alive[active], timesteps[active], scale[active])
        alive[active], found, done = look(rule, own, count == looks[-1])
        winner[active[done]] = found[done]
        active = active[~done]
    return winner, seen
