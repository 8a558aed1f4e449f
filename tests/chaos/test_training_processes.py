"""Training that is killed, and training by two processes, against one that nothing disturbed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from emodc import EmoDC

STAGES = [
    {"objective": {"kind": "base"}, "steps": 100, "batch_size": 32},
    {"objective": {"kind": "amdit"}, "steps": 100, "batch_size": 32},
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    network = {"kind": "emodc", "block_out_channels": [8, 8, 8], "head_channels": 8}
    content = {
        "precision": "float32",
        "data": {"kind": "faces", "train": 56, "val": 14, "test": 7},
        "classifiers": {"emodc": network | {"stages": STAGES, "evaluation": {"steps": 4}}},
        "execution": {"save_every": 0.1},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def command(config: Path, out: Path, *launcher: str) -> list[str]:
    options = ["--config", str(config), "--out", str(out)]
    return [sys.executable, *launcher, "-m", "bench", "train", *options]


def weights(out: Path) -> dict[str, Tensor]:
    [folder] = (out / "checkpoints").glob("emodc-amdit-*")
    return EmoDC.from_pretrained(folder).state_dict()


@pytest.fixture
def undisturbed(config: Path, tmp_path: Path) -> dict[str, Tensor]:
    out = tmp_path / "undisturbed"
    subprocess.run(command(config, out), check=True, capture_output=True)
    return weights(out)


def test_two_hundred_steps_killed_twice_give_the_same_weights(
    config: Path, tmp_path: Path, undisturbed: dict[str, Tensor]
) -> None:
    out = tmp_path / "killed"
    checkpoints = out / "checkpoints"
    for stage in ("emodc-base", "emodc-amdit"):
        with subprocess.Popen(command(config, out), stderr=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 120
            while not list(checkpoints.glob(f".{stage}-*.state")):
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
        assert list(checkpoints.glob(f".{stage}-*.state")), "it finished before it was killed"
        assert not list(checkpoints.glob(f"{stage}-*"))
    subprocess.run(command(config, out), check=True, capture_output=True)
    for name, value in weights(out).items():
        assert torch.equal(value, undisturbed[name]), name


def test_two_processes_train_what_one_does(
    config: Path, tmp_path: Path, undisturbed: dict[str, Tensor]
) -> None:
    launcher = ("-m", "torch.distributed.run", "--nproc_per_node", "2")
    out = tmp_path / "two"
    subprocess.run(command(config, out, *launcher), check=True, capture_output=True)
    moved = 0
    for name, value in weights(out).items():
        # Adam enlarges what two orders of adding differ by, in single weights to a step's size.
        difference = (value - undisturbed[name]).abs().mean().item()
        assert difference < 2e-3, name
        moved += not torch.equal(value, undisturbed[name])
    assert moved, "two processes that agree to the last bit are probably one"
