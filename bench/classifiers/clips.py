"""What is shown clips: networks of clips, and classifiers of pictures on one frame or on all."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.classifiers.base import Classifier, Measurement, counted_flops, flops_picture
from bench.classifiers.discriminative import DiscriminativeClassifier
from bench.classifiers.emodc import DiffusionClassifier
from bench.perturb.versions import Views
from bench.store.traces import OtherPrompts, Traces
from emodc.decisions.decide import Rule

#: What is averaged over frames: probabilities or logits.
Average = Literal["probabilities", "logits"]
#: Which of an EmoDC's steps are measured on a frame: its share of them, so that a clip costs what
#: a picture does, or all.
Steps = Literal["spread", "all"]


class ClipNetworkClassifier(DiscriminativeClassifier):
    """A network of clips: float32 (B, 3, T, H, W) in [0, 1] -> logits."""

    takes_clips = True

    @override
    def flops(self) -> dict[str, float]:
        """Operations of one decision, on a clip as long as those of training."""
        frames = int(getattr(self.model, "frames", 16))
        clip = flops_picture(self.device)[:, :, None].expand(-1, -1, frames, -1, -1)
        return {
            "picture": 0.0,
            "step": counted_flops(lambda: self.model(clip)),
            "evaluation": 0.0,
        }


class _OnFrames(Classifier):
    """A classifier of pictures that is shown clips; what it says of itself is the classifier's."""

    takes_clips = True

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier.device)
        self.inner = classifier
        self.classes, self.digest = classifier.classes, classifier.digest
        self.gate, self.timesteps = classifier.gate, classifier.timesteps
        self.evaluations, self.deterministic = classifier.evaluations, classifier.deterministic
        self.validation, self.training = classifier.validation, classifier.training

    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        raise TypeError("frames are measured by the classifier of pictures")


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
