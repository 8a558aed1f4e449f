"""The same pictures and weights under other evaluation noise: what a nested comparison hides.

A rule sees some of the errors that the full decision is made of, so the two agree more often than
two decisions on independent noise would.
"""

from collections.abc import Sequence

import numpy as np

from bench.cells import Manifest
from bench.decisions.replay import Source, aligned
from bench.errors import UserError
from bench.report.traces.reader import Reader

_SAME = {
    "data": "the contents of the data sets differ",
    "weights": "the weights differ",
    "perturbation": "the perturbation's parameters differ",
}


def counterparts(
    other: Reader, manifests: Sequence[Manifest], sources: Sequence[Source]
) -> list[Source]:
    """The other run's traces of the same trainings and pictures, aligned with each other.

    Args:
        other: The other run.
        manifests: One classifier's trainings on one cell's pictures.
        sources: Their traces, aligned.

    Returns:
        One per source, on the pictures that both runs have.

    Raises:
        UserError: If a training is not there, was measured on other pictures, or under the same
            noise.
    """
    found = []
    for manifest, source in zip(manifests, sources, strict=True):
        twin = _twin(other, manifest)
        read, run = other.read(twin), other.store.root
        shared = np.array(sorted(set(source.ids) & set(read.ids)), object)
        if not len(shared):
            raise UserError(f"{run} has none of its pictures", 1)
        read, own = read.among(shared), source.among(shared)
        if not np.array_equal(read.labels, own.labels):
            raise UserError(f"{run} has other labels of its pictures", 1)
        if np.array_equal(read.errors, own.errors):
            raise UserError(
                f"{run} was measured under the same noise. Measure it with another "
                "`evaluation.noise_seed`",
                1,
            )
        found.append(read)
    return aligned(found)


def _twin(other: Reader, manifest: Manifest) -> Manifest:
    cell, inputs = manifest.cell, manifest.inputs
    alike = ("classifier", "dataset", "family", "perturbation", "severity", "seed")
    reason = "has no such complete cell"
    for planned in other.cells:
        twin = None
        if all(getattr(planned, name) == getattr(cell, name) for name in alike):
            twin = other.store.manifest(planned)
        if twin is None:
            continue
        different = [
            why for name, why in _SAME.items() if twin.inputs.get(name) != inputs.get(name)
        ]
        if cell.family not in ("clean", "views") and planned.run_seed != cell.run_seed:
            different.append("the run seeds differ, and with them the perturbed pictures")
        if not different:
            return twin
        reason = f"cannot be compared: {'; '.join(different)}"
    raise UserError(f"{other.store.root} {reason}", 1)
