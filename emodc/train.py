"""Training EmoDC: one stage (Base, or AMDiT from a Base) as a resumable sequence of steps.

    trainer = EmoDCTrainer(denoiser, prompts, config)
    for step in range(trainer.position, config.steps):
        trainer.step(*batch(step))
    denoiser = trainer.averaged

All randomness of a step is addressed by (seed, step), so a trainer restored from `state_dict()`
continues exactly where the lost one would have gone.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from emodc.classifier import Precision, autocast
from emodc.denoiser import Denoiser
from emodc.noise import torch_generator
from emodc.objectives import Base, BatchErrors, Objective
from emodc.prompts import Prompts


@dataclass(frozen=True)
class TrainConfig:
    """One training stage.

    Attributes:
        objective: Loss per sample as a function of the errors.
        steps: Optimiser steps.
        learning_rate: Peak rate of AdamW.
        warmup: Steps of linear warm-up.
        decay: Share of the steps, at the end, over which the rate falls linearly to zero.
        weight_decay: Of AdamW.
        ema: Decay of the averaged weights, which are the result.
        low: First timestep trained.
        high: End of the timestep range (exclusive).
        null_weight: Weight of denoising under the null prompt (prompt dropout in expectation).
        non_class_weight: The same for the non-class prompt.
        precision: What the network computes in.
        seed: Seeds the noise and the timesteps.
    """

    objective: Objective = field(default_factory=Base)
    steps: int = 2000
    learning_rate: float = 2e-3
    warmup: int = 50
    decay: float = 0.3
    weight_decay: float = 0.01
    ema: float = 0.998
    low: int = 0
    high: int = 500
    null_weight: float = 0.1
    non_class_weight: float = 0.05
    precision: Precision = "auto"
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step: warm-up, plateau, linear decay."""
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup), left)


class EmoDCTrainer:
    """Optimiser, averaged weights and position of one stage.

    Args:
        denoiser: Trained in place.
        prompts: The class order that labels refer to.
        config: The stage.

    Attributes:
        averaged: The denoiser with exponentially averaged weights.
        position: Steps done.
    """

    def __init__(self, denoiser: Denoiser, prompts: Prompts, config: TrainConfig) -> None:
        self.denoiser, self.prompts, self.config = denoiser.train(), prompts, config
        self.averaged = copy.deepcopy(denoiser).eval().requires_grad_(False)
        self.position = 0
        self._parameters: list[Tensor] = list(denoiser.parameters())
        self._averages: list[Tensor] = list(self.averaged.parameters())
        self._optimizer = torch.optim.AdamW(
            self._parameters,
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            fused=True,
        )

    def step(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """One optimiser step.

        Args:
            images: float32 (B, 3, H, W) in [0, 1].
            labels: int64 (B,), indices into the prompts' classes.

        Returns:
            `d_p`, `d_n` (mean over wrong prompts) and `loss` of this batch.
        """
        errors = self._errors(images, labels)
        loss = (
            self.config.objective(errors)
            + self.config.null_weight * errors.null
            + self.config.non_class_weight * errors.non_class
        ).mean()
        for group in self._optimizer.param_groups:
            group["lr"] = self.config.rate(self.position)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self.position += 1
        self._average()
        return {
            "d_p": errors.positive.mean().item(),
            "d_n": errors.negatives.mean().item(),
            "loss": loss.item(),
        }

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue exactly."""
        return {
            "position": self.position,
            "denoiser": self.denoiser.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`."""
        self.denoiser.load_state_dict(state["denoiser"])
        self.averaged.load_state_dict(state["averaged"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.position = int(state["position"])

    def _errors(self, images: Tensor, labels: Tensor) -> BatchErrors:
        """Errors under all prompts, sharing each sample's x_t, t and noise."""
        config = self.config
        generator = torch_generator(config.seed, "emodc training", self.position)
        latents = self.denoiser.encode(images)
        timesteps = torch.randint(config.low, config.high, (len(images),), generator=generator)
        noise = torch.randn(latents.shape, generator=generator)
        with autocast(config.precision, images.device):
            states = self.denoiser.text_states(self.prompts.texts())
            errors = self.denoiser.errors(
                latents, noise.to(images.device), timesteps.to(images.device), states
            )
        return BatchErrors(
            classes=errors[:, : len(self.prompts.classes)],
            labels=labels,
            null=errors[:, self.prompts.null_index],
            non_class=errors[:, self.prompts.non_class_index],
        )

    @torch.no_grad()
    def _average(self) -> None:
        # Early weights are forgotten faster, else the average would remember the random start.
        decay = min(self.config.ema, self.position / (self.position + 9))
        torch._foreach_lerp_(self._averages, self._parameters, 1.0 - decay)
