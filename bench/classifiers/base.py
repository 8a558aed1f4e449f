"""What the sweep asks of any classifier.

A classifier is measured on pictures at their native size; resizing and normalisation live inside
it.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.perturb.base import ROWS
from bench.perturb.versions import Views
from bench.store.cells import Gate
from bench.store.traces import OtherPrompts, Traces
from bench.util.errors import UserError
from emodc.decisions.decide import Rule

Measure = Callable[[Tensor, Sequence[str]], tuple[np.ndarray, Traces | None]]
"""Logits and traces of float32 images (B, 3, H, W) and their ids."""


@dataclass(frozen=True)
class Measurement:
    """What a classifier said of a batch of N pictures.

    Attributes:
        logits: float32 (N, K).
        traces: EmoDC's errors, or the NLL of augmented pictures (TTA); None for other verdicts.
        evaluations: Network evaluations of each picture, (N,).
        seconds: Wall time per picture, (N,).
        means: Mean errors, (N, K), where they were estimated; None where traces are complete.
    """

    logits: np.ndarray
    traces: Traces | None
    evaluations: np.ndarray
    seconds: np.ndarray
    means: np.ndarray | None = None


class Classifier(ABC):
    """A classifier as the sweep sees it.

    Attributes:
        classes: Class names in logit order.
        takes_clips: Whether it takes clips (T, H, W, 3), or pictures.
        digest: Of the weights and of how they are evaluated.
        gate: For EmoDC, whether it is still a denoiser.
        timesteps: EmoDC's grid for a picture without noise; empty for other classifiers.
        evaluations: Network evaluations per picture.
        deterministic: Whether two equal calls agree.
        shares_batches: Whether pictures, and attacks on them, share batches on a CPU; its kind says
            it. (On a GPU autograd has one thread, in which attacks cannot wait for each other.)
        validation: Figures of its checkpoint on the validation split.
        training: What made its weights; see `bench.store.store.Manifest`.
    """

    classes: tuple[str, ...]
    digest: str
    takes_clips: bool = False
    gate: Gate | None = None
    timesteps: tuple[int, ...] = ()
    evaluations: int = 1
    deterministic: bool = True
    shares_batches: bool = False

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.validation: dict[str, float] = {}
        self.training: dict[str, Any] = {}

    def measure(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], rule: Rule | None = None
    ) -> Measurement:
        """Measure uint8 RGB pictures (H, W, 3) of any sizes.

        On a CPU a picture's result does not depend on its neighbours, to the last bit: it is a
        computation of its own, or a row of a batch whose size is always the same
        (`shares_batches`). On a GPU pictures of one size share a batch.

        Args:
            pictures: The pictures.
            ids: Their sample ids.
            rule: Decides while measuring, for classifiers that have steps; None measures all.
        """
        if rule is not None:
            raise TypeError(f"{type(self).__name__} has no steps to decide after")
        return self._batch_by_batch(pictures, ids, self._measure, self.evaluations)

    def measure_views(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], views: Views
    ) -> Measurement:
        """Measure several views of each picture, and keep what was said of every one.

        Logits are mean log-probabilities over the views. The trace has the NLL, -log p(class), in
        the place of errors and the views' numbers in that of timesteps. Arguments as of `measure`.
        """
        raise TypeError(f"{type(self).__name__} has steps in the place of augmented pictures")

    def flops(self) -> dict[str, float]:
        """What a decision costs; see `bench.store.store.Manifest`."""
        return {}

    def other_prompts(self, pictures: Sequence[np.ndarray], ids: Sequence[str]) -> OtherPrompts:
        """Errors under the prompts that name no class, for classifiers whose `measure` has traces.

        A call of its own, so that a verdict's logits, seconds and evaluations stay what they are.
        """
        raise TypeError(f"{type(self).__name__} knows no prompts")

    def require_classes(self, classes: Sequence[str], name: str) -> None:
        """Refuse a data set whose labels this classifier does not know.

        Raises:
            UserError: Naming the labels on both sides.
        """
        missing = sorted(set(classes) - set(self.classes))
        if missing:
            raise UserError(
                f"classifier {name!r} does not know the data set's classes {', '.join(missing)}; "
                f"it knows {', '.join(self.classes)}."
            )

    @abstractmethod
    def attack_target(
        self, sample_id: str, every_step: bool = False, fresh: bool = False
    ) -> nn.Module:
        """What an attack on this sample differentiates, in evaluation mode: images -> logits.

        Args:
            sample_id: The sample.
            every_step: Of a classifier with steps, let each gradient measure all of them.
            fresh: Of a classifier with noise, draw it anew at each query; else it is the verdict's.
        """

    @abstractmethod
    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        """Logits and traces of float32 images (B, 3, H, W)."""

    def _batch_by_batch(
        self,
        pictures: Sequence[np.ndarray],
        ids: Sequence[str],
        measure: Measure,
        evaluations: int,
        prepare: Callable[[Tensor], Tensor] | None = None,
    ) -> Measurement:
        """With `prepare`, which brings a picture to the network's size, batches mix sizes."""
        results = []
        for batch in self._batches(pictures, prepare is not None):
            parts = [batch] if prepare is None else [[i] for i in batch]
            images = [as_images([pictures[i] for i in part]).to(self.device) for part in parts]
            start = time.perf_counter()
            images = images if prepare is None else [prepare(image) for image in images]
            logits, traces = measure(torch.cat(images), [ids[i] for i in batch])
            spent = (time.perf_counter() - start) / len(batch)
            results.append((logits, traces, np.full(len(batch), spent)))
        logits, traces, seconds = zip(*results, strict=True)
        return Measurement(
            logits=np.concatenate(logits),
            traces=None if traces[0] is None else Traces.joined(traces),
            evaluations=np.full(len(ids), evaluations),
            seconds=np.concatenate(seconds),
        )

    def _batches(self, pictures: Sequence[np.ndarray], mixed: bool = False) -> list[list[int]]:
        most = len(pictures)
        if self.device.type == "cpu":
            most = ROWS if self.shares_batches else 1
        batches: list[list[int]] = []
        for i, picture in enumerate(pictures):
            last = batches[-1] if batches else []
            if 0 < len(last) < most and (mixed or pictures[last[0]].shape == picture.shape):
                last.append(i)
            else:
                batches.append([i])
        return batches


def as_images(pictures: Sequence[np.ndarray]) -> Tensor:
    """uint8 (H, W, 3) pictures of one size -> float32 (N, 3, H, W) in [0, 1].

    Clips (T, H, W, 3) become (N, 3, T, H, W).
    """
    stacked = torch.from_numpy(np.stack(pictures))
    return stacked.movedim(-1, 1).float() / 255.0


# ------------------------------------------------------------------------------------------------
# Floating-point operations of networks, counted as they compute.


def flops_picture(device: torch.device) -> Tensor:
    """A picture without meaning to count on, float32 (1, 3, 64, 64) in [0, 1]."""
    return torch.linspace(0.0, 1.0, 3 * 64 * 64, device=device).reshape(1, 3, 64, 64)


def counted_flops(compute: Callable[[], Any]) -> float:
    """Operations of matrix products, convolutions and attention in `compute()`.

    A multiplication and its addition are two. Nothing else is counted.
    """
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        compute()
    return float(counter.get_total_flops())
