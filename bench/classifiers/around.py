"""Classifiers around another one, which show it something else than the pictures.

The middle frame of a clip, or each of its frames; what a denoiser makes of a picture; or the other
pictures of its block, to which a network adapts.
"""

import copy
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from typing_extensions import override

from bench.classifiers.base import Classifier, Measurement, as_images, counted_flops, flops_picture
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.classifiers.emodc import DiffusionClassifier
from bench.perturb.versions import Views
from bench.store.traces import OtherPrompts, Traces
from bench.util.errors import UserError
from emodc import EmoDC
from emodc.decisions.decide import Rule
from emodc.diffusion.denoiser import denoised
from emodc.diffusion.noise import step_noise


class AroundClassifier(Classifier):
    """A classifier around another one; what it says of itself is that one's.

    Args:
        classifier: The other one, which stays as it is.
    """

    inner: Classifier

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier.device)
        self.inner = classifier
        self.classes, self.digest = classifier.classes, classifier.digest
        self.deterministic = classifier.deterministic
        self.validation, self.training = classifier.validation, classifier.training

    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        raise TypeError("it is measured by `measure` alone")


# ------------------------------------------------------------------------------------------------
# A classifier of pictures on clips: on one frame, or on all.


#: What is averaged over frames: probabilities or logits.
Average = Literal["probabilities", "logits"]
#: Which of an EmoDC's steps are measured on a frame: its share of them, so that a clip costs what
#: a picture does, or all.
Steps = Literal["spread", "all"]


class _OnFrames(AroundClassifier):
    """A classifier of pictures that is shown clips."""

    takes_clips = True

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier)
        self.gate, self.timesteps = classifier.gate, classifier.timesteps
        self.evaluations = classifier.evaluations


class MiddleFrame(_OnFrames):
    """The classifier on the middle one of the frames that are shown."""

    @override
    def measure(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], rule: Rule | None = None
    ) -> Measurement:
        return self.inner.measure([_middle(clip) for clip in pictures], ids, rule)

    @override
    def measure_views(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], views: Views
    ) -> Measurement:
        return self.inner.measure_views([_middle(clip) for clip in pictures], ids, views)

    @override
    def other_prompts(self, pictures: Sequence[np.ndarray], ids: Sequence[str]) -> OtherPrompts:
        return self.inner.other_prompts([_middle(clip) for clip in pictures], ids)

    @override
    def flops(self) -> dict[str, float]:
        return self.inner.flops()

    def attack_target(
        self, sample_id: str, every_step: bool = False, fresh: bool = False
    ) -> nn.Module:
        """Clips -> the classifier's logits of the middle frame."""
        return _MiddleTarget(self.inner.attack_target(sample_id, every_step, fresh)).eval()


def _middle(clip: np.ndarray) -> np.ndarray:
    frame: np.ndarray = clip[len(clip) // 2]
    return frame


class FrameMean(_OnFrames):
    """The mean over frames of what a classifier says of each; their order does not count.

    The control of classifiers of clips. Of an EmoDC it is the mean of its errors, so that traces
    and decision rules are those of a picture.

    Args:
        classifier: Of pictures.
        average: What is averaged of a classifier with logits.
        steps: What an EmoDC measures of a frame.
        shared_noise: Whether the frames meet the same evaluation noise, where all steps are
            measured of each.
    """

    def __init__(
        self,
        classifier: Classifier,
        average: Average = "probabilities",
        steps: Steps = "spread",
        shared_noise: bool = True,
    ) -> None:
        super().__init__(classifier)
        self.average, self.steps, self.shared_noise = average, steps, shared_noise

    @override
    def measure(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], rule: Rule | None = None
    ) -> Measurement:
        if rule is not None:
            raise TypeError("frame_mean measures everything")
        each = [self._clip(clip, name) for clip, name in zip(pictures, ids, strict=True)]
        return Measurement(
            logits=np.concatenate([one.logits for one in each]),
            traces=None
            if each[0].traces is None
            else Traces.joined([one.traces for one in each if one.traces is not None]),
            evaluations=np.concatenate([one.evaluations for one in each]),
            seconds=np.concatenate([one.seconds for one in each]),
        )

    def _clip(self, clip: np.ndarray, name: str) -> Measurement:
        """One clip's measurement."""
        if isinstance(self.inner, DiffusionClassifier):
            spread = self.steps == "spread"
            return self.inner.measure_clip(list(clip), name, spread, self.shared_noise)
        found = self.inner.measure(list(clip), [f"{name}#{k}" for k in range(len(clip))])
        logits = averaged(torch.from_numpy(found.logits).double()[None], self.average)
        return Measurement(
            logits=logits.float().numpy(),
            traces=None,
            evaluations=np.array([found.evaluations.sum()]),
            seconds=np.array([found.seconds.sum()]),
        )

    def attack_target(
        self, sample_id: str, every_step: bool = False, fresh: bool = False
    ) -> nn.Module:
        """Clips -> the verdict; of an EmoDC whose steps are spread, all of them."""
        inner = self.inner
        if isinstance(inner, DiffusionClassifier):
            count = inner.model.evaluation.steps
            if self.steps == "spread":
                return _SpreadTarget(inner, sample_id, count).eval()
            return _MeanTarget(inner.attack_target(sample_id, every_step, fresh), "logits").eval()
        return _MeanTarget(inner.attack_target(sample_id, every_step, fresh), self.average).eval()


def averaged(logits: Tensor, average: Average) -> Tensor:
    """Over frames, (B, T, K) -> (B, K): mean logits, or the logarithm of mean probabilities."""
    if average == "logits":
        return logits.mean(1)
    return logits.log_softmax(2).logsumexp(1) - float(np.log(logits.shape[1]))


class _MiddleTarget(nn.Module):
    """Clips (B, 3, T, H, W) -> what a target says of the middle frame."""

    def __init__(self, target: nn.Module) -> None:
        super().__init__()
        self.target = target

    def forward(self, clips: Tensor) -> Tensor:
        logits: Tensor = self.target(clips[:, :, clips.shape[2] // 2])
        return logits


class _MeanTarget(nn.Module):
    """Clips -> the mean over frames of what a target says of each."""

    def __init__(self, target: nn.Module, average: Average) -> None:
        super().__init__()
        self.target, self.average = target, average

    def forward(self, clips: Tensor) -> Tensor:
        each = torch.stack([self.target(frame) for frame in clips.unbind(2)], dim=1)
        return averaged(each, self.average)


class _SpreadTarget(nn.Module):
    """One clip -> an EmoDC's logits, from the steps of each frame."""

    def __init__(self, inner: DiffusionClassifier, sample_id: str, count: int) -> None:
        super().__init__()
        self.model, self.inner, self.sample_id, self.count = inner.model, inner, sample_id, count

    def forward(self, clips: Tensor) -> Tensor:
        targets = self.inner.clip_target(self.sample_id, clips.shape[2])
        frames = zip(targets, clips.unbind(2), strict=True)
        return torch.stack([target(frame) for target, frame in frames]).sum(0) / self.count


# ------------------------------------------------------------------------------------------------
# A classifier behind a diffusion model that denoises.


class Denoised(AroundClassifier):
    """A classifier that looks at a picture once, shown what an EmoDC's denoiser makes of it.

    Args:
        classifier: The classifier.
        emodc: Whose denoiser, under the null prompt.
        timestep: How much noise is added.
        steps: Passes that take it off.
        seed: Of the noise, which is addressed by the sample.

    Raises:
        ValueError: If the classifier measures steps, the denoiser has no way back to pictures, or
            the timestep is not one of its.
    """

    def __init__(
        self, classifier: Classifier, emodc: EmoDC, timestep: int, steps: int, seed: int
    ) -> None:
        super().__init__(classifier)
        if classifier.timesteps or classifier.takes_clips:
            raise ValueError("the classifier behind it must look at a picture once")
        self.emodc = emodc.to(self.device).requires_grad_(False).eval()
        self.timestep, self.steps, self.seed = timestep, steps, seed
        self.evaluations = 1 + steps
        prompts = emodc.prompts
        with torch.no_grad():
            self.condition = emodc.denoiser.encode_texts([prompts.null])
            self.attack_target("", fresh=False)(flops_picture(self.device))  # what is wrong is told

    def attack_target(
        self, sample_id: str, every_step: bool = False, fresh: bool = False
    ) -> nn.Module:
        """The classifier after the denoiser; the gradient passes through both."""
        return _AfterDenoiser(self, sample_id, fresh).eval()

    @override
    def flops(self) -> dict[str, float]:
        """The classifier's, and one pass of the denoiser for each step."""
        target, picture = self.attack_target(""), flops_picture(self.device)
        return {"picture": 0.0, "step": counted_flops(lambda: target(picture)), "evaluation": 0.0}

    @torch.no_grad()
    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        rows = [
            self.attack_target(name)(image[None]) for name, image in zip(ids, images, strict=True)
        ]
        return torch.cat(rows).float().cpu().numpy(), None


class _AfterDenoiser(nn.Module):
    """Images of one sample -> logits; the noise is the sample's, or new at each query."""

    def __init__(self, about: Denoised, sample_id: str, fresh: bool) -> None:
        super().__init__()
        self.about, self.sample_id, self.fresh = about, sample_id, fresh
        self.model = about.emodc  # its parameters say on which device it is
        self.classifier = about.inner.attack_target(sample_id, fresh=fresh)
        self.queries = 0

    def forward(self, images: Tensor) -> Tensor:
        about, denoiser = self.about, self.about.emodc.denoiser
        self.queries += 1
        name = f"{self.sample_id}?{self.queries}" if self.fresh else self.sample_id
        shape = denoiser.encode(images[:1]).shape[1:]
        noise = step_noise(about.seed, f"denoised {name}", [0], tuple(shape)).to(images.device)
        clean = denoised(
            denoiser,
            images,
            noise.expand(len(images), *shape),
            about.condition,
            about.timestep,
            about.steps,
        )
        logits: Tensor = self.classifier(clean)
        return logits


# ------------------------------------------------------------------------------------------------
# Test-time adaptation: verdicts that depend on a block of pictures (transductive).
#
# TENT (Wang et al. 2021, arXiv 2006.10726) and T3A (Iwasawa and Matsuo 2021, NeurIPS 34). The
# papers adapt along a stream of pictures, so that a verdict depends on all that came before. Here
# every block begins with the trained network, and a verdict is a function of its block alone.


class Adapted(AroundClassifier):
    """A network that adapts to a block of pictures.

    `measure` takes one block; `bench.sweep.plan.blocks_of` cuts them.

    Args:
        classifier: The network, which stays as it is.
    """

    inner: DiscriminativeClassifier

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
