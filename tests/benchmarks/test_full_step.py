"""`benchmarks.full_step`: what a step is on paper is what it takes."""

from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture
def script() -> Any:
    from benchmarks import full_step

    return full_step


@pytest.mark.parametrize(("objective", "trained"), [("base", "lora"), ("amdit", "all")])
def test_operations_on_paper_are_those_counted(script: Any, objective: str, trained: str) -> None:
    step = script.Step("tiny", 64, objective, trained)
    paper, found = script.on_paper(step), script.measured(step)
    assert paper.flops == pytest.approx(found.flops, rel=0.02)
    assert paper.seconds is None and found.seconds > 0


def test_a_negative_doubles_the_rows_and_lora_leaves_the_weights_alone(script: Any) -> None:
    base, amdit, lora = (
        script.on_paper(script.Step("eighth", 64, objective, trained))
        for objective, trained in (("base", "all"), ("amdit", "all"), ("base", "lora"))
    )
    assert amdit.flops == pytest.approx(2 * base.flops, rel=0.02)
    assert amdit.memory > base.memory
    assert lora.memory < 0.6 * base.memory  # neither gradients, moments nor averages of weights


def test_bytes_are_counted_while_they_live(script: Any) -> None:
    with script.LiveBytes() as live:
        kept = torch.zeros(100)
        view = kept[:50]
        (torch.zeros(1000) + 1).sum()
        assert live.now == 400 and view.shape == (50,)
    assert live.most == 8400  # besides, a thousand zeros and as many ones


def test_evaluations_follow_the_step(script: Any) -> None:
    found = script.measured(script.Step("tiny", 64, "amdit", "lora"), evaluate=True)
    assert found.errors.shape == (2, 7, 2)
    assert (found.errors > 0).all()


def test_a_training_killed_in_a_step_ends_with_the_same_weights(
    script: Any, tmp_path: Path
) -> None:
    assert script.survives(script.Step("tiny", 64, "amdit", "lora"), tmp_path)
    steps = [script.Step("tiny", 64, objective, "lora") for objective in ("base", "amdit")]
    assert len({script.second_step(step) for step in steps}) == 2  # others are told apart
