"""Training that is killed, and training by two processes, against one that nothing disturbed."""

import subprocess
import sys
import time
from pathlib import Path

import torch
import yaml
from command_line import Copied
from torch import Tensor

from baselines import networks
from bench.classifiers import checkpoints
from bench.config import load
from bench.data.open import open_dataset
from bench.util.progress import Reporter
from emodc import EmoDC


def write_config(path: Path, steps: int) -> Path:
    """A tiny EmoDC of two stages, `steps` each."""
    stages = [
        {"objective": {"kind": kind}, "steps": steps, "batch_size": 32}
        for kind in ("base", "amdit")
    ]
    network = {"kind": "emodc", "block_out_channels": [8, 8, 8]}
    content = {
        "precision": "float32",
        "data": {"kind": "faces", "train": 56, "val": 14, "test": 7},
        "classifiers": {"emodc": network | {"stages": stages, "evaluation": {"steps": 4}}},
        "execution": {"save_every": 0.1},
    }
    path.write_text(yaml.safe_dump(content))
    return path


def with_baseline(path: Path, **fields: object) -> Path:
    """The same with a network that has no statistics of a batch, which processes have apart."""
    content = yaml.safe_load(path.read_text())
    small = {"architecture": "test_vit", "image_size": 160, "steps": 4, "batch_size": 8}
    content["classifiers"]["vit"] = {"kind": "baseline", **small, "learning_rate": 1e-4, **fields}
    path.write_text(yaml.safe_dump(content))
    return path


def command(config: Path, out: Path, *launcher: str) -> list[str]:
    options = ["--config", str(config), "--out", str(out)]
    return [*launcher, "-m", "bench", "train", *options]


def weights(out: Path) -> dict[str, Tensor]:
    [folder] = (out / "checkpoints").glob("emodc-amdit-*")
    return EmoDC.from_pretrained(folder).state_dict()


def baseline(out: Path) -> dict[str, Tensor]:
    [folder] = (out / "checkpoints").glob("test_vit-*")
    return networks.load(folder).state_dict()


def trained(config: Path, out: Path) -> dict[str, Tensor]:
    """Weights of a training in this process that nothing disturbs, or of the rest of one."""
    loaded = load(config)
    checkpoints.train_missing(loaded, open_dataset(loaded.data, 0), out, Reporter(quiet=True))
    return weights(out)


def test_a_training_killed_twice_gives_the_same_weights(tmp_path: Path) -> None:
    config, out = write_config(tmp_path / "config.yaml", 60), tmp_path / "killed"
    undisturbed = trained(config, tmp_path / "undisturbed")
    folder = out / "checkpoints"
    for stage in ("emodc-base", "emodc-amdit"):
        with Copied(*command(config, out)) as process:
            deadline = time.monotonic() + 600
            while not list(folder.glob(f".{stage}-*.state")):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.01)
            process.kill()
        assert list(folder.glob(f".{stage}-*.state")), "it finished before it was killed"
        assert not list(folder.glob(f"{stage}-*"))
    for name, value in trained(config, out).items():
        assert torch.equal(value, undisturbed[name]), name


def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    # Few steps: Adam enlarges what two orders of adding differ by, the more the longer it runs.
    config = with_baseline(write_config(tmp_path / "config.yaml", 8), sam=0.05, ema=0.5)
    one = trained(config, tmp_path / "one")
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node", "2")
    started = command(config, tmp_path / "two", *launcher)
    subprocess.run([sys.executable, *started], check=True, capture_output=True)
    pairs = [(one, weights(tmp_path / "two"))]
    pairs.append((baseline(tmp_path / "one"), baseline(tmp_path / "two")))
    for alone, together in pairs:
        for name, value in together.items():
            assert (value - alone[name]).abs().mean().item() < 1e-4, name
        apart = [name for name, value in together.items() if not torch.equal(value, alone[name])]
        assert apart, "two processes that agree to the last bit are probably one"
