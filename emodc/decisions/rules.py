"""Rules without a guarantee: what published diffusion classifiers do.

Where a source states its numbers they are the defaults here.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from typing_extensions import override

from emodc.analysis import Bools, Floats
from emodc.decisions.decide import TIE, Ints, Order, Rule, Seen, evenly_spaced, growing_looks


@dataclass(frozen=True)
class FullGrid(Rule):
    """Every class at every step, or at some evenly spaced ones (Li et al. 2023, eq. 5).

    Attributes:
        count: Number of steps; all if None. Some of a grid are not the grid of so many steps: their
            timesteps are near, their noise is the larger grid's.
    """

    count: int | None = None
    order: Order = field(default="spread", init=False)

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"a decision needs at least one step, not {self.count}")

    @override
    def looks(self, steps: int) -> tuple[int, ...]:
        return (min(self.count or steps, steps),)

    def survivors(self, seen: Seen) -> Bools:
        """All."""
        return seen.alive

    @override
    def cells(
        self, timesteps: NDArray[np.integer], scale: Floats, seed: int, sample_id: str
    ) -> Ints:
        return evenly_spaced(len(timesteps), self.looks(len(timesteps))[0])


@dataclass(frozen=True)
class Stages(Rule):
    """Keep the best k classes after n steps, then fewer after more (Li et al. 2023, sec. 3.3).

    Attributes:
        keep: Pairs (n, k), n ascending; the last look at n steps or fewer decides.
    """

    keep: tuple[tuple[int, int], ...] = ((20, 3), (50, 2), (100, 1))
    order: Order = field(default="spread", init=False)

    def __post_init__(self) -> None:
        counts = [n for n, _ in self.keep]
        if not counts or counts != sorted(set(counts)) or min(map(min, self.keep)) < 1:
            raise ValueError(f"{self.keep} are no pairs (n, k) of at least 1, with n ascending")

    @override
    def looks(self, steps: int) -> tuple[int, ...]:
        early = [n for n, _ in self.keep[:-1] if n < min(steps, self.keep[-1][0])]
        return (*early, min(steps, self.keep[-1][0]))

    def survivors(self, seen: Seen) -> Bools:
        """The best k; those that tie with the last of them stay, too."""
        keep = next((k for n, k in self.keep if n == seen.n), 1)
        means = seen.means
        worst_kept = np.sort(means, axis=1)[:, min(keep, means.shape[1]) - 1]
        return seen.alive & (means <= worst_kept[:, None])


@dataclass(frozen=True)
class PairedTTest(Rule):
    """A class leaves when a one-sided paired t-test finds it worse than the best.

    After Clark & Jaini (2023, arXiv 2303.15233). The test is repeated at every look without paying
    for it, so p is no error rate.

    Attributes:
        p: Level of each single test.
        minimum: Steps before the first look.
    """

    p: float = 2e-3
    minimum: int = 20
    order: Order = field(default="random", init=False)

    def __post_init__(self) -> None:
        if not 0 < self.p < 1:
            raise ValueError(f"p is a probability in (0, 1), not {self.p}")

    @override
    def looks(self, steps: int) -> tuple[int, ...]:
        return growing_looks(max(2, self.minimum), steps)

    def survivors(self, seen: Seen) -> Bools:
        """Those that are not found worse."""
        differences = seen.errors - _leaders(seen)[:, None, :]
        mean = differences.mean(axis=2)
        spread = differences.std(axis=2, ddof=1) if seen.n > 1 else np.full(mean.shape, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):  # the leader itself: 0 / 0
            t = mean / (spread / np.sqrt(seen.n))
        worse = (mean > 0) & (t > stats.t.ppf(1 - self.p, max(1, seen.n - 1)))
        return seen.alive & ~worse


@dataclass(frozen=True)
class Threshold(Rule):
    """A class leaves when its mean error is above the lowest by more than a fixed margin.

    After the sift of Chen et al. (2024, arXiv 2402.02316).

    Attributes:
        margin: In the units of the errors, at least 0.
        minimum: Steps before the first look.
    """

    margin: float = 0.05
    minimum: int = 5
    order: Order = field(default="stratified", init=False)

    def __post_init__(self) -> None:
        if not self.margin >= 0:
            raise ValueError(f"a margin is at least 0, not {self.margin}")

    @override
    def looks(self, steps: int) -> tuple[int, ...]:
        return growing_looks(max(1, self.minimum), steps)

    def survivors(self, seen: Seen) -> Bools:
        """Those within the margin."""
        means = seen.means
        return seen.alive & (means <= means.min(axis=1, keepdims=True) + self.margin)


@dataclass(frozen=True)
class MajorityVote(Rule):
    """Every step votes for the class with its lowest error (Favero et al. 2025, arXiv 2502.03687).

    It ends when no class can overtake the leader, which changes no decision. A step that ties has
    no vote. This is another decision than the full one, not an estimate of it.
    """

    order: Order = field(default="stratified", init=False)

    @override
    def looks(self, steps: int) -> tuple[int, ...]:
        return growing_looks((steps + 2) // 2, steps)

    def survivors(self, seen: Seen) -> Bools:
        """All as long as any could still win, then the leader."""
        votes = _votes(seen)
        ranked = np.sort(votes, axis=1)
        decided = ranked[:, -1] - ranked[:, -2] > seen.steps - seen.n
        leader = votes == ranked[:, -1:]
        return seen.alive & np.where(decided[:, None], leader, True)

    def winner(self, seen: Seen) -> Ints:
        """The class with most votes."""
        votes = _votes(seen)
        alone = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) == 1
        return np.where(alone, votes.argmax(axis=1), TIE)


def _leaders(seen: Seen) -> Floats:
    """Errors of the class with the lowest mean, (M, n)."""
    best = seen.means.argmin(axis=1)
    return seen.errors[np.arange(len(best)), best]


def _votes(seen: Seen) -> Ints:
    """Steps won by each class, (M, K)."""
    errors = seen.errors
    least = errors == errors.min(axis=1, keepdims=True)
    alone = least.sum(axis=1, keepdims=True) == 1
    votes: Ints = (least & alone).sum(axis=2)
    return votes
