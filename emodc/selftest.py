"""Does this denoiser denoise? A self-test for ported pipelines.

A port with the wrong prediction type, latents in the wrong scale or a timestep in the wrong unit
still runs, and still classifies a little. It shows on known pictures with known noise: the error in
eps starts near 1 where there is next to no noise to be seen, falls as noise is added, and stays
below that of every multiple of x_t.

For an ideal denoiser three things are theorems, because what it predicts is the mean of eps given
x_t and no function of x_t does better: reading its output in another way, telling it another
time, or replacing it by a multiple of x_t cannot lower the error.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from emodc.classifier import EmoDC
from emodc.diffusion.denoiser import Conditions, Denoiser, resized
from emodc.diffusion.measuring import Evaluation, autocast
from emodc.diffusion.noise import philox, step_noise
from emodc.diffusion.schedule import Prediction, Process, best_multiple

# ------------------------------------------------------------------------------------------------
# Measurements on known pictures
# ------------------------------------------------------------------------------------------------

Reading = Callable[[Tensor, Tensor, Tensor], Tensor]  # output, x_t, timesteps -> eps


def patterns(count: int, size: int = 96, seed: int = 0) -> Tensor:
    """Known pictures: discs and bars on a gradient, float32 (count, 3, size, size) in [0, 1]."""
    across = torch.linspace(0, 1, size)[None].expand(size, -1)
    down = across.T
    pictures = []
    for number in range(count):
        draws = philox(seed, "pattern", number)
        picture = _colour(draws) * across + _colour(draws) * (1 - down)
        picture = picture / picture.max()
        for _ in range(6):
            x, y, radius, stretch = draws.uniform([0.1, 0.1, 0.06, 0.4], [0.9, 0.9, 0.25, 2.5])
            inside = ((across - x) * stretch) ** 2 + ((down - y) / stretch) ** 2 < radius**2
            picture = torch.where(inside, _colour(draws), picture)
        pictures.append(picture)
    return torch.stack(pictures).float()


def _colour(draws: np.random.Generator) -> Tensor:
    return torch.from_numpy(draws.uniform(0.05, 0.95, (3, 1, 1))).float()


@dataclass(frozen=True)
class Probe:
    """Noisy latents at known levels: R = pictures x bins rows, picture by picture.

    Attributes:
        latents: x_0 of each row, (R, C, H, W).
        noise: eps, (R, C, H, W).
        timesteps: int64 (R,).
        noisy: x_t, (R, C, H, W).
        bins: Timesteps per picture.
    """

    latents: Tensor
    noise: Tensor
    timesteps: Tensor
    noisy: Tensor
    bins: int

    @classmethod
    def of(cls, process: Process, latents: Tensor, plan: Evaluation, bins: int) -> "Probe":
        """One row per latent (N, C, H, W) and bin of the evaluation's range.

        Each picture has a place of its own within the bins, so that together they fill them.
        """
        count, width = len(latents), (plan.high - plan.low) / bins
        places = (torch.arange(count, dtype=torch.float64) + 0.5) / count
        starts = torch.arange(bins, dtype=torch.float64)
        timesteps = (plan.low + (places[:, None] + starts) * width).long().flatten()
        rows = latents.repeat_interleave(bins, 0)
        noise = torch.cat(
            [
                step_noise(plan.seed, f"probe {n}", range(bins), tuple(latents.shape[1:]))
                for n in range(count)
            ]
        ).to(latents.device)
        timesteps = timesteps.to(latents.device)
        noisy = process.noised(rows, noise, timesteps)
        return cls(rows, noise, timesteps, noisy, bins)

    def first(self) -> "Probe":
        """The rows of the first picture."""
        rows = slice(0, self.bins)
        return Probe(
            self.latents[rows], self.noise[rows], self.timesteps[rows], self.noisy[rows], self.bins
        )

    def wiener_errors(self, process: Process) -> Tensor:
        """Error of the best multiple of x_t, (N, bins); what a network has to beat."""
        signal, level = process.signal[self.timesteps], process.noise[self.timesteps]
        power = self.latents.square().flatten(1).mean(1)
        factor = best_multiple(signal, level, power)
        wrong = factor[:, None, None, None] * self.noisy - self.noise
        return self._by_bin(wrong.square().flatten(1).mean(1))

    def zero_errors(self) -> Tensor:
        """Error of predicting nothing, (N, bins); 1 in the mean."""
        return self._by_bin(self.noise.square().flatten(1).mean(1))

    def _by_bin(self, values: Tensor) -> Tensor:
        return values.unflatten(0, (-1, self.bins))


def readings(process: Process) -> dict[str, Reading]:
    """Ways to read a network's output as eps; the process's own comes first."""
    own = process.prediction
    others: tuple[Prediction, ...] = ("flow", "epsilon", "sample")
    if own != "flow":
        others = ("epsilon", "v_prediction", "sample")
    ways: dict[str, Reading] = {own: process.predicted_noise}
    for other in others:
        if other != own:
            ways[other] = Process(
                process.signal, process.noise, other, process.told
            ).predicted_noise
    ways[f"minus {own}"] = lambda output, noisy, times: process.predicted_noise(
        -output, noisy, times
    )
    return ways


@torch.no_grad()
def measure(
    denoiser: Denoiser,
    probe: Probe,
    conditions: Conditions,
    plan: Evaluation,
    told_as: Tensor | None = None,
) -> dict[str, Tensor]:
    """Errors under every prompt, for every reading of the output: (P, N, bins) each.

    Args:
        denoiser: The network.
        probe: The noisy latents.
        conditions: Of P prompts.
        plan: Its precision.
        told_as: Timesteps that the network is told in place of the true ones, (R,).
    """
    ways = readings(denoiser.process)
    told = probe.timesteps if told_as is None else told_as
    found: dict[str, list[Tensor]] = {name: [] for name in ways}
    for prompt in range(len(conditions)):
        errors: dict[str, list[Tensor]] = {name: [] for name in ways}
        for rows in torch.arange(len(probe.noisy), device=told.device).split(denoiser.rows):
            noisy, times = probe.noisy[rows], probe.timesteps[rows]
            with autocast(plan.precision, noisy.device):
                output = denoiser.predict(
                    noisy, told[rows], conditions[torch.full_like(rows, prompt)]
                ).float()
            for name, read in ways.items():
                wrong = read(output, noisy, times) - probe.noise[rows]
                errors[name].append(wrong.square().flatten(1).mean(1))
        for name in ways:
            found[name].append(torch.cat(errors[name]).unflatten(0, (-1, probe.bins)))
    return {name: torch.stack(errors).cpu() for name, errors in found.items()}


@torch.no_grad()
def noise_slopes(
    denoiser: Denoiser, probe: Probe, condition: Conditions, plan: Evaluation
) -> Tensor:
    """Least-squares slope of the true noise on the predicted one, per bin: float32 (bins,).

    1 for an ideal denoiser, whose error has nothing in common with its prediction. Below 1 the
    network takes a part of the picture for noise.
    """
    products = []
    for rows in torch.arange(len(probe.noisy), device=probe.noisy.device).split(denoiser.rows):
        noisy, times = probe.noisy[rows], probe.timesteps[rows]
        with autocast(plan.precision, noisy.device):
            output = denoiser.predict(noisy, times, condition[torch.zeros_like(rows)]).float()
        predicted = denoiser.process.predicted_noise(output, noisy, times)
        pairs = (predicted * probe.noise[rows], predicted.square())
        products.append(torch.stack([pair.flatten(1).sum(1) for pair in pairs], dim=1))
    sums = torch.cat(products).unflatten(0, (-1, probe.bins)).sum(0).cpu()
    return sums[:, 0] / sums[:, 1]


@contextlib.contextmanager
def told_in_other_units(process: Process, factor: float) -> Iterator[None]:
    """The times that the network is told, multiplied."""
    told = process.told
    process.told = told * factor
    try:
        yield
    finally:
        process.told = told


def pixel_gradient(
    denoiser: Denoiser, images: Tensor, conditions: Conditions, timestep: int, seed: int
) -> Tensor:
    """Gradient of one error of one picture with respect to its pixels, (1, 3, H, W)."""
    with torch.enable_grad():
        pixels = images[:1].detach().clone().requires_grad_()
        latents = denoiser.encode(pixels)
        times = torch.tensor([timestep], device=latents.device)
        noise = step_noise(seed, "gradient", [0], tuple(latents.shape[1:])).to(latents.device)
        noisy = denoiser.process.noised(latents, noise, times)
        error = denoiser.errors(noisy, times, noise, conditions[:1])
        if not error.requires_grad:
            return torch.zeros_like(images[:1])
        (gradient,) = torch.autograd.grad(error.sum(), pixels, allow_unused=True)
    return torch.zeros_like(images[:1]) if gradient is None else gradient


# ------------------------------------------------------------------------------------------------
# What is looked at, one function each: figures in, a sentence out
# ------------------------------------------------------------------------------------------------

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


def check_latents(latents: Tensor) -> Finding:
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


def check_codec(model: EmoDC, images: Tensor, latents: Tensor) -> Finding:
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


def check_reading(name: str, others: dict[str, Tensor], own: Tensor, linear: Tensor) -> Finding:
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


def check_time(
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
    # Not with `own`, which was measured beside other prompts, in sums of another order.
    if torch.equal(constant, found["counted backwards"]):
        return Finding(
            "timesteps",
            False,
            "outputs do not depend on the timestep: the network was never trained, or the time "
            "does not reach it, or in a unit in which all times are the same",
        )
    return Finding("timesteps", True, "no other convention of time predicts the noise better")


def check_scale(slopes: Tensor) -> Finding:
    """x_0 is no larger than the network expects.

    Where x_0 is too large, the network takes a part of the picture for noise, most of all at the
    first timesteps. What is too small has no such mark: it looks like a picture of low contrast.

    Args:
        slopes: See `emodc.selftest.noise_slopes`.
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


def check_prompts(model: EmoDC, conditions: Conditions) -> Finding:
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


def check_response(errors: Tensor) -> Finding:
    """The network reads its prompts."""
    spread = (errors.amax(0) - errors.amin(0)).mean().item()
    if spread > 1e-7:
        return Finding("conditioning", True, f"errors differ by {spread:.2g} between classes")
    return Finding(
        "conditioning", False, "every class has the same errors: prompts do not reach the network"
    )


def check_denoises(table: tuple[Bin, ...], latents: Tensor) -> Finding:
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


def check_falls(table: tuple[Bin, ...]) -> Finding:
    """Errors fall as noise is added."""
    half = len(table) // 2
    first, last = (sum(row.best for row in rows) for rows in (table[:half], table[-half:]))
    if last < first:
        return Finding("course", True, "errors fall as noise is added")
    return Finding(
        "course", False, "errors do not fall as noise is added: the schedule is not the network's"
    )


def check_gradients(gradient: Tensor) -> Finding:
    """The pixels have a gradient."""
    if gradient.isfinite().all() and gradient.any():
        return Finding("gradients", True, "gradients reach the pixels")
    return Finding("gradients", False, "no usable gradient reaches the pixels: attacks cannot work")


# ------------------------------------------------------------------------------------------------
# The self-test
# ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SelfTestReport:
    """What the self-test found."""

    bins: tuple[Bin, ...]
    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(finding.passed for finding in self.findings)

    @property
    def cause(self) -> str:
        """The failure that explains most: findings are ordered from cause to symptom."""
        return next((found.detail for found in self.findings if not found.passed), "")

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"passed": self.passed, "cause": self.cause, **dataclasses.asdict(self)}


def check(model: EmoDC, images: Tensor | None = None, bins: int = 10) -> SelfTestReport:
    """Test whether `model` denoises known pictures over its evaluation's timestep range.

    Costs one network evaluation per prompt, picture and bin, and a few dozen more.

    Args:
        model: The classifier.
        images: float32 (N, 3, H, W) in [0, 1]; drawn patterns if not given.
        bins: Parts of the timestep range.
    """
    model.eval()
    denoiser, plan = model.denoiser, model.evaluation
    images = (patterns(4) if images is None else images).to(denoiser.device)
    with torch.no_grad():
        latents = denoiser.encode(images)
        conditions = denoiser.encode_texts(model.prompts.texts())
    early = [check_latents(latents), check_codec(model, images, latents)]
    if not latents.isfinite().all():
        return SelfTestReport((), tuple(early))

    probe = Probe.of(denoiser.process, latents, plan, bins)
    errors = measure(denoiser, probe, conditions, plan)
    own, *others = readings(denoiser.process)
    best = {name: _best(found) for name, found in errors.items()}
    linear, zero = probe.wiener_errors(denoiser.process).cpu(), probe.zero_errors().cpu()
    table = _table(model, errors[own], best[own], linear, zero)
    null = model.prompts.null_index
    middle = (plan.low + plan.high) // 2
    gradient = pixel_gradient(denoiser, images, conditions, middle, plan.seed)
    looked = [
        Finding(
            "finite",
            bool(errors[own].isfinite().all()),
            "every output is finite"
            if errors[own].isfinite().all()
            else "the network's outputs are not all finite; try precision float32",
        ),
        *early,
        check_reading(own, {name: best[name] for name in others}, best[own], linear),
        check_time(model, probe, conditions, errors[own], linear[:1]),
        check_prompts(model, conditions),
        check_response(errors[own][: model.prompts.null_index]),
        check_denoises(table, latents),
        check_falls(table),
        check_scale(noise_slopes(denoiser, probe, conditions[null : null + 1], plan)),
        check_gradients(gradient),
    ]
    return SelfTestReport(table, tuple(looked))


def _best(errors: Tensor) -> Tensor:
    """(P, N, bins) -> (N, bins): each picture under the prompt that suits it on the whole."""
    chosen = errors.mean(2).argmin(0)
    return errors[chosen, torch.arange(errors.shape[1])]


def _table(
    model: EmoDC, errors: Tensor, best: Tensor, linear: Tensor, zero: Tensor
) -> tuple[Bin, ...]:
    plan, prompts = model.evaluation, model.prompts
    count = errors.shape[2]
    edges = [plan.low + round(i * (plan.high - plan.low) / count) for i in range(count + 1)]
    columns = (
        errors[prompts.null_index].mean(0),
        errors[prompts.non_class_index].mean(0),
        errors[: prompts.null_index].mean((0, 1)),
        best.mean(0),
        linear.mean(0),
        zero.mean(0),
    )
    rows = torch.stack(columns, dim=1).tolist()
    return tuple(Bin(edges[i], edges[i + 1], *row) for i, row in enumerate(rows))
