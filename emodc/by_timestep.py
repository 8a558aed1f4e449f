"""Functions of the timestep that validation traces teach: arrays only, no torch.

What is learned belongs to timesteps and not to the numbers of steps, because noise-aware
evaluation measures noisy pictures at timesteps of their own. Shapes: N pictures, K classes, S
steps, B timestep bins.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emodc.diagnostics import timestep_bins
from emodc.estimates import Floats

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
