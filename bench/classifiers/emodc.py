"""EmoDC and its matched control as the sweep sees them: measured, attacked, decided live."""

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from bench.classifiers.base import Classifier, Measurement, as_images, counted_flops, flops_picture
from bench.perturb.versions import Views
from bench.store.cells import Gate
from bench.store.traces import OtherPrompts, TraceInfo, Traces
from bench.util.errors import UserError
from emodc import EmoDC, Engine
from emodc.analysis import Floats
from emodc.decisions.decide import TIE, Decisions, Rule, chances, visited
from emodc.decisions.live import Verdict
from emodc.diffusion.measuring import prepare, resolve_precision

# ------------------------------------------------------------------------------------------------
# What is stored of decisions that were made without measuring everything: means and logits.


def means_of(errors: Floats, decisions: Decisions, sizes: Floats) -> Floats:
    """Mean errors over all cells, estimated from those that were measured.

    Of a class that stayed, the mean over its cells, each weighed by one over how likely it was to
    be visited: a sequential test prefers early timesteps, where errors are greater. One that left
    was not measured where the others were: the best class's estimate, plus the mean difference of
    the two where both were measured.

    Args:
        errors: (N, K, S), NaN where nothing was measured.
        decisions: What was decided of them.
        sizes: How likely cells were to be visited early, (N, S); see
            `emodc.decisions.decide.Rule.sizes`.

    Returns:
        (N, K).
    """
    pictures = zip(errors.astype(np.float64), decisions.seen, sizes, strict=True)
    return np.stack([_means(*one) for one in pictures])


def logits_of(means: Floats, decisions: Decisions, scale: float) -> np.ndarray:
    """Logits whose highest is the decision.

    -scale * mean error. A class that lost cannot come back: where an estimate or rounding would
    lift a loser to the winner's logit or above, it gets the next lower number. Of a tie the two
    highest are equal.

    Args:
        means: Of `means_of`, (N, K).
        decisions: What was decided.
        scale: Logits per unit of error.

    Returns:
        float32 (N, K).
    """
    logits = (-scale * means).astype(np.float32)
    for own, winner in zip(logits, decisions.winner.tolist(), strict=True):
        if winner == TIE:
            first, second = np.argsort(-own, kind="stable")[:2]
            own[second] = own[first]
        else:
            below = np.nextafter(own[winner], np.float32(-np.inf))
            losers = np.arange(len(own)) != winner
            own[losers] = np.minimum(own[losers], below)
    return logits


def _decided(model: EmoDC, verdict: Verdict, rule: Rule) -> tuple[Floats, np.ndarray]:
    """Means and logits of what a rule decided, (N, K)."""
    errors, times = verdict.trace.errors.numpy(), verdict.trace.timesteps.numpy()
    means = means_of(errors, verdict.decisions, rule.sizes(times, np.ones(times.shape)))
    return means, logits_of(means, verdict.decisions, model.evaluation.logit_scale)


def _means(errors: Floats, seen: np.ndarray, sizes: Floats) -> Floats:
    """Mean errors of one picture's classes, (K,)."""
    stayed = seen == seen.max()
    means = np.full(len(errors), np.inf)
    means[stayed] = [_mean(own, int(seen.max()), sizes) for own in errors[stayed]]
    best = int(means.argmin())
    for label in np.flatnonzero(~stayed):
        means[label] = means[best] + _mean(errors[label] - errors[best], int(seen[label]), sizes)
    return means


def _mean(values: Floats, count: int, sizes: Floats) -> float:
    """Over all cells (S,), from the `count` first visited; NaN elsewhere."""
    known = np.isfinite(values)
    return float(np.average(values[known], weights=1 / chances(sizes, count)[known]))


# ------------------------------------------------------------------------------------------------
# EmoDC, and its matched control.


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

    @override
    def measure(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], rule: Rule | None = None
    ) -> Measurement:
        if rule is None:
            return super().measure(pictures, ids)
        try:
            images = [as_images([picture])[0] for picture in pictures]  # an attack's may be floats
            verdict = self.model.decide(images, ids, rule, engine=self.engine)
        except MemoryError as error:
            raise UserError(str(error), 1) from error
        self.engine = replace(self.engine, rows=verdict.rows)  # if memory ran out, it would again
        errors, times = verdict.trace.errors.numpy(), verdict.trace.timesteps.numpy()
        means, logits = _decided(self.model, verdict, rule)
        return Measurement(
            logits=logits,
            traces=Traces(tuple(ids), errors, times.astype(np.int32), self._info),
            evaluations=verdict.decisions.evaluations,
            seconds=verdict.seconds,
            means=means,
        )

    def attack_target(
        self, sample_id: str, every_step: bool = False, fresh: bool = False
    ) -> nn.Module:
        """EmoDC, a different share of its steps at each query; on the verdict's own noise."""
        count = self.model.evaluation.steps if every_step else self.attack_steps
        return _SubsampledEmoDC(self.model, sample_id, count, fresh).eval()

    @override
    def other_prompts(self, pictures: Sequence[np.ndarray], ids: Sequence[str]) -> OtherPrompts:
        parts = []
        for batch in self._batches(pictures):
            images, names = as_images([pictures[i] for i in batch]), [ids[i] for i in batch]
            null, non_class = self.model.other_prompts(images.to(self.device), names)
            parts.append(OtherPrompts(tuple(names), null.cpu().numpy(), non_class.cpu().numpy()))
        return OtherPrompts.joined(parts)

    @override
    def flops(self) -> dict[str, float]:
        """What prompts cost once per pass of many steps counts as fixed.

        With a shared trunk a step has a part that serves all classes.
        """
        image = flops_picture(self.device)
        self.model(image, steps=[0])  # prompts are encoded once, ever
        one = counted_flops(lambda: self.model(image, steps=[0]))
        two = counted_flops(lambda: self.model(image, steps=[0, 0]))
        step, evaluation = two - one, self._evaluation_flops(image, two - one)
        shared = step - len(self.classes) * evaluation
        return {"picture": one - step, "step": shared, "evaluation": evaluation}

    def _evaluation_flops(self, image: torch.Tensor, step: float) -> float:
        """What a class more costs at a step."""
        denoiser, templates = self.model.denoiser, len(self.model.prompts.templates)
        if not denoiser.shared_trunk:
            return step / len(self.classes)
        if not denoiser.predicts_noise:  # a control's head gives all classes at once
            return 0.0
        latent, time = denoiser.encode(image), torch.zeros(1, dtype=torch.long, device=self.device)

        def scored(classes: int) -> float:
            chosen = torch.arange(classes * templates, device=self.device)[None]
            return counted_flops(
                lambda: denoiser.errors(latent, time, latent, self.model.conditions(), chosen)
            )

        return scored(2) - scored(1)

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

    def measure_clip(
        self, clip: Sequence[np.ndarray], name: str, spread: bool, shared_noise: bool
    ) -> Measurement:
        """The mean over frames of the errors, as a trace like that of a picture.

        Args:
            clip: uint8 RGB frames (H, W, 3) of one size.
            name: Sample id of the clip, which addresses the noise.
            spread: Measure each step on one frame (`spread_steps`), at the cost of a picture; else
                all steps on every frame.
            shared_noise: Whether a step's noise is that of every frame, where all are measured.
        """
        frames, count = as_images(clip).to(self.device), self.model.evaluation.steps
        start = time.perf_counter()
        if spread:
            errors = np.empty((1, len(self.classes), count), np.float32)
            timesteps = np.empty((1, count), np.int64)
            for number, steps in enumerate(spread_steps(count, len(frames))):
                if steps:
                    found = self.model.trace(frames[number : number + 1], [name], steps=steps)
                    errors[:, :, steps] = found.errors.cpu().numpy()
                    timesteps[:, steps] = found.timesteps.cpu().numpy()
        else:
            ids = [name if shared_noise else f"{name}#{k}" for k in range(len(frames))]
            found = self.model.trace(frames, ids)
            each = found.errors.cpu().numpy()
            errors = each.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
            timesteps = found.timesteps[:1].cpu().numpy()  # of the first frame, if noise-aware
        logits, traces = self._said(errors, timesteps, [name])
        passes = 1 if spread else len(frames)
        return Measurement(
            logits=logits,
            traces=traces if self.model.denoiser.predicts_noise else None,
            evaluations=np.array([self.evaluations * passes]),
            seconds=np.array([time.perf_counter() - start]),
        )

    def clip_target(self, sample_id: str, length: int) -> list[nn.Module]:
        """Of each frame of a clip, images -> logits of the steps that `measure_clip` spreads to it.

        Frames without a step have a module of logits 0.
        """
        return [
            _EmoDCSteps(self.model, sample_id, steps)
            for steps in spread_steps(self.model.evaluation.steps, length)
        ]

    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        trace = self.model.trace(images, ids)
        return self._said(trace.errors.cpu().numpy(), trace.timesteps.cpu().numpy(), ids)

    def _said(
        self, errors: np.ndarray, timesteps: np.ndarray, ids: Sequence[str]
    ) -> tuple[np.ndarray, Traces]:
        """Logits and traces of errors (B, K, S) at timesteps (B, S)."""
        means = errors.astype(np.float64).mean(axis=2)
        logits = (-self.model.evaluation.logit_scale * means).astype(np.float32)
        return logits, Traces(tuple(ids), errors, timesteps.astype(np.int32), self._info)


def spread_steps(count: int, length: int) -> list[list[int]]:
    """Of each of `length` frames, those of `count` steps that are measured on it.

    Neighbouring timesteps lie on different frames. Where there are more frames than steps, evenly
    spread ones have a step each.
    """
    if length <= count:
        return [list(range(first, count, length)) for first in range(length)]
    frames = [(2 * step + 1) * length // (2 * count) for step in range(count)]
    return [[step for step in range(count) if frames[step] == k] for k in range(length)]


class MatchedControl(DiffusionClassifier):
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

    @override
    def measure(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], rule: Rule | None = None
    ) -> Measurement:
        """A pass says something of all classes, and counts once."""
        measured = super().measure(pictures, ids, rule)
        if rule is None or measured.traces is None:
            return measured
        passes = np.isfinite(measured.traces.errors).any(axis=1).sum(axis=1)
        return replace(measured, traces=None, evaluations=passes)

    @override
    def measure_views(
        self, pictures: Sequence[np.ndarray], ids: Sequence[str], views: Views
    ) -> Measurement:
        """Its views are its steps, so `views` says nothing new."""
        return self._batch_by_batch(pictures, ids, super()._measure, self.evaluations)

    @property
    def _info(self) -> TraceInfo:
        words = {"kind": "surprises", "weighting": "", "prediction": ""}
        return super()._info.model_copy(update=words)

    def _measure(self, images: Tensor, ids: Sequence[str]) -> tuple[np.ndarray, Traces | None]:
        logits, _ = super()._measure(images, ids)
        return logits, None  # not noise-prediction errors: no trace, no d_p


class _EmoDCSteps(nn.Module):
    """The sum over some steps of the verdict's logits: 1 image -> (1, K)."""

    def __init__(self, model: EmoDC, sample_id: str, steps: Sequence[int]) -> None:
        super().__init__()
        self.model, self.sample_id, self.steps = model, sample_id, steps

    def forward(self, images: Tensor) -> Tensor:
        if not self.steps:
            return images.new_zeros(len(images), len(self.model.classes))
        return self.model(images, [self.sample_id], self.steps) * len(self.steps)


class _SubsampledEmoDC(nn.Module):
    """Logits from `count` of the verdict's steps; successive queries go through all of them."""

    def __init__(self, model: EmoDC, sample_id: str, count: int, fresh: bool = False) -> None:
        super().__init__()
        self.model, self.sample_id, self.fresh = model, sample_id, fresh
        self.count, self.steps = count, range(model.evaluation.steps)
        self.queries = self.draws = 0

    def choose(self, low: int, high: int) -> None:
        """Measure steps of timesteps in [low, high) alone, as a clean picture's grid has them.

        Raises:
            UserError: If there is none.
        """
        chosen = [k for k, t in enumerate(self.model.timesteps.tolist()) if low <= t < high]
        if not chosen:
            plan = self.model.evaluation
            raise UserError(
                f"An attack's `timesteps: [{low}, {high}]` has none of the classifier's steps, "
                f"whose timesteps lie in [{plan.low}, {plan.high}): name another range."
            )
        self.steps = range(chosen[0], chosen[-1] + 1)

    def early(self, rule: Rule, label: int, first: int, apart: bool) -> nn.Module:
        """The same for attacks on early decisions; see `_EarlyEmoDC`."""
        return _EarlyEmoDC(self, rule, label, first, apart).eval()

    def forward(self, images: Tensor) -> Tensor:
        stride = max(1, len(self.steps) // self.count)
        steps = self.steps[self.queries % stride :: stride]
        self.queries += 1
        return self._logits(images, steps)

    def whole(self, images: Tensor) -> Tensor:
        """Logits from all steps."""
        return self._logits(images, range(self.model.evaluation.steps))

    def _logits(self, images: Tensor, steps: range) -> Tensor:
        self.draws += 1
        name = f"{self.sample_id}?{self.draws}" if self.fresh else self.sample_id
        return self.model(images, [name], steps)


class _EarlyEmoDC(nn.Module):
    """What the steps say that a rule visits first: 1 image -> (1, K), for who knows their order.

    With D_i the error of the right class less a rival's at the i-th step visited, x_i its size (see
    `Rule.sizes`) and s the root mean square of D_i / x_i, the rival's logit is the soft minimum

        -s log mean exp(-D_i / (s x_i)),

    and that of the right class 0. The sequential test asks whether D_i / x_i is above 0 *evenly*,
    by its mean over its spread, however small it is: steps where the rival is behind weigh most,
    and where all are alike it is the mean. With `fresh` noise each query has an order of its own.

    With `apart`, twice the mean of D_i over some of the other steps, in turn, is taken off for the
    rival that leads there, as soon as it is above minus its own standard error.
    """

    def __init__(
        self, about: _SubsampledEmoDC, rule: Rule, label: int, first: int, apart: bool
    ) -> None:
        super().__init__()
        self.model, self.sample_id, self.fresh = about.model, about.sample_id, about.fresh
        self.rule, self.label, self.first = rule, label, first
        self.others = about.count if apart else 0
        self.draws = 0

    def forward(self, images: Tensor) -> Tensor:
        name, plan = self._name(), self.model.evaluation
        with torch.no_grad():  # where noise-aware the grid depends on the picture
            times = prepare(self.model.denoiser, plan, images[0].detach(), name).timesteps.numpy()
        ones = np.ones(len(times))
        order = visited(self.rule, times, ones, plan.seed, name)
        cells, rest = order[: self.first], order[self.first :]
        stride = max(1, len(rest) // max(self.others, 1))
        rest = rest[self.draws % stride :: stride][: self.others]
        errors = self.model.errors(images, [name], [*cells.tolist(), *rest.tolist()])[0]
        ahead = errors[self.label] - errors
        early, later = ahead[:, : len(cells)], ahead[:, len(cells) :]
        sizes = self.rule.sizes(times[None], ones[None])[0][cells]
        early = early / torch.from_numpy(sizes).to(early)
        spread = early.detach().square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-12)
        softest = (-early / spread).logsumexp(dim=1) - float(np.log(len(cells)))
        logits = -spread[:, 0] * softest
        if len(rest) > 1:
            slack = later.detach().std(dim=1) / len(rest) ** 0.5
            leads = later.mean(dim=1) + slack
            leads[self.label] = -torch.inf
            rivals = torch.arange(len(logits), device=logits.device) != self.label
            logits = logits - 2 * leads.max().clamp(min=0) * rivals
        return plan.logit_scale * logits[None]

    @torch.no_grad()
    def whole(self, images: Tensor) -> Tensor:
        """Logits whose highest is the rule's decision, made as the verdict is; no gradient."""
        name = self._name()
        verdict = self.model.decide(images.detach(), [name], self.rule)
        logits = torch.from_numpy(_decided(self.model, verdict, self.rule)[1]).to(images)
        if self.others and int(self.model(images, [name]).argmax()) != self.label:
            right = torch.arange(logits.shape[1], device=logits.device) == self.label
            return right[None].to(logits)  # both are wrong, and not apart
        return logits

    def _name(self) -> str:
        self.draws += 1
        return f"{self.sample_id}?{self.draws}" if self.fresh else self.sample_id
