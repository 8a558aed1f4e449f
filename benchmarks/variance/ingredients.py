"""What each ingredient does to differences of errors, and to the sequential test's evaluations.

The test's guarantee is about units visited in random order. To gain by antithetic noise it has to
visit pairs as one unit, at twice the price and with half as many units; visited step by step, an
antithetic bank is a population like any other.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.variance.banks import SEEDS, Bank, Measured
from benchmarks.variance.class_effect import corrected, factors
from emodc.decide import STRATA, Order, decide
from emodc.sequential import SequentialTest

DELTA = 0.01
MINIMUM = 4  # steps before the first look
EARLY = 10  # steps of a decision without a test
ORDERS = 4  # orders of visiting that results are averaged over
BINS = np.linspace(0, 500, 11)  # of the gap profile, in timesteps


@dataclass(frozen=True)
class Ingredient:
    """One row of the table: how cells are drawn, visited and corrected."""

    bank: Bank = "independent"
    unit: int = 1  # cells that are visited together
    order: Order = "random"
    profile: bool = False
    class_effect: bool = False
    against: str = "plain"


PROFILE = "gap profile"
INGREDIENTS = {
    "plain": Ingredient(),
    "stratified order": Ingredient(order="stratified"),
    "antithetic, neighbours": Ingredient(bank="antithetic, neighbours", unit=2),
    "antithetic, same timestep": Ingredient(bank="antithetic, same timestep", unit=2),
    "class effect": Ingredient(class_effect=True),
    PROFILE: Ingredient(profile=True),
    "  + stratified order": Ingredient(profile=True, order="stratified", against=PROFILE),
    "  + independent pairs": Ingredient(unit=2, profile=True, against=PROFILE),
    "  + antithetic, step by step": Ingredient(
        bank="antithetic, neighbours", profile=True, against=PROFILE
    ),
    "  + antithetic, neighbours": Ingredient(
        bank="antithetic, neighbours", unit=2, profile=True, against=PROFILE
    ),
    "  + antithetic, same timestep": Ingredient(
        bank="antithetic, same timestep", unit=2, profile=True, against=PROFILE
    ),
    "  + class effect": Ingredient(profile=True, class_effect=True, against=PROFILE),
}


@dataclass(frozen=True)
class GapProfile:
    """Mean gaps by timestep, learned on some pictures."""

    gaps: NDArray[np.float64]

    @classmethod
    def fit(cls, errors: NDArray[np.float64], timesteps: NDArray[np.integer]) -> "GapProfile":
        """Mean of D over pictures and rivals in each of `BINS`; (N, K, S) and (N, S)."""
        gaps = errors.mean(axis=1) - np.take_along_axis(errors, leaders(errors), 1)[:, 0]
        where = np.digitize(timesteps, BINS[1:-1])
        means = np.array([gaps[where == b].mean() for b in range(len(BINS) - 1)])
        return cls(means.clip(min=1e-3 * means.max()))

    def at(self, timesteps: NDArray[np.integer]) -> NDArray[np.float64]:
        """See `emodc.sequential.Profile`."""
        return np.interp(timesteps, (BINS[1:] + BINS[:-1]) / 2, self.gaps)


def leaders(errors: NDArray[np.float64]) -> NDArray[np.intp]:
    """Full decisions (N, 1, 1) of errors (N, K, S)."""
    return errors.mean(axis=2).argmin(axis=1)[:, None, None]


@dataclass(frozen=True)
class Outcome:
    """What an ingredient does to N pictures.

    Attributes:
        variance: Of D per evaluation, (N, K - 1) rivals.
        evaluations: Of the sequential test, mean over orders, (N,).
        agreement: Share of orders in which it decided as the full grid does, (N,).
        elsewhere: The same, but with the full grid of the bank's other seed, (N,).
        early: As `agreement`, of the lowest mean error over the first `EARLY` steps, (N,).
    """

    variance: NDArray[np.float64]
    evaluations: NDArray[np.float64]
    agreement: NDArray[np.float64]
    elsewhere: NDArray[np.float64]
    early: NDArray[np.float64]


def outcome(what: Ingredient, found: Measured, clean: Measured) -> Outcome:
    """Of one ingredient, cross-fitted over two halves of the pictures."""
    rows = np.arange(len(found.ids))
    halves = [rows[rows % 2 == half] for half in (0, 1)]
    parts = [_half(what, found, clean, own, other) for own, other in (halves, reversed(halves))]
    back = np.concatenate(halves).argsort()
    return Outcome(*(np.concatenate(both)[back] for both in zip(*parts, strict=True)))


def _half(
    what: Ingredient,
    found: Measured,
    clean: Measured,
    own: NDArray[np.intp],
    other: NDArray[np.intp],
) -> tuple[NDArray[np.float64], ...]:
    """The fields of `Outcome` for pictures `own`; what is learned comes from `other`."""
    profile = None
    if what.profile:
        learned_on = (clean.errors["independent", 0], clean.timesteps["independent"])
        profile = GapProfile.fit(*(values[other] for values in learned_on))
    test = SequentialTest(
        delta=DELTA, profile=profile, order=what.order, minimum=MINIMUM // what.unit
    )
    errors = found.errors[what.bank, SEEDS[0]][own]
    errors = errors.reshape(*errors.shape[:2], -1, what.unit).mean(axis=3)
    timesteps = found.timesteps[what.bank][own, :: what.unit]
    leader = leaders(found.errors["independent", 0][own])
    full, other_full = (leaders(found.errors[what.bank, seed][own])[:, 0, 0] for seed in SEEDS)
    variance = np.zeros((len(own), errors.shape[1] - 1))
    evaluations, agreement, elsewhere, early = np.zeros((4, len(own)))
    for seed in range(ORDERS):
        given = gained = errors
        orders = _orders(test, found, own, seed, errors.shape[2])
        if what.class_effect:
            theirs = _orders(test, clean, other, seed, errors.shape[2])
            learned = factors(clean, other, theirs)
            given, addition = corrected(found, own, orders, learned)
            gained = errors + addition
        decided = decide(given, timesteps, test, [found.ids[i] for i in own], seed=seed)
        evaluations += decided.evaluations * what.unit / ORDERS
        agreement += (decided.winner == full) / ORDERS
        elsewhere += (decided.winner == other_full) / ORDERS
        first = np.take_along_axis(given, orders[:, None, : EARLY // what.unit], axis=2)
        early += (first.mean(axis=2).argmin(axis=1) == full) / ORDERS
        variance += what.unit * spread(gained, timesteps, leader, test) / ORDERS
    return variance, evaluations, agreement, elsewhere, early


def _orders(
    test: SequentialTest, found: Measured, rows: NDArray[np.intp], seed: int, steps: int
) -> NDArray[np.intp]:
    return np.stack([test.cells(steps, seed, found.ids[row]) for row in rows])


def spread(
    errors: NDArray[np.float64],
    timesteps: NDArray[np.integer],
    leader: NDArray[np.intp],
    test: SequentialTest,
) -> NDArray[np.float64]:
    """Variance of D, (N, K - 1): behind the profile, and within strata that are visited evenly."""
    differences = errors - np.take_along_axis(errors, leader, axis=1)
    if test.profile is not None:
        x = test.profile.at(timesteps)
        x = (x / x.mean(axis=1, keepdims=True))[:, None]
        factor = (differences * x).sum(axis=2, keepdims=True) / (x**2).sum(axis=2, keepdims=True)
        differences = differences - factor * (x - 1)
    strata = np.array_split(differences, STRATA if test.order == "stratified" else 1, axis=2)
    variance = np.mean([part.var(axis=2, ddof=1) for part in strata], axis=0)
    rivals = np.arange(errors.shape[1]) != leader[:, :, 0]
    return variance[rivals].reshape(len(errors), -1)
