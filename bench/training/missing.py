"""Train every checkpoint of a run that is missing."""

from datetime import timedelta
from pathlib import Path

import torch
from accelerate import Accelerator, InitProcessGroupKwargs

from bench.config import Config
from bench.data.base import DataSet
from bench.store.checkpoints import Card
from bench.training.data import TrainingData
from bench.training.loop import Loop
from bench.training.recipe import checkpoint_folder, recipes
from bench.util.progress import Reporter
from bench.util.runtime import pick_device


def train_missing(
    config: Config, dataset: DataSet, out: Path, reporter: Reporter
) -> dict[tuple[str, int], Path]:
    """Train every (classifier, training seed) of `config` that has no checkpoint yet.

    Under `accelerate launch` the processes work together, as the kind of the classifier says.

    Returns:
        The checkpoint folder of each.

    Raises:
        UserError: If an existing checkpoint is damaged.
    """
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
    folders: dict[tuple[str, int], Path] = {}
    for (name, seed), chain in chains.items():
        spec = config.classifiers[name]
        label = name if len(config.seeds) == 1 else f"{name} seed {seed}"
        for number, recipe in enumerate(chain):
            folder = checkpoint_folder(out, recipe)
            if folder in there:
                Card.verified(folder, recipe)
            else:
                spec.train(label, chain, number, out, data, loop, config.execution.trackers)
            there.add(folder)
        folders[name, seed] = checkpoint_folder(out, chain[-1])
    return folders


def _processes(device: torch.device) -> tuple[Accelerator, torch.device]:
    """The processes that train together, and where this one computes."""
    if device.index is not None:
        torch.cuda.set_device(device)  # accelerate asks torch which GPU is the current one
    patience = InitProcessGroupKwargs(timeout=timedelta(hours=12))  # while the main one works alone
    accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=[patience])
    return accelerator, accelerator.device if accelerator.num_processes > 1 else device
