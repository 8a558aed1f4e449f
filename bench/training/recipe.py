"""What determines the weights of a checkpoint, and the folder that is named after it.

An EmoDC is a chain of stages, each with a folder of its own, so variants that begin alike (Base,
and AMDiT from Base) share what they have in common.
"""

from pathlib import Path
from typing import Any

from bench.classifiers.kinds import kind_of
from bench.config import Config
from bench.data.base import DataSet
from bench.util.files import digest
from bench.util.runtime import pick_device

#: Raise when training gives other weights for the same config.
RECIPE_VERSION = 2


def recipes(config: Config, dataset: DataSet) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """For each (classifier, training seed): the recipe of each of its checkpoints, in order."""
    common = {
        "version": RECIPE_VERSION,
        "data": dataset.training_digest,
        "classes": list(dataset.classes),
        "precision": resolved_precision(config),
    }
    chains: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for name, spec in config.classifiers.items():
        for seed in config.seeds:
            if chain := spec.recipes(common | {"seed": seed}):
                chains[name, seed] = chain
    return chains


def resolved_precision(config: Config) -> str:
    """What networks compute in on the device of a run: "float32" or "bfloat16"."""
    from emodc.diffusion.measuring import resolve_precision

    dtype = resolve_precision(config.precision, pick_device(config.execution.device))
    return str(dtype).removeprefix("torch.")


def checkpoint_folder(out: Path, recipe: dict[str, Any]) -> Path:
    """Where the checkpoint of a recipe is, or will be."""
    stem = kind_of(recipe).stem(recipe)
    return out / "checkpoints" / f"{stem}-{digest(recipe)}"
