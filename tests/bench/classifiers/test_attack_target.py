"""What attacks differentiate: every kind of classifier in evaluation mode, before and after."""

import numpy as np
import pytest
import torch

from bench.classifiers.base import Classifier
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.classifiers.emodc import DiffusionClassifier, MatchedControl
from bench.perturb.attacks import ATTACKS
from emodc import EmoDC, Evaluation, Prompts
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
        control = small_control(images, prompts, block_out_channels=(8, 8, 8), head_channels=8)
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
