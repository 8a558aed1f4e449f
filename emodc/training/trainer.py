"""Which weights a stage trains: all of them, low-rank adapters, or the text conditioning."""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from emodc.diffusion.denoiser import Conditions, Denoiser
from emodc.diffusion.measuring import Precision, autocast
from emodc.diffusion.noise import torch_generator
from emodc.diffusion.schedule import Weighting
from emodc.prompts import Prompts
from emodc.training.batch import Draws, Mean, PromptedErrors, TimestepLog, draw, prompted_errors
from emodc.training.objectives import Base, Objective

#: Projections of the attention blocks of diffusers' U-Nets and transformers.
_ATTENTION = ("to_q", "to_k", "to_v", "to_out.0", "add_q_proj", "add_k_proj", "add_v_proj")


def choose_parameters(denoiser: Denoiser, trained: "Trained", lora_rank: int) -> list[nn.Parameter]:
    """Freeze what the stage does not train; the parameters that it does train.

    The image codec is never trained: its latents are what errors are measured in.

    Raises:
        ValueError: If low-rank adapters are asked for and the network has no attention, or the
            package that makes them is not installed.
    """
    denoiser.requires_grad_(False)
    if trained == "lora":
        _add_adapters(denoiser.network, lora_rank)
    elif trained == "text":
        for module in denoiser.text_modules:
            module.requires_grad_(True)
    else:
        for module in (denoiser.network, *denoiser.text_modules):
            module.requires_grad_(True)
    return [parameter for parameter in denoiser.parameters() if parameter.requires_grad]


def merge_adapters(denoiser: Denoiser) -> None:
    """Add low-rank adapters, if there are any, into the weights that they adapt."""
    network: Any = denoiser.network
    if getattr(network, "peft_config", None):
        network.fuse_lora()
        network.unload_lora()


def recompute_activations(denoiser: Denoiser) -> None:
    """Turn the network's gradient checkpointing on.

    Raises:
        ValueError: If it has none.
    """
    network: Any = denoiser.network
    if not getattr(network, "_supports_gradient_checkpointing", False):
        raise ValueError(f"{type(network).__name__} has no gradient checkpointing")
    network.enable_gradient_checkpointing()


def _add_adapters(network: Any, rank: int) -> None:
    names = {name for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    if not any(name.endswith(_ATTENTION) for name in names):
        raise ValueError(f"{type(network).__name__} has no attention for LoRA to adapt; train all")
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ValueError("LoRA needs peft: pip install 'emodc-bench[finetune]'") from error
    network.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(_ATTENTION)))


# ------------------------------------------------------------------------------------------------
# Training EmoDC: one stage (Base, or AMDiT from a Base) as a resumable sequence of steps.
#
#     trainer = EmoDCTrainer(denoiser, prompts, config)
#     while trainer.position < config.steps:
#         trainer.step(*batch(trainer.position))
#     EmoDC(trainer.finish(), prompts).save_pretrained(folder)
#
# All randomness of a step is addressed by (seed, step), so a trainer restored from `state_dict()`
# continues exactly where the lost one would have gone. Under `accelerate launch` every process is
# given the same batch and works on its own rows of it: the batch size is the whole one, however
# many processes share it.


Trained = Literal["all", "lora", "text"]
RateSchedule = Literal["linear", "cosine", "constant"]


@dataclass(frozen=True)
class TrainConfig:
    """One training stage.

    Attributes:
        objective: Loss per sample as a function of the errors.
        steps: Optimiser steps.
        learning_rate: Peak rate of AdamW.
        schedule: After the warm-up: constant, then "linear" to zero over `decay` of the steps;
            "cosine" to zero over all steps; or "constant" to the end.
        warmup: Steps of linear warm-up.
        decay: See `schedule`.
        weight_decay: Of AdamW.
        ema: Decay of the averaged weights, which are the result.
        low: First timestep trained.
        high: End of the timestep range (exclusive).
        weighting: Units of the errors in the loss.
        null_share: Share of denoising under the null prompt (prompt dropout).
        non_class_share: The same for the non-class prompt.
        accumulate: Parts that a batch is computed in, to save memory.
        checkpointing: Recompute activations in the backward pass, to save memory.
        trained: All weights, low-rank adapters of the network's attention ("lora", Hu et al. 2021,
            arXiv 2106.09685; merged at the end), or only the text conditioning.
        lora_rank: Rank of the adapters.
        precision: What the network computes in.
        seed: Seeds the noise, the timesteps and the prompts.
    """

    objective: Objective = field(default_factory=Base)
    steps: int = 2000
    learning_rate: float = 2e-3
    schedule: RateSchedule = "linear"
    warmup: int = 50
    decay: float = 0.3
    weight_decay: float = 0.01
    ema: float = 0.998
    low: int = 0
    high: int = 500
    weighting: Weighting = "noise"
    null_share: float = 0.1
    non_class_share: float = 0.05
    accumulate: int = 1
    checkpointing: bool = False
    trained: Trained = "all"
    lora_rank: int = 8
    precision: Precision = "auto"
    seed: int = 0

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        if self.schedule == "constant":
            return self.learning_rate * warm
        if self.schedule == "cosine":
            return self.learning_rate * warm * (1 + math.cos(math.pi * step / self.steps)) / 2
        left = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.learning_rate * min(warm, left)


class EmoDCTrainer:
    """Optimiser, averaged weights and position of one stage.

    Args:
        denoiser: Trained in place.
        prompts: The class order that labels refer to.
        config: The stage.
        accelerator: Devices and processes; one process on the denoiser's device if not given.

    Raises:
        ValueError: If the network, the prompts and the config do not go together.

    Attributes:
        position: Steps done.
        log: What the errors looked like, by timestep.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        prompts: Prompts,
        config: TrainConfig,
        accelerator: Accelerator | None = None,
    ) -> None:
        _require_sense(denoiser, prompts, config)
        self.denoiser, self.prompts, self.config = denoiser.train(), prompts, config
        self.position = 0
        self.log = TimestepLog(config.low, config.high)
        self.accelerator = accelerator or Accelerator(cpu=denoiser.device.type == "cpu")
        self._parameters = choose_parameters(denoiser, config.trained, config.lora_rank)
        if config.checkpointing:
            recompute_activations(denoiser)
        optimizer = torch.optim.AdamW(
            self._parameters,
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self._losses, self._optimizer = self.accelerator.prepare(
            _Losses(denoiser, prompts, config), optimizer
        )
        self._averages = [parameter.detach().clone() for parameter in self._parameters]

    def step(self, images: Tensor, labels: Tensor, encoded: bool = False) -> dict[str, float]:
        """One optimiser step on a whole batch.

        Args:
            images: float32 (B, 3, H, W) in [0, 1]; x_0 (B, C, H, W) if `encoded`.
            labels: int64 (B,), indices into the prompts' classes.
            encoded: Whether the pictures have been through the encoder.

        Returns:
            `d_p`, `d_n` (mean over the wrong prompts measured, if any) and `loss` of this
            process's part of the batch.
        """
        config, processes = self.config, self.accelerator.num_processes
        if len(labels) % processes:
            raise ValueError(f"{len(labels)} samples do not divide among {processes} processes")
        mine = torch.arange(self.accelerator.process_index, len(labels), processes)
        parts = mine.chunk(config.accumulate)
        pictures = [images[rows.to(images.device)] for rows in parts]
        with torch.no_grad():
            latents = pictures if encoded else [self.denoiser.encode(part) for part in pictures]
        generator = torch_generator(config.seed, "emodc training", self.position)
        draws = draw(generator, labels, tuple(latents[0].shape[1:]), self.prompts, config)

        for group in self._optimizer.param_groups:
            group["lr"] = config.rate(self.position)
        self._optimizer.zero_grad(set_to_none=True)
        means = {"d_p": Mean(), "d_n": Mean(), "loss": Mean()}
        for number, rows in enumerate(parts):
            last = number == len(parts) - 1
            share = len(rows) / len(mine)
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self._losses):
                chosen = draws.rows(rows).to(images.device)
                losses, errors = self._losses(latents[number], chosen)
                self.accelerator.backward(losses.mean() * share)
            self.log.add(chosen, errors, config.objective)
            means["loss"].add(losses)
            means["d_p"].add(errors.batch.positive)
            means["d_n"].add(errors.batch.negatives)
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self.position += 1
        self._average()
        return {name: mean.value for name, mean in means.items()}

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[Denoiser]:
        """The denoiser with its averaged weights, in evaluation mode."""
        trained = [parameter.detach().clone() for parameter in self._parameters]
        _copy(self._averages, self._parameters)
        self.denoiser.eval()
        try:
            yield self.denoiser
        finally:
            _copy(trained, self._parameters)
            self.denoiser.train()

    def averages(self) -> list[Tensor]:
        """A copy of the averaged weights, to come back to in `finish`."""
        return [average.clone() for average in self._averages]

    def finish(self, averages: list[Tensor] | None = None) -> Denoiser:
        """End the stage: the denoiser keeps its averaged weights, adapters are merged.

        Args:
            averages: Earlier averages to keep instead.
        """
        _copy(self._averages if averages is None else averages, self._parameters)
        self.denoiser.eval().requires_grad_(False)
        merge_adapters(self.denoiser)
        return self.denoiser

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue exactly."""
        return {
            "position": self.position,
            "parameters": [parameter.detach() for parameter in self._parameters],
            "averages": self._averages,
            "optimizer": self._optimizer.state_dict(),
            "log": self.log.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict()`."""
        _copy(state["parameters"], self._parameters)
        _copy(state["averages"], self._averages)
        self._optimizer.load_state_dict(state["optimizer"])
        self.log.load_state_dict(state["log"])
        self.position = int(state["position"])

    @torch.no_grad()
    def _average(self) -> None:
        # Early weights are forgotten faster, else the average would remember the random start.
        decay = min(self.config.ema, self.position / (self.position + 9))
        torch._foreach_lerp_(self._averages, list[Tensor](self._parameters), 1.0 - decay)


class _Losses(nn.Module):
    """From latents and draws to losses: what several processes synchronise their gradients of."""

    def __init__(self, denoiser: Denoiser, prompts: Prompts, config: TrainConfig) -> None:
        super().__init__()
        self.denoiser, self.prompts, self.config = denoiser, prompts, config
        self._frozen: Conditions | None = None

    def forward(self, latents: Tensor, draws: Draws) -> tuple[Tensor, PromptedErrors]:
        """Loss per sample (B,), and the errors it was made of."""
        config = self.config
        noisy = self.denoiser.process.noised(latents, draws.noise, draws.timesteps)
        with autocast(config.precision, latents.device):
            conditions = self._conditions()
            errors = prompted_errors(self.denoiser, self.prompts, conditions, noisy, draws, config)
        return errors.loss(config), errors

    def _conditions(self) -> Conditions:
        """Of all prompts; encoded once if the stage does not train their encoder.

        The layers that read hidden states belong to the network, not to the encoder.
        """
        network = {id(parameter) for parameter in self.denoiser.network.parameters()}
        text = (p for module in self.denoiser.text_modules for p in module.parameters())
        if any(p.requires_grad and id(p) not in network for p in text):
            return self.denoiser.encode_texts(self.prompts.texts())
        if self._frozen is None:
            self._frozen = self.denoiser.encode_texts(self.prompts.texts())
        return self._frozen


def _require_sense(denoiser: Denoiser, prompts: Prompts, config: TrainConfig) -> None:
    objective, wrong = config.objective, len(prompts.classes) - 1
    if objective.negatives is not None and objective.negatives > wrong:
        raise ValueError(f"{objective.negatives} negatives asked for, and there are {wrong}")
    if config.accumulate > 1 and not objective.per_sample:
        raise ValueError(
            f"{objective.kind} uses means over the batch, which `accumulate` would cut into parts"
        )
    if config.null_share + config.non_class_share >= 1:
        raise ValueError("null_share and non_class_share leave nothing for the class prompts")
    denoiser.process.weight(torch.arange(config.low, config.high), config.weighting)


@torch.no_grad()
def _copy(source: Sequence[Tensor], target: Sequence[Tensor]) -> None:
    if len(source) != len(target):
        raise ValueError(f"a state of {len(source)} tensors for a model of {len(target)}")
    for new, old in zip(source, target, strict=True):
        old.copy_(new)
