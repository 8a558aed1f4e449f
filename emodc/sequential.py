"""The full decision with a stated error probability, from as few cells as that allows.

A picture's S cells are a finite population, visited in random order, and the target is the decision
of all of them. For the class that leads so far and a rival, let D_i be the rival's error minus the
leader's at the i-th cell visited. If the rival is in truth no worse, H0: mean of all D <= 0, then
given the past the next D has at most the mean of what is left,

    m_i = -(D_1 + ... + D_(i-1)) / (S - i + 1).

From D_i - m_i an *e-process* E_n is built: a bet against H0 that starts at 1 and is not expected to
grow if H0 holds. By Ville's inequality it ever exceeds 1 / a with probability a at most, however
often one looks. The rival leaves when E_n > (K - 1) / delta. The winner of the full decision is
lost only if one of the K - 1 others falsely beats it, hence with probability delta at most.

Two ways to bet:

- "bounded" (Waudby-Smith & Ramdas 2020, arXiv 2006.04347; 2024, arXiv 2010.09686): the product of
  1 + f (D_i - m_i) / (m_i + bound), averaged over fractions f in (0, 1). Exact for every
  population without a D below -bound. The bound has to cover the worst cell of any picture, so it
  is wide, and this variant slow.
- "student": D_i - m_i, scaled to equal variance, is compared with its own spread: the Bayes factor
  of a Student test with a normal prior on the effect, which is an e-process for Gaussian cells of
  unknown variance (Lai 1976, doi 10.1214/aos/1176343406; Wang & Ramdas 2025, arXiv 2310.03722).
  For others it is an approximation: *asymptotic*, checked by simulation, not proven.

**The gap profile** is a control variate. How much classes differ falls steeply with the timestep,
in much the same way for all pictures, so most of the spread of D is known beforehand. With x_i the
profile at the i-th cell (mean 1 over all), D_i - b_i (x_i - its mean over what is left) has the
same conditional mean for any factor b_i that rests on earlier cells only; here the regression of D
on x so far. A wrong profile costs evaluations and not the guarantee.
"""

from dataclasses import dataclass
from math import log
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from emodc.decide import Order, Rule, Seen, growing_looks
from emodc.estimates import Bools, Floats

#: Fractions of the largest bet that the "bounded" variant spreads its capital over.
FRACTIONS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)


class Profile(Protocol):
    """How much classes differ, by timestep."""

    def at(self, timesteps: NDArray[np.integer]) -> Floats:
        """Relative gaps (M, S) at timesteps (M, S)."""


@dataclass(frozen=True)
class SequentialTest(Rule):
    """Stop when one class is left that no rival can be expected to beat on the full grid.

    Attributes:
        delta: Probability, per picture, that the decision is not the full one; over the order of
            visiting.
        kind: How to bet; see above.
        profile: The control variate of the "student" variant; None goes without.
        bound: Largest D in absolute value, of the "bounded" variant.
        minimum: Cells before the first look.
        effect: Standard deviation of the prior on mean / spread of the "student" variant.
        order: "random", which the guarantee rests on; "stratified" spreads early cells over the
            timesteps.
    """

    delta: float = 0.01
    kind: Literal["student", "bounded"] = "student"
    profile: Profile | None = None
    bound: float | None = None
    minimum: int = 4
    effect: float = 3.0
    order: Order = "random"

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise ValueError(f"delta is a probability in (0, 1), not {self.delta}")
        if self.kind == "bounded" and (self.bound is None or self.bound <= 0):
            raise ValueError("the bounded test needs a bound above 0 on differences of errors")
        if self.kind == "bounded" and self.order != "random":
            raise ValueError("the bounded test is exact for the order 'random' only")

    def looks(self, steps: int) -> tuple[int, ...]:
        """See `Rule.looks`."""
        return growing_looks(max(1, self.minimum), steps)

    def survivors(self, seen: Seen) -> Bools:
        """The leader, and all whose e-process is small enough."""
        if seen.n == seen.steps:
            return seen.alive  # all is known
        leader = seen.means.argmin(axis=1)
        rows = np.arange(len(leader))
        differences = seen.errors - seen.errors[rows, leader][:, None, :]
        if self.kind == "student":
            evidence = self._student(differences, seen)
        else:
            assert self.bound is not None
            evidence = betting_evidence(differences, seen.steps, self.bound)
        rivals = differences.shape[1] - 1
        leaves = evidence > log(max(1, rivals) / self.delta)
        leaves[rows, leader] = False
        return seen.alive & ~leaves

    def _student(self, differences: Floats, seen: Seen) -> Floats:
        if self.profile is None:
            return student_evidence(differences, seen.steps, self.effect)
        relative = self.profile.at(seen.timesteps) * seen.scale
        return student_evidence(differences, seen.steps, self.effect, relative)


def student_evidence(
    differences: Floats, steps: int, effect: float, profile: Floats | None = None
) -> Floats:
    """Logarithm of the Student e-process after n of S cells.

    With Z_i = (D_i - m_i) / s_i, s_i^2 = 1 - 1 / (S - i + 1) the variance of a draw from what is
    left, and w_i = S / ((S - i + 1) s_i) its mean per unit of the full mean, the Bayes factor of
    "full mean = g sigma, g ~ N(0, effect^2)" against "full mean = 0", sigma unknown, is

        (1 + c^2 W)^(-1/2) (1 - (sum w Z)^2 c^2 / ((1 + c^2 W) sum Z^2))^(-n/2),   W = sum w^2.

    Args:
        differences: D in the order of visiting, (M, K, n), n < S.
        steps: S.
        effect: c.
        profile: x of all cells in the order of visiting, (M, S), positive; its mean is made 1. The
            first cell then only serves to fit the factor b.

    Returns:
        (M, K); minus infinity where the leader is not ahead. NaN where D has any.
    """
    n = differences.shape[2]
    left = steps - np.arange(n)
    excess = differences + _before(differences) / left
    first = 0
    if profile is not None:
        first = min(1, n - 1)
        x = profile / profile.mean(axis=1, keepdims=True)
        surplus = x[:, :n] - (steps - _before(x[:, :n])) / left
        excess = excess - _factors(differences, x[:, None, :n]) * surplus[:, None, :]
    spread = np.sqrt(1 - 1 / left[first:])
    z, w = excess[:, :, first:] / spread, steps / (left[first:] * spread)
    total, squares = (z * w).sum(axis=2), (z * z).sum(axis=2)
    precision = 1 + effect**2 * (w @ w)
    with np.errstate(invalid="ignore", divide="ignore"):
        explained = np.where(squares > 0, total**2 * effect**2 / (precision * squares), 0.0)
        evidence = -0.5 * (np.log(precision) + (n - first) * np.log1p(-explained))
    return np.where(total > 0, evidence, np.where(np.isnan(total), np.nan, -np.inf))


def betting_evidence(differences: Floats, steps: int, bound: float) -> Floats:
    """Logarithm of the betting e-process after n of S cells.

    Args:
        differences: D in the order of visiting, (M, K, n), n < S; none below -bound.
        steps: S.
        bound: The bound.

    Returns:
        (M, K); infinite where what is left could not make up for what was seen even at the bound.
        NaN where D has any.
    """
    left = steps - np.arange(differences.shape[2])
    expected = -_before(differences) / left
    room = expected + bound
    certain = (differences.sum(axis=2) > bound * (left[-1] - 1)) | (room <= 0).any(axis=2)
    gains = (differences - expected) / np.where(room > 0, room, np.inf)
    logs = [np.log(np.maximum(1 + f * gains, 1e-300)).sum(axis=2) for f in FRACTIONS]
    return np.where(certain, np.inf, logsumexp(logs, axis=0) - log(len(FRACTIONS)))


def _before(values: Floats) -> Floats:
    """Sums of all earlier values along the last axis."""
    sums: Floats = values.cumsum(axis=-1) - values
    return sums


def _factors(differences: Floats, x: Floats) -> Floats:
    """Regression of D on x through the origin, from earlier cells only; 0 at the first."""
    squares = _before(x * x)
    return np.where(squares > 0, _before(differences * x) / np.where(squares > 0, squares, 1), 0)
