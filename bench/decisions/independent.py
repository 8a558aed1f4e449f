"""The same pictures and weights under other evaluation noise: what a nested comparison hides.

A rule sees some of the errors that the full decision is made of, so the two agree more often than
two decisions on independent noise would.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.cells import Manifest
from bench.errors import UserError
from bench.report.traces.reader import Reader
from bench.report.traces.replay import Source, aligned

_SAME = {
    "data": "the contents of the data sets differ",
    "weights": "the weights differ",
    "perturbation": "the perturbation's parameters differ",
}
#: Settings of an evaluation that may differ: the noise, and what has no part in a full decision.
_MAY_DIFFER = ("noise_seed", "other_prompts", "attack_steps")


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
        UserError: If a training is not there, was measured on other pictures, by other settings or
            under the same noise.
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
            way_out = "measure it with another `evaluation.noise_seed`"
            if own.views:
                way_out = "views follow the run's `seed`"
            raise UserError(f"{run} was measured under the same noise; {way_out}", 1)
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
        if _settings(twin) != _settings(manifest):
            different.append("the settings of evaluation differ in more than the noise")
        if cell.family == "attack":
            different.append("attacks follow the noise, so the attacked pictures differ")
        elif cell.family not in ("clean", "views") and planned.run_seed != cell.run_seed:
            different.append("the run seeds differ, and with them the perturbed pictures")
        if not different:
            return twin
        reason = f"cannot be compared: {'; '.join(different)}"
    raise UserError(f"{other.store.root} {reason}", 1)


def _settings(manifest: Manifest) -> dict[str, Any]:
    evaluation = manifest.inputs.get("evaluation") or {}
    return {name: value for name, value in evaluation.items() if name not in _MAY_DIFFER}
