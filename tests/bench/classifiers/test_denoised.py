"""Denoise, then classify: the noise, the gradient and the entry of a config."""

from pathlib import Path

import numpy as np
import pytest
import torch

import bench
from bench.classifiers.around import Denoised
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.config import parse
from bench.labels import BASIC
from bench.util import rng
from bench.util.errors import UserError
from emodc import EmoDC, Evaluation, Prompts, small_denoiser


class _Means(torch.nn.Module):
    """Logits are mean red, green and blue."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


@pytest.fixture
def behind(tiny_emodc: EmoDC) -> Denoised:
    cpu = torch.device("cpu")
    plain = DiscriminativeClassifier(_Means(), tiny_emodc.classes, "digest", cpu)
    return Denoised(plain, tiny_emodc, timestep=100, steps=2, seed=0)


@pytest.fixture
def denoiser(tmp_path: Path, images: torch.Tensor) -> Path:
    prompts = Prompts(BASIC)
    with rng.fenced("denoiser"):
        network = small_denoiser(images, prompts, block_out_channels=(8, 8, 8), text_width=16)
    EmoDC(network, prompts, Evaluation(steps=2)).save_pretrained(tmp_path / "denoiser")
    return tmp_path / "denoiser"


def entry(folder: Path, /, **fields: object) -> dict[str, object]:
    inner = {"kind": "python", "factory": "support:nameless", "class_order": "fer2013"}
    return {"kind": "denoised", "classifier": inner, "denoiser": str(folder)} | fields


def test_a_verdict_is_of_the_sample_and_not_of_its_neighbours(behind: Denoised) -> None:
    pictures = list(rng.generator("pictures").integers(0, 256, (3, 40, 32, 3), np.uint8))
    names = ["a", "b", "c"]
    together = behind.measure(pictures, names).logits
    alone = [behind.measure([p], [n]).logits[0] for p, n in zip(pictures, names, strict=True)]
    assert np.array_equal(together, np.stack(alone))
    assert not np.array_equal(together[0], behind.measure(pictures[:1], ["z"]).logits[0])
    assert (behind.measure(pictures, names).evaluations == 3).all()


def test_an_attack_meets_the_verdicts_noise_unless_it_is_fresh(behind: Denoised) -> None:
    image = torch.rand(1, 3, 40, 32, generator=torch.Generator().manual_seed(1))
    picture = (image[0].movedim(0, -1) * 255).round().byte().numpy()
    exact = torch.from_numpy(picture).movedim(-1, 0)[None].float() / 255
    target = behind.attack_target("a")
    for _ in range(2):
        assert np.array_equal(
            target(exact).detach().numpy(), behind.measure([picture], ["a"]).logits
        )
    fresh = behind.attack_target("a", fresh=True)
    assert not torch.equal(fresh(exact), fresh(exact))


def test_the_gradient_is_that_of_both(behind: Denoised) -> None:
    target = behind.attack_target("a")
    image = torch.full((1, 3, 64, 64), 0.5, requires_grad=True)
    target(image)[0, 0].backward()
    assert image.grad is not None
    step = 0.05 * image.grad / image.grad.norm()
    with torch.no_grad():
        change = (target(image + step) - target(image - step))[0, 0] / 2
    assert change.item() == pytest.approx(0.05 * image.grad.norm().item(), rel=0.05)


def test_a_run_measures_it_and_another_timestep_anew(denoiser: Path, tmp_path: Path) -> None:
    def ids(timestep: int) -> set[str]:
        content = {
            "data": {"kind": "faces", "train": 14, "val": 7, "test": 7},
            "validation": False,
            "classifiers": {"behind": entry(denoiser, timestep=timestep)},
            "perturbations": {"attacks": {"fgsm": [4]}, "attack_limit": 2},
            "execution": {"workers": 1},
        }
        results = bench.run(content, out=tmp_path / "out", quiet=True)
        frame = results.to_pandas()
        assert set(frame["perturbation"]) == {"clean", "fgsm"}
        return {path.name for path in (tmp_path / "out" / "cells" / "behind").iterdir()}

    first = ids(50)
    assert len(first) == 2
    assert ids(50) == first
    assert len(ids(100)) == 4


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"denoiser": "nowhere"}, "there is no nowhere"),
        ({"steps": 9, "timestep": 3}, "9 steps need a timestep of 8 or more"),
        (
            {
                "classifier": {
                    "kind": "frame_mean",
                    "classifier": {"kind": "python", "factory": "a:b"},
                }
            },
            "not frame_mean",
        ),
    ],
)
def test_what_cannot_be_is_told_before_any_work(
    denoiser: Path, fields: dict[str, object], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence):
        spec = parse({"classifiers": {"x": entry(denoiser, **fields)}}, "c").classifiers["x"]
        spec.check("x")
