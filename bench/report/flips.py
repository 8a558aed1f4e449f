"""Cells of perturbation sequences: how often decisions change from frame to frame.

Frames of a picture hang together, so no metric of independent samples is made of their rows: the
unit is the picture, and what it counts is its share of frames at which the decision changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench import metrics
from bench.errors import UserError
from bench.report.outcomes import Outcomes
from bench.store import Cell, Manifest


@dataclass(frozen=True, eq=False)
class Flips:
    """A complete cell of a sequence.

    Attributes:
        manifest: What stands behind it.
        name: Of the classifier, as shown.
        ids: Of the pictures, (N,), ascending.
        shares: Of each picture's frames, those at which the decision changes, (N,) in [0, 1].
    """

    manifest: Manifest
    name: str
    ids: NDArray[np.object_]
    shares: NDArray[np.float64]

    @property
    def cell(self) -> Cell:
        """The cell itself."""
        return self.manifest.cell


def flips_of(manifest: Manifest, name: str, outcomes: Outcomes) -> Flips:
    """Of a cell whose rows are frames; a picture that lacks one is left out.

    Raises:
        UserError: If no picture has all its frames.
    """
    sequence = manifest.inputs["perturbation"]
    expected = list(range(len(sequence["frames"])))
    rows: dict[str, list[tuple[int, int]]] = {}
    for frame, decision in zip(outcomes.ids, outcomes.predictions, strict=True):
        sample_id, _, number = frame.rpartition("#")
        rows.setdefault(sample_id, []).append((int(number), int(decision)))
    whole = {one: [d for _, d in own] for one, own in rows.items() if _numbers(own) == expected}
    if not whole:
        raise UserError("holds no picture with all its frames")
    ids = sorted(whole)
    decisions = np.array([whole[one] for one in ids])
    shares = metrics.flip_shares(decisions, noise=sequence["noise"])
    return Flips(manifest, name, np.array(ids, object), shares)


def shared(several: Sequence[Flips]) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """The pictures that all have, (N,), and their shares, (len(several), N)."""
    common = set.intersection(*(set(one.ids) for one in several))
    kept = [np.array([name in common for name in one.ids], bool) for one in several]
    shares = np.stack([one.shares[mask] for one, mask in zip(several, kept, strict=True)])
    return several[0].ids[kept[0]], shares


def _numbers(frames: Sequence[tuple[int, int]]) -> list[int]:
    return [number for number, _ in frames]
