"""Does this denoiser denoise? A self-test for ported pipelines.

A port with the wrong prediction type, latents in the wrong scale or a timestep in the wrong unit
still runs, and still classifies a little. It shows on known pictures with known noise: the error in
eps starts near 1 where there is next to no noise to be seen, falls as noise is added, and stays
below that of every multiple of x_t.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from emodc.classifier import EmoDC
from emodc.selftest import findings
from emodc.selftest.findings import Bin, Finding
from emodc.selftest.probes import Probe, measure, noise_slopes, patterns, pixel_gradient, readings


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
    early = [findings.latents(latents), findings.codec(model, images, latents)]
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
        findings.reading(own, {name: best[name] for name in others}, best[own], linear),
        findings.time(model, probe, conditions, errors[own], linear[:1]),
        findings.prompts(model, conditions),
        findings.response(errors[own][: model.prompts.null_index]),
        findings.denoises(table, latents),
        findings.falls(table),
        findings.scale(noise_slopes(denoiser, probe, conditions[null : null + 1], plan)),
        findings.gradients(gradient),
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
