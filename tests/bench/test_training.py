import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from support import TINY
from torch import Tensor

from bench import training
from bench.config import load
from bench.data.drawn_faces import DrawnFaces
from bench.progress import Reporter

CPU = torch.device("cpu")


class Counter:
    """A trainer whose only weight is the sum of the batches it has seen."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.position, self.total = 0, torch.zeros(1)
        self.interrupt_at = interrupt_at

    def step(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        if self.position == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        self.total = self.total * 0.9 + images.sum() + torch.rand(1)
        self.position += 1
        return {"total": self.total.item()}

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "total": self.total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.position, self.total = state["position"], state["total"]


def batches(step: int) -> tuple[Tensor, Tensor]:
    return torch.full((2,), float(step)), torch.zeros(2)


def loop(trainer: Counter, folder: Path) -> None:
    training._loop("train", trainer, batches, 8, folder / "checkpoint", CPU, Reporter())


@pytest.fixture
def _listening() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt, also where a shell started the tests in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.mark.usefixtures("_listening")
def test_ctrl_c_finishes_the_step_saves_it_and_the_next_run_continues_exactly(
    tmp_path: Path,
) -> None:
    undisturbed, interrupted, resumed = Counter(), Counter(interrupt_at=4), Counter()
    loop(undisturbed, tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        loop(interrupted, tmp_path)
    assert interrupted.position == 5
    loop(resumed, tmp_path)
    assert torch.equal(resumed.total, undisturbed.total)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_damaged_state_starts_the_stage_over(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.state").write_bytes(b"half a file")
    trainer = Counter()
    loop(trainer, tmp_path)
    assert trainer.position == 8


def test_recipes_change_with_whatever_determines_the_weights() -> None:
    faces = DrawnFaces({"train": 28, "val": 14, "test": 21})
    config = load(TINY)

    def final(**changes: object) -> dict[str, Any]:
        chains = training.recipes(config.model_copy(update=changes), faces)
        return {name: chain[-1] for name, chain in chains.items()}

    reference = final()
    assert final() == reference
    assert all(final(seed=1)[name] != reference[name] for name in reference)
    spec = config.classifiers["emodc_amdit"]
    for change in (
        {"head_channels": 16},
        {"stages": spec.stages[:1]},
        {"evaluation": spec.evaluation.model_copy(update={"high": 400})},
    ):
        other = {"emodc_amdit": spec.model_copy(update=change)}
        changed = final(classifiers=config.classifiers | other)
        assert [name for name in reference if changed[name] != reference[name]] == ["emodc_amdit"]


def test_more_evaluation_steps_need_no_training() -> None:
    faces = DrawnFaces({"train": 28, "val": 14, "test": 21})
    config = load(TINY)
    spec = config.classifiers["emodc_amdit"]
    finer = spec.model_copy(update={"evaluation": spec.evaluation.model_copy(update={"steps": 50})})
    other = config.model_copy(update={"classifiers": config.classifiers | {"emodc_amdit": finer}})
    assert training.recipes(other, faces) == training.recipes(config, faces)
