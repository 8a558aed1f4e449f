"""Train every checkpoint of a run that is missing."""

from pathlib import Path

from accelerate import Accelerator

from bench.checkpoints import Card
from bench.config import BaselineClassifier, Config, EmoDCClassifier
from bench.data.base import DataSet
from bench.progress import Reporter
from bench.runtime import pick_device
from bench.training.baseline import train_baseline
from bench.training.data import TrainingData
from bench.training.loop import Loop
from bench.training.recipes import checkpoint_folder, recipes
from bench.training.stage import train_stage


def train_missing(
    config: Config, dataset: DataSet, out: Path, reporter: Reporter
) -> dict[tuple[str, int], Path]:
    """Train every (classifier, training seed) of `config` that has no checkpoint yet.

    Under `accelerate launch` the processes train EmoDCs together; a baseline, which is small, is
    trained by the main process while the others wait.

    Returns:
        The checkpoint folder of each.

    Raises:
        UserError: If an existing checkpoint is damaged.
    """
    device = pick_device(config.execution.device)
    accelerator = Accelerator(cpu=device.type == "cpu")
    if accelerator.num_processes > 1:
        device = accelerator.device
    data, loop = (
        TrainingData(dataset),
        Loop(accelerator, device, reporter, config.execution.save_every),
    )
    folders: dict[tuple[str, int], Path] = {}
    for (name, seed), chain in recipes(config, dataset).items():
        spec = config.classifiers[name]
        label = name if len(config.seeds) == 1 else f"{name} seed {seed}"
        for number, recipe in enumerate(chain):
            folder = checkpoint_folder(out, recipe)
            if folder.exists():
                Card.verified(folder)
            elif isinstance(spec, EmoDCClassifier):
                train_stage(label, spec, chain, number, out, data, loop, config.execution.trackers)
            elif isinstance(spec, BaselineClassifier):
                if accelerator.is_main_process:
                    train_baseline(label, spec, recipe, folder, data, loop)
                else:
                    accelerator.wait_for_everyone()
        folders[name, seed] = checkpoint_folder(out, chain[-1])
    return folders
