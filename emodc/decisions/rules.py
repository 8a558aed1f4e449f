"""Rules: the published ones, which guarantee nothing, and a sequential test with a stated error.

Where a source states its numbers they are the defaults here.

**The sequential test.** The full decision with a stated error probability, from as
few cells as that allows.

A picture's S cells are a finite population, and the target is the decision of all of them. The next
cell is drawn from those left, with chances in proportion to known sizes x (Raj 1956, doi
10.1080/01621459.1956.10501330). For two classes j and k let D_i be k's error minus j's at the i-th
cell visited, and X_i the sum of the sizes left before it. If k is in truth no worse than j, H0:
the sum of all D <= 0, then given the past the next D_i / x_i has at most the mean

    m_i = -(D_1 + ... + D_(i-1)) / X_i.

From D_i / x_i - m_i an *e-process* E_jk is built: a bet against H0 that starts at 1 and is not
expected to grow if H0 holds. The mean of E_jk over the other classes j is then an e-process against
"k wins the full decision"; by Ville's inequality it ever exceeds 1 / delta with probability delta
at most, however often one looks. That is when k leaves. So the winner of the full decision is lost
with probability delta at most.

Two ways to bet:

- "bounded" (Waudby-Smith & Ramdas 2020, arXiv 2006.04347; 2024, arXiv 2010.09686): the product of
  1 + f_i (D_i / x_i - m_i) / (m_i + bound), with fractions f_i in [0, 1) that rest on earlier cells
  only. Exact for every population without a D / x below -bound. The bound has to cover the worst
  cell of any picture, so it is wide, and this variant slow.
- "student": D_i / x_i - m_i, scaled to equal variance, is compared with its own spread: the Bayes
  factor of a Student test with a half-normal prior on the effect, which for Gaussian cells of equal
  sizes and unknown variance is an e-process (Lai 1976, doi 10.1214/aos/1176343406; Wang & Ramdas
  2025, arXiv 2310.03722). For others it is an approximation: *asymptotic*, checked by simulation,
  not proven. It fails where a few cells hold the opposite of what all others say, hence for
  near ties with strongly skewed differences: `docs/decisions.md` has the figures.

**The gap profile** gives the sizes. How far classes lie apart falls steeply with the timestep, in
much the same way for all pictures, so D / x varies far less than D, and cells that matter more come
earlier. A wrong profile costs evaluations and, in the bounded variant, not the guarantee.
"""

from dataclasses import dataclass, field
from math import log
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit
from typing_extensions import override

from emodc.analysis import Bools, Floats
from emodc.decisions.decide import TIE, Ints, Order, Rule, Seen, evenly_spaced, growing_looks

# ------------------------------------------------------------------------------------------------
# Rules without a guarantee: what published diffusion classifiers do
# ------------------------------------------------------------------------------------------------


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
        worse = (mean > 0) & (t > stdtrit(max(1, seen.n - 1), 1 - self.p))
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


# ------------------------------------------------------------------------------------------------
# The full decision with a stated error probability
# ------------------------------------------------------------------------------------------------

#: Part of the sizes that is alike for all cells, so that none is left to the end for a profile that
#: has it wrong: a defensive mixture (Hesterberg 1995, doi 10.1080/00401706.1995.10484303).
DEFENSIVE = 0.2

#: What the "bounded" variant adds to squared gains, so that it starts with small bets.
PRIOR = 0.02

#: Largest part of the capital that the "bounded" variant bets.
BOLDEST = 0.99


class Profile(Protocol):
    """How far classes lie apart, by timestep."""

    def at(self, timesteps: NDArray[np.integer]) -> Floats:
        """Gaps at timesteps (M, S), in units of their mean; what is below 0 counts as 0."""


@dataclass(frozen=True)
class SequentialTest(Rule):
    """Stop when one class is left that no rival can be expected to beat on the full grid.

    Attributes:
        delta: Probability, per picture, that the decision is not the full one; over the order of
            visiting.
        kind: How to bet; see above.
        profile: How far classes lie apart by timestep; None takes all timesteps to be alike.
        bound: Of the "bounded" variant: largest difference of two classes' errors at one cell,
            divided by `relative_gaps` there.
        minimum: Cells before the first look.
        effect: Of the "student" variant: scale of the prior on mean / spread of D / x.
        order: "random", which the theory is for; "stratified", which spreads early cells over the
            sizes and in simulations errs less; None takes "stratified" where cells are compared
            with their own spread, "random" for the "bounded" variant.
    """

    delta: float = 0.01
    kind: Literal["student", "bounded"] = "student"
    profile: Profile | None = None
    bound: float | None = None
    minimum: int = 5
    effect: float = 3.0
    order: Order | None = None

    def __post_init__(self) -> None:
        if self.order is None:
            object.__setattr__(self, "order", "random" if self.kind == "bounded" else "stratified")
        if not 0 < self.delta < 1:
            raise ValueError(f"delta is a probability in (0, 1), not {self.delta}")
        if self.kind == "bounded" and (self.bound is None or self.bound <= 0):
            raise ValueError("the bounded test needs a bound above 0 on differences of errors")
        if self.kind == "bounded" and self.order != "random":
            raise ValueError("the bounded test is exact for the order 'random' only")

    @override
    def looks(self, steps: int) -> tuple[int, ...]:
        return growing_looks(max(1, self.minimum), steps, ratio=12)

    @override
    def sizes(self, timesteps: NDArray[np.integer], scale: Floats) -> Floats:
        """Relative gaps, times the weights of the errors."""
        return relative_gaps(self.profile, timesteps) * scale

    def survivors(self, seen: Seen) -> Bools:
        """The leader, and all whose e-process is small enough."""
        if seen.n == seen.steps:
            return seen.alive  # all is known
        leader = seen.means.argmin(axis=1)
        rows = np.arange(len(leader))
        gaps = seen.errors - seen.errors[rows, leader][:, None, :]
        sizes = self.sizes(seen.timesteps, seen.scale)
        if self.kind == "student":
            evidence = against(student_evidence(gaps, sizes, self.effect))
        else:
            assert self.bound is not None
            rivals = max(1, gaps.shape[1] - 1)
            evidence = betting_evidence(gaps, sizes, self.bound) - log(rivals)
        leaves = evidence > -log(self.delta)
        leaves[rows, leader] = False
        return seen.alive & ~leaves


def relative_gaps(profile: Profile | None, timesteps: NDArray[np.integer]) -> Floats:
    """How far classes lie apart at timesteps (M, S), in units of their mean; never near 0."""
    if profile is None:
        return np.ones(timesteps.shape)
    return (1 - DEFENSIVE) * np.maximum(profile.at(timesteps), 0) + DEFENSIVE


def against(evidence: Floats) -> Floats:
    """Logarithm of the e-process against "k wins", (M, K): the mean over j of pairs [j, k].

    NaN, where a class had left, counts as no capital; so does j = k.
    """
    classes = evidence.shape[1]
    known = np.where(np.isnan(evidence), -np.inf, evidence)
    known[:, range(classes), range(classes)] = -np.inf
    total: Floats = np.logaddexp.reduce(known, axis=1)
    return total - log(max(1, classes - 1))


def student_evidence(errors: Floats, sizes: Floats, effect: float) -> Floats:
    """Logarithms of the Student e-processes of all pairs after n of S cells.

    With X = X_1, p the chances x / X_i of the cells left, s_i^2 = 1 - sum p^2 the variance of a
    draw from them in units of sigma^2, Z_i = (D_i / x_i - m_i) / s_i, and w_i = X / (X_i s_i) its
    mean per unit of sum D / X, the Bayes factor of "sum D / X = g sigma, g ~ |N(0, effect^2)|"
    against "sum D = 0", sigma unknown, is

        2 T_n(c U / (V R / n)^(1/2)) V^(-1/2) (Q / R)^(n/2),

    U = sum w Z, Q = sum Z^2, V = 1 + c^2 sum w^2, R = Q - c^2 U^2 / V, c the effect and T_n the
    distribution function of Student's t. It grows with U / Q^(1/2), which a lower mean of D lowers:
    what holds for sum D = 0 holds for sum D <= 0.

    Args:
        errors: In the order of visiting, (M, K, n), n < S; up to what all classes share.
        sizes: x of all cells in the order of visiting, (M, S).
        effect: c.

    Returns:
        (M, K, K): at [j, k] of k being worse than j; minus infinity where it is not behind so far.
        NaN where either has any.
    """
    n = errors.shape[2]
    z, left = _innovations(errors, sizes)
    spread = np.sqrt(1 - _rest(sizes**2)[:, :n] / left**2)
    z, w = z / spread[:, None], left[:, :1] / (left * spread)
    products, totals = z @ z.transpose(0, 2, 1), (z * w[:, None]).sum(axis=2)
    own = np.diagonal(products, axis1=1, axis2=2)
    squares = np.maximum(own[:, None, :] + own[:, :, None] - 2 * products, 0)
    total = totals[:, None, :] - totals[:, :, None]
    precision = (1 + effect**2 * (w * w).sum(axis=1))[:, None, None]
    rest = squares - effect**2 * total**2 / precision
    with np.errstate(invalid="ignore", divide="ignore"):
        t = effect * total / np.sqrt(precision * rest / n)
        behind = (total > 0) & (rest > 0)
        share = stdtr(n, t, where=behind, out=np.zeros(t.shape))
        evidence = 0.5 * (n * np.log(squares / rest) - np.log(precision)) + np.log(2 * share)
    return np.where(behind, evidence, np.where(np.isnan(rest), np.nan, -np.inf))


def betting_evidence(gaps: Floats, sizes: Floats, bound: float) -> Floats:
    """Logarithms of the betting e-processes against one class after n of S cells.

    The fraction f_i is the regression of earlier gains (D / x - m) / (m + bound) on their squares,
    at most `BOLDEST`. Betting for the leader alone spares the other pairs and loses little.

    Args:
        gaps: D of every class k and the leader in the order of visiting, (M, K, n), n < S.
        sizes: x of all cells in the order of visiting, (M, S).
        bound: No D / x is below -bound.

    Returns:
        (M, K); infinite where what is left could not make up for what was seen even at the bound.
        NaN where D has any.
    """
    z, left = _innovations(gaps, sizes)
    room = bound - _before(gaps) / left[:, None]
    gains = z / np.where(room > 0, room, np.inf)
    fractions = np.clip(_before(gains) / (_before(gains * gains) + PRIOR), 0, BOLDEST)
    with np.errstate(divide="ignore"):
        evidence = np.log(np.maximum(1 + fractions * gains, 0)).sum(axis=2)
    unseen = left[:, -1:] - sizes[:, [gaps.shape[2] - 1]]
    return np.where(gaps.sum(axis=2) > bound * unseen, np.inf, evidence)


def _innovations(errors: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """Error / x minus its m, (M, K, n), whose differences are D / x - m; sizes left, (M, n)."""
    n = errors.shape[2]
    left = _rest(sizes)[:, :n]
    return errors / sizes[:, None, :n] + _before(errors) / left[:, None], left


def _before(values: Floats) -> Floats:
    """Sums of all earlier values along the last axis."""
    sums: Floats = values.cumsum(axis=-1) - values
    return sums


def _rest(values: Floats) -> Floats:
    """Sums of each value and all later ones along the last axis."""
    sums: Floats = values[..., ::-1].cumsum(axis=-1)[..., ::-1]
    return sums
