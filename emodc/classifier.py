"""EmoDC: the class whose prompt best predicts the noise (Li et al. 2023, arXiv 2303.16203, eq. 5).

A torch module like any other classifier: images in [0, 1] in, logits out, differentiable. What it
measures on the way is kept as a trace, the raw material of every decision.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import torch
from torch import Tensor, nn

from emodc.denoiser import Denoiser
from emodc.noise import step_noise
from emodc.prompts import Prompts
from emodc.schedule import timestep_grid

Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class Evaluation:
    """How errors are measured; with the weights, this is what a robust accuracy belongs to.

    Attributes:
        steps: (timestep, noise) pairs per picture; "100-step evaluation" = 100 of them.
        low: First timestep of the range that the steps cover.
        high: End of that range (exclusive).
        seed: Names the noise bank: the same seed and sample id give the same noise.
        logit_scale: Logits are -logit_scale * mean error.
        precision: What the network computes in. "auto" is bfloat16 where the processor multiplies
            it natively, else float32. Noise, schedule and errors are float32 always.
    """

    steps: int = 100
    low: int = 0
    high: int = 500
    seed: int = 0
    logit_scale: float = 40.0
    precision: Precision = "auto"


@dataclass(frozen=True)
class Trace:
    """Errors of a batch of pictures.

    Attributes:
        errors: d[image, class, step], float32 (B, K, S).
        timesteps: int64 (S,).
        classes: Names along the class axis.
    """

    errors: Tensor
    timesteps: Tensor
    classes: tuple[str, ...]


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype that `precision` means on `device`."""
    if precision == "auto":
        native = (
            torch.cuda.is_bf16_supported()
            if device.type == "cuda"
            else torch.cpu.get_capabilities().get("amx_bf16", False)
        )
        return torch.bfloat16 if native else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


@contextlib.contextmanager
def autocast(precision: Precision, device: torch.device) -> Iterator[None]:
    """Run the network in `precision`; parameters stay float32."""
    dtype = resolve_precision(precision, device)
    with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        yield


class EmoDC(nn.Module):
    """A diffusion classifier over the class prompts of `prompts`.

    Args:
        denoiser: The conditional denoiser.
        prompts: Class names in logit order, and their wording.
        evaluation: How errors are measured.
    """

    def __init__(
        self, denoiser: Denoiser, prompts: Prompts, evaluation: Evaluation | None = None
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.prompts = prompts
        self.evaluation = evaluation or Evaluation()
        self._cached_states: Tensor | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in logit order."""
        return self.prompts.classes

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Load a folder written by `save_pretrained`; see `emodc.hub.load`."""
        from emodc import hub

        denoiser, prompts, evaluation = hub.load(Path(folder))
        return cls(denoiser, prompts, evaluation).eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write an ordinary diffusers pipeline folder; see `emodc.hub.save`."""
        from emodc import hub

        hub.save(self, Path(folder))

    def forward(
        self,
        images: Tensor,
        ids: Sequence[str] | None = None,
        steps: Sequence[int] | None = None,
    ) -> Tensor:
        """Class logits.

        Args:
            images: float32 RGB (B, 3, H, W) in [0, 1], any size.
            ids: Sample ids that address the noise; positions in the batch if not given.
            steps: Which steps of the grid to measure; all if not given. Attacks spend fewer.

        Returns:
            float32 (B, K): -logit_scale times the error averaged over the steps.
        """
        mean_error = self._errors(images, ids, steps).mean(dim=2)
        return -self.evaluation.logit_scale * mean_error

    @torch.no_grad()
    def trace(self, images: Tensor, ids: Sequence[str] | None = None) -> Trace:
        """All errors of `images` on the full grid; arguments as in `forward`."""
        return Trace(self._errors(images, ids, None), self.timesteps, self.classes)

    @property
    def timesteps(self) -> Tensor:
        """The evaluation grid, int64 (S,)."""
        plan = self.evaluation
        return timestep_grid(plan.steps, plan.low, plan.high)

    def train(self, mode: bool = True) -> Self:
        """Switch mode and forget the encoded prompts: training changes what they encode to."""
        self._cached_states = None
        return super().train(mode)

    def _errors(
        self, images: Tensor, ids: Sequence[str] | None, steps: Sequence[int] | None
    ) -> Tensor:
        """d[image, class, step], float32 (B, K, S)."""
        names = [str(i) for i in range(len(images))] if ids is None else list(ids)
        if len(names) != len(images):
            raise ValueError(f"{len(images)} images but {len(names)} sample ids")
        chosen = list(range(self.evaluation.steps)) if steps is None else list(steps)
        timesteps = self.timesteps[chosen].to(images.device)
        with autocast(self.evaluation.precision, images.device):
            states = self._class_states()
            # One picture is one micro-batch: its steps are the rows. The shape of every matrix
            # product is then the same whatever the batch, so a trace is the same to the last bit.
            errors = [
                self._errors_of_one(image, name, chosen, timesteps, states)
                for image, name in zip(images, names, strict=True)
            ]
        return torch.stack(errors)

    def _errors_of_one(
        self, image: Tensor, name: str, steps: Sequence[int], timesteps: Tensor, states: Tensor
    ) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            latent = self.denoiser.encode(image[None])
        noise = step_noise(self.evaluation.seed, name, steps, tuple(latent.shape[1:]))
        noise = noise.to(image.device)
        latents = latent.expand(len(noise), -1, -1, -1)
        return self.denoiser.errors(latents, noise, timesteps, states).T  # (K, S)

    def _class_states(self) -> Tensor:
        """Text hidden states of the class prompts (K, L, D); encoded once while evaluating."""
        if self.training:
            return self._encode_classes()
        if (
            self._cached_states is None
            or self._cached_states.device != self.denoiser.alpha_bar.device
        ):
            with torch.no_grad():
                self._cached_states = self._encode_classes()
        return self._cached_states

    def _encode_classes(self) -> Tensor:
        return self.denoiser.text_states(self.prompts.texts()[: len(self.classes)])
