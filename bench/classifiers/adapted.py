"""Test-time adaptation: classifiers whose verdicts depend on a block of pictures (transductive).

TENT (Wang et al. 2021, arXiv 2006.10726) and T3A (Iwasawa and Matsuo 2021, NeurIPS 34). The papers
adapt along a stream of pictures, so that a verdict depends on all that came before. Here every
block begins with the trained network, and a verdict is a function of its block alone.
"""

import copy
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import override

from bench.classifiers.base import Classifier, Measurement, as_images, flops_picture
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.store.traces import Traces
from bench.util.errors import UserError
from emodc.decisions.decide import Rule


class Adapted(Classifier):
    """A network that adapts to a block of pictures.

    `measure` takes one block; `bench.sweep.plan.blocks_of` cuts them.

    Args:
        classifier: The network, which stays as it is.
    """

    def __init__(self, classifier: DiscriminativeClassifier) -> None:
        super().__init__(classifier.device)
        self.inner = classifier
        self.classes, self.digest = classifier.classes, classifier.digest
        self.deterministic = classifier.deterministic
        self.validation, self.training = classifier.validation, classifier.training

    @override
    def measure(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], rule: Rule | None = None
    ) -> Measurement:
        if rule is not None:
            raise TypeError(f"{type(self).__name__} has no steps to decide after")
        count, start = len(pictures), time.perf_counter()
        logits = self._adapted([as_images([one]).to(self.device) for one in pictures])
        spent = (time.perf_counter() - start) / count
        found = logits.float().cpu().numpy()
        return Measurement(found, None, np.full(count, self.evaluations), np.full(count, spent))

    def attack_target(
        self, sample_id: str, every_step: bool = False, fresh: bool = False
    ) -> nn.Module:
        """There is none.

        Raises:
            UserError: Always: a verdict depends on a block of pictures.
        """
        raise UserError(
            "a classifier that adapts (kind: adapted) cannot be attacked picture by picture, nor "
            "be the source of a transfer."
        )

    @override
    def flops(self) -> dict[str, float]:
        """What one forward pass of the network costs; those of adaptation are not counted."""
        return self.inner.flops()

    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        raise TypeError("blocks are measured by `measure`")

    @abstractmethod
    def _adapted(self, images: Sequence[Tensor]) -> Tensor:
        """Logits (N, K) of a block of images, (1, 3, H, W) in [0, 1] each."""


class Tent(Adapted):
    """Batch normalisation with the block's own statistics, its scale and shift of low entropy.

    Args:
        classifier: The network.
        steps: Of Adam on the mean entropy of the block's predictions; the logits are those after
            the last.
        learning_rate: Of Adam.

    Raises:
        ValueError: If it has no batch normalisation.
    """

    def __init__(
        self, classifier: DiscriminativeClassifier, steps: int, learning_rate: float
    ) -> None:
        super().__init__(classifier)
        self.steps, self.learning_rate, self.evaluations = steps, learning_rate, steps + 1
        self.model = copy.deepcopy(classifier.model)
        norms = [own for own in self.model.modules() if isinstance(own, _BatchNorm)]
        if not norms:
            raise ValueError("it adapts batch normalisation, and the network has none")
        for norm in norms:  # without running statistics it takes those of the batch
            norm.track_running_stats = False
            norm.running_mean = norm.running_var = None
        self._free = [p for norm in norms for p in norm.parameters(recurse=False)]
        self._trained = [p.detach().clone() for p in self._free]

    def _adapted(self, images: Sequence[Tensor]) -> Tensor:
        # Pictures of several sizes share a batch where a network says what it resizes them to.
        model: Any = self.model
        prepare = getattr(model, "prepared", None) or getattr(model, "inputs", None)
        ask = model if prepare is None else model.of_prepared
        prepared = list(images) if prepare is None else [prepare(one) for one in images]
        sizes = sorted({f"{one.shape[-1]} x {one.shape[-2]}" for one in prepared})
        if len(sizes) > 1:
            raise UserError(
                "TENT needs pictures of one size, or a network of the bench, timm's or Hugging "
                f"Face's, which are resized first; these are {', '.join(sizes[:3])}."
            )
        block = torch.cat(prepared)
        for own, before in zip(self._free, self._trained, strict=True):
            own.data.copy_(before)
            own.requires_grad_()
        optimiser = torch.optim.Adam(self._free, self.learning_rate) if self.steps else None
        for _ in range(self.steps):
            assert optimiser is not None
            with torch.enable_grad():
                loss = _entropies(_said(ask, block)).mean()
                optimiser.zero_grad()
                loss.backward()
            optimiser.step()
        with torch.no_grad():
            return _said(ask, block)


class T3A(Adapted):
    """The linear layer's directions, each averaged with the features that it takes for its own.

    Args:
        classifier: The network, whose logits come from a linear layer.
        keep: Of each class, so many directions of the lowest entropy; None: all.

    Raises:
        ValueError: If its logits do not come from a linear layer.
    """

    def __init__(self, classifier: DiscriminativeClassifier, keep: int | None) -> None:
        super().__init__(classifier)
        self.keep = keep
        self._features: list[Tensor] = []
        self.head = self._head()
        self.head.register_forward_hook(lambda _, given, __: self._features.append(given[0]))

    def _head(self) -> nn.Linear:
        """The layer whose output the logits are."""
        said: list[tuple[nn.Linear, Tensor]] = []
        model = self.inner.model
        layers = [own for own in model.modules() if isinstance(own, nn.Linear)]
        hooks = [
            own.register_forward_hook(lambda layer, _, out: said.append((layer, out)))
            for own in layers
        ]
        with torch.no_grad():
            logits = model(flops_picture(self.device))
        for hook in hooks:
            hook.remove()
        for layer, output in reversed(said):
            if output.shape == logits.shape and torch.equal(output.float(), logits.float()):
                return layer
        raise ValueError("its logits must be what a linear layer returns")

    @torch.no_grad()
    def _adapted(self, images: Sequence[Tensor]) -> Tensor:
        self._features.clear()
        for image in images:  # one by one: features are those of the classifier, to the last bit
            self.inner.model(image)
        found = torch.cat(self._features)
        self._features.clear()
        return t3a_logits(found, self.head.weight, self.head.bias, self.keep)


def t3a_logits(features: Tensor, weight: Tensor, bias: Tensor | None, keep: int | None) -> Tensor:
    """Logits (N, K) by prototypes, of features (N, D) and a linear layer (K, D), (K,).

    A class's prototype is the direction of the sum of unit vectors: of its row of `weight`, and of
    the features that the layer takes for the class; `keep` of them with the lowest entropy.
    """
    members = torch.cat([weight, features])
    said = functional.linear(members, weight, bias)
    entropies, taken = _entropies(said), said.argmax(1)
    taken[: len(weight)] = torch.arange(len(weight), device=taken.device)
    units, prototypes = functional.normalize(members, dim=1), []
    for label in range(len(weight)):
        own = (taken == label).nonzero()[:, 0]
        surest = own[entropies[own].argsort(stable=True)[:keep]]
        prototypes.append(units[surest].sum(0))
    return features @ functional.normalize(torch.stack(prototypes), dim=1).T


def _said(ask: Callable[[Tensor], Tensor], block: Tensor) -> Tensor:
    try:
        return ask(block)
    except ValueError as error:  # of torch, about one value per channel
        raise UserError(f"TENT needs blocks of at least two pictures: {error}") from error


def _entropies(logits: Tensor) -> Tensor:
    """Of predictions, in nats, (N,)."""
    return -(logits.softmax(1) * logits.log_softmax(1)).sum(1)
