"""Populations of cells on which the error probability of sequential tests is measured.

They are made to be hard: rivals lie within a hair of the winner, so that every early end is a fair
chance to err. `benchmarks/decision_errors.py` prints the table of `docs/decisions.md`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from emodc.decisions.decide import decide
from emodc.decisions.rules import SequentialTest, relative_gaps

CLASSES, STEPS = 7, 100
TIMESTEPS = np.arange(STEPS) * 5 + 2

Floats = NDArray[np.float64]
Kind = Literal["student", "bounded"]
Draw = Callable[[np.random.Generator, tuple[int, int, int]], Floats]


@dataclass(frozen=True)
class Shape:
    """A profile: relative gaps at the centres of ten bins of timesteps."""

    values: tuple[float, ...]

    def at(self, timesteps: NDArray[np.integer]) -> Floats:
        """The profile of how telling each timestep is, which a rule visits by."""
        gaps = np.interp(timesteps, np.arange(25, 500, 50), self.values)
        relative: Floats = gaps / gaps.mean(axis=-1, keepdims=True)
        return relative


#: How gaps fall with the timestep in a trained EmoDC.
FALLING = Shape((3.2, 2.0, 1.3, 0.93, 0.72, 0.56, 0.45, 0.37, 0.29, 0.23))
RISING = Shape(FALLING.values[::-1])
FLAT = Shape((1.0,) * 10)


def gaussian(draw: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Normal cells."""
    return draw.normal(size=shape)


def heavy(freedom: int) -> Draw:
    """Cells of Student's t with so many degrees of freedom."""
    return lambda draw, shape: draw.standard_t(freedom, shape)


def skewed(draw: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Rivals with exponential cells, mostly below their mean: rare large losses make up for it."""
    cells = draw.exponential(size=shape)
    cells[:, 0] = 1
    return cells


def coins(draw: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """Two values, half of each class's cells at either."""
    halves = np.repeat([0.0, 1.0], shape[2] // 2)
    return draw.permuted(np.broadcast_to(halves, shape), axis=2)


def split(side: Floats) -> Draw:
    """Every class is better at the cells where `side` (S,) is positive, or worse, by chance."""
    return lambda draw, shape: (
        draw.normal(size=shape[:2])[:, :, None] * side + 0.3 * draw.normal(size=shape)
    )


def rare(draw: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
    """One cell of fifty holds the opposite of what all others say."""
    return np.where(draw.random(shape) < 0.02, 30.0, 0.0) + 0.3 * draw.normal(size=shape)


@dataclass(frozen=True)
class Population:
    """How cells are made.

    Attributes:
        cells: Spread of the errors of each class, before scaling.
        gaps: Of six rivals from the winner, in standard errors of the mean of a class's cells;
            at 0 they lose by a hair.
        scale: What spread and gaps are multiplied by at each timestep.
        profile: What the test believes of that; None if it has no profile.
        student: Whether the "student" variant is claimed to hold here.
    """

    cells: Draw
    gaps: tuple[float, ...] = (0.0, 0.0, 1.0, 2.0, 4.0, 8.0)
    scale: Shape = FALLING
    profile: Shape | None = field(default=FALLING)
    student: bool = True

    def errors(self, pictures: int, seed: int = 0) -> Floats:
        """Errors (N, K, S) of which class 0 has the lowest mean, by just that much."""
        draw = np.random.default_rng(seed)
        [size] = relative_gaps(self.scale, TIMESTEPS[None])
        errors = self.cells(draw, (pictures, CLASSES, STEPS)) * size
        errors -= size * (errors.sum(axis=2, keepdims=True) / size.sum())
        unit = errors.std() / np.sqrt(STEPS)
        errors += np.maximum([0, *self.gaps], [0] + [1e-9] * 6)[:, None] * unit * size
        return errors


[_SIZES] = relative_gaps(FALLING, TIMESTEPS[None])
_LOW = np.cumsum(_SIZES) < _SIZES.sum() / 2

TIED = (0.0,) * 6
POPULATIONS = {
    "gaussian": Population(gaussian),
    "gaussian, all rivals tied": Population(gaussian, TIED),
    "gaussian, alike at all timesteps": Population(gaussian, scale=FLAT, profile=None),
    "gaussian, falling gaps, no profile": Population(gaussian, profile=None),
    "gaussian, flat gaps, falling profile": Population(gaussian, scale=FLAT),
    "gaussian, falling gaps, rising profile": Population(gaussian, profile=RISING),
    "heavy tails (t, 5 degrees of freedom)": Population(heavy(5)),
    "heavier tails (t, 3), all rivals tied": Population(heavy(3), TIED, student=False),
    "rivals rarely lose much (exponential)": Population(skewed, student=False),
    "rivals rarely gain much (exponential)": Population(lambda draw, shape: -skewed(draw, shape)),
    "two values": Population(coins, scale=FLAT, profile=None),
    "sign changes with the timestep": Population(split(np.where(_LOW, 1.0, -1.0))),
    "sign changes at half the timesteps": Population(split(np.where(TIMESTEPS < 250, 1.0, -2.0))),
    "one cell of 50 says the opposite": Population(rare, student=False),
}


@dataclass(frozen=True)
class Disagreement:
    """How often a test did not reach the full decision.

    Attributes:
        wrong: Pictures.
        pictures: Pictures in all.
        evaluations: Mean evaluations per picture.
    """

    wrong: int
    pictures: int
    evaluations: float

    @property
    def upper(self) -> float:
        """Upper end of the 95 % interval of Clopper & Pearson."""
        return float(stats.beta.ppf(0.975, self.wrong + 1, self.pictures - self.wrong))


def disagreement(population: Population, delta: float, kind: Kind, pictures: int) -> Disagreement:
    """Decide made-up pictures; the bound of the "bounded" variant is the largest difference."""
    errors = population.errors(pictures)
    ratios = errors / relative_gaps(population.profile, TIMESTEPS[None])
    bound = float(np.ptp(ratios, axis=1).max()) if kind == "bounded" else None
    rule = SequentialTest(delta=delta, kind=kind, profile=population.profile, bound=bound)
    timesteps = np.broadcast_to(TIMESTEPS, (pictures, STEPS))
    decided = decide(errors, timesteps, rule, [str(i) for i in range(pictures)])
    wrong = int((decided.winner != 0).sum())
    return Disagreement(wrong, pictures, float(decided.evaluations.mean()))
