"""Training a clip network as the baselines of pictures are, optionally with HDF's DSM and SAM."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.clips.classifier import ClipClassifier
from baselines.clips.hdf import Balance, ScalingConfig, balance, scaled_loss, start
from baselines.train import BaselineTrainConfig, BaselineTrainer, frozen_statistics


@dataclass(frozen=True)
class ClipTrainConfig(BaselineTrainConfig):
    """How a clip network is trained.

    Attributes:
        scaling: DSM's constants; None trains with cross-entropy alone. Its weights follow the norm
            of the gradient: of SAM's first pass, or without SAM of the previous step.
    """

    scaling: ScalingConfig | None = None


class ClipTrainer(BaselineTrainer[ClipClassifier]):
    """Optimiser, best weights, balance and position of one run.

    Args:
        classifier: Trained in place.
        config: The run.
        validation: uint8 clips (N, 3, T, H, W) and int64 labels (N,).
    """

    config: ClipTrainConfig
    rows_at_once = 8  # of 16 x 112 pixels, whose maps take 100 MB each

    def __init__(
        self,
        classifier: ClipClassifier,
        config: ClipTrainConfig,
        validation: tuple[Tensor, Tensor],
    ) -> None:
        super().__init__(classifier, config, validation)
        self._balance = start(config.scaling) if config.scaling else None

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue exactly."""
        return super().state_dict() | {"balance": list(self._balance) if self._balance else None}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`."""
        super().load_state_dict(state)
        self._balance = Balance(*state["balance"]) if state["balance"] else None

    def _update(self, images: Tensor, labels: Tensor) -> float:
        loss = self._loss(images, labels)
        loss.backward()
        if self._sharpness is None:
            if self.config.scaling is not None:
                grads = [w.grad for w in self.classifier.parameters() if w.grad is not None]
                self._rebalance(torch.nn.utils.get_total_norm(grads).item())
            self._optimizer.step()
        else:
            self._rebalance(self._sharpness.ascend())
            with frozen_statistics(self.classifier):
                self._loss(images, labels).backward()
            self._sharpness.descend()
        return loss.item()

    def _loss(self, clips: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast(clips.device.type, torch.bfloat16, enabled=self.config.bfloat16):
            logits, features = self.classifier.logits_and_features(clips)
        entropy = F.cross_entropy(logits, labels, label_smoothing=self.config.label_smoothing)
        if self._balance is None or self.config.scaling is None:
            return entropy
        return scaled_loss(entropy, features, labels, self._balance, self.config.scaling)

    def _rebalance(self, gradient_norm: float) -> None:
        if self.config.scaling is not None:
            self._balance = balance(gradient_norm, self.config.scaling)
