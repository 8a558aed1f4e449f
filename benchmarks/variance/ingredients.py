"""What each ingredient does to estimated differences, and to the sequential test's evaluations.

The test is about units visited in random order. To gain by antithetic noise it has to visit pairs
as one unit, at twice the price and with half as many units; visited step by step, an antithetic
bank is a population like any other.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.variance.banks import SEEDS, Bank, Measured
from benchmarks.variance.controls import (
    class_effects,
    corrected,
    factor,
    gap_control,
    looked_at,
    rest,
)
from emodc.decisions.decide import Order, decide
from emodc.decisions.fit import gap_profile
from emodc.decisions.rules import SequentialTest

DELTA = 0.01
MINIMUM = 6  # steps before the first look
EARLY = 5  # an estimate is made from one step of so many
ORDERS = 8  # orders of visiting that results are averaged over

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ingredient:
    """One row of the table: how cells are drawn, visited and corrected."""

    order: Order = "random"
    profile: Literal["subtracted", "sizes"] | None = None
    bank: Bank = "independent"
    unit: int = 1  # steps that are visited together
    class_effect: bool = False
    against: str = "plain"


SIZES, DEFAULT = "gap profile as sizes", "  + stratified order"
INGREDIENTS = {
    "plain": Ingredient(),
    "stratified order": Ingredient("stratified"),
    "gap profile subtracted": Ingredient(profile="subtracted"),
    SIZES: Ingredient(profile="sizes"),
    DEFAULT: Ingredient("stratified", "sizes", against=SIZES),
    "  + class effect": Ingredient("random", "sizes", class_effect=True, against=SIZES),
    "    + independent pairs": Ingredient("stratified", "sizes", unit=2, against=DEFAULT),
    "    + antithetic pairs": Ingredient(
        "stratified", "sizes", "antithetic", unit=2, against=DEFAULT
    ),
    "    + antithetic, step by step": Ingredient(
        "stratified", "sizes", "antithetic", against=DEFAULT
    ),
}


@dataclass(frozen=True)
class Outcome:
    """What an ingredient does to N pictures; means over orders of visiting.

    Attributes:
        squares: Squared error of the differences D to the winner's errors, estimated from one
            step of `EARLY`, (N, K - 1) rivals.
        evaluations: Of the sequential test, (N,).
        agreement: Whether it decided as the full grid does, (N,).
        elsewhere: The same, but with the full grid of the bank's other seed, (N,).
    """

    squares: Floats
    evaluations: Floats
    agreement: Floats
    elsewhere: Floats


def winners(errors: Floats) -> NDArray[np.intp]:
    """Full decisions (N,) of errors (N, K, S)."""
    return errors.mean(axis=2).argmin(axis=1)


def outcome(what: Ingredient, found: Measured, clean: Measured) -> Outcome:
    """Of one ingredient; what is learned comes from the clean pictures of the other half."""
    halves = [list(range(half, len(found.ids), 2)) for half in (0, 1)]
    parts = [
        _half(what, found.of(own), clean.of(other)) for own, other in (halves, reversed(halves))
    ]
    back = np.argsort(halves[0] + halves[1])
    return Outcome(*(np.concatenate(both)[back] for both in zip(*parts, strict=True)))


def _half(what: Ingredient, found: Measured, clean: Measured) -> tuple[Floats, ...]:
    """The fields of `Outcome` for pictures `found`."""
    profile = gap_profile(clean.errors["independent", SEEDS[0]], clean.timesteps)
    test = SequentialTest(
        delta=DELTA,
        profile=profile if what.profile == "sizes" else None,
        order=what.order,
        minimum=MINIMUM // what.unit,
    )
    errors, timesteps = _units(what, found)
    full, elsewhere = (winners(found.errors[what.bank, seed]) for seed in SEEDS)
    results = []
    for seed in range(ORDERS):
        orders, sizes = _visits(test, found.ids, timesteps, seed)
        given = np.take_along_axis(errors, orders[:, None], axis=2)
        if what.profile == "subtracted":
            at = profile.at(np.take_along_axis(timesteps, orders, axis=1))
            given = corrected(given, sizes, gap_control(given, at))
        if what.class_effect:
            multiple = _learned_factor(test, clean, seed)
            control = multiple * class_effects(found, orders, sizes)
            given = corrected(given, sizes, control)
        on_grid = np.take_along_axis(given, orders.argsort(axis=1)[:, None], axis=2)
        decided = decide(on_grid, timesteps, test, found.ids, seed=seed)
        results.append(
            (
                _squares(given, sizes, full),
                decided.evaluations * what.unit,
                decided.winner == full,
                decided.winner == elsewhere,
            )
        )
    return tuple(np.mean(field, axis=0) for field in zip(*results, strict=True))


def _units(what: Ingredient, found: Measured) -> tuple[Floats, NDArray[np.int64]]:
    """Errors (N, K, U) and timesteps (N, U) of what is visited as one."""
    errors = found.errors[what.bank, SEEDS[0]]
    units = errors.reshape(*errors.shape[:2], -1, what.unit).mean(axis=3)
    return units, found.timesteps[:, :: what.unit]


def _visits(
    test: SequentialTest, ids: list[str], timesteps: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.intp], Floats]:
    """Positions in the order in which `decide` visits them, and sizes in this order, (N, S)."""
    ones = np.ones(timesteps.shape[1])
    orders = np.stack(
        [test.cells(times, ones, seed, name) for times, name in zip(timesteps, ids, strict=True)]
    )
    visited = np.take_along_axis(timesteps, orders, axis=1)
    return orders, test.sizes(visited, np.ones(visited.shape))


def _learned_factor(test: SequentialTest, clean: Measured, seed: int) -> float:
    """Of the class effect."""
    orders, sizes = _visits(test, clean.ids, clean.timesteps, seed)
    errors = clean.errors["independent", SEEDS[0]]
    given = np.take_along_axis(errors, orders[:, None], axis=2)
    return factor(given, sizes, class_effects(clean, orders, sizes))


def _squares(errors: Floats, sizes: Floats, winner: NDArray[np.intp]) -> Floats:
    """See `Outcome.squares`; of errors (N, K, S) in the order of visiting.

    The estimate is what the test's evidence rests on: the least-squares fit of z with the variances
    that draws of cells alike in D / x have. For equal sizes it is the mean.
    """
    left, early = rest(sizes), errors.shape[2] // EARLY
    variance = (1 - rest(sizes**2) / left**2)[:, None, :early]
    slope = (left[:, :1] / left)[:, None, :early]
    z = looked_at(errors, sizes)[:, :, :early]
    fit = (slope * z / variance).sum(axis=2) / (slope**2 / variance).sum(axis=2)
    missed = fit * sizes.mean(axis=1, keepdims=True) - errors.mean(axis=2)
    missed = missed - np.take_along_axis(missed, winner[:, None], axis=1)
    rivals = np.arange(errors.shape[1]) != winner[:, None]
    return (missed[rivals] ** 2).reshape(len(errors), -1)
