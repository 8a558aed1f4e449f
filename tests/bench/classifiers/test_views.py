"""Views of pictures, and what networks cost."""

import numpy as np
import pytest
import torch
from support import reddest_is_happy

from baselines import FaceClassifier
from bench.classifiers.base import counted_flops
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.classifiers.emodc import DiffusionClassifier, MatchedControl
from bench.perturb.versions import Views
from emodc import EmoDC, Evaluation, Prompts, small_control

CPU = torch.device("cpu")
CLASSES = ("neutral", "happiness")


def picture(seed: int = 0, size: tuple[int, int] = (40, 30)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.ascontiguousarray(np.resize(coarse.repeat(8, 0).repeat(8, 1), (*size, 3)))


def image(seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(picture(seed)).permute(2, 0, 1).float() / 255


def test_views_are_addressed_and_fewer_are_a_part_of_more() -> None:
    some, more = (Views(count, 1, "faces").of(image(), "a") for count in (4, 7))
    assert more.shape == (7, 3, 40, 30) and torch.equal(more[:4], some)
    assert torch.equal(more[0], image()) and torch.equal(more[1], image().flip(2))
    assert len({view.numpy().tobytes() for view in more}) == 7
    for other in (Views(7, 2, "faces").of(image(), "a"), Views(7, 1, "faces").of(image(), "b")):
        assert torch.equal(other[:2], more[:2])
        assert all(not torch.equal(one, two) for one, two in zip(other[2:], more[2:], strict=True))


def test_views_are_of_the_same_face() -> None:
    side = torch.linspace(-1, 1, 64)
    blob = torch.exp(-(side[None] ** 2 + side[:, None] ** 2) / 0.1).expand(3, -1, -1)
    views = Views(40, 0, "faces").of(blob, "a")
    mass = views[:, 0] / views[:, 0].sum(dim=(1, 2), keepdim=True)
    x = (mass.sum(dim=1) * torch.arange(64)).sum(dim=1)
    assert (x - 31.5).abs().max() < 0.04 * 64 + 0.1  # no farther than shifts reach
    assert (x - 31.5).abs().max() > 1
    assert views.min() >= 0 and views.max() <= blob.max() + 1e-6
    flat = torch.full((3, 20, 24), 0.25)  # borders bring nothing in
    assert torch.allclose(Views(9, 0, "faces").of(flat, "b"), torch.tensor(0.25))


@pytest.mark.parametrize("together", [1, 3])
def test_a_classifier_says_something_of_every_view(together: int) -> None:
    classifier = DiscriminativeClassifier(reddest_is_happy(), CLASSES, "weights", CPU)
    pictures, names = [picture(seed) for seed in range(3)], ["a", "b", "c"]
    views = Views(5, 3, "faces")
    parts = [
        classifier.measure_views(pictures[i : i + together], names[i : i + together], views)
        for i in range(0, 3, together)
    ]
    errors = np.concatenate([part.traces.errors for part in parts if part.traces is not None])
    info = parts[0].traces.info if parts[0].traces is not None else None
    assert errors.shape == (3, 2, 5) and info is not None
    assert (info.kind, info.classes, info.seed, info.steps) == ("surprises", CLASSES, 3, 5)
    for row, (one, name) in enumerate(zip(pictures, names, strict=True)):
        seen = views.of(torch.from_numpy(one).permute(2, 0, 1).float() / 255, name)
        expected = -torch.log_softmax(reddest_is_happy()(seen).double(), dim=1).T
        np.testing.assert_allclose(errors[row], expected.detach().numpy(), atol=1e-6)
    logits = np.concatenate([part.logits for part in parts])
    np.testing.assert_allclose(logits, -errors.mean(axis=2), atol=1e-6)
    assert [n for part in parts for n in part.evaluations] == [5, 5, 5]


def test_emodc_has_steps_and_no_views(tiny_emodc: EmoDC) -> None:
    classifier = DiffusionClassifier(tiny_emodc, "weights", None, 2, CPU)
    with pytest.raises(TypeError, match="steps in the place of augmented"):
        classifier.measure_views([picture()], ["a"], Views(2, 0, "faces"))
    traces = classifier.measure([picture()], ["a"]).traces
    assert traces is not None and traces.info is not None
    described = traces.info.model_dump()
    assert described["classes"] == classifier.classes and described["steps"] == 6
    expected = {"kind": "errors", "weighting": "noise", "prediction": "epsilon"}
    assert described.items() >= (expected | {"precision": "float32", "model": "weights"}).items()


def test_what_a_network_costs_is_counted() -> None:
    layer = torch.nn.Linear(3 * 64 * 64, 5)
    network = torch.nn.Sequential(torch.nn.Flatten(), layer)
    own = DiscriminativeClassifier(network, "abcde", "weights", CPU)
    assert own.flops() == {"picture": 0.0, "step": 2 * 3 * 64 * 64 * 5, "evaluation": 0.0}
    # Without products there is nothing to count; a network may also refuse the picture.
    assert DiscriminativeClassifier(reddest_is_happy(), CLASSES, "w", CPU).flops() == {}
    refuses = torch.nn.Linear(7, 2)
    assert DiscriminativeClassifier(refuses, CLASSES, "w", CPU).flops() == {}
    vit = DiscriminativeClassifier(FaceClassifier("vit_small", CLASSES), CLASSES, "w", CPU)
    assert vit.flops()["step"] > 1e7


def test_a_class_more_costs_a_pass_of_the_decoder(tiny_emodc: EmoDC) -> None:
    cost = DiffusionClassifier(tiny_emodc, "weights", None, 2, CPU).flops()
    whole = counted_flops(lambda: tiny_emodc(torch.rand(1, 3, 64, 64)))
    each = cost["step"] + len(tiny_emodc.classes) * cost["evaluation"]
    assert whole == pytest.approx(cost["picture"] + 6 * each)
    up = tiny_emodc.denoiser.unet.decoder.up_full.conv2  # a convolution: 8 channels, 16 x 16
    assert cost["evaluation"] > 2 * up.weight.numel() * 16 * 16
    assert 0 < cost["evaluation"] < cost["step"]


def test_a_class_more_costs_the_control_nothing(images: torch.Tensor) -> None:
    prompts = Prompts(CLASSES)
    denoiser = small_control(images, prompts, block_out_channels=(8, 8, 8))
    control = EmoDC(denoiser, prompts, Evaluation(steps=6, precision="float32")).eval()
    cost = MatchedControl(control, "weights", 2, CPU).flops()
    assert cost["picture"] > 0 and cost["step"] > 0 and cost["evaluation"] == 0
    whole = counted_flops(lambda: control(torch.rand(1, 3, 64, 64)))
    assert whole == pytest.approx(cost["picture"] + 6 * cost["step"])


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit"])
def test_neighbours_change_no_bit_of_shared_batches(architecture: str) -> None:
    torch.manual_seed(0)
    size = 64 if architecture == "test_resnet" else 160
    network = FaceClassifier(architecture, CLASSES, size=size)
    classifier = DiscriminativeClassifier(network, CLASSES, "weights", CPU)
    pictures, names = [picture(seed) for seed in range(11)], list("abcdefghijk")
    one_by_one = classifier.measure(pictures, names).logits
    classifier.shares_batches = True
    together = classifier.measure(pictures, names).logits
    np.testing.assert_allclose(together, one_by_one, atol=1e-4)
    alone = [classifier.measure([p], [n]).logits for p, n in zip(pictures, names, strict=True)]
    assert np.array_equal(together, np.concatenate(alone))
    turned = classifier.measure(pictures[::-1], names[::-1]).logits[::-1]
    assert np.array_equal(together, turned)
    of_two_sizes = [*pictures[:3], picture(3, (50, 50)), *pictures[4:]]
    others = classifier.measure(of_two_sizes, names).logits
    assert np.array_equal(np.delete(others, 3, 0), np.delete(together, 3, 0))
    views = classifier.measure_views(pictures[:1], names[:1], Views(3, 0, "faces")).traces
    assert views is not None
    first = -torch.log_softmax(torch.from_numpy(together[0]).double(), 0).float().numpy()
    assert np.array_equal(views.errors[0, :, 0], first)
