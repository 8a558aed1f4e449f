"""Training a clip network as the baselines of pictures are, optionally with HDF's DSM and SAM."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.clips.classifier import ClipClassifier
from baselines.clips.dsm import Balance, ScalingConfig, balance, scaled_loss, start
from baselines.sam import SharpnessAware, frozen_statistics
from baselines.train import BaselineTrainConfig, BaselineTrainer


@dataclass(frozen=True)
class ClipTrainConfig(BaselineTrainConfig):
    """How a clip network is trained.

    Attributes:
        scaling: DSM's constants; None trains with cross-entropy alone.
        sam: SAM's radius rho; 0 trains without SAM. DSM's weights then follow the norm of the
            previous step's gradient.
    """

    scaling: ScalingConfig | None = None
    sam: float = 0.0


class ClipTrainer(BaselineTrainer[ClipClassifier]):
    """Optimiser, best weights, balance and position of one run.

    Args:
        classifier: Trained in place.
        config: The run.
        validation: uint8 clips (N, 3, T, H, W) and int64 labels (N,).
    """

    config: ClipTrainConfig

    def __init__(
        self,
        classifier: ClipClassifier,
        config: ClipTrainConfig,
        validation: tuple[Tensor, Tensor],
    ) -> None:
        super().__init__(classifier, config, validation)
        self._sam = SharpnessAware(self._optimizer, config.sam) if config.sam else None
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
        if self._sam is None:
            norm = torch.nn.utils.get_total_norm(
                [w.grad for w in self.classifier.parameters() if w.grad is not None]
            ).item()
            self._rebalance(norm)
            self._optimizer.step()
        else:
            self._rebalance(self._sam.ascend())
            with frozen_statistics(self.classifier):
                self._loss(images, labels).backward()
            self._sam.descend()
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
