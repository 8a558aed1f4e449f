"""What the self-test looks at, one function each: figures in, a sentence out."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from emodc.classifier import EmoDC
from emodc.diffusion.denoiser import Conditions
from emodc.diffusion.images import resized
from emodc.selftest.probes import Probe, measure, told_in_other_units

#: A bin counts as denoised below this multiple of the best linear predictor's error...
GAIN = 0.9
#: ...in at least this share of the bins,
ENOUGH = 0.6
#: and as worse than trivial above this multiple and offset, in at most 1 - `MOSTLY` of them.
WORSE, OFFSET, MOSTLY = 1.25, 0.05, 0.8
#: Another reading or time explains the outputs better if it lowers the error by this factor.
CLEARLY = 0.8
#: Root mean square of x_0 that networks are trained on, generously.
SANE = (0.05, 2.5)
#: Least slope of true on predicted noise where there is little noise; see `scale`.
SLOPE = 0.75
#: Share of a picture's variance that a codec may lose.
LOSS = 0.25


@dataclass(frozen=True)
class Bin:
    """Mean errors in one part of the timestep range.

    Attributes:
        low: First timestep.
        high: End (exclusive).
        null: d under the null prompt.
        non_class: d under the non-class prompt.
        classes: d under the class prompts, their mean.
        best: d under each picture's best prompt.
        linear: Error of the best multiple of x_t.
        zero: Error of predicting nothing.
    """

    low: int
    high: int
    null: float
    non_class: float
    classes: float
    best: float
    linear: float
    zero: float


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `detail` names figures, and the probable cause of a failure."""

    name: str
    passed: bool
    detail: str


def latents(latents: Tensor) -> Finding:
    """The scale of x_0."""
    size = latents.square().mean().sqrt().item()
    detail = f"x_0 has a root mean square of {size:.3g}"
    if SANE[0] <= size <= SANE[1]:
        return Finding("latents", True, detail)
    return Finding(
        "latents",
        False,
        f"{detail}, and networks are trained on about 1 ({SANE[0]} to {SANE[1]} pass): the codec's "
        "scaling factor is probably missing or wrong, or the pictures are not in [-1, 1] inside",
    )


def codec(model: EmoDC, images: Tensor, latents: Tensor) -> Finding:
    """Pictures survive encoding, each as itself."""
    if len(latents) > 1 and torch.equal(latents[0], latents[1]):
        return Finding("codec", False, "two pictures have the same x_0: the encoder is broken")
    with torch.no_grad():
        again = model.denoiser.decode(latents)
    if again is None:
        return Finding("codec", True, "no way back from x_0 to compare pictures with")
    pictures = resized(images, (again.shape[-2], again.shape[-1]))
    spread = pictures.var(dim=(2, 3), keepdim=True).mean().clamp_min(1e-6)
    loss = ((again - pictures).square().mean() / spread).item()
    detail = f"encoding and decoding loses {loss:.1%} of a picture's variance"
    if loss <= LOSS:
        return Finding("codec", True, detail)
    return Finding(
        "codec",
        False,
        f"{detail} (at most {LOSS:.0%} passes): the VAE is broken or belongs to another model, or "
        "its pictures are not in [-1, 1]",
    )


def _explains(other: Tensor, own: Tensor, linear: Tensor) -> bool:
    """Whether another way has clearly lower errors (N, bins), and makes a denoiser of the network.

    The second is needed: an untrained network, too, gains from being read as a multiple of x_t.
    """
    ratio = (other.mean(0).clamp_min(1e-6) / own.mean(0).clamp_min(1e-6)).log()
    gains = (other.mean(0) < GAIN * linear.mean(0)).float().mean().item()
    return ratio.mean().exp().item() < CLEARLY and gains >= ENOUGH


def reading(name: str, others: dict[str, Tensor], own: Tensor, linear: Tensor) -> Finding:
    """The prediction type: no other reading of the outputs explains them better."""
    better = [other for other, found in others.items() if _explains(found, own, linear)]
    if not better:
        return Finding("prediction type", True, f"outputs read as {name} predict the noise best")
    winner = min(better, key=lambda other: others[other].clamp_min(1e-6).log().mean().item())
    return Finding(
        "prediction type",
        False,
        f"outputs predict the noise far better when read as {winner} (error "
        f"{others[winner].mean():.3f}) than as {name} ({own.mean():.3f}): the scheduler's "
        "prediction_type is probably not the network's",
    )


def time(
    model: EmoDC, probe: Probe, conditions: Conditions, errors: Tensor, linear: Tensor
) -> Finding:
    """The convention of time: no other one explains the outputs better."""
    denoiser, null = model.denoiser, model.prompts.null_index
    first, prompt = probe.first(), conditions[null : null + 1]
    own, name = errors[null, :1], denoiser.process.prediction

    def told(timesteps: Tensor | None = None, factor: float = 1.0) -> Callable[[], Tensor]:
        def errors_then() -> Tensor:
            with told_in_other_units(denoiser.process, factor):
                return measure(denoiser, first, prompt, model.evaluation, timesteps)[name][0]

        return errors_then

    backwards = len(denoiser.process) - 1 - first.timesteps
    ways = {
        "multiplied by 1000": told(factor=1000.0),
        "divided by 1000": told(factor=1e-3),
        "counted backwards": told(backwards),
    }
    found = {way: then() for way, then in ways.items()}
    better = [way for way, errors in found.items() if _explains(errors, own, linear)]
    if better:
        winner = min(better, key=lambda way: found[way].clamp_min(1e-6).log().mean().item())
        return Finding(
            "timesteps",
            False,
            f"outputs predict the noise far better when times are {winner} (error "
            f"{found[winner].mean():.3f}, now {own.mean():.3f}): the network is told the time in "
            "the wrong unit or direction",
        )
    constant = told(torch.full_like(backwards, model.evaluation.low))()
    if torch.equal(constant, own):
        return Finding(
            "timesteps",
            False,
            "outputs do not depend on the timestep: the network was never trained, or the time "
            "does not reach it, or in a unit in which all times are the same",
        )
    return Finding("timesteps", True, "no other convention of time predicts the noise better")


def scale(slopes: Tensor) -> Finding:
    """x_0 is no larger than the network expects.

    Where x_0 is too large, the network takes a part of the picture for noise, most of all at the
    first timesteps. What is too small has no such mark: it looks like a picture of low contrast.

    Args:
        slopes: See `emodc.selftest.probes.noise_slopes`.
    """
    slope = slopes[: max(1, len(slopes) // 3)].mean().item()
    detail = f"at the first timesteps, noise is {slope:.2f} of what the network sees"
    if slope >= SLOPE:
        return Finding("scale", True, detail)
    return Finding(
        "scale",
        False,
        f"{detail}: x_0 is larger than what it was trained on (a scaling factor that is missing or "
        "wrong), or the picture has noise of its own",
    )


def prompts(model: EmoDC, conditions: Conditions) -> Finding:
    """Class prompts encode differently."""
    hidden = conditions.hidden[: model.prompts.null_index].float().flatten(1)
    distance = torch.cdist(hidden, hidden) / hidden.norm(dim=1).mean().clamp_min(1e-12)
    distance.fill_diagonal_(torch.inf)
    nearest = distance.min().item()
    if nearest > 1e-4:
        return Finding("prompts", True, f"class prompts encode {nearest:.2g} apart or more")
    texts = model.prompts.texts()
    one, other = divmod(int(distance.argmin()), len(hidden))
    return Finding(
        "prompts",
        False,
        f"{texts[one]!r} and {texts[other]!r} encode to the same condition: the tokenizer does not "
        "know their words, or the text model's weights are missing",
    )


def response(errors: Tensor) -> Finding:
    """The network reads its prompts."""
    spread = (errors.amax(0) - errors.amin(0)).mean().item()
    if spread > 1e-7:
        return Finding("conditioning", True, f"errors differ by {spread:.2g} between classes")
    return Finding(
        "conditioning", False, "every class has the same errors: prompts do not reach the network"
    )


def denoises(table: tuple[Bin, ...], latents: Tensor) -> Finding:
    """Errors lie below those of trivial predictors."""
    gains = sum(row.best < GAIN * row.linear for row in table)
    harmless = sum(row.best <= WORSE * row.linear + OFFSET for row in table)
    detail = f"below the best linear predictor in {gains} of {len(table)} timestep bins"
    if gains >= ENOUGH * len(table) and harmless >= MOSTLY * len(table):
        return Finding("denoising", True, detail)
    size = latents.square().mean().sqrt().item()
    scale = "" if 0.6 <= size <= 1.5 else (
        f"; x_0 has a root mean square of {size:.2g}, so its scaling may be wrong"
    )  # fmt: skip
    return Finding(
        "denoising",
        False,
        f"{detail} and clearly above it in {len(table) - harmless}: the network does not denoise "
        f"these pictures. It is untrained or trained on other timesteps, or a part is another "
        f"model's (VAE, text model, scheduler){scale}",
    )


def falls(table: tuple[Bin, ...]) -> Finding:
    """Errors fall as noise is added."""
    half = len(table) // 2
    first, last = (sum(row.best for row in rows) for rows in (table[:half], table[-half:]))
    if last < first:
        return Finding("course", True, "errors fall as noise is added")
    return Finding(
        "course", False, "errors do not fall as noise is added: the schedule is not the network's"
    )


def gradients(gradient: Tensor) -> Finding:
    """The pixels have a gradient."""
    if gradient.isfinite().all() and gradient.any():
        return Finding("gradients", True, "gradients reach the pixels")
    return Finding("gradients", False, "no usable gradient reaches the pixels: attacks cannot work")
