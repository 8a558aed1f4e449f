"""What determines the weights of a checkpoint, and the folder that is named after it.

An EmoDC is a chain of stages, each with a folder of its own, so variants that begin alike (Base,
and AMDiT from Base) share what they have in common.
"""

from pathlib import Path
from typing import Any

from bench.config import BaselineClassifier, Config, EmoDCClassifier, StagedClassifier
from bench.data.base import DataSet
from bench.store.checkpoints import fingerprint
from bench.util.files import digest
from bench.util.runtime import pick_device

#: Raise when training gives other weights for the same config.
RECIPE_VERSION = 2

#: Fields of an EmoDC's config that shape its untrained network.
_NETWORK = {"kind", "pretrained", "whitening", "block_out_channels", "head_channels", "prompts"}


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
            seeded = common | {"seed": seed}
            if isinstance(spec, BaselineClassifier):
                chains[name, seed] = [seeded | spec.model_dump()]
            elif isinstance(spec, StagedClassifier):
                network = spec.model_dump(include=_NETWORK)
                network["timesteps"] = [0, spec.evaluation.high]
                if isinstance(spec, EmoDCClassifier) and spec.pretrained is not None:
                    folder = Path(spec.pretrained)
                    if folder.is_dir():  # and no name of something on the hub
                        network["pretrained"] = fingerprint(folder)
                stages = [stage.model_dump() for stage in spec.stages]
                chains[name, seed] = [
                    seeded | network | {"stages": stages[: k + 1]} for k in range(len(stages))
                ]
    return chains


def resolved_precision(config: Config) -> str:
    """What networks compute in on the device of a run: "float32" or "bfloat16"."""
    from emodc.diffusion.measuring import resolve_precision

    dtype = resolve_precision(config.precision, pick_device(config.execution.device))
    return str(dtype).removeprefix("torch.")


def checkpoint_folder(out: Path, recipe: dict[str, Any]) -> Path:
    """Where the checkpoint of a recipe is, or will be."""
    if recipe["kind"] == "baseline":
        stem = recipe["architecture"]
    elif recipe["kind"] == "control":
        stem = "control"
    else:
        stem = f"emodc-{recipe['stages'][-1]['objective']['kind']}"
    return out / "checkpoints" / f"{stem}-{digest(recipe)}"
