"""EmoDC: the class whose prompt best predicts the noise (Li et al. 2023, arXiv 2303.16203, eq. 5).

A torch module like any other classifier: images in [0, 1] in, logits out, differentiable. What it
measures on the way is kept as a trace, the raw material of every decision.
"""

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from emodc.decisions.decide import Rule
from emodc.decisions.live import Engine
from emodc.decisions.rules import SequentialTest
from emodc.diffusion.denoiser import Conditions, Denoiser, Picture, as_tensors, pixel_address
from emodc.diffusion.measuring import Evaluation, Trace, autocast, errors_at, prepare
from emodc.diffusion.schedule import timestep_grid
from emodc.settings import Prompts

if TYPE_CHECKING:
    from emodc.decisions.fit import Fit
    from emodc.decisions.live import Verdict, Weights


class EmoDC(nn.Module):
    """A diffusion classifier over the class prompts of `prompts`.

    Args:
        denoiser: The conditional denoiser.
        prompts: Class names in logit order, and their wording.
        evaluation: How errors are measured.
        fit: What validation pictures taught (`emodc.decisions.fit.fit`): calibrates `predict`, and
            is saved with the model. Logits, traces and decisions do not depend on it.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        prompts: Prompts,
        evaluation: Evaluation | None = None,
        fit: "Fit | None" = None,
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.prompts = prompts
        self.evaluation = evaluation or Evaluation()
        self.fit = fit
        self._cached_conditions: Conditions | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in logit order."""
        return self.prompts.classes

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        prompts: Prompts | None = None,
        evaluation: Evaluation | None = None,
        **options: Any,
    ) -> Self:
        """Load a folder or hub id: one of ours, or a published pipeline of a known build.

        Args:
            source: A folder written by `save_pretrained`, a diffusers folder, or a hub id.
            prompts: Instead of the folder's own; needed where it has none.
            evaluation: Instead of the folder's own.
            **options: `revision`, `dtype` and `without`; see `emodc.adapters.open_pipeline`.

        Raises:
            CheckpointError: If it is not readable, or of a build that EmoDC does not know.
        """
        from emodc import hub

        return cls(*hub.load(source, prompts, evaluation, **options)).eval()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write an ordinary diffusers pipeline folder; see `emodc.hub.save`."""
        from emodc import hub

        hub.save(self, Path(folder))

    def push_to_hub(
        self, repo_id: str, *, private: bool = True, training: Mapping[str, Any] | None = None
    ) -> str:
        """Upload to the Hugging Face hub, with a model card.

        Args:
            repo_id: "owner/name"; made if it does not exist.
            private: Whether a new repository is private.
            training: The recipe, for the card; `data` names the data set.

        Returns:
            Its address.
        """
        from emodc import hub

        return hub.push(self, repo_id, private, training)

    @torch.no_grad()
    def predict(
        self, images: Tensor | Sequence[Picture], ids: Sequence[str] | None = None
    ) -> list[list[dict[str, Any]]]:
        """The classes of pictures, best first.

        Args:
            images: float (B, 3, H, W) in [0, 1], or uint8 (H, W, 3) arrays and PIL images of any
                sizes.
            ids: Sample ids that address the noise. If not given, a picture's own pixels are its
                address, so that its result does not depend on what it came with.

        Returns:
            Per picture one {"label", "score"} per class. With a `fit`, scores are calibrated
            probabilities; without, the softmax of negative mean errors, which are nearly alike:
            they rank classes and say nothing of how sure the model is.

        Raises:
            ValueError: A picture has another shape or type, or the ids are too few or many.
        """
        pictures = as_tensors(images)
        names = [pixel_address(picture) for picture in pictures] if ids is None else list(ids)
        if len(names) != len(pictures):
            raise ValueError(f"{len(pictures)} images but {len(names)} sample ids")
        # Logits have the evaluation's scale already; a fit's is one on errors.
        scale = 1.0 if self.fit is None else self.fit.temperature / self.evaluation.logit_scale
        results = []
        for picture, name in zip(pictures, names, strict=True):
            logits = scale * self(picture[None].to(self.denoiser.device), [name])[0]
            scores = logits.softmax(0).tolist()
            ranked = sorted(zip(self.classes, scores, strict=True), key=lambda pair: -pair[1])
            results.append([{"label": label, "score": score} for label, score in ranked])
        return results

    def decide(
        self,
        images: Tensor | Sequence[Picture],
        ids: Sequence[str] | None = None,
        rule: Rule | None = None,
        *,
        engine: Engine | None = None,
        weights: "Weights | None" = None,
    ) -> "Verdict":
        """Decide by a rule, measuring only what it asks for.

        The decision is that of `emodc.decisions.decide.decide` on the trace. On a CPU a picture's
        result does not depend on what it came with, to the last bit, unless memory ran out.

            verdict = model.decide(pictures, rule=SequentialTest(delta=0.01))
            print(verdict)  # a line per picture
            verdict.labels, verdict.decisions.evaluations, verdict.seconds

        Args:
            images: As in `predict`.
            ids: As in `predict`.
            rule: How to decide; a sequential test at delta 0.01 if not given. One with the
                profile of a `Fit` needs fewer evaluations.
            engine: How the network is run.
            weights: Factors of errors by timestep, such as `TimestepWeights.of` of a `Fit`.

        Raises:
            ValueError: If a picture has another shape or type, there is none, or the ids are too
                few or many.
            MemoryError: If not even one row fits into memory.
        """
        from emodc.decisions import live

        return live.decide(self, images, ids, rule or SequentialTest(), engine or Engine(), weights)

    def forward(
        self,
        images: Tensor,
        ids: Sequence[str] | None = None,
        steps: Sequence[int] | None = None,
    ) -> Tensor:
        """Class logits, differentiable; memory does not grow with the number of steps.

        Args:
            images: float32 RGB (B, 3, H, W) in [0, 1], any size.
            ids: Sample ids that address the noise; positions in the batch if not given.
            steps: Which steps of the grid to measure; all if not given. Attacks spend fewer.

        Returns:
            float32 (B, K): -logit_scale times the error averaged over the steps.
        """
        return -self.evaluation.logit_scale * self.errors(images, ids, steps).mean(dim=2)

    def errors(
        self,
        images: Tensor,
        ids: Sequence[str] | None = None,
        steps: Sequence[int] | None = None,
    ) -> Tensor:
        """Errors of the classes, float32 (B, K, S), differentiable; arguments as of `forward`."""
        return self._measure(images, ids, steps, slice(self.prompts.null_index))[0]

    @torch.no_grad()
    def trace(
        self,
        images: Tensor,
        ids: Sequence[str] | None = None,
        other_prompts: bool = False,
        steps: Sequence[int] | None = None,
    ) -> Trace:
        """All errors of `images` on the full grid, or on some steps of it.

        Args:
            images: As in `forward`.
            ids: As in `forward`.
            other_prompts: Measure the null and the non-class prompt too.
            steps: As in `forward`.
        """
        k = len(self.classes)
        prompts = slice(None if other_prompts else self.prompts.null_index)
        errors, timesteps = self._measure(images, ids, steps, prompts)
        null, non_class = (errors[:, k], errors[:, k + 1]) if other_prompts else (None, None)
        return Trace(errors[:, :k].contiguous(), timesteps, self.classes, null, non_class)

    @torch.no_grad()
    def other_prompts(
        self, images: Tensor, ids: Sequence[str] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Only the null and the non-class prompt's errors on the full grid, float32 (B, S) each.

        Measured on the noise of the trace, up to the last bit of matrix products of another shape.
        """
        errors, _ = self._measure(images, ids, None, slice(self.prompts.null_index, None))
        null, non_class = errors.unbind(1)
        return null, non_class

    @property
    def timesteps(self) -> Tensor:
        """The evaluation grid, int64 (S,), of a picture without noise of its own."""
        plan = self.evaluation
        return timestep_grid(plan.steps, plan.low, plan.high)

    def autocast(self) -> contextlib.AbstractContextManager[None]:
        """Run the network in the evaluation's precision."""
        return autocast(self.evaluation.precision, self.denoiser.device)

    def train(self, mode: bool = True) -> Self:
        """Switch mode and forget the encoded prompts: training changes what they encode to."""
        self._cached_conditions = None
        return super().train(mode)

    def _measure(
        self,
        images: Tensor,
        ids: Sequence[str] | None,
        steps: Sequence[int] | None,
        prompts: slice,
    ) -> tuple[Tensor, Tensor]:
        """Errors float32 (B, P, S) and timesteps int64 (B, S).

        `prompts` chooses among the rows of `Prompts.texts()`: the classes', the others' or all. P
        counts a class once, however many templates it has.
        """
        names = [str(i) for i in range(len(images))] if ids is None else list(ids)
        if len(names) != len(images):
            raise ValueError(f"{len(images)} images but {len(names)} sample ids")
        chosen = list(range(self.evaluation.steps)) if steps is None else list(steps)
        errors, timesteps = list[Tensor](), list[Tensor]()
        with self.autocast():
            conditions = self.conditions()[prompts]
            # One picture is one computation: its steps are the rows. The shape of every matrix
            # product is then the same whatever the batch, so a trace is the same to the last bit.
            for image, name in zip(images, names, strict=True):
                picture = prepare(self.denoiser, self.evaluation, image, name)
                own = errors_at(self.denoiser, self.evaluation, picture, chosen, conditions)
                errors.append(self._over_templates(own).T)
                timesteps.append(picture.timesteps[chosen])
        return torch.stack(errors), torch.stack(timesteps)

    def _over_templates(self, errors: Tensor) -> Tensor:
        """(S, prompts) -> (S, classes and what follows): means over the templates of a class."""
        templates, end = len(self.prompts.templates), self.prompts.null_index
        if templates == 1 or errors.shape[1] < end:  # or no classes among them
            return errors
        # The null and non-class prompts come last and have one template each.
        classes = errors[:, :end].unflatten(1, (-1, templates)).mean(dim=2)
        return torch.cat([classes, errors[:, end:]], dim=1)

    def conditions(self) -> Conditions:
        """Conditions of all prompts; encoded once while evaluating."""
        if self.training:
            return self.denoiser.encode_texts(self.prompts.texts())
        cached = self._cached_conditions
        if cached is None or cached.hidden.device != self.denoiser.device:
            with torch.no_grad():
                cached = self.denoiser.encode_texts(self.prompts.texts())
            self._cached_conditions = cached
        return cached
