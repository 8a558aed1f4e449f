"""One batch of training: what is drawn for it, and the errors that its objective asks for.

Where a pass scores all prompts (`Denoiser.free_prompts`), every prompt is scored, and the null
and non-class prompts enter the loss by their shares. Where every prompt has a cost, only the
prompts that the objective needs are scored; on a share of the rows the positive prompt is replaced
by the null or the non-class prompt and plain denoising is trained (prompt dropout). The
first is the mean of what the second samples, but for the shares: it adds them to a whole objective,
the second takes them from it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from emodc.diffusion.denoiser import Conditions, Denoiser
from emodc.prompts import Prompts
from emodc.training.objectives import BatchErrors, Objective

if TYPE_CHECKING:
    from emodc.training.trainer import TrainConfig


@dataclass(frozen=True)
class Draws:
    """Everything random about B samples of a batch.

    Attributes:
        noise: Standard normal, float32 (B, C, H, W).
        timesteps: int64 (B,).
        labels: The right classes, int64 (B,).
        wrong: Classes of the negative prompts, int64 (B, M).
        template: Which template words the class prompts, int64 (B,).
        dropout: 1 where the null prompt replaces the positive one, 2 where the non-class prompt
            does, else 0; int64 (B,).
    """

    noise: Tensor
    timesteps: Tensor
    labels: Tensor
    wrong: Tensor
    template: Tensor
    dropout: Tensor

    def rows(self, rows: Tensor) -> Self:
        """The draws of some samples."""
        return type(self)(**{name: value[rows] for name, value in vars(self).items()})

    def to(self, device: torch.device) -> Self:
        """The draws on another device."""
        return type(self)(**{name: value.to(device) for name, value in vars(self).items()})


@dataclass(frozen=True)
class PromptedErrors:
    """Errors of one batch.

    Attributes:
        batch: What the objective sees: the rows without dropout.
        denoised: Errors that plain denoising adds: under the null prompt, float32 (B,), and under
            the non-class prompt, or those of the rows that prompt dropout replaced.
        kept: Rows that `batch` holds, bool (B,).
        shared: Whether all prompts came with one pass.
    """

    batch: BatchErrors
    denoised: tuple[Tensor, ...]
    kept: Tensor
    shared: bool

    def loss(self, config: "TrainConfig") -> Tensor:
        """Loss per sample, (B,)."""
        loss = config.objective(self.batch)
        if self.shared:
            null, non_class = self.denoised
            return loss + config.null_share * null + config.non_class_share * non_class
        return torch.cat([loss, *self.denoised])


def draw(
    generator: torch.Generator,
    labels: Tensor,
    shape: tuple[int, ...],
    prompts: Prompts,
    config: "TrainConfig",
) -> Draws:
    """Draw a batch; on the CPU, so that every device and process sees the same."""
    count, classes = len(labels), len(prompts.classes)
    labels = labels.cpu()
    timesteps = torch.randint(config.low, config.high, (count,), generator=generator)
    noise = torch.randn((count, *shape), generator=generator)
    ranks = torch.rand((count, classes), generator=generator)
    ranks.scatter_(1, labels[:, None], 2.0)  # the right class comes last
    negatives = config.objective.negatives
    wrong = ranks.argsort(dim=1)[:, : classes - 1 if negatives is None else negatives]
    lot = torch.rand(count, generator=generator)
    null, both = config.null_share, config.null_share + config.non_class_share
    dropout = (lot < both).long() + ((lot >= null) & (lot < both)).long()
    template = torch.randint(len(prompts.templates), (count,), generator=generator)
    return Draws(noise, timesteps, labels, wrong, template, dropout)


def prompted_errors(
    denoiser: Denoiser,
    prompts: Prompts,
    conditions: Conditions,
    noisy: Tensor,
    draws: Draws,
    config: "TrainConfig",
) -> PromptedErrors:
    """The errors that `config.objective` needs, of x_t float32 (B, C, H, W).

    `conditions` are those of all prompts.
    """
    score = _score_all if denoiser.free_prompts else _score_some
    return score(denoiser, prompts, conditions, noisy, draws, config)


def _score_all(
    denoiser: Denoiser,
    prompts: Prompts,
    conditions: Conditions,
    noisy: Tensor,
    draws: Draws,
    config: "TrainConfig",
) -> PromptedErrors:
    errors = denoiser.errors(noisy, draws.timesteps, draws.noise, conditions)
    errors = errors * denoiser.process.weight(draws.timesteps, config.weighting)[:, None]
    end = prompts.null_index
    classes = errors[:, :end].unflatten(1, (-1, len(prompts.templates))).mean(dim=2)
    positive = classes.gather(1, draws.labels[:, None]).squeeze(1)
    null, non_class = errors[:, end], errors[:, prompts.non_class_index]
    not_negative = {"positive": positive, "null": null, "non_class": non_class}
    return PromptedErrors(
        batch=BatchErrors(
            positive=positive,
            negatives=classes.gather(1, draws.wrong),
            not_negative=not_negative[config.objective.not_negative],
        ),
        denoised=(null, non_class),
        kept=torch.ones_like(draws.dropout, dtype=torch.bool),
        shared=True,
    )


def _score_some(
    denoiser: Denoiser,
    prompts: Prompts,
    conditions: Conditions,
    noisy: Tensor,
    draws: Draws,
    config: "TrainConfig",
) -> PromptedErrors:
    templates, kept = len(prompts.templates), draws.dropout == 0
    others = {"null": prompts.null_index, "non_class": prompts.non_class_index}
    positive = draws.labels * templates + draws.template
    replaced = prompts.null_index + draws.dropout - 1
    columns = [torch.where(kept, positive, replaced)[:, None]]
    columns.append(draws.wrong * templates + draws.template[:, None])
    name = config.objective.not_negative
    if name != "positive":
        columns.append(torch.full_like(positive, others[name])[:, None])
    chosen = torch.cat(columns, dim=1)
    # A dropped row needs its first prompt only; scoring it apart would cost a second pass.
    errors = denoiser.errors(noisy, draws.timesteps, draws.noise, conditions, chosen)
    errors = errors * denoiser.process.weight(draws.timesteps, config.weighting)[:, None]
    first, last = errors[:, 0], errors[:, -1]
    return PromptedErrors(
        batch=BatchErrors(
            positive=first[kept],
            negatives=errors[:, 1 : 1 + draws.wrong.shape[1]][kept],
            not_negative=(first if name == "positive" else last)[kept],
        ),
        denoised=(first[~kept],),
        kept=kept,
        shared=False,
    )


# ------------------------------------------------------------------------------------------------
# What the errors look like while training, by timestep.


BINS = 5
_COLUMNS = ("samples", "d_p", "d_n", "active")


class Mean:
    """A mean over batches of different sizes; 0 before anything is added."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def add(self, values: torch.Tensor) -> None:
        """Count every element."""
        self._sum += values.detach().double().sum().item()
        self._count += values.numel()

    @property
    def value(self) -> float:
        """The mean so far."""
        return self._sum / self._count if self._count else 0.0


class TimestepLog:
    """Sums per bin of the timestep range since the last reading.

    Args:
        low: First timestep.
        high: End of the range (exclusive).
    """

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high
        self._sums = torch.zeros(BINS, len(_COLUMNS), dtype=torch.float64)

    @torch.no_grad()
    def add(self, draws: "Draws", errors: "PromptedErrors", objective: Objective) -> None:
        """Count one batch."""
        batch = errors.batch
        share = (draws.timesteps[errors.kept] - self.low) * BINS // (self.high - self.low)
        rows = torch.zeros(len(batch.positive), len(_COLUMNS), device=batch.positive.device)
        rows[:, 0], rows[:, 1] = 1.0, batch.positive
        if batch.negatives.numel():
            rows[:, 2] = batch.negatives.mean(dim=1)
            rows[:, 3] = (objective.hinges(batch) > 0).float().mean(dim=1)
        self._sums.index_add_(0, share.cpu(), rows.double().cpu())

    def read(self) -> list[dict[str, float]]:
        """One record per timestep bin, and a new count.

        Returns:
            First timestep `low`, mean `d_p` and `d_n`, `gap` = (d_n - d_p) / d_p, and `active`, the
            share of wrong prompts whose hinge was active.
        """
        records = []
        for number, (samples, *sums) in enumerate(self._sums.tolist()):
            if not samples:
                continue
            d_p, d_n, active = (value / samples for value in sums)
            low = self.low + number * (self.high - self.low) / BINS
            gap = (d_n - d_p) / d_p if d_n else 0.0
            records.append({"low": low, "d_p": d_p, "d_n": d_n, "gap": gap, "active": active})
        self._sums.zero_()
        return records

    def state_dict(self) -> dict[str, Any]:
        """For resuming."""
        return {"sums": self._sums.clone()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a `state_dict()`."""
        self._sums.copy_(state["sums"])
