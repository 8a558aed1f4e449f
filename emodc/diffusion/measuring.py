"""How errors are measured, in what precision, and what comes of it: a trace."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from emodc.diffusion.denoiser import Conditions, Denoiser
from emodc.diffusion.noise import step_noise
from emodc.diffusion.noise_aware import Noised, covering_range, latent_noise, noised
from emodc.diffusion.schedule import timestep_grid
from emodc.settings import ErrorSettings, Precision


@dataclass(frozen=True, kw_only=True)
class Evaluation(ErrorSettings):
    """How errors are measured; with the weights, this is what a robust accuracy belongs to.

    Attributes:
        seed: Names the noise bank: the same seed and sample id give the same noise.
        logit_scale: Logits are -logit_scale * mean error.
        precision: What the network computes in. "auto" is bfloat16 where the processor multiplies
            it natively, else float32. Noise, schedule and errors are float32 always.
    """

    seed: int = 0
    logit_scale: float = 40.0
    precision: Precision = "auto"


@dataclass(frozen=True)
class Trace:
    """Errors of a batch of pictures.

    Attributes:
        errors: d[image, class, step], float32 (B, K, S).
        timesteps: int64 (B, S); rows differ where evaluation is noise-aware.
        classes: Names along the class axis.
        null: d under the null prompt, float32 (B, S); None if it was not asked for.
        non_class: The same for the non-class prompt.
    """

    errors: Tensor
    timesteps: Tensor
    classes: tuple[str, ...]
    null: Tensor | None = None
    non_class: Tensor | None = None


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


# ------------------------------------------------------------------------------------------------
# A picture ready to be measured, its noisy rows, and their errors.


@dataclass(frozen=True)
class Prepared:
    """An encoded picture.

    Attributes:
        name: Sample id, which addresses the noise.
        latent: x_0, float32 (1, C, H, W).
        own_noise: Noise that is in the picture already, (C,); None if it does not count.
        timesteps: Its grid, int64 (S,).
    """

    name: str
    latent: Tensor
    own_noise: Tensor | None
    timesteps: Tensor


def prepare(denoiser: Denoiser, plan: Evaluation, image: Tensor, name: str) -> Prepared:
    """Encode a picture and lay out its grid.

    Args:
        denoiser: Whose codec and process.
        plan: How errors are measured.
        image: float32 (3, H, W) in [0, 1].
        name: Its sample id.
    """
    with torch.autocast(image.device.type, enabled=False):
        latent = denoiser.encode(image[None])
        own_noise = None
        if plan.noise_aware:
            estimated_on = image if plan.level_gradient else image.detach()
            own_noise = latent_noise(denoiser, estimated_on)
    low, high = covering_range(denoiser.process, own_noise, plan.low, plan.high)
    return Prepared(name, latent, own_noise, timestep_grid(plan.steps, low, high))


def noisy_rows(
    denoiser: Denoiser, plan: Evaluation, picture: Prepared, steps: Sequence[int]
) -> Noised:
    """A picture at some n steps of its grid."""
    latent = picture.latent
    times = picture.timesteps[steps].to(latent.device)
    noise = step_noise(plan.seed, picture.name, steps, tuple(latent.shape[1:]))
    return noised(denoiser.process, latent, noise.to(latent.device), times, picture.own_noise)


def in_units(denoiser: Denoiser, plan: Evaluation, errors: Tensor, rows: Noised) -> Tensor:
    """What `Denoiser.errors` found against the rows' targets, (n, P), in the units of the plan."""
    if denoiser.predicts_noise:
        errors = errors - rows.excess[:, None]
    return errors * denoiser.process.weight(rows.timesteps, plan.weighting)[:, None]


def errors_at(
    denoiser: Denoiser,
    plan: Evaluation,
    picture: Prepared,
    steps: Sequence[int],
    conditions: Conditions,
) -> Tensor:
    """Errors of P prompts at n steps, float32 (n, P), in the units of the plan.

    They are measured in chunks. With gradients nothing but the latent is kept between these, and
    the backward pass measures them again.
    """
    chunk = max(1, denoiser.rows // (1 if denoiser.shared_trunk else len(conditions)))

    def measure(latent: Tensor, first: int) -> Tensor:
        own, rows = replace(picture, latent=latent), steps[first : first + chunk]
        found = noisy_rows(denoiser, plan, own, rows)
        errors = denoiser.errors(found.noisy, found.timesteps, found.target, conditions)
        return in_units(denoiser, plan, errors, found)

    firsts = range(0, len(steps), chunk)
    if not torch.is_grad_enabled() or len(firsts) == 1:
        return torch.cat([measure(picture.latent, first) for first in firsts])
    parts = [
        checkpoint(measure, picture.latent, first, use_reentrant=False, preserve_rng_state=False)
        for first in firsts
    ]
    return torch.cat(parts)
