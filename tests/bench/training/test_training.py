import json
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from support import TINY
from torch import Tensor

from bench.classifiers import checkpoints
from bench.config import load, parse
from bench.data.drawn import DrawnFaces
from bench.store.checkpoints import Card
from bench.training.loop import Loop, choose
from bench.util import rng
from bench.util.errors import UserError
from bench.util.files import seal
from bench.util.progress import Reporter
from emodc import EmoDC, Evaluation


class Counter:
    """A trainer whose only weight is the sum of the batches it has seen."""

    def __init__(self, interrupt_at: int | None = None) -> None:
        self.position, self.total = 0, torch.zeros(1)
        self.interrupt_at = interrupt_at

    @property
    def finished(self) -> bool:
        return self.position >= 8

    def step(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        if self.position == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        self.total = self.total * 0.9 + images.sum() + torch.rand(1)
        self.position += 1
        return {"total": self.total.item()}

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "total": self.total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.position = state["position"]
        self.total = state["total"]


def batches(step: int) -> tuple[Tensor, Tensor]:
    return torch.full((2,), float(step)), torch.zeros(2)


def loop(trainer: Counter, folder: Path) -> None:
    looper = Loop(Accelerator(cpu=True), torch.device("cpu"), Reporter())
    looper.run("train", trainer, batches, 8, folder / "checkpoint")


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


def test_a_state_that_fits_only_in_part_leaves_nothing_behind(tmp_path: Path) -> None:
    state = {"trainer": {"position": 6}, "seconds": 1.0}  # no total: of another version
    torch.save(state, tmp_path / ".checkpoint.state")
    seal(tmp_path / ".checkpoint.state", ".checkpoint.state")
    undisturbed, trainer = Counter(), Counter()
    loop(undisturbed, tmp_path / "undisturbed")
    loop(trainer, tmp_path)
    assert torch.equal(trainer.total, undisturbed.total)


@pytest.mark.usefixtures("_listening")
@pytest.mark.parametrize("damage", ["a bit of the weights flipped", "another training's"])
def test_a_state_that_loads_but_is_not_this_trainings_is_not_believed(
    tmp_path: Path, damage: str
) -> None:
    undisturbed, interrupted, resumed = Counter(), Counter(interrupt_at=4), Counter()
    loop(undisturbed, tmp_path / "undisturbed")
    with pytest.raises(KeyboardInterrupt):
        loop(interrupted, tmp_path)
    path = tmp_path / ".checkpoint.state"
    if damage == "another training's":
        state = torch.load(path, weights_only=True)
        state["trainer"]["total"] += 1
        torch.save(state, path)
        seal(path, ".other.state")
    else:
        whole = bytearray(path.read_bytes())
        whole[whole.index(interrupted.total.numpy().tobytes()) + 2] ^= 0x10
        path.write_bytes(whole)
    assert torch.load(path, weights_only=True)["trainer"]["position"] == 5
    loop(resumed, tmp_path)
    assert torch.equal(resumed.total, undisturbed.total)


def test_a_damaged_state_starts_the_stage_over(tmp_path: Path) -> None:
    (tmp_path / ".checkpoint.state").write_bytes(b"half a file")
    trainer = Counter()
    loop(trainer, tmp_path)
    assert trainer.position == 8


def test_recipes_change_with_whatever_determines_the_weights() -> None:
    faces = DrawnFaces({"train": 28, "val": 14, "test": 21})
    config = load(TINY)

    def final(**changes: object) -> dict[str, Any]:
        chains = checkpoints.recipes(config.model_copy(update=changes), faces)
        return {name: chain[-1] for (name, _), chain in chains.items()}

    reference = final()
    assert final() == reference
    assert all(final(seed=1)[name] != reference[name] for name in reference)
    spec = config.classifiers["emodc_amdit"]
    for change in (
        {"block_out_channels": (8, 8, 16)},
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
    assert checkpoints.recipes(other, faces) == checkpoints.recipes(config, faces)


def test_every_training_seed_has_a_recipe_of_its_own() -> None:
    faces = DrawnFaces({"train": 28, "val": 14, "test": 21})
    config = load(TINY).model_copy(update={"training_seeds": [4, 5]})
    chains = checkpoints.recipes(config, faces)
    assert {seed for _, seed in chains} == {4, 5}
    assert chains["emodc_base", 4] != chains["emodc_base", 5]
    assert checkpoints.recipes(load(TINY), faces).keys() == {(name, 0) for name, _ in chains}


# -- stages --------------------------------------------------------------------------------------

STAGE = {"objective": {"kind": "base"}, "steps": 6, "batch_size": 6, "learning_rate": 0.01}


def train(
    out: Path,
    stages: list[dict[str, Any]],
    **fields: Any,
) -> Path:
    """Train one tiny EmoDC on drawn faces; its checkpoint folder."""
    config = parse(
        {
            "precision": "float32",
            "data": {"kind": "faces", "train": 28, "val": 14, "test": 7},
            "classifiers": {
                "model": {
                    "kind": "emodc",
                    "block_out_channels": [8, 8, 8],
                    "stages": stages,
                    "evaluation": {"steps": 4},
                }
            },
            **fields,
        },
        "test",
    )
    faces = DrawnFaces({"train": 28, "val": 14, "test": 7})
    folders = checkpoints.train_missing(config, faces, out, Reporter())
    return folders["model", 0]


def weights(folder: Path) -> dict[str, Tensor]:
    return EmoDC.from_pretrained(folder).state_dict()


def records(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "training.jsonl").read_text().splitlines()]


def test_a_stage_leaves_a_log_of_errors_by_timestep_and_of_validations(tmp_path: Path) -> None:
    amdit = STAGE | {"objective": {"kind": "amdit"}}
    found = records(train(tmp_path, [STAGE, amdit]))
    bins = [record for record in found if "active" in record]
    assert [record["low"] for record in bins] == [0, 100, 200, 300, 400]
    for record in bins:
        assert record["gap"] == pytest.approx(record["d_n"] / record["d_p"] - 1)
        assert 0 < record["active"] <= 1  # the classes are not apart yet
    checks = [record for record in found if "validation_accuracy" in record]
    assert [record["step"] for record in checks] == [2, 4, 6]


def test_the_gate_compares_with_base_however_many_stages_follow(tmp_path: Path) -> None:
    amdit = STAGE | {"objective": {"kind": "amdit"}}
    last = Card.verified(train(tmp_path, [STAGE, amdit, amdit | {"steps": 5}, STAGE])).gate
    assert last is not None
    first = Card.verified(train(tmp_path, [STAGE])).gate
    assert first is not None
    assert last.base_d_p == first.d_p == first.base_d_p
    assert (first.reference, last.reference) == ("itself", "first_stage")
    # Of the data alone, whatever was trained.
    assert first.linear_d_p is not None and 0 < first.linear_d_p < 1
    assert last.linear_d_p == first.linear_d_p
    assert last.d_p != first.d_p
    for gate in (first, last):  # the conditioning check stands beside it
        assert gate.conditioning is not None and gate.conditioning.n == 14


def test_early_stop_ends_a_stage_and_keeps_its_best_weights(tmp_path: Path) -> None:
    # With a rate of practically nothing the accuracy cannot get better: the first validation wins.
    patient = STAGE | {
        "steps": 40,
        "learning_rate": 1e-12,
        "early_stop": {"every": 2, "patience": 3},
    }
    checks = [r for r in records(train(tmp_path, [patient])) if "validation_accuracy" in r]
    assert [record["step"] for record in checks] == [2, 4, 6, 8]


def test_accumulation_gives_the_same_training(tmp_path: Path) -> None:
    whole = weights(train(tmp_path, [STAGE]))
    parts = weights(train(tmp_path, [STAGE | {"accumulate": 3}]))
    for name, value in whole.items():
        torch.testing.assert_close(value, parts[name], rtol=0, atol=3e-3)  # Adam enlarges rounding


def test_latents_from_the_disk_train_as_well(tmp_path: Path) -> None:
    folder = train(tmp_path, [STAGE | {"cache_latents": True}])
    [cache] = (tmp_path / "cache").glob("latents-*.npy")
    latents = np.load(cache)
    assert latents.shape == (28, 2, 16, 16, 16)
    model = EmoDC.from_pretrained(folder)
    faces = DrawnFaces({"train": 28, "val": 14, "test": 7})
    picture = torch.from_numpy(faces.picture(faces.samples("train")[3]).copy())
    image = picture.permute(2, 0, 1)[None].float() / 255
    torch.testing.assert_close(torch.from_numpy(latents[3, 0]), model.denoiser.encode(image)[0])
    mirrored = model.denoiser.encode(image.flip(3))[0]
    torch.testing.assert_close(torch.from_numpy(latents[3, 1]), mirrored)
    assert records(folder)


def test_text_only_training_leaves_the_picture_path_alone(tmp_path: Path) -> None:
    before = weights(train(tmp_path, [STAGE]))
    after = weights(train(tmp_path, [STAGE, STAGE | {"trained": "text"}]))
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved and all("unet.prompt." in name for name in moved)


def test_objectives_that_need_some_prompts_train(tmp_path: Path) -> None:
    amdit = {"kind": "amdit", "negatives": 2, "c_nn": "non_class"}
    folder = train(tmp_path, [STAGE, STAGE | {"objective": amdit}])
    card = Card.verified(folder)
    assert card.gate is not None and card.gate.base_d_p is not None
    bins = [record for record in records(folder) if "active" in record]
    assert bins and all(record["d_n"] > 0 for record in bins)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trained": "lora"}, "no attention"),
        ({"checkpointing": True}, "no gradient checkpointing"),
        (
            {"objective": {"kind": "amdit", "negatives": 7}},
            "7 negatives asked for, and there are 6",
        ),
        ({"objective": {"kind": "margin", "limit": 1.0}, "accumulate": 2}, "means over the batch"),
    ],
)
def test_what_the_small_network_cannot_do_is_said(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        train(tmp_path, [STAGE | change])


def test_tensorboard_shows_the_figures(tmp_path: Path) -> None:
    train(tmp_path, [STAGE], execution={"trackers": ["tensorboard"]})
    assert list((tmp_path / "tracking").rglob("events.out.tfevents.*"))


def test_the_control_learns_the_class_from_noised_inputs(tmp_path: Path) -> None:
    config = parse(
        {
            "precision": "float32",
            "data": {"kind": "faces", "train": 28, "val": 14, "test": 7},
            "classifiers": {
                "emodc_control": {
                    "kind": "control",
                    "block_out_channels": [8, 8, 8],
                    "stages": [STAGE | {"steps": 200}],
                }
            },
        },
        "test",
    )
    faces = DrawnFaces({"train": 28, "val": 14, "test": 7})
    folder = checkpoints.train_missing(config, faces, tmp_path, Reporter())["emodc_control", 0]
    losses = [record["nll"] for record in records(folder) if "nll" in record]
    assert not any("d_p" in record for record in records(folder))
    assert sum(losses[-5:]) / 5 < 1.7  # log 7 = 1.946 is chance
    card = Card.verified(folder)
    assert card.gate is None and "nll" in card.validation
    model = EmoDC.from_pretrained(folder)
    model.evaluation = Evaluation(steps=5, precision="float32")
    probabilities = (-model.trace(torch.rand(1, 3, 64, 64)).errors).exp()
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(1, 5))


def test_balanced_batches_draw_every_class_equally_often() -> None:
    labels = torch.tensor([0] * 90 + [1] * 10)
    draws = rng.generator("test")
    assert (labels[choose(draws, labels, 4000, True)] == 1).double().mean() == pytest.approx(
        0.5, abs=0.03
    )
    assert (labels[choose(draws, labels, 4000, False)] == 1).double().mean() == pytest.approx(
        0.1, abs=0.03
    )
