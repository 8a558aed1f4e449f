"""An EmoDC stage as the loop sees it: logged by timestep, validated on the way, stopped early."""

from typing import Any

import torch
from torch import Tensor

from bench.config import Stage
from bench.progress import Reporter
from bench.training.trackers import Trackers
from emodc import EmoDC, Evaluation
from emodc.train import EmoDCTrainer

#: A validation d_p above plain denoising's by more than this share is worth a warning: the model
#: stops being generative.
WARN_ABOVE = 1.05
LOG_EVERY = 100  # steps
_PICTURES, _STEPS = 210, 10  # of a validation on the way


class StageTrainer:
    """An `EmoDCTrainer` with validation.

    Args:
        trainer: The stage.
        stage: Its config.
        validation: uint8 images (N, 3, S, S) and int64 labels (N,).
        control: Whether errors are the matched control's: negative log-probabilities.
        trackers: Where figures are shown while training.
        label: Names the stage in messages.
        reporter: Hears warnings.

    Attributes:
        records: One record per timestep bin and reading of the log, and one per validation.
    """

    def __init__(
        self,
        trainer: EmoDCTrainer,
        stage: Stage,
        validation: tuple[Tensor, Tensor],
        control: bool,
        trackers: Trackers,
        label: str,
        reporter: Reporter,
    ) -> None:
        self.trainer, self.stage, self.trackers = trainer, stage, trackers
        self.control, self.label, self.reporter = control, label, reporter
        images, labels = validation
        stride = -(-len(labels) // _PICTURES)
        self._validation = images[::stride], labels[::stride]
        self._every = stage.early_stop.every if stage.early_stop else -(-stage.steps // 3)
        self.records: list[dict[str, float]] = []
        self._best_accuracy, self._best_step = -1.0, 0
        self._best_weights: list[Tensor] = []
        self._start_d_p: float | None = None
        self._warned = False

    @property
    def position(self) -> int:
        """Steps done."""
        return self.trainer.position

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or none has helped for too long."""
        stop = self.stage.early_stop
        if stop and self.position - self._best_step >= stop.every * stop.patience:
            return True
        return self.position >= self.stage.steps

    def step(self, images: Tensor, labels: Tensor) -> dict[str, float]:
        """One optimiser step; see `EmoDCTrainer.step`."""
        if self._start_d_p is None:
            self._start_d_p = self._measure()[1]
        figures = self.trainer.step(images, labels, encoded=self.stage.cache_latents)
        last = self.position == self.stage.steps
        if self.position % LOG_EVERY == 0 or last:
            self.trackers.log(self.position, self._named(figures))
            for record in self.trainer.log.read():
                self.records.append({"step": self.position, **self._named(record)})
        if self.position % self._every == 0 or last:
            self._validate()
        return self._named(figures)

    def finish(self) -> None:
        """Leave the stage's result in the denoiser: averaged weights, the best if it may stop."""
        best = self._best_weights if self.stage.early_stop else None
        self.trainer.finish(best or None)

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue exactly."""
        return {
            "trainer": self.trainer.state_dict(),
            "records": self.records,
            "best_accuracy": self._best_accuracy,
            "best_step": self._best_step,
            "best_weights": self._best_weights,
            "start_d_p": self._start_d_p,
            "warned": self._warned,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict()`."""
        self.trainer.load_state_dict(state["trainer"])
        self.records = list(state["records"])
        self._best_accuracy = float(state["best_accuracy"])
        self._best_step = int(state["best_step"])
        self._best_weights = list(state["best_weights"])
        self._start_d_p = state["start_d_p"]
        self._warned = bool(state["warned"])

    def _validate(self) -> None:
        accuracy, d_p = self._measure()
        name = "validation_nll" if self.control else "validation_d_p"
        record = {"step": self.position, "validation_accuracy": accuracy, name: d_p}
        self.records.append(record)
        self.trackers.log(self.position, record)
        if accuracy > self._best_accuracy:
            self._best_accuracy, self._best_step = accuracy, self.position
            if self.stage.early_stop:
                self._best_weights = self.trainer.averages()
        start = self._start_d_p
        margins = self.stage.objective.kind != "base"
        if margins and start and d_p > WARN_ABOVE * start and not self._warned:
            self._warned = True
            self.reporter.say(
                f"{self.label}: at step {self.position} the validation d_p is {d_p:.4f}, "
                f"{d_p / start - 1:+.0%} against where the stage began; the model is becoming "
                "less of a denoiser."
            )

    def _named(self, figures: dict[str, float]) -> dict[str, float]:
        """The figures under their names: the control has no noise-prediction errors."""
        if not self.control:
            return figures
        kept = {name: value for name, value in figures.items() if name in ("low", "loss")}
        return {"nll": figures["d_p"], **kept}

    def _measure(self) -> tuple[float, float]:
        config = self.trainer.config
        evaluation = Evaluation(
            steps=_STEPS, low=config.low, high=config.high, precision=config.precision
        )
        with self.trainer.averaged_weights() as denoiser:
            model = EmoDC(denoiser, self.trainer.prompts, evaluation).eval()
            return validation_figures(model, *self._validation)


@torch.no_grad()
def validation_figures(model: EmoDC, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Accuracy and mean d_p.

    Args:
        model: Evaluated as its `evaluation` says.
        images: uint8 (N, 3, S, S).
        labels: int64 (N,).
    """
    device, errors = model.denoiser.device, []
    for row in range(len(images)):
        picture = images[row : row + 1].to(device).float() / 255.0
        errors.append(model.trace(picture, [f"val-{row}"]).errors.double().mean(dim=2).cpu())
    table = torch.cat(errors)
    positive = table.gather(1, labels[:, None])
    return (table.argmin(1) == labels).double().mean().item(), positive.mean().item()
