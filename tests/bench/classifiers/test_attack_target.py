"""What attacks differentiate: every kind of classifier in evaluation mode, before and after."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.classifiers.base import Classifier
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.classifiers.emodc import DiffusionClassifier, MatchedControl
from bench.perturb.attacks import ATTACKS
from bench.perturb.base import Address, Batch
from bench.util.errors import UserError
from emodc import EmoDC, Evaluation, Prompts
from emodc.decisions.decide import decide, visited
from emodc.decisions.live import Verdict
from emodc.decisions.rules import SequentialTest
from emodc.diffusion.measuring import Trace
from emodc.small import small_control

CPU = torch.device("cpu")
ADDRESS = {"seed": 0, "dataset": "d", "sample_id": "a"}


@pytest.fixture(params=["emodc", "control", "discriminative"])
def classifier(
    request: pytest.FixtureRequest, tiny_emodc: EmoDC, images: torch.Tensor
) -> Classifier:
    if request.param == "emodc":
        return DiffusionClassifier(tiny_emodc, "w", None, 2, CPU)
    if request.param == "control":
        prompts = Prompts(("neutral", "happiness"))
        control = small_control(images, prompts, block_out_channels=(8, 8, 8))
        return MatchedControl(EmoDC(control, prompts, Evaluation(4)), "w", 2, CPU)
    network = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    network(torch.zeros(1, 3, 64, 64))
    return DiscriminativeClassifier(network, ("neutral", "happiness"), "w", CPU)


@pytest.mark.parametrize("name", ["fgsm", "pgd", "momentum", "random_noise"])
def test_attacks_leave_every_kind_in_evaluation_mode(
    classifier: Classifier, images: torch.Tensor, name: str
) -> None:
    attack = ATTACKS[name]()
    target = classifier.attack_target("a", every_step=attack.every_step)
    assert not any(module.training for module in target.modules())
    attack(images[0].permute(1, 2, 0).numpy(), 0, target, 4, **ADDRESS)
    assert not any(module.training for module in target.modules())


def test_a_single_gradient_is_that_of_the_verdict(tiny_emodc: EmoDC, images: torch.Tensor) -> None:
    classifier = DiffusionClassifier(tiny_emodc, "w", None, 2, CPU)
    picture = images[:1].float() / 255
    whole = classifier.attack_target("a", every_step=True)(picture)
    verdict = classifier.measure([np.asarray(images[0].permute(1, 2, 0))], ["a"]).logits
    torch.testing.assert_close(whole.detach().numpy(), verdict)
    some = classifier.attack_target("a")(picture)
    assert not torch.allclose(some, whole, atol=1e-6)


def test_a_range_of_timesteps_is_measured_by_gradients_and_not_by_the_verdict(
    tiny_emodc: EmoDC, images: torch.Tensor
) -> None:
    classifier = DiffusionClassifier(tiny_emodc, "w", None, 1, CPU)
    picture, times = images[:1].float() / 255, tiny_emodc.timesteps.tolist()
    target = classifier.attack_target("a")
    ATTACKS["pgd"](timesteps=(times[2], times[4])).aimed(target, 0, None)
    for step in (2, 3, 2):
        torch.testing.assert_close(target(picture), tiny_emodc(picture, ["a"], [step]))
    torch.testing.assert_close(target.whole(picture), tiny_emodc(picture, ["a"]))
    with pytest.raises(UserError, match=r"has none of the classifier's steps.*\[0, 500\)"):
        ATTACKS["pgd"](timesteps=(times[-1] + 1, times[-1] + 2)).aimed(target, 0, None)
    with pytest.raises(ValueError, match="low below high"):
        ATTACKS["pgd"](timesteps=(5, 5))


# ------------------------------------------------------------------------------------------------
# Early decisions. With errors that are linear in the picture what an attacker can reach is known:
# the right class is ahead by LEAD at every step. A change of eps in the PIXELS of a step's own
# moves its difference by PIXELS * SLOPE * eps, one in the COMMON pixels moves that of all steps by
# COMMON * common * eps.

STEPS, PIXELS, COMMON, LEAD, SLOPE, EPS = 48, 3, 48, 1.0, 16.0, 8


class LinearErrors(EmoDC):
    """An EmoDC whose errors are as above: those of class 0 are below, and can be raised."""

    common = 0.0

    def errors(
        self, images: Tensor, ids: Sequence[str] | None = None, steps: Sequence[int] | None = None
    ) -> Tensor:
        own, rest = (images.flatten(1) - 0.5).split([STEPS * PIXELS, COMMON], dim=1)
        raised = SLOPE * own.unflatten(1, (STEPS, PIXELS)).sum(2)
        first = 3 + raised + self.common * rest.sum(1, keepdim=True)
        both = torch.stack([first, torch.full_like(first, 3 + LEAD)], dim=1)
        return both if steps is None else both[:, :, list(steps)]

    def decide(self, images: Tensor, ids: Any = None, rule: Any = None, **_: Any) -> Verdict:
        errors, times = self.errors(images), self.timesteps[None].expand(len(images), -1)
        found = decide(errors.numpy().astype(float), times.numpy(), rule, ids, seed=0)
        trace = Trace(errors, times, self.classes)
        return Verdict((), found, trace, np.zeros(len(images)), 1)


@pytest.mark.parametrize(
    ("common", "apart", "full"), [(0.0, False, 0), (0.9, False, 1), (0.9, True, 0)]
)
def test_who_knows_the_order_makes_a_rule_stop_wrongly_and_who_does_not_is_held_to_delta(
    tiny_emodc: EmoDC, common: float, apart: bool, full: int
) -> None:
    plan = Evaluation(steps=STEPS, precision="float32")
    model = LinearErrors(tiny_emodc.denoiser, tiny_emodc.prompts, plan)
    model.common = common
    classifier = DiffusionClassifier(model, "w", None, 16, CPU)
    rule, grey = SequentialTest(delta=0.01), np.full((8, 8, 3), 127.5, np.float32)
    keep = "hit" if apart else "last"
    attack = ATTACKS["mislead"](restarts=1, keep=keep, first=8, apart=apart, rounding=False)
    times, ones = model.timesteps.numpy(), np.ones(STEPS)

    def errors_of(picture: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(picture.transpose(2, 0, 1)[None] / np.float32(255))
        return model.errors(image).numpy().astype(float)

    def decided(picture: np.ndarray, seed: int = 0) -> tuple[int, int]:
        found = decide(errors_of(picture), times[None], rule, ["a"], seed=seed)
        return int(found.winner[0]), int(found.steps[0])

    batch = Batch([grey], ["a"], [classifier.classes[0]], rule=rule)
    (found,) = attack.apply(batch, f"{EPS}/255", Address(0, "d"), classifier)
    assert decided(grey)[0] == 0 and batch.notes["a"].believed
    assert decided(found)[0] == 1 and decided(found)[1] <= 8
    assert errors_of(found).mean(2).argmin() == full
    if apart:
        return
    first = visited(rule, times, ones, 0, "a")[:8]
    ahead = errors_of(found)[0, 0] - errors_of(found)[0, 1]
    # What the budget allows at the first steps, evenly; elsewhere what the random start left.
    reached = (SLOPE * PIXELS + common * COMMON) * EPS / 255 - LEAD
    np.testing.assert_allclose(ahead[first], reached, atol=0.05)
    if not common:
        assert 0.3 < reached < LEAD and (np.delete(ahead, first) < 0.2).all()
        others = [decided(found, seed)[0] for seed in range(1, 301)]
        assert np.mean(others) < 0.03


def test_early_decisions_take_pictures_that_were_not_rounded(
    tiny_emodc: EmoDC, images: torch.Tensor
) -> None:
    """An attack with a budget below a grey level makes float32 ones."""
    classifier = DiffusionClassifier(tiny_emodc, "w", None, 2, CPU)
    picture, rule = images[0].permute(1, 2, 0).numpy(), SequentialTest(delta=0.1)
    rounded = classifier.measure([picture], ["a"], rule)
    floats = classifier.measure([picture.astype(np.float32)], ["a"], rule)
    np.testing.assert_array_equal(floats.logits, rounded.logits)
    moved = classifier.measure([picture.astype(np.float32) * 0.99], ["a"], rule)
    assert (moved.logits != rounded.logits).any()
