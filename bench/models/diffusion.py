"""EmoDC, and its matched control."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.models import flops
from bench.models.base import Classifier, Measurement, as_images
from bench.models.live import logits_of, means_of
from bench.models.views import Views
from bench.store import Gate
from bench.traces import OtherPrompts, TraceInfo, Traces
from emodc import EmoDC, Engine
from emodc.decide import Rule
from emodc.evaluation import resolve_precision


class DiffusionClassifier(Classifier):
    """EmoDC."""

    def __init__(
        self,
        model: EmoDC,
        digest: str,
        gate: Gate | None,
        attack_steps: int,
        device: torch.device,
        engine: Engine | None = None,
    ) -> None:
        super().__init__(device)
        self.engine = engine or Engine()
        self.model = model.to(device).requires_grad_(False).eval()
        self.classes, self.digest, self.gate = model.classes, digest, gate
        self.timesteps = tuple(model.timesteps.tolist())
        self.evaluations = len(self.timesteps) * len(self.classes)
        self.attack_steps = min(attack_steps, len(self.timesteps))

    def measure(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], rule: Rule | None = None
    ) -> Measurement:
        """See `Classifier.measure`."""
        if rule is None:
            return super().measure(pictures, ids)
        try:
            verdict = self.model.decide(pictures, ids, rule, engine=self.engine)
        except MemoryError as error:
            raise UserError(str(error), 1) from error
        self.engine = replace(self.engine, rows=verdict.rows)  # if memory ran out, it would again
        errors, times = verdict.trace.errors.numpy(), verdict.trace.timesteps.numpy()
        means = means_of(errors, verdict.decisions, rule.sizes(times, np.ones(times.shape)))
        return Measurement(
            logits=logits_of(means, verdict.decisions, self.model.evaluation.logit_scale),
            traces=Traces(tuple(ids), errors, times.astype(np.int32), self._info),
            evaluations=verdict.decisions.evaluations,
            seconds=verdict.seconds,
            means=means,
        )

    def attack_target(self, sample_id: str) -> nn.Module:
        """EmoDC on the verdict's own noise, a different share of its steps at each query."""
        return _SubsampledEmoDC(self.model, sample_id, self.attack_steps)

    def other_prompts(self, pictures: Sequence[np.ndarray], ids: Sequence[str]) -> OtherPrompts:
        """See `Classifier.other_prompts`."""
        parts = []
        for batch in self._batches(pictures):
            images, names = as_images([pictures[i] for i in batch]), [ids[i] for i in batch]
            null, non_class = self.model.other_prompts(images.to(self.device), names)
            parts.append(OtherPrompts(tuple(names), null.cpu().numpy(), non_class.cpu().numpy()))
        return OtherPrompts.joined(parts)

    def flops(self) -> dict[str, float]:
        """See `Classifier.flops`. What prompts cost once per pass of many steps counts as fixed.

        With a shared trunk a pass serves all classes, whoever is still asked about.
        """
        image = flops.picture(self.device)
        self.model(image, steps=[0])  # prompts are encoded once, ever
        one = flops.counted(lambda: self.model(image, steps=[0]))
        two = flops.counted(lambda: self.model(image, steps=[0, 0]))
        step = two - one
        if self.model.denoiser.shared_trunk:
            return {"picture": one - step, "step": step, "evaluation": 0.0}
        return {"picture": one - step, "step": 0.0, "evaluation": step / len(self.classes)}

    @property
    def _info(self) -> TraceInfo:
        plan, process = self.model.evaluation, self.model.denoiser.process
        return TraceInfo(
            kind="errors",
            classes=self.classes,
            weighting=plan.weighting,
            prediction=process.prediction,
            precision=str(resolve_precision(plan.precision, self.device)).removeprefix("torch."),
            model=self.digest,
            seed=plan.seed,
            steps=plan.steps,
        )

    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        trace = self.model.trace(images, ids)
        errors, timesteps = trace.errors.cpu().numpy(), trace.timesteps.cpu().numpy()
        means = errors.astype(np.float64).mean(axis=2)
        logits = (-self.model.evaluation.logit_scale * means).astype(np.float32)
        return logits, Traces(tuple(ids), errors, timesteps.astype(np.int32), self._info)


class ControlClassifier(DiffusionClassifier):
    """The matched control: EmoDC's trunk and steps, log-probabilities in the place of errors."""

    def __init__(
        self,
        model: EmoDC,
        digest: str,
        attack_steps: int,
        device: torch.device,
        engine: Engine | None = None,
    ) -> None:
        model.evaluation = replace(model.evaluation, logit_scale=1.0)
        super().__init__(model, digest, None, attack_steps, device, engine)
        self.evaluations, self.timesteps = len(self.timesteps), ()

    def measure(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], rule: Rule | None = None
    ) -> Measurement:
        """See `Classifier.measure`; a pass says something of all classes, and counts once."""
        measured = super().measure(pictures, ids, rule)
        if rule is None or measured.traces is None:
            return measured
        passes = np.isfinite(measured.traces.errors).any(axis=1).sum(axis=1)
        return replace(measured, traces=None, evaluations=passes)

    def measure_views(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], views: Views
    ) -> Measurement:
        """See `Classifier.measure_views`: its views are its steps, so `views` says nothing new."""
        return self._batch_by_batch(pictures, ids, super()._measure, self.evaluations)

    @property
    def _info(self) -> TraceInfo:
        words = {"kind": "surprises", "weighting": "", "prediction": ""}
        return super()._info.model_copy(update=words)

    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        logits, _ = super()._measure(images, ids)
        return logits, None  # not noise-prediction errors: no trace, no d_p


class _SubsampledEmoDC(nn.Module):
    """Logits from `count` of the verdict's steps; successive queries go through all of them."""

    def __init__(self, model: EmoDC, sample_id: str, count: int) -> None:
        super().__init__()
        self.model, self.sample_id = model, sample_id
        self.stride = max(1, model.evaluation.steps // count)
        self.queries = 0

    def forward(self, images: Tensor) -> Tensor:
        steps = range(self.queries % self.stride, self.model.evaluation.steps, self.stride)
        self.queries += 1
        return self.model(images, [self.sample_id], steps)
