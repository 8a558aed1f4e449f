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
    """The dtype that `precision` means on `device`.

    "auto" is bfloat16 on GPUs that support it and on processors with instructions for it (AMX, or
    AVX-512's, where the default run's networks take 0.6 times the time), else float32.
    """
    if precision == "auto":
        known = torch.cpu.get_capabilities()
        native = (
            torch.cuda.is_bf16_supported()
            if device.type == "cuda"
            else any(known.get(name, False) for name in ("amx_bf16", "avx512_bf16"))
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


# ------------------------------------------------------------------------------------------------
# The error of the best linear denoiser: what a network has to beat.
#
# Let x_t = a x_0 + b eps, x_0 have mean m and covariance S = U diag(lambda) U^T, and eps be white.
# Of all linear predictions of eps from x_t the best is b (a^2 S + b^2 I)^-1 (x_t - a m). Along the
# eigenvector i it multiplies the centred x_t by f = b / (a^2 lambda + b^2), and its error there is
#
#     E (f (a z + b eps) - eps)^2 = f^2 a^2 lambda + (1 - f b)^2 = a^2 lambda / (a^2 lambda + b^2),
#
# with E z^2 = lambda. The mean over i is the error averaged over elements, as d_p is. If x_0 is
# Gaussian, no denoiser does better.


_SHARES = (0.0, *(10 ** (k / 2) for k in range(-16, 1)))  # of the identity in the covariance


def measured_linear_error(train: Tensor, held_out: Tensor, signal: Tensor, noise: Tensor) -> float:
    """Error on `held_out` of the linear denoiser that is best for the covariance of `train`.

    Three of four training pictures give the covariance, which is shrunk towards a multiple of the
    identity; the others choose by how much. That matters where pictures are fewer than dimensions.
    The expectation over the noise is exact: no noise is drawn.

    Args:
        train: x_0 of at least four pictures in random order, (N, ...).
        held_out: x_0 of other pictures, (M, ...).
        signal: Scale a of x_0 at each timestep, (T,).
        noise: Scale b > 0 of the noise at each timestep, (T,).

    Raises:
        ValueError: If there are fewer than four pictures to learn from or none to measure on.
    """
    if len(train) < 4 or not len(held_out):
        raise ValueError("a linear denoiser is learned from four pictures and measured on others")
    rows = train.flatten(1).double()
    choosing, rows = rows[3::4], rows[torch.arange(len(rows)) % 4 != 3]
    mean = rows.mean(0)
    rows = rows - mean
    count, size = rows.shape
    few = count < size
    # The smaller of both products has all eigenvalues that are not 0.
    values, vectors = torch.linalg.eigh((rows @ rows.T if few else rows.T @ rows) / count)
    values = values.clamp_min(0.0)
    if few:  # left singular vectors to right ones
        known = values > values.max() * 1e-10
        values, vectors = values[known], vectors[:, known]
        vectors = rows.T @ vectors / (count * values).sqrt()
    level = values.sum() / size  # mean variance
    a2, b2 = signal.double().square()[:, None], noise.double().square()[:, None]

    def error(pictures: Tensor, share: float) -> float:
        """In units of the formula above, of assumed and actual variances."""
        centred = pictures.flatten(1).double() - mean
        along = (centred @ vectors).square().mean(0)
        beside = (centred.square().sum(1).mean() - along.sum()).clamp_min(0.0)  # other directions
        directions = torch.cat([torch.ones_like(values), values.new_tensor([size - len(values)])])
        actual = torch.cat([along, beside[None]])
        assumed = torch.cat([(1 - share) * values, values.new_zeros(1)]) + share * level
        wrong = a2 * b2 * actual + directions * (a2 * assumed).square()
        return float((wrong / (a2 * assumed + b2).square()).sum(1).mean() / size)

    share = min(_SHARES, key=lambda share: error(choosing, share))
    return error(held_out, share)
