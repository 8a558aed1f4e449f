"""The checkpoints that the classifiers of a config need: their recipes, folders, and trainings.

A recipe is everything that determines a checkpoint's weights; its digest names the folder. An EmoDC
is a chain of stages, each with a folder of its own, so variants that begin alike (Base, and AMDiT
from Base) share what they have in common.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.classifiers.kinds.base import kind_of
from bench.data.base import DataSet
from bench.store.checkpoints import Card
from bench.util.errors import UserError
from bench.util.files import digest
from bench.util.progress import Reporter
from bench.util.runtime import pick_device

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from bench.config import Config

#: Raise when training gives other weights for the same config.
RECIPE_VERSION = 2


def recipes(config: "Config", dataset: DataSet) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """For each (classifier, training seed): the recipe of each of its checkpoints, in order.

    Raises:
        UserError: If a classifier is to be trained on a data set of test pictures alone.
    """
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
    if chains and not dataset.samples("train"):
        names = ", ".join(dict.fromkeys(name for name, _ in chains))
        raise UserError(
            f"{dataset.name} has no train pictures, and these classifiers are to be trained: "
            f"{names}. Measure those that are trained already, such as --model checkpoint:FOLDER "
            "or hf:FOLDER, or train on another data set (`data: {kind: cross, ...}`)."
        )
    return chains


def resolved_precision(config: "Config") -> str:
    """What networks compute in on the device of a run: "float32" or "bfloat16"."""
    from emodc.diffusion.measuring import resolve_precision

    dtype = resolve_precision(config.precision, pick_device(config.execution.device))
    return str(dtype).removeprefix("torch.")


def checkpoint_folder(out: Path, recipe: dict[str, Any]) -> Path:
    """Where the checkpoint of a recipe is, or will be."""
    stem = kind_of(recipe).stem(recipe)
    return out / "checkpoints" / f"{stem}-{digest(recipe)}"


def train_missing(
    config: "Config",
    dataset: DataSet,
    out: Path,
    reporter: Reporter,
    distance: Callable[[int], int] = lambda place: 0,
) -> dict[tuple[str, int], Path]:
    """Train every (classifier, training seed) of `config` that has no checkpoint yet.

    Long trainings that do not need each other go on at once (`bench.training.side_by_side`).
    Under `accelerate launch` the processes work together, as the kind of the classifier says. What
    another run at the same folder trains is waited for.

    Args:
        config: The run.
        dataset: Its data.
        out: Folder of the run.
        reporter: Shows progress.
        distance: How late this run comes to the training of a number; the least are the first.

    Returns:
        The checkpoint folder of each.

    Raises:
        UserError: If an existing checkpoint is damaged.
    """
    from accelerate.utils import broadcast_object_list

    from bench.training import side_by_side
    from bench.training.loop import Loop, Training, TrainingData, TrainingJob

    accelerator, device = _processes(pick_device(config.execution.device))
    data = TrainingData(dataset)
    loop = Loop(accelerator, device, reporter, config.execution.save_every)
    chains = recipes(config, dataset)
    # All processes look before any of them writes, and so go through the same list.
    there = {
        folder
        for chain in chains.values()
        for folder in (checkpoint_folder(out, recipe) for recipe in chain)
        if folder.exists()
    }
    accelerator.wait_for_everyone()
    jobs: dict[Path, Training] = {}
    for (name, seed), chain in chains.items():
        label = name if len(config.seeds) == 1 else f"{name} seed {seed}"
        after: Path | None = None
        for number, recipe in enumerate(chain):
            folder = checkpoint_folder(out, recipe)
            if folder in there:
                Card.verified(folder, recipe)
            elif folder not in jobs:
                jobs[folder] = Training(label, name, recipe, number, folder, after)
            after = folder
    places = {folder: place for place, folder in enumerate(jobs)}
    order = sorted(jobs.values(), key=lambda job: distance(places[job.folder]))
    claimed = side_by_side.Claimed(order, out, reporter)
    processes = concurrent_trainings(config, dataset, chains)
    if processes > 1 and accelerator.num_processes == 1 and jobs:
        side_by_side.train(claimed, processes, config, dataset, out, reporter)
        jobs = {}
    while jobs:
        [job] = broadcast_object_list([claimed.next() if accelerator.is_main_process else None])
        if job is None:
            break
        with claimed.held(job):
            config.classifiers[job.classifier].train(
                TrainingJob(job, out, data, loop, config.execution.trackers)
            )
    return {key: checkpoint_folder(out, chain[-1]) for key, chain in chains.items()}


def concurrent_trainings(
    config: "Config", dataset: DataSet, chains: dict[tuple[str, int], list[dict[str, Any]]]
) -> int:
    """How many trainings of a run go on at the same time; `chains` as of `recipes`."""
    from bench.training.side_by_side import process_count

    steps = {
        digest(recipe): kind_of(recipe).training_steps(recipe)
        * config.classifiers[name].train_step_seconds
        for (name, _), chain in chains.items()
        for recipe in chain
    }
    ends = {digest(chain[-1]) for chain in chains.values()}
    return process_count(config, dataset, len(ends), sum(steps.values()))


def _processes(device: "torch.device") -> "tuple[Accelerator, torch.device]":
    """The processes that train together, and where this one computes."""
    import torch
    from accelerate import Accelerator, InitProcessGroupKwargs

    if device.index is not None:
        torch.cuda.set_device(device)  # accelerate asks torch which GPU is the current one
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=12))  # while the main one works alone
    accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=[patience])
    return accelerator, accelerator.device if accelerator.num_processes > 1 else device
